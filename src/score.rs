//! Scores a pixel can have, one file each.

pub mod cosine;
pub mod detector;
pub mod logits;
pub mod mc_dropout;
pub mod sml;
