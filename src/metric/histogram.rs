//! Figures in constant memory: scores counted in the bins of a fixed fine histogram.
//!
//! A bin holds the scores whose sign, exponent and first `MANTISSA` bits of the mantissa agree: a
//! monotone transform, near to the logarithm, that needs no range. It is fine where scores pile up,
//! next to 0, and resolves every score to 0.2 %. Counts of images, bags and machines are summed in any
//! order. Only the order within a bin is lost, so that bounds follow from the counts alone.

use serde::Serialize;

use super::pixel::{Figures, TwoSided};
use super::ranking::{RECALL, Ranking, Step, ordered};
use super::{MetricError, same_length};

/// Bits of the mantissa that are kept.
pub(crate) const MANTISSA: u32 = 9;
/// Bins: of one bit of sign, eight of exponent and those of the mantissa.
const BINS: usize = 1 << (9 + MANTISSA);

/// Positives and negatives by score; always 4 MB.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Of each bin from the lowest score on: negatives, positives.
    bins: Vec<[u64; 2]>,
}

/// Figures and the least and most that they can be, given the counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounded {
    /// The bins' own figures: scores of a bin count as equal.
    pub value: TwoSided,
    /// No figure of the scores themselves is below this.
    pub least: TwoSided,
    /// None is above this.
    pub most: TwoSided,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![[0; 2]; BINS] }
    }
}

fn bin(score: f32) -> usize {
    (ordered(score) >> (32 - 9 - MANTISSA)) as usize
}

impl Histogram {
    /// Counts pixels. Infinite scores are fine, NaN is an error and nothing is counted.
    pub fn add(&mut self, scores: &[f32], positive: &[bool]) -> Result<(), MetricError> {
        same_length("scores and truths", scores.len(), positive.len())?;
        if let Some(index) = scores.iter().position(|score| score.is_nan()) {
            return Err(MetricError::Nan { what: "score", index });
        }
        for (&score, &positive) in scores.iter().zip(positive) {
            self.bins[bin(score)][usize::from(positive)] += 1;
        }
        Ok(())
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, other) in self.bins.iter_mut().flatten().zip(other.bins.iter().flatten()) {
            *count += other;
        }
    }

    /// The bins as distinct scores, the highest first.
    pub fn ranking(&self) -> Ranking {
        Ranking::of_groups(self.bins.iter().rev().map(|&[negatives, positives]| (positives, negatives)))
    }

    /// The figures, and how far from them those of the scores themselves can be.
    pub fn figures(&self) -> Bounded {
        let ranking = self.ranking();
        let reversed = ranking.reversed();
        let [least, most] = bounds(&ranking);
        let [least_reversed, most_reversed] = bounds(&reversed);
        Bounded {
            value: TwoSided { positive: Figures::of(&ranking), negative: Figures::of(&reversed) },
            least: TwoSided { positive: least, negative: least_reversed },
            most: TwoSided { positive: most, negative: most_reversed },
        }
    }

    /// The lowest bin edge that at most a share `above` of the negatives reach; infinite without
    /// negatives.
    pub fn threshold(&self, above: f64) -> f32 {
        let negatives: u64 = self.bins.iter().map(|bin| bin[0]).sum();
        let allowed = (negatives as f64 * above).floor() as u64;
        let mut reached = 0;
        for (place, [count, _]) in self.bins.iter().enumerate().rev() {
            reached += count;
            if reached > allowed {
                return edge(place + 1);
            }
        }
        f32::INFINITY
    }
}

impl Bounded {
    /// The largest distance of a figure to its bounds.
    pub fn error(&self) -> f64 {
        let sides = |of: fn(&TwoSided) -> Figures| [of(&self.value), of(&self.least), of(&self.most)];
        [sides(|s| s.positive), sides(|s| s.negative)]
            .iter()
            .flat_map(|[value, least, most]| {
                let triples = value.values().into_iter().zip(least.values()).zip(most.values());
                triples.filter_map(|((value, least), most)| Some((most? - value?).max(value? - least?)))
            })
            .fold(0., f64::max)
    }
}

/// The lowest score of a bin.
fn edge(place: usize) -> f32 {
    let ordered = (place as u64) << (32 - 9 - MANTISSA);
    let Ok(ordered) = u32::try_from(ordered) else { return f32::INFINITY };
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    let score = f32::from_bits(bits);
    if score.is_nan() { f32::INFINITY.copysign(score) } else { score }
}

/// The least and the most that the figures of scores can be that fall into these groups.
fn bounds(ranking: &Ranking) -> [Figures; 2] {
    let of = |figures: [Option<(f64, f64)>; 4]| {
        let side = |pick: fn((f64, f64)) -> f64| Figures::from_values(figures.map(|f| f.map(pick)));
        [side(|f| f.0), side(|f| f.1)]
    };
    of([average_precision(ranking), auroc(ranking), fpr_first(ranking), fpr_nearest(ranking)])
}

/// Each group with what is above it.
fn groups(ranking: &Ranking) -> impl Iterator<Item = (Step, Step)> {
    let above = std::iter::once(Step::default()).chain(ranking.steps().iter().copied());
    above.zip(ranking.steps().iter().copied())
}

/// At most, a group's positives all lie above its negatives, at one score; at least, each has a score
/// of its own below all of them. The sum of the latter's precisions is at least the integral.
fn average_precision(ranking: &Ranking) -> Option<(f64, f64)> {
    let positives = ranking.positives() as f64;
    let (mut least, mut most) = (0., 0.);
    for (above, step) in groups(ranking) {
        let found = step.true_positives as f64;
        let gained = (step.true_positives - above.true_positives) as f64;
        if gained > 0. {
            let false_positives = step.false_positives as f64;
            let before = above.true_positives as f64 + false_positives;
            let lost = if false_positives > 0. { false_positives * (gained / before).ln_1p() } else { 0. };
            least += gained - lost;
            most += gained * found / (found + above.false_positives as f64);
        }
    }
    (positives > 0.).then(|| (least / positives, most / positives))
}

/// Pairs within a group are won, lost or tied: each counts half, give or take a half.
fn auroc(ranking: &Ranking) -> Option<(f64, f64)> {
    let value = ranking.auroc()?;
    let within: f64 = groups(ranking)
        .map(|(above, step)| {
            let positives = (step.true_positives - above.true_positives) as f64;
            positives * (step.false_positives - above.false_positives) as f64
        })
        .sum();
    let half = within / 2. / ranking.positives() as f64 / ranking.negatives() as f64;
    Some((value - half, value + half))
}

/// The threshold lies in the group where the recall is reached.
fn fpr_first(ranking: &Ranking) -> Option<(f64, f64)> {
    let (above, step) = reaching(ranking)?;
    Some((share(ranking, above), share(ranking, step)))
}

/// So does the nearest, if it does not lie at one of the group's ends; and of thresholds of one recall
/// the lowest counts, down to the next positive.
fn fpr_nearest(ranking: &Ranking) -> Option<(f64, f64)> {
    let (above, step) = reaching(ranking)?;
    let all = step.true_positives == ranking.positives();
    let next = ranking.steps().iter().find(|next| next.true_positives > step.true_positives);
    let last = if all { step } else { next.copied().unwrap_or(step) };
    Some((share(ranking, above), share(ranking, last)))
}

/// The group at which [`RECALL`] is reached, and what is above it.
fn reaching(ranking: &Ranking) -> Option<(Step, Step)> {
    let positives = ranking.positives() as f64;
    let defined = positives > 0. && ranking.negatives() > 0;
    groups(ranking).find(|(_, step)| defined && step.true_positives as f64 / positives >= RECALL)
}

fn share(ranking: &Ranking, step: Step) -> f64 {
    step.false_positives as f64 / ranking.negatives() as f64
}

#[cfg(test)]
mod tests;
