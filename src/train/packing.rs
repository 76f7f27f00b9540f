//! From a work folder to a bundle: weights in half precision, hashes, origin, thresholds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::TrainError;
use super::calibration::{self, CalibrationError, SEEN, calibrate};
use super::foreign::Foreign;
use super::recipe::Recipe;
use super::workspace::{COMPARISON, SEGMENTATION, SYNTHESIS, Workspace};
use crate::checkpoint::{pytorch, weights};
use crate::data::{self, Slice};
use crate::labels::LabelSet;
use crate::model::bundle::{
    Bundle, BundleError, DESCRIPTION, Description, Entry, FORMAT, Thresholds, sha256,
};
use crate::network::segmentation::SegmenterConfig;

/// Where a bundle's weights come from, in words.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Data that trained them.
    pub trained_on: String,
    /// Command that trained them, seed included.
    pub command: String,
}

/// Whether [`pack`] will be able to, as far as it can be told before the networks are trained.
pub fn check(
    recipe: &Recipe,
    workspace: &Workspace,
    calibration: &Slice,
    out: &Path,
) -> Result<(), CalibrationError> {
    recipe.check().map_err(TrainError::Recipe)?;
    calibration::check(&workspace.data, calibration, &[&trained_on(recipe, workspace)?])?;
    calibration::check_apart(&workspace.data, calibration, &workspace.slice)?;
    if let Some(folder) = workspace.start.as_deref().and_then(Path::parent) {
        calibration::check_copies(folder, &workspace.data, calibration)?;
    }
    if let Some(given) = &workspace.given {
        let pairs = data::list(&workspace.data, calibration, false)?.1.pairs;
        given.open(&workspace.data, &pairs, &workspace.labels()?)?;
    }
    let classes = workspace.labels()?.len() as i64;
    // Networks that are no trainable ones, and pretrained weights that are not.
    build(recipe, &[(); 3].map(|()| VarStore::new(Device::Cpu)), classes)?;
    workspace.check_start(recipe, classes)?;
    if let Some(path) = &workspace.pretrained {
        pytorch::read(path).map_err(TrainError::from)?;
    }
    check_out(out)?;
    // A folder that cannot be made, or not be written to, shows now.
    let part = beside(out, "part");
    fs::create_dir_all(&part)?;
    Ok(fs::remove_dir_all(&part)?)
}

/// Packs the networks that a recipe left in the work folder into the bundle `out`; thresholds from the
/// samples in `calibration`, which none of the networks may have seen. The bundle is put together beside
/// `out` and takes its name when it is whole; until then, what was there before stays.
pub fn pack(
    recipe: &Recipe,
    workspace: &Workspace,
    calibration: &Slice,
    command: String,
    out: &Path,
) -> Result<(), CalibrationError> {
    check(recipe, workspace, calibration, out)?;
    let vs = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let labels = workspace.labels()?;
    let classes = labels.len() as i64;
    build(recipe, &vs, classes)?;
    let foreign = workspace.foreign()?;
    let stages = [(SEGMENTATION, "m/"), (SYNTHESIS, "g/"), (COMPARISON, "f/")];
    for (vs, (stage, prefix)) in vs.iter().zip(stages).skip(usize::from(foreign.is_some())) {
        workspace.fill(recipe, stage, prefix, vs)?;
    }
    let origin = Origin { trained_on: trained_on(recipe, workspace)?, command };
    let part = beside(out, "part");
    write(&part, recipe, &vs, &labels, &origin, None)?;
    if let Some(foreign) = foreign {
        take_as_it_is(&part, &foreign)?;
    }
    let start = workspace.start.as_deref().and_then(Path::parent);
    calibration::remember(&part, &workspace.data, &workspace.slice, start)?;
    let mut description = Bundle::open(&part)?.description;
    let given = workspace.given.as_ref();
    let limits = calibrate(&part, &workspace.data, calibration, &workspace.reading, given, None)?;
    description.calibration = Some(limits);
    description.write(&part)?;
    Ok(replace(out, &part)?)
}

/// Puts somebody's own M in the place of the empty weights in the bundle `part`.
fn take_as_it_is(part: &Path, foreign: &Foreign) -> Result<(), CalibrationError> {
    let mut description = Bundle::open(part)?.description;
    let entry = &mut description.segmentation;
    let empty = part.join(&entry.weights);
    entry.weights = format!("{SEGMENTATION}.pt");
    entry.sha256 = foreign.sha256();
    foreign.write(&part.join(&entry.weights))?;
    description.write(part)?;
    Ok(fs::remove_file(empty)?)
}

fn trained_on(recipe: &Recipe, workspace: &Workspace) -> Result<String, TrainError> {
    let takes = [("M", recipe.segmentation.takes_pretrained()), ("F", recipe.comparison.takes_pretrained())];
    workspace.trained_on(&takes)
}

/// `OUT.ending`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.components().as_path().as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

/// Fails if something else than a bundle is at `out`, which would be lost.
fn check_out(out: &Path) -> Result<(), CalibrationError> {
    let occupied = |found: &str| CalibrationError::Occupied { out: out.into(), found: found.into() };
    if out.is_file() {
        return Err(occupied("a file"));
    }
    if !out.exists() {
        return Ok(());
    }
    for file in fs::read_dir(out)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        let (stem, _) = name.split_once('.').unwrap_or((&name, ""));
        if ![DESCRIPTION, SEEN].contains(&name.as_str())
            && ![SEGMENTATION, SYNTHESIS, COMPARISON, "self_test"].contains(&stem)
        {
            return Err(occupied(&name));
        }
    }
    Ok(())
}

/// Gives the folder `part` the name `out`, in place of the bundle that may have it.
fn replace(out: &Path, part: &Path) -> std::io::Result<()> {
    if !out.exists() {
        return fs::rename(part, out);
    }
    let old = beside(out, "old");
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    fs::rename(out, &old)?;
    fs::rename(part, out)?;
    fs::remove_dir_all(&old)
}

/// Builds the parameters of a recipe's three networks.
pub fn build(recipe: &Recipe, [m, g, f]: &[VarStore; 3], classes: i64) -> Result<(), TrainError> {
    // Somebody's own M comes whole, from its file.
    if !matches!(recipe.segmentation, SegmenterConfig::Torchscript(_)) {
        recipe.segmentation.build(&m.root(), classes)?;
    }
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
    calibration: Option<Thresholds>,
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
        self_test: None,
        metrics: BTreeMap::new(),
    };
    description.write(out)
}

fn entry<C: Clone>(network: &C, (weights, sha256): (String, String), origin: &Origin) -> Entry<C> {
    let Origin { trained_on, command } = origin.clone();
    Entry { network: network.clone(), weights, sha256, trained_on, command }
}
