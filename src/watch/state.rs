//! What is known about camera, inference and verdict: what the node's threads have in common, one at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::debounce::{Debounce, Level};
use super::labels::LabelCounts;
use super::latch::AlarmLatch;
use super::lifecycle::{self, Phase};
use super::likeness::Likeness;
use super::mailbox::Arrival;
use super::publishers::Publishers;
use super::self_test::SelfTests;
use super::verdict::{Validity, Verdict};
use super::watchdog::Watchdog;
use crate::frame::health::Health;
use crate::frame::{Stamp, shortened};
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::Mode;

/// Arrivals over which the frame rate is measured.
const RATE_WINDOW: usize = 10;

/// Which images go on to inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// All.
    Open,
    /// Those that have come since then.
    OpenSince(Instant),
    /// None.
    Shut,
}

impl Gate {
    pub(super) fn admits(self, came: Instant) -> bool {
        match self {
            Self::Open => true,
            Self::OpenSince(since) => came >= since,
            Self::Shut => false,
        }
    }
}

/// What is known about labels by topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelState {
    /// When any came.
    pub last: Option<Instant>,
    /// When any found their image.
    pub matched: Option<Instant>,
    /// Why the last that found none did not.
    pub why: Option<String>,
    /// How many came.
    pub counts: LabelCounts,
    /// What is wrong with the names of their ids, if something is.
    pub names: Option<String>,
}

/// What is known about camera, inference and verdict.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Silence of the camera.
    pub watchdog: Watchdog,
    /// The debounced level.
    pub debounce: Debounce,
    /// That of the last frame alone.
    pub raw: Level,
    /// The highest since the last acknowledgement.
    pub latch: AlarmLatch,
    /// Whether the networks do what they are expected to do.
    pub self_test: SelfTests,
    /// The bundle's limits; those in force are these but where others are set by hand.
    pub calibrated: Thresholds,
    /// Stamp and `frame_id` of the newest image.
    pub newest: Option<(Stamp, String)>,
    /// Its encoding.
    pub encoding: String,
    /// Size of the last image that could be read.
    pub size: Option<(u32, u32)>,
    /// Size the camera was calibrated at, from `camera_info`.
    pub calibrated_size: Option<(u32, u32)>,
    /// Who publishes them; `None` before the first look.
    pub publishers: Option<Publishers>,
    /// Images that came a second time by the other transport.
    pub duplicates: u64,
    /// Whether images are assessed, and if not, why.
    pub phase: Phase,
    /// Which images go on to inference.
    pub gate: Gate,
    /// When a report last said that there is no image to assess, or a self-test last failed.
    pub last_alarm: Option<Instant>,
    /// Since when a report on an image is due: the first arrival since the last one was assessed, or then where a newer
    /// image waited already.
    pub owed_since: Option<Instant>,
    /// Since when every frame took longer than it should.
    pub slow_since: Option<Instant>,
    /// When the last report on an image went out.
    pub last_report: Option<Instant>,
    /// When anything was last said.
    pub last_said: Option<Instant>,
    /// The last report on an image.
    pub last_verdict: Option<Verdict>,
    /// How the last scores came about.
    pub mode: Option<Mode>,
    /// Labels by topic, where those are assessed.
    pub labels: LabelState,
    /// Whether the calibration holds for what is in view.
    pub likeness: Likeness,
    /// The last image that could be read, by itself.
    pub health: Option<Health>,
    /// Frames whose inference failed.
    pub failures: u64,
    /// What the last failure said.
    pub last_failure: Option<String>,
    arrivals: VecDeque<Instant>,
}

impl State {
    pub(super) fn new(calibrated: Thresholds, now: Instant) -> Self {
        Self {
            watchdog: Watchdog::new(now),
            debounce: Debounce::new(),
            raw: Level::Failure,
            latch: AlarmLatch::new(None),
            self_test: SelfTests::default(),
            calibrated,
            newest: None,
            encoding: String::new(),
            size: None,
            calibrated_size: None,
            publishers: None,
            duplicates: 0,
            phase: Phase::new(lifecycle::State::Configuring, now),
            gate: Gate::Open,
            last_alarm: None,
            owed_since: None,
            slow_since: None,
            last_report: None,
            last_said: None,
            last_verdict: None,
            mode: None,
            labels: LabelState::default(),
            likeness: Likeness::default(),
            health: None,
            failures: 0,
            last_failure: None,
            arrivals: VecDeque::new(),
        }
    }

    /// Notes that an image arrived.
    pub fn arrived(&mut self, arrival: &Arrival) {
        self.watchdog.feed(arrival.at);
        self.newest = Some((arrival.image.stamp, arrival.image.frame_id.clone()));
        self.encoding = shortened(arrival.image.encoding());
        self.arrivals.push_back(arrival.at);
        if self.arrivals.len() > RATE_WINDOW {
            self.arrivals.pop_front();
        }
    }

    /// Notes that a report is due on an image that is on its way to inference.
    pub(super) fn owe(&mut self, at: Instant) {
        self.owed_since.get_or_insert(at);
    }

    /// Notes that images are assessed: reports on those that came meanwhile are due from now on.
    pub(crate) fn loaded(&mut self, now: Instant) {
        self.phase = Phase::new(lifecycle::State::Active, now);
        self.owed_since = self.owed_since.map(|_| now);
    }

    /// Forgets all that was seen of the camera and said of its images, as at the start; what was counted, what is held
    /// till it is acknowledged and what was set stay.
    pub(crate) fn begin_anew(&mut self, now: Instant) {
        self.watchdog = Watchdog::new(now);
        self.fail(now);
        (self.owed_since, self.slow_since, self.last_report) = (None, None, None);
        (self.last_verdict, self.mode, self.health) = (None, None, None);
        (self.likeness, self.labels.last, self.labels.matched) = (Likeness::default(), None, None);
        self.arrivals.clear();
    }

    /// Goes to FAILURE at once, because a report at `now` says that there is no image to assess, or a self-test has
    /// failed.
    pub(crate) fn fail(&mut self, now: Instant) -> Level {
        self.last_alarm = Some(now);
        self.raw = Level::Failure;
        self.debounce.fail()
    }

    /// The level with which a verdict made at `made` leaves: no better than what was said since, nor, on what was in hand
    /// when the node was deactivated, than what is said of that.
    pub(crate) fn level_of(&self, level: Level, made: Instant) -> Level {
        let is_outdone = self.gate == Gate::Shut || self.last_alarm.is_some_and(|alarm| alarm >= made);
        if is_outdone { Level::Failure } else { level }
    }

    /// Whether the node was active before, or has waited to be: then it began with its activation, not with its start.
    pub(crate) fn begins_anew(&self) -> bool {
        matches!(self.gate, Gate::OpenSince(_))
    }

    /// Notes that the report on an image has left.
    pub(crate) fn reported(&mut self, now: Instant) {
        (self.last_report, self.last_said) = (Some(now), Some(now));
    }

    /// Notes the report on an image, which has not left yet.
    pub fn assessed(&mut self, verdict: &Verdict, limit: Option<Duration>, now: Instant) {
        self.owed_since = (verdict.counts.outstanding() > 0).then_some(now);
        match verdict.validity {
            Validity::Ok | Validity::Degraded => {
                self.mode = verdict.report.as_ref().map(|report| report.mode);
                let slow = matches!((verdict.total, limit), (Some(total), Some(limit)) if total > limit);
                self.slow_since = if slow { self.slow_since.or(Some(now)) } else { None };
            }
            Validity::Failed => {
                self.failures += 1;
                self.last_failure = Some(verdict.reason.clone());
            }
            _ => {}
        }
        self.last_verdict = Some(verdict.clone());
    }

    /// Why no image comes, as far as the graph tells.
    pub(crate) fn why_silent(&self, now: Instant) -> Option<String> {
        self.publishers?.why_silent(self.watchdog.last_arrival(), now)
    }

    /// Mean rate of the last arrivals, in Hz; `None` before the second.
    pub(crate) fn frequency(&self) -> Option<f64> {
        let (first, last) = (self.arrivals.front()?, self.arrivals.back()?);
        let span = last.saturating_duration_since(*first).as_secs_f64();
        (span > 0.0).then(|| (self.arrivals.len() - 1) as f64 / span)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A state in which the bundle is loaded, and nothing else has happened yet.
    pub(crate) fn state(now: Instant) -> State {
        let mut state = State::new(Thresholds::uncalibrated(), now);
        state.loaded(now);
        state
    }
}
