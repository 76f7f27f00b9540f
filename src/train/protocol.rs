//! The whole of the paper's tables, from a labelled data set to bundles and figures, as a list of stages
//! that is fixed beforehand.
//!
//! A *system* is an M, a G and what is trained on them. Systems with the same M share it and its folds.
//! Every stage leaves its result in the output folder and is not done twice, so that a protocol that was
//! interrupted goes on where it was.
//!
//! ```text
//! out/work/<segmenter>/{segmentation,fold-K}     M, and M without each fold
//! out/work/<system>/{synthesis,comparison,...}   the rest of a system
//! out/bundles/<system>/                          its bundle, with the other detectors in detectors/
//! out/figures/<system>/                          its figures on the test samples
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use tch::{Device, Kind};

use super::TrainError;
use super::baseline::Plan;
use super::calibration::CalibrationError;
use super::checkpoint;
use super::cooking::{BASELINES, Cooking, DETECTORS, FOLD, Kitchen, SEGMENTATION};
use super::packing::pack;
use super::recipe::Recipe;
use crate::data::Slice;
use crate::monitor::bundle::{BundleError, DESCRIPTION};
use crate::monitor::pipeline::{Monitor, MonitorOptions};
use crate::network::comparison::ComparerConfig;
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::SynthesizerConfig;
use crate::report::dossier::{DossierError, PAGE};
use crate::report::evaluated::{WORST, evaluate};
use crate::report::evaluation::{At, EvaluationError, Options};
use crate::report::scoreboard::Memory;
use crate::score::trained;

/// Everything that is fixed beforehand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Height and width at which the networks work.
    pub working_size: [u32; 2],
    /// Samples that train.
    pub train: Slice,
    /// Samples that set the thresholds.
    pub calibration: Slice,
    /// Samples that are judged.
    pub test: Slice,
    /// Contiguous folds on which F's examples are made.
    pub folds: usize,
    /// Whether every second image of the folds is shown to M once more, degraded.
    pub degraded: bool,
    /// Seed of all that is random, but where a baseline has its own.
    pub seed: u64,
    /// Ms, by name.
    pub segmenters: BTreeMap<String, SegmenterPlan>,
    /// Gs, by name.
    pub generators: BTreeMap<String, GeneratorPlan>,
    /// F of the bundles.
    pub comparison: ComparerPlan,
    /// What F is measured against, by name.
    pub baselines: BTreeMap<String, Plan>,
    /// What is trained on what, in this order.
    pub systems: Vec<System>,
    /// Seconds that a step takes (of a segmenter, a generator, `comparison` or a baseline, by its name), or
    /// a stage without steps (`predictions`, `bundle`, `evaluation`): measured once, to foretell.
    pub seconds: BTreeMap<String, f64>,
}

/// An M and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmenterPlan {
    /// The network.
    pub network: SegmenterConfig,
    /// Steps of M.
    pub steps: u64,
    /// Steps of each fold's M.
    pub fold_steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
}

/// A G and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorPlan {
    /// The network.
    pub network: SynthesizerConfig,
    /// Channels of the first layer of G's judge.
    pub judge_width: i64,
    /// Steps.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Learning rate.
    pub rate: f64,
}

/// An F and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparerPlan {
    /// The network.
    pub network: ComparerConfig,
    /// Steps.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
}

/// An M, a G and what is measured on them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Its name.
    pub name: String,
    /// Name of its M.
    pub segmenter: String,
    /// Name of its G.
    pub generator: String,
    /// Names of the baselines that are trained on it.
    pub baselines: Vec<String>,
}

/// Where and how a protocol is carried out.
#[derive(Clone, Debug)]
pub struct Site {
    /// Folder of the data set.
    pub data: PathBuf,
    /// Folder of all results.
    pub out: PathBuf,
    /// ImageNet weights for encoders that take them.
    pub pretrained: Option<PathBuf>,
    /// Where to compute.
    pub device: Device,
    /// In which precision.
    pub kind: Kind,
    /// When to stop, to go on another time.
    pub pause_at: Option<Instant>,
    /// The command, kept beside what it made.
    pub command: String,
}

/// Why a protocol cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A system names what the protocol does not have.
    #[error("system '{system}': no {what} '{name}'; there is {known}")]
    Unknown {
        /// The system.
        system: String,
        /// Segmenter, generator or baseline.
        what: &'static str,
        /// Its name.
        name: String,
        /// All there are, comma separated.
        known: String,
    },
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Thresholds.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// A bundle that was made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Figures.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Their page.
    #[error(transparent)]
    Dossier(#[from] DossierError),
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Trains M.
    Segmentation,
    /// Trains G.
    Synthesis,
    /// Trains M without a fold and predicts it.
    Fold(usize),
    /// Trains F.
    Comparison,
    /// Trains a baseline.
    Baseline(String),
    /// Packs the bundle and sets its thresholds.
    Bundle,
    /// Measures the bundle.
    Evaluation,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Segmentation => write!(f, "{SEGMENTATION}"),
            Self::Synthesis => write!(f, "synthesis"),
            Self::Fold(k) => write!(f, "{FOLD}{k}"),
            Self::Comparison => write!(f, "comparison"),
            Self::Baseline(name) => write!(f, "{BASELINES}/{name}"),
            Self::Bundle => write!(f, "bundle"),
            Self::Evaluation => write!(f, "evaluation"),
        }
    }
}

/// One step of a protocol, as far as it has come.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The system that it belongs to.
    pub system: String,
    /// What it does.
    pub task: Task,
    /// Optimizer steps; 0 of a stage that trains nothing.
    pub steps: u64,
    /// Steps taken.
    pub taken: u64,
    /// Whether its result is there.
    pub done: bool,
    /// Seconds that are left, by what its own steps took or by [`Protocol::seconds`]; none where neither
    /// says.
    pub left: Option<f64>,
}

/// A stage's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is done.
    Finished,
    /// Time is up; there is more to do.
    Paused,
}

/// Few steps say little of what the next will take.
const TELLING_STEPS: u64 = 20;

fn find<'a, T>(
    all: &'a BTreeMap<String, T>,
    what: &'static str,
    name: &str,
    system: &System,
) -> Result<&'a T, ProtocolError> {
    all.get(name).ok_or_else(|| ProtocolError::Unknown {
        system: system.name.clone(),
        what,
        name: name.into(),
        known: all.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
    })
}

impl Protocol {
    /// What is trained for one system.
    pub fn recipe(&self, system: &System) -> Result<Recipe, ProtocolError> {
        let m = find(&self.segmenters, "segmenter", &system.segmenter, system)?;
        let g = find(&self.generators, "generator", &system.generator, system)?;
        let mut baselines = BTreeMap::new();
        for name in &system.baselines {
            baselines.insert(name.clone(), find(&self.baselines, "baseline", name, system)?.clone());
        }
        let f = &self.comparison;
        Ok(Recipe {
            data: Vec::new(),
            working_size: self.working_size,
            segmentation: m.network.clone(),
            segmentation_steps: m.steps,
            folds: self.folds,
            fold_steps: m.fold_steps,
            degraded: self.degraded,
            synthesis: g.network.clone(),
            judge_width: g.judge_width,
            synthesis_steps: g.steps,
            comparison: f.network.clone(),
            comparison_steps: f.steps,
            baselines,
            anomaly: Default::default(),
            batch: [m.batch, g.batch, f.batch],
            rate: [m.rate, g.rate, f.rate],
            seed: self.seed,
        })
    }

    fn kitchen(&self, system: &System, recipe: &Recipe, site: &Site) -> Kitchen {
        let pretrained = site.pretrained.clone().filter(|_| recipe.segmentation.takes_pretrained());
        Kitchen {
            data: site.data.clone(),
            slice: self.train.clone(),
            work: site.out.join("work").join(&system.name),
            segmenters: Some(site.out.join("work").join(&system.segmenter)),
            pretrained,
            device: site.device,
            kind: site.kind,
            resume: true,
            minutes: None,
            pause_at: site.pause_at,
        }
    }

    /// Every stage in the order in which they are done, as far as each has come in `site`.
    pub fn stages(&self, site: &Site) -> Result<Vec<Stage>, ProtocolError> {
        let mut stages = Vec::new();
        for (i, system) in self.systems.iter().enumerate() {
            let recipe = self.recipe(system)?;
            let kitchen = self.kitchen(system, &recipe, site);
            let first_of_m = self.systems[..i].iter().all(|other| other.segmenter != system.segmenter);
            let own_m = first_of_m.then_some((Task::Segmentation, recipe.segmentation_steps));
            let fold_steps = if first_of_m { recipe.fold_steps } else { 0 };
            let folds = (0..recipe.folds).map(|k| (Task::Fold(k), fold_steps));
            let baselines =
                system.baselines.iter().map(|b| (Task::Baseline(b.clone()), recipe.baselines[b].steps));
            let tasks = own_m
                .into_iter()
                .chain([(Task::Synthesis, recipe.synthesis_steps)])
                .chain(folds)
                .chain([(Task::Comparison, recipe.comparison_steps)])
                .chain(baselines)
                .chain([(Task::Bundle, 0), (Task::Evaluation, 0)]);
            stages.extend(tasks.map(|(task, steps)| self.stage(system, task, steps, &kitchen, site)));
        }
        Ok(stages)
    }

    fn stage(&self, system: &System, task: Task, steps: u64, kitchen: &Kitchen, site: &Site) -> Stage {
        let (taken, seconds) =
            checkpoint::progress(&kitchen.checkpoint(&task.to_string())).unwrap_or_default();
        let taken = taken.min(steps);
        let done = match &task {
            Task::Segmentation | Task::Synthesis | Task::Comparison => taken >= steps,
            Task::Fold(k) => kitchen.predictions(*k).exists(),
            Task::Baseline(name) => kitchen.work.join(DETECTORS).join(format!("{name}.yaml")).exists(),
            Task::Bundle => bundle(site, system).join(DESCRIPTION).exists(),
            Task::Evaluation => figures(site, system).join(PAGE).exists(),
        };
        let known = |name: &str| self.seconds.get(name).copied();
        let (a_step, fixed) = match &task {
            Task::Segmentation => (known(&system.segmenter), Some(0.)),
            Task::Synthesis => (known(&system.generator), Some(0.)),
            Task::Fold(_) => (known(&system.segmenter), known("predictions")),
            Task::Comparison => (known("comparison"), Some(0.)),
            Task::Baseline(name) => (known(name), Some(0.)),
            Task::Bundle => (Some(0.), known("bundle")),
            Task::Evaluation => (Some(0.), known("evaluation")),
        };
        let a_step = if taken >= TELLING_STEPS { Some(seconds / taken as f64) } else { a_step };
        let left = match (done, a_step, fixed) {
            (true, ..) => Some(0.),
            (false, Some(a_step), Some(fixed)) => Some((steps - taken) as f64 * a_step + fixed),
            _ => None,
        };
        Stage { system: system.name.clone(), task, steps, taken, done, left }
    }

    /// Carries out every stage that is not done, in order. `begin` is told of each. Ends early, and says
    /// so, when the time of `site` is up.
    pub fn run(&self, site: &Site, mut begin: impl FnMut(&Stage)) -> Result<End, ProtocolError> {
        for system in &self.systems {
            let recipe = self.recipe(system)?;
            let kitchen = self.kitchen(system, &recipe, site);
            let mut cooking = None;
            let stages = self.stages(site)?;
            for stage in stages.iter().filter(|stage| stage.system == system.name && !stage.done) {
                if site.pause_at.is_some_and(|at| Instant::now() >= at) {
                    return Ok(End::Paused);
                }
                begin(stage);
                let outcome = match stage.task {
                    Task::Bundle => self.pack(system, &recipe, &kitchen, site),
                    Task::Evaluation => self.evaluate(system, site),
                    _ => {
                        let cooking = match &mut cooking {
                            Some(cooking) => cooking,
                            none => none.insert(Cooking::begin(recipe.clone(), kitchen.clone())?),
                        };
                        train(cooking, &stage.task, &site.command).map_err(ProtocolError::from)
                    }
                };
                match outcome {
                    Err(ProtocolError::Train(TrainError::Paused { .. })) => return Ok(End::Paused),
                    other => other?,
                }
            }
        }
        Ok(End::Finished)
    }

    fn pack(
        &self,
        system: &System,
        recipe: &Recipe,
        kitchen: &Kitchen,
        site: &Site,
    ) -> Result<(), ProtocolError> {
        let whole = bundle(site, system);
        // A bundle that lacks its thresholds must never carry the name of a whole one.
        let part = whole.with_extension("part");
        pack(recipe, kitchen, &self.calibration, site.command.clone(), &part)?;
        let detectors = kitchen.work.join(DETECTORS);
        if detectors.exists() {
            copy(&detectors, &part.join(DETECTORS))?;
        }
        Ok(std::fs::rename(&part, &whole).map_err(io(&whole))?)
    }

    fn evaluate(&self, system: &System, site: &Site) -> Result<(), ProtocolError> {
        let folder = bundle(site, system);
        let monitor = Monitor::load(&folder, &MonitorOptions::default())?;
        let networks = monitor.networks();
        let trained = trained::load(&folder.join(DETECTORS), networks.classes() as i64, networks.device())?;
        let options =
            Options { slice: self.test.clone(), at: At::Working, memory: Memory::Exact, worst: WORST };
        // The draws of dropout.
        tch::manual_seed(self.seed as i64);
        let command = site.command.clone();
        let page = evaluate(&monitor, trained, &site.data, &self.calibration, &options, command)?;
        Ok(page.write(&figures(site, system))?)
    }
}

fn train(cooking: &Cooking, task: &Task, command: &str) -> Result<(), TrainError> {
    match task {
        Task::Segmentation => drop(cooking.segmentation()?),
        Task::Synthesis => drop(cooking.synthesis(&cooking.trained_segmentation()?)?),
        Task::Fold(k) => cooking.fold(*k, &*cooking.trained_synthesis()?.1)?,
        Task::Comparison => drop(cooking.comparison(&cooking.stored_predictions()?)?),
        Task::Baseline(name) => drop(cooking.baseline(name, command)?),
        Task::Bundle | Task::Evaluation => {}
    }
    Ok(())
}

/// The folder of a system's bundle.
fn bundle(site: &Site, system: &System) -> PathBuf {
    site.out.join("bundles").join(&system.name)
}

/// The folder of a system's figures.
fn figures(site: &Site, system: &System) -> PathBuf {
    site.out.join("figures").join(&system.name)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { path, source }
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(to).map_err(io(to))?;
    for file in from.read_dir().map_err(io(from))? {
        let path = file.map_err(io(from))?.path();
        if let Some(name) = path.file_name() {
            std::fs::copy(&path, to.join(name)).map_err(io(&path))?;
        }
    }
    Ok(())
}
