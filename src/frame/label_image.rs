//! A label image, decoded from its bytes: the numbers that its file stores, and the colours that it shows
//! them in.
//!
//! ```text
//! grey of 8, 4, 2 or 1 bits --> the stored values       (a viewer's decoder stretches them to 0..255)
//! palette                   --> the indices; the greys where all of it are distinct greys, as
//!                               optimizers of PNGs make of grey values
//! RGB, at most 256 colours  --> numbered as they are met; what they mean, `coding` says
//! anything else             --> refused with what it is
//! ```

use std::collections::HashMap;
use std::io::Cursor;

use image::GrayImage;
use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use super::MAX_PIXELS;

/// What every PNG begins with.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What a label image holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelImage {
    /// A number for each pixel.
    pub values: GrayImage,
    /// What the numbers are.
    pub kind: Kind,
}

/// What the numbers of a label image are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stored as such.
    Values,
    /// Indices of these colours, which may be more than decoration.
    Indices(Vec<[u8; 3]>),
    /// Places in this list of colours, which alone were stored.
    Colours(Vec<[u8; 3]>),
}

/// Most colours of a label image.
const MOST_COLOURS: usize = 256;

/// Why bytes are no label image.
#[derive(Debug, thiserror::Error)]
pub enum LabelImageError {
    /// Another format, most of which would not keep the values.
    #[error("not a PNG")]
    NotPng,
    /// A broken file.
    #[error("not a whole PNG: {0}")]
    Png(#[from] DecodingError),
    /// Too large to be believed.
    #[error("it is {width}x{height}, and at most {MAX_PIXELS} pixels are decoded")]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Pixels that are not one number of at most eight bits.
    #[error("its pixels are {0}")]
    Pixels(String),
    /// A picture.
    #[error("it has more than {MOST_COLOURS} colours, as a picture has and labels have not")]
    Picture,
    /// A pixel without a colour.
    #[error("a pixel has index {index} in a palette of {entries}")]
    Index {
        /// The index.
        index: u8,
        /// Number of entries.
        entries: usize,
    },
}

/// What a label image holds.
pub fn decode(bytes: &[u8]) -> Result<LabelImage, LabelImageError> {
    if !bytes.starts_with(SIGNATURE) {
        return Err(LabelImageError::NotPng);
    }
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::IDENTITY);
    let (width, height) = decoder.read_header_info()?.size();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(LabelImageError::Size { width, height });
    }
    let mut reader = decoder.read_info()?;
    let (color, depth) = reader.output_color_type();
    let bits = match (color, depth) {
        (_, BitDepth::Sixteen) => return Err(pixels(color, depth)),
        (ColorType::Grayscale | ColorType::Indexed, _) => depth as usize,
        (ColorType::Rgb | ColorType::Rgba, _) => 8,
        _ => return Err(pixels(color, depth)),
    };
    let palette = reader.info().palette.as_ref().map(|palette| palette.to_vec());
    // At most four bytes a pixel.
    let mut packed = vec![0; reader.output_buffer_size().ok_or(LabelImageError::Size { width, height })?];
    let line = reader.next_frame(&mut packed)?.line_size;
    if let ColorType::Rgb | ColorType::Rgba = color {
        return coloured((width, height), &packed, color);
    }
    let mut values = Vec::with_capacity(width as usize * height as usize);
    for row in packed.chunks_exact(line) {
        values.extend((0..width as usize).map(|x| unpack(row, x, bits)));
    }
    let mut kind = Kind::Values;
    if color == ColorType::Indexed {
        let palette = palette.unwrap_or_default();
        let entries: Vec<&[u8]> = palette.chunks_exact(3).collect();
        if let Some(&index) = values.iter().find(|&&index| usize::from(index) >= entries.len()) {
            return Err(LabelImageError::Index { index, entries: entries.len() });
        }
        if let Some(greys) = distinct_greys(&entries) {
            values.iter_mut().for_each(|index| *index = greys[usize::from(*index)]);
        } else {
            kind = Kind::Indices(entries.iter().map(|entry| [entry[0], entry[1], entry[2]]).collect());
        }
    }
    image((width, height), values, kind)
}

/// As many values as were announced, or the decoder has failed.
fn image((width, height): (u32, u32), values: Vec<u8>, kind: Kind) -> Result<LabelImage, LabelImageError> {
    let values = GrayImage::from_raw(width, height, values).ok_or(LabelImageError::Size { width, height })?;
    Ok(LabelImage { values, kind })
}

/// Numbers for colours, in the order in which they are met.
fn coloured(size: (u32, u32), packed: &[u8], color: ColorType) -> Result<LabelImage, LabelImageError> {
    let mut colours: Vec<[u8; 3]> = Vec::new();
    let mut numbers = HashMap::new();
    let mut values = Vec::with_capacity(packed.len() / color.samples());
    for pixel in packed.chunks_exact(color.samples()) {
        if let [_, _, _, alpha] = pixel
            && *alpha != 255
        {
            return Err(pixels(color, BitDepth::Eight));
        }
        let colour = [pixel[0], pixel[1], pixel[2]];
        let number = *numbers.entry(colour).or_insert_with(|| {
            colours.push(colour);
            colours.len() - 1
        });
        values.push(u8::try_from(number).map_err(|_| LabelImageError::Picture)?);
    }
    image(size, values, Kind::Colours(colours))
}

/// The value of `bits` bits at place `x` of a row; the leftmost is in the highest bits.
fn unpack(row: &[u8], x: usize, bits: usize) -> u8 {
    let at = x * bits;
    let shift = 8 - bits - at % 8;
    (row[at / 8] >> shift) & (0xff >> (8 - bits))
}

/// The greys of a palette that has nothing else, each once. One of black and white alone is how pictures of
/// two indices are shown.
fn distinct_greys(entries: &[&[u8]]) -> Option<Vec<u8>> {
    let grey = |entry: &&[u8]| (entry[0] == entry[1] && entry[1] == entry[2]).then_some(entry[0]);
    let greys: Vec<u8> = entries.iter().map(grey).collect::<Option<_>>()?;
    let mut seen = [false; 256];
    let distinct = greys.iter().all(|&grey| !std::mem::replace(&mut seen[usize::from(grey)], true));
    (distinct && greys != [0, 255] && greys != [255, 0]).then_some(greys)
}

impl LabelImageError {
    /// Colours where numbers are wanted.
    #[cfg(feature = "data")]
    pub(crate) fn coloured() -> Self {
        pixels(ColorType::Rgb, BitDepth::Eight)
    }
}

fn pixels(color: ColorType, depth: BitDepth) -> LabelImageError {
    let what = match color {
        ColorType::Grayscale => "grey",
        ColorType::GrayscaleAlpha => "grey with transparency",
        ColorType::Rgb => "colours (RGB)",
        ColorType::Rgba => "colours with transparency (RGBA)",
        ColorType::Indexed => "indices",
    };
    LabelImageError::Pixels(format!("{what} of {} bits", depth as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of one row of three pixels, `row` packed as the format wants it.
    fn png(color: ColorType, depth: BitDepth, palette: &[u8], row: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if !palette.is_empty() {
            encoder.set_palette(palette.to_vec());
        }
        encoder.write_header().unwrap().write_image_data(row).unwrap();
        bytes
    }

    fn values(bytes: &[u8]) -> Vec<u8> {
        decode(bytes).unwrap().values.into_raw()
    }

    #[test]
    fn grey_of_any_depth_arrives_as_stored() {
        let cases: [(BitDepth, &[u8], [u8; 3]); 4] = [
            (BitDepth::Eight, &[0, 7, 255], [0, 7, 255]),
            (BitDepth::Four, &[0x0b, 0x30], [0, 11, 3]),
            (BitDepth::Two, &[0b00_01_10_00], [0, 1, 2]),
            (BitDepth::One, &[0b0110_0000], [0, 1, 1]),
        ];
        for (depth, row, expected) in cases {
            assert_eq!(values(&png(ColorType::Grayscale, depth, &[], row)), expected, "{depth:?}");
        }
    }

    #[test]
    fn indices_of_a_palette_of_colours_are_the_labels() {
        let voc = [0, 0, 0, 128, 0, 0, 0, 128, 0];
        assert_eq!(values(&png(ColorType::Indexed, BitDepth::Eight, &voc, &[2, 0, 1])), [2, 0, 1]);
        assert_eq!(values(&png(ColorType::Indexed, BitDepth::Two, &voc, &[0b10_00_01_00])), [2, 0, 1]);
        let black_and_white = [0, 0, 0, 255, 255, 255];
        assert_eq!(
            values(&png(ColorType::Indexed, BitDepth::One, &black_and_white, &[0b0110_0000])),
            [0, 1, 1]
        );
        // A palette that nobody filled in.
        assert_eq!(values(&png(ColorType::Indexed, BitDepth::Eight, &[0; 9], &[2, 0, 1])), [2, 0, 1]);
    }

    #[test]
    fn colours_are_numbered_as_they_are_met() {
        let opaque = [9, 8, 7, 255, 1, 2, 3, 255, 9, 8, 7, 255];
        let colours = [9, 8, 7, 1, 2, 3, 9, 8, 7];
        for file in [
            png(ColorType::Rgba, BitDepth::Eight, &[], &opaque),
            png(ColorType::Rgb, BitDepth::Eight, &[], &colours),
        ] {
            let image = decode(&file).unwrap();
            assert_eq!(image.values.into_raw(), [0, 1, 0]);
            assert_eq!(image.kind, Kind::Colours(vec![[9, 8, 7], [1, 2, 3]]));
        }
    }

    #[test]
    fn a_picture_is_no_label_image() {
        let mut picture = std::io::Cursor::new(Vec::new());
        let many = image::RgbImage::from_fn(20, 20, |x, y| image::Rgb([x as u8, y as u8, 0]));
        many.write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let said = decode(&picture.into_inner()).unwrap_err().to_string();
        assert!(said.contains("more than 256 colours"), "{said}");
    }

    #[test]
    fn a_palette_of_greys_holds_the_labels_that_an_optimizer_put_there() {
        let greys = [[23; 3], [7; 3], [255; 3]].concat();
        assert_eq!(values(&png(ColorType::Indexed, BitDepth::Two, &greys, &[0b10_00_01_00])), [255, 23, 7]);
    }

    #[test]
    fn what_is_no_label_image_is_refused_with_what_it_is() {
        let said = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        for (color, depth, row, expected) in [
            (ColorType::Grayscale, BitDepth::Sixteen, &[0; 6][..], "grey of 16 bits"),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, &[0; 6], "grey with transparency of 8 bits"),
            (ColorType::Rgb, BitDepth::Sixteen, &[0; 18], "colours (RGB) of 16 bits"),
            (ColorType::Rgba, BitDepth::Eight, &[0; 12], "colours with transparency (RGBA) of 8 bits"),
        ] {
            assert_eq!(said(&png(color, depth, &[], row)), format!("its pixels are {expected}"));
        }
        let beyond = png(ColorType::Indexed, BitDepth::Eight, &[0, 0, 0, 9, 9, 9], &[0, 1, 5]);
        assert_eq!(said(&beyond), "a pixel has index 5 in a palette of 2");
        assert_eq!(said(b"\xff\xd8\xff\xe0"), "not a PNG");
        let whole = png(ColorType::Grayscale, BitDepth::Eight, &[], &[1, 2, 3]);
        assert!(said(&whole[..whole.len() - 20]).starts_with("not a whole PNG"));
        let mut huge = whole;
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let sum = crate::frame::tests::crc(&huge[12..29]);
        huge[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(said(&huge).contains("at most 67108864 pixels"), "{}", said(&huge));
    }
}
