//! IoUs from how torn the passes of M with dropout at work are about each class: a regressor alone.

use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::Baseline;
use super::regressor::Regressor;
use crate::network::range::{OutOfRange, within};

/// What it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Passes over an image.
    pub passes: usize,
}

impl Config {
    /// Builds the regressor for `classes` classes.
    pub fn build(&self, p: &Path, classes: i64) -> Regressor {
        Regressor::new(p, classes, classes)
    }
}

impl Baseline for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        within("passes", self.passes, 1..=1000)
    }

    fn title(&self) -> String {
        "MC dropout".into()
    }
}
