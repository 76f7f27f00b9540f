//! The image-level network of the paper's SynthCP-separate: one ResNet-18 encodes x and x' in turn;
//! the product of their averaged features gives the IoU of each class.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::resnet18::ResNet18;
use super::{Comparator, ComparatorInput, Compared};
use crate::network::layers::{IMAGENET, Linear, channels_last, normalize};

/// Size; the default is the reference network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the trunk's first stage.
    pub width: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64 }
    }
}

/// The network.
#[derive(Debug)]
pub(crate) struct IouOnly {
    siamese: ResNet18,
    regress: Linear,
}

impl IouOnly {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        Self {
            siamese: ResNet18::new(&(p / "siamese"), 3, config.width),
            regress: Linear::new(p / "regress", config.width << 3, classes),
        }
    }
}

impl Comparator for IouOnly {
    fn forward(&self, input: &ComparatorInput, train: bool) -> Compared {
        let encode = |picture: &Tensor| {
            let (mean, std) = IMAGENET;
            let stages = self.siamese.forward(&channels_last(&normalize(picture, mean, std)), train);
            stages[3].mean_dim([2i64, 3].as_slice(), false, Kind::Float)
        };
        let iou = self.regress.forward(&(encode(input.image) * encode(&(input.synthesized)())));
        Compared { iou: Some(iou), ..Compared::default() }
    }

    fn fold(&mut self) {
        self.siamese.fold();
    }
}
