//! Outlier exposure (Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", ICLR 2019) of a second
//! classifier on M's features: on things of no class its softmax is taught to be flat. M itself stays as it is.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::Baseline;
use crate::network::layers::{Conv2d, ConvOptions};
use crate::network::range::{OutOfRange, within};

/// Size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels between the classifier's two convolutions.
    pub width: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64 }
    }
}

impl Baseline for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        within("width", self.width, 1..=1024)
    }

    fn title(&self) -> String {
        "outlier-exposed MSP".into()
    }

    fn reads_features_of_m(&self) -> bool {
        true
    }
}

/// The classifier.
#[derive(Debug)]
pub(crate) struct Classifier {
    mix: Conv2d,
    classify: Conv2d,
}

/// The tensor whose second dimension is the number of M's features.
pub(crate) const FIRST: &str = "mix.weight";

impl Classifier {
    /// Builds it on `features` channels.
    pub fn new(p: &Path, config: &Config, features: i64, classes: i64) -> Self {
        Self {
            mix: Conv2d::new(p / "mix", features, config.width, ConvOptions::same(3)),
            classify: Conv2d::new(p / "classify", config.width, classes, ConvOptions::same(1)),
        }
    }

    /// Logits `N x classes x h x w` of M's features, on their grid.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.classify.forward(&self.mix.forward(features).relu())
    }
}
