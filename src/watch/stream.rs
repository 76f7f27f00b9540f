//! From an image to a verdict: assess, debounce. No error and no panic inside ends the node; each
//! becomes a report that says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};

use super::decoding::Decoded;
use super::freshness::Freshness;
use super::mailbox::Arrival;
use super::settings::{Live, Overrides};
use super::shared::Shared;
use super::verdict::{Validity, Verdict};
use crate::frame::Frame;
use crate::frame::health::Health;
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::{Assessment, Maps, Mode, Wanted};
use crate::monitor::pipeline::Monitor;
use crate::monitor::self_test::SelfTested;
use crate::network::fault::{self, one_line};
use crate::watch::deadline::Deadline;
use crate::watch::debounce::Level;
use crate::watch::likeness::{CalibrationState, Likeness, LikenessCheck};
use crate::watch::time_base::TimeBase;
use crate::watch::tracks::Tracks;

/// Whatever maps a frame to an assessment; in tests, something without networks.
pub(crate) trait Assessor {
    /// Assesses one frame.
    fn assess(&mut self, frame: &Frame, mode: Mode, wanted: Wanted) -> Result<Assessment, String>;
    /// The limits it was calibrated with.
    fn thresholds(&self) -> Thresholds;
    /// Replaces the limits.
    fn set_thresholds(&mut self, thresholds: Thresholds);
    /// Leaves out the pixels outside of the mask.
    fn set_valid_mask(&mut self, _mask: Option<Arc<GrayImage>>) {}
    /// Width and height of an image that it takes.
    fn size(&self) -> (u32, u32) {
        (64, 64)
    }
    /// Whether it does what it is expected to do.
    fn self_test(&mut self) -> SelfTested {
        SelfTested::Absent
    }
}

impl Assessor for Monitor {
    fn assess(&mut self, frame: &Frame, mode: Mode, wanted: Wanted) -> Result<Assessment, String> {
        match mode {
            Mode::Full => self.process(frame, wanted),
            Mode::LogitsOnly => self.process_logits_only(frame, wanted),
        }
        .map_err(|error| one_line(&error.to_string()))
    }

    fn thresholds(&self) -> Thresholds {
        Monitor::thresholds(self).clone()
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        Monitor::set_thresholds(self, thresholds);
    }

    fn set_valid_mask(&mut self, mask: Option<Arc<GrayImage>>) {
        self.share_valid_mask(mask);
    }

    fn size(&self) -> (u32, u32) {
        self.valid_mask().map_or((64, 64), |mask| mask.dimensions())
    }

    fn self_test(&mut self) -> SelfTested {
        Monitor::self_test(self)
    }
}

/// A verdict with the pictures that go with it.
#[derive(Debug)]
pub struct Assessed {
    /// The report.
    pub verdict: Verdict,
    /// The pictures that were asked for.
    pub maps: Maps,
    /// The camera's own, where it could be read.
    pub image: Option<RgbImage>,
    /// Whether time has jumped back and stayed there.
    pub jumped: bool,
    /// When it was assessed.
    pub at: Instant,
}

impl Assessed {
    /// The verdict as it leaves: a level that waited while the camera fell silent is no longer true, nor are scores
    /// that waited while a self-test failed.
    pub(crate) fn leaving(mut self, shared: &Shared) -> Self {
        let state = shared.state();
        if self.verdict.report.is_some()
            && let Some(reason) = state.self_test.unfit()
        {
            let verdict = &mut self.verdict;
            (verdict.validity, verdict.reason, verdict.report) = (Validity::Failed, reason, None);
            verdict.raw = Level::Failure;
            self.maps = Maps::default();
        }
        self.verdict.level = state.level_of(self.verdict.level, self.at);
        self.verdict.latched = state.latch.level(self.verdict.level);
        drop(state);
        self
    }
}

/// An image that was taken up and has no verdict yet.
pub(crate) struct Taken {
    arrival: Arrival,
    /// Its pixels.
    pub frame: Frame,
    /// How much of the method is due.
    pub mode: Mode,
    /// How long decoding took.
    pub decode: Duration,
    start: Instant,
    live: Live,
    jumped: bool,
}

impl Taken {
    /// Time spent on it so far, decoding included.
    pub(crate) fn elapsed(&self) -> Duration {
        self.decode + self.start.elapsed()
    }
}

/// One assessor at work on a stream of images.
pub(crate) struct Session<A> {
    assessor: A,
    calibrated: Thresholds,
    overrides: Overrides,
    shared: Arc<Shared>,
    deadline: Deadline,
    time: TimeBase,
    tracks: Tracks,
    freshness: Freshness,
    likeness: LikenessCheck,
    /// How long the last image took that could be assessed.
    usual: Duration,
}

impl<A: Assessor> Session<A> {
    /// Begins with the assessor's own thresholds.
    pub fn new(assessor: A, shared: Arc<Shared>) -> Self {
        let calibrated = assessor.thresholds();
        Self {
            assessor,
            calibrated,
            overrides: Overrides::default(),
            shared,
            deadline: Deadline::new(),
            time: TimeBase::default(),
            tracks: Tracks::default(),
            freshness: Freshness::default(),
            likeness: LikenessCheck::default(),
            usual: Duration::ZERO,
        }
    }

    /// The same assessor with the same limits on a stream that begins now.
    pub(crate) fn anew(&self) -> Self
    where
        A: Clone,
    {
        Self { usual: self.usual, ..Self::new(self.assessor.clone(), self.shared.clone()) }
    }

    /// The assessor.
    pub(crate) fn assessor(&mut self) -> &mut A {
        &mut self.assessor
    }

    /// Assesses a picture that no camera took: the first pass of a network is slow, and better slow
    /// now than on the first frame.
    pub(crate) fn warm_up(&mut self) -> Result<(), String> {
        let (width, height) = self.assessor.size();
        let frame = Frame::new(RgbImage::new(width, height));
        let start = Instant::now();
        let outcome = self.guarded(&frame, Mode::Full, Wanted::default());
        self.usual = start.elapsed();
        outcome.map(|_| ())
    }

    /// The verdict on one image.
    pub fn assess(&mut self, decoded: Decoded, wanted: Wanted) -> Assessed {
        self.shared.schedule.begin(Instant::now() + self.usual);
        let assessed = match self.take(decoded) {
            Ok(taken) => {
                let outcome = self.outcome(&taken, wanted);
                let total = taken.elapsed();
                self.conclude(taken, outcome, total)
            }
            Err(unreadable) => *unreadable,
        };
        self.shared.schedule.end();
        assessed
    }

    /// Takes up an image. One that cannot be read, or is no news, has its verdict at once.
    pub(crate) fn take(&mut self, decoded: Decoded) -> Result<Taken, Box<Assessed>> {
        let start = Instant::now();
        let Decoded { arrival, image, took } = decoded;
        let live = self.shared.parameters.live();
        self.apply(live.thresholds);
        let stamp = arrival.image.stamp;
        let jumped = self.time.jumps_back(stamp);
        if jumped {
            self.deadline.reset();
        }

        let (image, labels) = match image {
            Ok(pixels) => pixels,
            Err(reason) => {
                let blank = self.blank(&arrival, Validity::InvalidInput, reason);
                let verdict = Verdict { counts: self.shared.mailbox.count_invalid(), ..blank };
                let finished = self.finish(verdict, live, jumped);
                return Err(Box::new(finished));
            }
        };
        {
            let health = Health::of(&image);
            let mut state = self.shared.state();
            (state.size, state.health) = (Some(image.dimensions()), Some(health));
        }
        if let Some(reason) = self.freshness.check(&arrival, self.shared.age_secs(stamp), live) {
            let blank = self.blank(&arrival, Validity::Outdated, reason);
            let verdict = Verdict { counts: self.shared.mailbox.count_processed(), ..blank };
            let finished = self.finish(verdict, live, jumped);
            return Err(Box::new(Assessed { image: Some(image), ..finished }));
        }

        let unfit = self.shared.state().self_test.unfit();
        if let Some(reason) = unfit {
            let blank = self.blank(&arrival, Validity::Failed, reason);
            let verdict = Verdict { counts: self.shared.mailbox.count_processed(), ..blank };
            let finished = self.finish(verdict, live, jumped);
            return Err(Box::new(Assessed { image: Some(image), ..finished }));
        }

        let camera = arrival.image.frame_id.clone();
        let frame = Frame { image, stamp, camera, labels };
        let mode = self.deadline.choose(self.shared.steady_now(), live.degraded_deadline);
        Ok(Taken { arrival, frame, mode, decode: took, start, live, jumped })
    }

    /// What the assessor makes of it.
    pub(crate) fn outcome(&mut self, taken: &Taken, wanted: Wanted) -> Result<Assessment, String> {
        self.guarded(&taken.frame, taken.mode, wanted)
    }

    /// The verdict on an image that was taken up, on which the assessor came to `outcome` after `total`.
    pub(crate) fn conclude(
        &mut self,
        taken: Taken,
        outcome: Result<Assessment, String>,
        total: Duration,
    ) -> Assessed {
        let Taken { arrival, frame, mode, decode, start, live, jumped } = taken;
        let arrival = &arrival;
        let (blank, maps) = match outcome {
            Ok(Assessment { report, maps }) => {
                self.deadline.record(self.shared.steady_now(), mode, total, live.degraded_deadline);
                let blank = match report.mode {
                    Mode::Full => self.blank(arrival, Validity::Ok, String::new()),
                    Mode::LogitsOnly => self.blank(arrival, Validity::Degraded, degraded_reason(live)),
                };
                self.usual = start.elapsed();
                (Verdict { report: Some(report), ..blank }, maps)
            }
            Err(reason) => (self.blank(arrival, Validity::Failed, reason), Maps::default()),
        };
        let verdict = Verdict {
            decode: Some(decode),
            total: Some(total),
            counts: self.shared.mailbox.count_processed(),
            ..blank
        };
        Assessed { image: Some(frame.image), maps, ..self.finish(verdict, live, jumped) }
    }

    /// An assessment in which neither an error nor a panic gets further than its text.
    fn guarded(&mut self, frame: &Frame, mode: Mode, wanted: Wanted) -> Result<Assessment, String> {
        catch_unwind(AssertUnwindSafe(|| self.assessor.assess(frame, mode, wanted)))
            .unwrap_or_else(|panic| Err(fault::of_panic(panic.as_ref())))
    }

    /// Follows the things in view, debounces the verdict and notes it for diagnostics. An image that was too old by
    /// then lowers no level: the camera may have died since.
    fn finish(&mut self, mut verdict: Verdict, live: Live, jumped: bool) -> Assessed {
        if jumped {
            self.tracks.jump(verdict.stamp);
            self.likeness.forget();
        }
        let live_things = verdict.report.as_mut().is_some_and(|report| {
            self.tracks.follow(&mut report.regions, verdict.stamp, verdict.thresholds.things.as_ref());
            self.tracks.live(live.patience.trigger)
        });
        let likeness = self.compare(&mut verdict);
        let (score, anomalous) = verdict
            .report
            .as_ref()
            .map_or((f32::NAN, f32::NAN), |report| (report.failure_score, report.anomaly_area));
        let mut state = self.shared.state();
        if jumped {
            state.debounce.forget_good_runs();
        }
        let raw = Level::of(score, anomalous, &verdict.thresholds);
        let is_late = verdict.is_late(live);
        // What has no score is no good frame: it does not say of a thing that it is gone.
        match is_late || score.is_nan() {
            true => state.debounce.things_late(live_things, live.patience),
            false => state.debounce.things(live_things, live.patience),
        }
        verdict.level = match is_late {
            true => state.debounce.update_late(raw, live.patience),
            false => state.debounce.update(raw, live.patience),
        };
        (verdict.raw, state.raw) = (raw, raw);
        verdict.latched = state.latch.update(verdict.level);
        state.likeness = likeness;
        let at = self.shared.steady_now();
        state.assessed(&verdict, live.max_processing_time, at);
        Assessed { verdict, maps: Maps::default(), image: None, jumped, at }
    }

    /// Whether the calibration holds for what is in view; if not, nothing is promised, nor is it of scores that are not
    /// the method's. With limits set by hand, another's labels or a mask, scores are others than the calibration's, and
    /// nothing is known.
    fn compare(&mut self, verdict: &mut Verdict) -> Likeness {
        let evidence = verdict.thresholds.evidence.as_deref();
        let is_own = self.overrides == Overrides::default()
            && self.shared.labels.is_none()
            && !self.shared.is_masked();
        let reference = evidence.and_then(|evidence| evidence.reference.as_ref()).filter(|_| is_own);
        let likeness = self.likeness.check(verdict.report.as_ref(), verdict.stamp, reference);
        verdict.calibration = likeness.state;
        if !likeness.keeps_promise() || verdict.validity == Validity::Degraded {
            verdict.thresholds.guarantee.clear();
        }
        likeness
    }

    fn blank(&self, arrival: &Arrival, validity: Validity, reason: String) -> Verdict {
        let stamp = arrival.image.stamp;
        Verdict {
            stamp,
            camera: arrival.image.frame_id.clone(),
            validity,
            reason,
            level: Level::Failure,
            raw: Level::Failure,
            latched: Level::Failure,
            report: None,
            thresholds: self.shared.promised(self.assessor.thresholds()),
            calibration: CalibrationState::Unknown,
            decode: None,
            total: None,
            image_age_secs: self.shared.age_secs(stamp),
            labels_age_secs: arrival.labels.as_ref().and_then(|labels| self.shared.age_secs(labels.stamp())),
            since_arrival: Some(self.shared.steady_now().saturating_duration_since(arrival.at)),
            counts: Default::default(),
            label_counts: self.shared.label_counts(),
        }
    }

    fn apply(&mut self, overrides: Overrides) {
        if overrides == self.overrides {
            return;
        }
        self.overrides = overrides;
        self.assessor.set_thresholds(overrides.in_place_of(&self.calibrated));
    }
}

/// Takes the assessor that all of these sessions use through its first pass.
pub(crate) fn warm_up<A: Assessor>(sessions: &mut [Session<A>]) -> Result<(), String> {
    let Some((first, others)) = sessions.split_first_mut() else { return Ok(()) };
    let outcome = first.warm_up();
    others.iter_mut().for_each(|session| session.usual = first.usual);
    outcome
}

/// Tests the assessor that all of these sessions use. Where that fails, every report says so until a test passes.
pub(crate) fn self_test<A: Assessor>(sessions: &mut [Session<A>]) -> SelfTested {
    for session in &*sessions {
        session.shared.state().self_test.ask();
    }
    self_test_if_due(sessions).unwrap_or(SelfTested::Absent)
}

/// The same where somebody has asked for it.
pub(crate) fn self_test_if_due<A: Assessor>(sessions: &mut [Session<A>]) -> Option<SelfTested> {
    let due = sessions.iter().map(|session| session.shared.state().self_test.due()).collect::<Vec<_>>();
    if due.iter().all(Option::is_none) {
        return None;
    }
    let first = sessions.first_mut()?;
    // Two frames, more or less.
    first.shared.schedule.begin(Instant::now() + 2 * first.usual);
    let tested = first.assessor.self_test();
    first.shared.schedule.end();
    for (session, number) in sessions.iter().zip(due) {
        let (_turn, now) = (session.shared.turn(), session.shared.steady_now());
        let mut state = session.shared.state();
        // One that was asked for meanwhile stays due.
        state.self_test.record(number.unwrap_or_default(), tested.clone(), now);
        if state.self_test.unfit().is_some() {
            state.fail(now);
        }
    }
    Some(tested)
}

fn degraded_reason(live: Live) -> String {
    let deadline = live.degraded_deadline.unwrap_or(Duration::ZERO).as_secs_f64();
    format!(
        "synthesis takes longer than degraded.deadline ({deadline} s); scores are the segmenter's own confidence"
    )
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
