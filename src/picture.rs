//! Pictures of single frames, for people: overlay, score maps, panels.

pub(crate) mod canvas;
#[cfg(feature = "plots")]
pub(crate) mod heat;
#[cfg(feature = "plots")]
pub(crate) mod jpeg;
pub mod overlay;
#[cfg(feature = "plots")]
pub mod strip;
