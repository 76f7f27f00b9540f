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
    /// Estimate of each class's IoU, from an F that tells.
    pub iou: Option<Vec<f32>>,
    /// Probability of each class to be in view, from an F that tells.
    pub presence: Option<Vec<f32>>,
    /// All that stands behind these, by name, before anything could hide what is not a number.
    raw: Vec<(&'static str, Tensor)>,
}

impl Scores {
    /// By the whole method, with the anomaly score by `anomaly`, where that is wanted.
    pub(crate) fn by_method(
        inference: &Inference,
        anomaly: Option<anomaly::Config>,
    ) -> Result<Self, TchError> {
        let numbers = |t: &Tensor| Vec::<f32>::try_from(t.to_kind(Kind::Float).flatten(0, -1));
        let labels = inference.segmentation().softmax.labels.shallow_clone();
        let synth = inference.synthesized().shallow_clone();
        let compared = inference.comparison();
        let (anomaly, error) = (anomaly.map(|config| inference.anomaly(config)), inference.error()?);
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
            labels,
            anomaly,
            error,
            synth: Some(synth),
            iou: compared.iou.as_ref().map(numbers).transpose()?,
            presence: compared.presence.as_ref().map(|logits| numbers(&logits.sigmoid())).transpose()?,
        })
    }

    /// By M's logits alone: error probability and anomaly score are one minus the largest softmax.
    pub(crate) fn by_softmax(inference: &Inference, anomaly: bool) -> Result<Self, TchError> {
        let softmax = &inference.segmentation().softmax;
        let doubt = softmax.largest.f_neg()?.f_add_scalar(1.)?;
        Ok(Self {
            raw: given([("M's softmax", Some(&softmax.largest))]),
            labels: softmax.labels.shallow_clone(),
            anomaly: anomaly.then(|| doubt.shallow_clone()),
            error: doubt,
            synth: None,
            iou: None,
            presence: None,
        })
    }

    /// The first of the maps and scores that holds what is no number: every comparison with NaN is false, so that
    /// it would pass as good.
    pub(super) fn not_finite(&self) -> Result<Option<NotFinite>, TchError> {
        for (map, values) in &self.raw {
            let finite = values.f_isfinite()?;
            if !bool::try_from(finite.f_all()?)? {
                let total = values.numel();
                let count = total - i64::try_from(finite.f_sum(Kind::Int64)?)? as usize;
                return Ok(Some(NotFinite { map, count, total }));
            }
        }
        Ok(None)
    }
}

fn given<const N: usize>(raw: [(&'static str, Option<&Tensor>); N]) -> Vec<(&'static str, Tensor)> {
    raw.into_iter().filter_map(|(map, values)| Some((map, values?.shallow_clone()))).collect()
}
