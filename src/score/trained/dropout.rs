//! Monte Carlo dropout at the image level: a layer, trained on the folds' predictions, tells the IoU of
//! each class from how torn the passes of [`mc_dropout`](crate::score::mc_dropout) are about it.

use tch::TchError;

use super::{Load, Stored, one};
use crate::checkpoint::weights::WeightsError;
use crate::model::inference::Inference;
use crate::network::baseline::dropout::Config;
use crate::network::baseline::regressor::Regressor;
use crate::score::detector::{Detection, Detector};
use crate::score::entry::Boxed;
use crate::score::mc_dropout::{class_entropy, entropy, mean_softmax};

impl Load for Config {
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError> {
        let regressor = self.build(&stored.vs.root(), stored.classes);
        stored.fill()?;
        Ok(one(DropoutRegressor { name: stored.name.clone(), passes: self.passes, regressor }))
    }
}

/// The detector: the IoU of each class by a regressor that was trained on as many passes, a pixel's error
/// by the entropy of the same passes.
///
/// SynthCP's code fits the regressor on the training images and shows it, at test time, the entropies of
/// training images again; here it sees those of the image that it scores.
struct DropoutRegressor {
    name: String,
    passes: usize,
    regressor: Regressor,
}

impl Detector for DropoutRegressor {
    fn name(&self) -> &str {
        &self.name
    }

    /// Nothing of an M without dropout.
    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let Some(mean) = mean_softmax(inference.segmenter(), inference.image(), self.passes) else {
            return Ok(Detection::default());
        };
        let iou = self.regressor.forward(&class_entropy(&mean));
        Ok(Detection { error: Some(entropy(&mean)), iou: Some(iou), anomaly: None })
    }
}
