//! Pictures of single frames, for people: overlay, score maps, panels.

pub mod canvas;
#[cfg(feature = "plots")]
pub mod heat;
pub mod overlay;
#[cfg(feature = "plots")]
pub mod strip;
