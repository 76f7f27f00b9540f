//! Scores that a pixel or an image can have, one file each; [`catalogue`] gives the detectors by name,
//! [`trained`] those that training left in a folder.

pub mod catalogue;
mod class_statistics;
pub mod detector;
mod entry;
pub mod frequencies;
pub mod statistics;
pub mod trained;

/// Declares the modules of the detectors, each with its `ENTRIES`, and collects these in the order of tables.
macro_rules! detectors {
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*

        const DETECTORS: &[&[entry::Entry]] = &[$($module::ENTRIES),*];
    };
}

// The one list: a new detector is a file and a line here.
detectors! {
    synthcp,
    logits,
    sml,
    vim,
    nearest,
    mc_dropout,
    label_errors,
}
