//! What people look at: pictures of single frames, and tables.

pub mod anomaly;
pub mod canvas;
pub mod evaluation;
pub mod heat;
pub mod overlay;
pub mod street;
pub mod strip;
