//! Carrying a protocol out, stage after stage.

use std::io;
use std::path::Path;
use std::time::Instant;

use fs_err as fs;

use super::plan::{Protocol, ProtocolError, System};
use super::stage::{Setup, Stage, Task, Test};
use crate::train::TrainError;
use crate::train::packing::pack;
use crate::train::recipe::Recipe;
use crate::train::training::Training;
use crate::train::workspace::{DETECTORS, Workspace};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is done.
    Finished,
    /// Time is up; there is more to do.
    Paused,
}

/// A system whose data are in memory.
struct Open {
    system: System,
    recipe: Recipe,
    workspace: Workspace,
    training: Option<Training>,
}

impl Protocol {
    /// Carries out every stage that is not done, in order, and puts the tables together. `begin` is told
    /// of each. Ends early, and says so, when the time of `setup` is up.
    pub fn run(&self, setup: &Setup, mut begin: impl FnMut(&Stage)) -> Result<End, ProtocolError> {
        let mut open: Option<Open> = None;
        let mut end = End::Finished;
        for stage in self.stages(setup)?.iter().filter(|stage| !stage.done) {
            if setup.pause_at.is_some_and(|at| Instant::now() >= at) {
                end = End::Paused;
                break;
            }
            begin(stage);
            let at_hand = match open.take().filter(|open| open.system.name == stage.system) {
                Some(at_hand) => at_hand,
                None => self.open(&stage.system, setup)?,
            };
            match self.carry_out(stage, open.insert(at_hand), setup) {
                Err(ProtocolError::Train(TrainError::Paused { .. })) => {
                    end = End::Paused;
                    break;
                }
                other => other?,
            }
        }
        self.write_tables(setup)?;
        Ok(end)
    }

    fn open(&self, name: &str, setup: &Setup) -> Result<Open, ProtocolError> {
        let system = self.system(name)?.clone();
        let recipe = self.recipe(&system)?;
        let workspace = self.workspace(&system, setup);
        Ok(Open { system, recipe, workspace, training: None })
    }

    fn carry_out(&self, stage: &Stage, open: &mut Open, setup: &Setup) -> Result<(), ProtocolError> {
        let Open { system, recipe, workspace, training } = open;
        // Before the result: whatever ends this in between, none is there without.
        self.keep_origin(system, &stage.task, setup)?;
        match &stage.task {
            Task::Bundle => self.pack(system, recipe, workspace, setup),
            Task::Measure(test) => {
                // Training data are not needed any more.
                *training = None;
                self.measure(system, test, setup)
            }
            task => {
                let training = match training {
                    Some(training) => training,
                    none => none.insert(Training::begin(recipe.clone(), workspace.clone())?),
                };
                Ok(train(training, task, &setup.command)?)
            }
        }
    }

    fn pack(
        &self,
        system: &System,
        recipe: &Recipe,
        workspace: &Workspace,
        setup: &Setup,
    ) -> Result<(), ProtocolError> {
        let whole = setup.bundle(&system.name);
        // Results of a bundle that lacked some detectors do not hold for this one, nor do results of those
        // detectors on another segmenter M.
        let part = whole.with_extension("part");
        for old in [&whole, &part, &setup.outcomes(&system.name)] {
            if old.exists() {
                fs::remove_dir_all(old)?;
            }
        }
        for other in &self.systems {
            let old = setup.outcome(&other.name, &Test::Unseen(system.name.clone()));
            if old.exists() {
                fs::remove_file(&old)?;
            }
        }
        // A bundle that lacks its detectors must never carry the name of a whole one.
        pack(recipe, workspace, &self.calibration, setup.command.clone(), &part)?;
        let detectors = workspace.work.join(DETECTORS);
        if detectors.exists() {
            copy(&detectors, &part.join(DETECTORS))?;
        }
        Ok(fs::rename(&part, &whole)?)
    }
}

fn train(training: &Training, task: &Task, command: &str) -> Result<(), TrainError> {
    match task {
        Task::Segmentation => drop(training.segmentation()?),
        Task::Synthesis => drop(training.synthesis(&training.trained_segmentation()?)?),
        Task::Fold(k) => training.predict(*k, &*training.trained_synthesis()?.1)?,
        Task::Comparison => drop(training.comparison(&training.stored_predictions()?)?),
        Task::Baseline(name) => drop(training.baseline(name, command)?),
        Task::Bundle | Task::Measure(_) => {}
    }
    Ok(())
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
