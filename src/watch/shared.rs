//! What the node's threads have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::debounce::Patience;
use super::duplicates::Duplicates;
use super::labels::{LabelArrival, LabelCounts, Labels};
use super::latch::{Acknowledged, AlarmLatch};
use super::mailbox::{Arrival, Mailbox};
use super::schedule::InferenceSchedule;
use super::shared_parameters::SharedParameters;
use super::state::{Gate, LabelState, State};
use super::verdict::{Validity, Verdict};
use crate::frame::Stamp;
use crate::model::bundle::Thresholds;

/// Gives the node's time since the epoch, or `None` while a simulated clock has not started.
pub(crate) type NodeClock = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Gives the steady time by which silence, deadlines and ages are measured.
pub(crate) type SteadyClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Everything that more than one thread touches.
pub struct Shared {
    /// Parameters in force.
    pub parameters: SharedParameters,
    /// The newest image, on its way to inference.
    pub mailbox: Mailbox<Arrival>,
    /// Images that come by both transports.
    duplicates: Mutex<Duplicates>,
    /// Labels by topic and the images that wait for them, where those are assessed.
    pub(crate) labels: Option<Labels>,
    /// When inference will want it.
    pub schedule: Arc<InferenceSchedule>,
    /// The node's time.
    pub clock: NodeClock,
    /// This machine's steady time; a recording's, where one is replayed.
    steady: SteadyClock,
    state: Mutex<State>,
    /// See [`Shared::turn`].
    turn: Mutex<()>,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(parameters: SharedParameters, clock: NodeClock, thresholds: Thresholds, now: Instant) -> Self {
        let labels = parameters.lock().labels().map(Labels::new);
        let mut state = State::new(thresholds, now);
        state.latch = AlarmLatch::new(parameters.lock().latch_level());
        Self {
            parameters,
            mailbox: Mailbox::default(),
            duplicates: Mutex::default(),
            labels,
            schedule: Arc::default(),
            clock,
            steady: Arc::new(Instant::now),
            state: Mutex::new(state),
            turn: Mutex::default(),
        }
    }

    /// Held from the last look at what a report says until it is sent, and while a self-test is noted: what was
    /// true before that does not leave after it. It is taken before the state is locked.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same on another steady clock.
    pub(crate) fn on(self, steady: SteadyClock) -> Self {
        Self { steady, ..self }
    }

    /// The same, served by the inference that serves `other`.
    pub(crate) fn beside(self, other: &Self) -> Self {
        let mailbox = self.mailbox.with_bell(other.mailbox.bell().clone());
        Self { mailbox, schedule: other.schedule.clone(), ..self }
    }

    /// The steady time by which everything is assessed that is no latency.
    pub(crate) fn steady_now(&self) -> Instant {
        (self.steady)()
    }

    /// A verdict that there is no image to assess. Whatever was assessed before no longer counts; while the next report
    /// is but pending, it does.
    pub(crate) fn alarm(&self, validity: Validity, reason: String) -> Verdict {
        let (now, live) = (self.steady_now(), self.parameters.live());
        let mut state = self.state();
        let level = match validity {
            Validity::Pending => state.debounce.level(),
            _ => state.fail(now),
        };
        let (raw, latched) = (state.raw, state.latch.update(level));
        state.last_said = Some(now);
        let mut thresholds = self.promised(live.thresholds.in_place_of(&state.calibrated));
        if !state.likeness.keeps_promise() {
            thresholds.guarantee.clear();
        }
        Verdict {
            stamp: self.now_stamp(),
            camera: state.newest.as_ref().map_or(String::new(), |(_, camera)| camera.clone()),
            validity,
            reason,
            level,
            raw,
            latched,
            report: None,
            thresholds,
            calibration: state.likeness.state,
            decode: None,
            total: None,
            labels_age_secs: None,
            image_age_secs: state.newest.as_ref().and_then(|(stamp, _)| self.age_secs(*stamp)),
            since_arrival: state.watchdog.since_arrival(now),
            counts: self.mailbox.counts(),
            label_counts: self.label_counts(),
        }
    }

    /// Takes in that somebody has seen the alarm.
    pub(crate) fn acknowledge(&self) -> Acknowledged {
        let mut state = self.state();
        let level = state.debounce.level();
        state.latch.acknowledge(level)
    }

    /// Access to the state, never for longer than it takes to read or write a few fields.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere is reported where it happens; the fields stay readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Access to what is known about twins.
    pub(crate) fn duplicates(&self) -> MutexGuard<'_, Duplicates> {
        self.duplicates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits without the promise that was made for the bundle's own segmenter, where another one is assessed, or for
    /// another one, where the bundle's own is; and without any where a mask leaves a part out, as none did in
    /// calibration, or where things raise the level after other numbers of frames than were counted there.
    pub(crate) fn promised(&self, thresholds: Thresholds) -> Thresholds {
        let are_its_labels = self.labels.is_some() == thresholds.labels_of.is_some();
        let is_as_counted =
            thresholds.things.is_none() || self.parameters.live().patience == Patience::DEFAULT;
        match are_its_labels && is_as_counted && !self.is_masked() {
            true => thresholds,
            false => Thresholds { guarantee: String::new(), ..thresholds },
        }
    }

    /// Whether a part of the image is left out of all figures.
    pub(crate) fn is_masked(&self) -> bool {
        self.parameters.valid_mask().is_some()
    }

    /// Label images so far.
    pub(crate) fn label_counts(&self) -> LabelCounts {
        self.labels.as_ref().map_or_else(LabelCounts::default, |labels| labels.matcher().counts())
    }

    /// Takes in labels that arrived: into the mailbox, with the image that they belong to.
    pub(crate) fn accept_labels(&self, arrival: LabelArrival) {
        let Some(labels) = &self.labels else { return };
        self.state().labels.last = Some(arrival.at);
        let now = arrival.at;
        let pairs = labels.matcher().labels(arrival);
        self.matched(labels, pairs, now);
    }

    /// Takes in what the segmenter says of its ids.
    pub(crate) fn name_labels(&self, classes: Vec<(i32, String)>, ignored: Option<i32>) {
        if let Some(labels) = &self.labels {
            labels.name(classes, ignored);
        }
    }

    /// Takes in that what the segmenter says of its ids cannot be taken.
    pub(crate) fn refuse_names(&self, why: String) {
        if let Some(labels) = &self.labels {
            labels.refuse(why);
        }
    }

    /// Gives up images and labels that have waited for too long.
    pub(crate) fn settle_labels(&self) {
        let Some(labels) = &self.labels else { return };
        let now = self.steady_now();
        let pairs = labels.matcher().settle(now);
        self.matched(labels, pairs, now);
    }

    /// Passes on what is complete, and notes what was given up.
    fn matched(&self, labels: &Labels, pairs: Vec<Arrival>, now: Instant) {
        let (lost, miss, counts) = {
            let mut matcher = labels.matcher();
            (matcher.take_images_lost(), matcher.miss(), matcher.counts())
        };
        self.mailbox.count_unmatched(lost);
        let names = labels.trouble();
        {
            let mut state = self.state();
            let why = miss.map(|miss| miss.told(labels.options.rule));
            state.labels = LabelState { why, counts, names, ..state.labels.clone() };
        }
        for arrival in pairs {
            self.state().labels.matched = Some(now);
            self.pass(arrival, now);
        }
    }

    /// Passes an image on to inference; where none is to be assessed it is counted as dropped.
    fn pass(&self, arrival: Arrival, now: Instant) {
        let wanted = {
            let mut state = self.state();
            let wanted = state.gate.admits(arrival.at);
            if wanted {
                state.owe(now);
            }
            wanted
        };
        match wanted {
            true => self.mailbox.put(arrival),
            false => self.mailbox.count_dropped(),
        }
    }

    /// Ceases to pass images on: what comes, and what waits, is dropped and counted. What is in hand ends in its report.
    pub(crate) fn deactivate(&self) {
        self.state().gate = Gate::Shut;
        self.mailbox.close();
    }

    /// Passes images on, those that come from now on. Nothing of before counts, unless images were passed on all along,
    /// as they are while a node starts.
    pub(crate) fn activate(&self) {
        let now = self.steady_now();
        {
            let mut state = self.state();
            if state.gate != Gate::Open {
                state.begin_anew(now);
                state.gate = Gate::OpenSince(now);
            }
            state.loaded(now);
        }
        self.mailbox.open();
    }

    /// Takes in an image that arrived: into the mailbox, unless it is a twin; where labels are assessed, once it has
    /// its labels.
    pub(crate) fn accept(&self, arrival: Arrival) {
        let (admitted, twins) = {
            let mut duplicates = self.duplicates();
            (duplicates.admit(arrival), duplicates.count())
        };
        self.state().duplicates = twins;
        for arrival in admitted {
            self.state().arrived(&arrival);
            let now = arrival.at;
            match &self.labels {
                Some(labels) => {
                    let pairs = labels.matcher().image(arrival);
                    self.matched(labels, pairs, now);
                }
                None => self.pass(arrival, now),
            }
        }
    }

    /// The node's time as a stamp; zero while a simulated clock has not started.
    pub(crate) fn now_stamp(&self) -> Stamp {
        self.now().unwrap_or_default()
    }

    /// The node's time; none before zero either, which a simulated clock may say and a stamp cannot: it arrives
    /// here as a time far beyond all stamps.
    fn now(&self) -> Option<Stamp> {
        let now = (self.clock)()?;
        Some(Stamp { sec: i32::try_from(now.as_secs()).ok()?, nanosec: now.subsec_nanos() })
    }

    /// The node's time minus `stamp`, in seconds; a stamp of zero is that of a driver that does not stamp.
    pub(crate) fn age_secs(&self, stamp: Stamp) -> Option<f64> {
        if stamp == Stamp::default() {
            return None;
        }
        let secs = |stamp: Stamp| f64::from(stamp.sec) + f64::from(stamp.nanosec) * 1e-9;
        self.now().map(|now| secs(now) - secs(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraImage, Content};
    use crate::model::things::Things;
    use crate::watch::debounce::Level;
    use crate::watch::mailbox::Counts;
    use crate::watch::parameters::{Parameters, Value};
    use crate::watch::state::tests::state;
    use crate::watch::watchdog::Liveness;

    fn arrival(sec: i32, at: Instant) -> Arrival {
        let content = Content::Compressed { format: "jpeg".into(), data: Vec::new().into() };
        let stamp = Stamp { sec, nanosec: 0 };
        Arrival::new(CameraImage { stamp, frame_id: "front".into(), content }, at)
    }

    #[test]
    fn what_comes_while_nothing_is_assessed_is_counted_and_counts_for_nothing_after() {
        let parameters = SharedParameters::new(Parameters::default());
        let shared = Shared::new(parameters, Arc::new(|| None), Thresholds::unknown(), Instant::now());
        let patience = shared.parameters.live().patience;
        shared.accept(arrival(1, Instant::now()));
        for _ in 0..patience.release {
            shared.state().debounce.update(Level::Nominal, patience);
        }
        shared.deactivate();
        shared.accept(arrival(2, Instant::now()));
        let late = arrival(3, Instant::now());
        assert_eq!(shared.state().debounce.level(), Level::Nominal);
        std::thread::sleep(Duration::from_millis(1));
        shared.activate();
        // It came before, and leaves a matcher or the duplicates only now.
        shared.accept(late);
        assert_eq!(shared.mailbox.counts(), Counts { received: 3, dropped: 3, ..Counts::default() });
        assert!(shared.mailbox.take().is_none());
        let (owed, level) = {
            let state = shared.state();
            (state.owed_since, state.debounce.level())
        };
        assert_eq!((owed, level), (None, Level::Failure));
        shared.accept(arrival(4, Instant::now()));
        assert_eq!(shared.mailbox.take().map(|arrival| arrival.image.stamp.sec), Some(4));
        assert!(shared.state().owed_since.is_some());
    }

    #[test]
    fn what_waited_for_a_start_is_assessed() {
        let parameters = SharedParameters::new(Parameters::default());
        let shared = Shared::new(parameters, Arc::new(|| None), Thresholds::unknown(), Instant::now());
        shared.accept(arrival(1, Instant::now()));
        shared.activate();
        assert!(shared.mailbox.take().is_some() && shared.state().phase.is_active());
        assert_eq!(shared.state().watchdog.liveness(Instant::now(), None), Liveness::Alive);
    }

    #[test]
    fn a_latch_outlives_an_activation() {
        let latch = [("latch_level", Value::Text("failure".into()))];
        let parameters = SharedParameters::new(Parameters::with_overrides(latch).unwrap());
        let shared = Shared::new(parameters, Arc::new(|| None), Thresholds::unknown(), Instant::now());
        shared.deactivate();
        shared.activate();
        let state = shared.state();
        assert_eq!(state.latch.level(Level::Nominal), Level::Failure);
    }

    #[test]
    fn limits_set_by_hand_are_those_of_reports_without_an_image_too() {
        let parameters = SharedParameters::new(Parameters::default());
        let calibrated = Thresholds { guarantee: "counted".to_owned(), ..Thresholds::uncalibrated() };
        let shared = Shared::new(parameters, Arc::new(|| None), calibrated.clone(), Instant::now());
        let told = || shared.alarm(Validity::Stale, "no image".to_owned()).thresholds;
        assert_eq!(told(), calibrated);
        shared.parameters.set("threshold.failure", &Value::Double(0.9)).unwrap();
        assert_eq!(told(), Thresholds { failure: 0.9, guarantee: String::new(), ..calibrated.clone() });
        shared.parameters.set("threshold.failure", &Value::Double(-1.)).unwrap();
        assert_eq!(told(), calibrated);
    }

    #[test]
    fn what_was_counted_of_things_holds_for_the_patience_it_was_counted_with() {
        let told = |things: Option<Things>, frames: i64| {
            let patience = [("trigger_frames", Value::Integer(frames))];
            let parameters = SharedParameters::new(Parameters::with_overrides(patience).unwrap());
            let limits = Thresholds { things, guarantee: "counted".to_owned(), ..Thresholds::uncalibrated() };
            let shared = Shared::new(parameters, Arc::new(|| None), limits, Instant::now());
            !shared.alarm(Validity::Stale, String::new()).thresholds.guarantee.is_empty()
        };
        let usual = i64::from(Patience::DEFAULT.trigger);
        assert!(told(Some(Things::example(0.5)), usual) && !told(Some(Things::example(0.5)), usual + 1));
        assert!(told(None, usual + 1), "of frames by themselves");
    }

    #[test]
    fn a_clock_before_zero_gives_no_stamp_and_no_age() {
        let at = |nanos: i64| {
            // As the client library gives it.
            let clock = Arc::new(move || Some(Duration::from_nanos(nanos as u64)));
            let parameters = SharedParameters::new(Parameters::with_overrides([]).unwrap());
            Shared::new(parameters, clock, Thresholds::unknown(), Instant::now())
        };
        let stamp = Stamp { sec: 3, nanosec: 0 };
        let good = at(5_500_000_000);
        assert_eq!(
            (good.now_stamp(), good.age_secs(stamp)),
            (Stamp { sec: 5, nanosec: 500_000_000 }, Some(2.5))
        );
        let before = at(-1_500_000_000);
        assert_eq!((before.now_stamp(), before.age_secs(stamp)), (Stamp::default(), None));
    }

    #[test]
    fn a_promise_holds_for_those_whose_labels_and_whole_images_it_was_made_for() {
        let guaranteed = |source: &str, labels_of: Option<&str>, mask: &str| {
            let texts = [("segmentation", source), ("valid_mask", mask)];
            let texts = texts.map(|(name, text)| (name, Value::Text(text.into())));
            let parameters = Parameters::with_overrides(texts).unwrap();
            let clock = Arc::new(|| None);
            let shared =
                Shared::new(SharedParameters::new(parameters), clock, Thresholds::unknown(), Instant::now());
            let guarantee = "on 100 labelled frames".to_owned();
            let labels_of = labels_of.map(str::to_owned);
            !shared
                .promised(Thresholds { guarantee, labels_of, ..Thresholds::unknown() })
                .guarantee
                .is_empty()
        };
        assert!(guaranteed("inside", None, "") && guaranteed("topic", Some("theirs"), ""));
        assert!(!guaranteed("topic", None, "") && !guaranteed("inside", Some("theirs"), ""));
        // Calibration knew of no mask.
        assert!(!guaranteed("inside", None, "bonnet.png"));
    }

    #[test]
    fn a_level_that_waits_to_be_published_is_no_better_than_what_was_said_since() {
        let now = Instant::now();
        let mut state = state(now);
        assert_eq!(state.level_of(Level::Nominal, now), Level::Nominal);
        state.fail(now + Duration::from_millis(1));
        assert_eq!(state.level_of(Level::Nominal, now), Level::Failure);
        let later = now + Duration::from_millis(2);
        assert_eq!(state.level_of(Level::Nominal, later), Level::Nominal);
        state.gate = Gate::Shut;
        assert_eq!(state.level_of(Level::Nominal, later), Level::Failure);
    }
}
