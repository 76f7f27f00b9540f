//! What encodes an image for F, one for x and one for x': the paper's ResNet-18, or an encoder
//! that begins from ImageNet, as the paper's does.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::resnet18::ResNet18;
use crate::network::layers::{IMAGENET, channels_last, normalize, spatial};
use crate::network::segmentation::efficientnet::{CHANNELS, EfficientNetLite0};

/// Which network it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoder {
    /// ResNet-18 of the configured width, which sees M's softmax as a fourth channel of the picture.
    #[default]
    Resnet18,
    /// EfficientNet-lite0, whose weights for three channels stay as they are: M's softmax stands beside
    /// its features.
    EfficientnetLite0,
}

/// Stages whose features are given.
pub(crate) const STAGES: usize = 4;
const STEM_STRIDE: i64 = 2;

impl Encoder {
    /// Channels of the features of each stage, fine to coarse; `width` is that of ResNet-18's first.
    pub fn channels(self, width: i64) -> [i64; STAGES] {
        match self {
            Self::Resnet18 => [0, 1, 2, 3].map(|i| width << i),
            Self::EfficientnetLite0 => [1, 2, 3, 4].map(|i| CHANNELS[i] + 1),
        }
    }
}

/// The network.
#[derive(Debug)]
pub(crate) enum Trunk {
    /// See [`Encoder::Resnet18`].
    ResNet18(ResNet18),
    /// See [`Encoder::EfficientnetLite0`].
    EfficientNetLite0(EfficientNetLite0),
}

impl Trunk {
    /// Builds it under the name that the reference network gives it, an encoder that begins from ImageNet
    /// under `encoder` besides.
    pub fn new(p: &Path, name: &str, encoder: Encoder, width: i64) -> Self {
        match encoder {
            Encoder::Resnet18 => Self::ResNet18(ResNet18::new(&(p / name), 4, width)),
            Encoder::EfficientnetLite0 => {
                Self::EfficientNetLite0(EfficientNetLite0::new(&(p / "encoder" / name), STEM_STRIDE))
            }
        }
    }

    /// Features of the four stages of `picture`, `N x 3 x H x W` in \[0, 1\], in sight of `beside`,
    /// `N x 1 x H x W`.
    pub fn forward(&self, picture: &Tensor, beside: &Tensor, train: bool) -> Vec<Tensor> {
        match self {
            Self::ResNet18(trunk) => {
                let (mean, std) = IMAGENET;
                let picture = normalize(picture, mean, std);
                trunk.forward(&channels_last(&Tensor::cat(&[&picture, beside], 1)), train)
            }
            Self::EfficientNetLite0(trunk) => {
                let [_, stages @ ..] = trunk.forward(picture);
                let with_beside = |x: &Tensor| {
                    let (h, w) = spatial(x);
                    Tensor::cat(&[x, &beside.adaptive_avg_pool2d([h, w])], 1)
                };
                stages.iter().map(with_beside).collect()
            }
        }
    }

    /// Folds every norm into the convolution before it.
    pub fn fold(&mut self) {
        match self {
            Self::ResNet18(trunk) => trunk.fold(),
            Self::EfficientNetLite0(trunk) => trunk.fold(),
        }
    }
}
