//! G: networks that paint an image from a label map alone.

pub mod fused;
pub mod memoised;
pub mod modulation;
pub mod patches;
pub mod spade;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use memoised::Memoised;

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

/// G as the monitor runs it, for inference alone.
#[derive(Debug)]
pub enum Painter {
    /// Layer by layer, as it was trained.
    Dense(spade::Spade, Kind),
    /// Each distinct label patch once; the same picture.
    Memoised(Memoised),
}

impl Painter {
    /// Makes a loaded generator ready to compute in `kind`. With `memoise` and few enough classes for it
    /// nothing of `spade` is kept.
    pub fn new(spade: spade::Spade, kind: Kind, memoise: bool) -> Self {
        let memoised = if memoise { Memoised::fold(&spade, kind, memoised::CACHE) } else { None };
        memoised.map_or_else(|| Self::Dense(spade, kind), Self::Memoised)
    }

    /// Paints `N x H x W` labels (ids; 255 = none) as `N x 3 x H x W` RGB in \[0, 1\], fp32.
    pub fn paint(&self, labels: &LabelBatch) -> Tensor {
        match self {
            Self::Dense(spade, kind) => spade.forward(labels, *kind, false),
            Self::Memoised(memoised) => memoised.forward(labels),
        }
    }
}
