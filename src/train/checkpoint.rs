//! Everything a training needs to go on: networks, optimizers, step, time spent.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use fs_err as fs;
use tch::Tensor;
use tch::nn::VarStore;

use super::TrainError;
use super::identity::Identity;
use super::optimizer::Adam;
use super::progress::{Budget, Progress, stopped};
use crate::checkpoint::weights::{self, Metadata, Tensors, WeightsError};
use crate::model::compute::KeptMemory;

/// One network in training.
pub struct Trainee<'a> {
    /// Its name in the checkpoint.
    pub name: &'static str,
    /// Its parameters and statistics.
    pub vs: &'a VarStore,
    /// Its optimizer.
    pub optimizer: &'a mut Adam,
}

/// A training: knows how to take one step.
pub trait Task {
    /// Takes step number `step`, at `share` of the budget, and returns its losses. Whatever is drawn
    /// at random is drawn from the seed and the step alone, so that a resumed training goes on as
    /// if never stopped.
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)>;

    /// Pictures to watch the training by, `N x 3 x H x W` bytes; they are put below each other.
    fn preview(&self) -> Option<Tensor> {
        None
    }

    /// The networks in training.
    fn trainees(&mut self) -> Vec<Trainee<'_>>;
}

/// Where checkpoints go and how long to train.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the bar calls it.
    pub title: String,
    /// The checkpoint's file.
    pub path: PathBuf,
    /// When to end.
    pub budget: Budget,
    /// What makes it this training; a checkpoint of another is refused.
    pub identity: Identity,
    /// Whether a checkpoint that is there is gone on with.
    pub resume: bool,
    /// Time between checkpoints; [`EVERY`] unless a test is in a hurry.
    pub save_every: Duration,
    /// When to stop before the budget is used, to go on another time.
    pub pause_at: Option<Instant>,
}

/// How far a training has come: the metadata of its checkpoint. One file holds it and the weights, so that
/// they are of one step whenever the process ends.
struct Progressed {
    identity: Identity,
    step: u64,
    time: Duration,
}

impl Progressed {
    /// What the checkpoint says; `None` where there is no checkpoint.
    fn read(path: &Path) -> Result<Option<Self>, TrainError> {
        let metadata = match weights::metadata(path) {
            Err(WeightsError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        Self::parse(&metadata).map(Some).map_err(|name| TrainError::Format {
            path: path.into(),
            reason: format!(
                "its metadata have no valid '{name}', so that nothing can go on from this checkpoint (of an \
                 earlier version, perhaps); remove it, or train without resuming"
            ),
        })
    }

    /// The name of what is missing or wrong, if something is.
    fn parse(metadata: &Metadata) -> Result<Self, &'static str> {
        fn field<T: FromStr>(metadata: &Metadata, name: &'static str) -> Result<T, &'static str> {
            metadata.get(name).and_then(|text| text.parse().ok()).ok_or(name)
        }
        Ok(Self {
            identity: Identity::parse(metadata).ok_or("identity")?,
            step: field(metadata, "step")?,
            time: Duration::try_from_secs_f64(field(metadata, "seconds")?).map_err(|_| "seconds")?,
        })
    }

    fn metadata(self) -> Metadata {
        let Self { identity, step, time } = self;
        let seconds = time.as_secs_f64().to_string();
        let progress = [("step", step.to_string()), ("seconds", seconds)];
        let progress = progress.map(|(name, value)| (name.to_owned(), value));
        identity.metadata().into_iter().chain(progress).collect()
    }
}

/// Few enough minutes that an interruption is no loss, enough that saving costs nothing.
pub const EVERY: Duration = Duration::from_secs(180);

/// Trains until the budget is used, saving a checkpoint every few minutes and at the end. Returns
/// the number of steps taken in all; [`TrainError::Paused`] where it is to go on another time.
pub fn run(task: &mut dyn Task, run: &Run) -> Result<u64, TrainError> {
    let (mut step, before) = if run.resume { restore(task, run)? } else { (0, Duration::ZERO) };
    let mut progress = Progress::new(&run.title, before);
    let mut saved = Instant::now();
    let _kept = KeptMemory::begin();
    loop {
        let share = run.budget.share(step, progress.elapsed());
        if share >= 1. {
            break;
        }
        let losses = task.step(step, share);
        if let Some(&(name, value)) = losses.iter().find(|(_, value)| !value.is_finite()) {
            return Err(TrainError::Diverged { step, name, value });
        }
        step += 1;
        progress.show(step, share, &losses);
        if (stopped() || run.pause_at.is_some_and(|at| Instant::now() >= at))
            && run.budget.share(step, progress.elapsed()) < 1.
        {
            save(task, run, step, progress.elapsed())?;
            return Err(TrainError::Paused { title: run.title.clone(), step });
        }
        if saved.elapsed() >= run.save_every {
            save(task, run, step, progress.elapsed())?;
            saved = Instant::now();
        }
    }
    progress.finish();
    save(task, run, step, progress.elapsed())?;
    Ok(step)
}

/// How far a training has come, by the checkpoint at `path`: steps and seconds. None without one.
pub fn progress(path: &Path) -> Option<(u64, f64)> {
    Progressed::read(path).ok().flatten().map(|before| (before.step, before.time.as_secs_f64()))
}

/// Fails if the checkpoint at `path` is of another training than `identity`, which does not know what the samples hold.
pub(crate) fn check(path: &Path, identity: &Identity) -> Result<(), TrainError> {
    match Progressed::read(path)? {
        Some(before) => identity.check(&before.identity.without_contents(), path),
        // Whoever reads it says so.
        None => Ok(()),
    }
}

fn save(task: &mut dyn Task, run: &Run, step: u64, elapsed: Duration) -> Result<(), TrainError> {
    if let Some(folder) = run.path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut tensors = Tensors::new();
    for trainee in task.trainees() {
        for (name, tensor) in weights::tensors(trainee.vs) {
            tensors.insert(format!("{}/{name}", trainee.name), tensor);
        }
        tensors.extend(trainee.optimizer.state(&format!("{}.adam/", trainee.name)));
    }
    let progressed = Progressed { identity: run.identity.clone(), step, time: elapsed };
    weights::write_with(&tensors, Some(progressed.metadata()), &run.path, None)?;
    if let Some(rows) = task.preview() {
        let path = run.path.with_file_name("preview.png");
        let column = rows.permute([1, 0, 2, 3]).flatten(1, 2);
        tch::vision::image::save(&column, &path)
            .map_err(|e| TrainError::Format { path, reason: e.to_string() })?;
    }
    Ok(())
}

fn restore(task: &mut dyn Task, run: &Run) -> Result<(u64, Duration), TrainError> {
    let Some(before) = Progressed::read(&run.path)? else { return Ok((0, Duration::ZERO)) };
    run.identity.check(&before.identity, &run.path)?;
    let tensors = weights::read(&run.path)?;
    for trainee in task.trainees() {
        let prefix = format!("{}/", trainee.name);
        let own = tensors
            .iter()
            .filter_map(|(name, t)| name.strip_prefix(&prefix).map(|n| (n.to_owned(), t.shallow_clone())))
            .collect();
        weights::load(trainee.vs, &own, &run.path)?;
        trainee.optimizer.restore(&format!("{}.adam/", trainee.name), &tensors).map_err(|name| {
            TrainError::Format {
                path: run.path.clone(),
                reason: format!(
                    "tensor '{name}' is missing (fewer weights learned in an earlier version, perhaps); train without \
                     resuming"
                ),
            }
        })?;
    }
    Ok((before.step, before.time))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tch::{Device, Kind};

    use super::*;
    use crate::network::layers::Linear;
    use crate::train::batch::generator;
    use crate::train::optimizer::AdamOptions;

    /// A line through random points, whose power goes off at a step.
    struct Line {
        vs: VarStore,
        line: Linear,
        optimizer: Adam,
        dies_at: Option<u64>,
    }

    impl Line {
        fn new(dies_at: Option<u64>) -> Self {
            let vs = VarStore::new(Device::Cpu);
            let line = Linear::new(vs.root(), 3, 1);
            tch::no_grad(|| vs.variables().values().for_each(|v| drop(v.shallow_clone().fill_(0.1))));
            let optimizer = Adam::new(&vs, AdamOptions { weight_decay: 0.1, ..AdamOptions::default() });
            Self { vs, line, optimizer, dies_at }
        }

        fn weights(&self) -> Vec<f32> {
            weights::tensors(&self.vs)
                .values()
                .flat_map(|t| Vec::<f32>::try_from(t.flatten(0, -1)).expect("floats"))
                .collect()
        }
    }

    impl Task for Line {
        fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
            if self.dies_at == Some(step) {
                return vec![("loss", f64::NAN)];
            }
            // Not from libtorch's generator, which other tests draw from at the same time.
            let mut rng = generator(3, step);
            let points: [f32; 12] = std::array::from_fn(|_| rng.random());
            let x = Tensor::from_slice(&points).view([4, 3]);
            let loss = (self.line.forward(&x) - 1.).square().mean(Kind::Float);
            self.optimizer.step(&loss, 0.1 * (1. - share));
            vec![("loss", loss.double_value(&[]))]
        }

        fn trainees(&mut self) -> Vec<Trainee<'_>> {
            vec![Trainee { name: "line", vs: &self.vs, optimizer: &mut self.optimizer }]
        }
    }

    fn plan(folder: &Path, identity: &str) -> Run {
        Run {
            title: "line".into(),
            path: folder.join("checkpoint.safetensors"),
            budget: Budget::steps(9),
            identity: identity.into(),
            resume: true,
            save_every: Duration::ZERO,
            pause_at: None,
        }
    }

    #[test]
    fn a_resumed_training_ends_where_an_uninterrupted_one_does() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut whole = Line::new(None);
        run(&mut whole, &plan(a.path(), "x")).unwrap();

        let died = run(&mut Line::new(Some(5)), &plan(b.path(), "x"));
        assert!(matches!(died, Err(TrainError::Diverged { step: 5, name: "loss", .. })));
        let mut resumed = Line::new(None);
        assert_eq!(run(&mut resumed, &plan(b.path(), "x")).unwrap(), 9);
        assert_eq!(resumed.weights(), whole.weights());
        assert_ne!(resumed.weights(), Line::new(None).weights());
    }

    #[test]
    fn a_paused_training_goes_on_another_time() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut whole = Line::new(None);
        run(&mut whole, &plan(a.path(), "x")).unwrap();

        let at_once = Run { pause_at: Some(Instant::now()), ..plan(b.path(), "x") };
        for taken in 1..9 {
            let paused = run(&mut Line::new(None), &at_once);
            assert!(matches!(paused, Err(TrainError::Paused { step, .. }) if step == taken));
        }
        let mut last = Line::new(None);
        assert_eq!(run(&mut last, &at_once).unwrap(), 9);
        assert_eq!(last.weights(), whole.weights());
    }

    #[test]
    fn a_checkpoint_is_one_file_that_says_how_far_its_training_came() {
        let folder = tempfile::tempdir().unwrap();
        let run_of = plan(folder.path(), "x");
        assert_eq!(progress(&run_of.path), None);
        run(&mut Line::new(Some(5)), &run_of).unwrap_err();
        let names = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name();
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(names).collect();
        assert_eq!(files, ["checkpoint.safetensors"]);
        assert_eq!(progress(&run_of.path).map(|(step, _)| step), Some(5));
        assert_eq!(restore(&mut Line::new(None), &run_of).unwrap().0, 5);
    }

    #[test]
    fn what_a_killed_process_was_writing_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let run_of = plan(folder.path(), "x");
        let part = folder.path().join("checkpoint.safetensors.part");
        // In the first checkpoint: there is none yet.
        std::fs::write(&part, "").unwrap();
        assert_eq!(progress(&run_of.path), None);
        run(&mut Line::new(Some(5)), &run_of).unwrap_err();
        // In a later one: the one before is gone on from, and the next takes the place of what was left.
        let whole = std::fs::read(&run_of.path).unwrap();
        std::fs::write(&part, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(progress(&run_of.path).map(|(step, _)| step), Some(5));
        assert_eq!(run(&mut Line::new(None), &run_of).unwrap(), 9);
        assert!(!part.exists());
    }

    #[test]
    fn a_checkpoint_that_does_not_say_its_step_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let run_of = plan(folder.path(), "x");
        run(&mut Line::new(None), &run_of).unwrap();
        let tensors = weights::read(&run_of.path).unwrap();
        weights::write(&tensors, &run_of.path, None).unwrap();
        let error = run(&mut Line::new(None), &run_of).unwrap_err().to_string();
        assert!(error.contains("checkpoint.safetensors: its metadata have no valid 'identity'"), "{error}");
        assert_eq!(progress(&run_of.path), None);
        run(&mut Line::new(None), &Run { resume: false, ..run_of }).unwrap();
    }

    #[test]
    fn a_checkpoint_of_another_training_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        run(&mut Line::new(None), &plan(folder.path(), "seed 1")).unwrap();
        let error = run(&mut Line::new(None), &plan(folder.path(), "seed 2")).unwrap_err().to_string();
        assert!(error.contains("was seed 1 and is now seed 2"), "{error}");
    }
}
