//! An auto-encoder of images, as those that search for what is unlike the training data by what cannot be
//! told again through a bottleneck (the baseline AE of Hendrycks et al., "Scaling Out-of-Distribution
//! Detection for Real-World Settings"; Baur et al., 2018). It sees the image alone, not M.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::Baseline;
use crate::network::layers::{BatchNorm2d, Conv2d, ConvOptions, channels_last, spatial};
use crate::network::range::{OutOfRange, within};

/// Sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels after the first convolution, doubled at each next one.
    pub width: i64,
    /// Channels of the bottleneck, which has a sixteenth of the image's size each way.
    pub latent: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 32, latent: 16 }
    }
}

impl Baseline for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        within("width", self.width, 1..=256)?;
        within("latent", self.latent, 1..=1024)
    }

    fn title(&self) -> String {
        "auto-encoder".into()
    }
}

/// Convolutions that halve, and those that double again.
const SCALES: i64 = 4;

/// The network.
#[derive(Debug)]
pub(crate) struct Autoencoder {
    encoder: Vec<(Conv2d, BatchNorm2d)>,
    code: Conv2d,
    decoder: Vec<(Conv2d, BatchNorm2d)>,
    image: Conv2d,
}

impl Autoencoder {
    /// Builds the network.
    pub fn new(p: &Path, config: &Config) -> Self {
        let three = ConvOptions::same(3).no_bias();
        let width = |scale: i64| config.width << scale;
        let layer = |q: Path, inputs, outputs, options| {
            (Conv2d::new(&q / 0, inputs, outputs, options), BatchNorm2d::new(&q / 1, outputs))
        };
        let encoder = |i: i64| {
            let inputs = if i == 0 { 3 } else { width(i - 1) };
            layer(p / "encoder" / i, inputs, width(i), three.stride(2))
        };
        let decoder = |i: i64| {
            let inputs = if i == 0 { config.latent } else { width(SCALES - 1 - i) };
            layer(p / "decoder" / i, inputs, width((SCALES - 2 - i).max(0)), three)
        };
        Self {
            encoder: (0..SCALES).map(encoder).collect(),
            code: Conv2d::new(p / "code", width(SCALES - 1), config.latent, ConvOptions::same(1)),
            decoder: (0..SCALES).map(decoder).collect(),
            image: Conv2d::new(p / "image", width(0), 3, ConvOptions::same(3)),
        }
    }

    /// Tells `N x 3 x H x W` images in \[0, 1\] again, fp32.
    pub fn forward(&self, image: &Tensor, train: bool) -> Tensor {
        let through =
            |x: Tensor, (conv, norm): &(Conv2d, BatchNorm2d)| norm.forward(&conv.forward(&x), train).relu();
        let mut sizes = Vec::new();
        let half = |x: Tensor, layer: &(Conv2d, BatchNorm2d)| {
            sizes.push(spatial(&x));
            through(x, layer)
        };
        let x = self.encoder.iter().fold(channels_last(image), half);
        let twice = |x: Tensor, (layer, (h, w)): (&(Conv2d, BatchNorm2d), (i64, i64))| {
            through(x.upsample_nearest2d([h, w], None, None), layer)
        };
        let layers = self.decoder.iter().zip(sizes.into_iter().rev());
        let x = layers.fold(self.code.forward(&x), twice);
        self.image.forward(&x).to_kind(Kind::Float).sigmoid()
    }

    /// Mean square of the colour that was lost at each pixel, `N x 1 x H x W` in \[0, 1\], fp32.
    pub fn error(&self, image: &Tensor, train: bool) -> Tensor {
        let lost = self.forward(image, train) - image.to_kind(Kind::Float);
        lost.square().mean_dim([1i64].as_slice(), true, Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn an_image_of_any_size_comes_back() {
        let vs = VarStore::new(Device::Cpu);
        let network = Autoencoder::new(&vs.root(), &Config { width: 2, latent: 2 });
        for (h, w) in [(32, 64), (45, 37)] {
            let image = Tensor::rand([2, 3, h, w], (Kind::Float, Device::Cpu));
            assert_eq!(network.forward(&image, false).size(), [2, 3, h, w]);
            let error = network.error(&image, false);
            assert_eq!(error.size(), [2, 1, h, w]);
            assert!(error.max().double_value(&[]) <= 1. && error.min().double_value(&[]) > 0.);
        }
    }
}
