//! Whether what is in view is like the drives that the bundle was calibrated on. If not, what its limits promise does
//! not hold here, and nothing is promised.
//!
//! One frame in `every` seconds is looked at, by the stamps, so that a window covers as much time as it did in
//! calibration, whatever the camera's rate. That frames of a drive depend on each other is taken into account where
//! the limit is chosen (`model/reference.rs`): the drive is the unit there, and its farthest window is what counts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::Stamp;
use crate::model::reference::{FrameSignals, Reference, Shift};
use crate::monitor::assessment::{Mode, Report, Scene};

/// Whether the calibration holds for what is in view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CalibrationState {
    /// Nothing is known: the bundle keeps nothing to compare with, too few frames were seen, or no frame can be
    /// compared.
    #[default]
    Unknown = 0,
    /// No window of late is farther from the calibration drives than they are from each other.
    Valid = 1,
    /// One is: the promise is void.
    Invalid = 2,
}

impl CalibrationState {
    /// Its name in diagnostics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Valid => "VALID",
            Self::Invalid => "INVALID",
        }
    }
}

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Likeness {
    /// The state.
    pub state: CalibrationState,
    /// The last window's shift, and the limit.
    pub shift: Option<(Shift, f32)>,
    /// Why no frame can be compared with what the bundle keeps, where none can.
    pub obstacle: Option<&'static str>,
}

impl Likeness {
    /// Whether what was promised may still hold.
    pub(crate) fn keeps_promise(&self) -> bool {
        self.state != CalibrationState::Invalid && self.obstacle.is_none()
    }
}

/// Steps between frames that are missing before a window is begun anew.
const GAP: f64 = 5.;
/// A frame is taken a little early rather than the next one late.
const EARLY: f64 = 0.9;

/// Compares the frames of a stream with the calibration drives.
#[derive(Debug, Default)]
pub(crate) struct LikenessCheck {
    window: VecDeque<FrameSignals>,
    last: Option<Stamp>,
    /// Windows in a row that were near.
    near: usize,
    known: Likeness,
}

impl LikenessCheck {
    /// Forgets what was in view: time has jumped. An alarm outlives that, and what stands in the way; that all was
    /// well does not.
    pub fn forget(&mut self) {
        let Likeness { state, obstacle, .. } = self.known;
        *self = Self::default();
        self.known.obstacle = obstacle;
        if state == CalibrationState::Invalid {
            self.known.state = state;
        }
    }

    /// Takes in a report by the whole method; others tell nothing. `reference` is the bundle's.
    pub fn check(
        &mut self,
        report: Option<&Report>,
        stamp: Stamp,
        reference: Option<&Reference>,
    ) -> Likeness {
        let Some(reference) = reference else {
            self.forget();
            return Likeness::default();
        };
        if let Some((report, scene)) = report.and_then(whole) {
            self.known.obstacle = obstacle(report, scene, reference);
            if self.known.obstacle.is_some() {
                self.forget();
            }
        }
        match report.and_then(signals_of).filter(|_| self.known.obstacle.is_none()) {
            Some(frame) => self.take(frame, stamp, reference),
            // That all was well tells nothing of now.
            None if self.is_after_gap(stamp, reference) && self.known.state == CalibrationState::Valid => {
                self.known = Likeness::default();
            }
            None => {}
        }
        self.known
    }

    /// Whether the last frame that was looked at is no part of what is in view.
    fn is_after_gap(&self, stamp: Stamp, reference: &Reference) -> bool {
        let passed = self.last.map(|last| seconds(stamp) - seconds(last));
        passed.is_some_and(|passed| passed < 0. || passed > GAP * reference.every)
    }

    fn take(&mut self, frame: FrameSignals, stamp: Stamp, reference: &Reference) {
        if self.is_after_gap(stamp, reference) {
            self.forget();
        }
        if self.last.is_some_and(|last| seconds(stamp) - seconds(last) < EARLY * reference.every) {
            return;
        }
        self.last = Some(stamp);
        self.window.push_back(frame);
        if self.window.len() > reference.window {
            self.window.pop_front();
        }
        if self.window.len() < reference.window {
            return;
        }
        let shift = reference.shift(self.window.make_contiguous());
        self.known.shift = Some((shift, reference.limit));
        let is_far = shift.size > reference.limit;
        self.near = if is_far { 0 } else { self.near + 1 };
        self.known.state = match self.known.state {
            _ if is_far => CalibrationState::Invalid,
            // Back only once a whole window has nothing of what was far.
            CalibrationState::Invalid if self.near < reference.window => CalibrationState::Invalid,
            _ => CalibrationState::Valid,
        };
    }
}

/// A report by the whole method, with its scene.
fn whole(report: &Report) -> Option<(&Report, &Scene)> {
    report.scene.as_ref().filter(|_| report.mode == Mode::Full).map(|scene| (report, scene))
}

/// What the reference asks for and no frame tells, by this bundle and these parameters.
fn obstacle(report: &Report, scene: &Scene, reference: &Reference) -> Option<&'static str> {
    if report.anomaly_area.is_nan() {
        Some("the anomaly score is not computed (parameter anomaly)")
    } else if scene.features.len() != reference.feature_means.len() {
        Some("the segmenter has another number of features")
    } else {
        None
    }
}

fn signals_of(report: &Report) -> Option<FrameSignals> {
    let (report, scene) = whole(report)?;
    let frame = FrameSignals {
        failure_score: report.failure_score,
        anomaly_area: report.anomaly_area,
        brightness: scene.brightness,
        features: scene.features.clone(),
    };
    frame.is_finite().then_some(frame)
}

fn seconds(stamp: Stamp) -> f64 {
    f64::from(stamp.sec) + Duration::from_nanos(u64::from(stamp.nanosec)).as_secs_f64()
}

#[cfg(test)]
#[cfg(feature = "data")]
mod tests {
    use CalibrationState::{Invalid, Unknown, Valid};

    use super::*;
    use crate::model::reference::learn::tests::drives;

    fn reference() -> Reference {
        Reference::learn(&drives(40, 1), 0.5, 4, 0.1).unwrap()
    }

    /// A report in the middle of the calibration drives, or at another brightness.
    fn report(brightness: f32) -> Report {
        let scene = Scene { brightness, features: vec![0.4; 3] };
        Report { anomaly_area: 0.04, scene: Some(scene), ..Report::example(Mode::Full, 0.4) }
    }

    fn at(seconds: f64) -> Stamp {
        Stamp { sec: seconds as i32, nanosec: (seconds.fract() * 1e9) as u32 }
    }

    /// The states after each of the frames, `step` seconds apart.
    fn states(likeness: &mut LikenessCheck, from: f64, step: f64, frames: &[f32]) -> Vec<CalibrationState> {
        let reference = reference();
        let state = |(i, &brightness): (usize, &f32)| {
            likeness.check(Some(&report(brightness)), at(from + step * i as f64), Some(&reference)).state
        };
        frames.iter().enumerate().map(state).collect()
    }

    #[test]
    fn a_window_tells_and_one_that_is_far_holds_until_a_whole_one_is_near() {
        let mut likeness = LikenessCheck::default();
        assert_eq!(states(&mut likeness, 0., 0.5, &[0.4; 5]), [Unknown, Unknown, Unknown, Valid, Valid]);
        let dark = states(&mut likeness, 2.5, 0.5, &[-9., 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]);
        assert_eq!(dark, [Invalid, Invalid, Invalid, Invalid, Invalid, Invalid, Invalid, Valid]);
    }

    #[test]
    fn that_all_was_well_is_forgotten_while_nothing_can_be_looked_at() {
        let mut likeness = LikenessCheck::default();
        assert_eq!(states(&mut likeness, 0., 0.5, &[0.4; 4]), [Unknown, Unknown, Unknown, Valid]);
        let degraded = Report::example(Mode::LogitsOnly, 0.4);
        let mut state_at = |seconds| likeness.check(Some(&degraded), at(seconds), Some(&reference())).state;
        assert_eq!([state_at(2.), state_at(4.), state_at(4.1)], [Valid, Valid, Unknown]);
    }

    #[test]
    fn what_can_never_be_compared_promises_nothing_and_says_why() {
        let (reference, mut likeness) = (reference(), LikenessCheck::default());
        let blind = Report { anomaly_area: f32::NAN, ..report(0.4) };
        for second in 0..9 {
            let known = likeness.check(Some(&blind), at(f64::from(second)), Some(&reference));
            assert_eq!((known.state, known.keeps_promise()), (Unknown, false));
            assert!(known.obstacle.is_some_and(|why| why.contains("anomaly")));
        }
        // Nor does a frame that cannot be read, or a jump, make it comparable.
        likeness.forget();
        assert!(!likeness.check(None, at(9.), Some(&reference)).keeps_promise());
        let scene = Some(Scene { brightness: 0.4, features: vec![0.4; 2] });
        assert!(
            !likeness
                .check(Some(&Report { scene, ..report(0.4) }), at(10.), Some(&reference))
                .keeps_promise()
        );
        assert!(likeness.check(Some(&report(0.4)), at(11.), Some(&reference)).keeps_promise());
        assert_eq!(likeness.check(Some(&blind), at(12.), None), Likeness::default(), "no reference");
    }

    #[test]
    fn a_faster_camera_does_not_shorten_the_window() {
        let mut likeness = LikenessCheck::default();
        let found = states(&mut likeness, 0., 0.1, &[0.4; 17]);
        assert_eq!(found.iter().position(|state| *state == Valid), Some(15));
    }

    #[test]
    fn what_says_nothing_is_left_out_and_a_gap_begins_anew() {
        let reference = reference();
        let mut likeness = LikenessCheck::default();
        let nan = Report { failure_score: f32::NAN, ..report(-9.) };
        let by_softmax = Report { mode: Mode::LogitsOnly, ..report(-9.) };
        let read = Report { scene: None, ..report(-9.) };
        for (i, report) in [nan, by_softmax, read].iter().cycle().take(12).enumerate() {
            assert_eq!(likeness.check(Some(report), at(i as f64), Some(&reference)).state, Unknown);
        }
        assert_eq!(states(&mut likeness, 20., 0.5, &[0.4; 4]).last(), Some(&Valid));
        assert_eq!(states(&mut likeness, 40., 0.5, &[0.4; 1]), [Unknown]);
        // An alarm is not forgotten over a gap.
        assert_eq!(states(&mut likeness, 41., 0.5, &[-9.; 4]).last(), Some(&Invalid));
        assert_eq!(states(&mut likeness, 60., 0.5, &[0.4; 1]), [Invalid]);
        assert_eq!(likeness.check(Some(&report(0.4)), at(61.), None).state, Unknown);
        // Nor while limits are set by hand, nor when time jumps.
        assert_eq!(states(&mut likeness, 62., 0.5, &[0.4; 1]), [Invalid]);
        likeness.forget();
        assert_eq!(states(&mut likeness, 2., 0.5, &[0.4; 5]), [Invalid, Invalid, Invalid, Invalid, Invalid]);
        assert_eq!(states(&mut likeness, 4.5, 0.5, &[0.4; 2]).last(), Some(&Valid));
    }
}
