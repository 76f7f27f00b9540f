//! What M knows of its own doubt, as an input of F: the paper's F hardly sees that M was torn.

use tch::Tensor;

use crate::network::softmax::Softmax;

/// Maps of [`own`].
pub(crate) const OWN: i64 = 3;
/// Softmax above and below which its logit no longer grows.
const SURE: f64 = 1e-4;
/// The largest logit of a softmax, so that the map is in \[-1, 1\].
const LARGEST_LOGIT: f64 = 9.21;

/// `N x OWN x H x W`, fp32: the entropy of M's softmax as a share of the largest possible one, the logit of
/// its largest softmax, and how far ahead of the second that is.
pub fn own(softmax: &Softmax) -> Tensor {
    let Softmax { largest, second, entropy, .. } = softmax;
    let sure = largest.clamp(SURE, 1. - SURE).logit(None) / LARGEST_LOGIT;
    Tensor::cat(&[entropy, &sure, &(largest - second)], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_of_one_scale_and_tells_torn_from_sure() {
        // One pixel is sure beyond what is told apart, the other torn between two of three classes.
        let probabilities = Tensor::from_slice(&[1f32, 0.5, 0., 0.5, 0., 0.]).view([1, 3, 1, 2]);
        let maps = own(&Softmax::of(probabilities));
        assert_eq!(maps.size(), [1, OWN, 1, 2]);
        let pixel = |x: i64| Vec::<f32>::try_from(maps.narrow(3, x, 1).flatten(0, -1)).unwrap();
        let near = |found: Vec<f32>, expected: [f32; 3]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?} {expected:?}");
        };
        near(pixel(0), [0., 1., 1.]);
        near(pixel(1), [2f32.ln() / 3f32.ln(), 0., 0.]);
    }
}
