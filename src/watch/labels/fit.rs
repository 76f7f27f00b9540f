//! How a label image lies on the camera's image, which has another size more often than not: the network's.

use image::GrayImage;
use image::imageops::{crop_imm, overlay};

use crate::labels::{IGNORE, resize_labels};

/// What the segmenter did to the camera's image before it segmented it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Resized it, whatever became of its proportions: the labels cover all of it.
    Stretch,
    /// Cut its middle out in the labels' proportions: what lies outside has no label.
    Crop,
    /// Padded it to the labels' proportions: what was added is left out.
    Letterbox,
}

impl Fit {
    /// Labels that cover what an image of this size covers; not of this size unless they must be.
    pub(crate) fn onto(self, labels: GrayImage, (width, height): (u32, u32)) -> GrayImage {
        let (w, h) = labels.dimensions();
        // The labels' proportions against the image's, without a division.
        let (wide, tall) = (u64::from(w) * u64::from(height), u64::from(h) * u64::from(width));
        let share = |side: u32, part: u64, of: u64| {
            (u64::from(side) * part).div_ceil(of).clamp(1, side.into()) as u32
        };
        match self {
            Self::Stretch => labels,
            // Wider labels are those of a strip, narrower ones those of a column.
            Self::Crop => {
                let size = match wide > tall {
                    true => (width, share(height, tall, wide)),
                    false => (share(width, wide, tall), height),
                };
                let mut whole = GrayImage::from_pixel(width, height, image::Luma([IGNORE]));
                let (x, y) = ((width - size.0) / 2, (height - size.1) / 2);
                overlay(&mut whole, &resize_labels(labels, size), x.into(), y.into());
                whole
            }
            // Wider labels have padding at the sides, narrower ones above and below.
            Self::Letterbox => {
                let size = match wide > tall {
                    true => (share(w, tall, wide), h),
                    false => (w, share(h, wide, tall)),
                };
                crop_imm(&labels, (w - size.0) / 2, (h - size.1) / 2, size.0, size.1).to_image()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(width: u32, height: u32) -> GrayImage {
        GrayImage::from_fn(width, height, |x, _| image::Luma([x as u8]))
    }

    #[test]
    fn stretched_labels_cover_all() {
        assert_eq!(Fit::Stretch.onto(columns(4, 2), (100, 100)), columns(4, 2));
    }

    #[test]
    fn what_was_cut_off_has_no_label() {
        // A square out of the middle of 8 x 4.
        let found = Fit::Crop.onto(columns(4, 4), (8, 4));
        assert_eq!(found.as_raw()[..8], [255, 255, 0, 1, 2, 3, 255, 255]);
        // A strip out of the middle of 4 x 4.
        let found = Fit::Crop.onto(columns(4, 2), (4, 4));
        let first: Vec<u8> = found.rows().map(|mut row| row.next().unwrap()[0]).collect();
        assert_eq!(first, [255, 0, 0, 255]);
        assert_eq!(Fit::Crop.onto(columns(2, 1), (4, 2)).as_raw()[..4], [0, 0, 1, 1]);
    }

    #[test]
    fn what_was_added_is_left_out() {
        // 4 x 4 labels of an image twice as wide as high: a row above and a row below are padding.
        let rows = GrayImage::from_fn(4, 4, |_, y| image::Luma([y as u8]));
        let found = Fit::Letterbox.onto(rows, (200, 100));
        assert_eq!((found.dimensions(), found.as_raw()[0], found.as_raw()[4]), ((4, 2), 1, 2));
        // 8 x 4 labels of a square image.
        let found = Fit::Letterbox.onto(columns(8, 4), (50, 50));
        assert_eq!((found.dimensions(), found.as_raw()[0]), ((4, 4), 2));
        assert_eq!(Fit::Letterbox.onto(columns(4, 2), (8, 4)), columns(4, 2));
    }

    #[test]
    fn no_size_is_too_odd() {
        for fit in [Fit::Stretch, Fit::Crop, Fit::Letterbox] {
            for (size, of) in [((1, 1), (4000, 1)), ((7, 1), (1, 3000)), ((1, 500), (500, 1))] {
                let found = fit.onto(columns(size.0, size.1), of);
                assert!(found.width() > 0 && found.height() > 0, "{fit:?}");
            }
        }
    }
}
