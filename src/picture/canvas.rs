//! Boxes, text and tint on RGB images. Whatever lies outside of the image is left out.

use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage};

/// Width and height of a character at scale 1, in pixels.
pub(crate) const GLYPH: u32 = 8;

/// White.
pub(crate) const WHITE: Rgb<u8> = Rgb([255; 3]);
/// The ground behind text and around panels.
pub(crate) const GROUND: Rgb<u8> = Rgb([24; 3]);

/// A text scale that is readable on an image `height` pixels high.
pub(crate) fn text_scale(height: u32) -> u32 {
    (height / 240).clamp(1, 4)
}

/// Width of `text` in pixels.
pub(crate) fn text_width(text: &str, scale: u32) -> u32 {
    text.chars().count() as u32 * GLYPH * scale
}

/// Draws one line of text with its upper left corner at `x`, `y`. Latin letters only; others become
/// a question mark.
pub fn text(image: &mut RgbImage, x: i64, y: i64, scale: u32, color: Rgb<u8>, text: &str) {
    let cell = i64::from(GLYPH * scale);
    for (place, letter) in text.chars().enumerate() {
        let left = x + place as i64 * cell;
        for (row, bits) in glyph(letter).into_iter().enumerate() {
            for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                let at = (left + i64::from(column * scale), y + row as i64 * i64::from(scale));
                fill(image, at.0, at.1, scale, scale, color);
            }
        }
    }
}

/// Rows from the top; the lowest bit is the leftmost pixel.
fn glyph(letter: char) -> [u8; 8] {
    let find = |letter| font8x8::BASIC_FONTS.get(letter).or_else(|| font8x8::LATIN_FONTS.get(letter));
    find(letter).or_else(|| find('?')).unwrap_or_default()
}

/// Fills a rectangle.
pub(crate) fn fill(image: &mut RgbImage, x: i64, y: i64, width: u32, height: u32, color: Rgb<u8>) {
    let (columns, rows) = clip(image, x, y, width, height);
    for y in rows {
        for x in columns.clone() {
            image.put_pixel(x, y, color);
        }
    }
}

/// Draws the border of a rectangle, `thickness` pixels inwards.
pub(crate) fn outline(
    image: &mut RgbImage,
    x: i64,
    y: i64,
    width: u32,
    height: u32,
    thickness: u32,
    color: Rgb<u8>,
) {
    let (across, down) = (thickness.min(width), thickness.min(height));
    fill(image, x, y, width, down, color);
    fill(image, x, y + i64::from(height - down), width, down, color);
    fill(image, x, y, across, height, color);
    fill(image, x + i64::from(width - across), y, across, height, color);
}

/// The part of a rectangle that lies on the image.
fn clip(
    image: &RgbImage,
    x: i64,
    y: i64,
    width: u32,
    height: u32,
) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
    let span = |start: i64, length: u32, limit: u32| {
        let limit = i64::from(limit);
        start.clamp(0, limit) as u32..(start + i64::from(length)).clamp(0, limit) as u32
    };
    (span(x, width, image.width()), span(y, height, image.height()))
}

/// Text on a ground of its own, with its upper left corner at `x`, `y`; the ground is
/// [`label_height`] high.
pub fn label(image: &mut RgbImage, x: i64, y: i64, scale: u32, color: Rgb<u8>, ground: Rgb<u8>, line: &str) {
    let margin = 2 * scale;
    fill(image, x, y, text_width(line, scale) + 2 * margin, label_height(scale), ground);
    text(image, x + i64::from(margin), y + i64::from(margin), scale, color, line);
}

/// Height of a [`label`] in pixels.
pub(crate) fn label_height(scale: u32) -> u32 {
    (GLYPH + 4) * scale
}

/// Half of `pixel`, half of `color`.
pub(crate) fn tint(pixel: &mut Rgb<u8>, color: Rgb<u8>) {
    for (channel, color) in pixel.0.iter_mut().zip(color.0) {
        *channel = u8::midpoint(*channel, color);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(image: &RgbImage, color: Rgb<u8>) -> usize {
        image.pixels().filter(|&&pixel| pixel == color).count()
    }

    #[test]
    fn letters_are_the_right_way_round() {
        let mut image = RgbImage::new(8, 8);
        text(&mut image, 0, 0, 1, WHITE, "L");
        let lit: Vec<(u32, u32)> = image
            .enumerate_pixels()
            .filter(|(_, _, pixel)| **pixel == WHITE)
            .map(|(x, y, _)| (x, y))
            .collect();
        let of_row = |row: u32| lit.iter().filter(|(_, y)| *y == row).map(|(x, _)| *x).collect::<Vec<_>>();
        let (upper, foot) = (of_row(2), of_row(6));
        assert!(foot.len() > upper.len(), "an L is broad at its foot: {foot:?} against {upper:?}");
        assert!(upper.iter().max() < foot.iter().max(), "and its stem stands left");
    }

    #[test]
    fn text_scales_and_unknown_letters_show() {
        let (mut small, mut large) = (RgbImage::new(40, 16), RgbImage::new(40, 16));
        text(&mut small, 0, 0, 1, WHITE, "ok");
        text(&mut large, 0, 0, 2, WHITE, "ok");
        assert_eq!(4 * count(&small, WHITE), count(&large, WHITE));
        assert_eq!(glyph('\u{4e00}'), glyph('?'));
        assert_eq!(text_width("ok", 2), 32);
    }

    #[test]
    fn drawing_beyond_the_border_is_clipped() {
        let mut image = RgbImage::new(4, 4);
        fill(&mut image, -2, 3, 4, 9, WHITE);
        assert_eq!(count(&image, WHITE), 2);
        outline(&mut image, -5, -5, 100, 100, 3, WHITE);
        outline(&mut image, 1, 1, 0, 0, 3, WHITE);
        text(&mut image, -20, -20, 3, WHITE, "nowhere");
        assert_eq!(count(&image, WHITE), 2);
        fill(&mut image, i64::from(u32::MAX), 0, u32::MAX, u32::MAX, WHITE);
        assert_eq!(count(&image, WHITE), 2);
    }

    #[test]
    fn an_outline_is_hollow() {
        let mut image = RgbImage::new(6, 6);
        outline(&mut image, 1, 1, 4, 4, 1, WHITE);
        assert_eq!(count(&image, WHITE), 12);
        assert_ne!(image.get_pixel(2, 2), &WHITE);
    }

    #[test]
    fn tint_is_half_and_half() {
        let mut pixel = Rgb([0, 100, 255]);
        tint(&mut pixel, Rgb([255, 0, 255]));
        assert_eq!(pixel, Rgb([127, 50, 255]));
    }
}
