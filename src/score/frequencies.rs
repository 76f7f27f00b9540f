//! How often labels are wrong, by their class and by how far they lie from a border.

use image::GrayImage;

/// What is known of another segmenter whose labels are judged.
#[derive(Clone, Debug, Default)]
pub struct OfGiven {
    /// How often its labels are wrong, where a calibration slice told.
    pub frequencies: Option<Frequencies>,
}

/// Ends of the bins of distances, in pixels.
const ENDS: [u32; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// Bins of distances.
pub(super) const BINS: usize = ENDS.len() + 1;

/// Pixels with a label at a distance from a border, by their true class.
#[derive(Clone, Debug, PartialEq)]
pub struct Frequencies {
    /// Classes of the bundle.
    pub(super) classes: usize,
    /// Label, bin of distances, true class.
    pub(super) counts: Vec<u64>,
}

impl Frequencies {
    /// Of no pixel yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * BINS * classes] }
    }

    /// Adds an image: labels and the truth, of one size and one label set; what is of no class in either does not
    /// count.
    pub fn add(&mut self, labels: &GrayImage, truth: &GrayImage) {
        let distances = distances(labels);
        for ((&label, &truth), distance) in labels.as_raw().iter().zip(truth.as_raw()).zip(distances) {
            let (label, truth) = (usize::from(label), usize::from(truth));
            if label < self.classes && truth < self.classes {
                self.counts[(label * BINS + bin(distance)) * self.classes + truth] += 1;
            }
        }
    }
}

pub(super) fn bin(distance: u32) -> usize {
    ENDS.partition_point(|end| *end < distance)
}

/// Steps, along rows and columns, from each pixel to the nearest one of another label; the image's diagonal in steps
/// where there is none.
pub(super) fn distances(labels: &GrayImage) -> Vec<u32> {
    let (width, height) = (labels.width() as usize, labels.height() as usize);
    let most = (width + height) as u32;
    let raw = labels.as_raw();
    let mut steps = vec![most; raw.len()];
    let is_border = |at: usize| {
        let (x, y) = (at % width, at / width);
        (x > 0 && raw[at - 1] != raw[at])
            || (x + 1 < width && raw[at + 1] != raw[at])
            || (y > 0 && raw[at - width] != raw[at])
            || (y + 1 < height && raw[at + width] != raw[at])
    };
    for at in 0..raw.len() {
        let (x, y) = (at % width, at / width);
        let left = if x > 0 { steps[at - 1] } else { most };
        let above = if y > 0 { steps[at - width] } else { most };
        steps[at] = if is_border(at) { 1 } else { (left.min(above) + 1).min(most) };
    }
    for at in (0..raw.len()).rev() {
        let (x, y) = (at % width, at / width);
        let right = if x + 1 < width { steps[at + 1] } else { most };
        let below = if y + 1 < height { steps[at + width] } else { most };
        steps[at] = steps[at].min(right + 1).min(below + 1);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, labels: &[u8]) -> GrayImage {
        GrayImage::from_raw(width, labels.len() as u32 / width, labels.to_vec()).unwrap()
    }

    #[test]
    fn distances_are_steps_to_another_label() {
        assert_eq!(distances(&image(6, &[0, 0, 0, 1, 1, 1])), [3, 2, 1, 1, 2, 3]);
        let corner = distances(&image(3, &[1, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(corner, [1, 1, 2, 1, 2, 3, 2, 3, 4]);
        assert_eq!(distances(&image(2, &[5, 5])), [3, 3]);
        assert_eq!([1, 2, 5, 6, 7, 64, 65, 900].map(bin), [0, 1, 4, 4, 5, 11, 12, 12]);
    }
}
