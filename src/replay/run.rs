//! The stream at work, and the timer beside it.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};

use super::clock::BagClock;
use super::cost::Cost;
use super::figures::Figures;
use super::frames::{Arriving, Event, Frames};
use super::journal::{self, Journal};
use super::label_topics::Pairs;
use super::pace::Pace;
use super::results::Results;
use super::summary::Summary;
use super::truth::Label;
use super::{Progress, ReplayError};
use crate::bag::BagError;
use crate::bag::reader::Trust;
use crate::frame::{CameraImage, Frame, Stamp};
use crate::labels::IGNORE;
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::{Assessment, Mode, Wanted};
use crate::monitor::pipeline::Monitor;
use crate::network::fault::one_line;
use crate::watch::decoding::Decoded;
use crate::watch::labels::LabelArrival;
use crate::watch::mailbox::{Arrival, Counts};
use crate::watch::parameters::{Parameters, Value};
use crate::watch::shared::Shared;
use crate::watch::shared_parameters::SharedParameters;
use crate::watch::stream::{Assessed, Assessor, Session, Taken};
use crate::watch::vigil::{Saying, Vigil};

/// A replay under way.
pub(super) struct Run {
    pub frames: Frames,
    pub results: Results,
    pub summary: Summary,
    pub journal: Journal,
    clock: Arc<BagClock>,
    shared: Arc<Shared>,
    session: Session<MeasuredMonitor>,
    vigil: Vigil,
    pace: Pace,
    /// What is known of the image in the mailbox.
    waiting: Option<Waiting>,
    /// What is known of images on their way to the mailbox, in the order in which they came and leave; they wait for
    /// their labels, where those are assessed.
    coming: VecDeque<((Instant, Stamp), Waiting)>,
    /// Images that have left, as far as was noted.
    counts: Counts,
    /// When those were recorded that a newer one replaced since the last report.
    dropped: Vec<i64>,
    /// That of the picture before, for the next one.
    memory: Vec<u8>,
}

/// A frame that waits to be assessed.
struct Waiting {
    time: i64,
    trust: Trust,
    recording: usize,
    label: Option<Label>,
}

impl Run {
    pub(super) fn new(
        (monitor, figures): (Monitor, Option<Figures>),
        (parameters, pace): (&Parameters, Pace),
        frames: Frames,
        (results, summary, journal): (Results, Summary, Journal),
    ) -> Result<Self, ReplayError> {
        let clock = Arc::new(BagClock::new(frames.begin()));
        let (of_day, steady) = (clock.clone(), clock.clone());
        let parameters = SharedParameters::new(parameters.clone());
        if pace == Pace::EveryFrame {
            // No time passes while a frame is assessed: none is late.
            parameters.set("degraded.deadline", &Value::Double(0.0))?;
        }
        parameters.calibrate(monitor.thresholds())?;
        let of_day = Arc::new(move || of_day.time_of_day());
        let shared = Shared::new(parameters, of_day, Thresholds::unknown(), clock.now());
        let shared = Arc::new(shared.on(Arc::new(move || steady.now())));
        shared.state().calibrated = monitor.thresholds().clone();
        shared.state().loaded(clock.now());
        if let Some(labels) = &shared.labels {
            labels.learn(monitor.labels())?;
        }
        let assessor =
            MeasuredMonitor { monitor, figures, due: None, error: None, asked: 0, took: Duration::ZERO };
        let mut session = Session::new(assessor, shared.clone());
        session.warm_up().map_err(ReplayError::WarmUp)?;
        let assessor = session.assessor();
        (assessor.asked, assessor.took) = (0, Duration::ZERO);
        let vigil = Vigil::new();
        Ok(Self {
            frames,
            results,
            summary,
            journal,
            clock,
            shared,
            session,
            vigil,
            pace,
            waiting: None,
            coming: VecDeque::new(),
            counts: Counts::default(),
            dropped: Vec::new(),
            memory: Vec::new(),
        })
    }

    /// To the end, or as far as `progress` lets it.
    pub(super) fn all(
        &mut self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let began = Instant::now();
        while let Some(event) = self.frames.next()? {
            self.arrive(event)?;
            self.take_up()?;
            let progressed = Progress { frames: self.summary.frames, share: self.frames.share() };
            if progress(progressed).is_break() {
                self.summary.complete = false;
                break;
            }
        }
        let begin = self.frames.begin();
        let end = self.frames.end().unwrap_or(begin).max(begin);
        self.summary.selected = [begin, end];
        if self.summary.complete {
            self.silence(end)?;
        }
        self.summary.met = self.frames.met;
        self.unpaired()?;
        self.summary.cost = self.cost(began.elapsed());
        if let Some(figures) = self.session.assessor().figures.take() {
            self.summary.measured(figures, self.frames.truth.as_ref().map_or(0, |truth| truth.unused))?;
        }
        Ok(())
    }

    /// Assesses what waits, and what comes meanwhile.
    fn take_up(&mut self) -> Result<(), ReplayError> {
        while let Some(waiting) = self.waiting.take() {
            self.frame(waiting)?;
        }
        Ok(())
    }

    /// Nothing more comes of the camera, though the recording goes on until `end`.
    fn silence(&mut self, end: i64) -> Result<(), ReplayError> {
        for tick in self.clock.ticks_until(self.clock.elapsed_at(end)) {
            self.until(tick + 1)?;
            // An image that has done without its labels for long enough.
            self.take_up()?;
        }
        Ok(())
    }

    /// What all of it cost, if the monitor was asked for each frame and figures were not measured beside.
    fn cost(&mut self, whole: Duration) -> Option<Cost> {
        let MeasuredMonitor { asked, took, ref figures, .. } = *self.session.assessor();
        let is_all = asked > 0 && asked == self.summary.frames && figures.is_none();
        is_all.then_some(Cost { whole, monitor: took })
    }

    /// Lets time pass until something comes, and takes it in.
    fn arrive(&mut self, event: Event) -> Result<(), ReplayError> {
        let arriving = match event {
            Event::Size(size) => {
                self.shared.state().calibrated_size = Some(size);
                return Ok(());
            }
            Event::Names(_, Ok((classes, ignored))) => {
                self.shared.name_labels(classes, ignored);
                return Ok(());
            }
            Event::Names(time, Err(why)) => {
                self.summary.lose(format!("the message of {time} does not name labels: {why}"));
                return Ok(());
            }
            Event::Labels(time, image) => return self.labels(time, image),
            Event::Frame(arriving) => *arriving,
        };
        let Arriving { message, recording, image, due, label } = arriving;
        let time = message.stamp;
        self.until(self.clock.elapsed_at(time))?;
        self.clock.advance(time);
        if !due {
            // The camera was not silent, and on the robot there would have been a report.
            let (now, mut state) = (self.clock.now(), self.shared.state());
            state.watchdog.feed(now);
            state.last_said = Some(now);
            drop(state);
            return self.not_assessed(label);
        }
        let image = match image {
            Ok(image) => image,
            // The middleware would not have handed it on.
            Err(error) => {
                self.summary.unread(time, &error.to_string());
                return self.not_assessed(label);
            }
        };
        let waiting = Waiting { time, trust: message.trust, recording, label };
        let arrival = Arrival::new(image, self.clock.now());
        self.coming.push_back(((arrival.at, arrival.image.stamp), waiting));
        self.shared.accept(arrival);
        self.settle()
    }

    /// Labels that are assessed.
    fn labels(&mut self, time: i64, image: Result<CameraImage, BagError>) -> Result<(), ReplayError> {
        self.until(self.clock.elapsed_at(time))?;
        self.clock.advance(time);
        match image {
            Ok(image) => self.shared.accept_labels(LabelArrival { image, at: self.clock.now() }),
            Err(error) => self.summary.lose(format!("the message of {time} is no label image: {error}")),
        }
        self.settle()
    }

    /// Notes which images have left since: into the mailbox, where the last of them waits, or for want of labels.
    fn settle(&mut self) -> Result<(), ReplayError> {
        let counts = self.shared.mailbox.counts();
        let left = counts.received - self.counts.received;
        let unmatched = counts.unmatched - self.counts.unmatched;
        self.counts = counts;
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(self.coming.len());
        let mut left: Vec<_> = self.coming.drain(..left).collect();
        if self.shared.labels.is_none() {
            // Nothing keeps an image waiting: it had come before.
            for (_, twin) in std::mem::take(&mut self.coming) {
                self.not_assessed(twin.label)?;
            }
        }
        let newest = self.shared.mailbox.waiting(|arrival| (arrival.at, arrival.image.stamp));
        let place = left.iter().rposition(|(name, _)| Some(*name) == newest);
        let waiting = place.map(|place| left.remove(place).1);
        // Of several that were complete at once, one is taken up.
        self.summary.dropped += (left.len() as u64).saturating_sub(unmatched);
        for (_, gone) in left {
            self.summary.misses.miss(gone.time);
            self.not_assessed(gone.label)?;
        }
        let Some(waiting) = waiting else { return Ok(()) };
        if let Some(dropped) = self.waiting.replace(waiting) {
            self.summary.dropped += 1;
            self.dropped.push(dropped.time);
            return self.not_assessed(dropped.label);
        }
        Ok(())
    }

    /// Nothing more comes: whatever still waits for its other half has found none.
    fn unpaired(&mut self) -> Result<(), ReplayError> {
        let waiting = std::mem::take(&mut self.coming);
        let still = waiting.len() as u64;
        for (_, gone) in waiting {
            self.summary.misses.miss(gone.time);
            self.not_assessed(gone.label)?;
        }
        let counts = self.shared.mailbox.counts();
        let (labels, why) = {
            let state = self.shared.state();
            (self.shared.label_counts(), state.labels.why.clone())
        };
        if let Some(found) = &mut self.summary.pairs {
            let pairs = counts.received - counts.unmatched;
            *found = Pairs {
                topic: std::mem::take(&mut found.topic),
                pairs,
                frames_unmatched: counts.unmatched + still,
                labels_received: labels.received,
                labels_unmatched: labels.received.saturating_sub(pairs),
                why,
            };
        }
        Ok(())
    }

    fn not_assessed(&mut self, label: Option<Label>) -> Result<(), ReplayError> {
        if let Some(figures) = &mut self.session.assessor().figures {
            figures.matches.not_assessed += u64::from(label.is_some());
        }
        Ok(())
    }

    /// Lets time pass. What the node's timer would have said meanwhile is said.
    fn until(&mut self, elapsed: i64) -> Result<(), ReplayError> {
        for tick in self.clock.ticks_until(elapsed) {
            self.clock.set(tick);
            self.shared.settle_labels();
            self.settle()?;
            let live = self.shared.parameters.live();
            let sayings = self.vigil.due(&mut self.shared.state(), live, self.clock.now());
            for saying in sayings {
                if let Saying::Report(validity, reason) = saying {
                    let verdict = self.shared.alarm(validity, reason);
                    self.summary.count(&verdict);
                    self.results.alarm(self.clock.stamp(), &verdict)?;
                }
            }
        }
        Ok(())
    }

    /// Lets so much time pass, and takes in what comes meanwhile.
    fn pass(&mut self, took: Duration) -> Result<(), ReplayError> {
        let done = self.clock.elapsed().saturating_add(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX));
        while self.frames.upcoming().is_some_and(|stamp| self.clock.elapsed_at(stamp) <= done) {
            let Some(event) = self.frames.next()? else { break };
            self.arrive(event)?;
        }
        self.until(done)?;
        self.clock.pass(done);
        Ok(())
    }

    fn frame(&mut self, waiting: Waiting) -> Result<(), ReplayError> {
        let Waiting { time, trust, recording, label } = waiting;
        let Some(arrival) = self.shared.mailbox.take() else { return Ok(()) };
        let decoded = Decoded::within(std::mem::take(&mut self.memory), arrival, &self.shared);
        let (assessed, is_new) = match self.session.take(decoded) {
            Ok(taken) => self.assess(taken, (recording, time), label)?,
            Err(unreadable) => {
                self.not_assessed(label)?;
                (*unreadable, false)
            }
        };
        let mut assessed = assessed.leaving(&self.shared);
        self.shared.state().reported(self.clock.now());
        self.summary.frame(time, trust, &assessed.verdict);
        for dropped in self.dropped.drain(..) {
            self.summary.misses.miss(dropped);
        }
        let report = self.results.frame(time, trust, recording, &mut assessed)?;
        if is_new {
            let scene = assessed.verdict.report.as_ref().and_then(|report| report.scene.as_ref());
            self.journal.add(&report, scene)?;
        }
        self.memory = assessed.image.map(RgbImage::into_raw).unwrap_or_default();
        Ok(())
    }

    /// The verdict, and whether it is not in the journal yet.
    fn assess(
        &mut self,
        mut taken: Taken,
        place: (usize, i64),
        label: Option<Label>,
    ) -> Result<(Assessed, bool), ReplayError> {
        let whole = taken.mode == Mode::Full;
        let labels = match (&self.frames.truth, &label) {
            (Some(truth), Some(label)) if whole => Some(truth.read(label, taken.frame.image.dimensions())?),
            _ => None,
        };
        let is_measured = labels.is_some();
        let assessor = self.session.assessor();
        if let Some(figures) = &mut assessor.figures {
            figures.matches.without_label += u64::from(label.is_none());
        }
        assessor.due = labels.map(|labels| (place, assessor.without_invalid(labels)));
        let past = self.journal.next()?;
        let is_new = past.is_none();
        let wanted = self.results.wanted();
        let (outcome, total) = match past {
            Some((report, scene)) => {
                let again = is_measured || wanted != Wanted::default();
                // For the figures, and for the picture of a rise.
                let again = again.then(|| self.session.outcome(&taken, wanted)).and_then(Result::ok);
                taken.decode = journal::millis(report.latency_decode_ms);
                let total = journal::millis(report.latency_total_ms);
                let outcome = journal::outcome(report, scene).map(|assessment| match again {
                    Some(again) => Assessment { maps: again.maps, ..assessment },
                    None => assessment,
                });
                (outcome, self.pace.total(taken.mode, total))
            }
            None => {
                let outcome = self.session.outcome(&taken, wanted);
                (outcome, self.pace.total(taken.mode, taken.elapsed()))
            }
        };
        let assessor = self.session.assessor();
        if let Some(error) = assessor.error.take() {
            return Err(error);
        }
        // It is still there where the networks failed, and there never was one of a DEGRADED report.
        if assessor.due.take().is_some() || !is_measured {
            self.not_assessed(label)?;
        }
        if self.pace != Pace::EveryFrame {
            self.pass(total)?;
        }
        Ok((self.session.conclude(taken, outcome, total), is_new))
    }
}

/// The monitor, measured where there are labels.
struct MeasuredMonitor {
    monitor: Monitor,
    figures: Option<Figures>,
    /// Recording, time and labels of the next frame.
    due: Option<((usize, i64), GrayImage)>,
    error: Option<ReplayError>,
    /// How often the monitor was asked, and how long that took.
    asked: u64,
    took: Duration,
}

impl MeasuredMonitor {
    /// Labels without what the valid mask leaves out.
    fn without_invalid(&self, mut labels: GrayImage) -> GrayImage {
        if let Some(mask) = self.monitor.valid_mask().filter(|mask| mask.dimensions() == labels.dimensions())
        {
            for (label, _) in labels.iter_mut().zip(mask.iter()).filter(|(_, valid)| **valid == 0) {
                *label = IGNORE;
            }
        }
        labels
    }

    /// Measured where there are labels.
    fn ask(&mut self, frame: &Frame, mode: Mode, wanted: Wanted) -> Result<Assessment, String> {
        let (Mode::Full, Some(figures), true) = (mode, &mut self.figures, self.due.is_some()) else {
            return Assessor::assess(&mut self.monitor, frame, mode, wanted);
        };
        let (due, error) = (&mut self.due, &mut self.error);
        let assessed = self.monitor.process_with(frame, wanted, |inference, report| {
            if let Some((place, labels)) = due.take() {
                *error = figures.add(place, frame, labels, inference, report).err();
            }
        });
        assessed.map_err(|error| one_line(&error.to_string()))
    }
}

impl Assessor for MeasuredMonitor {
    fn assess(&mut self, frame: &Frame, mode: Mode, wanted: Wanted) -> Result<Assessment, String> {
        let began = Instant::now();
        let assessed = self.ask(frame, mode, wanted);
        self.asked += 1;
        self.took += began.elapsed();
        assessed
    }

    fn thresholds(&self) -> Thresholds {
        Assessor::thresholds(&self.monitor)
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        Assessor::set_thresholds(&mut self.monitor, thresholds);
    }

    fn size(&self) -> (u32, u32) {
        self.monitor.size()
    }
}
