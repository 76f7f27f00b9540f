//! SynthCP-fused: the joint network, told in addition what M already knows. The paper's F compares
//! pictures and hardly sees that M was torn, nor that M, shown x', no longer finds what it had found in
//! x. Here both stand beside the pictures, as maps, for the trunks; and a small branch on a fine grid
//! reads them where the trunks are too coarse: at the boundaries, where most errors are.

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::evidence::{MAPS as EVIDENCE, evidence};
use super::joint::{Config, Joint, PAIR, Tasks};
use super::{Compared, Comparer, Comparison};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, IMAGENET, channels_last, normalize, resize_bilinear, spatial,
};

/// The network.
#[derive(Debug)]
pub struct Fused {
    joint: Joint,
    detail: Detail,
}

impl Fused {
    /// Builds the network for `classes` classes. It always starts from M's softmax, whatever
    /// `config.prior` says.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let config = Config { prior: true, ..config.clone() };
        Self {
            joint: Joint::with(p, PAIR, Tasks::Both, EVIDENCE, &config, classes),
            detail: Detail::new(&(p / "detail"), 6 + 1 + EVIDENCE, config.squeeze),
        }
    }
}

impl Comparer for Fused {
    fn forward(&self, input: &Comparison, train: bool) -> Compared {
        let kind = input.image.kind();
        let evidence = evidence(input.softmax, &(input.disagreement)()).to_kind(kind);
        let beside = Tensor::cat(&[self.joint.distill(input, train), evidence], 1);
        let (mean, std) = IMAGENET;
        let pictures = [input.image, &(input.synth)()].map(|picture| normalize(picture, mean, std));
        let [x, synth] = &pictures;
        let detail = self.detail.forward(&Tensor::cat(&[x, synth, &beside], 1), train);
        let stages = self.joint.look(input, &beside, train);
        let confidence = self.joint.confidence(&stages, spatial(input.image), train) + detail;
        self.joint.conclude(input.softmax, confidence, &stages)
    }

    fn fold(&mut self) {
        self.joint.fold();
        self.detail.fold();
    }
}

/// A few convolutions at half the size, ever further apart.
#[derive(Debug)]
struct Detail {
    layers: Vec<(Conv2d, BatchNorm2d)>,
    confidence: Conv2d,
}

/// Stride of the first layer, then the distance of taps.
const STRIDE: i64 = 2;
const DILATIONS: [i64; 4] = [1, 1, 2, 4];

impl Detail {
    fn new(p: &Path, inputs: i64, width: i64) -> Self {
        let layer = |(i, &dilation): (usize, &i64)| {
            let q = p / i as i64;
            let options = ConvOptions::same(3).dilated(dilation).no_bias();
            let (inputs, options) = if i == 0 { (inputs, options.stride(STRIDE)) } else { (width, options) };
            (Conv2d::new(&q / 0, inputs, width, options), BatchNorm2d::new(&q / 1, width))
        };
        Self {
            layers: DILATIONS.iter().enumerate().map(layer).collect(),
            confidence: Conv2d::new(p / "conf", width, 1, ConvOptions::same(1)),
        }
    }

    /// A share of the confidence's logit, `N x 1 x H x W`, fp32.
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let through =
            |y: Tensor, (conv, norm): &(Conv2d, BatchNorm2d)| norm.forward(&conv.forward(&y), train).relu_();
        let y = self.layers.iter().fold(channels_last(x), through);
        resize_bilinear(&self.confidence.forward(&y).to_kind(Kind::Float), spatial(x), false)
    }

    fn fold(&mut self) {
        self.layers.iter_mut().for_each(|(conv, norm)| norm.fold_into(conv));
    }
}
