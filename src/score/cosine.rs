//! The anomaly score of SynthCP (Section 3.3): how unlike M's features of x and of x' are, unless M
//! is all but certain.

use tch::{Kind, Tensor};

use crate::network::layers::{resize_bilinear, spatial};

/// Above this softmax M is believed and the features are not consulted (the paper's t).
pub const SWITCH: f64 = 0.999;

/// Anomaly score `N x 1 x H x W` in \[0, 1\], fp32.
///
/// `real` and `synthetic` are `N x F x h x w` features of x and x'; `msp` is the largest softmax,
/// `N x 1 x H x W`. The confidence is the cosine of the features, taken on their own grid and then
/// resized, or `msp` where that exceeds [`SWITCH`]; the score is one minus the confidence.
pub fn anomaly_score(real: &Tensor, synthetic: &Tensor, msp: &Tensor) -> Tensor {
    let (real, synthetic) = (real.to_kind(Kind::Float), synthetic.to_kind(Kind::Float));
    let cosine = Tensor::cosine_similarity(&real, &synthetic, 1, 1e-8).unsqueeze(1);
    let cosine = resize_bilinear(&cosine, spatial(msp), false);
    let confidence = msp.where_self(&msp.gt(SWITCH), &cosine);
    1. - confidence.clamp(0., 1.)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn map(v: &[f32]) -> Tensor {
        Tensor::from_slice(v).view([1, 1, 1, -1])
    }

    #[test]
    fn like_features_are_no_anomaly_and_opposite_ones_are() {
        let real = Tensor::from_slice(&[1f32, 0., 0., 1.]).view([1, 2, 1, 2]);
        let synthetic = Tensor::from_slice(&[2f32, 0., 0., -1.]).view([1, 2, 1, 2]);
        let score = anomaly_score(&real, &synthetic, &map(&[0.5, 0.5]));
        assert_eq!(score.double_value(&[0, 0, 0, 0]), 0.);
        assert_eq!(score.double_value(&[0, 0, 0, 1]), 1.);
    }

    #[test]
    fn a_certain_segmenter_is_believed() {
        let real = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu));
        let score = anomaly_score(&real, &(-&real), &map(&[0.9999]));
        assert!(score.double_value(&[0, 0, 0, 0]) < 1e-3);
    }
}
