//! What labels alone say of their errors: which class they are of, and how far from a border they lie. Whoever judges
//! labels by an image must find more.

use image::GrayImage;
use tch::{Kind, TchError, Tensor};

use super::detector::{Detection, Detector};
use super::entry::{Boxed, Entry, Parts, made};
use super::frequencies::{BINS, Frequencies, bin};
use crate::labels::distances;
use crate::model::inference::Inference;

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[
    Entry { id: "class-errors", needs: COUNTED, make: |parts| frequencies(parts, By::Class) },
    Entry { id: "border", needs: COUNTED, make: |parts| frequencies(parts, By::Distance) },
    Entry { id: "class-border", needs: COUNTED, make: |parts| frequencies(parts, By::ClassAndDistance) },
    Entry {
        id: "label-probability",
        needs: GIVEN,
        make: |parts| parts.given.as_ref().and_then(|_| made(Improbable)),
    },
    Entry { id: "confidence", needs: GIVEN, make: |parts| parts.given.as_ref().and_then(|_| made(Unsure)) },
];

const GIVEN: &str = "labels of another segmenter";
const COUNTED: &str = "labels of another segmenter, also of a calibration slice";

fn frequencies(parts: &Parts, by: By) -> Option<Boxed> {
    made(ByFrequency::new(parts.given.as_ref()?.frequencies.as_ref()?, by))
}

/// What errors are counted by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Class,
    Distance,
    ClassAndDistance,
}

impl ByFrequency {
    fn new(frequencies: &Frequencies, by: By) -> Self {
        let Frequencies { classes, counts } = frequencies;
        let classes = *classes;
        let group = |label: usize, bin: usize| match by {
            By::Class => label * BINS,
            By::Distance => bin,
            By::ClassAndDistance => label * BINS + bin,
        };
        // Right pixels and all, by group.
        let mut groups = vec![[0u64; 2]; classes * BINS];
        let mut confused = vec![0u64; classes * classes];
        for (place, count) in counts.iter().enumerate() {
            let (label, bin, truth) = (place / classes / BINS, place / classes % BINS, place % classes);
            let [right, all] = &mut groups[group(label, bin)];
            *right += if label == truth { *count } else { 0 };
            *all += count;
            confused[label * classes + truth] += count;
        }
        // Of what was never met, half is taken to be wrong.
        let wrong = |[right, all]: [u64; 2]| 1. - (right as f32 + 0.5) / (all as f32 + 1.);
        let of = |place: usize| wrong(groups[group(place / BINS, place % BINS)]);
        let errors = (0..classes * BINS).map(of).collect();
        let row = |label: usize| confused[label * classes..][..classes].iter().sum::<u64>().max(1) as f64;
        let share = |place: usize| confused[place] as f64 / row(place / classes);
        let confused = (by != By::Distance).then(|| (0..classes * classes).map(share).collect());
        let name = match by {
            By::Class => "errors of the class",
            By::Distance => "distance to a border",
            By::ClassAndDistance => "errors of the class at that distance",
        };
        Self { name, classes, errors, confused }
    }
}

/// Pixels score as often as their like was wrong.
struct ByFrequency {
    name: &'static str,
    classes: usize,
    /// By label and bin.
    errors: Vec<f32>,
    /// Of a label, the share of each true class.
    confused: Option<Vec<f64>>,
}

impl Detector for ByFrequency {
    fn name(&self) -> &str {
        self.name
    }

    fn is_probability(&self) -> bool {
        true
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let labels = &inference.segmentation().softmax.labels;
        let size = labels.size();
        let bytes = Vec::<u8>::try_from(labels.to_kind(Kind::Uint8).flatten(0, -1))?;
        let (height, width) = (size[1] as usize, size[2] as usize);
        let (mut errors, mut ious) = (Vec::with_capacity(bytes.len()), Vec::new());
        for image in bytes.chunks_exact(height * width) {
            let image = GrayImage::from_raw(width as u32, height as u32, image.to_vec())
                .ok_or_else(|| TchError::Shape(format!("labels of {size:?}")))?;
            let at = |(&label, distance)| self.errors[usize::from(label) * BINS + bin(distance)];
            errors.extend(image.as_raw().iter().zip(distances(&image)).map(at));
            ious.extend(self.confused.iter().flat_map(|confused| iou(&image, confused, self.classes)));
        }
        let n = size[0];
        let error = Tensor::from_slice(&errors).view([n, 1, size[1], size[2]]);
        let iou = self.confused.is_some().then(|| Tensor::from_slice(&ious).view([n, self.classes as i64]));
        Ok(Detection { error: Some(error), iou, anomaly: None })
    }
}

/// The IoU of each class, were labels confused as often as they usually are.
fn iou(labels: &GrayImage, confused: &[f64], classes: usize) -> Vec<f32> {
    let mut counts = vec![0f64; classes];
    for &label in labels.as_raw() {
        if let Some(count) = counts.get_mut(usize::from(label)) {
            *count += 1.;
        }
    }
    let of = |class: usize| {
        let truth: f64 = (0..classes).map(|label| counts[label] * confused[label * classes + class]).sum();
        let both = counts[class] * confused[class * classes + class];
        let either = counts[class] + truth - both;
        if either > 0. { (both / either) as f32 } else { 0. }
    };
    (0..classes).map(of).collect()
}

/// One minus what the bundle's M, or the softmax that came with the labels, gives the label.
struct Improbable;

impl Detector for Improbable {
    fn name(&self) -> &str {
        "1 - probability of the label"
    }

    fn is_probability(&self) -> bool {
        true
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        Ok(Detection { error: Some(1. - &inference.segmentation().softmax.largest), ..Detection::default() })
    }
}

/// One minus the confidence that came with the labels; nothing where none did.
struct Unsure;

impl Detector for Unsure {
    fn name(&self) -> &str {
        "1 - confidence"
    }

    fn is_probability(&self) -> bool {
        true
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let error = inference.given().and_then(|given| given.confidence.as_ref()).map(|sure| 1. - sure);
        Ok(Detection { error, ..Detection::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::IGNORE;

    fn image(width: u32, labels: &[u8]) -> GrayImage {
        GrayImage::from_raw(width, labels.len() as u32 / width, labels.to_vec()).unwrap()
    }

    #[test]
    fn pixels_score_as_often_as_their_like_was_wrong() {
        let mut frequencies = Frequencies::new(2);
        // Class 0 is wrong at its border, class 1 everywhere.
        let labels = image(6, &[0, 0, 0, 1, 1, 1]);
        for _ in 0..1000 {
            frequencies.add(&labels, &image(6, &[0, 0, 1, 0, 0, IGNORE]));
        }
        let errors = |by| ByFrequency::new(&frequencies, by).errors;
        let near = |found: f32, expected: f32| (found - expected).abs() < 1e-3;
        let class = errors(By::Class);
        assert!(near(class[0], 1. / 3.) && near(class[BINS], 1.), "{class:?}");
        let distance = errors(By::Distance);
        assert!(near(distance[0], 1.) && near(distance[1], 0.5) && near(distance[2], 0.), "{distance:?}");
        let both = errors(By::ClassAndDistance);
        assert!(near(both[0], 1.) && near(both[1], 0.) && near(both[BINS + 1], 1.), "{both:?}");
        assert_eq!(both[5], 0.5, "never met");
        // Of class 0 two thirds are right; of class 1 nothing, and all of it is class 0.
        let confused = ByFrequency::new(&frequencies, By::Class).confused.unwrap();
        let iou = iou(&labels, &confused, 2);
        assert!(near(iou[0], 2. / 6.) && iou[1] == 0., "{iou:?}");
    }
}
