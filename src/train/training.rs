//! From a labelled data set to trained networks: M, G, M on folds, F, baselines.
//!
//! Each stage leaves its result in the work folder, so that a recipe that was interrupted goes on
//! where it was.

use std::path::PathBuf;

use tch::Tensor;
use tch::nn::VarStore;

use super::TrainError;
use super::baseline::{self, Lessons, Train};
use super::batch::TensorSet;
use super::checkpoint::{self, Run};
use super::identity::Identity;
use super::outliers::{Cutouts, Outliers};
use super::predictions::{self, Predictions};
use super::progress::{self, Budget};
use super::recipe::Recipe;
use super::start::Beginning;
use super::workspace::{
    BASELINES, COMPARISON, DETECTORS, FOLD, PREDICTIONS, SEGMENTATION, SYNTHESIS, Workspace, goes_on,
};
use super::{comparison, segmentation, synthesis};
use crate::data::folds::{self, Along, Fold, drive};
use crate::data::{self, Dataset};
use crate::labels::LabelSet;
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::Generator;

/// A recipe being carried out.
pub struct Training {
    recipe: Recipe,
    workspace: Workspace,
    set: TensorSet,
    given: Option<Tensor>,
    folds: Vec<Fold>,
    classes: i64,
    labels: LabelSet,
    contents: Identity,
}

impl Training {
    /// Loads the data. Whatever of the recipe cannot be carried out is refused here, before the first step.
    pub fn begin(recipe: Recipe, workspace: Workspace) -> Result<Self, TrainError> {
        let [height, width] = recipe.working_size;
        recipe.check().map_err(TrainError::Recipe)?;
        if let Some(minutes) = workspace.minutes.filter(|minutes| !(*minutes > 0. && minutes.is_finite())) {
            return Err(TrainError::Recipe(format!("minutes is {minutes}, it must be above 0")));
        }
        fs_err::create_dir_all(&workspace.work)?;
        let options = data::Options {
            size: Some((width, height)),
            slice: workspace.slice.clone(),
            reading: workspace.reading.clone(),
            ..Default::default()
        };
        let dataset: Dataset = data::load(&workspace.data, &options)?;
        let set = TensorSet::new(&dataset);
        let classes = dataset.labels.len() as i64;
        let folds = match recipe.folds_along {
            // An M that has seen none of the samples has seen none of any fold.
            _ if workspace.segmenter.is_some() => vec![Fold::all(dataset.samples.len())],
            None => folds::contiguous(dataset.samples.len(), recipe.folds, 0)?,
            Some(Along::Drives) => {
                let drives: Vec<&str> = dataset.samples.iter().map(|sample| drive(&sample.name)).collect();
                folds::along(&drives, recipe.folds)?
            }
        };
        let given = workspace.given_labels(&recipe, &dataset.labels)?;
        let contents = Identity::default().of_contents(&set);
        match (&recipe.segmentation, workspace.foreign()?) {
            (SegmenterConfig::Torchscript(config), Some(foreign)) => {
                foreign.try_feeding(config, &set, classes, workspace.device)?;
            }
            (SegmenterConfig::Torchscript(_), None) => return Err(TrainError::NoSegmenter),
            _ => workspace.check_start(&recipe, classes)?,
        }
        let (count, name) = (dataset.samples.len(), &dataset.labels.name);
        progress::say(&format!(
            "{}: {count} samples ({}), {classes} classes of {name}",
            workspace.data.display(),
            workspace.slice
        ));
        Ok(Self { recipe, workspace, set, given, folds, classes, labels: dataset.labels, contents })
    }

    fn identity(&self, stage: &str) -> Result<Identity, TrainError> {
        let identity = self.workspace.identity(&self.recipe, stage)?.and(&self.contents);
        let is_before_f = [SEGMENTATION, SYNTHESIS].contains(&stage) || stage.starts_with(FOLD);
        Ok(match &self.given {
            Some(given) if !is_before_f => identity.of_given(given),
            _ => identity,
        })
    }

    fn run(&self, stage: &str, steps: u64) -> Result<Run, TrainError> {
        Ok(Run {
            title: stage.to_owned(),
            path: self.workspace.checkpoint(stage),
            budget: Budget { steps: Some(steps), minutes: self.workspace.minutes },
            identity: self.identity(stage)?,
            resume: self.workspace.resume,
            save_every: checkpoint::EVERY,
            pause_at: self.workspace.pause_at,
        })
    }

    /// The encoder's weights, for a network that takes them.
    fn pretrained(&self, takes: bool) -> Option<PathBuf> {
        self.workspace.pretrained.clone().filter(|_| takes)
    }

    fn m_options(&self, stage: &str, seed: u64) -> segmentation::Options {
        let pretrained = self.pretrained(self.recipe.segmentation.takes_pretrained());
        let start = self.workspace.start.clone().filter(|_| goes_on(stage));
        segmentation::Options {
            network: self.recipe.segmentation.clone(),
            beginning: match start {
                Some(start) => Beginning::Weights(start),
                None => pretrained.map_or(Beginning::Random, Beginning::Encoder),
            },
            batch: self.recipe.batch[0],
            crop: self.recipe.segmentation_crop.map(|[height, width]| (height.into(), width.into())),
            rate: self.recipe.rate[0],
            seed,
            device: self.workspace.device,
            kind: self.workspace.kind,
        }
    }

    /// Trains M on all of the samples; takes somebody's own as it is.
    pub fn segmentation(&self) -> Result<segmentation::Trained, TrainError> {
        let options = self.m_options(SEGMENTATION, self.recipe.seed);
        if self.workspace.segmenter.is_some() {
            return self.build_segmenter(&options);
        }
        let run = self.run(SEGMENTATION, self.recipe.segmentation_steps)?;
        segmentation::train(&self.set, self.classes, &options, &run)
    }

    /// M as [`Training::segmentation`] left it in the work folder.
    pub fn trained_segmentation(&self) -> Result<segmentation::Trained, TrainError> {
        let trained = self.build_segmenter(&self.m_options(SEGMENTATION, self.recipe.seed))?;
        if self.workspace.segmenter.is_none() {
            self.workspace.fill(&self.recipe, SEGMENTATION, "m/", &trained.vs)?;
        }
        Ok(trained)
    }

    fn build_segmenter(&self, options: &segmentation::Options) -> Result<segmentation::Trained, TrainError> {
        self.workspace.build_segmenter(options, self.classes, self.recipe.working_size)
    }

    /// G as [`Training::synthesis`] left it in the work folder.
    pub fn trained_synthesis(&self) -> Result<(VarStore, Box<dyn Generator>), TrainError> {
        let vs = VarStore::new(self.workspace.device);
        let network = self.recipe.synthesis.build(&vs.root(), self.classes);
        self.workspace.fill(&self.recipe, SYNTHESIS, "g/", &vs)?;
        Ok((vs, network))
    }

    /// Trains G on the ground truth, in sight of M.
    pub fn synthesis(&self, m: &segmentation::Trained) -> Result<(VarStore, Box<dyn Generator>), TrainError> {
        let options = synthesis::Options {
            network: self.recipe.synthesis.clone(),
            discriminator_width: self.recipe.discriminator_width,
            batch: self.recipe.batch[1],
            rate: self.recipe.rate[1],
            seed: self.recipe.seed,
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        for (_, variable) in m.vs.variables() {
            let _ = variable.set_requires_grad(false);
        }
        let run = self.run(SYNTHESIS, self.recipe.synthesis_steps)?;
        synthesis::train(&self.set, self.classes, &*m.network, &options, &run)
    }

    /// The folds' predictions as [`Training::predictions`] left them in the work folder.
    pub(crate) fn stored_predictions(&self) -> Result<Predictions, TrainError> {
        let identity = self.identity(PREDICTIONS)?;
        let parts: Result<Vec<_>, _> = (0..self.folds.len())
            .map(|k| Predictions::read(&self.workspace.predictions(k), &identity))
            .collect();
        Ok(Predictions::concat(parts?))
    }

    /// What the folds' images are shown with besides.
    fn outliers(&self) -> Result<Option<Outliers>, TrainError> {
        let Some(config) = &self.recipe.outliers else { return Ok(None) };
        let cutouts = self.workspace.pasted(&self.recipe).map(Cutouts::read).transpose()?.unwrap_or_default();
        Ok(Some(Outliers::new(config, cutouts, &self.labels)))
    }

    /// Trains M without each fold and shows it that fold.
    pub fn predictions(&self, g: &dyn Generator) -> Result<Predictions, TrainError> {
        (0..self.folds.len()).try_for_each(|k| self.predict(k, g))?;
        self.stored_predictions()
    }

    /// Trains M without fold `k`.
    pub fn fold(&self, k: usize) -> Result<segmentation::Trained, TrainError> {
        let fold = self.folds.get(k).ok_or_else(|| self.no_fold(k))?;
        let stage = format!("{FOLD}{k}");
        let options = self.m_options(&stage, self.fold_seed(k));
        if self.workspace.segmenter.is_some() {
            return self.build_segmenter(&options);
        }
        let run = self.run(&stage, self.recipe.fold_steps)?;
        segmentation::train(&self.at(&mut fold.train()), self.classes, &options, &run)
    }

    /// How far the networks have come that predict fold `k`, by what they left in the work folder. Predictions of
    /// other ones are none of these, though the training is the same.
    fn networks(&self, k: usize) -> Result<Identity, TrainError> {
        let of_m = self.workspace.weights_of(&format!("{FOLD}{k}"), "m/")?;
        let steps = self.workspace.segmenter.is_none().then_some(self.recipe.fold_steps);
        Ok(Identity::default()
            .with_any("the number of steps of M without the fold", steps)
            .with_any("the weights of M without the fold", of_m)
            .with_any("the weights of G", self.workspace.weights_of(SYNTHESIS, "g/")?)
            .with("the number of passes with dropout", self.recipe.dropout_passes()))
    }

    /// Trains M without fold `k`, shows it that fold and G what it made of it, and leaves the predictions
    /// in the work folder. Where some are there of the same M and G, they stay.
    pub fn predict(&self, k: usize, g: &dyn Generator) -> Result<(), TrainError> {
        let fold = self.folds.get(k).ok_or_else(|| self.no_fold(k))?;
        let path = self.workspace.predictions(k);
        let identity = self.identity(PREDICTIONS)?;
        if self.workspace.resume && path.exists() {
            Predictions::check(&path, &identity)?;
            match Predictions::outdated(&path, &self.networks(k)?)? {
                None => return Ok(()),
                Some(why) => progress::note(&format!("{}: {why}; made anew", path.display())),
            }
        }
        let m = self.fold(k)?;
        let how = predictions::Options {
            classes: self.classes,
            degraded: self.recipe.degraded,
            outliers: self.outliers()?,
            passes: self.recipe.dropout_passes(),
            seed: self.fold_seed(k),
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        let held_out = self.at(&mut fold.held_out.clone());
        let places: Vec<i64> = fold.held_out.clone().map(|place| place as i64).collect();
        let given = self.given.as_ref().map(|given| given.index_select(0, &Tensor::from_slice(&places)));
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let predictions = predictions::predict(&*m.network, g, &held_out, given.as_ref(), &how);
        predictions.write(&path, &identity, &self.networks(k)?)
    }

    fn fold_seed(&self, k: usize) -> u64 {
        self.recipe.seed + 1 + k as u64
    }

    fn at(&self, indices: &mut dyn Iterator<Item = usize>) -> TensorSet {
        self.set.select(&indices.map(|i| i as i64).collect::<Vec<_>>())
    }

    fn no_fold(&self, k: usize) -> TrainError {
        let folds = self.folds.len();
        TrainError::Recipe(format!("fold {k} is asked for; this recipe has {folds} on these samples, from 0"))
    }

    /// Trains F on the folds' predictions.
    pub fn comparison(&self, predictions: &Predictions) -> Result<VarStore, TrainError> {
        let run = self.run(COMPARISON, self.recipe.comparison_steps)?;
        let network = &self.recipe.comparison;
        let options = comparison::Options {
            network: network.clone(),
            pretrained: self.pretrained(network.takes_pretrained()),
            align_corners: self.recipe.segmentation.align_corners(),
            sees_own_vehicle: self.recipe.sees_own_vehicle,
            color: self.recipe.comparison_color,
            batch: self.recipe.batch[2],
            rate: self.recipe.rate[2],
            seed: self.recipe.seed,
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        Ok(comparison::train(predictions, self.classes, &options, &run)?.0)
    }

    /// Trains the recipe's baseline `name` and leaves it with the other detectors in the work folder.
    /// Needs what it learns from to be there: M, the folds' predictions. Returns the path of its
    /// description, in which `command` is kept.
    pub fn baseline(&self, name: &str, command: &str) -> Result<PathBuf, TrainError> {
        let plan = self.recipe.baselines.get(name).ok_or_else(|| TrainError::NoBaseline {
            name: name.into(),
            known: self.recipe.baselines.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })?;
        let options = baseline::Options {
            classes: self.classes,
            batch: plan.batch,
            rate: plan.rate,
            seed: plan.seed.unwrap_or(self.recipe.seed),
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        let stage = format!("{BASELINES}/{name}");
        let run = self.run(&stage, plan.steps)?;
        let run = Run { identity: run.identity.clone().with("seed", options.seed), ..run };
        let lessons = Lessons {
            set: &self.set,
            degraded: self.recipe.degraded,
            segmenter: &|| self.trained_segmentation(),
            outliers: &|| self.outliers(),
            predictions: &|| self.stored_predictions(),
            align_corners: self.recipe.segmentation.align_corners(),
            sees_own_vehicle: self.recipe.sees_own_vehicle,
            color: self.recipe.comparison_color,
            pretrained: self.workspace.pretrained.as_deref(),
        };
        let vs = plan.network.train(&lessons, options, &run)?;
        let folder = self.workspace.work.join(DETECTORS);
        let trained_on = self.workspace.trained_on(&[(name, plan.network.takes_pretrained())])?;
        baseline::export(&folder, name, &plan.network, &vs, (&trained_on, command))
    }
}
