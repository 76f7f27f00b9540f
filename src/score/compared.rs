//! Another F than the bundle's, on the same x, labels and x': the paper's SynthCP-separate and Direct
//! Prediction, and whatever else a bundle's F is to be measured against.

use tch::TchError;

use super::detector::{Detector, Judgement, Seen};
use crate::monitor::networks::compare;
use crate::network::comparison::Comparer;

/// The detector.
pub struct ByComparison {
    name: String,
    network: Box<dyn Comparer>,
}

impl ByComparison {
    /// By a trained network.
    pub fn new(name: String, network: Box<dyn Comparer>) -> Self {
        Self { name, network }
    }
}

impl Detector for ByComparison {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, seen: &Seen) -> Result<Judgement, TchError> {
        let compared = compare(&*self.network, seen.image, seen.segmented, seen.second);
        let error = compared.confidence.map(|logit| (-logit).sigmoid());
        Ok(Judgement { error, iou: compared.iou, anomaly: None })
    }
}
