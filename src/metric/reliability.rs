//! Whether a probability is calibrated: of the pixels called wrong with 30 %, 30 % should be wrong (Guo
//! et al., "On Calibration of Modern Neural Networks", ICML 2017).

/// Bins of equal width from 0 to 1.
pub(crate) const BINS: usize = 20;

/// Pixels by the probability that they were given; can be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reliability {
    bins: [Bin; BINS],
}

/// Pixels whose probability lies between two limits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Pixels.
    pub pixels: u64,
    /// Of these, positives.
    pub positives: u64,
    /// Sum of their probabilities.
    pub sum: f64,
}

impl Bin {
    /// Mean probability and share of positives; `None` of an empty bin.
    pub fn means(&self) -> Option<(f64, f64)> {
        let pixels = self.pixels as f64;
        (self.pixels > 0).then(|| (self.sum / pixels, self.positives as f64 / pixels))
    }
}

impl Reliability {
    /// Adds pixels; a score outside of \[0, 1\] counts as the nearest end, NaN as 0.
    pub fn add(&mut self, scores: &[f32], positive: &[bool]) {
        for (&score, &positive) in scores.iter().zip(positive) {
            let score = f64::from(score).clamp(0., 1.);
            let bin = &mut self.bins[((score * BINS as f64) as usize).min(BINS - 1)];
            bin.pixels += 1;
            bin.positives += u64::from(positive);
            bin.sum += score;
        }
    }

    /// Adds the pixels of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.pixels += other.pixels;
            bin.positives += other.positives;
            bin.sum += other.sum;
        }
    }

    /// The bins, from the least probable on.
    pub fn bins(&self) -> &[Bin; BINS] {
        &self.bins
    }

    /// Expected calibration error: mean over the pixels of how far their bin's share of positives is
    /// from its mean probability. `None` without pixels.
    pub(crate) fn expected_error(&self) -> Option<f64> {
        let pixels: u64 = self.bins.iter().map(|bin| bin.pixels).sum();
        let apart: f64 = self.bins.iter().map(|bin| (bin.sum - bin.positives as f64).abs()).sum();
        (pixels > 0).then(|| apart / pixels as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_against_probabilities() {
        let mut reliability = Reliability::default();
        // Ten pixels at 30 %, three wrong: as it should be. Two at 100 %, none wrong.
        let wrong: Vec<bool> = (0..10).map(|i| i < 3).collect();
        reliability.add(&[0.3; 10], &wrong);
        assert!(reliability.expected_error().unwrap() < 1e-7);
        let mut more = Reliability::default();
        more.add(&[1., 7.], &[false, false]);
        reliability.merge(&more);
        assert_eq!(reliability.bins()[BINS - 1], Bin { pixels: 2, positives: 0, sum: 2. });
        assert!((reliability.expected_error().unwrap() - 2. / 12.).abs() < 1e-7);
        assert_eq!(reliability.bins()[0].means(), None);
        assert_eq!(Reliability::default().expected_error(), None);
    }
}
