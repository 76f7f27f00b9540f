//! Failures with ground truth: images made worse in ways that leave their labels known.
//!
//! On good images alone F sees few failures and none of the gross ones. The left-out folds are
//! therefore shown to M twice, once as they are and once degraded.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::network::layers::{resize_bilinear, spatial};

/// What can happen to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Degradation {
    Darkness,
    Noise,
    Fog,
    Blur,
    UpsideDown,
}

const ALL: [Degradation; 5] =
    [Degradation::Darkness, Degradation::Noise, Degradation::Fog, Degradation::Blur, Degradation::UpsideDown];

/// Degrades one image (`3 x H x W` bytes) in a way and to a degree that are drawn; its labels
/// (`H x W`) follow where pixels move.
pub fn degrade(image: &Tensor, labels: &Tensor, rng: &mut ChaCha8Rng) -> (Tensor, Tensor) {
    let x = image.to_kind(Kind::Float) / 255.;
    let kind = ALL[rng.random_range(0..ALL.len())];
    let strength: f64 = rng.random_range(0.0..=1.0);
    let worse = match kind {
        Degradation::Darkness => x * (0.5 * (1. - strength)),
        Degradation::Noise => {
            let noise = Tensor::rand(x.size(), (Kind::Float, x.device()));
            let share = 0.2 + 0.8 * strength;
            x * (1. - share) + noise * share
        }
        Degradation::Fog => {
            let share = 0.4 + 0.6 * strength;
            x * (1. - share) + share * rng.random_range(0.5..1.0)
        }
        Degradation::Blur => {
            let (h, w) = spatial(&x);
            let factor = 3. + 13. * strength;
            let small = ((h as f64 / factor).ceil() as i64, (w as f64 / factor).ceil() as i64);
            let small = x.unsqueeze(0).internal_upsample_bilinear2d_aa([small.0, small.1], false, None, None);
            resize_bilinear(&small, (h, w), false).squeeze_dim(0)
        }
        Degradation::UpsideDown => return (image.flip([1]), labels.flip([0])),
    };
    (to_bytes(&worse), labels.shallow_clone())
}

/// \[0, 1\] to bytes.
pub fn to_bytes(x: &Tensor) -> Tensor {
    (x * 255.).round().clamp(0., 255.).to_kind(Kind::Uint8)
}
