//! What people look at: pictures of single frames.

pub mod canvas;
pub mod heat;
pub mod overlay;
pub mod strip;
