//! Monte Carlo dropout (Gal, Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016): M segments the
//! image again and again with dropout at work; where its answers, averaged, are torn, it is in doubt.
//!
//! SynthCP's code averages logits, and its DeepLab has no dropout at work, so that its passes are all the
//! same. Here the softmax is averaged, of an M whose passes differ.

use tch::{Kind, TchError, Tensor};

use super::detector::{Detection, Detector};
use super::entry::{Entry, made};
use super::logits;
use crate::model::inference::Inference;
use crate::network::layers::spatial;
use crate::network::segmentation::Segmenter;

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[Entry {
    id: "mc-dropout",
    needs: "an M with dropout",
    make: |parts| if parts.networks.has_dropout() { made(McDropout { passes: parts.passes }) } else { None },
}];

/// Mean softmax of `passes` passes over `image`, `N x classes x H x W`, fp32; `None` of an M without
/// dropout. The draws are from libtorch's generator.
pub(crate) fn mean_softmax(m: &dyn Segmenter, image: &Tensor, passes: usize) -> Option<Tensor> {
    tch::no_grad(|| {
        let sample = m.sampler(image)?;
        let pass = || {
            let logits = m.resize_logits(&sample().to_kind(Kind::Float), spatial(image));
            logits.softmax(1, Kind::Float)
        };
        let passes = passes.max(1);
        let sum = (1..passes).fold(pass(), |sum, _| sum + pass());
        Some(sum / passes as f64)
    })
}

/// Entropy of a mean softmax as a share of the largest possible one. `N x C x H x W` to
/// `N x 1 x H x W` in \[0, 1\].
pub fn entropy(mean_softmax: &Tensor) -> Tensor {
    // The logarithm of a softmax is a logit.
    logits::entropy(&mean_softmax.clamp_min(1e-12).log())
}

/// Of each class, the mean over the image of p log p + (1 - p) log(1 - p), p being its mean softmax: how
/// little the class is in doubt. `N x C x H x W` to `N x C` in \[-log 2, 0\]. What SynthCP's code has a
/// linear layer tell IoUs from.
pub(crate) fn class_entropy(mean_softmax: &Tensor) -> Tensor {
    let terms = |p: Tensor| &p * p.clamp_min(1e-12).log();
    let sum = terms(mean_softmax.shallow_clone()) + terms(1. - mean_softmax);
    sum.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
}

/// The entropy as a detector.
pub(crate) struct McDropout {
    /// Passes over an image.
    pub passes: usize,
}

impl Detector for McDropout {
    fn name(&self) -> &str {
        "MC dropout"
    }

    /// Of an M without dropout, nothing.
    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let mean = mean_softmax(inference.segmenter(), inference.image(), self.passes);
        Ok(mean.map_or_else(Detection::default, |mean| Detection::of_doubt(entropy(&mean))))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::network::segmentation::{Sampler, Segmented};

    /// Sure of one class in one pass and of the other in the next, and of a third pixel always.
    struct Torn;

    fn logits(first: f32) -> Tensor {
        Tensor::from_slice(&[first, 20f32, -first, -20.]).view([1, 2, 1, 2])
    }

    impl Segmenter for Torn {
        fn forward(&self, _image: &Tensor, _train: bool) -> Segmented {
            Segmented { logits: logits(20.), features: logits(20.), auxiliary: None }
        }

        fn sampler(&self, _image: &Tensor) -> Option<Sampler<'_>> {
            let sign = Cell::new(1.);
            Some(Box::new(move || {
                sign.set(-sign.get());
                logits(20. * sign.get())
            }))
        }
    }

    #[test]
    fn passes_that_disagree_are_doubt() {
        let image = Tensor::zeros([1, 3, 1, 2], (Kind::Float, tch::Device::Cpu));
        let mean = mean_softmax(&Torn, &image, 10).unwrap();
        let value = |t: &Tensor, x: i64| t.double_value(&[0, 0, 0, x]);
        assert!((value(&mean, 0) - 0.5).abs() < 1e-6 && (value(&mean, 1) - 1.).abs() < 1e-6);
        let entropy = entropy(&mean);
        assert!((value(&entropy, 0) - 1.).abs() < 1e-5 && value(&entropy, 1).abs() < 1e-5);
    }

    #[test]
    fn entropy_is_that_of_the_definition() {
        let mean = Tensor::from_slice(&[0.75f32, 0.25]).view([1, 2, 1, 1]);
        let expected = -(0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln()) / 2f64.ln();
        assert!((entropy(&mean).double_value(&[]) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_class_that_is_always_or_never_there_is_not_in_doubt() {
        let mean = Tensor::from_slice(&[1f32, 0.5, 0., 0.5]).view([1, 2, 1, 2]);
        let doubt = Vec::<f32>::try_from(class_entropy(&mean).flatten(0, -1)).unwrap();
        // One of two pixels is torn, for both classes alike.
        assert!(doubt.iter().all(|d| (f64::from(*d) + 2f64.ln() / 2.).abs() < 1e-6), "{doubt:?}");
    }

    #[test]
    fn without_dropout_there_is_none() {
        struct Certain;
        impl Segmenter for Certain {
            fn forward(&self, _image: &Tensor, _train: bool) -> Segmented {
                Segmented { logits: logits(1.), features: logits(1.), auxiliary: None }
            }
        }
        assert!(mean_softmax(&Certain, &Tensor::from(0f32), 3).is_none());
    }
}
