//! Another F than the bundle's, on the same x, labels and x': the paper's SynthCP-separate and Direct
//! Prediction, and whatever else a bundle's F is to be measured against.

use std::rc::Rc;

use tch::TchError;

use super::detector::{Detection, Detector};
use super::synthcp::with_msp;
use crate::model::inference::Inference;
use crate::network::comparison::Comparator;

/// What becomes of the network's confidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Score {
    /// It stands for itself.
    Alone,
    /// M's largest softmax is added, as the released code evaluates it.
    WithMsp,
}

/// The detector.
pub struct ByComparison {
    name: String,
    network: Rc<dyn Comparator>,
    score: Score,
}

impl ByComparison {
    /// By a trained network: its own answers and, where `is_scored_with_msp`, its errors together with M's
    /// doubt.
    pub fn detectors(name: String, network: Box<dyn Comparator>, is_scored_with_msp: bool) -> Vec<Self> {
        let network: Rc<dyn Comparator> = network.into();
        let scores = [(name.clone(), Score::Alone), (with_msp(&name), Score::WithMsp)];
        let detector = |(name, score)| Self { name, network: network.clone(), score };
        scores.into_iter().take(1 + usize::from(is_scored_with_msp)).map(detector).collect()
    }
}

impl Detector for ByComparison {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let compared = inference.compared_by(&*self.network);
        let error = compared.confidence.map(|logit| (-logit).sigmoid());
        Ok(match self.score {
            Score::Alone => Detection { error, iou: compared.iou, anomaly: None },
            Score::WithMsp => {
                let doubt = 1. - &inference.segmentation().softmax.largest;
                Detection { error: error.map(|error| error + doubt), ..Detection::default() }
            }
        })
    }
}
