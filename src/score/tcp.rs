//! True class probability: where a branch on M's features expects the true class to have little softmax,
//! the label is likely wrong. The network is [`baseline::tcp`](crate::network::baseline::tcp).
//!
//! SynthCP's code differs from the method in several ways: its branch sees M's features of an image of
//! another scale than M was trained on, trains M along, with dropout at work, compares each estimate
//! with the targets of the whole batch, and at test time adds M's largest softmax. Only the last is a
//! score that can be had from a well-trained branch, as [`Score::AsReleased`].

use std::rc::Rc;

use tch::TchError;

use super::detector::{Detection, Detector};
use crate::model::inference::Inference;
use crate::network::baseline::tcp::Tcp;
use crate::network::layers::spatial;

/// How the branch's estimate becomes a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// One less the estimate, as the method has it.
    Estimate,
    /// Two less the estimate and less M's largest softmax.
    AsReleased,
}

/// The detector.
pub struct TrueClassProbability {
    name: String,
    branch: Rc<Tcp>,
    score: Score,
}

impl TrueClassProbability {
    /// By a trained branch.
    pub fn new(name: String, branch: Rc<Tcp>, score: Score) -> Self {
        Self { name, branch, score }
    }
}

impl Detector for TrueClassProbability {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let estimate = self.branch.forward(&inference.segmentation().features, spatial(inference.image()));
        let error = match self.score {
            Score::Estimate => 1. - estimate,
            Score::AsReleased => 2. - estimate - &inference.segmentation().softmax.largest,
        };
        Ok(Detection { error: Some(error), ..Detection::default() })
    }
}
