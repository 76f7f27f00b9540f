//! Training of what the bundle's F is measured against: the baselines, and other Fs.
//!
//! Whatever learns from M's errors learns from the folds' predictions, as F does: from images that their
//! M has not seen. TCP alone cannot: it reads M's features, which mean something else in every M. It
//! learns, as its authors have it, from the training images of the M that it will assess; and, as F does,
//! from degraded ones, where that M errs.

mod regression;

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::batch::TensorSet;
use super::checkpoint::Run;
use super::outliers::Outliers;
use super::predictions::Predictions;
use super::{TrainError, segmentation};
use crate::checkpoint::weights;
use crate::model::bundle::sha256;
use crate::network::baseline::{BaselineConfig, baselines};
use crate::score::trained::Description;
use crate::whole_file;

/// What is trained and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The network.
    pub network: BaselineConfig,
    /// Optimizer steps.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Seed of all that is random, where it is another than the recipe's.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Classes of the label set.
    pub classes: i64,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Seed of all that is random.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// In which precision; parameters stay fp32.
    pub kind: Kind,
}

/// What there is to learn from; what is read from the work folder is read when it is asked for.
pub struct Lessons<'a> {
    /// Labelled images.
    pub set: &'a TensorSet,
    /// Whether some are to be shown degraded.
    pub degraded: bool,
    /// M, trained on them.
    pub segmenter: &'a dyn Fn() -> Result<segmentation::Trained, TrainError>,
    /// What is pasted into images, of a recipe that has outliers.
    pub(crate) outliers: &'a dyn Fn() -> Result<Option<Outliers>, TrainError>,
    /// The folds' predictions.
    pub predictions: &'a dyn Fn() -> Result<Predictions, TrainError>,
    /// Whether their logits are resized with aligned corners.
    pub align_corners: bool,
    /// Whether what is unlabelled from the lower edge upwards is the vehicle itself.
    pub sees_own_vehicle: bool,
    /// By how much the tones of x are changed at most, as an F sees it.
    pub color: f64,
    /// ImageNet weights for an encoder that takes them.
    pub pretrained: Option<&'a Path>,
}

/// A baseline's configuration, which knows how its network is trained.
pub trait Train {
    /// Builds the network and trains it; its parameters.
    fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError>;
}

macro_rules! train {
    ($($(#[$about:meta])* $variant:ident in $module:ident,)*) => {
        $(mod $module;)*

        impl Train for BaselineConfig {
            fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError> {
                match self {
                    $(Self::$variant(config) => config.train(lessons, options, run),)*
                }
            }
        }
    };
}
baselines!(train);

/// Writes a trained detector into `folder`, from where
/// [`trained::load`](crate::score::trained::load) reads it. Returns the path of its description.
pub fn export(
    folder: &Path,
    name: &str,
    network: &BaselineConfig,
    vs: &VarStore,
    (trained_on, command): (&str, &str),
) -> Result<PathBuf, TrainError> {
    fs::create_dir_all(folder)?;
    let file = format!("{name}.safetensors");
    let path = folder.join(&file);
    weights::write(&weights::tensors(vs), &path, None)?;
    let description = Description {
        network: network.clone(),
        sha256: sha256(&fs::read(&path)?),
        weights: file,
        trained_on: trained_on.into(),
        command: command.into(),
    };
    let path = folder.join(format!("{name}.yaml"));
    let text = serde_norway::to_string(&description)
        .map_err(|e| TrainError::Format { path: path.clone(), reason: e.to_string() })?;
    whole_file::write(&path, text)?;
    Ok(path)
}
