//! How well estimates follow the truth: correlation and absolute error.

use super::{MetricError, same_length};

/// Pearson's correlation coefficient, in \[-1, 1\]. `None` with fewer than two pairs or where one
/// side does not vary.
pub(crate) fn pearson(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricError> {
    check(x, y)?;
    Ok(correlate(x, y))
}

/// Spearman's rank correlation, in \[-1, 1\]: Pearson's of the ranks, equal values sharing the mean
/// of their ranks. `None` as for [`pearson`].
pub(crate) fn spearman(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricError> {
    check(x, y)?;
    Ok(correlate(&ranks(x), &ranks(y)))
}

/// The absolute error of estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AbsoluteError {
    /// Its mean, MAE.
    pub mean: f64,
    /// Its standard deviation (of the population: divided by n), STD.
    pub std: f64,
}

/// Mean and standard deviation of `|estimate - truth|`; `None` without pairs.
pub(crate) fn absolute_error(
    estimates: &[f64],
    truths: &[f64],
) -> Result<Option<AbsoluteError>, MetricError> {
    check(estimates, truths)?;
    let errors: Vec<f64> = estimates.iter().zip(truths).map(|(a, b)| (a - b).abs()).collect();
    if errors.is_empty() {
        return Ok(None);
    }
    let mean = mean(&errors);
    let variance = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / errors.len() as f64;
    Ok(Some(AbsoluteError { mean, std: variance.sqrt() }))
}

fn check(x: &[f64], y: &[f64]) -> Result<(), MetricError> {
    same_length("values", x.len(), y.len())?;
    for (what, values) in [("first value", x), ("second value", y)] {
        if let Some(index) = values.iter().position(|value| value.is_nan()) {
            return Err(MetricError::Nan { what, index });
        }
    }
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlate(x: &[f64], y: &[f64]) -> Option<f64> {
    // Rounding would give a constant side a spread of its own.
    let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    if x.len() < 2 || constant(x) || constant(y) {
        return None;
    }
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    let product = xx.sqrt() * yy.sqrt();
    (product > 0.0 && product.is_finite()).then(|| (xy / product).clamp(-1.0, 1.0))
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = below as f64 + (equals.len() + 1) as f64 / 2.0;
        for &index in equals {
            ranks[index] = rank;
        }
        below += equals.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value - expected).abs() < 1e-12), "{value:?} is not {expected}");
    }

    #[test]
    fn pearson_by_hand() {
        // Deviations -1.5 -0.5 0.5 1.5 and -1.75 0.25 -0.75 2.25.
        let (x, y) = ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 5.0]);
        close(pearson(&x, &y).unwrap(), 5.5 / (5.0_f64 * 8.75).sqrt());
        close(spearman(&x, &y).unwrap(), 0.8);
        close(pearson(&x, &[-2.0, -4.0, -6.0, -8.0]).unwrap(), -1.0);
    }

    #[test]
    fn ties_share_their_rank() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 30.0, 10.0]), [2.0, 4.0, 2.0, 5.0, 2.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
        // scipy.stats.spearmanr([1, 2, 2, 3], [1, 3, 2, 4]) = 0.9486832980505138.
        close(spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 4.0]).unwrap(), 0.948_683_298_050_513_8);
    }

    #[test]
    fn without_spread_there_is_no_correlation() {
        assert_eq!(pearson(&[], &[]).unwrap(), None);
        assert_eq!(pearson(&[1.0], &[2.0]).unwrap(), None);
        assert_eq!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]).unwrap(), None);
        assert_eq!(spearman(&[1.0, 2.0], &[7.0, 7.0]).unwrap(), None);
        assert_eq!(pearson(&[f64::INFINITY, 0.0], &[1.0, 2.0]).unwrap(), None);
    }

    #[test]
    fn absolute_error_by_hand() {
        let error = absolute_error(&[0.5, 1.0, 0.0], &[0.0, 1.0, 1.0]).unwrap().unwrap();
        close(Some(error.mean), 0.5);
        close(Some(error.std), (1.0_f64 / 6.0).sqrt());
        assert_eq!(absolute_error(&[], &[]).unwrap(), None);
    }

    #[test]
    fn wrong_input_is_named() {
        assert_eq!(
            pearson(&[1.0], &[]).unwrap_err().to_string(),
            "1 values against 0; both must be equally many"
        );
        let error = spearman(&[1.0, 2.0], &[0.0, f64::NAN]).unwrap_err();
        assert_eq!(error, MetricError::Nan { what: "second value", index: 1 });
        assert!(absolute_error(&[f64::NAN], &[0.0]).is_err());
    }

    proptest! {
        #[test]
        fn symmetric_bounded_and_blind_to_scale(
            pairs in prop::collection::vec((-100i32..100, -100i32..100), 2..60), scale in 1i32..9, shift in -9i32..9,
        ) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).unzip();
            let moved: Vec<f64> = x.iter().map(|x| x * f64::from(scale) + f64::from(shift)).collect();
            let negated: Vec<f64> = x.iter().map(|x| -x).collect();
            for measure in [pearson, spearman] {
                let value = measure(&x, &y).unwrap();
                prop_assert_eq!(value, measure(&y, &x).unwrap());
                if let Some(value) = value {
                    prop_assert!((-1.0..=1.0).contains(&value));
                    prop_assert!((measure(&moved, &y).unwrap().unwrap() - value).abs() < 1e-9);
                    prop_assert!((measure(&negated, &y).unwrap().unwrap() + value).abs() < 1e-9);
                }
            }
        }

        #[test]
        fn spearman_sees_only_the_order(pairs in prop::collection::vec((-20i32..20, -20i32..20), 2..60)) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).unzip();
            let cubed: Vec<f64> = x.iter().map(|x| x.powi(3)).collect();
            prop_assert_eq!(spearman(&x, &y).unwrap(), spearman(&cubed, &y).unwrap());
        }
    }
}
