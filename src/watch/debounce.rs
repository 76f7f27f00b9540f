//! From raw scores to an alarm level that neither flickers nor forgets.
//!
//! A level is entered after `trigger` frames in a row at or above its limit and left after
//! `release` frames in a row below it. The start is [`Level::Failure`]: a segmentation nobody has
//! checked yet is not known to be good. A score that is NaN counts as failure.

use serde::{Deserialize, Serialize};

use crate::model::bundle::Thresholds;

/// How far the segmentation can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// It can be used.
    Nominal,
    /// It may be wrong.
    Caution,
    /// It must not be relied on.
    Failure,
}

impl Level {
    /// The level of one frame alone. `anomaly_area` is NaN where anomalies are not looked for, and
    /// then raises nothing; nor does it where things do, which no frame alone can tell.
    pub fn of(failure_score: f32, anomaly_area: f32, thresholds: &Thresholds) -> Self {
        // Written so that a NaN score or limit falls through to the safe end.
        let anomalous =
            thresholds.things.is_none() && !(anomaly_area.is_nan() || anomaly_area < thresholds.anomaly_area);
        if failure_score < thresholds.failure && failure_score < thresholds.caution {
            if anomalous { Self::Caution } else { Self::Nominal }
        } else if failure_score < thresholds.failure {
            Self::Caution
        } else {
            Self::Failure
        }
    }

    /// The one with this number in a message; a number that has no meaning is no reassurance.
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Nominal,
            1 => Self::Caution,
            _ => Self::Failure,
        }
    }

    /// The number in MonitorReport.msg.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name reports and diagnostics use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nominal => "NOMINAL",
            Self::Caution => "CAUTION",
            Self::Failure => "FAILURE",
        }
    }
}

/// How many frames in a row change the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Frames at or above a limit before its level is entered.
    pub trigger: u32,
    /// Frames below a limit before its level is left.
    pub release: u32,
}

impl Patience {
    /// What suits a camera of five to ten frames a second.
    pub const DEFAULT: Self = Self { trigger: 3, release: 5 };
}

/// One limit with its run of frames on the other side.
#[derive(Clone, Copy, Debug)]
struct Latch {
    active: bool,
    streak: u32,
}

impl Latch {
    fn update(&mut self, above: bool, patience: Patience) {
        if above == self.active {
            self.streak = 0;
            return;
        }
        self.streak = self.streak.saturating_add(1);
        if self.streak >= if above { patience.trigger } else { patience.release } {
            *self = Self { active: above, streak: 0 };
        }
    }
}

/// The debounced level of a stream of frames.
#[derive(Clone, Debug)]
pub(crate) struct Debounce {
    caution: Latch,
    failure: Latch,
    /// Things in view: their own life was the patience.
    things: Latch,
}

impl Debounce {
    /// Starts at [`Level::Failure`].
    pub fn new() -> Self {
        let active = Latch { active: true, streak: 0 };
        Self { caution: active, failure: active, things: Latch { active: false, streak: 0 } }
    }

    /// Takes in one frame's own level and gives the debounced one.
    pub(crate) fn update(&mut self, raw: Level, patience: Patience) -> Level {
        self.caution.update(raw >= Level::Caution, patience);
        self.failure.update(raw >= Level::Failure, patience);
        self.level()
    }

    /// Takes in whether a thing is in view that has lived for long enough, before the frame's own level.
    pub(crate) fn things(&mut self, live: bool, patience: Patience) {
        self.things.update(live, Patience { trigger: 1, ..patience });
    }

    /// The same of a frame that cannot say that there is none: it came too late, or has no score.
    pub(crate) fn things_late(&mut self, live: bool, patience: Patience) {
        self.things(live || self.things.active, patience);
    }

    /// Goes to [`Level::Failure`] at once: the camera is gone, and its time-out was the patience.
    pub fn fail(&mut self) -> Level {
        *self = Self::new();
        Level::Failure
    }

    /// Takes in a frame that came too late to say that all is well: its level counts where it is no lower
    /// than the one held, and else as that.
    pub(crate) fn update_late(&mut self, raw: Level, patience: Patience) -> Level {
        self.update(raw.max(self.level()), patience)
    }

    /// Forgets runs of good frames but not the level: time jumped, so what came before is no run. Bad frames
    /// still count, so that no clock, however wrong, keeps an alarm away.
    pub(crate) fn forget_good_runs(&mut self) {
        for latch in [&mut self.caution, &mut self.failure, &mut self.things] {
            if latch.active {
                latch.streak = 0;
            }
        }
    }

    /// The level now.
    pub fn level(&self) -> Level {
        if self.failure.active {
            Level::Failure
        } else if self.caution.active || self.things.active {
            Level::Caution
        } else {
            Level::Nominal
        }
    }
}

impl Default for Debounce {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{Caution, Failure, Nominal};
    use super::*;

    const PATIENCE: Patience = Patience::DEFAULT;

    fn run(debounce: &mut Debounce, raw: &[Level]) -> Vec<Level> {
        raw.iter().map(|&level| debounce.update(level, PATIENCE)).collect()
    }

    fn settled() -> Debounce {
        let mut debounce = Debounce::new();
        run(&mut debounce, &[Nominal; 5]);
        debounce
    }

    #[test]
    fn starts_failed_and_needs_good_frames_to_clear() {
        assert_eq!(
            run(&mut Debounce::new(), &[Nominal; 6]),
            [Failure, Failure, Failure, Failure, Nominal, Nominal]
        );
    }

    #[test]
    fn enters_after_trigger_frames_and_leaves_after_release_frames() {
        let mut debounce = settled();
        assert_eq!(run(&mut debounce, &[Failure; 3]), [Nominal, Nominal, Failure]);
        assert_eq!(run(&mut debounce, &[Nominal; 5]), [Failure, Failure, Failure, Failure, Nominal]);
    }

    #[test]
    fn a_single_bad_frame_and_a_single_good_one_change_nothing() {
        let mut debounce = settled();
        assert_eq!(run(&mut debounce, &[Failure, Failure, Nominal, Failure, Failure]), [Nominal; 5]);
        run(&mut debounce, &[Failure; 3]);
        assert_eq!(run(&mut debounce, &[Nominal, Nominal, Nominal, Nominal, Failure, Nominal]), [Failure; 6]);
    }

    #[test]
    fn steps_down_through_caution() {
        let mut debounce = Debounce::new();
        assert_eq!(run(&mut debounce, &[Caution; 5])[4], Caution);
        assert_eq!(run(&mut debounce, &[Nominal; 5])[4], Nominal);
    }

    #[test]
    fn failure_frames_count_towards_caution() {
        let mut debounce = settled();
        assert_eq!(run(&mut debounce, &[Caution, Failure, Caution]), [Nominal, Nominal, Caution]);
    }

    #[test]
    fn a_dead_camera_fails_at_once() {
        let mut debounce = settled();
        assert_eq!(debounce.fail(), Failure);
        assert_eq!(debounce.level(), Failure);
    }

    #[test]
    fn a_jump_in_time_keeps_the_level_and_the_run_of_bad_frames_and_forgets_that_of_good_ones() {
        let mut debounce = settled();
        run(&mut debounce, &[Failure; 2]);
        debounce.forget_good_runs();
        assert_eq!(run(&mut debounce, &[Failure]), [Failure]);
        run(&mut debounce, &[Nominal; 4]);
        debounce.forget_good_runs();
        assert_eq!(run(&mut debounce, &[Nominal; 5]), [Failure, Failure, Failure, Failure, Nominal]);
    }

    #[test]
    fn late_frames_raise_the_level_and_never_lower_it() {
        let mut debounce = settled();
        let late = |debounce: &mut Debounce, raw| debounce.update_late(raw, PATIENCE);
        assert_eq!([Failure; 3].map(|raw| late(&mut debounce, raw)), [Nominal, Nominal, Failure]);
        assert_eq!([Nominal; 9].map(|raw| late(&mut debounce, raw)), [Failure; 9]);
        // Nor do they count towards it.
        run(&mut debounce, &[Nominal; 4]);
        late(&mut debounce, Nominal);
        assert_eq!(run(&mut debounce, &[Nominal; 5]), [Failure, Failure, Failure, Failure, Nominal]);
    }

    #[test]
    fn limits_belong_to_the_higher_level_and_nan_is_failure() {
        let thresholds = Thresholds { caution: 0.3, failure: 0.6, ..Thresholds::uncalibrated() };
        let level = |score| Level::of(score, f32::NAN, &thresholds);
        assert_eq!([level(0.29), level(0.3), level(0.59), level(0.6)], [Nominal, Caution, Caution, Failure]);
        assert_eq!(level(f32::NAN), Failure);
        let unknown = Thresholds { caution: f32::NAN, failure: f32::NAN, ..thresholds };
        assert_eq!(Level::of(0.1, 0., &unknown), Failure);
    }

    #[test]
    fn no_frame_is_nominal_by_a_bundle_that_is_not_calibrated() {
        use Level::*;
        let none = Thresholds::of_none();
        for (score, area) in [(0., 0.), (0.2, f32::NAN), (1., 1.)] {
            assert_eq!(Level::of(score, area, &none), Failure);
        }
        // Set by hand, each limit decides what it is for, and one that is not set reassures of nothing.
        let by_hand = Thresholds { failure: 0.8, ..none.clone() };
        assert_eq!(Level::of(0.1, 0., &by_hand), Caution);
        let by_hand = Thresholds { caution: 0.5, ..by_hand };
        assert_eq!(Level::of(0.1, 0., &by_hand), Caution);
        assert_eq!(Level::of(0.1, 0., &Thresholds { anomaly_area: 0.1, ..by_hand }), Nominal);
    }

    #[test]
    fn a_thing_calls_for_caution_at_once_and_till_it_is_gone_for_release_frames() {
        let mut debounce = settled();
        let mut frame = |live, raw| {
            debounce.things(live, PATIENCE);
            debounce.update(raw, PATIENCE)
        };
        assert_eq!([frame(true, Nominal), frame(false, Nominal)], [Caution; 2]);
        assert_eq!([(); 4].map(|()| frame(false, Nominal)), [Caution, Caution, Caution, Nominal]);
        frame(true, Failure);
        frame(true, Failure);
        assert_eq!(frame(true, Failure), Failure);
    }

    #[test]
    fn a_late_frame_does_not_say_that_a_thing_is_gone() {
        let mut debounce = settled();
        debounce.things_late(true, PATIENCE);
        (0..9).for_each(|_| debounce.things_late(false, PATIENCE));
        assert_eq!(debounce.level(), Caution);
    }

    #[test]
    fn where_things_raise_the_level_the_area_does_not() {
        use crate::model::things::Things;
        let things = Things::example(0.5);
        let by_area = Thresholds { anomaly_area: 0.02, ..Thresholds::uncalibrated() };
        let by_things = Thresholds { things: Some(things), ..by_area.clone() };
        assert_eq!([&by_area, &by_things].map(|limits| Level::of(0.1, 1., limits)), [Caution, Nominal]);
        assert_eq!(Level::of(0.9, 0., &by_things), Failure);
    }

    #[test]
    fn anomalous_frames_call_for_caution_and_no_more() {
        let thresholds = Thresholds { anomaly_area: 0.02, ..Thresholds::uncalibrated() };
        let level = |area| Level::of(0.1, area, &thresholds);
        assert_eq!(
            [level(0.019), level(0.02), level(1.), level(f32::NAN)],
            [Nominal, Caution, Caution, Nominal]
        );
        assert_eq!(Level::of(0.9, 0., &thresholds), Failure);
    }
}
