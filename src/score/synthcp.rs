//! SynthCP's own answers: F, which compares x with x', and the cosine of M's features on both.

use tch::{TchError, Tensor};

use super::detector::{Detection, Detector};
use super::entry::{Entry, made};
use crate::model::anomaly;
use crate::model::inference::Inference;
use crate::model::networks::Networks;

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "synthcp",
        needs: "F",
        make: |parts| made(BundleComparator::new(parts.networks.comparator_title())),
    },
    Entry {
        id: "synthcp+msp",
        needs: "F",
        make: |parts| made(WithMsp::new(parts.networks.comparator_title())),
    },
    Entry {
        id: "anomaly",
        needs: "an anomaly score of the bundle that takes in what F has learned of the unknown",
        make: |parts| {
            let config = parts.networks.anomaly_config();
            let is_other = config.unknown != anomaly::Unknown::Ignored;
            if is_other { made(Anomaly { name: OWN_JOINED, config }) } else { None }
        },
    },
    Entry {
        id: "unknown",
        needs: "an F that has learned the unknown",
        make: |parts| if parts.networks.sees_unknown() { made(Unknown) } else { None },
    },
    Entry {
        id: "cosine",
        needs: "G",
        make: |parts| {
            let config = parts.networks.anomaly_config();
            made(Anomaly { name: OWN_COSINE, config: without_unknown(config) })
        },
    },
    Entry {
        id: "cosine-paper",
        needs: "an anomaly score of the bundle that is not the paper's",
        make: |parts| {
            let config = anomaly::Config::default();
            let other = without_unknown(parts.networks.anomaly_config()) != config;
            if other { made(Anomaly { name: "SynthCP cosine, the paper's", config }) } else { None }
        },
    },
];

/// F as the bundle has it: error probabilities where it scores pixels, and the IoU of each class.
pub(crate) struct BundleComparator {
    name: String,
}

impl BundleComparator {
    /// Of an F of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

impl Detector for BundleComparator {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_probability(&self) -> bool {
        true
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let compared = inference.comparison();
        let error = compared.confidence.as_ref().map(|_| inference.error()).transpose()?;
        Ok(Detection { error, iou: compared.iou.as_ref().map(Tensor::shallow_clone), anomaly: None })
    }
}

/// Name of a detector whose confidence is added to M's largest softmax.
pub(crate) fn with_msp(name: &str) -> String {
    format!("{name} + (1 - MSP)")
}

/// F's confidence and M's largest softmax, added: the score by which the released code evaluates
/// SynthCP and Direct Prediction. Turned round and moved here, so that 0 is surely right and 2 surely
/// wrong.
pub(crate) struct WithMsp {
    name: String,
}

impl WithMsp {
    /// With an F of this name.
    pub fn new(name: &str) -> Self {
        Self { name: with_msp(name) }
    }
}

impl Detector for WithMsp {
    fn name(&self) -> &str {
        &self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let (compared, msp) = (inference.comparison(), &inference.segmentation().softmax.largest);
        let error = match compared.confidence {
            Some(_) => Some(compared.error(msp)?.f_sub(msp)?.f_add_scalar(1.)?),
            None => None,
        };
        Ok(Detection { error, ..Detection::default() })
    }
}

/// F's probability that a pixel belongs to nothing that the label set knows.
pub(crate) struct Unknown;

impl Detector for Unknown {
    fn name(&self) -> &str {
        "F's unknown"
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let anomaly = inference.comparison().unknown.as_ref().map(Tensor::sigmoid);
        Ok(Detection { anomaly, ..Detection::default() })
    }
}

/// Name of the part of the bundle's anomaly score that synthesis brings; all of it in most bundles.
const OWN_COSINE: &str = "SynthCP cosine, the bundle's";
/// Name of the bundle's anomaly score where that is not all of it.
const OWN_JOINED: &str = "SynthCP anomaly score, the bundle's";

fn without_unknown(config: anomaly::Config) -> anomaly::Config {
    anomaly::Config { unknown: anomaly::Unknown::Ignored, fovea: None, ..config }
}

/// Name of the detector whose score is the one that the bundle is configured for, and whose limit it states.
pub fn own_score(networks: &Networks) -> &'static str {
    match networks.anomaly_config().unknown {
        anomaly::Unknown::Ignored => OWN_COSINE,
        _ => OWN_JOINED,
    }
}

/// How unlike M's features of x and of x' are, and whatever else the configuration asks for.
pub(crate) struct Anomaly {
    /// Its name in tables.
    pub name: &'static str,
    /// Which features, and how M's certainty enters.
    pub config: anomaly::Config,
}

impl Detector for Anomaly {
    fn name(&self) -> &str {
        self.name
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let anomaly = inference.anomaly(self.config)?;
        Ok(Detection { anomaly: Some(anomaly), ..Detection::default() })
    }
}
