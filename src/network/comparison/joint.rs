//! The joint comparison network of the paper (Section 3.2, SynthCP-joint): two unshared ResNet-18
//! trunks look at x and at x', each with one channel distilled from M's softmax beside it; their
//! features, side by side, give the IoU of each class and the confidence of each pixel.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::prior::Prior;
use super::resnet18::ResNet18;
use super::{Compared, Comparison};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, Linear, channels_last, resize_bilinear, spatial,
};

/// Sizes; the defaults are the reference network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the trunks' first stage.
    pub width: i64,
    /// Channels to which each stage is squeezed for the confidence.
    pub squeeze: i64,
    /// Whether the network starts from what M's softmax says; the reference network does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prior: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, squeeze: 64, prior: false }
    }
}

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The network.
#[derive(Debug)]
pub struct Joint {
    siamese: [ResNet18; 2],
    prediction: (Conv2d, BatchNorm2d),
    squeeze: Vec<(Conv2d, BatchNorm2d)>,
    confidence: Conv2d,
    regress: Linear,
    prior: Option<Prior>,
}

impl Joint {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let one = ConvOptions::same(1);
        let squeeze = (0..4)
            .map(|i| {
                let q = p / "ft_convs" / i;
                let inputs = 2 * (config.width << i);
                (Conv2d::new(&q / 0, inputs, config.squeeze, one), BatchNorm2d::new(&q / 1, config.squeeze))
            })
            .collect();
        let prediction = p / "pred_conv";
        Self {
            siamese: [
                ResNet18::new(&(p / "siamese1"), 4, config.width),
                ResNet18::new(&(p / "siamese2"), 4, config.width),
            ],
            prediction: (Conv2d::new(&prediction / 0, classes, 1, one), BatchNorm2d::new(&prediction / 1, 1)),
            squeeze,
            confidence: Conv2d::new(p / "conf", 4 * config.squeeze, 1, one),
            regress: Linear::new(p / "regress", 2 * (config.width << 3), classes),
            prior: config.prior.then(|| Prior::new(&(p / "prior"), classes)),
        }
    }

    /// Folds every norm into the convolution before it, once the weights are final.
    pub fn fold(&mut self) {
        self.siamese.iter_mut().for_each(ResNet18::fold);
        let others = self.squeeze.iter_mut().chain([&mut self.prediction]);
        others.for_each(|(conv, norm)| norm.fold_into(conv));
    }

    /// Compares a batch.
    pub fn forward(&self, input: &Comparison, train: bool) -> Compared {
        let device = input.image.device();
        let row = |v: [f32; 3]| Tensor::from_slice(&v).view([1, 3, 1, 1]).to_device(device);
        let kind = input.image.kind();
        let (mean, std) = (row(MEAN).to_kind(kind), row(STD).to_kind(kind));
        let prediction = self.prediction.0.forward(&channels_last(input.probabilities).to_kind(kind));
        let prediction = self.prediction.1.forward(&prediction, train).relu();
        let look = |trunk: &ResNet18, picture: &Tensor| {
            let picture = (picture - &mean) / &std;
            trunk.forward(&channels_last(&Tensor::cat(&[&picture, &prediction], 1)), train)
        };
        let real = look(&self.siamese[0], input.image);
        let synthetic = look(&self.siamese[1], input.synth);
        let stages: Vec<Tensor> = real.iter().zip(&synthetic).map(|(a, b)| Tensor::cat(&[a, b], 1)).collect();

        // The confidence layer is linear and a bilinear resize keeps sums, so each stage's share of
        // it is computed on the stage's own grid and only one channel is ever resized.
        let size = spatial(input.image);
        let squeezed: Vec<Tensor> = self
            .squeeze
            .iter()
            .zip(&stages)
            .map(|((conv, bn), x)| bn.forward(&conv.forward(x), train).relu_())
            .collect();
        let confidence = self
            .confidence
            .split(squeezed.len())
            .iter()
            .zip(&squeezed)
            .map(|(share, x)| resize_bilinear(&share.forward(x).to_kind(Kind::Float), size, false))
            .reduce(|a, b| a + b)
            .expect("four stages");
        let pooled = stages[3].mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        let iou = self.regress.forward(&pooled);
        let Some(prior) = &self.prior else { return Compared { confidence, iou, presence: None } };
        let confidence = confidence + prior.confidence(input.probabilities);
        // The pixels answer to their own loss alone.
        let (expected, presence) = prior.classes(input.probabilities, &confidence.sigmoid().detach());
        Compared { confidence, iou: iou + expected, presence: Some(presence) }
    }
}
