//! How well a score puts positives above negatives: AUROC, average precision, FPR at a recall.

use rayon::slice::ParallelSliceMut;

use super::{MetricError, same_length};

/// The recall at which false positive rates are compared.
pub(crate) const RECALL: f64 = 0.95;

/// What is at or above one distinct score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub true_positives: u64,
    pub false_positives: u64,
}

/// A threshold on the curves of precision against recall, and of recall against false positives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Share of the positives at or above the threshold; the true positive rate.
    pub recall: f64,
    /// Share of positives among the pixels at or above the threshold.
    pub precision: f64,
    /// Share of the negatives at or above the threshold; the false positive rate.
    pub fpr: f64,
}

/// Scores with their truth, sorted once in O(n log n); every metric then is a walk over the
/// distinct scores.
///
/// Equal scores are never told apart: they are above a threshold together or not at all.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// From the highest score to the lowest; the last holds everything.
    steps: Vec<Step>,
}

impl Ranking {
    /// Ranks `scores`, of which `positive` says what should be high. Infinite scores are fine, NaN
    /// is an error.
    pub fn new<S: Score>(scores: &[S], positive: &[bool]) -> Result<Self, MetricError> {
        same_length("scores and truths", scores.len(), positive.len())?;
        if let Some(index) = scores.iter().position(|score| score.is_nan()) {
            return Err(MetricError::Nan { what: "score", index });
        }
        let mut keys: Vec<S::Key> =
            scores.iter().zip(positive).map(|(&score, &positive)| score.key(positive)).collect();
        keys.par_sort_unstable();
        let mut steps = Vec::new();
        let mut step = Step::default();
        let mut rest = keys.into_iter().rev().map(Into::<u128>::into).peekable();
        while let Some(key) = rest.next() {
            if key & 1 == 1 {
                step.true_positives += 1;
            } else {
                step.false_positives += 1;
            }
            if rest.peek().is_none_or(|next| next >> 1 != key >> 1) {
                steps.push(step);
            }
        }
        Ok(Self { steps })
    }

    /// From groups of equal scores, the highest first: the positives and negatives of each.
    pub(crate) fn of_groups(groups: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut step = Step::default();
        let steps = groups.filter(|&(positives, negatives)| positives + negatives > 0).map(|group| {
            step.true_positives += group.0;
            step.false_positives += group.1;
            step
        });
        Self { steps: steps.collect() }
    }

    /// For each distinct score, from the highest: what is at or above it.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Points of both curves, from the highest threshold to the lowest: recall, precision and false
    /// positive rate, at most some `most` of them, evenly spread. Empty without positives or negatives.
    pub(crate) fn curve(&self, most: usize) -> Vec<CurvePoint> {
        let (positives, negatives) = (self.positives() as f64, self.negatives() as f64);
        if positives == 0. || negatives == 0. {
            return Vec::new();
        }
        let cell = |step: &Step| {
            let along = step.true_positives as f64 / positives + step.false_positives as f64 / negatives;
            (along * most as f64 / 2.) as u64
        };
        // The last of those that fall together.
        let kept = self.steps.chunk_by(|a, b| cell(a) == cell(b)).filter_map(<[Step]>::last);
        let point = |step: &Step| {
            let (hits, misses) = (step.true_positives as f64, step.false_positives as f64);
            CurvePoint {
                recall: hits / positives,
                precision: hits / (hits + misses),
                fpr: misses / negatives,
            }
        };
        kept.map(point).collect()
    }

    /// The same scores with the other side wanted: what was negative is positive and should score
    /// low. From errors positive to successes positive.
    pub(crate) fn reversed(&self) -> Self {
        let (positives, negatives) = (self.positives(), self.negatives());
        let above = std::iter::once(Step::default()).chain(self.steps.iter().copied());
        // What is at or below a score is all but what is above it.
        let below = |step: Step| Step {
            true_positives: negatives - step.false_positives,
            false_positives: positives - step.true_positives,
        };
        let mut steps: Vec<Step> = above.take(self.steps.len()).map(below).collect();
        steps.reverse();
        Self { steps }
    }

    /// Number of positives.
    pub fn positives(&self) -> u64 {
        self.steps.last().map_or(0, |all| all.true_positives)
    }

    /// Number of negatives.
    pub fn negatives(&self) -> u64 {
        self.steps.last().map_or(0, |all| all.false_positives)
    }

    /// Area under the ROC curve by the trapezoid rule: the chance that a positive scores higher
    /// than a negative, ties counting half. `None` without positives or without negatives.
    pub fn auroc(&self) -> Option<f64> {
        let area = |(before, after): (&Step, &Step)| {
            let width = u128::from(after.false_positives - before.false_positives);
            width * u128::from(after.true_positives + before.true_positives)
        };
        let start = Step::default();
        let before = std::iter::once(&start).chain(&self.steps);
        let doubled: u128 = before.zip(&self.steps).map(area).sum();
        let pairs = 2.0 * self.positives() as f64 * self.negatives() as f64;
        (pairs > 0.0).then(|| doubled as f64 / pairs)
    }

    /// Average precision: the sum over distinct scores of the precision there times the recall
    /// gained there (scikit-learn's `average_precision_score`; no interpolation). 1 if all are
    /// positive, `None` without positives.
    pub fn average_precision(&self) -> Option<f64> {
        let positives = self.positives();
        if positives == 0 {
            return None;
        }
        let mut found = 0;
        let mut sum = 0.0;
        for step in &self.steps {
            let gained = step.true_positives - found;
            found = step.true_positives;
            let precision = found as f64 / (found + step.false_positives) as f64;
            sum += gained as f64 / positives as f64 * precision;
        }
        Some(sum)
    }

    /// False positive rate at the highest threshold whose recall is at least `recall`. `None`
    /// without positives or without negatives.
    pub(crate) fn fpr_at_recall(&self, recall: f64) -> Option<f64> {
        let at = self.steps.iter().find(|step| self.recall(step) >= recall)?;
        self.fpr(at)
    }

    /// False positive rate at the threshold whose recall is nearest to `recall`, the lowest threshold
    /// of equally near ones (as the code released with SynthCP does). The recall there may be below
    /// what was asked for. `None` without positives or without negatives.
    pub(crate) fn fpr_at_nearest_recall(&self, recall: f64) -> Option<f64> {
        let full = self.steps.iter().position(|step| step.true_positives == self.positives())?;
        let distance = |step: &Step| (self.recall(step) - recall).abs();
        // From the full recall down; `min_by` keeps the first of equals.
        let nearest = self.steps[..=full].iter().rev().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
        self.fpr(nearest)
    }

    fn recall(&self, step: &Step) -> f64 {
        step.true_positives as f64 / self.positives() as f64
    }

    fn fpr(&self, step: &Step) -> Option<f64> {
        let defined = self.positives() > 0 && self.negatives() > 0;
        defined.then(|| step.false_positives as f64 / self.negatives() as f64)
    }
}

/// A score: a float of either width, so that those of the wider one lose no difference.
pub trait Score: Copy {
    /// An integer that sorts as the score does, with the truth in its lowest bit. Half the memory of
    /// sorting indices, which counts when all pixels of a data set are ranked at once.
    type Key: Copy + Ord + Send + Into<u128>;

    /// The key of a score that is not NaN.
    fn key(self, positive: bool) -> Self::Key;

    /// Whether it is not a number.
    fn is_nan(self) -> bool;
}

impl Score for f32 {
    type Key = u64;

    fn key(self, positive: bool) -> u64 {
        u64::from(ordered(self)) << 1 | u64::from(positive)
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

impl Score for f64 {
    type Key = u128;

    fn key(self, positive: bool) -> u128 {
        // + 0.0 makes the two zeros one.
        let bits = (self + 0.0).to_bits();
        let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        u128::from(ordered) << 1 | u128::from(positive)
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

/// The bits of a float, so turned that they sort as it does.
pub(super) fn ordered(score: f32) -> u32 {
    // + 0.0 makes the two zeros one.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests;
