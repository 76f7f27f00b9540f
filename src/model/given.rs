//! Labels of another segmenter, and what it said of them, as an inference takes them.

use tch::{Device, Kind, Tensor};

use super::pixels::grey_to_tensor;
use crate::data::given::{GivenLabels, Sure};
use crate::labels::resize_labels;
use crate::network::layers::resize_bilinear;

/// What another segmenter made of a batch, at the working size.
#[derive(Debug)]
pub(crate) struct Given {
    /// `N x H x W`: ids, and what is no class where it gave none.
    pub labels: Tensor,
    /// Its softmax, `N x classes x H x W`, fp32, which is believed in place of M's.
    pub probabilities: Option<Tensor>,
    /// How sure it was of its labels, `N x 1 x H x W`, fp32, in \[0, 1\].
    pub confidence: Option<Tensor>,
}

impl Given {
    /// Labels alone, `N x H x W`.
    pub(crate) fn labels_alone(labels: Tensor) -> Self {
        Self { labels, probabilities: None, confidence: None }
    }

    /// Of one image, brought to the working size (height, width).
    pub(crate) fn of(given: &GivenLabels, (height, width): (i64, i64), device: Device) -> Self {
        let labels = resize_labels(given.labels.clone(), (width as u32, height as u32));
        let labels = grey_to_tensor(&labels).unsqueeze(0).to_kind(Kind::Int64).to_device(device);
        let map = |numbers: &[f32], h: usize, w: usize| {
            let map = Tensor::from_slice(numbers).view([1, -1, h as i64, w as i64]).to_device(device);
            match (h as i64, w as i64) == (height, width) {
                true => map,
                false => resize_bilinear(&map, (height, width), false),
            }
        };
        let alone = Self::labels_alone(labels);
        match &given.sure {
            None => alone,
            Some(Sure::Softmax { height, width, numbers }) => {
                Self { probabilities: Some(map(numbers, *height, *width)), ..alone }
            }
            Some(Sure::Confidence { height, width, numbers }) => {
                Self { confidence: Some(map(numbers, *height, *width)), ..alone }
            }
        }
    }
}
