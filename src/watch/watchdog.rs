//! Notices that the camera has gone quiet.
//!
//! Only arrivals count, on a steady clock that the caller passes in: a wrong camera clock or a
//! simulated clock that stands still must neither raise nor hide the alarm. A simulated clock that
//! goes on has a say: a bag that is played slowly is silent only when it is so by that clock too.

use std::time::{Duration, Instant};

/// Time between repeated alarms while nothing arrives.
pub(crate) const REPEAT: Duration = Duration::from_millis(500);

/// What is known of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// No image has ever arrived.
    Waiting,
    /// The newest image is younger than the time-out.
    Alive,
    /// It is older.
    Stale,
}

/// A statement that is due because no image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// [`Liveness::Waiting`] or [`Liveness::Stale`].
    pub liveness: Liveness,
    /// Time since the last image, or since the start.
    pub silence: Duration,
}

/// Watches arrivals.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog {
    started: Instant,
    last_arrival: Option<Instant>,
    last_alarm: Option<Instant>,
    simulated: Option<Simulated>,
}

/// A simulated clock, as last heard.
#[derive(Clone, Copy, Debug)]
struct Simulated {
    time: Duration,
    /// When it last moved, on the steady clock.
    moved: Instant,
    /// What it showed when the last image arrived, or when it last jumped back.
    at_arrival: Duration,
}

impl Watchdog {
    /// Begins to watch at `now`.
    pub fn new(now: Instant) -> Self {
        Self { started: now, last_arrival: None, last_alarm: None, simulated: None }
    }

    /// When it began to watch.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// An image arrived at `now`.
    pub(crate) fn feed(&mut self, now: Instant) {
        self.last_arrival = Some(now);
        self.last_alarm = None;
        if let Some(simulated) = &mut self.simulated {
            simulated.at_arrival = simulated.time;
        }
    }

    /// A simulated clock shows `time`.
    pub(crate) fn hear_clock(&mut self, time: Duration, now: Instant) {
        let clock = self.simulated.get_or_insert(Simulated { time, moved: now, at_arrival: time });
        if time != clock.time {
            // Back before the arrival; a step that stays behind it makes no arrival of itself.
            clock.at_arrival = clock.at_arrival.min(time);
            (clock.time, clock.moved) = (time, now);
        }
    }

    /// When the last image came.
    pub(crate) fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// Time since the last image, or since the start.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_arrival.unwrap_or(self.started))
    }

    /// Time since the last image; `None` before the first.
    pub(crate) fn since_arrival(&self, now: Instant) -> Option<Duration> {
        self.last_arrival.map(|at| now.saturating_duration_since(at))
    }

    /// The state at `now`; without a time-out nothing is ever stale.
    pub(crate) fn liveness(&self, now: Instant, timeout: Option<Duration>) -> Liveness {
        match (self.since_arrival(now), timeout) {
            (None, _) => Liveness::Waiting,
            (Some(silence), Some(timeout)) if silence > timeout && !self.is_slow(now, timeout) => {
                Liveness::Stale
            }
            _ => Liveness::Alive,
        }
    }

    /// Whether a simulated clock goes on, by which the camera is not silent yet.
    fn is_slow(&self, now: Instant, timeout: Duration) -> bool {
        self.simulated.is_some_and(|clock| {
            now.saturating_duration_since(clock.moved) <= timeout
                && clock.time.saturating_sub(clock.at_arrival) <= timeout
        })
    }

    /// The alarm that is due at `now`: at once when the camera goes stale, then every [`REPEAT`].
    pub(crate) fn poll(&mut self, now: Instant, timeout: Option<Duration>) -> Option<Alarm> {
        let liveness = self.liveness(now, timeout);
        let due = self.last_alarm.is_none_or(|at| now.saturating_duration_since(at) >= REPEAT);
        if liveness == Liveness::Alive || !due {
            return None;
        }
        self.last_alarm = Some(now);
        Some(Alarm { liveness, silence: self.silence(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Option<Duration> = Some(Duration::from_millis(500));

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn says_at_once_that_it_waits_and_repeats_it() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        assert_eq!(dog.poll(start, TIMEOUT), Some(Alarm { liveness: Liveness::Waiting, silence: ms(0) }));
        assert_eq!(dog.poll(start + ms(499), TIMEOUT), None);
        assert_eq!(
            dog.poll(start + ms(500), TIMEOUT),
            Some(Alarm { liveness: Liveness::Waiting, silence: ms(500) })
        );
    }

    #[test]
    fn quiet_while_images_come_and_once_each_repeat_after() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        dog.feed(start + ms(100));
        assert_eq!(dog.poll(start + ms(600), TIMEOUT), None);
        let alarm = dog.poll(start + ms(601), TIMEOUT);
        assert_eq!(alarm, Some(Alarm { liveness: Liveness::Stale, silence: ms(501) }));
        assert_eq!(dog.poll(start + ms(700), TIMEOUT), None);
        assert!(dog.poll(start + ms(1101), TIMEOUT).is_some());
    }

    #[test]
    fn an_image_ends_the_alarm_and_the_next_silence_raises_it_again() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        dog.feed(start);
        assert!(dog.poll(start + ms(600), TIMEOUT).is_some());
        dog.feed(start + ms(650));
        assert_eq!(dog.liveness(start + ms(660), TIMEOUT), Liveness::Alive);
        assert_eq!(dog.poll(start + ms(660), TIMEOUT), None);
        assert!(dog.poll(start + ms(1151), TIMEOUT).is_some());
    }

    /// When a camera whose only image came at 0 is first stale, asked every 50 ms on the steady clock. The
    /// simulated clock is as `time` has it, both in milliseconds.
    fn first_stale(time: impl Fn(u64) -> u64) -> Option<u64> {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        dog.hear_clock(ms(time(0)), start);
        dog.feed(start);
        (0..=20_000).step_by(50).find(|&at| {
            dog.hear_clock(ms(time(at)), start + ms(at));
            dog.liveness(start + ms(at), TIMEOUT) == Liveness::Stale
        })
    }

    #[test]
    fn a_bag_at_a_tenth_of_its_rate_is_silent_by_its_own_clock() {
        assert_eq!(first_stale(|at| 9000 + at / 10), Some(5050), "ten times later");
        assert_eq!(first_stale(|at| 9000 + at), Some(550));
        assert_eq!(first_stale(|at| 9000 + at * 10), Some(550), "never sooner than by the steady clock");
    }

    #[test]
    fn a_simulated_clock_that_stands_still_or_jumps_back_hides_no_silence() {
        assert_eq!(first_stale(|_| 9000), Some(550));
        assert_eq!(first_stale(|at| 9000 + at.min(1000) / 10), Some(1550), "paused after a second");
        let looped = |at: u64| if at < 200 { 90_000 + at } else { at };
        assert_eq!(first_stale(looped), Some(750), "from where it jumped to");
        let two = |at: u64| 9000 + at - if at.is_multiple_of(100) { 0 } else { 300 };
        assert!(
            first_stale(two).is_some_and(|at| at <= 900),
            "two clocks, 0.3 s apart: {:?}",
            first_stale(two)
        );
    }

    #[test]
    fn without_a_time_out_nothing_is_stale() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        dog.feed(start);
        assert_eq!(dog.poll(start + ms(1_000_000), None), None);
        assert_eq!(dog.since_arrival(start + ms(7)), Some(ms(7)));
    }
}
