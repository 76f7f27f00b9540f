//! What people look at: pictures of single frames.

pub mod canvas;
pub mod evaluation;
pub mod heat;
pub mod overlay;
pub mod strip;
