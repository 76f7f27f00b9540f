//! What keeps the predicted mean IoU of an image from the true one: which classes are in view, or how well each is
//! segmented.

use super::class_map::ClassMap;
use crate::metric::MetricError;
use crate::metric::estimate::Fit;
use crate::metric::segmentation::Confusion;
use crate::monitor::assessment::Report;

/// Share of an image from which a class counts as large.
const LARGE: f64 = 0.002;

/// Estimated and true mean IoU of the images so far, the estimate made in several ways.
#[derive(Clone, Debug, Default)]
pub(super) struct MeanIou {
    known_classes: Vec<(f64, f64)>,
    known_ious: Vec<(f64, f64)>,
    large_classes: Vec<(f64, f64)>,
}

impl MeanIou {
    /// Takes in an image: what the monitor says of it, each of the bundle's classes' share of it, labels against
    /// predictions in the data set's classes, and its true mean IoU.
    pub fn add(
        &mut self,
        (report, shares): (&Report, &[f64]),
        class_map: &ClassMap,
        confusion: &Confusion,
        true_miou: f64,
    ) {
        // What was not segmented has no estimate, and an IoU of 0.
        let mut predicted = vec![0.; shares.len()];
        for class in report.classes.iter().filter(|class| !class.predicted_iou.is_nan()) {
            predicted[usize::from(class.class_id)] = class.predicted_iou;
        }
        let estimate = |class| class_map.estimate(class, &predicted, shares);
        let all = || 0..confusion.classes();
        let total = confusion.pixels() as f64;

        let of_labelled = all().filter(|&class| confusion.labelled(class) > 0).filter_map(estimate);
        self.known_classes.extend(mean(of_labelled).map(|estimate| (estimate, true_miou)));

        let expected: f64 = report.classes.iter().map(|class| f64::from(class.presence)).sum();
        let segmented = all().filter(|&class| confusion.predicted(class) > 0);
        let sum: f64 = segmented.filter_map(|class| confusion.class_iou(class)).sum();
        if class_map.is_one_to_one() && !expected.is_nan() {
            self.known_ious.push(((sum / expected.max(1.)).min(1.), true_miou));
        }

        let large = |pixels: u64| pixels as f64 >= LARGE * total;
        let seen = mean(all().filter(|&class| large(confusion.predicted(class))).filter_map(estimate));
        let labelled = all().filter(|&class| large(confusion.labelled(class)));
        let truth = mean(labelled.filter_map(|class| confusion.class_iou(class)));
        self.large_classes.extend(seen.zip(truth));
    }

    /// How well each way follows the truth, with its name. One that cannot be had on these data is left out.
    pub fn fits(&self) -> Result<Vec<(String, Fit)>, MetricError> {
        let ways = [
            ("the same, were it known which classes are in view".to_owned(), &self.known_classes),
            ("the same, were each class's IoU known, not which are in view".to_owned(), &self.known_ious),
            (format!("mean IoU of the classes of at least {} % of it", 100. * LARGE), &self.large_classes),
        ];
        let mut fits = Vec::new();
        for (name, pairs) in ways.into_iter().filter(|(_, pairs)| !pairs.is_empty()) {
            let (estimates, truths): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            fits.push((name, Fit::of(&estimates, &truths)?));
        }
        Ok(fits)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u32, 0.), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelSet;
    use crate::monitor::assessment::{ClassScore, Mode};

    fn labels() -> LabelSet {
        let mut set = LabelSet::by_name("cityscapes").unwrap();
        set.classes.truncate(3);
        set
    }

    fn score(class_id: u16, predicted_iou: f32, presence: f32) -> ClassScore {
        let present = !predicted_iou.is_nan();
        let class_name = class_id.to_string();
        ClassScore { class_id, class_name, predicted_iou, presence, pixel_share: 0., present }
    }

    #[test]
    fn what_is_known_takes_the_place_of_what_is_guessed() {
        let class_map = ClassMap::new(&labels(), &labels()).unwrap();
        // Of 1000 pixels, class 2 is in one and was not segmented: IoUs 799/999, 200/400 and 0.
        let mut truth = vec![0; 999];
        truth.push(2);
        truth[..200].fill(1);
        let mut predicted = vec![0; 1000];
        predicted[..200].fill(1);
        predicted[200..400].fill(1);
        let confusion = Confusion::of(&predicted, &truth, 3).unwrap();
        let mut report = Report::example(Mode::Full, 0.5);
        report.classes = vec![score(0, 0.9, 1.), score(1, 0.6, 1.), score(2, f32::NAN, 0.5)];
        let mut miou = MeanIou::default();
        miou.add((&report, &[0.6, 0.4, 0.]), &class_map, &confusion, 0.4);
        let close = |(a, b): (f64, f64), c: f64, d: f64| (a - c).abs() < 1e-6 && (b - d).abs() < 1e-6;
        assert!(close(miou.known_classes[0], (0.9 + 0.6) / 3., 0.4), "{miou:?}");
        let ious = [599. / 800., 0.5];
        assert!(close(miou.known_ious[0], (ious[0] + ious[1]) / 2.5, 0.4), "{miou:?}");
        assert!(close(miou.large_classes[0], 0.75, (ious[0] + ious[1]) / 2.), "{miou:?}");
    }
}
