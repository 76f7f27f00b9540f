//! One less the largest softmax of a classifier that was exposed to outliers. The network is
//! [`baseline::exposed`](crate::network::baseline::exposed).

use tch::{Kind, TchError};

use super::{Load, Stored, features_of, one};
use crate::checkpoint::weights::WeightsError;
use crate::model::inference::Inference;
use crate::network::baseline::exposed::{Classifier, Config, FIRST};
use crate::network::layers::{resize_bilinear, spatial};
use crate::score::detector::{Detection, Detector};
use crate::score::entry::Boxed;

impl Load for Config {
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError> {
        let features = features_of(stored, FIRST)?;
        let classifier = Classifier::new(&stored.vs.root(), self, features, stored.classes);
        stored.fill()?;
        Ok(one(Exposed { name: stored.name.clone(), classifier }))
    }
}

/// The detector.
struct Exposed {
    name: String,
    classifier: Classifier,
}

impl Detector for Exposed {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let logits = self.classifier.forward(&inference.segmentation().features).to_kind(Kind::Float);
        let logits = resize_bilinear(&logits, spatial(inference.image()), false);
        let largest = logits.softmax(1, Kind::Float).amax([1i64].as_slice(), true);
        Ok(Detection { anomaly: Some(1. - largest), ..Detection::default() })
    }
}
