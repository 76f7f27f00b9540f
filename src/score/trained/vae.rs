//! VAE alarm: a label map that a model of ground-truth label maps cannot repeat is not a good one. The
//! network is [`baseline::vae`](crate::network::baseline::vae); neither the image nor M's softmax is
//! looked at.

use tch::{TchError, Tensor};

use super::{Load, Stored, one};
use crate::checkpoint::weights::WeightsError;
use crate::model::inference::Inference;
use crate::network::baseline::vae::{Config, VaeAlarm};
use crate::score::detector::{Detection, Detector};
use crate::score::entry::Boxed;

impl Load for Config {
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError> {
        let network = VaeAlarm::new(&stored.vs.root(), self, stored.classes);
        stored.fill()?;
        Ok(one(Alarm { name: stored.name.clone(), network }))
    }
}

/// The detector, by a trained shape model and its regressor.
struct Alarm {
    name: String,
    network: VaeAlarm,
}

impl Alarm {
    fn iou(&self, labels: &Tensor) -> Tensor {
        self.network.regressor().forward(&self.network.features(labels))
    }
}

impl Detector for Alarm {
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
