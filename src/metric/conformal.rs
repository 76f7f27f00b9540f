//! Conformal risk control: the limit that keeps an expected loss, from finitely many exchangeable units.
//!
//! Angelopoulos, Bates, Fisch, Lei, Schuster, "Conformal Risk Control" (2022), Theorem 1: let the losses of n + 1
//! exchangeable units lie in \[0, 1\] and fall as the limit grows more cautious, down to 0. The least cautious
//! limit at which n / (n + 1) times the mean loss of n of them, plus 1 / (n + 1), is at most alpha has an expected
//! loss of at most alpha on the other one. The expectation is over both: the units that choose and the next one.

/// Rounding of sums of losses must not cost a limit that is reached exactly.
const ROUNDING: f64 = 1e-9;

/// The limit that was chosen, and what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The limit.
    pub limit: f32,
    /// Upper bound of the expected loss: n / (n + 1) times the mean loss, plus 1 / (n + 1).
    pub bound: f64,
    /// Units that chose it.
    pub units: usize,
}

/// No limit keeps the rate.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoLimit {
    /// Even units without any loss would be too few.
    #[error("{found} are there; a rate of {rate} needs at least {needed}")]
    TooFew {
        /// The rate.
        rate: f64,
        /// How many units there are.
        found: usize,
        /// How many would do.
        needed: usize,
    },
    /// The most cautious limit loses too much.
    #[error("even the most cautious limit loses {bound:.4} on these {units}; a rate of {rate} is less")]
    Beyond {
        /// The rate.
        rate: f64,
        /// The bound there.
        bound: f64,
        /// How many units there are.
        units: usize,
    },
}

/// The bound of the expected loss of a further unit that `losses` give, each in \[0, 1\]; 1 of none.
pub fn bound(losses: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = losses.into_iter().fold((0., 0_usize), |(sum, count), loss| (sum + loss, count + 1));
    (sum + 1.) / (count as f64 + 1.)
}

/// Units without which no limit keeps `rate`: the fewest whose 1 / (n + 1) is not above it.
pub fn needed(rate: f64) -> usize {
    ((1. / rate - ROUNDING).ceil() as usize).saturating_sub(1)
}

/// The first of `limits`, which go from the least to the most cautious, at which the bound is at most `rate`;
/// `losses` gives the loss of each of the `units` at a limit.
pub fn choose<I: IntoIterator<Item = f64>>(
    limits: &[f32],
    units: usize,
    rate: f64,
    losses: impl Fn(f32) -> I,
) -> Result<Chosen, NoLimit> {
    let needed = needed(rate);
    if units < needed {
        return Err(NoLimit::TooFew { rate, found: units, needed });
    }
    let exceeds = |limit: f32| bound(losses(limit)) > rate + ROUNDING;
    let first = limits.partition_point(|&limit| exceeds(limit));
    match limits.get(first) {
        Some(&limit) => Ok(Chosen { limit, bound: bound(losses(limit)), units }),
        None => {
            let bound = limits.last().map_or(1., |&limit| bound(losses(limit)));
            Err(NoLimit::Beyond { rate, bound, units })
        }
    }
}

/// A value that one more of these (exchangeable, finite) values exceeds with a probability of at most `rate`; `None`
/// where they are too few for one.
pub fn upper_limit(values: &[f32], rate: f64) -> Option<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let rank = ((sorted.len() as f64 + 1.) * (1. - rate) - ROUNDING).ceil().max(1.) as usize;
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bound_is_the_corrected_mean() {
        assert_eq!(bound([]), 1.);
        assert!((bound([0.25; 3]) - (3. / 4. * 0.25 + 1. / 4.)).abs() < 1e-12);
    }

    #[test]
    fn a_rate_needs_as_many_units_as_make_one_loss_no_more_than_it() {
        for (rate, units) in [(0.5, 1), (0.1, 9), (0.05, 19), (0.01, 99), (0.3, 3)] {
            assert_eq!(needed(rate), units, "{rate}");
            assert!(1. / (units as f64 + 1.) <= rate + 1e-12 && 1. / units as f64 > rate, "{rate}");
        }
        let none = |_: f32| std::iter::repeat_n(0., 18);
        assert_eq!(
            choose(&[1., 0.], 18, 0.05, none).unwrap_err().to_string(),
            "18 are there; a rate of 0.05 needs at least 19"
        );
        assert!(choose(&[1., 0.], 19, 0.05, |_| std::iter::repeat_n(0., 19)).is_ok());
    }

    #[test]
    fn a_loss_that_no_limit_removes_is_refused() {
        let error = choose(&[1., 0.], 3, 0.3, |_| [0.5; 3]).unwrap_err();
        assert_eq!(error, NoLimit::Beyond { rate: 0.3, bound: 0.625, units: 3 });
    }

    #[test]
    fn the_least_cautious_limit_that_keeps_the_rate_is_chosen() {
        // Scores of failing frames; one is missed where its score is below the limit.
        let scores: Vec<f32> = (1..=19).map(|i| i as f32 / 20.).collect();
        let missed = |limit: f32| scores.clone().into_iter().map(move |score| f64::from(score < limit));
        let limits: Vec<f32> = scores.iter().rev().copied().chain([0.]).collect();
        let chosen = choose(&limits, 19, 0.1, missed).unwrap();
        assert_eq!((chosen.limit, chosen.units), (0.1, 19));
        assert!((chosen.bound - 0.1).abs() < 1e-12);
    }

    proptest! {
        /// The theorem itself: whichever of n + 1 units comes last, on average over which it is, its loss at the
        /// limit that the others chose is at most the rate.
        #[test]
        fn on_average_over_which_unit_comes_next_the_rate_is_kept(
            units in prop::collection::vec(prop::collection::vec(0u8..20, 1..6), 4..30),
            rate in 0.2f64..0.6,
        ) {
            let loss = |unit: &Vec<u8>, limit: f32| {
                unit.iter().filter(|&&score| f32::from(score) < limit).count() as f64 / unit.len() as f64
            };
            let limits: Vec<f32> = (0..=20).rev().map(|limit| limit as f32).collect();
            let mut sum = 0.;
            for next in 0..units.len() {
                let others: Vec<&Vec<u8>> =
                    units.iter().enumerate().filter(|&(i, _)| i != next).map(|(_, unit)| unit).collect();
                sum += match choose(&limits, others.len(), rate, |limit| {
                    others.iter().map(|unit| loss(unit, limit)).collect::<Vec<_>>()
                }) {
                    Ok(chosen) => loss(&units[next], chosen.limit),
                    Err(NoLimit::TooFew { needed, found, .. }) => {
                        prop_assert!(found < needed);
                        0.
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                };
            }
            prop_assert!(sum / units.len() as f64 <= rate + 1e-9);
        }

        #[test]
        fn a_stricter_rate_is_never_less_cautious(scores in prop::collection::vec(0u8..50, 20..60)) {
            let missed = |limit: f32| scores.iter().map(move |&s| f64::from(f32::from(s) < limit)).collect::<Vec<_>>();
            let limits: Vec<f32> = (0..=50).rev().map(|limit| limit as f32).collect();
            let at = |rate| choose(&limits, scores.len(), rate, missed).unwrap();
            let (strict, lax) = (at(0.06), at(0.3));
            prop_assert!(strict.limit <= lax.limit && strict.bound <= 0.06 + 1e-9 && lax.bound <= 0.3 + 1e-9);
        }

        /// Of n + 1 values that differ, at most the rate exceed the limit that the others give.
        #[test]
        fn one_more_value_exceeds_the_upper_limit_at_most_at_the_rate(
            values in prop::collection::hash_set(0u16..1000, 6..40), rate in 0.15f64..0.5,
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut above = 0;
            for next in 0..values.len() {
                let mut others = values.clone();
                let value = others.remove(next);
                above += usize::from(upper_limit(&others, rate).is_some_and(|limit| value > limit));
            }
            prop_assert!(above as f64 <= rate * values.len() as f64 + 1e-9);
            prop_assert_eq!(upper_limit(&values[..1], 0.4), None);
        }
    }
}
