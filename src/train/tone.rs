//! Other cameras: x as F sees it in training, its tones changed, so that F does not learn one camera by heart.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::model::pixels::to_bytes;

/// `N x 3 x H x W` bytes, each image with its own contrast, brightness, saturation and white balance, each of them
/// changed by at most the share `most`. The same draws give the same tones on every device.
pub(super) fn recolored(images: &Tensor, most: f64, rng: &mut ChaCha8Rng) -> Tensor {
    let count = images.size()[0];
    let mut factors = |channels: i64| {
        let drawn: Vec<f32> =
            (0..count * channels).map(|_| 1. + rng.random_range(-most..=most) as f32).collect();
        Tensor::from_slice(&drawn).view([count, channels, 1, 1]).to_device(images.device())
    };
    let [contrast, brightness, saturation] = [(); 3].map(|()| factors(1));
    // A white balance that is off by half of what the rest may be is already a coloured picture.
    let balance = (factors(3) + 1.) / 2.;
    let x = images.to_kind(Kind::Float) / 255.;
    let mean = x.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
    let x = (x - &mean) * contrast + mean * brightness;
    let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float);
    to_bytes(&(((x - &grey) * saturation + grey) * balance))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::train::batch::draws;

    #[test]
    fn tones_change_within_bounds_and_each_image_its_own_way() {
        let images = Tensor::full([3, 3, 4, 5], 100, (Kind::Uint8, Device::Cpu));
        assert_eq!(recolored(&images, 0., &mut draws(1, 1)), images);
        let changed = recolored(&images, 0.2, &mut draws(1, 1));
        assert_eq!(changed, recolored(&images, 0.2, &mut draws(1, 1)));
        let means =
            Vec::<f64>::try_from(changed.mean_dim([2i64, 3].as_slice(), false, Kind::Double).flatten(0, 1));
        let means = means.unwrap();
        // A grey image has neither contrast nor saturation: brightness by a fifth, each channel by a tenth.
        assert!(means.iter().all(|mean| (71. ..=133.).contains(mean)), "{means:?}");
        assert!((1..means.len()).all(|i| means[i] != means[i - 1]), "{means:?}");
    }
}
