//! What F says of each class, and of all together.

use super::assessment::ClassScore;
use super::readout::Readout;
use crate::labels::LabelSet;

/// A class must have this share of the image for its estimate to be shown.
const PRESENT: f32 = 0.001;

/// The score of each class of `labels`, of which `counts` of `total` pixels are.
pub(super) fn class_scores(labels: &LabelSet, counts: &[u32], total: f32, read: &Readout) -> Vec<ClassScore> {
    let (iou, presence) = (read.iou.as_deref(), read.presence.as_deref());
    let classes = labels.classes.iter().zip(counts).enumerate();
    classes
        .map(|(id, (class, &count))| {
            let pixel_share = count as f32 / total;
            let present = pixel_share >= PRESENT;
            let predicted_iou = match iou {
                Some(iou) if present => iou[id].clamp(0., 1.),
                _ => f32::NAN,
            };
            let presence = presence.map_or(f32::NAN, |presence| presence[id]);
            let class_name = class.name.clone();
            ClassScore { class_id: id as u16, class_name, predicted_iou, presence, pixel_share, present }
        })
        .collect()
}

/// Mean IoU over the classes in view, of classes with `counts` pixels and the estimates `iou`. A class in view that
/// was not segmented has an IoU of 0, so the sum of the estimates is over all classes with a pixel, those too small
/// to be shown with one too, and the number is that of the classes expected in view; where no presence is known,
/// the classes that are large enough stand for those in view.
pub(super) fn predicted_miou(classes: &[ClassScore], counts: &[u32], iou: Option<&[f32]>) -> f32 {
    let Some(iou) = iou else { return f32::NAN };
    let expected: f32 = classes.iter().map(|class| class.presence).sum();
    if expected.is_nan() {
        let present = classes.iter().filter(|class| class.present);
        return present.clone().map(|class| class.predicted_iou).sum::<f32>() / present.count() as f32;
    }
    let segmented = iou.iter().zip(counts).filter(|&(_, &count)| count > 0);
    let sum: f32 = segmented.map(|(iou, _)| iou.clamp(0., 1.)).sum();
    (sum / expected.max(1.)).min(1.)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A large class, a small one, and one that is in view and was missed; each with this presence.
    fn classes(presence: f32) -> Vec<ClassScore> {
        let class = |(class_id, predicted_iou, pixel_share): (u16, f32, f32)| {
            let present = pixel_share >= PRESENT;
            ClassScore { class_id, class_name: String::new(), predicted_iou, presence, pixel_share, present }
        };
        [(0, 0.9, 0.9992), (1, f32::NAN, 0.0008), (2, f32::NAN, 0.)].map(class).into()
    }

    #[test]
    fn a_class_too_small_to_be_shown_counts_in_the_mean_and_one_that_was_missed_is_zero_in_it() {
        let miou = |presence| predicted_miou(&classes(presence), &[9992, 8, 0], Some(&[0.9, 0.6, 0.5]));
        assert!((miou(1.) - 0.5).abs() < 1e-6);
        // Without presence, the large one alone.
        assert!((miou(f32::NAN) - 0.9).abs() < 1e-6);
        assert!(predicted_miou(&classes(1.), &[9992, 8, 0], None).is_nan());
    }
}
