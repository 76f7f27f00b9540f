//! How often labels are wrong, by their class and by how far they lie from a border.

use image::GrayImage;

use crate::labels::distances;

/// What is known of another segmenter whose labels are assessed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_fall_into_bins() {
        assert_eq!([1, 2, 5, 6, 7, 64, 65, 900].map(bin), [0, 1, 4, 4, 5, 11, 12, 12]);
    }
}
