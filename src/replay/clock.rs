//! Time as the stamps of a recording tell it.
//!
//! A robot's steady clock never goes back, and no wrong stamp may move it by a year: it is the sum of the
//! steps from stamp to stamp, those back left out and long ones shortened.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks at what is due, as on the robot.
const TICK: i64 = 50_000_000;
/// A longer step between two messages is a recording that was interrupted, or a wrong stamp. So much of it
/// counts.
const LONGEST: i64 = 60_000_000_000;

/// The clock; it stands still unless it is moved.
pub(super) struct BagClock {
    base: Instant,
    hands: Mutex<Hands>,
}

#[derive(Clone, Copy)]
struct Hands {
    /// Nanoseconds since the beginning.
    elapsed: i64,
    /// The recording's time, in nanoseconds since 1970.
    stamp: i64,
    /// When the next tick is due, in nanoseconds since the beginning.
    tick: i64,
}

impl BagClock {
    /// At the beginning.
    pub(super) fn new(stamp: i64) -> Self {
        Self { base: Instant::now(), hands: Mutex::new(Hands { elapsed: 0, stamp, tick: TICK }) }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steady time.
    pub(super) fn now(&self) -> Instant {
        self.base + Duration::from_nanos(self.hands().elapsed.unsigned_abs())
    }

    /// The recording's time, in nanoseconds since 1970.
    pub(super) fn stamp(&self) -> i64 {
        self.hands().stamp
    }

    /// The same, as the node has it.
    pub(super) fn time_of_day(&self) -> Option<Duration> {
        u64::try_from(self.stamp()).ok().filter(|&stamp| stamp > 0).map(Duration::from_nanos)
    }

    /// Nanoseconds since the beginning.
    pub(super) fn elapsed(&self) -> i64 {
        self.hands().elapsed
    }

    /// The same at the time of `stamp`.
    pub(super) fn elapsed_at(&self, stamp: i64) -> i64 {
        self.elapsed().saturating_add(self.step(stamp))
    }

    /// The ticks before `end`, in nanoseconds since the beginning.
    pub(super) fn ticks_until(&self, end: i64) -> impl Iterator<Item = i64> + use<> {
        let tick = self.hands().tick;
        (0..).map(move |number| tick + number * TICK).take_while(move |&tick| tick < end)
    }

    /// Moves on to a tick.
    pub(super) fn set(&self, tick: i64) {
        let mut hands = self.hands();
        hands.stamp = hands.stamp.saturating_add(tick - hands.elapsed);
        (hands.elapsed, hands.tick) = (tick, tick + TICK);
    }

    /// Moves on to `stamp`.
    pub(super) fn advance(&self, stamp: i64) {
        let step = self.step(stamp);
        let mut hands = self.hands();
        hands.elapsed += step;
        hands.stamp = stamp;
    }

    /// Moves on to `elapsed`, a time that the recording's stamps say nothing of.
    pub(super) fn pass(&self, elapsed: i64) {
        let mut hands = self.hands();
        let step = (elapsed - hands.elapsed).max(0);
        hands.elapsed += step;
        hands.stamp = hands.stamp.saturating_add(step);
    }

    /// How long it is from now to `stamp`.
    fn step(&self, stamp: i64) -> i64 {
        stamp.saturating_sub(self.stamp()).clamp(0, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn ticks_come_every_50_ms_and_before_the_frame() {
        let clock = BagClock::new(SECOND);
        let start = clock.now();
        let ticks: Vec<i64> = clock.ticks_until(clock.elapsed_at(SECOND + 120_000_000)).collect();
        assert_eq!(ticks, [TICK, 2 * TICK]);
        ticks.iter().for_each(|&tick| clock.set(tick));
        assert_eq!(clock.stamp(), SECOND + 2 * TICK);
        clock.advance(SECOND + 120_000_000);
        assert_eq!(clock.now() - start, Duration::from_millis(120));
        assert_eq!(
            clock.ticks_until(clock.elapsed_at(SECOND + 3 * TICK)).count(),
            0,
            "a frame comes before a tick of its time"
        );
        assert_eq!(clock.time_of_day(), Some(Duration::from_millis(1120)));
    }

    #[test]
    fn it_never_goes_back_and_a_wrong_stamp_moves_it_by_a_minute() {
        let clock = BagClock::new(10 * SECOND);
        let start = clock.now();
        for stamp in [11, 5, 6, 1 << 33, 7, 8] {
            clock.advance(stamp * SECOND);
        }
        // 10 to 11, 5 to 6, a minute, 7 to 8.
        assert_eq!(clock.now() - start, Duration::from_secs(63));
    }
}
