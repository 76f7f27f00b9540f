//! Scores a pixel can have, one file each; [`catalogue`] lists the detectors that give them.

pub mod catalogue;
pub mod cosine;
pub mod detector;
pub mod logits;
pub mod mc_dropout;
pub mod sml;
pub mod synthcp;
