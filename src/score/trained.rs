//! Detectors that training left in a folder: `<name>.yaml` says what it is, a safetensors file beside it
//! holds its weights.

use std::path::{Path, PathBuf};

use fs_err as fs;
use tch::Device;
use tch::nn::VarStore;

use super::detector::Detector;
use super::entry::Boxed;
use crate::checkpoint::weights::{self, Tensors, WeightsError};
use crate::model::bundle::{BundleError, Entry, MOST_YAML, checked};
use crate::network::baseline::{BaselineConfig, baselines};
use crate::quote::told;
use crate::whole_file;

/// What `<name>.yaml` says.
pub type Description = Entry<BaselineConfig>;

/// Loads every detector in `folder`, in the order of their names, for `classes` classes. TCP gives two: as
/// its paper has it, and as SynthCP's code scores it; so do Fs that score pixels and are not told of M's
/// softmax as a prior. No folder, no detectors.
pub fn load(folder: &Path, classes: i64, device: Device) -> Result<Vec<Boxed>, BundleError> {
    load_if(folder, classes, device, |_| true)
}

/// The same, of the networks that are `wanted`.
pub(crate) fn load_if(
    folder: &Path,
    classes: i64,
    device: Device,
    wanted: impl Fn(&BaselineConfig) -> bool,
) -> Result<Vec<Boxed>, BundleError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let files: Result<Vec<PathBuf>, std::io::Error> =
        fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect();
    let mut files = files?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let mut detectors = Vec::new();
    for path in files {
        let wrong = |reason: String| BundleError::Description { path: path.clone(), reason };
        let bytes = whole_file::read(&path, MOST_YAML)?;
        let description: Description = serde_norway::from_slice(&bytes).map_err(|e| wrong(told(e)))?;
        description.check(|network| network.check()).map_err(|e| wrong(e.to_string()))?;
        if wanted(&description.network) {
            detectors.extend(load_one(&path, &description, classes, device)?);
        }
    }
    Ok(detectors)
}

fn load_one(
    path: &Path,
    description: &Description,
    classes: i64,
    device: Device,
) -> Result<Vec<Boxed>, BundleError> {
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let file = path.with_file_name(&description.weights);
    let bytes = checked(file.clone(), "baseline", &description.sha256)?;
    let tensors = weights::parse(&bytes, &file)?;
    let stored = Stored { name, classes, vs: VarStore::new(device), tensors, file };
    Ok(of(&description.network).load(&stored)?)
}

/// What training left of one detector.
struct Stored {
    /// Its name.
    name: String,
    /// Classes of the label set.
    classes: i64,
    /// Where its network is to be built, before [`Stored::fill`].
    vs: VarStore,
    tensors: Tensors,
    file: PathBuf,
}

impl Stored {
    /// Gives the network that was built the weights of the file.
    fn fill(&self) -> Result<(), WeightsError> {
        weights::load(&self.vs, &self.tensors, &self.file)
    }
}

/// A baseline's configuration, which knows how its detectors are had.
trait Load {
    /// Builds the network, fills it and gives the detectors that it makes: mostly one.
    fn load(&self, stored: &Stored) -> Result<Vec<Boxed>, WeightsError>;
}

/// How many features of M a network was trained on, from the shape of its tensor `first`.
fn features_of(stored: &Stored, first: &str) -> Result<i64, WeightsError> {
    let shape = stored.tensors.get(first).map(|first| first.size());
    shape.and_then(|shape| shape.get(1).copied()).ok_or_else(|| WeightsError::Missing {
        path: stored.file.clone(),
        name: first.into(),
        expected: vec![-1, -1, 3, 3],
    })
}

/// A single detector.
fn one(detector: impl Detector + 'static) -> Vec<Boxed> {
    vec![Box::new(detector)]
}

macro_rules! load {
    ($($(#[$about:meta])* $variant:ident in $module:ident,)*) => {
        $(mod $module;)*

        fn of(network: &BaselineConfig) -> &dyn Load {
            match network {
                $(BaselineConfig::$variant(config) => config,)*
            }
        }
    };
}
baselines!(load);
