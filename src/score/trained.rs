//! Detectors that training left in a folder: `<name>.yaml` says what it is, a safetensors file beside it
//! holds its weights.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use tch::Device;
use tch::nn::VarStore;

use super::compared::ByComparison;
use super::detector::Detector;
use super::dropout_regressor::DropoutRegressor;
use super::reconstruction::Reconstruction;
use super::tcp::{Score, TrueClassProbability};
use super::vae_alarm::VaeAlarm;
use crate::checkpoint::weights::{self, Tensors, WeightsError};
use crate::model::bundle::{BundleError, Entry, checked};
use crate::network::baseline::BaselineConfig;
use crate::network::baseline::autoencoder::Autoencoder;
use crate::network::baseline::regressor::Regressor;
use crate::network::baseline::tcp::{self, Tcp};
use crate::network::baseline::vae;

/// What `<name>.yaml` says.
pub type Description = Entry<BaselineConfig>;

/// Loads every detector in `folder`, in the order of their names, for `classes` classes. TCP gives two: as
/// its paper has it, and as SynthCP's code scores it; so do Fs that score pixels and are not told of M's
/// softmax as a prior. No folder, no detectors.
pub fn load(folder: &Path, classes: i64, device: Device) -> Result<Vec<Box<dyn Detector>>, BundleError> {
    load_if(folder, classes, device, |_| true)
}

/// The same, of the networks that are `wanted`.
pub fn load_if(
    folder: &Path,
    classes: i64,
    device: Device,
    wanted: impl Fn(&BaselineConfig) -> bool,
) -> Result<Vec<Box<dyn Detector>>, BundleError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let io = |source| BundleError::Io { path: folder.into(), source };
    let files: Result<Vec<PathBuf>, _> =
        folder.read_dir().map_err(io)?.map(|e| e.map(|e| e.path())).collect();
    let mut files = files.map_err(io)?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let mut detectors = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).map_err(|source| BundleError::Io { path: path.clone(), source })?;
        let description: Description = serde_norway::from_slice(&bytes)
            .map_err(|e| BundleError::Description { path: path.clone(), reason: e.to_string() })?;
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
) -> Result<Vec<Box<dyn Detector>>, BundleError> {
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let file = path.with_file_name(&description.weights);
    let bytes = checked(file.clone(), "baseline", &description.sha256)?;
    let tensors = weights::parse(&bytes, &file)?;
    let vs = VarStore::new(device);
    let root = vs.root();
    let fill = || weights::load(&vs, &tensors, &file);
    Ok(match &description.network {
        BaselineConfig::Tcp(config) => {
            let branch = Rc::new(Tcp::new(&root, config, features(&tensors, &file)?));
            fill()?;
            vec![
                Box::new(TrueClassProbability::new(name.clone(), branch.clone(), Score::Estimate)),
                Box::new(TrueClassProbability::new(format!("{name} as released"), branch, Score::AsReleased)),
            ]
        }
        BaselineConfig::VaeAlarm(config) => {
            let network = vae::VaeAlarm::new(&root, config, classes);
            fill()?;
            vec![Box::new(VaeAlarm::new(name, network))]
        }
        BaselineConfig::Autoencoder(config) => {
            let network = Autoencoder::new(&root, config);
            fill()?;
            vec![Box::new(Reconstruction::new(name, network))]
        }
        BaselineConfig::McDropout { passes } => {
            let regressor = Regressor::new(&root, classes, classes);
            fill()?;
            vec![Box::new(DropoutRegressor::new(name, *passes, regressor))]
        }
        BaselineConfig::Comparison { network: config } => {
            let mut network = config.build(&root, classes);
            fill()?;
            network.fold();
            let detectors = ByComparison::detectors(name, network, config.is_scored_with_msp());
            detectors.into_iter().map(|detector| Box::new(detector) as Box<dyn Detector>).collect()
        }
    })
}

/// How many features of M a branch was trained on.
fn features(tensors: &Tensors, path: &Path) -> Result<i64, WeightsError> {
    let shape = tensors.get(tcp::FIRST).map(|first| first.size());
    shape.and_then(|shape| shape.get(1).copied()).ok_or_else(|| WeightsError::Missing {
        path: path.into(),
        name: tcp::FIRST.into(),
        expected: vec![-1, -1, 3, 3],
    })
}
