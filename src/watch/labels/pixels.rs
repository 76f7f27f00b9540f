//! The pixels of a label image, as segmenters send them.
//!
//! ```text
//! mono8, 8UC1, mono16, 16UC1, 16SC1, 32SC1   a number a pixel
//! mono8 whose data are no rows               run lengths: label and 32-bit count, as Autoware packs its masks
//! rgb8, bgr8, 8UC3, rgba8, bgra8, 8UC4       a colour a pixel, or a number in one of its channels
//! CompressedImage                            a PNG; a JPEG changes numbers, and is refused
//! ```

use crate::frame::label_image::{Kind, LabelImage, LabelImageError, decode as decode_labels};
use crate::frame::{Content, MAX_PIXELS, quoted};

/// What a label image holds, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pixels {
    /// Columns and rows.
    pub size: (u32, u32),
    /// One value a pixel.
    pub values: Values,
}

/// The values of pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Numbers of at most eight bits.
    Bytes(Vec<u8>),
    /// Numbers.
    Numbers(Vec<i32>),
    /// RGB.
    Colors(Vec<[u8; 3]>),
}

/// Why a message is no label image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PixelsError {
    #[error(
        "encoding {} is none of labels; expected mono8, 8UC1, mono16, 16UC1, 16SC1, 32SC1, or a colour encoding of 8 bits \
         (rgb8, bgr8, 8UC3, rgba8, bgra8, 8UC4)",
        quoted(.0)
    )]
    Encoding(String),
    #[error("the image is {0}x{1}; both must be at least 1, and at most {MAX_PIXELS} pixels are decoded")]
    Size(u32, u32),
    #[error("step is {step} bytes, but a row of {width} pixels in {encoding} takes {needed}")]
    Step { encoding: String, width: u32, step: u32, needed: u64 },
    #[error(
        "data holds {len} bytes, which are neither {height} rows of {step} nor run lengths of {width}x{height} pixels"
    )]
    Data { width: u32, height: u32, step: u32, len: usize },
    #[error("format {}: {reason}; labels are compressed as PNG, which keeps every value", quoted(format))]
    Compressed { format: String, reason: LabelImageError },
}

/// Bytes of a run: a label and how many pixels have it.
const RUN: usize = 5;

/// The pixels that a message carries.
pub(crate) fn decode(content: &Content) -> Result<Pixels, PixelsError> {
    match content {
        Content::Raw { width, height, encoding, is_bigendian, step, data } => {
            raw((*width, *height), encoding, *is_bigendian, *step, data)
        }
        Content::Compressed { format, data } => {
            let wrong = |reason| PixelsError::Compressed { format: format.clone(), reason };
            let LabelImage { values, kind } = decode_labels(data).map_err(wrong)?;
            let size = values.dimensions();
            let values = match kind {
                Kind::Values | Kind::Indices(_) => Values::Bytes(values.into_raw()),
                Kind::Colours(colors) => {
                    Values::Colors(values.iter().map(|&place| colors[usize::from(place)]).collect())
                }
            };
            Ok(Pixels { size, values })
        }
    }
}

fn raw(
    size @ (width, height): (u32, u32),
    encoding: &str,
    is_bigendian: bool,
    step: u32,
    data: &[u8],
) -> Result<Pixels, PixelsError> {
    let channels = match encoding {
        "mono8" | "8UC1" => 1,
        "mono16" | "16UC1" | "16SC1" => 2,
        "rgb8" | "bgr8" | "8UC3" => 3,
        "32SC1" | "rgba8" | "bgra8" | "8UC4" => 4,
        _ => return Err(PixelsError::Encoding(encoding.to_owned())),
    };
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PixelsError::Size(width, height));
    }
    if channels == 1
        && data.len() as u64 != u64::from(step) * u64::from(height)
        && let Some(bytes) = run_lengths(data, width as usize * height as usize)
    {
        return Ok(Pixels { size, values: Values::Bytes(bytes) });
    }
    let row = width as usize * channels;
    if (step as usize) < row {
        let (encoding, needed) = (encoding.to_owned(), row as u64);
        return Err(PixelsError::Step { encoding, width, step, needed });
    }
    let step = step as usize;
    if (data.len() as u64) < step as u64 * u64::from(height - 1) + row as u64 {
        return Err(PixelsError::Data { width, height, step: step as u32, len: data.len() });
    }
    let pixels = data.chunks(step).take(height as usize).flat_map(|line| line[..row].chunks_exact(channels));
    let swapped = |pair: &[u8]| if is_bigendian { [pair[1], pair[0]] } else { [pair[0], pair[1]] };
    let four = |p: &[u8]| [p[0], p[1], p[2], p[3]];
    let values = match encoding {
        "mono8" | "8UC1" => Values::Bytes(pixels.map(|pixel| pixel[0]).collect()),
        "16SC1" => Values::Numbers(pixels.map(|p| i16::from_le_bytes(swapped(p)).into()).collect()),
        "mono16" | "16UC1" => {
            Values::Numbers(pixels.map(|p| u16::from_le_bytes(swapped(p)).into()).collect())
        }
        "32SC1" if is_bigendian => Values::Numbers(pixels.map(|p| i32::from_be_bytes(four(p))).collect()),
        "32SC1" => Values::Numbers(pixels.map(|p| i32::from_le_bytes(four(p))).collect()),
        "rgb8" | "rgba8" => Values::Colors(pixels.map(|p| [p[0], p[1], p[2]]).collect()),
        _ => Values::Colors(pixels.map(|p| [p[2], p[1], p[0]]).collect()),
    };
    Ok(Pixels { size, values })
}

/// The pixels that runs add up to, if `data` are runs of exactly so many.
fn run_lengths(data: &[u8], pixels: usize) -> Option<Vec<u8>> {
    if data.is_empty() || !data.len().is_multiple_of(RUN) {
        return None;
    }
    let runs =
        || data.chunks_exact(RUN).map(|run| (run[0], u32::from_le_bytes([run[1], run[2], run[3], run[4]])));
    if runs().map(|(_, length)| u64::from(length)).sum::<u64>() != pixels as u64 {
        return None;
    }
    let mut labels = Vec::with_capacity(pixels);
    runs().for_each(|(label, length)| labels.extend(std::iter::repeat_n(label, length as usize)));
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(encoding: &str, size: (u32, u32), step: u32, is_bigendian: bool, data: &[u8]) -> Content {
        let (encoding, data) = (encoding.to_owned(), data.to_vec().into());
        Content::Raw { width: size.0, height: size.1, encoding, is_bigendian, step, data }
    }

    fn values(content: Content) -> Values {
        decode(&content).unwrap().values
    }

    #[test]
    fn every_form_gives_the_numbers_that_were_sent() {
        use Values::{Bytes, Colors, Numbers};
        assert_eq!(values(message("mono8", (2, 2), 3, false, &[1, 2, 9, 3, 4])), Bytes(vec![1, 2, 3, 4]));
        assert_eq!(values(message("8UC1", (2, 1), 2, false, &[255, 0])), Bytes(vec![255, 0]));
        assert_eq!(values(message("16UC1", (2, 1), 4, false, &[1, 2, 255, 255])), Numbers(vec![513, 65535]));
        assert_eq!(values(message("mono16", (1, 1), 2, true, &[1, 2])), Numbers(vec![258]));
        assert_eq!(values(message("16SC1", (1, 1), 2, false, &[255, 255])), Numbers(vec![-1]));
        assert_eq!(values(message("32SC1", (1, 1), 4, false, &[7, 0, 0, 0])), Numbers(vec![7]));
        assert_eq!(values(message("32SC1", (1, 1), 4, true, &[255, 255, 255, 254])), Numbers(vec![-2]));
        assert_eq!(values(message("rgb8", (1, 1), 3, false, &[1, 2, 3])), Colors(vec![[1, 2, 3]]));
        assert_eq!(values(message("bgra8", (1, 1), 4, false, &[1, 2, 3, 4])), Colors(vec![[3, 2, 1]]));
    }

    #[test]
    fn run_lengths_are_told_by_their_sum() {
        let runs = [7, 3, 0, 0, 0, 9, 1, 0, 0, 0];
        assert_eq!(values(message("mono8", (2, 2), 2, false, &runs)), Values::Bytes(vec![7, 7, 7, 9]));
        // Rows that by chance could be runs are rows.
        assert_eq!(
            values(message("mono8", (5, 1), 5, false, &[7, 5, 0, 0, 0])),
            Values::Bytes(vec![7, 5, 0, 0, 0])
        );
        let short = decode(&message("mono8", (2, 2), 2, false, &[7, 3, 0, 0, 0])).map(|pixels| pixels.values);
        // Five bytes of which four are rows.
        assert_eq!(short.unwrap(), Values::Bytes(vec![7, 3, 0, 0]));
        let none = decode(&message("mono8", (3, 2), 3, false, &[7, 3, 0, 0, 0])).unwrap_err().to_string();
        assert!(none.contains("neither 2 rows of 3 nor run lengths of 3x2"), "{none}");
    }

    #[test]
    fn what_is_no_label_image_is_named() {
        let error = |content| decode(&content).unwrap_err().to_string();
        assert!(
            error(message("32FC1", (1, 1), 4, false, &[0; 4]))
                .contains("encoding \"32FC1\" is none of labels")
        );
        assert!(error(message("mono8", (0, 1), 0, false, &[])).contains("0x1"));
        assert!(error(message("16UC1", (2, 1), 2, false, &[0; 4])).contains("takes 4"));
        assert!(error(message("mono8", (1 << 20, 1 << 20), 1 << 20, false, &[])).contains("1048576x1048576"));
        let jpeg = Content::Compressed { format: "jpeg".into(), data: vec![0xff, 0xd8, 0xff].into() };
        assert!(error(jpeg).contains("not a PNG; labels are compressed as PNG"));
    }

    #[test]
    fn a_png_keeps_its_values() {
        let grey = image::GrayImage::from_raw(3, 1, vec![0, 7, 255]).unwrap();
        let mut data = std::io::Cursor::new(Vec::new());
        grey.write_to(&mut data, image::ImageFormat::Png).unwrap();
        let content = Content::Compressed { format: "png".into(), data: data.into_inner().into() };
        assert_eq!(values(content), Values::Bytes(vec![0, 7, 255]));
    }
}
