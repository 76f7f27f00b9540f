//! Error of an auto-encoder's reconstruction: what it cannot tell again was not in its training images,
//! which may be what M has never seen either. The network is
//! [`baseline::autoencoder`](crate::network::baseline::autoencoder).

use tch::TchError;

use super::{Load, Stored, one};
use crate::checkpoint::weights::WeightsError;
use crate::model::inference::Inference;
use crate::network::baseline::autoencoder::{Autoencoder, Config};
use crate::score::detector::{Detection, Detector};
use crate::score::entry::Boxed;

impl Load for Config {
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError> {
        let network = Autoencoder::new(&stored.vs.root(), self);
        stored.fill()?;
        Ok(one(Reconstruction { name: stored.name.clone(), network }))
    }
}

/// The detector, by a trained auto-encoder.
struct Reconstruction {
    name: String,
    network: Autoencoder,
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
