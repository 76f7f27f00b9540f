//! Anomaly scores from M's logits alone: what SynthCP is compared with. High is anomalous.

use tch::{Kind, TchError, Tensor};

use super::detector::{Detection, Detector};
use super::entry::{Entry, made};
use crate::model::inference::Inference;
pub use crate::network::softmax::entropy;

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[
    Entry { id: "msp", needs: "M", make: |_| made(FromLogits::probability("1 - MSP", msp)) },
    Entry { id: "max-logit", needs: "M", make: |_| made(FromLogits::score("max logit", max_logit)) },
    Entry { id: "energy", needs: "M", make: |_| made(FromLogits::score("energy", energy)) },
    Entry { id: "entropy", needs: "M", make: |_| made(FromLogits::score("entropy", entropy)) },
];

/// One minus the largest softmax (MSP: Hendrycks, Gimpel, "A Baseline for Detecting Misclassified and
/// Out-of-Distribution Examples", ICLR 2017). `N x C x H x W` logits to `N x 1 x H x W` in \[0, 1\].
pub fn msp(logits: &Tensor) -> Tensor {
    1. - logits.softmax(1, Kind::Float).amax([1i64].as_slice(), true)
}

/// The largest logit, negated (Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World
/// Settings", ICML 2022). `N x C x H x W` to `N x 1 x H x W`, unbounded.
pub(crate) fn max_logit(logits: &Tensor) -> Tensor {
    -logits.amax([1i64].as_slice(), true)
}

/// Free energy, minus the logarithm of the sum of the exponentials of the logits (Liu et al.,
/// "Energy-based Out-of-distribution Detection", NeurIPS 2020, at temperature 1). `N x C x H x W` to
/// `N x 1 x H x W`, unbounded.
pub fn energy(logits: &Tensor) -> Tensor {
    -logits.to_kind(Kind::Float).logsumexp([1i64].as_slice(), true)
}

/// One of these as a detector: what is doubtful may be wrong, and may be unknown.
pub(crate) struct FromLogits {
    name: &'static str,
    score: fn(&Tensor) -> Tensor,
    probability: bool,
}

impl FromLogits {
    /// A score of any range.
    pub fn score(name: &'static str, score: fn(&Tensor) -> Tensor) -> Self {
        Self { name, score, probability: false }
    }

    /// A score that is meant as a probability of being wrong.
    pub fn probability(name: &'static str, score: fn(&Tensor) -> Tensor) -> Self {
        Self { name, score, probability: true }
    }
}

impl Detector for FromLogits {
    fn name(&self) -> &str {
        self.name
    }

    fn is_probability(&self) -> bool {
        self.probability
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        Ok(Detection::of_doubt((self.score)(&inference.logits())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pixels of three classes: one certain, one torn.
    fn logits() -> Tensor {
        Tensor::from_slice(&[20f32, 1., 0., 1., 0., 1.]).view([1, 3, 1, 2])
    }

    #[test]
    fn the_torn_pixel_is_the_anomalous_one() {
        for score in [msp, max_logit, energy, entropy] {
            let scores = Vec::<f32>::try_from(score(&logits()).flatten(0, -1)).unwrap();
            assert!(scores[1] > scores[0], "{scores:?}");
        }
    }

    #[test]
    fn values_are_those_of_the_definitions() {
        let value = |t: Tensor| t.double_value(&[0, 0, 0, 1]);
        assert!((value(msp(&logits())) - 2. / 3.).abs() < 1e-6);
        assert!((value(max_logit(&logits())) + 1.).abs() < 1e-6);
        // -ln(3 e)
        assert!((value(energy(&logits())) + 3f64.ln() + 1.).abs() < 1e-6);
        assert!((value(entropy(&logits())) - 1.).abs() < 1e-6);
    }
}
