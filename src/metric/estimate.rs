//! The image level: how well estimates of each class's IoU follow the truth, as in SynthCP's tables.
//! A class counts over the images where it is present; then the mean of the classes is taken.

use serde::{Deserialize, Serialize};

use super::MetricError;
use super::correlation::{absolute_error, pearson, spearman};

/// Estimated and true IoU of each class, of the images where it is present.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates {
    classes: Vec<(Vec<f64>, Vec<f64>)>,
}

/// How well estimates follow the truth; `None` where the definition gives no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Images.
    pub images: usize,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Standard deviation of the absolute error.
    pub std: Option<f64>,
    /// Pearson's correlation, P.C.
    pub pearson: Option<f64>,
    /// Spearman's correlation, S.C.
    pub spearman: Option<f64>,
}

impl Fit {
    /// From pairs of an estimate and a truth.
    pub fn of(estimates: &[f64], truths: &[f64]) -> Result<Self, MetricError> {
        let error = absolute_error(estimates, truths)?;
        Ok(Self {
            images: estimates.len(),
            mae: error.map(|error| error.mean),
            std: error.map(|error| error.std),
            pearson: pearson(estimates, truths)?,
            spearman: spearman(estimates, truths)?,
        })
    }
}

impl Estimates {
    /// None yet, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes: vec![Default::default(); classes] }
    }

    /// Adds an image in which `class` is present.
    pub fn add(&mut self, class: usize, estimate: f64, truth: f64) {
        let (estimates, truths) = &mut self.classes[class];
        estimates.push(estimate);
        truths.push(truth);
    }

    /// Adds the images of `other`, of as many classes.
    pub fn merge(&mut self, other: &Self) {
        for (class, other) in self.classes.iter_mut().zip(&other.classes) {
            class.0.extend(&other.0);
            class.1.extend(&other.1);
        }
    }

    /// Estimates and truths of each class.
    pub fn pairs(&self) -> impl Iterator<Item = (&[f64], &[f64])> {
        self.classes.iter().map(|(estimates, truths)| (estimates.as_slice(), truths.as_slice()))
    }

    /// The fit of each class.
    pub(crate) fn fits(&self) -> Result<Vec<Fit>, MetricError> {
        self.pairs().map(|(estimates, truths)| Fit::of(estimates, truths)).collect()
    }

    /// Each figure's mean over the classes that have it; `images` is the sum.
    pub fn mean(&self) -> Result<Fit, MetricError> {
        let fits = self.fits()?;
        let mean = |figure: fn(&Fit) -> Option<f64>| {
            let values: Vec<f64> = fits.iter().filter_map(figure).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Ok(Fit {
            images: fits.iter().map(|fit| fit.images).sum(),
            mae: mean(|fit| fit.mae),
            std: mean(|fit| fit.std),
            pearson: mean(|fit| fit.pearson),
            spearman: mean(|fit| fit.spearman),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_each_class_then_their_mean() {
        let mut estimates = Estimates::new(3);
        for (estimate, truth) in [(0.1, 0.2), (0.5, 0.5), (0.6, 0.9)] {
            estimates.add(0, estimate, truth);
        }
        // One image has no correlation, but an error.
        let mut other = Estimates::new(3);
        other.add(2, 0.5, 1.);
        estimates.merge(&other);
        let fits = estimates.fits().unwrap();
        assert_eq!((fits[0].images, fits[1].images, fits[2].images), (3, 0, 1));
        assert_eq!((fits[1].mae, fits[2].pearson), (None, None));
        let mean = estimates.mean().unwrap();
        assert_eq!(mean.images, 4);
        assert!((mean.mae.unwrap() - (0.4 / 3. + 0.5) / 2.).abs() < 1e-12);
        assert_eq!(mean.pearson, fits[0].pearson);
        assert!((mean.spearman.unwrap() - 1.).abs() < 1e-12);
        assert_eq!(Estimates::new(1).mean().unwrap(), Fit::default());
    }

    #[test]
    fn nan_is_an_error() {
        let mut estimates = Estimates::new(1);
        estimates.add(0, f64::NAN, 0.5);
        assert!(estimates.mean().is_err());
    }
}
