//! F: networks that compare x with x' and say where, and how much, the labels are wrong.

pub mod joint;
pub mod prior;
pub mod resnet18;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

/// What F says of a batch.
#[derive(Debug)]
pub struct Compared {
    /// `N x 1 x H x W`: logit of "this pixel's label is right".
    pub confidence: Tensor,
    /// `N x classes`: estimate of each class's IoU, not clamped.
    pub iou: Tensor,
    /// `N x classes`: logit of "this class is in view", segmented or not; of a network with
    /// [`prior::Prior`].
    pub presence: Option<Tensor>,
}

/// Which network F is, and its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
pub enum ComparerConfig {
    /// Both tasks in one network: the paper's SynthCP-joint.
    Joint(joint::Config),
}

impl ComparerConfig {
    /// Builds the network for `classes` classes, its parameters under `p`.
    pub fn build(&self, p: &Path, classes: i64) -> joint::Joint {
        let Self::Joint(config) = self;
        joint::Joint::new(p, config, classes)
    }

    /// The architecture's name, as in bundle.yaml.
    pub fn name(&self) -> &'static str {
        let Self::Joint(_) = self;
        "joint"
    }
}

/// What F looks at; every tensor has the same N, H, W.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// x: `N x 3 x H x W`, RGB in \[0, 1\].
    pub image: &'a Tensor,
    /// x': the same, synthesized.
    pub synth: &'a Tensor,
    /// Softmax of M's logits: `N x classes x H x W`, fp32.
    pub probabilities: &'a Tensor,
}
