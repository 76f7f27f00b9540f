//! Whatever says where, or how much, M is wrong: one row of a table each.

use tch::{TchError, Tensor};

use crate::model::inference::Inference;

/// What a detector says of a batch; `None` of what it does not score.
#[derive(Debug, Default)]
pub struct Detection {
    /// Higher where the label is more likely wrong: `N x 1 x H x W`, fp32, of any range.
    pub error: Option<Tensor>,
    /// Estimate of each class's IoU: `N x classes`, fp32.
    pub iou: Option<Tensor>,
    /// Higher where something unknown is more likely: `N x 1 x H x W`, fp32, of any range.
    pub anomaly: Option<Tensor>,
}

impl Detection {
    /// Of a score that stands for both: what is doubtful may be wrong, and may be unknown.
    pub(crate) fn of_doubt(score: Tensor) -> Self {
        Self { error: Some(score.shallow_clone()), iou: None, anomaly: Some(score) }
    }
}

/// One way to tell.
pub trait Detector {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Whether its error score is meant as the probability of an error.
    fn is_probability(&self) -> bool {
        false
    }

    /// Scores a batch.
    fn detect(&self, inference: &Inference) -> Result<Detection, TchError>;
}
