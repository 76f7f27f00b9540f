//! What M begins from: random weights, an encoder's, or those of an M that was trained before.

use std::path::{Path, PathBuf};

use tch::Device;
use tch::nn::VarStore;

use super::TrainError;
use crate::checkpoint::published;
use crate::checkpoint::weights::{self, Tensors, WeightsError};
use crate::model::bundle::sha256;
use crate::network::segmentation::SegmenterConfig;
use crate::whole_file;

/// What M begins from.
#[derive(Clone, Debug)]
pub enum Beginning {
    /// Random weights.
    Random,
    /// Its encoder from ImageNet weights, a checkpoint of PyTorch; the rest from random ones.
    Encoder(PathBuf),
    /// All of it from an M of a bundle, or of a work folder's checkpoint.
    Weights(PathBuf),
}

/// The file of such an M, read.
pub(crate) struct Start {
    path: PathBuf,
    sha256: String,
    tensors: Tensors,
}

impl Start {
    /// Reads the M of `path`, a bundle's weights or a work folder's checkpoint.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let bytes = whole_file::read(path, weights::MOST)?;
        let tensors = published::without_training(weights::parse(&bytes, path)?);
        Ok(Self { path: path.into(), sha256: sha256(&bytes), tensors })
    }

    /// The file's name and the beginning of its SHA-256.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}, SHA-256 {:.16}", self.sha256)
    }

    /// Copies the weights into an M of `classes` classes, which must be of their kind.
    pub fn load(&self, vs: &VarStore, network: &SegmenterConfig, classes: i64) -> Result<(), TrainError> {
        let misfits = weights::mismatches(vs, &weights::shapes_of(&self.tensors), &self.path);
        // The classes are the first extent of the last layer's tensors, and of nothing else.
        let other_classes = |error: &WeightsError| match error {
            WeightsError::Shape { found, expected, .. } => match (&found[..], &expected[..]) {
                ([of, f @ ..], [for_, e @ ..]) if *for_ == classes && f == e => Some(*of),
                _ => None,
            },
            _ => None,
        };
        let reason = match misfits.iter().map(other_classes).collect::<Option<Vec<_>>>().as_deref() {
            Some([]) => return Ok(weights::load(vs, &self.tensors, &self.path)?),
            Some([found, ..]) => format!("an M of {found} classes; the data have {classes}"),
            None => {
                let first = misfits[0].to_string();
                let first = first.strip_prefix(&format!("{}: ", self.path.display())).unwrap_or(&first);
                format!("{first}; expected an M as in the recipe, {network:?}")
            }
        };
        Err(TrainError::Format { path: self.path.clone(), reason })
    }

    /// Fails if `load` would.
    pub fn check(&self, network: &SegmenterConfig, classes: i64) -> Result<(), TrainError> {
        let vs = VarStore::new(Device::Cpu);
        network.build(&vs.root(), classes)?;
        self.load(&vs, network, classes)
    }
}
