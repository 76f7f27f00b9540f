//! The pixel-level network of the paper's SynthCP-separate: the joint network without its regression of
//! IoUs, so that the whole of it serves the confidence of each pixel.

use tch::nn::Path;

use super::joint::{Config, Joint, PAIR, Tasks};

/// Builds the network for `classes` classes.
pub fn new(p: &Path, config: &Config, classes: i64) -> Joint {
    Joint::with(p, PAIR, Tasks::Confidence, config, classes)
}
