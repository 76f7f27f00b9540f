//! The global generator of pix2pixHD (Wang et al., "High-Resolution Image Synthesis and Semantic
//! Manipulation with Conditional GANs", CVPR 2018), with spectral and instance normalization as the
//! public SPADE code builds it for comparison.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Generator, Synthesized};
use crate::network::layers::{
    Conv2d, ConvOptions, SpectralConv2d, SpectralDoubling, channels_last, instance_norm, one_hot,
};
use crate::network::range::{OutOfRange, within};

/// Sizes; the defaults are the reference network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the first and last layers; doubled at each halving of the size.
    pub ngf: i64,
    /// How many times the size is halved.
    pub downsamplings: u32,
    /// Residual blocks on the smallest grid.
    pub blocks: u32,
}

impl Config {
    /// Says which number is beyond its range.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        within("downsamplings", self.downsamplings, 0..=6)?;
        // Channels on the smallest grid: 1024 as published.
        within("ngf", self.ngf, 1..=(2048 >> self.downsamplings))?;
        within("blocks", self.blocks, 0..=16)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { ngf: 64, downsamplings: 4, blocks: 9 }
    }
}

/// `x` with a border of its own mirror image.
fn reflect(x: &Tensor, border: i64) -> Tensor {
    x.reflection_pad2d([border; 4])
}

/// The network.
#[derive(Debug)]
pub(crate) struct GlobalGenerator {
    first: SpectralConv2d,
    down: Vec<SpectralConv2d>,
    blocks: Vec<[SpectralConv2d; 2]>,
    up: Vec<SpectralDoubling>,
    last: Conv2d,
    classes: i64,
}

impl GlobalGenerator {
    /// Builds the network for `classes` classes. Parameters are numbered as in the public code, where
    /// paddings and activations count.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let p = p / "model";
        let width = |halvings: u32| config.ngf << halvings;
        let (n, blocks) = (i64::from(config.downsamplings), i64::from(config.blocks));
        let halving = ConvOptions::same(3).stride(2).no_bias();
        let valid = |kernel| ConvOptions::same(kernel).padding(0);
        let middle = width(config.downsamplings);
        let at = |i: i64| &p / i;
        Self {
            first: SpectralConv2d::new(at(1) / 0, classes, config.ngf, valid(7).no_bias()),
            down: (0..config.downsamplings)
                .map(|i| SpectralConv2d::new(at(3 + 2 * i64::from(i)) / 0, width(i), width(i + 1), halving))
                .collect(),
            blocks: (0..blocks)
                .map(|i| {
                    let q = at(3 + 2 * n + i) / "conv_block";
                    [1, 4].map(|j| SpectralConv2d::new(&q / j / 0, middle, middle, valid(3).no_bias()))
                })
                .collect(),
            up: (0..config.downsamplings)
                .rev()
                .zip(0..)
                .map(|(i, j)| {
                    SpectralDoubling::new(at(3 + 2 * n + blocks + 2 * j) / 0, width(i + 1), width(i))
                })
                .collect(),
            last: Conv2d::new(at(4 + 4 * n + blocks), config.ngf, 3, valid(7)),
            classes,
        }
    }
}

impl Generator for GlobalGenerator {
    fn synthesize(&self, labels: &Tensor, _style: &Tensor, kind: Kind, train: bool) -> Synthesized {
        let labels = one_hot(labels, self.classes, kind);
        let normalized = |x: Tensor| instance_norm(&x);
        let mut x = normalized(self.first.forward(&reflect(&channels_last(&labels), 3), train)).relu();
        for conv in &self.down {
            x = normalized(conv.forward(&x, train)).relu();
        }
        for [a, b] in &self.blocks {
            let y = normalized(a.forward(&reflect(&x, 1), train)).relu();
            x = &x + normalized(b.forward(&reflect(&y, 1), train));
        }
        for doubling in &self.up {
            x = normalized(doubling.forward(&x, train)).relu();
        }
        let image = self.last.forward(&reflect(&x, 3)).to_kind(Kind::Float).tanh();
        Synthesized { image: (image + 1.) * 0.5, divergence: None }
    }
}
