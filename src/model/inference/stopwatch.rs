//! The time that each step of an inference takes, none of it counted twice.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A step of an inference that is timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the camera's image to x at the working size.
    Resize,
    /// M on x.
    Segment,
    /// G on M's labels.
    Synthesize,
    /// F on x and x'; M on x' too, where F asks what M makes of it.
    Compare,
    /// Everything else: M on x' unless F has asked, all that is done with the scores, and M, G and F once more on the
    /// enlarged band, where the bundle asks for one.
    Score,
}

/// Time spent on each step, none of it twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// See `Step::Resize`.
    pub resize: Duration,
    /// See `Step::Segment`.
    pub segment: Duration,
    /// See `Step::Synthesize`.
    pub synthesize: Duration,
    /// See `Step::Compare`.
    pub compare: Duration,
    /// See `Step::Score`.
    pub score: Duration,
    /// All of it.
    pub total: Duration,
}

/// Shares out the time since its start among the steps; a step within another stops the outer one.
#[derive(Debug)]
pub(super) struct Stopwatch {
    step: Cell<Step>,
    since: Cell<Instant>,
    spent: Cell<Latency>,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self {
            step: Cell::new(Step::Score),
            since: Cell::new(Instant::now()),
            spent: Cell::new(Latency::default()),
        }
    }

    pub(super) fn run<R>(&self, step: Step, work: impl FnOnce() -> R) -> R {
        let outer = self.turn_to(step);
        let result = work();
        self.turn_to(outer);
        result
    }

    /// Books the time since the last call on the step so far, and returns that.
    fn turn_to(&self, step: Step) -> Step {
        let now = Instant::now();
        let passed = now - self.since.replace(now);
        let mut spent = self.spent.get();
        let booked = match self.step.get() {
            Step::Resize => &mut spent.resize,
            Step::Segment => &mut spent.segment,
            Step::Synthesize => &mut spent.synthesize,
            Step::Compare => &mut spent.compare,
            Step::Score => &mut spent.score,
        };
        *booked += passed;
        spent.total += passed;
        self.spent.set(spent);
        self.step.replace(step)
    }

    pub(super) fn read(&self) -> Latency {
        self.turn_to(self.step.get());
        self.spent.get()
    }
}
