//! The joint comparison network of the paper (Section 3.2, SynthCP-joint): two unshared trunks, ResNet-18
//! in the paper, see x and x', each with one channel distilled from M's softmax beside it; their
//! features, side by side, give the IoU of each class and the confidence of each pixel.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::prior::Prior;
use super::trunk::{Encoder, STAGES, Trunk};
use super::{Comparator, ComparatorInput, Compared};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, Linear, channels_last, resize_bilinear, spatial,
};
use crate::network::softmax::Softmax;

/// Sizes; the defaults are the reference network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The trunks.
    #[serde(skip_serializing_if = "is_default")]
    pub encoder: Encoder,
    /// Channels of the first stage of a ResNet-18.
    pub width: i64,
    /// Channels to which each stage is squeezed for the confidence.
    pub squeeze: i64,
    /// Whether the network starts from what M's softmax says; the reference network does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prior: bool,
}

fn is_default(encoder: &Encoder) -> bool {
    *encoder == Encoder::default()
}

impl Default for Config {
    fn default() -> Self {
        Self { encoder: Encoder::default(), width: 64, squeeze: 64, prior: false }
    }
}

/// The trunks of a network that compares: the first sees x, the second x'.
pub(super) const PAIR: &[&str] = &["siamese1", "siamese2"];

/// What a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tasks {
    /// The confidence of each pixel and the IoU of each class.
    Both,
    /// The confidence of each pixel.
    Confidence,
}

/// The network.
#[derive(Debug)]
pub struct Joint {
    /// One for x and, but for Direct Prediction, one for x'.
    trunks: Vec<Trunk>,
    prediction: (Conv2d, BatchNorm2d),
    squeeze: Vec<(Conv2d, BatchNorm2d)>,
    confidence: Conv2d,
    regress: Option<Linear>,
    prior: Option<Prior>,
}

impl Joint {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        Self::with(p, PAIR, Tasks::Both, config, classes)
    }

    /// Builds it with a trunk for each name, the first for x, the second for x'.
    pub(super) fn with(p: &Path, names: &[&str], tasks: Tasks, config: &Config, classes: i64) -> Self {
        let one = ConvOptions::same(1);
        let channels = config.encoder.channels(config.width).map(|of_one| names.len() as i64 * of_one);
        let squeeze = channels
            .iter()
            .enumerate()
            .map(|(i, &inputs)| {
                let q = p / "ft_convs" / i as i64;
                (Conv2d::new(&q / 0, inputs, config.squeeze, one), BatchNorm2d::new(&q / 1, config.squeeze))
            })
            .collect();
        let prediction = p / "pred_conv";
        let trunk = |&name: &&str| Trunk::new(p, name, config.encoder, config.width);
        Self {
            trunks: names.iter().map(trunk).collect(),
            prediction: (Conv2d::new(&prediction / 0, classes, 1, one), BatchNorm2d::new(&prediction / 1, 1)),
            squeeze,
            confidence: Conv2d::new(p / "conf", STAGES as i64 * config.squeeze, 1, one),
            regress: (tasks == Tasks::Both)
                .then(|| Linear::new(p / "regress", channels[STAGES - 1], classes)),
            prior: config.prior.then(|| Prior::new(&(p / "prior"), classes)),
        }
    }

    /// M's softmax as one channel, `N x 1 x H x W`.
    fn distill(&self, input: &ComparatorInput, train: bool) -> Tensor {
        let (conv, norm) = &self.prediction;
        let prediction = channels_last(&input.softmax.probabilities.to_kind(input.image.kind()));
        norm.rectified(conv, &prediction, train)
    }

    /// The features of the four stages, those of all trunks side by side; each trunk sees its picture
    /// and the channel beside it.
    fn encode(&self, input: &ComparatorInput, train: bool) -> [Tensor; STAGES] {
        let beside = self.distill(input, train);
        let real = || input.image.shallow_clone();
        let pictures: [&dyn Fn() -> Tensor; 2] = [&real, input.synthesized];
        let encode =
            |(trunk, picture): (&Trunk, &dyn Fn() -> Tensor)| trunk.forward(&picture(), &beside, train);
        let encoded: Vec<_> = self.trunks.iter().zip(pictures).map(encode).collect();
        [0, 1, 2, 3].map(|i| Tensor::cat(&encoded.iter().map(|stages| &stages[i]).collect::<Vec<_>>(), 1))
    }

    /// Logit of each pixel's label being right by the four stages, `N x 1 x H x W` at `size`, fp32.
    fn confidence(&self, stages: &[Tensor; STAGES], size: (i64, i64), train: bool) -> Tensor {
        // The confidence layer is linear and a bilinear resize keeps sums, so each stage's share of
        // it is computed on the stage's own grid and only one channel is ever resized.
        let shares = self.confidence.split(stages.len());
        let of_stage = |(((conv, norm), x), share): ((&(Conv2d, BatchNorm2d), &Tensor), &Conv2d)| {
            let squeezed = norm.rectified(conv, x, train);
            resize_bilinear(&share.forward(&squeezed).to_kind(Kind::Float), size, false)
        };
        let of_stages = self.squeeze.iter().zip(stages).zip(&shares).map(of_stage);
        of_stages.reduce(|a, b| a + b).expect("four stages")
    }

    /// Adds what M's softmax says to the confidence, and the IoUs by the last of the stages.
    fn conclude(&self, softmax: &Softmax, confidence: Tensor, [.., last]: &[Tensor; STAGES]) -> Compared {
        let confidence = match &self.prior {
            Some(prior) => confidence + prior.confidence(softmax),
            None => confidence,
        };
        let pooled = last.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        let iou = self.regress.as_ref().map(|regress| regress.forward(&pooled));
        let (iou, presence) = match (iou, &self.prior) {
            (Some(iou), Some(prior)) => {
                // The pixels answer to their own loss alone.
                let (expected, presence) = prior.classes(softmax, &confidence.sigmoid().detach());
                (Some(iou + expected), Some(presence))
            }
            (iou, _) => (iou, None),
        };
        Compared { confidence: Some(confidence), iou, presence, ..Compared::default() }
    }
}

impl Comparator for Joint {
    fn forward(&self, input: &ComparatorInput, train: bool) -> Compared {
        let stages = self.encode(input, train);
        let confidence = self.confidence(&stages, spatial(input.image), train);
        self.conclude(input.softmax, confidence, &stages)
    }

    fn fold(&mut self) {
        self.trunks.iter_mut().for_each(Trunk::fold);
        let others = self.squeeze.iter_mut().chain([&mut self.prediction]);
        others.for_each(|(conv, norm)| norm.fold_into(conv));
    }
}
