//! Monte Carlo dropout at the image level: a layer, trained on the folds' predictions, tells the IoU of
//! each class from how torn the passes of [`mc_dropout`](super::mc_dropout) are about it.

use tch::{Kind, TchError, Tensor};

use super::detector::{Detection, Detector};
use super::mc_dropout::{entropy, mean_softmax};
use crate::model::inference::Inference;
use crate::network::baseline::regressor::Regressor;

/// Of each class, the mean over the image of p log p + (1 - p) log(1 - p), p being its mean softmax: how
/// little the class is in doubt. `N x C x H x W` to `N x C` in \[-log 2, 0\]. What SynthCP's code has a
/// linear layer tell IoUs from.
pub fn class_entropy(mean_softmax: &Tensor) -> Tensor {
    let terms = |p: Tensor| &p * p.clamp_min(1e-12).log();
    let sum = terms(mean_softmax.shallow_clone()) + terms(1. - mean_softmax);
    sum.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
}

/// The detector: the IoU of each class by a trained regressor, a pixel's error by the entropy of the
/// same passes.
///
/// SynthCP's code fits the regressor on the training images and shows it, at test time, the entropies of
/// training images again; here it sees those of the image that it scores.
pub struct DropoutRegressor {
    name: String,
    passes: usize,
    regressor: Regressor,
}

impl DropoutRegressor {
    /// By a regressor that was trained on as many passes.
    pub fn new(name: String, passes: usize, regressor: Regressor) -> Self {
        Self { name, passes, regressor }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_always_or_never_there_is_not_in_doubt() {
        let mean = Tensor::from_slice(&[1f32, 0.5, 0., 0.5]).view([1, 2, 1, 2]);
        let doubt = Vec::<f32>::try_from(class_entropy(&mean).flatten(0, -1)).unwrap();
        // One of two pixels is torn, for both classes alike.
        assert!(doubt.iter().all(|d| (f64::from(*d) + 2f64.ln() / 2.).abs() < 1e-6), "{doubt:?}");
    }
}
