//! Carrying a protocol out, stage after stage.

use std::path::Path;
use std::time::Instant;

use super::plan::{Protocol, ProtocolError, System};
use super::stage::{Site, Stage, Task, Test};
use crate::train::TrainError;
use crate::train::cooking::{Cooking, DETECTORS, Kitchen};
use crate::train::packing::pack;
use crate::train::recipe::Recipe;

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
    kitchen: Kitchen,
    cooking: Option<Cooking>,
}

impl Protocol {
    /// Carries out every stage that is not done, in order, and puts the tables together. `begin` is told
    /// of each. Ends early, and says so, when the time of `site` is up.
    pub fn run(&self, site: &Site, mut begin: impl FnMut(&Stage)) -> Result<End, ProtocolError> {
        let mut open: Option<Open> = None;
        let mut end = End::Finished;
        for stage in self.stages(site)?.iter().filter(|stage| !stage.done) {
            if site.pause_at.is_some_and(|at| Instant::now() >= at) {
                end = End::Paused;
                break;
            }
            begin(stage);
            let at_hand = match open.take().filter(|open| open.system.name == stage.system) {
                Some(at_hand) => at_hand,
                None => self.open(&stage.system, site)?,
            };
            match self.carry_out(stage, open.insert(at_hand), site) {
                Err(ProtocolError::Train(TrainError::Paused { .. })) => {
                    end = End::Paused;
                    break;
                }
                other => other?,
            }
        }
        self.write_tables(site)?;
        Ok(end)
    }

    fn open(&self, name: &str, site: &Site) -> Result<Open, ProtocolError> {
        let system = self.system(name)?.clone();
        let recipe = self.recipe(&system)?;
        let kitchen = self.kitchen(&system, site);
        Ok(Open { system, recipe, kitchen, cooking: None })
    }

    fn carry_out(&self, stage: &Stage, open: &mut Open, site: &Site) -> Result<(), ProtocolError> {
        let Open { system, recipe, kitchen, cooking } = open;
        match &stage.task {
            Task::Bundle => self.pack(system, recipe, kitchen, site),
            Task::Measure(test) => {
                // Training data are not needed any more.
                *cooking = None;
                self.measure(system, test, site)
            }
            task => {
                let cooking = match cooking {
                    Some(cooking) => cooking,
                    none => none.insert(Cooking::begin(recipe.clone(), kitchen.clone())?),
                };
                Ok(train(cooking, task, &site.command)?)
            }
        }
    }

    fn pack(
        &self,
        system: &System,
        recipe: &Recipe,
        kitchen: &Kitchen,
        site: &Site,
    ) -> Result<(), ProtocolError> {
        let whole = site.bundle(&system.name);
        // What was measured of a bundle that lacked some detectors says nothing of this one, nor does what
        // those detectors said of another M.
        for old in [&whole, &site.outcomes(&system.name)] {
            if old.exists() {
                std::fs::remove_dir_all(old).map_err(io(old))?;
            }
        }
        for other in &self.systems {
            let old = site.outcome(&other.name, &Test::Unseen(system.name.clone()));
            if old.exists() {
                std::fs::remove_file(&old).map_err(io(&old))?;
            }
        }
        // A bundle that lacks its thresholds must never carry the name of a whole one.
        let part = whole.with_extension("part");
        pack(recipe, kitchen, &self.calibration, site.command.clone(), &part)?;
        let detectors = kitchen.work.join(DETECTORS);
        if detectors.exists() {
            copy(&detectors, &part.join(DETECTORS))?;
        }
        Ok(std::fs::rename(&part, &whole).map_err(io(&whole))?)
    }
}

fn train(cooking: &Cooking, task: &Task, command: &str) -> Result<(), TrainError> {
    match task {
        Task::Segmentation => drop(cooking.segmentation()?),
        Task::Synthesis => drop(cooking.synthesis(&cooking.trained_segmentation()?)?),
        Task::Fold(k) => cooking.fold(*k, &*cooking.trained_synthesis()?.1)?,
        Task::Comparison => drop(cooking.comparison(&cooking.stored_predictions()?)?),
        Task::Baseline(name) => drop(cooking.baseline(name, command)?),
        Task::Bundle | Task::Measure(_) => {}
    }
    Ok(())
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
