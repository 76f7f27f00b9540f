//! When each message of a recording is due.

use std::time::{Duration, Instant};

/// A longer step between two messages counts as so much, as in a replay.
const LONGEST: i64 = 60_000_000_000;

/// The recording's time beside the steady one.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    rate: f64,
    /// Whether what comes late delays what comes after it.
    gives_way: bool,
    /// A stamp, and when its message was due, or left.
    anchor: Option<(i64, Instant)>,
}

impl Timeline {
    pub(super) fn new(rate: f64, gives_way: bool) -> Self {
        Self { rate, gives_way, anchor: None }
    }

    /// When the message of this stamp is due; the first one is at once.
    pub(super) fn due(&self, stamp: i64, now: Instant) -> Instant {
        let Some((last, at)) = self.anchor else { return now };
        let step = stamp.saturating_sub(last).clamp(0, LONGEST);
        at + Duration::from_nanos(step.unsigned_abs()).div_f64(self.rate)
    }

    /// The image of this stamp left at `now`. How late that is.
    pub(super) fn sent(&mut self, stamp: i64, now: Instant) -> Duration {
        let due = self.due(stamp, now);
        self.anchor = Some((stamp, if self.gives_way { now } else { due }));
        now.saturating_duration_since(due)
    }

    /// The recording's time at `now`, which stops at that of the next message.
    pub(super) fn stamp_at(&self, now: Instant, next: i64) -> i64 {
        let Some((last, at)) = self.anchor else { return next };
        let elapsed = now.saturating_duration_since(at).mul_f64(self.rate);
        last.saturating_add(super::nanos(elapsed)).min(next.max(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn messages_are_due_as_they_were_recorded_by_the_rate() {
        let start = Instant::now();
        let mut timeline = Timeline::new(2.0, false);
        assert_eq!(timeline.due(5000 * MS, start), start);
        timeline.sent(5000 * MS, start);
        assert_eq!(timeline.due(5100 * MS, start), start + ms(50));
        assert_eq!(timeline.stamp_at(start + ms(20), 5100 * MS), 5040 * MS);
        assert_eq!(timeline.stamp_at(start + ms(90), 5100 * MS), 5100 * MS, "it waits for the message");
        // A stamp that goes back is due at once, and one of next year in a minute of the recording.
        assert_eq!(timeline.due(0, start), start);
        assert_eq!(timeline.due(i64::MAX, start), start + ms(30_000));
    }

    #[test]
    fn what_comes_late_delays_the_rest_only_in_lock_step() {
        let start = Instant::now();
        for (gives_way, next) in [(false, 200), (true, 240)] {
            let mut timeline = Timeline::new(1.0, gives_way);
            timeline.sent(0, start);
            assert_eq!(timeline.sent(100 * MS, start + ms(140)), ms(40));
            assert_eq!(timeline.due(200 * MS, start), start + ms(next));
        }
    }
}
