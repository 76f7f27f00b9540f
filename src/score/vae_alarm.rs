//! VAE alarm: a label map that a model of ground-truth label maps cannot repeat is not a good one. The
//! network is [`baseline::vae`](crate::network::baseline::vae); neither the image nor M's softmax is
//! looked at.

use tch::{TchError, Tensor};

use super::detector::{Detection, Detector};
use crate::model::inference::Inference;
use crate::network::baseline::vae;

/// The detector.
pub struct VaeAlarm {
    name: String,
    network: vae::VaeAlarm,
}

impl VaeAlarm {
    /// By a trained shape model and its regressor.
    pub fn new(name: String, network: vae::VaeAlarm) -> Self {
        Self { name, network }
    }

    fn iou(&self, labels: &Tensor) -> Tensor {
        self.network.regressor().forward(&self.network.features(labels))
    }
}

impl Detector for VaeAlarm {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        Ok(Detection {
            iou: Some(self.iou(&inference.segmentation().softmax.labels)),
            ..Detection::default()
        })
    }
}
