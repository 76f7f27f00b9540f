//! Confusion counts, and IoU and accuracy from them.

use super::{MetricError, same_length};
use crate::labels::IGNORE;

/// How many pixels of each class were predicted as which.
///
/// Pixels labelled `IGNORE` are not counted at all. A prediction of `IGNORE` on a labelled
/// pixel is a miss: it counts for the label's class and for no class as a prediction. Counts are
/// integers and add up in any order, so those of images, bags and machines can be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `classes` rows by label, of `classes + 1` predictions; the last is [`IGNORE`].
    counts: Vec<u64>,
}

impl Confusion {
    /// Nothing counted yet, for `classes` classes (at most 255).
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * (classes + 1)] }
    }

    /// Counts the pixels of one image.
    pub fn of(predictions: &[u8], labels: &[u8], classes: usize) -> Result<Self, MetricError> {
        same_length("predictions and labels", predictions.len(), labels.len())?;
        let mut out = Self::new(classes);
        for (index, (&prediction, &label)) in predictions.iter().zip(labels).enumerate() {
            if label == IGNORE {
                continue;
            }
            if usize::from(label) >= classes {
                return Err(MetricError::Id { what: "label", id: label, index, classes });
            }
            let column = if prediction == IGNORE { classes } else { usize::from(prediction) };
            if column > classes || (column == classes && prediction != IGNORE) {
                return Err(MetricError::Id { what: "prediction", id: prediction, index, classes });
            }
            out.counts[usize::from(label) * (classes + 1) + column] += 1;
        }
        Ok(out)
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricError> {
        same_length("classes", self.classes, other.classes)?;
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
        Ok(())
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels labelled `label` and predicted as `prediction`; both below [`classes`](Self::classes).
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        self.row(label)[prediction]
    }

    /// Pixels labelled `class`.
    pub fn labelled(&self, class: usize) -> u64 {
        self.row(class).iter().sum()
    }

    /// Labelled pixels predicted as `class`.
    pub(crate) fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|label| self.count(label, class)).sum()
    }

    /// Labelled pixels.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Intersection over union of `class`, in \[0, 1\]; `None` where it is neither labelled nor
    /// predicted.
    pub(crate) fn class_iou(&self, class: usize) -> Option<f64> {
        let hits = self.count(class, class);
        ratio(hits, self.labelled(class) + self.predicted(class) - hits)
    }

    /// Intersection over union of each class.
    pub fn iou(&self) -> Vec<Option<f64>> {
        (0..self.classes).map(|class| self.class_iou(class)).collect()
    }

    /// Mean of the classes that have an IoU; `None` if none has.
    pub fn mean_iou(&self) -> Option<f64> {
        let present: Vec<f64> = self.iou().into_iter().flatten().collect();
        (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64)
    }

    /// Mean of the classes that are labelled: the mean IoU of an image. `None` if none is.
    pub(crate) fn mean_iou_in_view(&self) -> Option<f64> {
        let labelled = (0..self.classes).filter(|&class| self.labelled(class) > 0);
        let (count, sum) = labelled
            .filter_map(|class| self.class_iou(class))
            .fold((0u32, 0.), |(count, sum), iou| (count + 1, sum + iou));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Share of the labelled pixels that are predicted right; `None` if there are none.
    pub fn accuracy(&self) -> Option<f64> {
        let hits = (0..self.classes).map(|class| self.count(class, class)).sum();
        ratio(hits, self.pixels())
    }

    fn row(&self, label: usize) -> &[u64] {
        &self.counts[label * (self.classes + 1)..][..self.classes + 1]
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counted_by_hand() {
        let labels = [0, 0, 0, 1, 1, 255, 255];
        let predictions = [0, 0, 1, 1, 255, 0, 255];
        let confusion = Confusion::of(&predictions, &labels, 3).unwrap();
        // Class 0: 2 of 3 right, nothing else predicted so. Class 1: 1 hit, 2 labelled, 2 predicted.
        assert_eq!(confusion.iou(), [Some(2.0 / 3.0), Some(1.0 / 3.0), None]);
        assert_eq!(confusion.mean_iou(), Some(0.5));
        assert_eq!(confusion.accuracy(), Some(0.6));
        assert_eq!((confusion.labelled(1), confusion.predicted(1), confusion.pixels()), (2, 2, 5));
        assert_eq!(confusion.count(0, 1), 1);
    }

    #[test]
    fn a_class_only_predicted_has_iou_zero() {
        let confusion = Confusion::of(&[1, 1], &[0, 0], 2).unwrap();
        assert_eq!(confusion.iou(), [Some(0.0), Some(0.0)]);
    }

    #[test]
    fn a_class_only_predicted_is_not_in_view() {
        let confusion = Confusion::of(&[0, 1], &[0, 0], 2).unwrap();
        assert_eq!((confusion.mean_iou(), confusion.mean_iou_in_view()), (Some(0.25), Some(0.5)));
        assert_eq!(Confusion::of(&[0], &[255], 2).unwrap().mean_iou_in_view(), None);
    }

    #[test]
    fn nothing_labelled_gives_no_value() {
        let confusion = Confusion::of(&[0, 1], &[255, 255], 2).unwrap();
        assert_eq!((confusion.mean_iou(), confusion.accuracy()), (None, None));
        assert_eq!(confusion.iou(), [None, None]);
    }

    #[test]
    fn wrong_input_is_named() {
        let message = |predictions: &[u8], labels: &[u8]| {
            Confusion::of(predictions, labels, 3).unwrap_err().to_string()
        };
        assert_eq!(message(&[0], &[0, 1]), "1 predictions and labels against 2; both must be equally many");
        assert_eq!(
            message(&[0, 0], &[0, 3]),
            "label 3 at pixel 1; with 3 classes, ids are below that or 255"
        );
        assert!(message(&[3], &[0]).starts_with("prediction 3 at pixel 0"));
        assert!(message(&[200], &[0]).starts_with("prediction 200 at pixel 0"));
        assert!(Confusion::new(2).merge(&Confusion::new(3)).is_err());
    }

    #[test]
    fn all_255_classes_fit() {
        let ids: Vec<u8> = (0..=254).collect();
        assert_eq!(Confusion::of(&ids, &ids, 255).unwrap().mean_iou(), Some(1.0));
    }

    fn id() -> impl Strategy<Value = u8> {
        prop_oneof![0u8..5, Just(IGNORE)]
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole(pairs in prop::collection::vec((id(), id()), 0..300), cut in any::<prop::sample::Index>()) {
            let (predictions, labels): (Vec<u8>, Vec<u8>) = pairs.into_iter().unzip();
            let cut = cut.index(predictions.len() + 1);
            let whole = Confusion::of(&predictions, &labels, 5).unwrap();
            let mut sum = Confusion::of(&predictions[..cut], &labels[..cut], 5).unwrap();
            sum.merge(&Confusion::of(&predictions[cut..], &labels[cut..], 5).unwrap()).unwrap();
            prop_assert_eq!(&sum, &whole);
            for iou in whole.iou().into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&iou));
            }
        }

        #[test]
        fn a_perfect_prediction_scores_one(labels in prop::collection::vec(id(), 1..100)) {
            let confusion = Confusion::of(&labels, &labels, 5).unwrap();
            prop_assert!(confusion.mean_iou().is_none_or(|iou| iou == 1.0));
            prop_assert!(confusion.accuracy().is_none_or(|accuracy| accuracy == 1.0));
        }
    }
}
