//! Risk against coverage: how bad are those that are kept, when the most doubtful are given up?
//!
//! At coverage k / n the k least doubtful of n are kept, and their mean risk is the selective risk. AURC is its
//! mean over k = 1, ..., n (Geifman and El-Yaniv, NeurIPS 2017), E-AURC what it exceeds that of the best order
//! by (Geifman, Uziel and El-Yaniv, ICLR 2019), here of the best order itself and not of its approximation.
//! Equal scores are in no order: each has the mean risk of them all, which is the mean over all orders.

use serde::Serialize;

use super::ranking::{Ranking, Step};
use super::{MetricError, same_length};

/// Area under the curve of risk against coverage; lower is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RiskCoverage {
    /// AURC.
    pub area: f64,
    /// E-AURC.
    pub excess: f64,
}

impl RiskCoverage {
    /// Of a ranking whose positives are errors. `None` of nothing.
    pub(crate) fn of(ranking: &Ranking) -> Option<Self> {
        let start = Step::default();
        let below = std::iter::once(&start).chain(ranking.steps());
        let groups: Vec<(u64, u64)> = below
            .zip(ranking.steps())
            .map(|(above, step)| {
                let errors = step.true_positives - above.true_positives;
                (errors + step.false_positives - above.false_positives, errors)
            })
            .collect();
        let (errors, count) = (ranking.positives(), ranking.positives() + ranking.negatives());
        // From the least doubtful on, and with all errors last.
        let area = area(groups.into_iter().rev().map(|(count, errors)| (count, errors as f64)))?;
        let best = [(count - errors, 0.), (errors, errors as f64)];
        Some(Self { area, excess: area - self::area(best.into_iter())? })
    }

    /// Of doubts and risks of any size: of images, say. `None` of nothing.
    pub(crate) fn of_risks(doubts: &[f64], risks: &[f64]) -> Result<Option<Self>, MetricError> {
        same_length("doubts and risks", doubts.len(), risks.len())?;
        for (what, values) in [("doubt", doubts), ("risk", risks)] {
            if let Some(index) = values.iter().position(|value| value.is_nan()) {
                return Err(MetricError::Nan { what, index });
            }
        }
        let by = |keys: &[f64]| {
            let mut order: Vec<usize> = (0..keys.len()).collect();
            order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
            let group = |equals: &[usize]| (equals.len() as u64, equals.iter().map(|&i| risks[i]).sum());
            area(order.chunk_by(|&a, &b| keys[a] == keys[b]).map(group))
        };
        let areas = by(doubts).zip(by(risks));
        Ok(areas.map(|(area, best)| Self { area, excess: area - best }))
    }
}

/// Mean selective risk of groups of equal doubt, the least doubtful first: how many, and their risks' sum.
fn area(groups: impl Iterator<Item = (u64, f64)>) -> Option<f64> {
    let (mut kept, mut risk, mut sum) = (0_u64, 0., 0.);
    for (count, of_group) in groups.filter(|(count, _)| *count > 0) {
        // With i of the group: (risk + i m) / (kept + i), which is m + (risk - kept m) / (kept + i).
        let mean = of_group / count as f64;
        sum += of_group + (risk - kept as f64 * mean) * harmonic(kept, kept + count);
        kept += count;
        risk += of_group;
    }
    (kept > 0).then(|| sum / kept as f64)
}

/// The sum of 1 / i over `low` < i <= `high`.
fn harmonic(low: u64, high: u64) -> f64 {
    const FEW: u64 = 64;
    if high - low <= FEW {
        return (low + 1..=high).map(|i| 1. / i as f64).sum();
    }
    // Euler and Maclaurin; the first term left out is below 1e-13.
    let from_few = |n: u64| {
        let n = n as f64;
        n.ln() + 0.5 / n - 1. / (12. * n.powi(2)) + 1. / (120. * n.powi(4))
    };
    let first = low.max(FEW);
    (low + 1..=first).map(|i| 1. / i as f64).sum::<f64>() + from_few(high) - from_few(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
    }

    fn of(doubts: &[f32], errors: &[bool]) -> RiskCoverage {
        RiskCoverage::of(&Ranking::new(doubts, errors).unwrap()).unwrap()
    }

    #[test]
    fn by_hand() {
        // Selective risks 0, 0, 1/3; no order is better.
        let good = of(&[0.2, 0.3, 0.4], &[false, false, true]);
        close(good.area, 1. / 9.);
        close(good.excess, 0.);
        // Of the same three, torch-uncertainty 0.13's AURC is 0.0833: it joins the risks by trapezoids and
        // stretches the axis, which leaves out half of the first and of the last.
        close((3. * good.area - (0. + 1. / 3.) / 2.) / 2., 0.083_333_333_333_333);
        // Selective risks 1, 1/2, 1/3.
        close(of(&[0.5, 0.3, 0.4], &[false, true, false]).area, 11. / 18.);
    }

    #[test]
    fn of_nothing_there_is_none_and_without_errors_no_risk() {
        assert_eq!(RiskCoverage::of(&Ranking::new::<f32>(&[], &[]).unwrap()), None);
        assert_eq!(of(&[0.1, 0.2], &[false, false]), RiskCoverage { area: 0., excess: 0. });
        assert_eq!(of(&[0.1, 0.2], &[true, true]), RiskCoverage { area: 1., excess: 0. });
        assert_eq!(RiskCoverage::of_risks(&[], &[]).unwrap(), None);
        assert!(RiskCoverage::of_risks(&[f64::NAN], &[0.]).is_err());
    }

    #[test]
    fn many_equal_scores_are_counted_as_one_by_one() {
        let slow = |low: u64, high: u64| (low + 1..=high).map(|i| 1. / i as f64).sum::<f64>();
        for (low, high) in [(0, 64), (0, 65), (3, 5000), (63, 200), (64, 200), (1000, 1070), (9, 1_000_000)] {
            assert!((harmonic(low, high) - slow(low, high)).abs() < 1e-12, "{low} {high}");
        }
    }

    /// The mean over all orders of equal scores, by trying each.
    fn brute(doubts: &[u8], errors: &[bool]) -> f64 {
        fn orders(rest: &[usize]) -> Vec<Vec<usize>> {
            if rest.is_empty() {
                return vec![Vec::new()];
            }
            let with = |(place, &first): (usize, &usize)| {
                let others: Vec<usize> = [&rest[..place], &rest[place + 1..]].concat();
                orders(&others).into_iter().map(move |tail| [vec![first], tail].concat())
            };
            rest.iter().enumerate().flat_map(with).collect()
        }
        let all = orders(&(0..doubts.len()).collect::<Vec<_>>());
        let sorted: Vec<_> = all.iter().filter(|order| order.is_sorted_by_key(|&i| doubts[i])).collect();
        let area = |order: &&Vec<usize>| {
            let wrong = |k: usize| order[..k].iter().filter(|&&i| errors[i]).count() as f64 / k as f64;
            (1..=order.len()).map(wrong).sum::<f64>() / order.len() as f64
        };
        sorted.iter().map(area).sum::<f64>() / sorted.len() as f64
    }

    proptest! {
        #[test]
        fn equals_the_mean_over_all_orders_of_equal_scores(
            pairs in prop::collection::vec((0u8..3, any::<bool>()), 1..7),
        ) {
            let (doubts, errors): (Vec<u8>, Vec<bool>) = pairs.into_iter().unzip();
            let scores: Vec<f32> = doubts.iter().map(|&d| f32::from(d)).collect();
            let found = of(&scores, &errors);
            prop_assert!((found.area - brute(&doubts, &errors)).abs() < 1e-12);
            let best: Vec<u8> = errors.iter().map(|&e| u8::from(e)).collect();
            prop_assert!((found.area - found.excess - brute(&best, &errors)).abs() < 1e-12);
            prop_assert!(found.excess > -1e-12);
            // Risks of 0 and 1 are errors.
            let [doubts, risks] = [&doubts, &best].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            let general = RiskCoverage::of_risks(&doubts, &risks).unwrap().unwrap();
            prop_assert!((general.area - found.area).abs() < 1e-12);
            prop_assert!((general.excess - found.excess).abs() < 1e-12);
        }
    }
}
