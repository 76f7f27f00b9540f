//! Tells a new time base (a bag that starts again) from a stamp that is merely wrong.

use crate::frame::Stamp;

/// A step, in seconds, that is neither the next image nor reordering.
const JUMP: f64 = 1.0;

/// Stamps in a row that a new time base takes to be believed: a driver that now and then sends a wrong one, or
/// two cameras whose clocks differ, must not look like one jump after the other.
const STAYS: u32 = 3;

/// The time that the stamps are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeBase {
    /// The newest stamp in it, in seconds.
    last: Option<f64>,
    /// The newest stamp of what may be another one, and how many there were.
    other: Option<(f64, u32)>,
}

impl TimeBase {
    /// Whether time jumped back, and with `stamp` has stayed there. A stamp of zero says nothing.
    pub(crate) fn jumps_back(&mut self, stamp: Stamp) -> bool {
        if stamp == Stamp::default() {
            return false;
        }
        let now = f64::from(stamp.sec) + f64::from(stamp.nanosec) * 1e-9;
        let Some(last) = self.last.filter(|last| (now - last).abs() > JUMP) else {
            (self.last, self.other) = (Some(now), None);
            return false;
        };
        // A slow camera takes long steps forward, each from the one before.
        let so_far = self.other.filter(|(other, _)| now - other >= -JUMP).map_or(0, |(_, count)| count);
        self.other = Some((now, so_far + 1));
        if so_far + 1 < STAYS {
            return false;
        }
        (self.last, self.other) = (Some(now), None);
        now < last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jumps(seconds: &[i32]) -> Vec<usize> {
        let mut time = TimeBase::default();
        let stamps = seconds.iter().map(|&sec| Stamp { sec, nanosec: 0 }).enumerate();
        stamps.filter(|&(_, stamp)| time.jumps_back(stamp)).map(|(place, _)| place).collect()
    }

    #[test]
    fn a_step_back_that_stays_is_a_jump_and_counts_once() {
        assert_eq!(jumps(&[50, 49, 50, 10, 11, 12, 13, 14]), [5]);
    }

    #[test]
    fn a_stamp_of_zero_or_a_wrong_one_now_and_then_is_none() {
        assert_eq!(jumps(&[50, 0, 51, 0, 0, 0, 0, 52, 7, 53, 7, 54]), [0; 0]);
    }

    #[test]
    fn two_clocks_in_turns_are_none() {
        let turns: Vec<_> = (0..20).flat_map(|sec| [100 + sec, 90 + sec]).collect();
        assert_eq!(jumps(&turns), [0; 0]);
    }

    #[test]
    fn steps_forward_are_none_however_long() {
        assert_eq!(jumps(&[0, 3, 6, 9, 100, 103, 106, 500, 501]), [0; 0]);
        assert_eq!(jumps(&[10, 500, 501, 502, 10, 11, 12]), [6]);
    }
}
