//! How far a difference is chance: drives drawn with replacement, the same for both results.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::figure::{Figure, Sums};

/// Drawings.
const DRAWN: usize = 2000;

/// The middle 95 % of what was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub least: f64,
    /// Its upper end.
    pub most: f64,
}

/// The values of A and B, and their difference.
pub(super) type Found = ([Option<f64>; 2], Option<(f64, Interval)>);

/// Values and differences of all figures. The seed is fixed: the same results compare the same.
pub(super) fn intervals(figures: &[Figure], units: &[[Sums; 2]]) -> Vec<Found> {
    let summed = |places: &mut dyn Iterator<Item = usize>| {
        let mut sums = [Sums::of(figures), Sums::of(figures)];
        for place in places {
            sums.iter_mut().zip(&units[place]).for_each(|(sum, unit)| sum.merge(unit));
        }
        sums.map(|sums| sums.values(figures))
    };
    let less = |[a, b]: [Option<f64>; 2]| Some(b? - a?);
    let [a, b] = summed(&mut (0..units.len()));
    let mut drawn = vec![Vec::with_capacity(DRAWN); figures.len()];
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..DRAWN {
        let [a, b] = summed(&mut (0..units.len()).map(|_| random.random_range(0..units.len())));
        for (drawn, pair) in drawn.iter_mut().zip(a.into_iter().zip(b)) {
            drawn.extend(less(pair.into()));
        }
    }
    let found = |((a, b), mut drawn): ((Option<f64>, Option<f64>), Vec<f64>)| {
        drawn.sort_by(f64::total_cmp);
        let at =
            |share: f64| drawn.get((share * drawn.len().saturating_sub(1) as f64).round() as usize).copied();
        let interval = at(0.025).zip(at(0.975)).map(|(least, most)| Interval { least, most });
        ([a, b], less([a, b]).zip(interval))
    };
    a.into_iter().zip(b).zip(drawn).map(found).collect()
}
