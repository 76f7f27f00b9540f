//! Another F than the bundle's, on the same x, labels and x': the paper's SynthCP-separate and Direct
//! Prediction, and whatever else a bundle's F is to be measured against.

use std::rc::Rc;

use tch::TchError;

use super::{Load, Stored};
use crate::checkpoint::weights::WeightsError;
use crate::model::inference::Inference;
use crate::network::baseline::compared::Config;
use crate::network::comparison::Comparator;
use crate::score::detector::{Detection, Detector};
use crate::score::entry::Boxed;
use crate::score::synthcp::with_msp;

impl Load for Config {
    /// Its own answers and, of an F that scores pixels and is not told of M's softmax as a prior, its errors
    /// together with M's doubt.
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError> {
        let mut network = self.network.build(&stored.vs.root(), stored.classes);
        stored.fill()?;
        network.fold();
        let network: Rc<dyn Comparator> = network.into();
        let scores = [(stored.name.clone(), Score::Alone), (with_msp(&stored.name), Score::WithMsp)];
        let scores = scores.into_iter().take(1 + usize::from(self.network.is_scored_with_msp()));
        let detector =
            |(name, score)| -> Boxed { Box::new(ByComparison { name, network: network.clone(), score }) };
        Ok(scores.map(detector).collect())
    }
}

/// What becomes of the network's confidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Score {
    /// It stands for itself.
    Alone,
    /// M's largest softmax is added, as the released code evaluates it.
    WithMsp,
}

/// The detector.
struct ByComparison {
    name: String,
    network: Rc<dyn Comparator>,
    score: Score,
}

impl Detector for ByComparison {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let compared = inference.compared_by(&*self.network);
        let error = compared.confidence.map(|logit| (-logit).sigmoid());
        Ok(match self.score {
            Score::Alone => {
                let anomaly = compared.unknown.map(|logit| logit.sigmoid());
                Detection { error, iou: compared.iou, anomaly }
            }
            Score::WithMsp => {
                let doubt = 1. - &inference.segmentation().softmax.largest;
                Detection { error: error.map(|error| error + doubt), ..Detection::default() }
            }
        })
    }
}
