//! What goes on `/diagnostics`: statuses with stable names, so that an aggregator can route
//! camera trouble, inference trouble, slowness and a wrong segmentation to different paths.

mod image;

use std::time::{Duration, Instant};

use super::cameras::Camera;
use super::mailbox::Counts;
use super::parameters::Transport;
use super::recorded::Recorded;
use super::settings::{Live, Settings};
use super::state::{LabelState, State};
use super::verdict::Validity;
use crate::model::bundle::CALIBRATE;
use crate::monitor::assessment::Mode;
use crate::monitor::self_test::SelfTested;
use crate::watch::debounce::Level;
use crate::watch::watchdog::Liveness;

/// Severity as diagnostic_msgs/DiagnosticStatus numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Severity {
    /// All is well.
    Ok = 0,
    /// Something deserves attention.
    Warn = 1,
    /// Something is broken.
    Error = 2,
    /// Nothing is known.
    Stale = 3,
}

/// One status.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    /// What it is about; the node's name goes before it.
    pub task: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// The numbers behind it.
    pub values: Vec<(&'static str, String)>,
}

/// What the statuses are made from.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot<'a> {
    /// The names of its topics.
    pub camera: &'a Camera,
    /// Camera, inference and verdict.
    pub state: &'a State,
    /// Images so far.
    pub counts: Counts,
    /// Settings of the start.
    pub settings: &'a Settings,
    /// Settings in force.
    pub live: Live,
    /// One line on the networks.
    pub model: &'a str,
    /// The bundle's name and hash; empty while it loads.
    pub bundle: (&'a str, &'a str),
    /// Age of the newest image by its stamp, in seconds.
    pub image_age_secs: Option<f64>,
    /// What became of the recordings of alarms, where those are made.
    pub recorded: Option<&'a Recorded>,
    /// Now, on the steady clock.
    pub now: Instant,
}

/// How long a report has been due, if that is longer than `report_timeout`: something hangs, be it decoding,
/// inference or publishing. While no image is assessed no report is due.
pub(crate) fn hanging(state: &State, live: Live, now: Instant) -> Option<Duration> {
    let owed = now.saturating_duration_since(state.owed_since?);
    (state.phase.is_active() && owed > live.report_timeout).then_some(owed)
}

/// Why images that come since `since` have no labels, if that has lasted for longer than labels.timeout.
pub(crate) fn unlabelled(state: &State, live: Live, since: Instant, now: Instant) -> Option<String> {
    let timeout = live.labels_timeout?;
    let silence = |heard: Option<Instant>| {
        let last = heard.map_or(since, |heard| heard.max(since));
        now.saturating_duration_since(last)
    };
    let (unmatched, silent) = (silence(state.labels.matched), silence(state.labels.last));
    let (seconds, allowed) = (unmatched.as_secs_f64(), timeout.as_secs_f64());
    (unmatched > timeout).then(|| match &state.labels.why {
        Some(why) if silent <= timeout => {
            format!("labels arrive, and for {seconds:.1} s none has belonged to an image: {why}")
        }
        _ => format!("images arrive without labels for {seconds:.1} s; labels.timeout allows {allowed} s"),
    })
}

/// The statuses, and one of the labels where those come by topic, and of the recorder where there is one.
pub(crate) fn statuses(snapshot: &Snapshot) -> Vec<Status> {
    let own = [
        camera(snapshot),
        inference(snapshot),
        processing_time(snapshot),
        segmentation(snapshot),
        self_test(snapshot),
        image::calibration(snapshot),
    ];
    own.into_iter()
        .chain(image::pictures(snapshot))
        .chain(labels(snapshot))
        .chain(recorder(snapshot))
        .collect()
}

fn recorder(snapshot: &Snapshot) -> Option<Status> {
    let Recorded { written, lost, last_error, last, messages_lost } = snapshot.recorded?;
    let (severity, message) = match last_error {
        Some(error) if *lost == 0 => (Severity::Warn, format!("nothing can be recorded: {error}")),
        Some(error) => (Severity::Warn, format!("a recording was lost: {error}")),
        None if *messages_lost > 0 => {
            (Severity::Warn, "messages came faster than they are recorded; some are lost".to_owned())
        }
        None => (Severity::Ok, "rises of the level are recorded".to_owned()),
    };
    Some(Status {
        task: "event recorder",
        severity,
        message,
        values: vec![
            ("events_written", written.to_string()),
            ("events_lost", lost.to_string()),
            ("messages_lost", messages_lost.to_string()),
            ("last_event", last.as_ref().map_or(String::new(), |path| path.display().to_string())),
            ("last_error", last_error.clone().unwrap_or_default()),
        ],
    })
}

fn self_test(snapshot: &Snapshot) -> Status {
    let Snapshot { state, now, .. } = *snapshot;
    let tests = &state.self_test;
    let (word, severity) = match tests.last() {
        None => ("waiting", Severity::Warn),
        Some(SelfTested::Absent) => ("absent", Severity::Ok),
        Some(SelfTested::Passed(_)) => ("passed", Severity::Ok),
        Some(SelfTested::Failed(_)) => ("failed", Severity::Error),
    };
    let scores = match tests.last() {
        Some(SelfTested::Passed(scores)) => Some(scores),
        _ => None,
    };
    let score = |of: usize| number(scores.map(|scores| f64::from(scores[of].failure_score)));
    Status {
        task: "self test",
        severity,
        message: tests.last().map_or("not made yet".to_owned(), SelfTested::told),
        values: vec![
            ("state", word.to_owned()),
            ("good_failure_score", score(0)),
            ("bad_failure_score", score(1)),
            ("self_tests_failed", tests.failed.to_string()),
            ("since_last_self_test_ms", millis(tests.last_at().map(|at| now.saturating_duration_since(at)))),
        ],
    }
}

fn labels(snapshot: &Snapshot) -> Option<Status> {
    let Snapshot { state, counts, settings, live, now, .. } = *snapshot;
    let options = settings.labels.as_ref()?;
    let LabelState { last, matched, why, counts: labels, names } = &state.labels;
    let since = |at: &Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    // Of the last verdicts none is on an image, if labels stopped.
    let silent = unlabelled(state, live, state.watchdog.started(), now);
    let liveness = state.watchdog.liveness(now, live.source_timeout);
    let (severity, message) = match (silent, matched, liveness) {
        (_, _, Liveness::Stale | Liveness::Alive) if !state.phase.is_active() => (
            Severity::Ok,
            format!("labels are not waited for while the node is {}", state.phase.state.label()),
        ),
        (_, _, Liveness::Waiting) => (Severity::Warn, "no image yet that labels could belong to".to_owned()),
        (_, _, Liveness::Stale) => (Severity::Error, "no images come that labels could belong to".to_owned()),
        (Some(reason), _, Liveness::Alive) => (Severity::Error, reason),
        (None, None, Liveness::Alive) => {
            let [raw, compressed] = ["labels", "labels/compressed"].map(|topic| snapshot.camera.input(topic));
            (Severity::Warn, format!("no labels yet on {raw}, {compressed}"))
        }
        (None, Some(_), Liveness::Alive) => (Severity::Ok, "labels belong to images".to_owned()),
    };
    let (severity, message) = match names {
        Some(trouble) if severity == Severity::Ok => (Severity::Warn, trouble.clone()),
        _ => (severity, message),
    };
    Some(Status {
        task: "labels",
        severity,
        message,
        values: vec![
            ("labels_received", labels.received.to_string()),
            ("labels_unmatched", labels.unmatched.to_string()),
            ("frames_unmatched", counts.unmatched.to_string()),
            ("last_miss", why.clone().unwrap_or_default()),
            ("unknown_names", names.clone().unwrap_or_default()),
            ("since_last_labels_ms", millis(since(last))),
            ("since_last_match_ms", millis(since(matched))),
            ("timeout_ms", millis(Some(options.timeout))),
        ],
    })
}

fn camera(snapshot: &Snapshot) -> Status {
    let Snapshot { state, counts, settings, live, now, .. } = *snapshot;
    let rejected = state
        .last_verdict
        .as_ref()
        .filter(|verdict| verdict.validity == Validity::InvalidInput)
        .map(|verdict| verdict.reason.clone());
    let topics = match settings.transport {
        Transport::Auto => &["image", "image/compressed"][..],
        Transport::Raw => &["image"],
        Transport::Compressed => &["image/compressed"],
    };
    let topics = topics.iter().map(|topic| snapshot.camera.input(topic)).collect::<Vec<_>>().join(", ");
    let miscalibrated = match (state.size, state.calibrated_size) {
        (Some(size), Some(calibrated)) if size != calibrated => Some((size, calibrated)),
        _ => None,
    };
    let why = state.why_silent(now).map_or(String::new(), |why| format!("; {why}"));
    let warning =
        state.publishers.and_then(|publishers| publishers.warnings(now).into_iter().flatten().next());
    let (word, severity, message) = match (state.watchdog.liveness(now, live.source_timeout), rejected) {
        (Liveness::Waiting, _) if settings.reliable_input => (
            "waiting",
            Severity::Warn,
            format!(
                "no image yet on {topics}{why}; input_qos is default (reliable), which a best-effort camera cannot serve"
            ),
        ),
        (Liveness::Waiting, _) => ("waiting", Severity::Warn, format!("no image yet on {topics}{why}")),
        (Liveness::Stale, _) if !state.phase.is_active() => {
            let (silence, phase) = (state.watchdog.silence(now).as_secs_f64(), state.phase.state.label());
            let message =
                format!("no image for {silence:.1} s; none is waited for while the node is {phase}");
            ("unwatched", Severity::Ok, message)
        }
        (Liveness::Stale, _) => (
            "stale",
            Severity::Error,
            format!("no image for {:.1} s{why}", state.watchdog.silence(now).as_secs_f64()),
        ),
        (Liveness::Alive, Some(reason)) => ("rejected", Severity::Error, reason),
        (Liveness::Alive, None) => match (warning, miscalibrated) {
            (Some(warning), _) => ("active", Severity::Warn, warning),
            (None, Some(((width, height), (wide, high)))) => (
                "active",
                Severity::Warn,
                format!("images are {width}x{height}, camera_info says {wide}x{high}"),
            ),
            (None, None) => ("active", Severity::Ok, "images arrive".to_owned()),
        },
    };
    let size = |size: Option<(u32, u32)>| size.map_or(UNKNOWN.to_owned(), |(w, h)| format!("{w}x{h}"));
    Status {
        task: "camera",
        severity,
        message,
        values: vec![
            ("state", word.to_owned()),
            ("topics", topics),
            ("image_age_ms", number(snapshot.image_age_secs.map(|age| age * 1e3))),
            ("since_last_arrival_ms", millis(state.watchdog.since_arrival(now))),
            ("Actual frequency (Hz)", number(state.frequency())),
            ("frames_received", counts.received.to_string()),
            ("frames_dropped", counts.dropped.to_string()),
            ("frames_invalid", counts.invalid.to_string()),
            ("frames_unmatched", counts.unmatched.to_string()),
            ("second_copies_ignored", state.duplicates.to_string()),
            ("encoding", state.encoding.clone()),
            ("image_size", size(state.size)),
            ("camera_info_size", size(state.calibrated_size)),
        ],
    }
}

fn inference(snapshot: &Snapshot) -> Status {
    let Snapshot { state, counts, live, now, .. } = *snapshot;
    let failed = state.last_verdict.as_ref().filter(|verdict| verdict.validity == Validity::Failed);
    let (severity, message) = if !state.phase.is_active() {
        (Severity::Warn, state.phase.told(now))
    } else if let Some(owed) = hanging(state, live, now) {
        (
            Severity::Error,
            format!("images arrive, and none has been assessed for {:.1} s", owed.as_secs_f64()),
        )
    } else if let Some(verdict) = failed {
        (Severity::Error, verdict.reason.clone())
    } else {
        match state.mode {
            None => (Severity::Ok, "no frame processed yet".to_owned()),
            Some(Mode::Full) => (Severity::Ok, "frames are assessed by the whole method".to_owned()),
            Some(Mode::LogitsOnly) => (
                Severity::Warn,
                "synthesis misses degraded.deadline: assessing by the segmenter's own confidence".to_owned(),
            ),
        }
    };
    let mode = match state.mode {
        None => UNKNOWN,
        Some(Mode::Full) => "full",
        Some(Mode::LogitsOnly) => "logits_only",
    };
    Status {
        task: "inference",
        severity,
        message,
        values: vec![
            ("lifecycle", state.phase.state.label().to_owned()),
            ("bundle", snapshot.bundle.0.to_owned()),
            ("bundle_hash", snapshot.bundle.1.to_owned()),
            ("model", snapshot.model.to_owned()),
            ("mode", mode.to_owned()),
            ("frames_processed", counts.processed.to_string()),
            ("frames_failed", state.failures.to_string()),
            ("last_failure", state.last_failure.clone().unwrap_or_default()),
            ("report_due_ms", millis(state.owed_since.map(|since| now.saturating_duration_since(since)))),
        ],
    }
}

fn processing_time(snapshot: &Snapshot) -> Status {
    let Snapshot { state, live, now, .. } = *snapshot;
    let verdict = state.last_verdict.as_ref();
    let total = verdict.and_then(|verdict| verdict.total);
    let slow = state.slow_since.map(|since| now.saturating_duration_since(since));
    let budget = live.max_processing_time.map(|limit| limit.as_secs_f64() * 1e3);
    let seconds = total.unwrap_or_default().as_secs_f64();
    let (severity, message) = match (total, slow) {
        (None, _) => (Severity::Ok, "waiting for the first frame".to_owned()),
        (Some(_), Some(slow)) if slow > live.max_consecutive_delay => (
            Severity::Error,
            format!("{seconds:.3} s a frame, over max_processing_time for {:.1} s", slow.as_secs_f64()),
        ),
        (Some(_), Some(_)) => (Severity::Warn, format!("{seconds:.3} s a frame, over max_processing_time")),
        (Some(_), None) => (Severity::Ok, format!("{seconds:.3} s a frame")),
    };
    let stages = verdict.and_then(|verdict| verdict.report.as_ref()).map(|report| report.latency);
    let stage = |pick: fn(crate::monitor::assessment::Latency) -> Duration| millis(stages.map(pick));
    Status {
        task: "processing time",
        severity,
        message,
        values: vec![
            ("decode_time_ms", millis(verdict.and_then(|verdict| verdict.decode))),
            ("segment_time_ms", stage(|latency| latency.segment)),
            ("synthesize_time_ms", stage(|latency| latency.synthesize)),
            ("compare_time_ms", stage(|latency| latency.compare)),
            ("score_time_ms", stage(|latency| latency.score)),
            ("processing_time_ms", millis(total)),
            ("max_processing_time_ms", number(budget)),
            ("over_budget_ms", millis(slow)),
            (
                "last_frame_timestamp",
                verdict.map_or(UNKNOWN.to_owned(), |v| format!("{}.{:09}", v.stamp.sec, v.stamp.nanosec)),
            ),
            ("output_latency_ms", number(verdict.and_then(|v| v.image_age_secs).map(|age| age * 1e3))),
            (
                "time_since_last_publish_ms",
                millis(state.last_report.map(|at| now.saturating_duration_since(at))),
            ),
        ],
    }
}

fn segmentation(snapshot: &Snapshot) -> Status {
    let Snapshot { state, live, now, .. } = *snapshot;
    let thresholds = live.thresholds.in_place_of(&state.calibrated);
    let verdict = state
        .last_verdict
        .as_ref()
        .filter(|_| state.watchdog.liveness(now, live.source_timeout) == Liveness::Alive);
    let report = verdict.and_then(|verdict| verdict.report.as_ref());
    let level = state.debounce.level();
    let latched = state.latch.level(level);
    let (severity, message) = match (verdict, level) {
        (None, _) => (Severity::Stale, "no image to assess".to_owned()),
        (Some(_), level) if latched > level => (
            if latched == Level::Failure { Severity::Error } else { Severity::Warn },
            format!("{} has been and is held until ~/acknowledge; the level is {}", latched.name(), level.name()),
        ),
        (Some(_), Level::Nominal) => (Severity::Ok, "the segmentation can be used".to_owned()),
        (Some(_), Level::Caution) => (Severity::Warn, "the segmentation may be wrong".to_owned()),
        (Some(verdict), Level::Failure) if verdict.is_late(live) => (
            Severity::Error,
            "the segmentation must not be relied on: reports are older than source_timeout when they are made".to_owned(),
        ),
        (Some(_), Level::Failure) if !thresholds.decide() => (
            Severity::Error,
            format!("limits of the level are not known, the bundle is not calibrated; {CALIBRATE}"),
        ),
        (Some(_), Level::Failure) => (Severity::Error, "the segmentation must not be relied on".to_owned()),
    };
    let score = |value: Option<f32>| number(value.map(f64::from));
    Status {
        task: "segmentation",
        severity,
        message,
        values: vec![
            ("level", level.name().to_owned()),
            ("raw_level", state.raw.name().to_owned()),
            ("latched_level", latched.name().to_owned()),
            ("failure_score", score(report.map(|report| report.failure_score))),
            ("predicted_miou", score(report.map(|report| report.predicted_miou))),
            ("error_area", score(report.map(|report| report.error_area))),
            ("anomaly_area", score(report.map(|report| report.anomaly_area))),
            ("anomaly_regions", report.map_or(UNKNOWN.to_owned(), |report| report.regions.len().to_string())),
            ("threshold_caution", score(Some(thresholds.caution))),
            ("threshold_failure", score(Some(thresholds.failure))),
            ("threshold_error", score(Some(thresholds.error))),
            ("threshold_anomaly", score(Some(thresholds.anomaly))),
            ("threshold_anomaly_area", score(Some(thresholds.anomaly_area))),
            ("threshold_thing", score(thresholds.things.as_ref().map(|things| things.limit))),
        ],
    }
}

const UNKNOWN: &str = "nan";

fn number(value: Option<f64>) -> String {
    value.map_or(
        UNKNOWN.to_owned(),
        |value| {
            if value.is_nan() { UNKNOWN.to_owned() } else { format!("{value:.4}") }
        },
    )
}

fn millis(value: Option<Duration>) -> String {
    value.map_or(UNKNOWN.to_owned(), |value| format!("{:.1}", value.as_secs_f64() * 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Stamp;
    use crate::frame::health::Health;
    use crate::model::bundle::Thresholds;
    use crate::monitor::assessment::{Latency, Report};
    use crate::watch::labels::LabelCounts;
    use crate::watch::likeness::{CalibrationState, Likeness};
    use crate::watch::parameters::{Parameters, Value};
    use crate::watch::state::tests::state;
    use crate::watch::verdict::Verdict;

    fn verdict(validity: Validity, reason: &str, total: Duration) -> Verdict {
        let report = (validity == Validity::Ok).then(|| Report {
            latency: Latency { segment: Duration::from_millis(12), ..Latency::default() },
            ..Report::example(Mode::Full, 0.25)
        });
        Verdict {
            stamp: Stamp { sec: 3, nanosec: 5 },
            camera: "front".to_owned(),
            validity,
            reason: reason.to_owned(),
            level: Level::Nominal,
            raw: Level::Nominal,
            latched: Level::Nominal,
            report,
            thresholds: Thresholds::uncalibrated(),
            calibration: CalibrationState::Unknown,
            decode: None,
            total: Some(total),
            image_age_secs: Some(0.01),
            labels_age_secs: None,
            since_arrival: None,
            counts: Counts::default(),
            label_counts: LabelCounts::default(),
        }
    }

    fn statuses_of(state: &State, now: Instant) -> Vec<Status> {
        statuses_by(&Parameters::default(), state, now)
    }

    fn statuses_by(parameters: &Parameters, state: &State, now: Instant) -> Vec<Status> {
        let settings = parameters.settings();
        let snapshot = Snapshot {
            camera: &Camera::default(),
            state,
            counts: Counts::default(),
            settings: &settings,
            live: settings.live,
            model: "",
            bundle: ("street", "ff"),
            image_age_secs: None,
            recorded: None,
            now,
        };
        statuses(&snapshot)
    }

    /// The first five, which depend on camera and networks.
    fn brief(statuses: &[Status]) -> Vec<(&str, Severity)> {
        statuses.iter().take(5).map(|status| (status.task, status.severity)).collect()
    }

    fn value<'a>(status: &'a Status, key: &str) -> &'a str {
        status.values.iter().find(|(name, _)| *name == key).map_or("missing", |(_, value)| value)
    }

    #[test]
    fn each_fault_of_the_picture_is_a_status_of_its_own_and_so_is_an_unlike_scene() {
        use Severity::{Ok, Stale, Warn};
        let now = Instant::now();
        let mut state = state(now);
        let beyond = |state: &State, now: Instant| {
            let found = statuses_of(state, now);
            found[5..].iter().map(|status| (status.task, status.severity)).collect::<Vec<_>>()
        };
        let all = |calibration, exposure, blur, noise, cover| {
            [
                ("calibration", calibration),
                ("image exposure", exposure),
                ("image blur", blur),
                ("image noise", noise),
                ("image cover", cover),
            ]
        };
        assert_eq!(beyond(&state, now), all(Ok, Stale, Stale, Stale, Stale));
        state.watchdog.feed(now);
        let good = Health { brightness: 0.4, range: 0.8, sharpness: 0.5, covered: 0. };
        state.health = Some(good);
        assert_eq!(beyond(&state, now), all(Ok, Ok, Ok, Ok, Ok));
        state.health = Some(Health { range: 0.1, sharpness: 0.05, covered: 0.9, ..good });
        state.likeness = Likeness { state: CalibrationState::Invalid, ..Likeness::default() };
        assert_eq!(beyond(&state, now), all(Warn, Warn, Warn, Ok, Warn));
        assert_eq!(value(&statuses_of(&state, now)[5], "state"), "INVALID");
        state.health = Some(Health { sharpness: f32::NAN, ..good });
        assert_eq!(beyond(&state, now), all(Warn, Ok, Warn, Warn, Ok));
        assert_eq!(beyond(&state, now + Duration::from_secs(9)), all(Warn, Stale, Stale, Stale, Stale));
        state.likeness = Likeness { obstacle: Some("there is no anomalous area"), ..Likeness::default() };
        let calibration = statuses_of(&state, now).swap_remove(5);
        assert_eq!((calibration.severity, value(&calibration, "state")), (Warn, "UNKNOWN"));
        assert!(calibration.message.contains("there is no anomalous area"), "{}", calibration.message);
    }

    #[test]
    fn before_the_first_frame_it_waits() {
        let now = Instant::now();
        let found = statuses_of(&state(now), now);
        use Severity::{Ok, Stale, Warn};
        assert_eq!(
            brief(&found),
            [
                ("camera", Warn),
                ("inference", Ok),
                ("processing time", Ok),
                ("segmentation", Stale),
                ("self test", Warn)
            ]
        );
        assert_eq!(value(&found[0], "state"), "waiting");
        assert_eq!(value(&found[3], "failure_score"), "nan");
    }

    #[test]
    fn limits_set_by_hand_are_shown_before_the_next_image() {
        let now = Instant::now();
        let mut parameters = Parameters::default();
        parameters.set("threshold.failure", &Value::Double(0.9)).unwrap();
        let found = statuses_by(&parameters, &state(now), now);
        assert_eq!(value(&found[3], "threshold_failure"), "0.9000");
        assert_eq!(value(&found[3], "threshold_caution"), "0.5000", "the bundle's");
    }

    #[test]
    fn an_assessed_frame_shows_its_numbers() {
        let now = Instant::now();
        let mut state = state(now);
        state.watchdog.feed(now);
        state.assessed(
            &verdict(Validity::Ok, "", Duration::from_millis(80)),
            Some(Duration::from_millis(200)),
            now,
        );
        let found = statuses_of(&state, now);
        use Severity::{Error, Ok, Warn};
        // The level has not been released yet: one good frame is not enough.
        assert_eq!(
            brief(&found),
            [
                ("camera", Ok),
                ("inference", Ok),
                ("processing time", Ok),
                ("segmentation", Error),
                ("self test", Warn)
            ]
        );
        assert_eq!(value(&found[2], "segment_time_ms"), "12.0");
        assert_eq!(value(&found[2], "last_frame_timestamp"), "3.000000005");
        assert_eq!(value(&found[3], "failure_score"), "0.2500");
    }

    #[test]
    fn a_dead_camera_is_an_error_and_leaves_no_verdict() {
        let now = Instant::now();
        let mut state = state(now);
        state.watchdog.feed(now);
        state.assessed(&verdict(Validity::Ok, "", Duration::ZERO), None, now);
        let found = statuses_of(&state, now + Duration::from_secs(2));
        assert_eq!(value(&found[0], "state"), "stale");
        assert_eq!((found[0].severity, found[3].severity), (Severity::Error, Severity::Stale));
    }

    #[test]
    fn a_camera_that_nobody_waits_for_may_be_silent() {
        use crate::watch::lifecycle::{Phase, State as Lifecycle};
        let now = Instant::now();
        let mut state = state(now);
        state.watchdog.feed(now);
        state.owed_since = Some(now);
        state.phase = Phase::new(Lifecycle::Inactive, now);
        let found = statuses_of(&state, now + Duration::from_secs(60));
        assert_eq!((found[0].severity, value(&found[0], "state")), (Severity::Ok, "unwatched"));
        assert_eq!(found[0].message, "no image for 60.0 s; none is waited for while the node is inactive");
        assert_eq!((found[1].severity, value(&found[1], "lifecycle")), (Severity::Warn, "inactive"));
        assert_eq!(found[1].message, "inactive: ~/change_state activate starts it");
        assert_eq!(found[3].severity, Severity::Stale);
    }

    #[test]
    fn labels_whose_names_mean_nothing_are_a_warning() {
        let now = Instant::now();
        let mut state = state(now);
        state.watchdog.feed(now);
        (state.labels.last, state.labels.matched) = (Some(now), Some(now));
        let topic = Parameters::with_overrides([("segmentation", Value::Text("topic".into()))]).unwrap();
        let told = |state: &State| {
            let status = statuses_by(&topic, state, now).pop().unwrap();
            (status.task, status.severity, value(&status, "unknown_names").to_owned())
        };
        assert_eq!(told(&state), ("labels", Severity::Ok, String::new()));
        state.labels.names = Some("no class: dragon".to_owned());
        assert_eq!(told(&state), ("labels", Severity::Warn, "no class: dragon".to_owned()));
    }

    #[test]
    fn a_rejected_image_and_a_failed_inference_are_different_statuses() {
        let now = Instant::now();
        let mut state = state(now);
        state.watchdog.feed(now);
        state.assessed(&verdict(Validity::InvalidInput, "step is 3", Duration::ZERO), None, now);
        let found = statuses_of(&state, now);
        assert_eq!((value(&found[0], "state"), found[0].message.as_str()), ("rejected", "step is 3"));
        assert_eq!(found[1].severity, Severity::Ok);
        state.assessed(&verdict(Validity::Failed, "no memory", Duration::ZERO), None, now);
        let found = statuses_of(&state, now);
        assert_eq!((found[0].severity, found[1].severity), (Severity::Ok, Severity::Error));
        assert_eq!(value(&found[1], "last_failure"), "no memory");
    }

    #[test]
    fn a_self_test_is_told_with_its_scores_or_its_reason() {
        use crate::model::self_test::Expected;
        let now = Instant::now();
        let mut state = state(now);
        let told = |state: &State| statuses_of(state, now).swap_remove(4);
        let scores = |failure_score| Expected { failure_score, error_area: 0.1, anomaly_area: 0.1 };
        state.self_test.record(1, SelfTested::Passed([scores(0.4), scores(0.8)]), now);
        let status = told(&state);
        assert_eq!(
            (status.task, status.severity, value(&status, "state")),
            ("self test", Severity::Ok, "passed")
        );
        assert_eq!(
            [value(&status, "good_failure_score"), value(&status, "bad_failure_score")],
            ["0.4000", "0.8000"]
        );
        state.self_test.record(2, SelfTested::Failed("a bit has flipped".to_owned()), now);
        let status = told(&state);
        assert_eq!((status.severity, value(&status, "state")), (Severity::Error, "failed"));
        assert!(status.message.contains("a bit has flipped"), "{}", status.message);
        state.self_test.record(3, SelfTested::Absent, now);
        assert_eq!((told(&state).severity, value(&told(&state), "state")), (Severity::Ok, "absent"));
    }

    #[test]
    fn slowness_warns_and_then_errs() {
        let now = Instant::now();
        let mut state = state(now);
        state.watchdog.feed(now);
        let limit = Some(Duration::from_millis(200));
        state.assessed(&verdict(Validity::Ok, "", Duration::from_millis(300)), limit, now);
        assert_eq!(statuses_of(&state, now)[2].severity, Severity::Warn);
        let later = now + Duration::from_millis(1100);
        state.assessed(&verdict(Validity::Ok, "", Duration::from_millis(300)), limit, later);
        assert_eq!(statuses_of(&state, later)[2].severity, Severity::Error);
        state.assessed(&verdict(Validity::Ok, "", Duration::from_millis(100)), limit, later);
        assert_eq!(statuses_of(&state, later)[2].severity, Severity::Ok);
    }

    #[test]
    fn a_report_long_due_is_an_error_until_it_is_there() {
        let now = Instant::now();
        let mut state = state(now);
        state.owed_since = Some(now);
        let live = Parameters::default().settings().live;
        assert_eq!(hanging(&state, live, now + live.report_timeout), None);
        let later = now + Duration::from_millis(5001);
        assert_eq!(hanging(&state, live, later), Some(Duration::from_millis(5001)));
        assert_eq!(statuses_of(&state, later)[1].severity, Severity::Error);
        let mut verdict = verdict(Validity::Ok, "", Duration::from_millis(100));
        state.assessed(&verdict, None, later);
        assert_eq!((state.owed_since, statuses_of(&state, later)[1].severity), (None, Severity::Ok));
        // Patience with slow frames has no part in it.
        let impatient = Live { max_consecutive_delay: Duration::ZERO, ..live };
        state.owed_since = Some(now);
        assert_eq!(hanging(&state, impatient, later), Some(Duration::from_millis(5001)));
        // One that came meanwhile is due from now on.
        verdict.counts.received = 1;
        state.assessed(&verdict, None, later);
        assert_eq!(state.owed_since, Some(later));
    }
}
