//! What a result was made from: parts of the plan, slices, data. A result that is there counts as done, but for the plan
//! alone that made it.

use std::path::PathBuf;

use super::outcome;
use super::plan::{Protocol, ProtocolError, System};
use super::stage::{Setup, Task, Test, name};
use crate::train::identity::Identity;
use crate::train::recipe::Recipe;
use crate::train::workspace::{DETECTORS, Workspace};

impl Protocol {
    /// What `task` makes its result from; `None` of one whose checkpoint says so itself.
    fn origin(&self, system: &System, task: &Task, setup: &Setup) -> Result<Option<Identity>, ProtocolError> {
        let recipe = self.recipe(system)?;
        let Recipe { batch, rate, .. } = &recipe;
        let predictions = Identity::default()
            .with("data", name(&setup.data))
            .with("train", self.train.to_string())
            .with("working_size", recipe.working_size)
            .with("seed", recipe.seed)
            .with("folds", recipe.folds)
            .with("degraded", recipe.degraded)
            .with("segmentation", &recipe.segmentation)
            .with("segmentation.batch", batch[0])
            .with("segmentation.rate", rate[0])
            .with("fold_steps", recipe.fold_steps)
            .with("synthesis", &recipe.synthesis)
            .with("synthesis.batch", batch[1])
            .with("synthesis.rate", rate[1])
            .with("synthesis_steps", recipe.synthesis_steps)
            .with("discriminator_width", recipe.discriminator_width)
            .with("passes with dropout", recipe.dropout_passes());
        let with_m = |identity: Identity| identity.with("segmentation_steps", recipe.segmentation_steps);
        let bundle = |identity: Identity| {
            with_m(identity)
                .with("comparison", &recipe.comparison)
                .with("comparison.batch", batch[2])
                .with("comparison.rate", rate[2])
                .with("comparison_steps", recipe.comparison_steps)
                .with("baselines", &recipe.baselines)
                .with("calibration", self.calibration.to_string())
        };
        let tested = |identity: Identity| bundle(identity).with("test", self.test.to_string());
        Ok(Some(match task {
            Task::Segmentation | Task::Synthesis | Task::Comparison => return Ok(None),
            Task::Fold(_) => predictions,
            Task::Baseline(name) => with_m(predictions).with_any("baseline", recipe.baselines.get(name)),
            Task::Bundle => bundle(predictions),
            Task::Measure(Test::Working | Test::Labels | Test::Cost) => tested(predictions),
            Task::Measure(Test::Transfer(folder)) => bundle(predictions).with("transfer", name(folder)),
            Task::Measure(Test::Unseen(other)) => {
                let other = self.origin(self.system(other)?, &Task::Bundle, setup)?;
                tested(predictions).with_any("trained elsewhere", other)
            }
        }))
    }

    /// Keeps what `task` is about to make its result from.
    pub(super) fn keep_origin(
        &self,
        system: &System,
        task: &Task,
        setup: &Setup,
    ) -> Result<(), ProtocolError> {
        match self.origin(system, task, setup)? {
            Some(origin) => outcome::write(&origin, &setup.origin(&system.name, task)),
            None => Ok(()),
        }
    }

    /// Fails if the result of `task`, which is there, was made from something else.
    pub(super) fn check_origin(
        &self,
        system: &System,
        task: &Task,
        workspace: &Workspace,
        setup: &Setup,
    ) -> Result<(), ProtocolError> {
        let Some(origin) = self.origin(system, task, setup)? else { return Ok(()) };
        let reason = match outcome::read::<Identity>(&setup.origin(&system.name, task))? {
            None => "nothing says which plan made it (an earlier version, perhaps)".to_owned(),
            Some(found) => match origin.differs(&found) {
                None => return Ok(()),
                Some((field, found, expected)) => {
                    format!("it is of another plan, in which '{field}' was {found} and not {expected}")
                }
            },
        };
        Err(ProtocolError::Outcome {
            path: result(system, task, workspace, setup),
            reason: format!("{reason}; remove it, or give another --out"),
        })
    }
}

/// Where the result of a task is.
fn result(system: &System, task: &Task, workspace: &Workspace, setup: &Setup) -> PathBuf {
    match task {
        Task::Segmentation | Task::Synthesis | Task::Comparison => workspace.checkpoint(&task.to_string()),
        Task::Fold(k) => workspace.predictions(*k),
        Task::Baseline(name) => workspace.work.join(DETECTORS).join(format!("{name}.yaml")),
        Task::Bundle => setup.bundle(&system.name),
        Task::Measure(test) => setup.outcome(&system.name, test),
    }
}
