//! Direct Prediction, the paper's baseline: the joint network with one trunk, which sees x and
//! M's softmax and never sees x'. What the joint network is better by, synthesis has brought.

use tch::nn::Path;

use super::joint::{Config, Joint, Tasks};

/// Builds the network for `classes` classes.
pub fn new(p: &Path, config: &Config, classes: i64) -> Joint {
    Joint::with(p, &["siamese"], Tasks::Both, config, classes)
}
