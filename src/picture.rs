//! Pictures of single frames, for people.

pub mod canvas;
pub mod heat;
pub mod overlay;
pub mod strip;
