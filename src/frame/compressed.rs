//! Decoding of image files and of `sensor_msgs/CompressedImage`: by content, in one place.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::bayer::{self, Pattern};
use super::encoding::Encoding;
use super::{FrameError, MAX_PIXELS, jpeg, png};
use crate::quote::quoted;

/// Most bytes of a file that are read: four channels of 16 bits for every pixel.
const MAX_BYTES: u64 = MAX_PIXELS * 8;

/// Why an image file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: FrameError,
}

/// Decodes an image file by its content, whatever its name says.
pub fn open(path: &Path) -> Result<DynamicImage, FileError> {
    let bytes = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let decoded = bytes().map_err(FrameError::File).and_then(|bytes| decode(&bytes, "a file"));
    let (image, orientation) = decoded.map_err(|reason| FileError { path: path.to_owned(), reason })?;
    if orientation != Orientation::NoTransforms {
        tracing::warn!(
            "{}: its EXIF data ask a viewer to turn it ({orientation:?}); its pixels are taken as they are stored, \
             as those of labels are",
            path.display()
        );
    }
    Ok(image)
}

/// Decodes a JPEG, PNG or WebP to RGB; grey images and those of 16 bits are converted, alpha is
/// dropped.
///
/// What the file is, its own bytes tell: drivers disagree on what `format` should say. It is asked
/// for two things only: depth, which is no picture, and a Bayer mosaic, which a file of one channel
/// may hold.
pub fn decode_compressed(format: &str, data: &[u8]) -> Result<RgbImage, FrameError> {
    let hint = Hint::of(format)?;
    let (image, _) = decode(data, &format!("format {}", quoted(format)))?;
    match (hint, image) {
        (Hint::Mosaic(pattern), DynamicImage::ImageLuma8(plane)) => demosaic(&plane, pattern),
        (Hint::Mosaic(pattern), image @ DynamicImage::ImageLuma16(_)) => {
            demosaic(&image.into_luma8(), pattern)
        }
        (_, image) => Ok(image.into_rgb8()),
    }
}

/// What `format` says that the bytes do not.
enum Hint {
    None,
    /// One channel holds the colours of this pattern.
    Mosaic(Pattern),
}

impl Hint {
    /// Reads `ENCODING; CODEC compressed ENCODING`, as image_transport writes it: first what the
    /// camera sent, last what was compressed; where the last is missing, that is the first.
    fn of(format: &str) -> Result<Self, FrameError> {
        if format.contains("compressedDepth") {
            return Err(FrameError::CompressedDepth { format: format.to_owned() });
        }
        let (sent, codec) = format.split_once(';').unwrap_or((format, ""));
        let compressed = codec.split_once("compressed").map_or("", |(_, name)| name).trim();
        let name = if compressed.is_empty() { sent.trim() } else { compressed };
        match name.parse() {
            Ok(Encoding::Bayer8(pattern) | Encoding::Bayer16(pattern)) => Ok(Self::Mosaic(pattern)),
            Err(error @ FrameError::Depth { .. }) => Err(error),
            Err(error) if name.starts_with("bayer") => Err(error),
            _ => Ok(Self::None),
        }
    }
}

fn demosaic(plane: &GrayImage, pattern: Pattern) -> Result<RgbImage, FrameError> {
    let (width, height) = plane.dimensions();
    if width < 2 || height < 2 {
        let rule = "both must be at least 2";
        return Err(FrameError::Size { encoding: Encoding::Bayer8(pattern), width, height, rule });
    }
    let mut out = RgbImage::new(width, height);
    let (wide, high) = (width as usize, height as usize);
    bayer::demosaic(plane.as_raw(), wide, wide, high, pattern, &mut out);
    Ok(out)
}

/// The pixels of a JPEG, PNG or WebP, whole or not at all, and how a viewer is asked to turn them. The
/// announced size is checked before anything is allocated for it.
fn decode(data: &[u8], said: &str) -> Result<(DynamicImage, Orientation), FrameError> {
    let kind = match image::guess_format(data) {
        Ok(kind @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => kind,
        _ => {
            let start = data.iter().take(8).copied().collect();
            return Err(FrameError::CompressedFormat { said: said.to_owned(), len: data.len(), start });
        }
    };
    let data = if kind == ImageFormat::Jpeg { jpeg::complete(data)? } else { data.into() };
    if kind == ImageFormat::Png {
        png::check(&data)?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(&data[..]), kind);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(FrameError::Compressed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(FrameError::TooLarge { width, height });
    }
    // Metadata that cannot be read turn nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(FrameError::Compressed)?;
    let brightest = match &image {
        DynamicImage::ImageLuma16(image) => image.iter().max(),
        DynamicImage::ImageRgb16(image) => image.iter().max(),
        _ => None,
    };
    match brightest {
        Some(&brightest) => super::fills_16_bits(brightest).map(|()| (image, orientation)),
        None => Ok((image, orientation)),
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, Rgb};
    use proptest::prelude::*;

    use super::*;
    use crate::frame::tests::crc;

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
    fn a_webp_is_a_picture_and_half_of_it_is_none() {
        let picture = RgbImage::from_fn(64, 48, |x, y| Rgb([(3 * x) as u8, (5 * y) as u8, (x * y) as u8]));
        let webp = encoded(&picture.clone().into(), ImageFormat::WebP);
        assert_eq!(decode_compressed("webp", &webp).unwrap(), picture);
        for eighths in 1..8 {
            assert!(
                decode_compressed("webp", &webp[..webp.len() * eighths / 8]).is_err(),
                "{eighths} eighths"
            );
        }
    }

    #[test]
    fn depth_by_either_transport_is_refused() {
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 2, Luma([0x8080]));
        let png = encoded(&deep.into(), ImageFormat::Png);
        for format in ["16UC1; png compressed ", "16UC1; png compressed", "32FC1; png compressed 32FC1"] {
            let message = decode_compressed(format, &png).unwrap_err().to_string();
            assert!(message.contains("depth"), "{format}: {message}");
        }
        let dark: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 2, Luma([4095]));
        let png = encoded(&dark.into(), ImageFormat::Png);
        let message = decode_compressed("mono16; png compressed mono16", &png).unwrap_err().to_string();
        assert!(message.contains("4095"), "{message}");
    }

    #[test]
    fn a_mosaic_in_one_channel_is_demosaiced() {
        // Red 200, green 100, blue 50 as R G / G B measures them.
        let mosaic = GrayImage::from_fn(16, 16, |x, y| {
            Luma([[[200, 100], [100, 50]][y as usize % 2][x as usize % 2]])
        });
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
        mosaic.write_with_encoder(encoder).unwrap();
        let png = encoded(&mosaic.into(), ImageFormat::Png);
        for format in
            ["bayer_rggb8; jpeg compressed bayer_rggb8", "bayer_rggb8; jpeg compressed ", "bayer_rggb8"]
        {
            for file in [&jpeg, &png] {
                let pixel = decode_compressed(format, file).unwrap().get_pixel(7, 7).0;
                for (got, want) in pixel.into_iter().zip([200, 100, 50]) {
                    assert!(u8::abs_diff(got, want) <= 4, "{format}: {pixel:?}");
                }
            }
        }
        // What the driver turned to grey before it compressed is no mosaic.
        let pixel = decode_compressed("bayer_rggb8; png compressed mono8", &png).unwrap().get_pixel(0, 0).0;
        assert_eq!(pixel, [200; 3]);
        let message =
            decode_compressed("bayer_rgbg8; png compressed bayer_rgbg8", &png).unwrap_err().to_string();
        assert!(message.contains("bayer_rgbg8"), "{message}");
        // Three channels are colours whatever is said of them.
        let colours = encoded(&ramp().into(), ImageFormat::Png);
        let decoded = decode_compressed("bayer_rggb8; png compressed bayer_rggb8", &colours).unwrap();
        assert_eq!(decoded, ramp());
    }

    #[test]
    fn a_format_of_a_million_characters_gives_a_short_reason() {
        let long = "\n".repeat(1 << 20);
        for format in [long.clone(), long.clone() + "compressedDepth", "bayer".to_owned() + &long] {
            let message = decode_compressed(&format, &[0; 20]).unwrap_err().to_string();
            assert!(message.len() < 1000 && !message.contains('\n'), "{} bytes", message.len());
        }
    }

    #[test]
    fn a_file_is_what_its_content_is_whatever_its_name_says() {
        let folder = std::env::temp_dir().join(format!("content_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.jpg");
        std::fs::write(&path, encoded(&ramp().into(), ImageFormat::Png)).unwrap();
        assert_eq!(open(&path).unwrap().into_rgb8(), ramp());
        std::fs::write(&path, b"no picture").unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains("a.jpg") && message.contains("neither JPEG nor PNG"), "{message}");
        std::fs::remove_dir_all(&folder).unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains("a.jpg") && message.contains("No such file"), "{message}");
        let message = open(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(message.contains("0 bytes of a file"), "{message}");
    }

    #[test]
    fn pixels_are_taken_as_stored_and_a_wish_to_turn_them_is_heard() {
        let jpeg = encoded(&ramp().into(), ImageFormat::Jpeg);
        // APP1: EXIF, little-endian, one entry: orientation 6, a quarter turn.
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let length = (exif.len() as u16 + 2).to_be_bytes();
        let turned = [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat();
        let (image, orientation) = decode(&turned, "a file").unwrap();
        assert_eq!(orientation, Orientation::Rotate90);
        assert_eq!((image, Orientation::NoTransforms), decode(&jpeg, "a file").unwrap());
    }

    #[test]
    fn truncated_files_are_errors() {
        let png = encoded(&ramp().into(), ImageFormat::Png);
        for len in 8..png.len() - 13 {
            let result = decode_compressed("png", &png[..len]);
            assert!(matches!(result, Err(FrameError::Compressed(_))), "{len} bytes");
        }
        let jpeg = encoded(&ramp().into(), ImageFormat::Jpeg);
        for len in 3..jpeg.len() - 2 {
            assert!(decode_compressed("jpeg", &jpeg[..len]).is_err(), "{len} bytes");
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
