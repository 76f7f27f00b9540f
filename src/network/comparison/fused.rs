//! SynthCP-fused: F as a second opinion. It corrects M's softmax, and what it takes away from M's label is
//! the probability of an error.
//!
//! The paper's F learns from one bit a pixel, right or wrong. This one learns from the true class: it sees
//! x through an encoder that begins from ImageNet, M's softmax, its doubts (`evidence`), how it disagrees with
//! itself about x' and, if asked to, what that encoder finds otherwise in x'; and gives a correction of M's logits.
//! Trained on the folds' predictions it is stacked generalization (Wolpert, 1992): a model above models that
//! never saw the samples it learns from.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::correction::Corrected;
use super::disagreement::MAPS;
use super::evidence::{self, OWN};
use super::prior::Prior;
use super::{Comparator, ComparatorInput, Compared};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, Linear, channels_last, resize_bilinear, spatial,
};
use crate::network::segmentation::efficientnet::{CHANNELS, EfficientNetLite0};

/// Size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the decoder.
    pub width: i64,
    /// What it sees of x'.
    pub of_synth: OfSynth,
    /// By how much the pictures are made smaller before they are encoded: what it costs falls with the square.
    #[serde(skip_serializing_if = "is_one")]
    pub shrink: NonZeroU8,
    /// Whether it has a third output: how probable it is that a pixel belongs to nothing that the label set knows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

fn is_one(shrink: &NonZeroU8) -> bool {
    *shrink == NonZeroU8::MIN
}

/// What a network sees of x'. Less than all is for measuring what synthesis brings, and what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfSynth {
    /// The picture, and how M disagrees with itself about it.
    Everything,
    /// M's disagreement alone, which the anomaly score needs anyway.
    #[default]
    Disagreement,
    /// Nothing: what remains is a correction of M's softmax by a second view of x.
    Nothing,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, of_synth: OfSynth::default(), shrink: NonZeroU8::MIN, unknown: false }
    }
}

/// Stride of the encoder's first convolution.
const STEM_STRIDE: i64 = 2;
/// Which of the encoder's features are read, coarse to fine: those at strides 16, 8, 4 and 2 of its picture.
const SCALES: [usize; 4] = [4, 2, 1, 0];

/// A convolution and its norm.
type Layer = (Conv2d, BatchNorm2d);

/// What is read at one scale, and how it joins what came from the coarser one.
#[derive(Debug)]
struct Step {
    read: Layer,
    mix: Layer,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Fused {
    of_synth: OfSynth,
    shrink: i64,
    encoder: EfficientNetLite0,
    steps: Vec<Step>,
    /// To a correction of each class's logit, and of the confidence.
    correct: Conv2d,
    /// To the logit of the unknown.
    unknown: Option<Conv2d>,
    regress: Linear,
    prior: Prior,
}

fn layer(p: &Path, inputs: i64, outputs: i64, kernel: i64) -> Layer {
    let conv = Conv2d::new(p / 0, inputs, outputs, ConvOptions::same(kernel).no_bias());
    (conv, BatchNorm2d::new(p / 1, outputs))
}

fn through((conv, norm): &Layer, x: &Tensor, train: bool) -> Tensor {
    norm.rectified(conv, x, train)
}

/// `maps` averaged down to each of `sizes`, which go from small to large, each from the next larger.
fn pyramid(maps: &Tensor, sizes: &[(i64, i64)]) -> Vec<Tensor> {
    let mut finer = maps.shallow_clone();
    let mut averaged: Vec<_> = (sizes.iter().rev())
        .map(|&(h, w)| {
            finer = finer.adaptive_avg_pool2d([h, w]);
            finer.shallow_clone()
        })
        .collect();
    averaged.reverse();
    averaged
}

impl Fused {
    /// Builds the network for `classes` classes. It starts by repeating M's softmax.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let Config { width, of_synth, shrink, unknown } = *config;
        let pictures = if of_synth == OfSynth::Everything { 2 } else { 1 };
        let known = classes + OWN + if of_synth == OfSynth::Nothing { 0 } else { MAPS };
        let steps = SCALES.iter().enumerate().map(|(i, &scale)| {
            let q = p / "decoder" / i as i64;
            let coarser = if i == 0 { 0 } else { width };
            Step {
                read: layer(&(&q / "read"), pictures * CHANNELS[scale] + known, width, 1),
                mix: layer(&(&q / "mix"), coarser + width, width, 3),
            }
        });
        let correct = Conv2d::new(p / "correct", width, classes + 1, ConvOptions::same(1));
        correct.silence();
        Self {
            of_synth,
            shrink: shrink.get().into(),
            encoder: EfficientNetLite0::new(&(p / "encoder"), STEM_STRIDE),
            steps: steps.collect(),
            correct,
            unknown: unknown.then(|| Conv2d::new(p / "unknown", width, 1, ConvOptions::same(1))),
            regress: Linear::new(p / "regress", pictures * CHANNELS[SCALES[0]], classes),
            prior: Prior::new(&(p / "prior"), classes),
        }
    }

    /// The decoder's features, `N x width x h x w`, and the coarsest features of x and of the difference, averaged.
    fn encode(&self, input: &ComparatorInput, train: bool) -> (Tensor, Tensor) {
        let (kind, size) = (input.image.kind(), spatial(input.image));
        // Of a picture smaller than that, a pixel is left.
        let encode = |picture: &Tensor| match self.shrink.min(size.0).min(size.1) {
            1 => self.encoder.forward(picture),
            by => self.encoder.forward(&picture.avg_pool2d([by, by], [by, by], [0, 0], false, false, None)),
        };
        let real = encode(input.image);
        // Only x trains the encoder.
        let synthetic =
            (self.of_synth == OfSynth::Everything).then(|| tch::no_grad(|| encode(&(input.synthesized)())));
        let mut known = vec![input.softmax.probabilities.shallow_clone(), evidence::own(input.softmax)];
        if self.of_synth != OfSynth::Nothing {
            known.push(resize_bilinear(&(input.disagreement)().to_kind(Kind::Float), size, false));
        }
        let known = known.iter().map(|map| channels_last(&map.to_kind(kind))).collect::<Vec<_>>();
        let known = pyramid(&Tensor::cat(&known, 1), &SCALES.map(|scale| spatial(&real[scale])));
        let mut x: Option<Tensor> = None;
        let mut coarsest = None;
        for ((step, &scale), known) in self.steps.iter().zip(&SCALES).zip(&known) {
            let (h, w) = spatial(&real[scale]);
            let features = match &synthetic {
                Some(synthetic) => Tensor::cat(&[&real[scale], &(&real[scale] - &synthetic[scale]).abs()], 1),
                None => real[scale].shallow_clone(),
            };
            let read = through(&step.read, &Tensor::cat(&[&features, known], 1), train);
            let joined = match x {
                Some(coarser) => Tensor::cat(&[coarser.upsample_nearest2d([h, w], None, None), read], 1),
                None => read,
            };
            x = Some(through(&step.mix, &joined, train));
            coarsest.get_or_insert(features);
        }
        let (x, coarsest) = x.zip(coarsest).expect("there are four scales");
        let pooled = coarsest.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        (x, pooled)
    }
}

impl Comparator for Fused {
    fn forward(&self, input: &ComparatorInput, train: bool) -> Compared {
        let (features, pooled) = self.encode(input, train);
        let corrected = Corrected::of(input.softmax, &self.correct.forward(&features), &self.prior, train);
        let (expected, presence) = corrected.expected;
        Compared {
            confidence: Some(corrected.confidence),
            iou: Some(self.regress.forward(&pooled) + expected),
            presence: Some(presence),
            posterior: corrected.posterior,
            unknown: self.unknown.as_ref().map(|conv| {
                let logit = conv.forward(&features).to_kind(Kind::Float);
                resize_bilinear(&logit, spatial(input.image), false)
            }),
        }
    }

    fn fold(&mut self) {
        for (conv, norm) in self.steps.iter_mut().flat_map(|step| [&mut step.read, &mut step.mix]) {
            norm.fold_into(conv);
        }
        self.encoder.fold();
        self.correct.settle();
        self.unknown.iter_mut().for_each(Conv2d::settle);
    }
}
