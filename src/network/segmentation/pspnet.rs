//! PSPNet (Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017) on a dilated ResNet, with deep
//! supervision, as the public MIT CSAIL code has it and the paper uses on StreetHazards.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::resnet::{self, ResNet, Variant};
use super::{Architecture, NotBuilt, Sampler, Segmented, Segmenter};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, IMAGENET, normalize, resize_bilinear, spatial,
};
use crate::network::range::{OutOfRange, within};

/// Sizes; the defaults are the reference network's, on ResNet-50.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The encoder.
    pub encoder: resnet::Config,
    /// Channels of each pyramid branch and of the last layers.
    pub pyramid: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { encoder: resnet::Config { width: 64, blocks: [3, 4, 6, 3] }, pyramid: 512 }
    }
}

impl Architecture for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        self.encoder.check().map_err(|e| e.under("encoder"))?;
        within("pyramid", self.pyramid, 1..=1024)
    }

    fn build(&self, p: &Path, classes: i64) -> Result<Box<dyn Segmenter>, NotBuilt> {
        Ok(Box::new(PspNet::new(p, self, classes)))
    }
}

/// Sides of the grids to which the pyramid's branches average the features.
const GRIDS: [i64; 4] = [1, 2, 3, 6];
/// Share of the channels that training leaves out before the classifier.
const DROPOUT: f64 = 0.1;

/// Convolution, batch norm, ReLU.
#[derive(Debug)]
struct ConvBnRelu(Conv2d, BatchNorm2d);

impl ConvBnRelu {
    /// Parameters under `p`, numbered from `first`.
    fn new(p: &Path, first: i64, inputs: i64, outputs: i64, options: ConvOptions) -> Self {
        let conv = Conv2d::new(p / first, inputs, outputs, options.no_bias());
        Self(conv, BatchNorm2d::new(p / (first + 1), outputs))
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.1.rectified(&self.0, x, train)
    }

    fn fold(&mut self) {
        self.1.fold_into(&mut self.0);
    }
}

/// The network.
#[derive(Debug)]
pub(crate) struct PspNet {
    encoder: ResNet,
    pyramid: [ConvBnRelu; 4],
    mix: ConvBnRelu,
    classify: Conv2d,
    auxiliary: (ConvBnRelu, Conv2d),
}

impl PspNet {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let encoder = ResNet::new(&(p / "encoder"), &config.encoder, Variant::DeepStem);
        let (q, channels, n) = (p / "decoder", encoder.channels, config.pyramid);
        let (one, three) = (ConvOptions::same(1), ConvOptions::same(3));
        let branch = |i: usize| ConvBnRelu::new(&(&q / "ppm" / i as i64), 1, channels, n, one);
        Self {
            pyramid: std::array::from_fn(branch),
            mix: ConvBnRelu::new(&(&q / "conv_last"), 0, channels + 4 * n, n, three),
            classify: Conv2d::new(&q / "conv_last" / 4, n, classes, one),
            auxiliary: (
                ConvBnRelu::new(&(&q / "cbr_deepsup"), 0, channels / 2, channels / 4, three),
                Conv2d::new(&q / "conv_last_deepsup", channels / 4, classes, one),
            ),
            encoder,
        }
    }

    /// The encoder's third stage, and its last beside the pyramid of its averages.
    fn encode(&self, image: &Tensor, train: bool) -> [Tensor; 2] {
        let (mean, std) = IMAGENET;
        let [.., third, last] = self.encoder.forward(&normalize(image, mean, std), train);
        let size = spatial(&last);
        let mut parts = vec![last];
        for (branch, side) in self.pyramid.iter().zip(GRIDS) {
            let averaged = parts[0].adaptive_avg_pool2d([side, side]);
            parts.push(resize_bilinear(&branch.forward(&averaged, train), size, false));
        }
        [third, Tensor::cat(&parts, 1)]
    }
}

impl Segmenter for PspNet {
    fn forward(&self, image: &Tensor, train: bool) -> Segmented {
        let [third, features] = self.encode(image, train);
        let x = self.mix.forward(&features, train).feature_dropout(DROPOUT, train);
        let auxiliary = train.then(|| {
            let (mix, classify) = &self.auxiliary;
            classify.forward(&mix.forward(&third, true).feature_dropout(DROPOUT, true))
        });
        Segmented { logits: self.classify.forward(&x), features, auxiliary }
    }

    fn features(&self, image: &Tensor) -> Tensor {
        let [_, features] = self.encode(image, false);
        features
    }

    fn fold(&mut self) {
        self.encoder.fold();
        let auxiliary = &mut self.auxiliary.0;
        self.pyramid.iter_mut().chain([&mut self.mix, auxiliary]).for_each(ConvBnRelu::fold);
        self.classify.settle();
    }

    fn perceptual(&self, image: &Tensor) -> Vec<Tensor> {
        self.encode(image, false).into()
    }

    fn sampler(&self, image: &Tensor) -> Option<Sampler<'_>> {
        let x = self.mix.forward(&self.features(image), false);
        Some(Box::new(move || self.classify.forward(&x.feature_dropout(DROPOUT, true))))
    }
}
