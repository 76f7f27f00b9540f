//! From a work folder to a bundle: weights in half precision, hashes, origin, thresholds.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::TrainError;
use super::calibration::{CalibrationError, calibrate};
use super::recipe::Recipe;
use super::training::Workspace;
use crate::checkpoint::weights;
use crate::data::{self, Slice};
use crate::labels::LabelSet;
use crate::model::bundle::{BundleError, Description, Entry, FORMAT, Thresholds, sha256};

/// Where a bundle's weights come from, in words.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Data that trained them.
    pub trained_on: String,
    /// Command that trained them, seed included.
    pub command: String,
}

/// Packs the networks that a recipe left in the work folder into the bundle `out`; thresholds from the
/// samples in `calibration`, which none of the networks may have seen.
pub fn pack(
    recipe: &Recipe,
    workspace: &Workspace,
    calibration: &Slice,
    command: String,
    out: &Path,
) -> Result<(), CalibrationError> {
    let vs = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let labels = workspace.reading.label_set(&workspace.data, data::detect(&workspace.data)?)?;
    let classes = labels.len() as i64;
    build(recipe, &vs, classes)?;
    for (vs, (stage, prefix)) in
        vs.iter().zip([("segmentation", "m/"), ("synthesis", "g/"), ("comparison", "f/")])
    {
        workspace.fill(stage, prefix, vs)?;
    }
    let takes = [("M", recipe.segmentation.takes_pretrained()), ("F", recipe.comparison.takes_pretrained())];
    let trained_on = workspace.trained_on(&takes);
    let origin = Origin { trained_on, command };
    write(out, recipe, &vs, &labels, &origin, Thresholds::open())?;
    let thresholds = calibrate(out, &workspace.data, calibration, &workspace.reading)?;
    Ok(write(out, recipe, &vs, &labels, &origin, thresholds)?)
}

/// Builds the parameters of a recipe's three networks.
pub fn build(recipe: &Recipe, [m, g, f]: &[VarStore; 3], classes: i64) -> Result<(), TrainError> {
    recipe.segmentation.build(&m.root(), classes)?;
    recipe.synthesis.build(&g.root(), classes);
    recipe.comparison.build(&f.root(), classes);
    Ok(())
}

/// Writes a bundle of M, G and F.
pub fn write(
    out: &Path,
    recipe: &Recipe,
    vs: &[VarStore; 3],
    labels: &LabelSet,
    origin: &Origin,
    calibration: Thresholds,
) -> Result<(), BundleError> {
    fs::create_dir_all(out)?;
    let store = |vs: &VarStore, stage: &str| -> Result<(String, String), BundleError> {
        let file = format!("{stage}.safetensors");
        let path = out.join(&file);
        weights::write(&weights::tensors(vs), &path, Some(Kind::Half))?;
        let hash = sha256(&fs::read(&path)?);
        Ok((file, hash))
    };
    let [m, g, f] = vs;
    let description = Description {
        format: FORMAT,
        labels: labels.clone(),
        working_size: recipe.working_size,
        data: recipe.data.clone(),
        segmentation: entry(&recipe.segmentation, store(m, "segmentation")?, origin),
        synthesis: entry(&recipe.synthesis, store(g, "synthesis")?, origin),
        comparison: entry(&recipe.comparison, store(f, "comparison")?, origin),
        anomaly: recipe.anomaly,
        calibration,
        metrics: BTreeMap::new(),
    };
    description.write(out)
}

fn entry<C: Clone>(network: &C, (weights, sha256): (String, String), origin: &Origin) -> Entry<C> {
    let Origin { trained_on, command } = origin.clone();
    Entry { network: network.clone(), weights, sha256, trained_on, command }
}
