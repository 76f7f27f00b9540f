use super::*;
use crate::frame::{CameraImage, Content};
use crate::monitor::assessment::Report;
use crate::watch::mailbox::Counts;
use crate::watch::parameters::{Parameters, Value};
use crate::watch::shared::SharedParameters;

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
    let parameters =
        Parameters::with_overrides(overrides.iter().map(|(name, value)| (*name, value.clone()))).unwrap();
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
        data: vec![0; 12],
    };
    let image = CameraImage { stamp: Stamp { sec, nanosec: 7 }, frame_id: "front".to_owned(), content };
    Arrival { image, at: Instant::now() }
}

fn through<F: FnMut(Mode) -> Result<f32, String>>(
    session: &mut Session<Puppet<F>>,
    shared: &Shared,
    arrival: Arrival,
) -> Verdict {
    shared.mailbox.put(arrival);
    let arrival = shared.mailbox.take().unwrap();
    session.assess(Decoded::new(arrival), Wanted::default()).verdict
}

#[test]
fn a_good_frame_is_ok_and_keeps_its_header() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    let verdict = through(&mut session, &shared, arrival(98, "rgb8"));
    assert_eq!(verdict.validity, Validity::Ok);
    assert_eq!((verdict.stamp, verdict.camera.as_str()), (Stamp { sec: 98, nanosec: 7 }, "front"));
    assert!((verdict.image_age_secs.unwrap() - 2.0).abs() < 1e-6);
    assert_eq!(verdict.counts, Counts { received: 1, processed: 1, dropped: 0, invalid: 0 });
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
    assert_eq!(verdict.counts, Counts { received: 2, processed: 1, dropped: 0, invalid: 1 });
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
    assert_eq!(verdict.counts, Counts { received: 3, processed: 3, dropped: 0, invalid: 0 });
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
    let (mut session, shared) = session(slow, &[("degraded.deadline", Value::Double(0.001))]);
    let validities: Vec<_> =
        (0..4).map(|sec| through(&mut session, &shared, arrival(sec, "rgb8")).validity).collect();
    assert_eq!(validities, [Validity::Ok, Validity::Ok, Validity::Ok, Validity::Degraded]);
    assert_eq!(shared.state().mode, Some(Mode::LogitsOnly));
}

#[test]
fn a_step_back_in_time_is_noticed_and_reordering_is_not() {
    let (mut session, shared) = session(|_| Ok(0.1), &[]);
    let mut jumped = |sec| {
        shared.mailbox.put(arrival(sec, "rgb8"));
        session.assess(Decoded::new(shared.mailbox.take().unwrap()), Wanted::default()).jumped
    };
    assert!(!jumped(50));
    assert!(!jumped(49), "exactly one second");
    assert!(jumped(10));
    assert!(!jumped(11));
}
