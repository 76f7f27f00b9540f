//! What an inference says of one frame, as the monitor needs it.

use tch::{Kind, TchError, Tensor};

use crate::model::anomaly;
use crate::model::inference::Inference;

/// A map or a score that holds NaN or infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{map} is not finite: {count} of its {total} values are NaN or infinite; every one must be a number")]
pub struct NotFinite {
    /// Which of them.
    pub map: &'static str,
    /// How many values are no numbers.
    pub count: usize,
    /// Of how many.
    pub total: usize,
}

/// Tensors of one frame at the working size, each `1 x C x H x W`, fp32.
pub struct Scores {
    /// Ids, `1 x H x W`.
    pub labels: Tensor,
    /// Probability that the label is wrong.
    pub error: Tensor,
    /// Anomaly score.
    pub anomaly: Option<Tensor>,
    /// x'.
    pub synth: Option<Tensor>,
    /// Estimate of each class's IoU, from an F that tells: `1 x classes`.
    pub iou: Option<Tensor>,
    /// Probability of each class to be in view, from an F that tells: `1 x classes`.
    pub presence: Option<Tensor>,
    /// M's features, each the mean over the image: `1 x F`.
    pub(super) features: Tensor,
    /// All that stands behind these, by name, before anything could hide what is not a number.
    pub(super) raw: Vec<(&'static str, Tensor)>,
}

impl Scores {
    /// By the whole method, with the anomaly score by `anomaly`, where that is wanted.
    pub(crate) fn by_method(
        inference: &Inference,
        anomaly: Option<anomaly::Config>,
    ) -> Result<Self, TchError> {
        let labels = inference.segmentation().softmax.labels.shallow_clone();
        let synth = inference.synthesized().shallow_clone();
        let compared = inference.comparison();
        let anomaly = anomaly.map(|config| inference.anomaly(config)).transpose()?;
        let error = inference.error()?;
        let raw = [
            ("M's softmax", Some(&inference.segmentation().softmax.largest)),
            ("G's picture", Some(&synth)),
            // A sigmoid makes 0 or 1 of infinity.
            ("F's confidence", compared.confidence.as_ref()),
            ("F's IoU", compared.iou.as_ref()),
            ("F's presence", compared.presence.as_ref()),
            ("the error probability", Some(&error)),
            ("the anomaly score", anomaly.as_ref()),
        ];
        Ok(Self {
            raw: given(raw),
            features: pooled(inference)?,
            labels,
            anomaly,
            error,
            synth: Some(synth),
            iou: compared.iou.as_ref().map(Tensor::shallow_clone),
            presence: compared.presence.as_ref().map(Tensor::sigmoid),
        })
    }

    /// By M's logits alone: error probability and anomaly score are one minus the largest softmax.
    pub(crate) fn by_softmax(inference: &Inference, anomaly: bool) -> Result<Self, TchError> {
        let softmax = &inference.segmentation().softmax;
        let doubt = softmax.largest.f_neg()?.f_add_scalar(1.)?;
        Ok(Self {
            raw: given([("M's softmax", Some(&softmax.largest))]),
            features: pooled(inference)?,
            labels: softmax.labels.shallow_clone(),
            anomaly: anomaly.then(|| doubt.shallow_clone()),
            error: doubt,
            synth: None,
            iou: None,
            presence: None,
        })
    }
}

/// Most features that are kept; of more, neighbours are joined.
const MOST_FEATURES: i64 = 128;

fn pooled(inference: &Inference) -> Result<Tensor, TchError> {
    let dims: &[i64] = &[2, 3];
    let mean = inference.segmentation().features.f_mean_dim(dims, false, Kind::Float)?;
    match mean.size()[..] {
        [_, count] if count > MOST_FEATURES => {
            mean.f_unsqueeze(0)?.f_adaptive_avg_pool1d(MOST_FEATURES)?.f_squeeze_dim(0)
        }
        _ => Ok(mean),
    }
}

fn given<const N: usize>(raw: [(&'static str, Option<&Tensor>); N]) -> Vec<(&'static str, Tensor)> {
    raw.into_iter().filter_map(|(map, values)| Some((map, values?.shallow_clone()))).collect()
}
