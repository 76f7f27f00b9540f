//! From a labelled data set to a bundle: M, G, M on folds, F, calibration.
//!
//! Each stage leaves its result in the work folder, so that a recipe that was interrupted goes on
//! where it was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::TrainError;
use super::batch::TensorSet;
use super::checkpoint::{self, Run};
use super::predictions::{self, Predictions};
use super::progress::Budget;
use super::{comparison, segmentation, synthesis};
use crate::data::{self, Dataset, Slice, folds};
use crate::labels::LabelSet;
use crate::network::comparison::ComparerConfig;
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::{Synthesizer, SynthesizerConfig};
use crate::network::weights;

/// Everything that decides what comes out, besides the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Height and width at which the networks work.
    pub working_size: [u32; 2],
    /// M.
    pub segmentation: SegmenterConfig,
    /// Steps of M.
    pub segmentation_steps: u64,
    /// Contiguous folds on which F's examples are made.
    pub folds: usize,
    /// Steps of each fold's M.
    pub fold_steps: u64,
    /// Whether every second image of the folds is shown to M once more, degraded.
    pub degraded: bool,
    /// G.
    pub synthesis: SynthesizerConfig,
    /// Channels of the first layer of G's judge.
    pub judge_width: i64,
    /// Steps of G.
    pub synthesis_steps: u64,
    /// F.
    pub comparison: ComparerConfig,
    /// Steps of F.
    pub comparison_steps: u64,
    /// Images a step of M, G and F.
    pub batch: [usize; 3],
    /// Peak learning rates of M, G and F.
    pub rate: [f64; 3],
    /// Seed of all that is random.
    pub seed: u64,
}

/// Where and on what a recipe is carried out.
#[derive(Clone, Debug)]
pub struct Kitchen {
    /// Folder of the data set.
    pub data: PathBuf,
    /// Samples to train on.
    pub slice: Slice,
    /// Folder of checkpoints and intermediate results.
    pub work: PathBuf,
    /// ImageNet weights for M's encoder.
    pub pretrained: Option<PathBuf>,
    /// Where to compute.
    pub device: Device,
    /// In which precision.
    pub kind: Kind,
    /// Whether checkpoints are gone on with.
    pub resume: bool,
    /// Minutes after which a stage ends, if its steps do not end it before.
    pub minutes: Option<f64>,
}

/// A recipe being carried out.
pub struct Cooking {
    recipe: Recipe,
    kitchen: Kitchen,
    set: TensorSet,
    classes: i64,
}

impl Cooking {
    /// Loads the data.
    pub fn begin(recipe: Recipe, kitchen: Kitchen) -> Result<Self, TrainError> {
        let [height, width] = recipe.working_size;
        recipe.synthesis.check_size(recipe.working_size).map_err(TrainError::Size)?;
        let options =
            data::Options { size: Some((width, height)), slice: kitchen.slice.clone(), ..Default::default() };
        let dataset: Dataset = data::load(&kitchen.data, &options)?;
        let labels = LabelSet::by_name(&dataset.label_set).map_err(data::DataError::from)?;
        let set = TensorSet::new(&dataset);
        let classes = labels.len() as i64;
        Ok(Self { recipe, kitchen, set, classes })
    }

    fn run(&self, stage: &str, steps: u64) -> Run {
        Run {
            title: stage.to_owned(),
            path: self.kitchen.work.join(stage).join("checkpoint.safetensors"),
            budget: Budget { steps: Some(steps), minutes: self.kitchen.minutes },
            identity: format!("{stage}, seed {}", self.recipe.seed),
            resume: self.kitchen.resume,
            save_every: checkpoint::EVERY,
        }
    }

    fn m_options(&self, seed: u64) -> segmentation::Options {
        segmentation::Options {
            network: self.recipe.segmentation.clone(),
            pretrained: self.kitchen.pretrained.clone(),
            batch: self.recipe.batch[0],
            rate: self.recipe.rate[0],
            seed,
            device: self.kitchen.device,
            kind: self.kitchen.kind,
        }
    }

    /// Trains M on all of the samples.
    pub fn segmentation(&self) -> Result<segmentation::Trained, TrainError> {
        let run = self.run("segmentation", self.recipe.segmentation_steps);
        segmentation::train(&self.set, self.classes, &self.m_options(self.recipe.seed), &run)
    }

    /// M as [`Cooking::segmentation`] left it in the work folder.
    pub fn trained_segmentation(&self) -> Result<segmentation::Trained, TrainError> {
        let trained = segmentation::build(&self.m_options(self.recipe.seed), self.classes)?;
        self.fill("segmentation", "m/", &trained.vs)?;
        Ok(trained)
    }

    /// G as [`Cooking::synthesis`] left it in the work folder.
    pub fn trained_synthesis(&self) -> Result<(VarStore, Box<dyn Synthesizer>), TrainError> {
        let vs = VarStore::new(self.kitchen.device);
        let network = self.recipe.synthesis.build(&vs.root(), self.classes);
        self.fill("synthesis", "g/", &vs)?;
        Ok((vs, network))
    }

    fn fill(&self, stage: &str, prefix: &str, vs: &VarStore) -> Result<(), TrainError> {
        let path = self.kitchen.work.join(stage).join("checkpoint.safetensors");
        let tensors = weights::read(&path)?;
        let own =
            |(name, tensor): (String, tch::Tensor)| name.strip_prefix(prefix).map(|n| (n.to_owned(), tensor));
        Ok(weights::load(vs, &tensors.into_iter().filter_map(own).collect(), &path)?)
    }

    /// Trains G on the ground truth, in sight of M.
    pub fn synthesis(
        &self,
        m: &segmentation::Trained,
    ) -> Result<(VarStore, Box<dyn Synthesizer>), TrainError> {
        let options = synthesis::Options {
            network: self.recipe.synthesis.clone(),
            judge_width: self.recipe.judge_width,
            batch: self.recipe.batch[1],
            rate: self.recipe.rate[1],
            seed: self.recipe.seed,
            device: self.kitchen.device,
            kind: self.kitchen.kind,
        };
        for (_, variable) in m.vs.variables() {
            let _ = variable.set_requires_grad(false);
        }
        let run = self.run("synthesis", self.recipe.synthesis_steps);
        synthesis::train(&self.set, self.classes, &*m.network, &options, &run)
    }

    /// Trains M without each fold and shows it that fold.
    pub fn predictions(&self, g: &dyn Synthesizer) -> Result<Predictions, TrainError> {
        let count = self.set.len() as usize;
        let folds = folds::contiguous(count, self.recipe.folds, 0)
            .map_err(|e| TrainError::Format { path: self.kitchen.data.clone(), reason: e.to_string() })?;
        let mut parts = Vec::with_capacity(folds.len());
        for (k, fold) in folds.iter().enumerate() {
            let path = self.kitchen.work.join(format!("fold-{k}")).join("predictions.safetensors");
            if !(self.kitchen.resume && path.exists()) {
                let others: Vec<i64> = fold.train().map(|i| i as i64).collect();
                let own: Vec<i64> = fold.held_out.clone().map(|i| i as i64).collect();
                let run = self.run(&format!("fold-{k}"), self.recipe.fold_steps);
                let options = self.m_options(self.recipe.seed + 1 + k as u64);
                let m = segmentation::train(&self.set.select(&others), self.classes, &options, &run)?;
                let how = (options.seed, self.kitchen.device, self.kitchen.kind);
                let own = self.set.select(&own);
                predictions::predict(&*m.network, g, &own, self.classes, self.recipe.degraded, how)
                    .write(&path)?;
            }
            parts.push(Predictions::read(&path)?);
        }
        Ok(Predictions::concat(&parts))
    }

    /// Trains F on the folds' predictions.
    pub fn comparison(&self, predictions: &Predictions) -> Result<VarStore, TrainError> {
        let options = comparison::Options {
            network: self.recipe.comparison.clone(),
            align_corners: self.recipe.segmentation.align_corners(),
            batch: self.recipe.batch[2],
            rate: self.recipe.rate[2],
            seed: self.recipe.seed,
            device: self.kitchen.device,
            kind: self.kitchen.kind,
        };
        let run = self.run("comparison", self.recipe.comparison_steps);
        Ok(comparison::train(predictions, self.classes, &options, &run)?.0)
    }
}

/// Writes a network's weights in half precision into a bundle's folder.
pub fn write_weights(vs: &VarStore, path: &Path) -> Result<(), TrainError> {
    Ok(weights::write(&weights::tensors(vs), path, Some(Kind::Half))?)
}
