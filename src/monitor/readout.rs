//! What a report is made from, brought from the device in one copy.

use image::GrayImage;
use tch::{Kind, TchError, Tensor};

use super::assessment::ScoreMap;
use super::scores::{NotFinite, Scores};
use crate::network::download::download;
use crate::network::layers::spatial;

/// The scores of one frame at the working size, on the host.
pub(super) struct Readout {
    /// The first map or score that holds what is no number. Every comparison with NaN is false, so that it would
    /// pass as good.
    pub not_finite: Option<NotFinite>,
    /// Ids.
    pub labels: GrayImage,
    /// Probability that the label is wrong.
    pub error: ScoreMap,
    /// Anomaly score.
    pub anomaly: Option<ScoreMap>,
    /// Estimate of each class's IoU.
    pub iou: Option<Vec<f32>>,
    /// Probability of each class to be in view.
    pub presence: Option<Vec<f32>>,
    /// M's features, each the mean over the image.
    pub features: Vec<f32>,
}

impl Readout {
    /// Of `scores`, once the device has computed them.
    pub fn of(scores: &Scores) -> Result<Self, TchError> {
        let (height, width) = spatial(&scores.labels);
        let map = |map: &Tensor| match spatial(map) == (height, width) {
            true => Ok(map.shallow_clone()),
            false => map.f_upsample_bilinear2d([height, width], false, None, None),
        };
        let parts = [
            Some(wrong_counts(&scores.raw)?),
            Some(scores.labels.shallow_clone()),
            Some(map(&scores.error)?),
            scores.anomaly.as_ref().map(map).transpose()?,
            scores.iou.as_ref().map(Tensor::shallow_clone),
            scores.presence.as_ref().map(Tensor::shallow_clone),
            Some(scores.features.shallow_clone()),
        ];
        let row = |part: &Tensor| part.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(0, -1);
        let rows: Vec<Tensor> = parts.iter().flatten().map(row).collect::<Result<_, _>>()?;
        let numbers = download::<f32>(&Tensor::f_cat(&rows, 0)?)?;

        let mut rest = &numbers[..];
        let [wrong, labels, error, anomaly, iou, presence, features] = parts.map(|part| {
            let (numbers, others) = rest.split_at(part?.numel());
            rest = others;
            Some(numbers.to_vec())
        });
        let (width, height) = (width as u32, height as u32);
        let ids = labels.unwrap_or_default().into_iter().map(|id| id as u8).collect();
        let map = |data| ScoreMap { width, height, data };
        Ok(Self {
            not_finite: first_wrong(&scores.raw, &wrong.unwrap_or_default()),
            labels: GrayImage::from_raw(width, height, ids).expect("an id a pixel"),
            error: map(error.unwrap_or_default()),
            anomaly: anomaly.map(map),
            iou,
            presence,
            features: features.unwrap_or_default(),
        })
    }
}

/// How many values of each are no numbers.
fn wrong_counts(raw: &[(&str, Tensor)]) -> Result<Tensor, TchError> {
    let count = |(_, values): &(_, Tensor)| values.f_isfinite()?.f_logical_not()?.f_sum(Kind::Float);
    Tensor::f_stack(&raw.iter().map(count).collect::<Result<Vec<_>, _>>()?, 0)
}

fn first_wrong(raw: &[(&'static str, Tensor)], wrong: &[f32]) -> Option<NotFinite> {
    let ((map, values), &count) = raw.iter().zip(wrong).find(|(_, count)| **count != 0.)?;
    Some(NotFinite { map, count: count as usize, total: values.numel() })
}
