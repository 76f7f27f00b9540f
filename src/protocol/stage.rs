//! The stages of a protocol, in order, and how far each has come.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::{Device, Kind};

use super::plan::{Protocol, ProtocolError, System};
use crate::data::Reading;
use crate::model::bundle::DESCRIPTION;
use crate::train::checkpoint;
use crate::train::workspace::{BASELINES, DETECTORS, FOLD, SEGMENTATION, SYNTHESIS, Workspace};

/// Where and how a protocol is carried out.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Folder of the data set.
    pub data: PathBuf,
    /// Folders of other data sets on which every system is measured as it is.
    pub transfers: Vec<PathBuf>,
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

impl Setup {
    /// The folder of a system's bundle.
    pub fn bundle(&self, system: &str) -> PathBuf {
        self.out.join("bundles").join(system)
    }

    /// The folder of the figures of a test, for people.
    pub fn figures(&self, system: &str, test: &Test) -> PathBuf {
        self.out.join("figures").join(system).join(test.to_string())
    }

    /// The file of the figures of a test, for the tables.
    pub fn outcome(&self, system: &str, test: &Test) -> PathBuf {
        self.outcomes(system).join(format!("{test}.json"))
    }

    /// The folder of the figures of all tests of a system.
    pub(crate) fn outcomes(&self, system: &str) -> PathBuf {
        self.out.join("outcomes").join(system)
    }

    /// The file that says what the result of a task was made from.
    pub(super) fn origin(&self, system: &str, task: &Task) -> PathBuf {
        self.out.join("origins").join(system).join(format!("{task}.json"))
    }

    /// The folder of the tables.
    pub fn tables(&self) -> PathBuf {
        self.out.join("tables")
    }
}

/// A test of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The test samples, scored at the working size.
    Working,
    /// The same, scored at the size of their labels.
    Labels,
    /// The time and the arithmetic that each detector takes.
    Cost,
    /// Another data set, as it is.
    Transfer(PathBuf),
    /// The test samples, scored by detectors that were trained on the errors of another system's M.
    Unseen(String),
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Working => write!(f, "working"),
            Self::Labels => write!(f, "labels"),
            Self::Cost => write!(f, "cost"),
            Self::Transfer(folder) => write!(f, "transfer-{}", name(folder)),
            Self::Unseen(system) => write!(f, "unseen-{system}"),
        }
    }
}

/// The last part of a path.
pub(super) fn name(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy().into_owned())
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Trains the segmenter M.
    Segmentation,
    /// Trains the generator G.
    Synthesis,
    /// Trains M without a fold and predicts that fold.
    Fold(usize),
    /// Trains the comparator F.
    Comparison,
    /// Trains a baseline.
    Baseline(String),
    /// Packs the bundle and sets its thresholds.
    Bundle,
    /// Measures the bundle.
    Measure(Test),
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Segmentation => write!(f, "{SEGMENTATION}"),
            Self::Synthesis => write!(f, "{SYNTHESIS}"),
            Self::Fold(k) => write!(f, "{FOLD}{k}"),
            Self::Comparison => write!(f, "comparison"),
            Self::Baseline(name) => write!(f, "{BASELINES}/{name}"),
            Self::Bundle => write!(f, "bundle"),
            Self::Measure(test) => write!(f, "{test}"),
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
    /// Optimizer steps; 0 for a stage that trains nothing.
    pub steps: u64,
    /// Steps taken.
    pub taken: u64,
    /// Whether its result is there.
    pub done: bool,
    /// Seconds that are left, from its own steps so far or from [`Protocol::seconds`]; none if both are
    /// unknown.
    pub left: Option<f64>,
}

/// Fewer steps say too little about the next ones.
const TELLING_STEPS: u64 = 20;

impl Protocol {
    pub(super) fn workspace(&self, system: &System, setup: &Setup) -> Workspace {
        let work = setup.out.join("work");
        Workspace {
            cutouts: None,
            given: None,
            segmenter: None,
            data: setup.data.clone(),
            slice: self.train.clone(),
            reading: Reading::default(),
            work: work.join(&system.name),
            segmenters: Some(work.join(&system.segmenter)),
            synthesizers: Some(work.join(&system.generator)),
            pretrained: setup.pretrained.clone(),
            start: None,
            device: setup.device,
            kind: setup.kind,
            resume: true,
            minutes: None,
            pause_at: setup.pause_at,
        }
    }

    /// Every stage in the order in which they are done, as far as each has come in `setup`. Fails if a result is there
    /// that another plan made.
    pub fn stages(&self, setup: &Setup) -> Result<Vec<Stage>, ProtocolError> {
        for (i, folder) in setup.transfers.iter().enumerate() {
            if setup.transfers[..i].iter().any(|earlier| name(earlier) == name(folder)) {
                return Err(ProtocolError::SameName { folder: folder.clone() });
            }
        }
        let (mut stages, mut last) = (Vec::new(), Vec::new());
        for (i, system) in self.systems.iter().enumerate() {
            let recipe = self.recipe(system)?;
            let workspace = self.workspace(system, setup);
            let before = &self.systems[..i];
            let first_of_m = before.iter().all(|other| other.segmenter != system.segmenter);
            let first_of_g = before.iter().all(|other| other.generator != system.generator);
            let own_m = first_of_m.then_some((Task::Segmentation, recipe.segmentation_steps));
            let own_g = first_of_g.then_some((Task::Synthesis, recipe.synthesis_steps));
            let fold_steps = if first_of_m { recipe.fold_steps } else { 0 };
            let folds = (0..recipe.folds).map(|k| (Task::Fold(k), fold_steps));
            let baselines =
                system.baselines.iter().map(|b| (Task::Baseline(b.clone()), recipe.baselines[b].steps));
            let tests = [Test::Working, Test::Labels, Test::Cost].into_iter();
            let tests = tests.chain(setup.transfers.iter().cloned().map(Test::Transfer));
            let tasks = own_m
                .into_iter()
                .chain(own_g)
                .chain(folds)
                .chain([(Task::Comparison, recipe.comparison_steps)])
                .chain(baselines)
                .chain([(Task::Bundle, 0)])
                .chain(tests.map(|test| (Task::Measure(test), 0)));
            for (task, steps) in tasks {
                stages.push(self.stage(system, task, steps, &workspace, setup)?);
            }
            // They need the other system's bundle as well.
            for other in self.others(system) {
                let test = Task::Measure(Test::Unseen(other.name.clone()));
                last.push(self.stage(system, test, 0, &workspace, setup)?);
            }
        }
        stages.extend(last);
        Ok(stages)
    }

    /// The first system of each other M that has the same G.
    pub fn others<'a>(&'a self, system: &'a System) -> impl Iterator<Item = &'a System> {
        self.systems.iter().enumerate().filter_map(move |(i, other)| {
            let fits = |o: &System| o.segmenter != system.segmenter && o.generator == system.generator;
            let twin = self.systems[..i].iter().any(|o| fits(o) && o.segmenter == other.segmenter);
            (fits(other) && !twin).then_some(other)
        })
    }

    fn stage(
        &self,
        system: &System,
        task: Task,
        steps: u64,
        workspace: &Workspace,
        setup: &Setup,
    ) -> Result<Stage, ProtocolError> {
        let (taken, seconds) =
            checkpoint::progress(&workspace.checkpoint(&task.to_string())).unwrap_or_default();
        let taken = taken.min(steps);
        let done = match &task {
            Task::Segmentation | Task::Synthesis | Task::Comparison => taken >= steps,
            Task::Fold(k) => workspace.predictions(*k).exists(),
            Task::Baseline(name) => workspace.work.join(DETECTORS).join(format!("{name}.yaml")).exists(),
            Task::Bundle => is_packed(system, setup),
            Task::Measure(test) => {
                let trained_elsewhere = match test {
                    Test::Unseen(other) => self.systems.iter().find(|system| system.name == *other),
                    _ => None,
                };
                let packed =
                    std::iter::once(system).chain(trained_elsewhere).all(|system| is_packed(system, setup));
                packed && setup.outcome(&system.name, test).exists()
            }
        };
        if done {
            self.check_origin(system, &task, workspace, setup)?;
        }
        let known = |name: &str| self.seconds.get(name).copied();
        let (per_step, fixed) = match &task {
            Task::Segmentation => (known(&system.segmenter), Some(0.)),
            Task::Synthesis => (known(&system.generator), Some(0.)),
            Task::Fold(_) => (known(&system.segmenter), known("predictions")),
            Task::Comparison => (known("comparison"), Some(0.)),
            Task::Baseline(name) => (known(name), Some(0.)),
            Task::Bundle => (Some(0.), known("bundle")),
            Task::Measure(Test::Labels | Test::Cost) => (Some(0.), known("cost")),
            Task::Measure(_) => (Some(0.), known("evaluation")),
        };
        let per_step = if taken >= TELLING_STEPS { Some(seconds / taken as f64) } else { per_step };
        let left = match (done, per_step, fixed) {
            (true, ..) => Some(0.),
            (false, Some(per_step), Some(fixed)) => Some((steps - taken) as f64 * per_step + fixed),
            _ => None,
        };
        Ok(Stage { system: system.name.clone(), task, steps, taken, done, left })
    }
}

/// Whether a system's bundle holds all that is to be measured.
fn is_packed(system: &System, setup: &Setup) -> bool {
    let bundle = setup.bundle(&system.name);
    let detector = |name: &String| bundle.join(DETECTORS).join(format!("{name}.yaml")).exists();
    bundle.join(DESCRIPTION).exists() && system.baselines.iter().all(detector)
}
