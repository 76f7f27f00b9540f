//! Decoding of `sensor_msgs/CompressedImage`.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::{FrameError, MAX_PIXELS};

/// Decodes a JPEG or PNG to RGB; 16-bit and grey images are converted, alpha is dropped.
///
/// What the file is, its own bytes tell: drivers disagree on what `format` should say, and its
/// colour hint (`bgr8; jpeg compressed bgr8`) describes the image before compression. Only
/// `compressedDepth` is told by `format`. The announced size is checked before anything is
/// allocated for it.
pub fn decode_compressed(format: &str, data: &[u8]) -> Result<RgbImage, FrameError> {
    if format.contains("compressedDepth") {
        return Err(FrameError::CompressedDepth { format: format.to_owned() });
    }
    let kind = match image::guess_format(data) {
        Ok(kind @ (ImageFormat::Jpeg | ImageFormat::Png)) => kind,
        _ => {
            let start = data.iter().take(8).copied().collect();
            return Err(FrameError::CompressedFormat { format: format.to_owned(), len: data.len(), start });
        }
    };
    let mut reader = ImageReader::with_format(Cursor::new(data), kind);
    let mut limits = Limits::default();
    // Four channels of 16 bits.
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(FrameError::Compressed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(FrameError::TooLarge { width, height });
    }
    Ok(DynamicImage::from_decoder(decoder).map_err(FrameError::Compressed)?.into_rgb8())
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, Rgb};
    use proptest::prelude::*;

    use super::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn ramp() -> RgbImage {
        RgbImage::from_fn(5, 4, |x, y| Rgb([50 * x as u8, 60 * y as u8, 7]))
    }

    #[test]
    fn png_comes_back_exactly_whatever_the_hint() {
        let png = encoded(&ramp().into(), ImageFormat::Png);
        for format in ["rgb8; png compressed bgr8", "png", "jpeg", ""] {
            assert_eq!(decode_compressed(format, &png).unwrap(), ramp());
        }
    }

    #[test]
    fn jpeg_comes_back_closely() {
        let flat = RgbImage::from_pixel(16, 16, Rgb([200, 100, 50]));
        let decoded = decode_compressed("jpeg", &encoded(&flat.into(), ImageFormat::Jpeg)).unwrap();
        let pixel = decoded.get_pixel(8, 8).0;
        for (got, want) in pixel.into_iter().zip([200, 100, 50]) {
            assert!(u8::abs_diff(got, want) <= 3, "{pixel:?}");
        }
    }

    #[test]
    fn grey_and_16_bit_become_rgb() {
        let grey = GrayImage::from_pixel(2, 2, Luma([9]));
        let decoded = decode_compressed("png", &encoded(&grey.into(), ImageFormat::Png)).unwrap();
        assert_eq!(decoded.get_pixel(1, 1).0, [9, 9, 9]);
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 2, Luma([0x8080]));
        let decoded =
            decode_compressed("mono16; png compressed", &encoded(&deep.into(), ImageFormat::Png)).unwrap();
        assert_eq!(decoded.get_pixel(0, 0).0, [0x80; 3]);
    }

    #[test]
    fn depth_and_other_formats_are_refused() {
        let png = encoded(&ramp().into(), ImageFormat::Png);
        let message = decode_compressed("16UC1; compressedDepth png", &png).unwrap_err().to_string();
        assert!(message.contains("compressed depth"), "{message}");
        let message = decode_compressed("h264", &[0, 0, 0, 1, 0x67]).unwrap_err().to_string();
        assert!(
            message.starts_with("5 bytes of format \"h264\" begin with [00, 00, 00, 01, 67]"),
            "{message}"
        );
        assert!(matches!(decode_compressed("jpeg", &[]), Err(FrameError::CompressedFormat { len: 0, .. })));
    }

    #[test]
    fn truncated_files_are_errors_or_partial_pictures() {
        let png = encoded(&ramp().into(), ImageFormat::Png);
        for len in 8..png.len() - 13 {
            let result = decode_compressed("png", &png[..len]);
            assert!(matches!(result, Err(FrameError::Compressed(_))), "{len} bytes");
        }
        let jpeg = encoded(&ramp().into(), ImageFormat::Jpeg);
        for len in 3..jpeg.len() {
            let _ = decode_compressed("jpeg", &jpeg[..len]);
        }
    }

    #[test]
    fn a_small_file_cannot_announce_a_huge_picture() {
        let mut png = encoded(&ramp().into(), ImageFormat::Png);
        // IHDR: width and height are bytes 16..24, its checksum bytes 29..33.
        png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let checksum = crc(&png[12..29]).to_be_bytes();
        png[29..33].copy_from_slice(&checksum);
        let message = decode_compressed("png", &png).unwrap_err().to_string();
        assert!(message.contains("65536x65536"), "{message}");

        let mut jpeg = encoded(&ramp().into(), ImageFormat::Jpeg);
        let size = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap() + 5;
        jpeg[size..size + 4].fill(0xff);
        let message = decode_compressed("jpeg", &jpeg).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message:?}");
        assert!(message.contains("65535x65535"), "{message}");
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in any::<prop::sample::Index>(), value: u8, jpeg: bool) {
            let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
            let mut bytes = encoded(&ramp().into(), format);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = decode_compressed("", &bytes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(format: String, bytes: Vec<u8>) {
            let _ = decode_compressed(&format, &bytes);
        }
    }
}
