//! `synthcp train`: one stage, or all of them up to the bundle.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use synthcp_monitor::data::Slice;
use synthcp_monitor::train::training::Training;
use synthcp_monitor::train::{packing, progress};

use super::Outcome;
use super::interrupt;
use super::training::{Common, pack, prepare, spare_data};

/// What to train.
#[derive(Subcommand)]
pub enum Stage {
    /// Trains the segmenter M on labelled images.
    Segmentation(Common),
    /// Trains the generator G on labels, with a loss on the features of M.
    Synthesis(Common),
    /// Trains M without one of the folds: `comparison` does so for each, one after the other.
    Fold(Fold),
    /// Shows an M that was trained without a fold that fold, and G what it made of it: what F learns from.
    Predictions(Fold),
    /// Trains M on each fold, then the comparator F on their predictions.
    Comparison(Common),
    /// Trains a baseline of the recipe on the results of earlier stages in the work folder.
    Baseline(Baseline),
    /// Trains M, G, the folds and F, calibrates and packs: everything up to a bundle.
    All(All),
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

/// `synthcp train fold` and `synthcp train predictions`.
#[derive(Args)]
pub struct Fold {
    #[command(flatten)]
    common: Common,
    /// Which, from 0.
    #[arg(long)]
    fold: usize,
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
    interrupt::on_first(|| {
        note!(
            "stopping after the step in hand; once more ends at once, and loses what follows the last checkpoint"
        );
        progress::stop();
    })?;
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
        Stage::Fold(Fold { common, fold }) => {
            let (mut recipe, workspace) = prepare(common)?;
            recipe.fold_steps = common.steps.unwrap_or(recipe.fold_steps);
            Training::begin(recipe, workspace)?.fold(*fold)?;
        }
        Stage::Predictions(Fold { common, fold }) => {
            let (mut recipe, workspace) = prepare(common)?;
            recipe.fold_steps = common.steps.unwrap_or(recipe.fold_steps);
            let training = Training::begin(recipe, workspace)?;
            let (_parameters, g) = training.trained_synthesis()?;
            training.predict(*fold, &*g)?;
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
            say!("{}", Training::begin(recipe, workspace)?.baseline(which, &command)?.display());
        }
        Stage::All(all) => {
            let (recipe, workspace) = prepare(&all.common)?;
            // Hours of training end here.
            spare_data(&all.common, &all.bundle)?;
            packing::check(&recipe, &workspace, &all.calibration, &all.bundle)?;
            let training = Training::begin(recipe.clone(), workspace)?;
            let m = training.segmentation()?;
            let (_parameters, g) = training.synthesis(&m)?;
            training.comparison(&training.predictions(&*g)?)?;
            pack(&all.bundle, &recipe, &all.common, &all.calibration)?;
        }
    }
    Ok(())
}
