//! The confidence branch of Corbière et al. ("Addressing Failure Prediction by Learning Model Confidence",
//! NeurIPS 2019): convolutions on M's last features that estimate the softmax of the true class (TCP),
//! which at test time nobody knows. M itself stays as it is.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::Baseline;
use crate::network::layers::{Conv2d, ConvOptions, resize_bilinear};
use crate::network::range::{OutOfRange, all_within};

/// Size; the default is the one published for segmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels after each convolution but the last.
    pub widths: [i64; 4],
}

impl Default for Config {
    fn default() -> Self {
        Self { widths: [400, 120, 64, 64] }
    }
}

impl Baseline for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        all_within("widths", &self.widths, 1..=1024)
    }

    fn title(&self) -> String {
        "TCP".into()
    }

    fn reads_features_of_m(&self) -> bool {
        true
    }
}

/// The branch.
#[derive(Debug)]
pub(crate) struct Tcp {
    convs: Vec<Conv2d>,
}

/// The tensor whose second dimension is the number of M's features.
pub(crate) const FIRST: &str = "0.weight";

impl Tcp {
    /// Builds the branch on `features` channels.
    pub fn new(p: &Path, config: &Config, features: i64) -> Self {
        let inputs = [features].into_iter().chain(config.widths);
        let outputs = config.widths.into_iter().chain([1]);
        let conv = |(i, (inputs, outputs)): (i64, (i64, i64))| {
            Conv2d::new(p / i, inputs, outputs, ConvOptions::same(3))
        };
        Self { convs: (0..).zip(inputs.zip(outputs)).map(conv).collect() }
    }

    /// Estimate of the softmax of the true class, `N x 1 x H x W` at `size`, in \[0, 1\], fp32, from M's
    /// features on their own grid.
    pub fn forward(&self, features: &Tensor, size: (i64, i64)) -> Tensor {
        let (last, others) = self.convs.split_last().expect("five convolutions");
        let x = others.iter().fold(features.shallow_clone(), |x, conv| conv.forward(&x).relu());
        resize_bilinear(&last.forward(&x).to_kind(Kind::Float), size, false).sigmoid()
    }
}

/// What is to be estimated: the softmax of the true class, `N x H x W`; of a pixel without label it means
/// nothing. `probabilities` is `N x classes x H x W`, `labels` `N x H x W`, int64.
pub(crate) fn true_class_probability(probabilities: &Tensor, labels: &Tensor) -> Tensor {
    let ids = labels.clamp_max(probabilities.size()[1] - 1).unsqueeze(1);
    probabilities.gather(1, &ids, false).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn the_branch_gives_a_probability_for_each_pixel() {
        let vs = VarStore::new(Device::Cpu);
        let tcp = Tcp::new(&vs.root(), &Config { widths: [4, 4, 2, 2] }, 3);
        assert_eq!(vs.variables()[FIRST].size(), [4, 3, 3, 3]);
        let estimate = tcp.forward(&Tensor::ones([2, 3, 4, 6], (Kind::Float, Device::Cpu)), (16, 24));
        assert_eq!(estimate.size(), [2, 1, 16, 24]);
        assert!(estimate.min().double_value(&[]) >= 0. && estimate.max().double_value(&[]) <= 1.);
    }

    #[test]
    fn the_target_is_the_softmax_of_the_true_class() {
        let probabilities = Tensor::from_slice(&[0.9f32, 0.2, 0.6, 0.1, 0.8, 0.4]).view([1, 2, 1, 3]);
        let labels = Tensor::from_slice(&[0i64, 0, 255]).view([1, 1, 3]);
        let target = Vec::<f32>::try_from(true_class_probability(&probabilities, &labels).flatten(0, -1));
        assert_eq!(target.unwrap()[..2], [0.9, 0.2]);
    }
}
