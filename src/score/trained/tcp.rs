//! True class probability: where a branch on M's features expects the true class to have little softmax,
//! the label is likely wrong. The network is [`baseline::tcp`](crate::network::baseline::tcp).
//!
//! SynthCP's code differs from the method in several ways: its branch sees M's features of an image of
//! another scale than M was trained on, trains M along, with dropout at work, compares each estimate
//! with the targets of the whole batch, and at test time adds M's largest softmax. Only the last is a
//! score that can be had from a well-trained branch, as [`Score::AsReleased`].

use std::rc::Rc;

use tch::TchError;

use super::{Load, Stored, features_of};
use crate::checkpoint::weights::WeightsError;
use crate::model::inference::Inference;
use crate::network::baseline::tcp::{Config, FIRST, Tcp};
use crate::network::layers::spatial;
use crate::score::detector::{Detection, Detector};
use crate::score::entry::Boxed;

impl Load for Config {
    /// Two: as the paper has it, and as SynthCP's code scores it.
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError> {
        let branch = Rc::new(Tcp::new(&stored.vs.root(), self, features_of(stored, FIRST)?));
        stored.fill()?;
        let scores = [
            (stored.name.clone(), Score::Estimate),
            (format!("{} as released", stored.name), Score::AsReleased),
        ];
        let detector = |(name, score)| -> Boxed {
            Box::new(TrueClassProbability { name, branch: branch.clone(), score })
        };
        Ok(scores.map(detector).into())
    }
}

/// How the branch's estimate becomes a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Score {
    /// One less the estimate, as the method has it.
    Estimate,
    /// Two less the estimate and less M's largest softmax.
    AsReleased,
}

/// The detector.
struct TrueClassProbability {
    name: String,
    branch: Rc<Tcp>,
    score: Score,
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
