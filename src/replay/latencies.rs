//! How long frames took.

use std::time::Duration;

/// The latencies of a replay, in the order of the frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    millis: Vec<f32>,
}

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        self.millis.push(latency.as_secs_f32() * 1e3);
    }

    /// p50, p95, p99 and the longest, each one that was met.
    pub(super) fn percentiles(&self) -> Option<[f32; 4]> {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let place = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(place.saturating_sub(1)).copied()
        };
        Some([at(0.5)?, at(0.95)?, at(0.99)?, at(1.0)?])
    }

    /// Mean change from one frame to the next.
    pub(super) fn jitter(&self) -> Option<f32> {
        let changes = self.millis.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs()));
        let count = self.millis.len().saturating_sub(1);
        (count > 0).then(|| (changes.sum::<f64>() / count as f64) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_latencies_that_were_met() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.percentiles(), latencies.jitter()), (None, None));
        for ms in (1..=200).rev() {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.percentiles(), Some([100., 190., 198., 200.]));
        assert_eq!(latencies.jitter(), Some(1.));
    }
}
