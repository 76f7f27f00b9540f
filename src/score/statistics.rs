//! What calibration images say of M: statistics of its logits, and a sample of its pixels.

use image::RgbImage;
use tch::{Kind, TchError, Tensor};

use super::class_statistics::ClassStatistics;
use crate::model::inference::{Inference, Segmentation};
use crate::model::networks::Networks;
use crate::network::layers::{resize_bilinear, spatial};

/// Of the images of a calibration slice.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The largest logits of each class.
    pub logits: ClassStatistics,
    /// Pixels of M's grid.
    pub(crate) pixels: PixelSample,
}

/// M's features and logits at some pixels of its grid, fp32.
#[derive(Debug)]
pub(crate) struct PixelSample {
    /// `P x F`.
    pub features: Tensor,
    /// `P x classes`.
    pub logits: Tensor,
}

impl Clone for PixelSample {
    fn clone(&self) -> Self {
        Self { features: self.features.shallow_clone(), logits: self.logits.shallow_clone() }
    }
}

/// Pixels taken of each image.
const PIXELS: i64 = 128;

impl Statistics {
    /// Of M on calibration images, as they come.
    pub fn gather<E: From<TchError>>(
        networks: &Networks,
        images: impl Iterator<Item = Result<RgbImage, E>>,
    ) -> Result<Self, E> {
        let mut logits = ClassStatistics::new(networks.classes());
        let mut pixels = Vec::new();
        for (i, image) in (0..).zip(images) {
            let image = image?;
            tch::no_grad(|| {
                let inference = Inference::of_image(networks, &image)?;
                logits.add(&inference.logits());
                let Segmentation { features, grid_logits, .. } = inference.segmentation();
                let features = on_grid(features, grid_logits);
                // The same number of each image, at places that differ from image to image.
                let count = features.size()[0];
                let step = (count / PIXELS).max(1);
                let places =
                    Tensor::arange_start_step(i % step, count, step, (Kind::Int64, features.device()));
                let at = |rows: &Tensor| rows.index_select(0, &places);
                pixels.push((at(&features), at(&rows(grid_logits))));
                Ok::<(), E>(())
            })?;
        }
        if pixels.is_empty() {
            return Err(TchError::Torch("no calibration images".into()).into());
        }
        let all =
            |of: fn(&(Tensor, Tensor)) -> &Tensor| Tensor::cat(&pixels.iter().map(of).collect::<Vec<_>>(), 0);
        Ok(Self { logits, pixels: PixelSample { features: all(|p| &p.0), logits: all(|p| &p.1) } })
    }
}

/// `N x C x h x w` as rows, `(N h w) x C`, fp32.
pub(crate) fn rows(maps: &Tensor) -> Tensor {
    let channels = maps.size()[1];
    maps.to_kind(Kind::Float).permute([0, 2, 3, 1]).reshape([-1, channels])
}

/// M's features as rows, one for each pixel of the grid of its logits.
pub(crate) fn on_grid(features: &Tensor, logits: &Tensor) -> Tensor {
    rows(&resize_bilinear(&features.to_kind(Kind::Float), spatial(logits), false))
}

/// A score of each row as a map at the size of the image: `N x 1 x H x W`.
pub(crate) fn as_map(scores: &Tensor, inference: &Inference) -> Tensor {
    let (h, w) = spatial(&inference.segmentation().grid_logits);
    resize_bilinear(&scores.view([-1, 1, h, w]), spatial(inference.image()), false)
}
