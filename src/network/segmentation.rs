//! M: networks that give every pixel a class.
//!
//! A network is a file with its `Config`, which is an [`Architecture`], and a line in `segmenters!`.

pub mod efficientnet;
mod operators;
pub mod resnet;
mod surround;

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use tch::Tensor;
use tch::nn::Path;

use super::layers::resize_bilinear;
use super::range::OutOfRange;

/// What M says of a batch.
#[derive(Debug)]
pub struct Segmented {
    /// `N x classes x h x w`, on the network's own grid.
    pub logits: Tensor,
    /// `N x F x h' x w'`: what the classifier sees, and what the anomaly score compares.
    pub features: Tensor,
    /// Logits from an earlier layer, on their own grid, that training scores as well; of a network with
    /// deep supervision, when it trains.
    pub auxiliary: Option<Tensor>,
}

/// Gives the logits of another pass with dropout at work, on the network's own grid, at each call.
pub type Sampler<'a> = Box<dyn Fn() -> Tensor + 'a>;

/// A segmentation network.
pub trait Segmenter: Send {
    /// Segments `N x 3 x H x W` RGB in \[0, 1\].
    fn forward(&self, image: &Tensor, train: bool) -> Segmented;

    /// The feature layer alone, without the classifier: all that x' needs.
    fn features(&self, image: &Tensor) -> Tensor {
        self.forward(image, false).features
    }

    /// Folds norms into the convolutions before them, once the weights are final.
    fn fold(&mut self) {}

    /// Has what is the same in every image computed once from now on, for inference with weights that are
    /// final.
    fn memoise(&mut self) {}

    /// Whether it takes images of one size alone, as a network does that was traced with its size in it.
    fn has_fixed_size(&self) -> bool {
        false
    }

    /// Features at several depths, for a perceptual loss.
    fn perceptual(&self, image: &Tensor) -> Vec<Tensor> {
        vec![self.features(image)]
    }

    /// Passes over one image that differ by dropout alone: all else is as in inference, and what lies
    /// before the first dropout is computed once. `None` of a network without dropout.
    fn sampler(&self, _image: &Tensor) -> Option<Sampler<'_>> {
        None
    }

    /// Whether the logits are brought to the image's size with aligned corners.
    fn align_corners(&self) -> bool {
        false
    }

    /// Brings logits of the network's grid to `size` (height, width).
    fn resize_logits(&self, logits: &Tensor, size: (i64, i64)) -> Tensor {
        resize_bilinear(logits, size, self.align_corners())
    }
}

/// A configuration of M: what is known of the network before it is built.
pub trait Architecture {
    /// Says which number is beyond its range; only what is within is built.
    fn check(&self) -> Result<(), OutOfRange>;

    /// Builds the network for `classes` classes, its parameters under `p`.
    fn build(&self, p: &Path, classes: i64) -> Result<Box<dyn Segmenter>, NotBuilt>;

    /// Whether the network's logits are resized with aligned corners.
    fn align_corners(&self) -> bool {
        false
    }

    /// Whether the encoder may begin from EfficientNet-lite0's ImageNet weights.
    fn takes_pretrained(&self) -> bool {
        false
    }
}

/// A TorchScript network has no layers to build: it comes whole, from its file.
#[derive(Debug, thiserror::Error)]
#[error("a torchscript network comes whole from its file: it cannot be built or trained here")]
pub struct NotBuilt;

/// Declares the modules of the networks and the enum of their configurations.
macro_rules! segmenters {
    ($($(#[$about:meta])* $variant:ident in $module:ident,)*) => {
        $(pub mod $module;)*

        /// Which network M is, and its size.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
        #[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
        #[strum(serialize_all = "snake_case")]
        pub enum SegmenterConfig {
            $($(#[$about])* $variant($module::Config),)*
        }

        impl Deref for SegmenterConfig {
            type Target = dyn Architecture;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$variant(config) => config,)*
                }
            }
        }
    };
}

segmenters! {
    /// FCN-8s on VGG16 (Long et al., 2015).
    Fcn8s in fcn8s,
    /// DeepLab: atrous spatial pyramid pooling (Chen et al., 2017).
    Deeplab in deeplab,
    /// PSPNet (Zhao et al., 2017).
    Pspnet in pspnet,
    /// Anybody's network, as a TorchScript file.
    Torchscript in torchscript,
}

impl SegmenterConfig {
    /// The architecture's name, as in bundle.yaml.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}
