//! What a frame costs, stage by stage, on this machine: `synthcp bench`.
//!
//! Everything that is compared is measured in turns in one run, and medians are taken: other work on
//! the machine then disturbs both alike. Times are given in milliseconds, in multiples of T, the time
//! of the segmenter M, as in the paper, and as shares of the machine's best, measured in the same run.

pub mod against;
pub mod machine;
pub mod memory;
pub mod soak;
pub mod stages;
pub mod subject;
pub mod sweep;

use std::time::{Duration, Instant};

/// Runs `work` and measures its time.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The median; zero without times.
pub(crate) fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&[9, 1, 5].map(Duration::from_secs)), Duration::from_secs(5));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
