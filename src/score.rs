//! Scores a pixel or an image can have, one file each; [`catalogue`] lists the detectors that give them.

pub mod catalogue;
pub mod compared;
pub mod detector;
pub mod dropout_regressor;
pub mod logits;
pub mod mc_dropout;
pub mod reconstruction;
pub mod sml;
pub mod synthcp;
pub mod tcp;
pub mod trained;
pub mod vae_alarm;
