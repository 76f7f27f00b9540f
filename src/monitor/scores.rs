//! What an inference says of one frame, as the monitor needs it.

use tch::{Kind, TchError, Tensor};

use crate::model::anomaly;
use crate::model::inference::Inference;

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
        Ok(Self {
            labels,
            anomaly: anomaly.map(|config| inference.anomaly(config)),
            error: inference.error()?,
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
            labels: softmax.labels.shallow_clone(),
            anomaly: anomaly.then(|| doubt.shallow_clone()),
            error: doubt,
            synth: None,
            iou: None,
            presence: None,
        })
    }
}
