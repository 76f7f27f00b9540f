//! The pixel-level figures by name, with one definition each: both definitions that go by the name of
//! FPR95, with errors and with successes as the positives, pooled and per image.

use serde::{Deserialize, Serialize};

use super::MetricError;
use super::ranking::{RECALL, Ranking, Score};

/// The figures of a score for one side; `None` where the definition gives no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// [`Ranking::average_precision`].
    pub average_precision: Option<f64>,
    /// [`Ranking::auroc`].
    pub auroc: Option<f64>,
    /// `Ranking::fpr_at_recall` of `RECALL`.
    pub fpr95_first: Option<f64>,
    /// `Ranking::fpr_at_nearest_recall` of `RECALL`.
    pub fpr95_nearest: Option<f64>,
}

/// Name and definition of each of the [`Figures`], in their order.
pub const DEFINITIONS: [(&str, &str); 4] = [
    ("AP", "average precision: sum over distinct scores of precision times recall gained"),
    ("AUROC", "area under the ROC curve by trapezoids: ties count half"),
    ("FPR95", "false positive rate at the highest threshold with recall >= 0.95"),
    ("FPR95 nearest", "false positive rate where recall is nearest to 0.95"),
];

impl Figures {
    /// Of a ranking.
    pub fn of(ranking: &Ranking) -> Self {
        Self {
            average_precision: ranking.average_precision(),
            auroc: ranking.auroc(),
            fpr95_first: ranking.fpr_at_recall(RECALL),
            fpr95_nearest: ranking.fpr_at_nearest_recall(RECALL),
        }
    }

    /// In the order of [`DEFINITIONS`].
    pub fn values(&self) -> [Option<f64>; DEFINITIONS.len()] {
        [self.average_precision, self.auroc, self.fpr95_first, self.fpr95_nearest]
    }

    pub(super) fn from_values(
        [average_precision, auroc, fpr95_first, fpr95_nearest]: [Option<f64>; 4],
    ) -> Self {
        Self { average_precision, auroc, fpr95_first, fpr95_nearest }
    }
}

/// Figures of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TwoSided {
    /// Positives wanted, and high: errors, or anomalies.
    pub positive: Figures,
    /// Negatives wanted, and low: successes. Its AUROC is the same.
    pub negative: Figures,
}

impl TwoSided {
    /// Of a ranking.
    pub fn of(ranking: &Ranking) -> Self {
        Self { positive: Figures::of(ranking), negative: Figures::of(&ranking.reversed()) }
    }
}

/// Means of the figures of single images, each over the images that have it, in constant memory.
/// Images, bags and machines can be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerImage {
    images: u64,
    without_positives: u64,
    without_negatives: u64,
    /// Sum and count of each figure, positives first.
    sums: [[(f64, u64); DEFINITIONS.len()]; 2],
}

/// The figures of [`PerImage`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerImageFigures {
    /// Images seen.
    pub images: u64,
    /// Of these, images without a positive pixel: they can only give false alarms.
    pub without_positives: u64,
    /// Of these, images without a negative pixel.
    pub without_negatives: u64,
    /// Means over the other images.
    pub mean: TwoSided,
}

impl PerImage {
    /// Adds the counted pixels of one image, and gives its figures.
    pub fn add<S: Score>(&mut self, scores: &[S], positive: &[bool]) -> Result<TwoSided, MetricError> {
        let ranking = Ranking::new(scores, positive)?;
        self.images += 1;
        self.without_positives += u64::from(ranking.positives() == 0);
        self.without_negatives += u64::from(ranking.negatives() == 0);
        let figures = TwoSided::of(&ranking);
        for (sums, side) in self.sums.iter_mut().zip([figures.positive, figures.negative]) {
            for (sum, value) in sums.iter_mut().zip(side.values()) {
                *sum = (sum.0 + value.unwrap_or(0.), sum.1 + u64::from(value.is_some()));
            }
        }
        Ok(figures)
    }

    /// Adds the images of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.images += other.images;
        self.without_positives += other.without_positives;
        self.without_negatives += other.without_negatives;
        for (sum, other) in self.sums.iter_mut().flatten().zip(other.sums.iter().flatten()) {
            *sum = (sum.0 + other.0, sum.1 + other.1);
        }
    }

    /// The means.
    pub fn figures(&self) -> PerImageFigures {
        let mean = |(sum, count): (f64, u64)| (count > 0).then(|| sum / count as f64);
        let [positive, negative] = self.sums.map(|side| Figures::from_values(side.map(mean)));
        PerImageFigures {
            images: self.images,
            without_positives: self.without_positives,
            without_negatives: self.without_negatives,
            mean: TwoSided { positive, negative },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_leave_out_what_has_no_value_and_count_it() {
        let mut all = PerImage::default();
        let mut rest = PerImage::default();
        all.add(&[0.9f32, 0.1], &[true, false]).unwrap();
        rest.add(&[0.1f32, 0.9], &[true, false]).unwrap();
        rest.add(&[0.9f32, 0.1], &[false, false]).unwrap();
        rest.add(&[0.9f32], &[true]).unwrap();
        all.merge(&rest);
        let figures = all.figures();
        assert_eq!((figures.images, figures.without_positives, figures.without_negatives), (4, 1, 1));
        assert_eq!(figures.mean.positive.auroc, Some(0.5));
        // 1, 1/2 and, of positives alone, 1.
        assert_eq!(figures.mean.positive.average_precision, Some(2.5 / 3.));
        assert_eq!(PerImage::default().figures().mean, TwoSided::default());
    }
}
