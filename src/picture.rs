//! Pictures of single frames, for people: overlay, score maps, panels.

pub mod canvas;
pub mod heat;
pub mod overlay;
pub mod strip;
