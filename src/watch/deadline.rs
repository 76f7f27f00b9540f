//! Decides when to fall back to the segmenter's own confidence because synthesis is too slow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::monitor::assessment::Mode;

/// Frames whose mean time is held against the deadline.
const WINDOW: usize = 3;

/// Time between attempts to return to the whole method.
const RETRY: Duration = Duration::from_secs(5);

/// Chooses the mode of each frame from the time that earlier ones took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadline {
    recent: VecDeque<Duration>,
    retry_at: Option<Instant>,
}

impl Deadline {
    /// Starts with the whole method.
    pub fn new() -> Self {
        Self::default()
    }

    /// The mode for the next frame; without a limit always the whole method.
    pub fn choose(&mut self, now: Instant, limit: Option<Duration>) -> Mode {
        if limit.is_none() {
            self.reset();
        }
        match self.retry_at {
            Some(at) if now < at => Mode::LogitsOnly,
            _ => Mode::Full,
        }
    }

    /// Takes in how long a frame took by the whole method; times in the other mode say nothing.
    pub(crate) fn record(&mut self, now: Instant, mode: Mode, total: Duration, limit: Option<Duration>) {
        let (Mode::Full, Some(limit)) = (mode, limit) else { return };
        if self.retry_at.is_some() {
            // This was the attempt to return.
            self.retry_at = (total > limit).then_some(now + RETRY);
            return;
        }
        self.recent.push_back(total);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        if self.recent.len() == WINDOW && self.recent.iter().sum::<Duration>() > limit * WINDOW as u32 {
            self.recent.clear();
            self.retry_at = Some(now + RETRY);
        }
    }

    /// Forgets everything, as after a jump in time.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_millis(100));
    const SLOW: Duration = Duration::from_millis(150);
    const FAST: Duration = Duration::from_millis(50);

    fn degraded(now: Instant) -> Deadline {
        let mut deadline = Deadline::new();
        for _ in 0..WINDOW {
            assert_eq!(deadline.choose(now, LIMIT), Mode::Full);
            deadline.record(now, Mode::Full, SLOW, LIMIT);
        }
        deadline
    }

    #[test]
    fn one_slow_frame_is_forgiven_a_slow_run_is_not() {
        let now = Instant::now();
        let mut deadline = Deadline::new();
        for total in [FAST, FAST, SLOW, FAST, FAST] {
            deadline.record(now, Mode::Full, total, LIMIT);
        }
        assert_eq!(deadline.choose(now, LIMIT), Mode::Full);
        assert_eq!(degraded(now).choose(now, LIMIT), Mode::LogitsOnly);
    }

    #[test]
    fn tries_again_and_returns_when_it_is_fast_enough() {
        let now = Instant::now();
        let mut deadline = degraded(now);
        assert_eq!(deadline.choose(now + RETRY, LIMIT), Mode::Full);
        deadline.record(now + RETRY, Mode::Full, SLOW, LIMIT);
        assert_eq!(deadline.choose(now + RETRY, LIMIT), Mode::LogitsOnly);
        assert_eq!(deadline.choose(now + 2 * RETRY, LIMIT), Mode::Full);
        deadline.record(now + 2 * RETRY, Mode::Full, FAST, LIMIT);
        assert_eq!(deadline.choose(now + 2 * RETRY, LIMIT), Mode::Full);
        // For good: the next slow frame is the first of a new run.
        deadline.record(now + 2 * RETRY, Mode::Full, SLOW, LIMIT);
        assert_eq!(deadline.choose(now + 2 * RETRY, LIMIT), Mode::Full);
    }

    #[test]
    fn no_limit_no_fallback() {
        let now = Instant::now();
        let mut deadline = degraded(now);
        assert_eq!(deadline.choose(now, None), Mode::Full);
        for _ in 0..=WINDOW {
            deadline.record(now, Mode::Full, SLOW, None);
        }
        // Nothing of that counts once there is a limit again.
        assert_eq!(deadline.choose(now, LIMIT), Mode::Full);
    }
}
