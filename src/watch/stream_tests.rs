use std::slice::from_mut;

use super::*;
use crate::frame::{CameraImage, Content, Stamp};
use crate::model::things::Things;
use crate::monitor::assessment::{Region, Report};
use crate::watch::debounce::Patience;
use crate::watch::mailbox::Counts;
use crate::watch::parameters::{Parameters, Value};
use crate::watch::shared_parameters::SharedParameters;

/// Does with each frame what the test says.
struct Puppet<F> {
    act: F,
    thresholds: Thresholds,
}

impl<F: FnMut(Mode) -> Result<f32, String>> Assessor for Puppet<F> {
    fn assess(&mut self, _: &Frame, mode: Mode, _: Wanted) -> Result<Assessment, String> {
        (self.act)(mode).map(|failure_score| Assessment {
            report: Report::example(mode, failure_score),
            maps: Maps::default(),
        })
    }

    fn thresholds(&self) -> Thresholds {
        self.thresholds.clone()
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }
}

fn thresholds() -> Thresholds {
    Thresholds { guarantee: "calibrated".to_owned(), ..Thresholds::uncalibrated() }
}

fn session<F: FnMut(Mode) -> Result<f32, String>>(
    act: F,
    overrides: &[(&str, Value)],
) -> (Session<Puppet<F>>, Arc<Shared>) {
    // Most tests show one picture all along, on a clock that stands still.
    let patient = [("max_image_age", Value::Double(0.)), ("max_repeat_time", Value::Double(0.))];
    let overrides = overrides.iter().map(|(name, value)| (*name, value.clone()));
    let parameters = Parameters::with_overrides(patient.into_iter().chain(overrides)).unwrap();
    let clock = Arc::new(|| Some(Duration::from_secs(100)));
    let shared =
        Arc::new(Shared::new(SharedParameters::new(parameters), clock, thresholds(), Instant::now()));
    (Session::new(Puppet { act, thresholds: thresholds() }, shared.clone()), shared)
}

fn arrival(sec: i32, encoding: &str) -> Arrival {
    let content = Content::Raw {
        width: 2,
        height: 2,
        encoding: encoding.to_owned(),
        is_bigendian: false,
        step: 6,
        data: vec![0; 12].into(),
    };
    let image = CameraImage { stamp: Stamp { sec, nanosec: 7 }, frame_id: "front".to_owned(), content };
    Arrival::new(image, Instant::now())
}

fn through<F: FnMut(Mode) -> Result<f32, String>>(
    session: &mut Session<Puppet<F>>,
    shared: &Shared,
    arrival: Arrival,
) -> Verdict {
    shared.mailbox.put(arrival);
    let arrival = shared.mailbox.take().unwrap();
    session.assess(Decoded::new(arrival, shared), Wanted::default()).verdict
}

#[test]
fn a_good_frame_is_ok_and_keeps_its_header() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    let verdict = through(&mut session, &shared, arrival(98, "rgb8"));
    assert_eq!(verdict.validity, Validity::Ok);
    assert_eq!((verdict.stamp, verdict.camera.as_str()), (Stamp { sec: 98, nanosec: 7 }, "front"));
    assert!((verdict.image_age_secs.unwrap() - 2.0).abs() < 1e-6);
    assert_eq!(verdict.counts, Counts { received: 1, processed: 1, ..Counts::default() });
    assert_eq!(verdict.thresholds.guarantee, "calibrated");
    assert_eq!(shared.state().size, Some((2, 2)));
}

#[test]
fn an_unreadable_frame_is_invalid_and_the_next_is_assessed() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    let verdict = through(&mut session, &shared, arrival(1, "rgb9"));
    assert_eq!(verdict.validity, Validity::InvalidInput);
    assert!(verdict.reason.contains("rgb9"), "{}", verdict.reason);
    assert!(verdict.report.is_none());
    let verdict = through(&mut session, &shared, arrival(2, "rgb8"));
    assert_eq!(verdict.validity, Validity::Ok);
    assert_eq!(verdict.counts, Counts { received: 2, processed: 1, invalid: 1, ..Counts::default() });
}

#[test]
fn an_error_and_a_panic_are_failed_frames_and_no_more() {
    let mut call = 0;
    let act = move |_| {
        call += 1;
        match call {
            1 => Err("no memory for 3 GB".to_owned()),
            2 => panic!("shape {} is odd", 3),
            _ => Ok(0.1),
        }
    };
    let (mut session, shared) = session(act, &[]);
    let verdict = through(&mut session, &shared, arrival(1, "rgb8"));
    assert_eq!((verdict.validity, verdict.reason.as_str()), (Validity::Failed, "no memory for 3 GB"));
    let verdict = through(&mut session, &shared, arrival(2, "rgb8"));
    assert_eq!(verdict.validity, Validity::Failed);
    assert!(verdict.reason.contains("shape 3 is odd"), "{}", verdict.reason);
    assert_eq!(shared.state().failures, 2);
    let verdict = through(&mut session, &shared, arrival(3, "rgb8"));
    assert_eq!(verdict.validity, Validity::Ok);
    assert_eq!(verdict.counts, Counts { received: 3, processed: 3, ..Counts::default() });
}

#[test]
fn the_level_follows_the_score_through_the_debouncer() {
    let mut scores = [0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1].into_iter();
    let overrides = [("trigger_frames", Value::Integer(2)), ("release_frames", Value::Integer(2))];
    let (mut session, shared) = session(move |_| Ok(scores.next().unwrap()), &overrides);
    let levels: Vec<_> =
        (0..7).map(|sec| through(&mut session, &shared, arrival(sec, "rgb8")).level).collect();
    use Level::{Failure, Nominal};
    assert_eq!(levels, [Failure, Nominal, Nominal, Nominal, Failure, Failure, Nominal]);
}

/// Sees a region with the probability that the test says, on the road.
struct Looker<F>(F, Thresholds);

impl<F: FnMut() -> Option<f32>> Assessor for Looker<F> {
    fn assess(&mut self, _: &Frame, mode: Mode, _: Wanted) -> Result<Assessment, String> {
        let region = |probability| Region { probability, on_road: 1., ..Region::example() };
        let regions = (self.0)().into_iter().map(region).collect();
        let report = Report { regions, anomaly_area: 1., ..Report::example(mode, 0.1) };
        Ok(Assessment { report, maps: Maps::default() })
    }

    fn thresholds(&self) -> Thresholds {
        self.1.clone()
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.1 = thresholds;
    }
}

#[test]
fn a_thing_raises_caution_once_it_has_lived_and_its_regions_are_numbered() {
    let things = Things::example(0.5);
    let limits = Thresholds { things: Some(things), ..thresholds() };
    let overrides = [("trigger_frames", Value::Integer(2)), ("release_frames", Value::Integer(1))];
    let seen = [None, Some(0.9), Some(0.9), Some(0.9), Some(0.4), None, Some(0.9)];
    let (_, shared) = session(|_| Ok(0.1), &overrides);
    let mut frames = seen.into_iter();
    let mut session = Session::new(Looker(move || frames.next().unwrap(), limits), shared.clone());
    let mut verdicts = (0..7).map(|sec| {
        shared.mailbox.put(arrival(sec, "rgb8"));
        let decoded = Decoded::new(shared.mailbox.take().unwrap(), &shared);
        session.assess(decoded, Wanted::default()).verdict
    });
    let verdicts: Vec<_> = verdicts.by_ref().collect();
    use Level::{Caution, Nominal};
    let levels: Vec<_> = verdicts.iter().map(|verdict| verdict.level).collect();
    assert_eq!(levels, [Nominal, Nominal, Caution, Caution, Nominal, Nominal, Nominal]);
    let tracks = verdicts.iter().flat_map(|verdict| &verdict.report.as_ref().unwrap().regions);
    let tracks: Vec<_> =
        tracks.map(|region| region.track.unwrap()).map(|t| (t.id, t.frames, t.seconds)).collect();
    assert_eq!(tracks, [(1, 1, 0.), (1, 2, 1.), (1, 3, 2.), (1, 4, 3.), (1, 5, 5.)]);
}

#[test]
fn frames_without_a_score_let_no_thing_go() {
    use Level::{Caution, Failure};
    // Bad frames are none that this assessor sees.
    let levels = |trigger: i64, release: i64, good: &[bool]| {
        let limits = Thresholds { things: Some(Things::example(0.5)), ..thresholds() };
        let overrides =
            [("trigger_frames", Value::Integer(trigger)), ("release_frames", Value::Integer(release))];
        let (_, shared) = session(|_| Ok(0.1), &overrides);
        let mut session = Session::new(Looker(|| Some(0.9), limits), shared.clone());
        let assess = |(sec, &is_good): (usize, &bool)| {
            shared.mailbox.put(arrival(sec as i32, if is_good { "rgb8" } else { "rgb9" }));
            let decoded = Decoded::new(shared.mailbox.take().unwrap(), &shared);
            session.assess(decoded, Wanted::default()).verdict.level
        };
        good.iter().enumerate().map(assess).collect::<Vec<_>>()
    };
    let seldom = levels(3, 2, &[true, true, true, false, false, true, false, false, true]);
    assert_eq!((seldom[0], &seldom[2..]), (Failure, &[Caution; 7][..]));
    let none = [vec![true; 10], vec![false; 9]].concat();
    assert_eq!(levels(10, 5, &none)[9..], [Caution; 10]);
}

#[test]
fn nor_does_the_segmenters_own_confidence() {
    let (_, shared) = session(|_| Ok(0.1), &[("release_frames", Value::Integer(1))]);
    let limits = Thresholds { things: Some(Things::example(0.5)), ..thresholds() };
    let mut session = Session::new(Looker(|| None, limits), shared.clone());
    shared.state().debounce.things(true, Patience::DEFAULT);
    shared.mailbox.put(arrival(1, "rgb8"));
    let taken = session.take(Decoded::new(shared.mailbox.take().unwrap(), &shared)).ok().unwrap();
    let report = Report::example(Mode::LogitsOnly, f32::NAN);
    session.conclude(taken, Ok(Assessment { report, maps: Maps::default() }), Duration::ZERO);
    let mut state = shared.state();
    assert_eq!(state.debounce.update(Level::Nominal, shared.parameters.live().patience), Level::Caution);
}

#[test]
fn an_area_limited_by_hand_raises_the_level_instead_of_things() {
    let things = Things::example(0.5);
    let calibrated = Thresholds { things: Some(things), ..thresholds() };
    assert_eq!(Overrides::default().in_place_of(&calibrated), calibrated);
    let by_hand = Overrides { anomaly_area: Some(0.1), ..Overrides::default() }.in_place_of(&calibrated);
    assert_eq!((by_hand.things, by_hand.anomaly_area, by_hand.guarantee.as_str()), (None, 0.1, ""));
}

#[test]
fn thresholds_change_while_it_runs_and_the_promise_goes_with_them() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    through(&mut session, &shared, arrival(1, "rgb8"));
    shared.parameters.set("threshold.failure", &Value::Double(0.05)).unwrap();
    let verdict = through(&mut session, &shared, arrival(2, "rgb8"));
    assert_eq!((verdict.thresholds.failure, verdict.thresholds.error), (0.05, 0.5));
    assert_eq!(verdict.thresholds.guarantee, "");
    shared.parameters.set("threshold.failure", &Value::Double(-1.0)).unwrap();
    let verdict = through(&mut session, &shared, arrival(3, "rgb8"));
    assert_eq!(verdict.thresholds, thresholds());
}

#[test]
fn a_missed_deadline_degrades() {
    let slow = |mode| {
        if mode == Mode::Full {
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(if mode == Mode::Full { 0.1 } else { f32::NAN })
    };
    let overrides = [("degraded.deadline", Value::Double(0.001)), ("release_frames", Value::Integer(1))];
    let (mut session, shared) = session(slow, &overrides);
    let verdicts: Vec<_> = (0..6).map(|sec| through(&mut session, &shared, arrival(sec, "rgb8"))).collect();
    let promised: Vec<_> =
        verdicts.iter().map(|verdict| (verdict.validity, !verdict.thresholds.guarantee.is_empty())).collect();
    let (whole, degraded) = ((Validity::Ok, true), (Validity::Degraded, false));
    assert_eq!(promised, [whole, whole, whole, degraded, degraded, degraded]);
    // There is no failure score.
    assert_eq!([3, 4, 5].map(|i: usize| verdicts[i].raw), [Level::Failure; 3]);
    assert_eq!([2, 4, 5].map(|i: usize| verdicts[i].level), [Level::Nominal, Level::Nominal, Level::Failure]);
    assert_eq!(shared.state().mode, Some(Mode::LogitsOnly));
}

#[test]
fn wrong_stamps_neither_keep_an_alarm_away_nor_hold_one() {
    let clocks: [fn(i32) -> i32; 3] = [
        |frame| if frame % 2 == 0 { 0 } else { 50 + frame },
        |frame| if frame % 2 == 0 { 100 + frame } else { 90 + frame },
        |frame| if frame % 4 == 0 { 100 + frame } else { 90 + frame },
    ];
    for clock in clocks {
        let overrides = [("trigger_frames", Value::Integer(6)), ("release_frames", Value::Integer(3))];
        let mut scores = [0.1; 12].into_iter().chain([0.9; 12]);
        let (mut session, shared) = session(move |_| Ok(scores.next().unwrap()), &overrides);
        let levels: Vec<_> = (0..24)
            .map(|frame| through(&mut session, &shared, arrival(clock(frame), "rgb8")).level)
            .collect();
        assert!(levels[..12].contains(&Level::Nominal), "{levels:?}");
        assert_eq!((levels[16], levels[23]), (Level::Nominal, Level::Failure), "{levels:?}");
    }
}

#[test]
fn a_driver_that_does_not_stamp_gives_no_age() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    let mut unstamped = arrival(0, "rgb8");
    unstamped.image.stamp = Stamp::default();
    assert_eq!(through(&mut session, &shared, unstamped).image_age_secs, None);
}

/// An image that arrived so long ago.
fn aged(sec: i32, age: Duration) -> Arrival {
    let arrival = arrival(sec, "rgb8");
    Arrival { at: arrival.at.checked_sub(age).unwrap(), ..arrival }
}

#[test]
fn an_image_older_than_source_timeout_does_not_lower_the_level() {
    let overrides = [("source_timeout", Value::Double(0.5)), ("release_frames", Value::Integer(1))];
    let (mut session, shared) = session(|_| Ok(0.1), &overrides);
    assert_eq!(through(&mut session, &shared, arrival(1, "rgb8")).level, Level::Nominal);
    // The camera falls silent, and says so; then comes the report on its last image.
    shared.state().fail(Instant::now());
    let late = through(&mut session, &shared, aged(2, Duration::from_millis(800)));
    assert_eq!((late.validity, late.level), (Validity::Ok, Level::Failure));
    assert_eq!(through(&mut session, &shared, arrival(3, "rgb8")).level, Level::Nominal);
}

#[test]
fn nor_does_one_whose_report_was_due_longer_than_report_timeout() {
    let overrides = [("source_timeout", Value::Double(0.0)), ("release_frames", Value::Integer(1))];
    let (mut session, shared) = session(|_| Ok(0.1), &overrides);
    assert_eq!(through(&mut session, &shared, aged(1, Duration::from_millis(800))).level, Level::Nominal);
    shared.state().fail(Instant::now());
    assert_eq!(through(&mut session, &shared, aged(2, Duration::from_secs(6))).level, Level::Failure);
}

#[test]
fn what_is_assessed_is_said_only_once_it_has_left() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    shared.state().reported(Instant::now());
    let (said, reported) = {
        let state = shared.state();
        (state.last_said, state.last_report)
    };
    through(&mut session, &shared, arrival(1, "rgb8"));
    let state = shared.state();
    assert_eq!((state.last_said, state.last_report, state.owed_since), (said, reported, None));
    assert!(state.last_verdict.is_some());
}

#[test]
fn a_report_that_waited_while_the_camera_fell_silent_leaves_as_a_failure() {
    let (mut session, shared) = session(|_| Ok(0.1), &[("release_frames", Value::Integer(1))]);
    shared.mailbox.put(arrival(1, "rgb8"));
    let assessed = session.assess(Decoded::new(shared.mailbox.take().unwrap(), &shared), Wanted::default());
    assert_eq!(assessed.verdict.level, Level::Nominal);
    shared.state().fail(Instant::now());
    assert_eq!(assessed.leaving(&shared).verdict.level, Level::Failure);
}

#[test]
fn one_picture_republished_is_outdated_and_raises_the_level_until_another_comes() {
    let overrides = [
        ("max_repeat_time", Value::Double(1.)),
        ("trigger_frames", Value::Integer(2)),
        ("release_frames", Value::Integer(1)),
    ];
    let (mut session, _) = session(|_| Ok(0.1), &overrides);
    let start = Instant::now();
    let mut judged = |millis: u64, pixel: u8| {
        let mut arrival =
            Arrival { at: start + Duration::from_millis(millis), ..arrival(millis as i32, "rgb8") };
        if let Content::Raw { data, .. } = &mut arrival.image.content {
            *data = vec![pixel; 12].into();
        }
        let shared = session.shared.clone();
        shared.accept(arrival);
        let decoded = Decoded::new(shared.mailbox.take().unwrap(), &shared);
        let verdict = session.assess(decoded, Wanted::default()).verdict;
        (verdict.validity, verdict.level, verdict.report.is_some())
    };
    let nominal = (Validity::Ok, Level::Nominal, true);
    assert_eq!([judged(1, 7), judged(600, 7), judged(1000, 7)], [nominal; 3]);
    assert_eq!(judged(1100, 7), (Validity::Outdated, Level::Nominal, false));
    assert_eq!(judged(1500, 7), (Validity::Outdated, Level::Failure, false));
    assert_eq!(judged(1600, 8), nominal);
}

#[test]
fn a_latched_level_outlives_what_raised_it_till_it_is_acknowledged() {
    use Level::{Failure, Nominal};
    let mut scores = [0.1, 0.1, 0.9, 0.1, 0.1].into_iter().cycle();
    let overrides = [
        ("trigger_frames", Value::Integer(1)),
        ("release_frames", Value::Integer(1)),
        ("latch_level", Value::Text("failure".into())),
    ];
    let (mut session, shared) = session(move |_| Ok(scores.next().unwrap()), &overrides);
    let mut next = |sec| {
        let verdict = through(&mut session, &shared, arrival(sec, "rgb8"));
        (verdict.raw, verdict.level, verdict.latched)
    };
    assert_eq!(next(1), (Nominal, Nominal, Failure), "that of the start");
    assert!(shared.acknowledge().is_clear());
    assert_eq!(next(2), (Nominal, Nominal, Nominal));
    assert_eq!(next(3), (Failure, Failure, Failure));
    assert!(!shared.acknowledge().is_clear(), "it stands");
    assert_eq!(next(4), (Nominal, Nominal, Failure));
    let pending = shared.alarm(Validity::Pending, String::new());
    assert_eq!((pending.raw, pending.level, pending.latched), (Nominal, Nominal, Failure));
    assert!(shared.acknowledge().is_clear());
    // A camera that falls silent is an alarm like any other.
    let stale = shared.alarm(Validity::Stale, String::new());
    assert_eq!((stale.raw, stale.level, stale.latched), (Failure, Failure, Failure));
    assert_eq!(next(5), (Nominal, Nominal, Failure));
}

/// Fails the tests that `fails` names, and finds every frame good.
struct Tested<F> {
    fails: F,
}

impl<F: FnMut() -> bool> Assessor for Tested<F> {
    fn assess(&mut self, _: &Frame, mode: Mode, _: Wanted) -> Result<Assessment, String> {
        Ok(Assessment { report: Report::example(mode, 0.1), maps: Maps::default() })
    }

    fn thresholds(&self) -> Thresholds {
        thresholds()
    }

    fn set_thresholds(&mut self, _: Thresholds) {}

    fn self_test(&mut self) -> SelfTested {
        match (self.fails)() {
            true => SelfTested::Failed("a bit has flipped".to_owned()),
            false => SelfTested::Absent,
        }
    }
}

#[test]
fn after_a_self_test_that_failed_every_report_says_so_till_one_passes() {
    let mut outcomes = [true, false].into_iter();
    let (_, shared) = session(|_| Ok(0.1), &[]);
    let mut session = Session::new(Tested { fails: move || outcomes.next().unwrap() }, shared.clone());
    let next = |session: &mut Session<_>, sec| {
        shared.mailbox.put(arrival(sec, "rgb8"));
        let arrival = shared.mailbox.take().unwrap();
        session.assess(Decoded::new(arrival, &shared), Wanted::default()).verdict
    };
    self_test(from_mut(&mut session));
    let verdict = next(&mut session, 1);
    let reason = "the self-test failed: a bit has flipped";
    assert_eq!((verdict.validity, verdict.reason.as_str()), (Validity::Failed, reason));
    assert_eq!(self_test_if_due(from_mut(&mut session)), None);
    let number = shared.state().self_test.ask();
    assert!(self_test_if_due(from_mut(&mut session)).is_some());
    assert!(shared.state().self_test.outcome_of(number).is_some());
    assert_eq!(next(&mut session, 2).validity, Validity::Ok);
    assert_eq!(shared.mailbox.counts().outstanding(), 0);
}

#[test]
fn scores_that_waited_while_a_self_test_failed_leave_as_a_failure() {
    let (_, shared) = session(|_| Ok(0.1), &[("release_frames", Value::Integer(1))]);
    let mut session = Session::new(Tested { fails: || true }, shared.clone());
    shared.mailbox.put(arrival(1, "rgb8"));
    let assessed = session.assess(Decoded::new(shared.mailbox.take().unwrap(), &shared), Wanted::default());
    assert_eq!((assessed.verdict.validity, assessed.verdict.level), (Validity::Ok, Level::Nominal));
    self_test(from_mut(&mut session));
    let Verdict { validity, reason, level, raw, report, .. } = assessed.leaving(&shared).verdict;
    assert_eq!((validity, level, raw), (Validity::Failed, Level::Failure, Level::Failure));
    assert!(reason.contains("a bit has flipped") && report.is_none(), "{reason}");
    // What is said meanwhile without an image is no better.
    assert_eq!(shared.alarm(Validity::Pending, String::new()).level, Level::Failure);
    shared.mailbox.put(arrival(2, "rgb9"));
    let unreadable = session.assess(Decoded::new(shared.mailbox.take().unwrap(), &shared), Wanted::default());
    assert_eq!(unreadable.leaving(&shared).verdict.validity, Validity::InvalidInput, "as it was");
}

#[test]
fn a_self_test_is_noted_before_a_report_leaves_or_after_it_and_not_in_between() {
    let (_, shared) = session(|_| Ok(0.1), &[]);
    let mut session = Session::new(Tested { fails: || true }, shared.clone());
    // A report is on its way.
    let turn = shared.turn();
    std::thread::scope(|threads| {
        let tested = threads.spawn(|| self_test(from_mut(&mut session)));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!tested.is_finished() && shared.state().self_test.unfit().is_none());
        drop(turn);
        tested.join().unwrap();
    });
    assert!(shared.state().self_test.unfit().is_some());
}

#[cfg(feature = "data")]
#[test]
fn where_the_scene_is_unlike_the_calibration_nothing_is_promised() {
    use crate::model::evidence::{Evidence, Unit};
    use crate::model::reference::Reference;
    use crate::model::reference::learn::tests::drives;
    use crate::monitor::assessment::Scene;
    use crate::watch::likeness::CalibrationState::{Invalid, Unknown, Valid};

    let (mut session, shared) = session(|_| Ok(0.4), &[]);
    let reference = Reference::learn(&drives(40, 1), 1., 2, 0.1);
    let promises = Vec::new();
    let (data, data_sha256) = ("drives".to_owned(), String::new());
    let evidence =
        Evidence { data, data_sha256, unit: Unit::Drive, units: 40, frames: 480, promises, reference };
    let mut assess = |sec: i32, brightness: f32, evidence: &Option<Box<Evidence>>| {
        session.assessor.thresholds.evidence = evidence.clone();
        let arrival = arrival(sec, "rgb8");
        shared.mailbox.put(arrival);
        let decoded = Decoded::new(shared.mailbox.take().unwrap(), &shared);
        let taken = session.take(decoded).ok().unwrap();
        let scene = Some(Scene { brightness, features: vec![0.4; 3] });
        let report = Report { scene, anomaly_area: 0.04, ..Report::example(Mode::Full, 0.4) };
        let outcome = Ok(Assessment { report, maps: Maps::default() });
        let verdict = session.conclude(taken, outcome, Duration::ZERO).verdict;
        let told = crate::watch::message::report(&verdict, None, ("", "")).calibration;
        assert_eq!(told, verdict.calibration as u8);
        (verdict.calibration, verdict.thresholds.guarantee.is_empty())
    };
    let kept = Some(Box::new(evidence));
    assert_eq!(assess(1, 0.4, &None), (Unknown, false));
    assert_eq!(assess(2, 0.4, &kept), (Unknown, false));
    assert_eq!(assess(3, 0.4, &kept), (Valid, false));
    assert_eq!(assess(4, 9., &kept), (Invalid, true));
    // Nor does what is said while no image comes promise anything.
    let silent = shared.alarm(Validity::Stale, "no image".to_owned());
    assert_eq!((silent.calibration, silent.thresholds.guarantee.is_empty()), (Invalid, true));
}
