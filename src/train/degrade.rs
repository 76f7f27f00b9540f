//! Failures with ground truth for F: on good images alone it sees few failures and none of the gross
//! ones. The left-out folds are therefore shown to M twice, once as they are and once degraded.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::data::degradation::Degradation;
use crate::model::pixels::{grey_to_tensor, rgb_to_tensor, tensor_to_grey, tensor_to_rgb};

/// Degrades one image (`3 x H x W` bytes) in a way and to a degree that are drawn; its labels
/// (`H x W`) follow where pixels move.
pub(crate) fn degrade(image: &Tensor, labels: &Tensor, rng: &mut ChaCha8Rng) -> (Tensor, Tensor) {
    let degradation = Degradation::ALL[rng.random_range(0..Degradation::ALL.len())];
    let strength = rng.random_range(0.1..=1.);
    let (image, labels) = degradation.apply(&tensor_to_rgb(image), &tensor_to_grey(labels), strength, rng);
    (rgb_to_tensor(&image), grey_to_tensor(&labels))
}
