//! How far a training has come, how long it may take, and what the person in front of it sees.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// When a training ends: after so many steps, after so many minutes, or whichever is first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Optimizer steps.
    pub steps: Option<u64>,
    /// Minutes of training, those before an interruption included.
    pub minutes: Option<f64>,
}

impl Budget {
    /// A number of steps: the budget that gives the same result on every machine.
    pub fn steps(steps: u64) -> Self {
        Self { steps: Some(steps), minutes: None }
    }

    /// Share of the budget that is used, in \[0, 1\].
    pub fn share(&self, step: u64, elapsed: Duration) -> f64 {
        let by_steps = self.steps.map_or(0., |n| step as f64 / n.max(1) as f64);
        let by_time = self.minutes.map_or(0., |m| elapsed.as_secs_f64() / 60. / m.max(1e-9));
        by_steps.max(by_time).min(1.)
    }
}

/// Whether whoever started the training wants it to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Has every training of this process stop after the step in hand, with a checkpoint to go on from.
pub fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

pub(crate) fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Says what is trained on, where no bar does.
pub(crate) fn say(line: &str) {
    if !std::io::stderr().is_terminal() {
        eprintln!("{line}");
    }
}

/// Says what nobody may miss, whether there is a bar or not.
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// A line for where there is no bar.
fn line(title: &str, share: f64, message: &str, elapsed: Duration) -> String {
    let elapsed = elapsed.as_secs_f64() / 60.;
    let left = if share > 0. { elapsed * (1. - share) / share } else { f64::NAN };
    format!("{title}: {:.1} %, {message}, {elapsed:.1} min gone, about {left:.1} left", share * 100.)
}

/// The learning rate's share at `share` of the budget: a short linear warm-up, then the "poly" decay
/// of DeepLab (power 0.9).
pub(crate) fn poly(share: f64) -> f64 {
    const WARM_UP: f64 = 0.02;
    let warm = ((share + 1e-3) / WARM_UP).min(1.);
    warm * (1. - share).max(0.).powf(0.9)
}

/// The bar: per mille of the budget, steps, losses, time left.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    before: Duration,
    smooth: Vec<(&'static str, f64)>,
    last_line: Instant,
}

impl Progress {
    /// Begins; `before` is the time that was spent before an interruption.
    pub fn new(title: &str, before: Duration) -> Self {
        let bar = ProgressBar::new(1000);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% {msg} left {eta}");
        bar.set_style(style.expect("a valid template"));
        bar.set_prefix(title.to_owned());
        let now = Instant::now();
        say(&format!("{title}: begins, after {:.1} min of before", before.as_secs_f64() / 60.));
        Self { bar, started: now, before, smooth: Vec::new(), last_line: now }
    }

    /// Training time, that before an interruption included.
    pub(crate) fn elapsed(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// Shows a step. Where there is no terminal, a line every half minute.
    pub(crate) fn show(&mut self, step: u64, share: f64, losses: &[(&'static str, f64)]) {
        for &(name, value) in losses {
            match self.smooth.iter_mut().find(|(n, _)| *n == name) {
                Some((_, mean)) => *mean += 0.02 * (value - *mean),
                None => self.smooth.push((name, value)),
            }
        }
        let losses: Vec<String> = self.smooth.iter().map(|(n, v)| format!("{n} {v:.3}")).collect();
        let message = format!("step {step} {}", losses.join(" "));
        self.bar.set_position((share * 1000.) as u64);
        if self.bar.is_hidden() && self.last_line.elapsed() > Duration::from_secs(30) {
            self.last_line = Instant::now();
            eprintln!("{}", line(&self.bar.prefix(), share, &message, self.elapsed()));
        }
        self.bar.set_message(message);
    }

    /// Leaves the bar as it is.
    pub fn finish(&self) {
        self.bar.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_stage_share_step_and_time_left() {
        let said = line("segmentation", 0.25, "step 10 loss 1.250", Duration::from_secs(120));
        assert_eq!(said, "segmentation: 25.0 %, step 10 loss 1.250, 2.0 min gone, about 6.0 left");
    }
}
