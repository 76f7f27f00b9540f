//! What M knows of its own doubt, as an input of F. The paper's F compares pictures and hardly sees that M
//! was torn, nor that M, shown x', no longer finds what it had found in x.

use tch::{Kind, Tensor};

use super::disagreement;
use crate::network::layers::{resize_bilinear, spatial};
use crate::network::softmax::Softmax;

/// Maps of [`evidence`].
pub const MAPS: i64 = 3 + disagreement::MAPS;
/// Softmax above and below which its logit no longer grows.
const SURE: f64 = 1e-4;
/// The largest logit of a softmax, so that the map is in \[-1, 1\].
const LARGEST_LOGIT: f64 = 9.21;

/// What M knows of its own doubt, `N x MAPS x H x W`, fp32: the entropy of its softmax as a share of
/// the largest possible one, the logit of its largest softmax, how far ahead of the second that is, and
/// how it disagrees with itself about x', brought to full size.
pub fn evidence(softmax: &Softmax, disagreement: &Tensor) -> Tensor {
    let Softmax { probabilities, largest, entropy, .. } = softmax;
    let (top, _) = probabilities.topk(2.min(probabilities.size()[1]), 1, true, true);
    let ahead = largest - top.narrow(1, top.size()[1] - 1, 1);
    let sure = largest.clamp(SURE, 1. - SURE).logit(None) / LARGEST_LOGIT;
    let disagreement = resize_bilinear(&disagreement.to_kind(Kind::Float), spatial(probabilities), false);
    Tensor::cat(&[entropy, &sure, &ahead, &disagreement], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_of_one_scale_and_tells_torn_from_sure() {
        // One pixel is sure beyond what is told apart, the other torn between two of three classes.
        let probabilities = Tensor::from_slice(&[1f32, 0.5, 0., 0.5, 0., 0.]).view([1, 3, 1, 2]);
        let disagreement =
            Tensor::from_slice(&[0.25f32; disagreement::MAPS as usize]).view([1, disagreement::MAPS, 1, 1]);
        let maps = evidence(&Softmax::of(probabilities), &disagreement);
        assert_eq!(maps.size(), [1, MAPS, 1, 2]);
        let pixel = |x: i64| Vec::<f32>::try_from(maps.narrow(3, x, 1).flatten(0, -1)).unwrap();
        let near = |found: Vec<f32>, expected: [f32; 6]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?} {expected:?}");
        };
        near(pixel(0), [0., 1., 1., 0.25, 0.25, 0.25]);
        near(pixel(1), [2f32.ln() / 3f32.ln(), 0., 0., 0.25, 0.25, 0.25]);
    }
}
