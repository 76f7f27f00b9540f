//! The picture for people: the camera's image with what is wrong painted over it.

use image::{GrayImage, Rgb, RgbImage};

/// Likely mislabelled.
const ERROR: Rgb<u8> = Rgb([255, 0, 0]);

/// Never seen.
const ANOMALY: Rgb<u8> = Rgb([255, 0, 255]);

/// Paints the masks over `image`, each half transparent; a mask of another size is left out.
pub fn overlay(
    image: &RgbImage,
    error_mask: Option<&GrayImage>,
    anomaly_mask: Option<&GrayImage>,
) -> RgbImage {
    let mut painted = image.clone();
    for (mask, Rgb(color)) in [(error_mask, ERROR), (anomaly_mask, ANOMALY)] {
        let Some(mask) = mask.filter(|mask| mask.dimensions() == image.dimensions()) else { continue };
        for (Rgb(pixel), _) in painted.pixels_mut().zip(mask.as_raw()).filter(|(_, marked)| **marked != 0) {
            for (value, tint) in pixel.iter_mut().zip(color) {
                *value = ((u16::from(*value) + u16::from(tint)) / 2) as u8;
            }
        }
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_pixels_are_tinted_and_the_rest_is_left_alone() {
        let image = RgbImage::from_pixel(2, 1, Rgb([100, 100, 100]));
        let mask = GrayImage::from_raw(2, 1, vec![255, 0]).unwrap();
        let painted = overlay(&image, Some(&mask), None);
        assert_eq!(painted.as_raw(), &[177, 50, 50, 100, 100, 100]);
        let wrong_size = GrayImage::from_pixel(1, 1, image::Luma([255]));
        assert_eq!(overlay(&image, None, Some(&wrong_size)), image);
    }
}
