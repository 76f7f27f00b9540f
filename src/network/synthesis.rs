//! G: networks that paint an image from a label map alone.

pub mod fused;
pub mod memoised;
pub mod modulation;
pub mod patches;
pub mod spade;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

/// Which network G is, and its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
pub enum SynthesizerConfig {
    /// SPADE (Park et al., 2019).
    Spade(spade::Config),
}

impl SynthesizerConfig {
    /// Builds the network for `classes` classes, its parameters under `p`.
    pub fn build(&self, p: &Path, classes: i64) -> spade::Spade {
        let Self::Spade(config) = self;
        spade::Spade::new(p, config, classes)
    }

    /// The architecture's name, as in bundle.yaml.
    pub fn name(&self) -> &'static str {
        let Self::Spade(_) = self;
        "spade"
    }

    /// Image sizes must be multiples of this.
    pub fn granularity(&self) -> i64 {
        let Self::Spade(config) = self;
        1 << config.doublings()
    }
}

/// A batch of label maps as G reads them: `N x H x W` ids, 255 where there is no label.
pub type LabelBatch = Tensor;
