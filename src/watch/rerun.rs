//! Reports that are there already, through the stream that the node runs: debounced, things followed, on the
//! clock of the frames' own time. So calibration and measurement judge what the node would have said.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use image::RgbImage;

use super::debounce::{Level, Patience};
use super::decoding::Decoded;
use super::mailbox::Arrival;
use super::parameters::{ParameterError, Parameters, Value};
use super::shared::Shared;
use super::shared_parameters::SharedParameters;
use super::stream::{Assessor, Session};
use super::verdict::Verdict;
use crate::frame::{CameraImage, Content, Frame, Stamp};
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::{Assessment, Maps, Mode, Report, Wanted};

/// A stream that has seen good frames before.
pub(crate) struct Rerun {
    session: Session<Given>,
    next: Slot,
    shared: Arc<Shared>,
    now: Arc<Mutex<Duration>>,
}

type Slot = Arc<Mutex<Option<Report>>>;

/// Says of a frame what was said of it before.
struct Given {
    next: Slot,
    thresholds: Thresholds,
}

impl Assessor for Given {
    fn assess(&mut self, _: &Frame, _: Mode, _: Wanted) -> Result<Assessment, String> {
        let report = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let assessment = |report| Assessment { report, maps: Maps::default() };
        report.map(assessment).ok_or_else(|| "no report is there; one a frame is needed".into())
    }

    fn thresholds(&self) -> Thresholds {
        self.thresholds.clone()
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }
}

impl Rerun {
    /// Begins with a drive on which all was well so far.
    pub fn new(thresholds: &Thresholds, patience: Patience) -> Result<Self, ParameterError> {
        let parameters = Parameters::with_overrides([
            ("trigger_frames", Value::Integer(patience.trigger.into())),
            ("release_frames", Value::Integer(patience.release.into())),
            // The frames themselves are not there.
            ("max_repeat_time", Value::Double(0.)),
        ])?;
        let now = Arc::new(Mutex::new(Duration::ZERO));
        let at = |now: &Mutex<Duration>| *now.lock().unwrap_or_else(PoisonError::into_inner);
        let (base, of_day, steady) = (Instant::now(), now.clone(), now.clone());
        let clock = Arc::new(move || Some(at(&of_day)));
        let parameters = SharedParameters::new(parameters);
        let shared = Shared::new(parameters, clock, thresholds.clone(), base);
        let shared = Arc::new(shared.on(Arc::new(move || base + at(&steady))));
        {
            let mut state = shared.state();
            state.loaded(base);
            for _ in 0..patience.release {
                state.debounce.update(Level::Nominal, patience);
            }
        }
        let next = Slot::default();
        let given = Given { next: next.clone(), thresholds: thresholds.clone() };
        Ok(Self { session: Session::new(given, shared.clone()), next, shared, now })
    }

    /// The verdict on the frame at `time` of the drive, of which `report` is known.
    pub fn verdict(&mut self, report: Report, time: Duration) -> Verdict {
        // A stamp of zero is none.
        let time = time + Duration::from_secs(1);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = time;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        let sec = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let stamp = Stamp { sec, nanosec: time.subsec_nanos() };
        let content = Content::Raw {
            width: 1,
            height: 1,
            encoding: "rgb8".into(),
            is_bigendian: false,
            step: 3,
            data: vec![0; 3].into(),
        };
        let image = CameraImage { stamp, frame_id: String::new(), content };
        let arrival = Arrival::new(image, self.shared.steady_now());
        let decoded = Decoded { arrival, image: Ok((RgbImage::new(1, 1), None)), took: Duration::ZERO };
        self.session.assess(decoded, Wanted::default()).verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::validity::Validity;

    #[test]
    fn a_drive_begins_nominal_and_its_levels_are_those_of_the_stream() {
        let patience = Patience { trigger: 2, release: 2 };
        let mut rerun = Rerun::new(&Thresholds::uncalibrated(), patience).unwrap();
        let scores = [0.1, 0.6, 0.6, 0.1, 0.1, 0.9];
        let verdicts: Vec<Verdict> = (0..)
            .zip(scores)
            .map(|(i, score)| {
                rerun.verdict(Report::example(Mode::Full, score), Duration::from_millis(200 * i))
            })
            .collect();
        use Level::{Caution, Nominal};
        let levels: Vec<Level> = verdicts.iter().map(|verdict| verdict.level).collect();
        assert_eq!(levels, [Nominal, Nominal, Caution, Caution, Nominal, Nominal]);
        assert!(verdicts.iter().all(|verdict| verdict.validity == Validity::Ok));
        assert_eq!(verdicts[5].stamp, Stamp { sec: 2, nanosec: 0 });
    }

    #[test]
    fn a_patience_that_the_node_refuses_is_refused() {
        assert!(Rerun::new(&Thresholds::uncalibrated(), Patience { trigger: 0, release: 5 }).is_err());
    }
}
