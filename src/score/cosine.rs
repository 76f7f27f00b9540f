//! The anomaly score of SynthCP (Section 3.3): how unlike M's features of x and of x' are, where M is
//! not certain.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::network::layers::{resize_bilinear, spatial};
use crate::network::softmax::Softmax;

/// Above this softmax M is believed and the features are not consulted (the paper's t).
pub const SWITCH: f64 = 0.999;

/// Which features of x and x' are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Those that M classifies: the paper's.
    #[default]
    Last,
    /// M's logits: what it makes of those.
    Logits,
}

/// How M's own certainty enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// A switch, as in the paper: above [`SWITCH`] the largest softmax is the confidence, below it the
    /// cosine.
    #[default]
    Switch,
    /// The geometric mean of the cosine distance and the entropy of the softmax: the same thought
    /// without a step. Both must be high.
    Entropy,
}

/// How the score is made; the default is the paper's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is compared.
    pub features: Features,
    /// What M's certainty does.
    pub certainty: Certainty,
}

/// Anomaly score `N x 1 x H x W` in \[0, 1\], fp32.
///
/// `real` and `synthetic` are `N x F x h x w` features of x and x'; `softmax` is M's of x at full size.
/// The cosine is taken on the features' own grid and then resized.
pub fn anomaly_score(real: &Tensor, synthetic: &Tensor, softmax: &Softmax, certainty: Certainty) -> Tensor {
    let (real, synthetic) = (real.to_kind(Kind::Float), synthetic.to_kind(Kind::Float));
    let cosine = Tensor::cosine_similarity(&real, &synthetic, 1, 1e-8).unsqueeze(1);
    let distance = 1. - resize_bilinear(&cosine, spatial(&softmax.largest), false).clamp(0., 1.);
    match certainty {
        Certainty::Switch => {
            let doubt: Tensor = 1. - &softmax.largest;
            doubt.where_self(&doubt.lt(1. - SWITCH), &distance)
        }
        Certainty::Entropy => (distance * &softmax.entropy).clamp(0., 1.).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Softmax of two classes, the larger one as given, a pixel each.
    fn sure(msp: &[f32]) -> Softmax {
        let msp = Tensor::from_slice(msp).view([1, 1, 1, -1]);
        Softmax::of(Tensor::cat(&[&msp, &(1. - &msp)], 1))
    }

    #[test]
    fn like_features_are_no_anomaly_and_opposite_ones_are() {
        let real = Tensor::from_slice(&[1f32, 0., 0., 1.]).view([1, 2, 1, 2]);
        let synthetic = Tensor::from_slice(&[2f32, 0., 0., -1.]).view([1, 2, 1, 2]);
        for certainty in [Certainty::Switch, Certainty::Entropy] {
            let score = anomaly_score(&real, &synthetic, &sure(&[0.5, 0.5]), certainty);
            assert_eq!(score.double_value(&[0, 0, 0, 0]), 0., "{certainty:?}");
            assert!((score.double_value(&[0, 0, 0, 1]) - 1.).abs() < 1e-6, "{certainty:?}");
        }
    }

    #[test]
    fn a_certain_segmenter_is_believed() {
        let real = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu));
        for (certainty, most) in [(Certainty::Switch, 1e-3), (Certainty::Entropy, 0.05)] {
            let score = anomaly_score(&real, &(-&real), &sure(&[0.9999]), certainty);
            assert!(score.double_value(&[0, 0, 0, 0]) < most, "{certainty:?}");
        }
    }
}
