//! SPADE with a style: an encoder sees an image and says, as a distribution of a few hundred
//! numbers, what the label map does not: light, weather, season (Park et al., 2019, Section 4). The
//! generator starts from a draw of it. At run time the mean is taken, so that a frame has one answer.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::network::layers::{
    ConvOptions, Linear, SpectralConv2d, instance_norm, leaky_relu, resize_bilinear,
};
use crate::network::range::{OutOfRange, all_within, within};

/// Sizes; the defaults are the reference network's, for images of 256 x 512.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the encoder's first layer; the last have eight times as many.
    pub width: i64,
    /// Numbers that make a style.
    pub latent: i64,
    /// Height and width of the grid that the generator starts from; with its doublings, they fix the
    /// image's size.
    pub grid: [i64; 2],
}

impl Config {
    /// Says which number is beyond its range.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        within("width", self.width, 1..=256)?;
        within("latent", self.latent, 1..=1024)?;
        all_within("grid", &self.grid, 1..=128)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, latent: 256, grid: [4, 8] }
    }
}

/// Side of the square to which every picture is brought.
const SIDE: i64 = 256;
/// Side of the grid that six halvings leave of it.
const LAST_SIDE: i64 = 4;

/// The encoder.
#[derive(Debug)]
pub struct StyleEncoder {
    layers: Vec<SpectralConv2d>,
    mean: Linear,
    log_variance: Linear,
}

impl StyleEncoder {
    /// Builds the network.
    pub fn new(p: &Path, config: &Config) -> Self {
        let halving = ConvOptions::same(3).stride(2).no_bias();
        let mut inputs = 3;
        let layers = (1..)
            .zip([1, 2, 4, 8, 8, 8])
            .map(|(i, factor)| {
                let outputs = factor * config.width;
                let conv = SpectralConv2d::new(p / format!("layer{i}") / 0, inputs, outputs, halving);
                inputs = outputs;
                conv
            })
            .collect();
        let flat = inputs * LAST_SIDE * LAST_SIDE;
        Self {
            layers,
            mean: Linear::new(p / "fc_mu", flat, config.latent),
            log_variance: Linear::new(p / "fc_var", flat, config.latent),
        }
    }

    /// Mean and logarithm of the variance of the style of `N x 3 x H x W` RGB in \[0, 1\], each
    /// `N x latent`, fp32.
    pub fn forward(&self, image: &Tensor, train: bool) -> [Tensor; 2] {
        let mut x = resize_bilinear(&(image * 2. - 1.), (SIDE, SIDE), false);
        for layer in &self.layers {
            x = leaky_relu(&instance_norm(&layer.forward(&x, train)));
        }
        // Row by row within a channel, whatever the order in memory.
        let x = x.contiguous().flatten(1, -1);
        [self.mean.forward(&x), self.log_variance.forward(&x)]
    }

    /// The style of a picture at run time, `N x latent`: the mean.
    pub fn style(&self, image: &Tensor) -> Tensor {
        let [mean, _] = self.forward(image, false);
        mean
    }
}
