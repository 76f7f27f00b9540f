//! Pictures as JPEG files, no larger than a page shows them.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageError, RgbImage};

const QUALITY: u8 = 82;

/// The image as a file, `width` pixels wide or less.
pub(crate) fn reduced(image: &RgbImage, most: u32) -> Result<Vec<u8>, ImageError> {
    let (width, height) = image.dimensions();
    let reduced = (width > most).then(|| {
        let height = (u64::from(height) * u64::from(most) / u64::from(width)).max(1);
        imageops::resize(image, most, height as u32, FilterType::Triangle)
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(reduced.as_ref().unwrap_or(image))?;
    Ok(bytes)
}
