//! The pixels of one class as run lengths, as annotation tools take masks.

use image::GrayImage;

/// Pixels of one class within the box around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
    /// How many pixels.
    pub area: u32,
    /// Row by row within the box: pixels without and with the class in turns, as CVAT has it.
    pub rows: Vec<u32>,
    /// Column by column in the whole image: the same in COCO's order.
    pub columns: Vec<u32>,
}

impl Mask {
    /// Where `labels` are `class`; `None` where they nowhere are.
    pub fn of(labels: &GrayImage, class: u8) -> Option<Self> {
        let is = |x: u32, y: u32| labels.get_pixel(x, y).0[0] == class;
        let (mut left, mut top, mut right, mut bottom, mut area) = (u32::MAX, u32::MAX, 0, 0, 0);
        for (x, y, _) in labels.enumerate_pixels().filter(|&(x, y, _)| is(x, y)) {
            (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1));
            area += 1;
        }
        if area == 0 {
            return None;
        }
        let rows =
            runs((top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))).map(|(x, y)| is(x, y)));
        let (width, height) = labels.dimensions();
        let columns = runs((0..width).flat_map(|x| (0..height).map(move |y| (x, y))).map(|(x, y)| is(x, y)));
        Some(Self { left, top, width: right - left, height: bottom - top, area, rows, columns })
    }
}

/// Lengths of the runs, beginning with that of pixels without, which may be 0.
fn runs(pixels: impl Iterator<Item = bool>) -> Vec<u32> {
    let (mut runs, mut before) = (vec![0], false);
    for pixel in pixels {
        if pixel != before {
            runs.push(0);
            before = pixel;
        }
        if let Some(run) = runs.last_mut() {
            *run += 1;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_its_box_its_rows_and_its_columns() {
        // . a a
        // a a .
        let labels = GrayImage::from_raw(3, 2, vec![9, 1, 1, 1, 1, 9]).unwrap();
        let mask = Mask::of(&labels, 1).unwrap();
        assert_eq!((mask.left, mask.top, mask.width, mask.height, mask.area), (0, 0, 3, 2, 4));
        assert_eq!(mask.rows, [1, 4, 1]);
        assert_eq!(mask.columns, [1, 4, 1]);
        let corner = Mask::of(&labels, 9).unwrap();
        assert_eq!(corner.rows, [0, 1, 4, 1]);
        assert_eq!(Mask::of(&labels, 5), None);
    }

    #[test]
    fn the_box_alone_is_counted_in_rows_and_all_of_the_image_in_columns() {
        let mut labels = GrayImage::new(5, 4);
        labels.put_pixel(3, 2, image::Luma([7]));
        let mask = Mask::of(&labels, 7).unwrap();
        assert_eq!((mask.left, mask.top, mask.rows), (3, 2, vec![0, 1]));
        assert_eq!(mask.columns, [3 * 4 + 2, 1, 5]);
    }
}
