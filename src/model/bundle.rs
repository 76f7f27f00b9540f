//! A bundle: one folder with everything a monitor is made of.
//!
//! `bundle.yaml` names the label set (or holds one of one's own), the working size, the three networks with the hashes of their
//! weights, where they came from, and the calibrated thresholds. Everything is checked before the
//! first frame.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::weights::{self, Tensors, WeightsError};
use crate::labels::LabelSet;
use crate::model::anomaly;
use crate::model::compute::ComputeError;
use crate::network::comparison::ComparatorConfig;
use crate::network::segmentation::torchscript::TorchScriptError;
use crate::network::segmentation::{NotBuilt, SegmenterConfig};
use crate::network::synthesis::GeneratorConfig;
use crate::whole_file;

/// The only format there is so far.
pub(crate) const FORMAT: u32 = 1;
/// The file that describes a bundle.
pub const DESCRIPTION: &str = "bundle.yaml";

/// Limits between normal and alarming, and what they promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Failure score from which a frame counts towards CAUTION.
    pub caution: f32,
    /// Failure score from which a frame counts towards FAILURE.
    pub failure: f32,
    /// Error probability from which a pixel is in the error mask.
    pub error: f32,
    /// Anomaly score from which a pixel is in the anomaly mask.
    pub anomaly: f32,
    /// Share of the image in the anomaly mask from which a frame counts towards CAUTION.
    pub anomaly_area: f32,
    /// What the limits were calibrated for, in words.
    pub guarantee: String,
}

impl Thresholds {
    /// Not known yet: every limit is NaN.
    pub const fn unknown() -> Self {
        Self::alike(f32::NAN)
    }

    /// Limits of 1, which hardly anything reaches.
    pub const fn open() -> Self {
        Self::alike(1.)
    }

    /// Round numbers for networks that nobody calibrated; they promise nothing.
    pub const fn uncalibrated() -> Self {
        let guarantee = String::new();
        Self { caution: 0.5, failure: 0.8, error: 0.5, anomaly: 0.5, anomaly_area: 1., guarantee }
    }

    const fn alike(limit: f32) -> Self {
        let guarantee = String::new();
        Self { caution: limit, failure: limit, error: limit, anomaly: limit, anomaly_area: limit, guarantee }
    }
}

/// One network of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<C> {
    /// Architecture and size.
    pub network: C,
    /// File of the weights (of a torchscript network, the network itself), in the bundle's folder.
    pub weights: String,
    /// SHA-256 of that file, in hex.
    pub sha256: String,
    /// Data that trained it.
    pub trained_on: String,
    /// Command that trained it, seed included.
    pub command: String,
}

/// The contents of `bundle.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of this format.
    pub format: u32,
    /// The label set: by name if it is built in, else whole.
    pub labels: LabelSet,
    /// Height and width at which the networks work.
    pub working_size: [u32; 2],
    /// Commands that made the data, where commands did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
    /// M.
    pub segmentation: Entry<SegmenterConfig>,
    /// G.
    pub synthesis: Entry<GeneratorConfig>,
    /// F.
    pub comparison: Entry<ComparatorConfig>,
    /// How the anomaly score is made.
    #[serde(default)]
    pub anomaly: anomaly::Config,
    /// Thresholds and their promise.
    pub calibration: Thresholds,
    /// Figures measured on data that no network saw, by name.
    #[serde(default)]
    pub metrics: std::collections::BTreeMap<String, f64>,
}

impl Description {
    /// Writes `bundle.yaml` in folder `dir`.
    pub fn write(&self, dir: &Path) -> Result<(), BundleError> {
        let path = dir.join(DESCRIPTION);
        let wrong = |reason: String| BundleError::Description { path: path.clone(), reason };
        let text = serde_norway::to_string(self).map_err(|e| wrong(e.to_string()))?;
        Ok(whole_file::write(&path, text)?)
    }
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// `bundle.yaml` does not say what it must.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The field and what is wrong with it.
        reason: String,
    },
    /// The weights are not those that the bundle was made with.
    #[error("{}: {field}.sha256 says {expected}, the file has {found}", path.display())]
    Hash {
        /// The weights.
        path: PathBuf,
        /// The network.
        field: &'static str,
        /// Hash in bundle.yaml.
        expected: String,
        /// Hash of the file.
        found: String,
    },
    /// The TorchScript file is no network that can be M.
    #[error("{}: {reason}", path.display())]
    TorchScript {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: TorchScriptError,
    },
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network is of a kind that is not built here.
    #[error(transparent)]
    NotBuilt(#[from] NotBuilt),
    /// The device or precision cannot be had.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// A bundle that was read and checked; networks are built from it.
#[derive(Debug)]
pub struct Bundle {
    /// The folder.
    pub dir: PathBuf,
    /// The folder's name.
    pub name: String,
    /// SHA-256 of `bundle.yaml`, in hex.
    pub hash: String,
    /// What `bundle.yaml` says.
    pub description: Description,
    /// The label set.
    pub labels: LabelSet,
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl Bundle {
    /// Reads and checks `bundle.yaml` in folder `dir`; weights are read later, one network at a time.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join(DESCRIPTION);
        let bytes = fs::read(&path)?;
        let wrong = |reason: String| BundleError::Description { path: path.clone(), reason };
        let description: Description = serde_norway::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if description.format != FORMAT {
            return Err(wrong(format!("format is {}, this version reads {FORMAT}", description.format)));
        }
        description
            .synthesis
            .network
            .check_size(description.working_size)
            .map_err(|reason| wrong(format!("working_size {reason}")))?;
        let t = &description.calibration;
        for (name, value) in [
            ("caution", t.caution),
            ("failure", t.failure),
            ("error", t.error),
            ("anomaly", t.anomaly),
            ("anomaly_area", t.anomaly_area),
        ] {
            if !(0. ..=1.).contains(&value) {
                return Err(wrong(format!("calibration.{name} is {value}, it must be in [0, 1]")));
            }
        }
        let name =
            dir.canonicalize().ok().and_then(|d| d.file_name().map(|n| n.to_string_lossy().into_owned()));
        Ok(Self {
            dir: dir.to_owned(),
            name: name.unwrap_or_else(|| dir.display().to_string()),
            hash: sha256(&bytes),
            labels: description.labels.clone(),
            description,
        })
    }

    /// Reads the weights of one network and checks their hash. Returns their path for messages.
    pub fn weights<C>(
        &self,
        field: &'static str,
        entry: &Entry<C>,
    ) -> Result<(Tensors, PathBuf), BundleError> {
        let (bytes, path) = self.file(field, entry)?;
        Ok((weights::parse(&bytes, &path)?, path))
    }

    /// The bytes of one network's file, whose hash is right, and its path for messages.
    pub fn file<C>(&self, field: &'static str, entry: &Entry<C>) -> Result<(Vec<u8>, PathBuf), BundleError> {
        let path = self.dir.join(&entry.weights);
        Ok((checked(path.clone(), field, &entry.sha256)?, path))
    }
}

/// The bytes of the file at `path`, if their hash is `expected`; `field` is for messages.
pub(crate) fn checked(path: PathBuf, field: &'static str, expected: &str) -> Result<Vec<u8>, BundleError> {
    let bytes = fs::read(&path)?;
    let found = sha256(&bytes);
    if found != expected {
        return Err(BundleError::Hash { path, field, expected: expected.into(), found });
    }
    Ok(bytes)
}
