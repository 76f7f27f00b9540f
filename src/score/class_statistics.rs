//! What training says of a class's largest logits, against which [`sml`](super::sml) measures.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Mean and variance of the largest logit, by the class that it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassStatistics {
    /// Pixels of each class.
    count: Vec<f64>,
    /// Mean of their largest logits.
    mean: Vec<f64>,
    /// Sum of the squared deviations from it.
    squares: Vec<f64>,
}

impl ClassStatistics {
    /// Statistics of no pixel yet.
    pub fn new(classes: usize) -> Self {
        let zeros = || vec![0.; classes];
        Self { count: zeros(), mean: zeros(), squares: zeros() }
    }

    /// Adds the pixels of `N x classes x H x W` logits of training images.
    pub fn add(&mut self, logits: &Tensor) {
        let classes = self.count.len() as i64;
        let (largest, label) = logits.to_kind(Kind::Double).max_dim(1, false);
        let (largest, label) = (largest.flatten(0, -1), label.flatten(0, -1));
        let total = |weights: &Tensor| label.bincount(Some(weights), classes);
        let count = total(&largest.ones_like());
        let mean = total(&largest) / count.clamp_min(1.);
        let squares = total(&(&largest - mean.index_select(0, &label)).square());
        let numbers = |t: Tensor| Vec::<f64>::try_from(t).expect("one dimension of doubles");
        self.merge(&Self { count: numbers(count), mean: numbers(mean), squares: numbers(squares) });
    }

    /// Adds the pixels of `other`, of as many classes.
    pub(crate) fn merge(&mut self, other: &Self) {
        for c in 0..self.count.len().min(other.count.len()) {
            let (n, m) = (self.count[c], other.count[c]);
            if m > 0. {
                let apart = other.mean[c] - self.mean[c];
                self.count[c] += m;
                self.mean[c] += apart * m / (n + m);
                self.squares[c] += other.squares[c] + apart * apart * n * m / (n + m);
            }
        }
    }

    /// All classes as one.
    fn pooled(&self) -> Self {
        let mut pooled = Self::new(1);
        for c in 0..self.count.len() {
            let one = |v: &[f64]| vec![v[c]];
            pooled.merge(&Self {
                count: one(&self.count),
                mean: one(&self.mean),
                squares: one(&self.squares),
            });
        }
        pooled
    }

    /// Mean and standard deviation of a class; of all classes, where it has too few pixels to tell.
    fn of(&self, class: usize) -> (f64, f64) {
        let own = (self.mean[class], (self.squares[class] / self.count[class]).sqrt());
        if own.1 > 0. {
            return own;
        }
        let pooled = self.pooled();
        let deviation = (pooled.squares[0] / pooled.count[0]).sqrt();
        (pooled.mean[0], if deviation > 0. { deviation } else { 1. })
    }

    /// The standardized largest logit, negated, so that high is anomalous: `N x classes x H x W` logits to
    /// `N x 1 x H x W`, fp32, unbounded.
    pub fn score(&self, logits: &Tensor) -> Tensor {
        let (largest, label) = logits.to_kind(Kind::Float).max_dim(1, true);
        let (mean, deviation): (Vec<_>, Vec<_>) = (0..self.count.len()).map(|class| self.of(class)).unzip();
        let at_label = |values: &[f64]| {
            let table = Tensor::from_slice(values).to_kind(Kind::Float).to_device(logits.device());
            table.index_select(0, &label.flatten(0, -1)).view_as(&label)
        };
        (at_label(&mean) - largest) / at_label(&deviation)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, IndexOp};

    use super::*;

    /// A row of pixels of two classes; the largest logit of each.
    fn logits(pixels: &[(i64, f32)]) -> Tensor {
        let n = pixels.len() as i64;
        let x = Tensor::full([1, 2, 1, n], -50., (Kind::Float, Device::Cpu));
        for (i, &(class, logit)) in (0..).zip(pixels) {
            let _ = x.i((0, class, 0, i)).fill_(f64::from(logit));
        }
        x
    }

    fn values(t: &Tensor) -> Vec<f32> {
        Vec::try_from(t.flatten(0, -1)).unwrap()
    }

    #[test]
    fn logits_are_measured_against_their_own_class() {
        // Class 0: 8 and 12, mean 10, deviation 2; class 1: 1, 2, 3, mean 2, variance 2/3.
        let mut statistics = ClassStatistics::new(2);
        statistics.add(&logits(&[(0, 8.), (1, 1.), (0, 12.), (1, 2.), (1, 3.)]));
        let score = values(&statistics.score(&logits(&[(0, 6.), (1, 4.), (0, 10.)])));
        for (found, expected) in score.iter().zip([2., -2. / (2f32 / 3.).sqrt(), 0.]) {
            assert!((found - expected).abs() < 1e-5, "{score:?}");
        }
    }

    #[test]
    fn images_add_up_in_any_order() {
        let (a, b) = (logits(&[(0, 8.), (1, 1.), (0, 11.)]), logits(&[(1, 7.), (0, 3.)]));
        let mut together = ClassStatistics::new(2);
        together.add(&Tensor::cat(&[&a, &b], 3));
        let mut apart = ClassStatistics::new(2);
        apart.add(&b);
        apart.add(&a);
        for c in 0..2 {
            let (one, other) = (together.of(c), apart.of(c));
            assert!((one.0 - other.0).abs() < 1e-9 && (one.1 - other.1).abs() < 1e-9);
        }
        let yaml = serde_norway::to_string(&apart).unwrap();
        assert_eq!(serde_norway::from_str::<ClassStatistics>(&yaml).unwrap(), apart);
    }

    #[test]
    fn a_class_that_training_never_saw_is_measured_against_all() {
        let mut statistics = ClassStatistics::new(2);
        statistics.add(&logits(&[(0, 8.), (0, 12.)]));
        assert_eq!(values(&statistics.score(&logits(&[(1, 6.)]))), [2.]);
        assert_eq!(values(&ClassStatistics::new(2).score(&logits(&[(1, 6.)]))), [-6.]);
    }
}
