//! The joint comparison network of the paper (Section 3.2, SynthCP-joint): two unshared ResNet-18
//! trunks look at x and at x', each with one channel distilled from M's softmax beside it; their
//! features, side by side, give the IoU of each class and the confidence of each pixel.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::prior::Prior;
use super::resnet18::ResNet18;
use super::{Compared, Comparer, Comparison};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, IMAGENET, Linear, channels_last, normalize, resize_bilinear, spatial,
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

/// The network.
#[derive(Debug)]
pub struct Joint {
    /// One for x and, but for Direct Prediction, one for x'.
    trunks: Vec<ResNet18>,
    prediction: (Conv2d, BatchNorm2d),
    squeeze: Vec<(Conv2d, BatchNorm2d)>,
    confidence: Conv2d,
    regress: Linear,
    prior: Option<Prior>,
}

impl Joint {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        Self::with_trunks(p, &["siamese1", "siamese2"], config, classes)
    }

    /// Builds it with a trunk for each name: the first looks at x, the second at x'.
    pub(super) fn with_trunks(p: &Path, names: &[&str], config: &Config, classes: i64) -> Self {
        let one = ConvOptions::same(1);
        let trunks = names.len() as i64;
        let squeeze = (0..4)
            .map(|i| {
                let q = p / "ft_convs" / i;
                let inputs = trunks * (config.width << i);
                (Conv2d::new(&q / 0, inputs, config.squeeze, one), BatchNorm2d::new(&q / 1, config.squeeze))
            })
            .collect();
        let prediction = p / "pred_conv";
        Self {
            trunks: names.iter().map(|&name| ResNet18::new(&(p / name), 4, config.width)).collect(),
            prediction: (Conv2d::new(&prediction / 0, classes, 1, one), BatchNorm2d::new(&prediction / 1, 1)),
            squeeze,
            confidence: Conv2d::new(p / "conf", 4 * config.squeeze, 1, one),
            regress: Linear::new(p / "regress", trunks * (config.width << 3), classes),
            prior: config.prior.then(|| Prior::new(&(p / "prior"), classes)),
        }
    }
}

impl Comparer for Joint {
    fn forward(&self, input: &Comparison, train: bool) -> Compared {
        let kind = input.image.kind();
        let prediction =
            self.prediction.0.forward(&channels_last(&input.softmax.probabilities.to_kind(kind)));
        let prediction = self.prediction.1.forward(&prediction, train).relu();
        let look = |(trunk, picture): (&ResNet18, &Tensor)| {
            let (mean, std) = IMAGENET;
            let picture = normalize(picture, mean, std);
            trunk.forward(&channels_last(&Tensor::cat(&[&picture, &prediction], 1)), train)
        };
        let looks: Vec<_> = self.trunks.iter().zip([input.image, input.synth]).map(look).collect();
        let side_by_side =
            |i: usize| Tensor::cat(&looks.iter().map(|stages| &stages[i]).collect::<Vec<_>>(), 1);
        let stages: Vec<Tensor> = (0..4).map(side_by_side).collect();

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
        let Some(prior) = &self.prior else {
            return Compared { confidence: Some(confidence), iou, presence: None };
        };
        let confidence = confidence + prior.confidence(input.softmax);
        // The pixels answer to their own loss alone.
        let (expected, presence) = prior.classes(input.softmax, &confidence.sigmoid().detach());
        Compared { confidence: Some(confidence), iou: iou + expected, presence: Some(presence) }
    }

    fn fold(&mut self) {
        self.trunks.iter_mut().for_each(ResNet18::fold);
        let others = self.squeeze.iter_mut().chain([&mut self.prediction]);
        others.for_each(|(conv, norm)| norm.fold_into(conv));
    }
}
