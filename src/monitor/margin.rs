//! The margin of drivable ground: how far inside it a label must lie to be trusted. It asks for labels alone, so that it
//! can be had of any segmenter, as morphological prediction sets can (arXiv 2503.05618): those widen a mask till it
//! covers what is there; what may be driven on has to shrink.

use image::GrayImage;

use crate::labels::{IGNORE, distances, resize_labels};

/// The widest margin, in steps at the working size.
pub(crate) const WIDEST: u32 = 64;

/// Steps, along rows and columns, from each drivable pixel to the nearest that is not; 0 for those that are not. Pixels
/// beyond the edge of the image say nothing.
pub(crate) fn depths(labels: &GrayImage, drivable: &[bool; 256]) -> Vec<u32> {
    let mut ground = labels.clone();
    ground.iter_mut().for_each(|label| *label = u8::from(drivable[usize::from(*label)]));
    let mut depths = distances(&ground);
    depths.iter_mut().zip(ground.as_raw()).for_each(|(depth, ground)| *depth *= u32::from(*ground));
    depths
}

/// Takes the label from the drivable pixels of `trusted` that lie no more than `margin` steps inside, by `labels` at
/// the working size.
pub(super) fn withhold(trusted: &mut GrayImage, labels: &GrayImage, drivable: &[bool; 256], margin: u32) {
    let depths = depths(labels, drivable);
    let mut shallow = labels.clone();
    for (pixel, depth) in shallow.iter_mut().zip(depths) {
        *pixel = u8::from((1..=margin).contains(&depth));
    }
    let shallow = resize_labels(shallow, trusted.dimensions());
    for (label, shallow) in trusted.iter_mut().zip(shallow.as_raw()) {
        if *shallow == 1 {
            *label = IGNORE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 is road, 1 and 255 are not.
    fn table() -> [bool; 256] {
        let mut table = [false; 256];
        table[0] = true;
        table
    }

    #[test]
    fn depth_is_counted_from_what_is_not_drivable_and_not_from_the_edge_of_the_image() {
        let labels = GrayImage::from_raw(6, 1, vec![0, 0, 0, 1, 255, 0]).unwrap();
        assert_eq!(depths(&labels, &table()), [3, 2, 1, 0, 0, 1]);
        let all = GrayImage::new(4, 4);
        assert!(depths(&all, &table()).iter().all(|&depth| depth >= 8));
    }

    #[test]
    fn within_the_margin_no_drivable_label_is_trusted_and_every_other_stays() {
        let labels = GrayImage::from_raw(6, 1, vec![0, 0, 0, 1, 255, 0]).unwrap();
        let withheld = |margin, mut trusted: GrayImage| {
            withhold(&mut trusted, &labels, &table(), margin);
            trusted.into_raw()
        };
        assert_eq!(withheld(0, labels.clone()), [0, 0, 0, 1, 255, 0]);
        assert_eq!(withheld(1, labels.clone()), [0, 0, 255, 1, 255, 255]);
        assert_eq!(withheld(2, labels.clone()), [0, 255, 255, 1, 255, 255]);
        let twice = resize_labels(labels.clone(), (12, 2));
        assert_eq!(withheld(1, twice)[..12], [0, 0, 0, 0, 255, 255, 1, 1, 255, 255, 255, 255]);
    }
}
