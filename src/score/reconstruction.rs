//! Error of an auto-encoder's reconstruction: what it cannot tell again was not in its training images,
//! which may be what M has never seen either. The network is
//! [`baseline::autoencoder`](crate::network::baseline::autoencoder).

use tch::TchError;

use super::detector::{Detection, Detector};
use crate::model::inference::Inference;
use crate::network::baseline::autoencoder::Autoencoder;

/// The detector.
pub struct Reconstruction {
    name: String,
    network: Autoencoder,
}

impl Reconstruction {
    /// By a trained auto-encoder.
    pub fn new(name: String, network: Autoencoder) -> Self {
        Self { name, network }
    }
}

impl Detector for Reconstruction {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let error = self.network.error(inference.image(), false);
        Ok(Detection { anomaly: Some(error.shallow_clone()), error: Some(error), iou: None })
    }
}
