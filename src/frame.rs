//! A camera frame: pixels, stamp and camera name, decoded from any encoding a driver sends.

mod bayer;
mod camera_image;
mod compressed;
mod encoding;
pub mod health;
mod jpeg;
pub(crate) mod label_image;
mod png;
mod yuv;

use image::{GrayImage, RgbImage};

use crate::quote::told;

pub(crate) use crate::quote::{quoted, shortened};
pub use bayer::Pattern;
pub use camera_image::{CameraImage, Content};
pub use compressed::{FileError, decode_compressed, open};
pub use encoding::Encoding;

/// Largest image that is decoded, in pixels (8192 x 8192): a corrupt header must not make the
/// monitor ask for gigabytes.
pub(crate) const MAX_PIXELS: u64 = 1 << 26;

/// Time of acquisition as the camera stated it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Whole seconds.
    pub sec: i32,
    /// Nanoseconds within the second.
    pub nanosec: u32,
}

/// One decoded image with what its header said.
#[derive(Clone, Debug)]
pub struct Frame {
    /// RGB, 8 bits a channel, at the camera's own size.
    pub image: RgbImage,
    /// Acquisition time, copied unchanged into every output.
    pub stamp: Stamp,
    /// The header's `frame_id`, copied unchanged into every output.
    pub camera: String,
    /// Another segmenter's class ids, covering what the image covers at any size: assessed in place of M's. An id that
    /// is no class's is no label.
    pub labels: Option<GrayImage>,
}

impl Frame {
    /// An image that no camera's header came with: a file, a rendering.
    pub fn new(image: RgbImage) -> Self {
        Self { image, stamp: Stamp::default(), camera: String::new(), labels: None }
    }
}

/// The fields of a `sensor_msgs/Image`, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawImage<'a> {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// One of [`Encoding::supported`].
    pub encoding: &'a str,
    /// Byte order of 16-bit channels.
    pub is_bigendian: bool,
    /// Bytes from one row to the next; what exceeds the row is padding.
    pub step: u32,
    /// `step * height` bytes; the last row's padding may be missing.
    pub data: &'a [u8],
}

/// Why an image cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not an encoding this crate knows.
    #[error("encoding {} is not supported; supported are {supported}", quoted(value))]
    Encoding {
        /// What the message says.
        value: String,
        /// All accepted names.
        supported: String,
    },
    /// No pixels.
    #[error("the image is {width}x{height}; both must be at least 1")]
    Empty {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// More pixels than `MAX_PIXELS`.
    #[error("the image is {width}x{height}; at most {MAX_PIXELS} pixels are decoded")]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A size the encoding cannot have.
    #[error("a {encoding} image cannot be {width}x{height}; {rule}")]
    Size {
        /// The encoding.
        encoding: Encoding,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// What it can have.
        rule: &'static str,
    },
    /// Rows overlap.
    #[error("step is {step} bytes, but a row of {width} pixels in {encoding} takes {needed}")]
    Step {
        /// The encoding.
        encoding: Encoding,
        /// Columns.
        width: u32,
        /// Stated bytes from row to row.
        step: u32,
        /// Fewest possible.
        needed: u64,
    },
    /// Pixels are missing.
    #[error("data holds {len} bytes, but {width}x{height} in {encoding} with step {step} takes {needed}")]
    Data {
        /// The encoding.
        encoding: Encoding,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Stated bytes from row to row.
        step: u32,
        /// Bytes present.
        len: usize,
        /// Bytes needed, without the last row's padding.
        needed: u64,
    },
    /// What depth images have: their numbers are distances.
    #[error(
        "encoding {} is that of a depth image; a camera's picture of 16 bits grey is mono16",
        quoted(value)
    )]
    Depth {
        /// What the message says.
        value: String,
    },
    /// 16 bits of which the upper four are never used: the picture would be black.
    #[error(
        "the largest of its 16-bit values is {brightest}: at most 12 bits are used, and the picture would be black; \
         the driver must send values from 0 to 65535, or 8 bits"
    )]
    Dark {
        /// The largest value.
        brightest: u16,
    },
    /// A depth image: its numbers are distances and its bytes no picture.
    #[error("format {} is compressed depth; expected a JPEG, PNG or WebP colour image", quoted(format))]
    CompressedDepth {
        /// What the message says.
        format: String,
    },
    /// Neither JPEG nor PNG nor WebP.
    #[error("{len} bytes of {said} begin with {start:02x?}, which is neither JPEG nor PNG nor WebP")]
    CompressedFormat {
        /// What is said of them.
        said: String,
        /// Bytes present.
        len: usize,
        /// The first few.
        start: Vec<u8>,
    },
    /// A damaged or truncated file.
    #[error("compressed image: {}", told(.0))]
    Compressed(image::ImageError),
    /// A PNG that its decoder would trust.
    #[error("the PNG is damaged: {what}")]
    PngDamaged {
        /// Where.
        what: String,
    },
    /// Half a picture.
    #[error("the JPEG ends early: {what}")]
    JpegEndsEarly {
        /// What is missing.
        what: String,
    },
    /// Its data mean nothing.
    #[error("the JPEG is damaged: {what}")]
    JpegDamaged {
        /// Where.
        what: String,
    },
    /// Small to send, long to decode.
    #[error("the JPEG has more scans than are decoded: at most 64, fewer for a large picture")]
    JpegScans,
    /// A file that the system does not give.
    #[error("{0}")]
    File(std::io::Error),
}

/// Decodes a raw image to RGB.
///
/// Never panics, whatever the fields hold, and reads only what `step` and the size cover: more
/// data than needed is not an error.
///
/// For NV12, NV21 and NV24, `step` is the stride of the luma plane (NV24's chroma rows are twice as
/// long). Some drivers state another step for these while the planes are packed, so data of exactly
/// the packed length is read as packed.
///
/// `buffer` is memory that served before, if any; of what it held nothing is left.
pub(crate) fn decode_raw(raw: &RawImage, buffer: Vec<u8>) -> Result<RgbImage, FrameError> {
    let encoding: Encoding = raw.encoding.parse()?;
    let layout = check(raw, encoding)?;
    let Layout { width, height, row_bytes, step } = layout;
    if matches!(encoding, Encoding::Mono16 | Encoding::Bayer16(_)) {
        let rows = raw.data.chunks(step).take(height).map(|row| &row[..row_bytes.min(row.len())]);
        fills_16_bits(rows.map(|row| brightest(row, raw.is_bigendian)).max().unwrap_or(0))?;
    }
    let mut out = of_length(buffer, width * height * 3);
    let rows = raw.data.chunks(step).map(|row| &row[..row_bytes.min(row.len())]);
    let rows = rows.zip(out.chunks_exact_mut(3 * width));
    match encoding {
        Encoding::Rgb8 => rows.for_each(|(row, out)| out.copy_from_slice(row)),
        Encoding::Bgr8 => rows.for_each(|(row, out)| bgr_row::<3>(row, out)),
        Encoding::Bgra8 => rows.for_each(|(row, out)| bgr_row::<4>(row, out)),
        Encoding::Rgba8 => rows.for_each(|(row, out)| rgba_row(row, out)),
        Encoding::Mono8 => rows.for_each(|(row, out)| mono_row(row, out)),
        Encoding::Mono16 => rows.for_each(|(row, out)| mono_row(&upper_bytes(row, raw.is_bigendian), out)),
        Encoding::Uyvy => rows.for_each(|(row, out)| yuv::uyvy_row(row, out)),
        Encoding::Yuyv => rows.for_each(|(row, out)| yuv::yuyv_row(row, out)),
        Encoding::Bayer8(pattern) => bayer::demosaic(raw.data, step, width, height, pattern, &mut out),
        Encoding::Bayer16(pattern) => {
            let plane: Vec<u8> = rows.flat_map(|(row, _)| upper_bytes(row, raw.is_bigendian)).collect();
            bayer::demosaic(&plane, width, width, height, pattern, &mut out);
        }
        Encoding::Nv12 | Encoding::Nv21 => {
            let pairs = &raw.data[step * height..];
            for (y, (luma, out)) in rows.enumerate() {
                let pairs = &pairs[y / 2 * step..][..width];
                yuv::half_chroma_row(luma, pairs, encoding == Encoding::Nv21, out);
            }
        }
        Encoding::Nv24 => {
            let pairs = &raw.data[step * height..];
            for (y, (luma, out)) in rows.enumerate() {
                yuv::full_chroma_row(luma, &pairs[y * 2 * step..][..2 * width], out);
            }
        }
    }
    // The buffer was made for this size.
    RgbImage::from_raw(raw.width, raw.height, out)
        .ok_or(FrameError::TooLarge { width: raw.width, height: raw.height })
}

/// Memory of so many bytes, whatever they are.
fn of_length(mut buffer: Vec<u8>, length: usize) -> Vec<u8> {
    if buffer.capacity() < length {
        // Zeros that the system gives are not written.
        return vec![0; length];
    }
    buffer.resize(length, 0);
    buffer
}

/// A size and stride that the data is known to cover.
struct Layout {
    width: usize,
    height: usize,
    row_bytes: usize,
    step: usize,
}

fn check(raw: &RawImage, encoding: Encoding) -> Result<Layout, FrameError> {
    let RawImage { width, height, step, data, .. } = *raw;
    if width == 0 || height == 0 {
        return Err(FrameError::Empty { width, height });
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(FrameError::TooLarge { width, height });
    }
    let wrong_size = |rule| Err(FrameError::Size { encoding, width, height, rule });
    let (block_width, block_height) = encoding.block();
    if width % block_width != 0 || height % block_height != 0 {
        return wrong_size(if block_height == 1 { "the width must be even" } else { "both must be even" });
    }
    if matches!(encoding, Encoding::Bayer8(_) | Encoding::Bayer16(_)) && (width < 2 || height < 2) {
        return wrong_size("both must be at least 2");
    }
    // At most MAX_PIXELS * 4 bytes a row and 2^32 * 2^26 * 3 in all: u64 cannot overflow.
    let row_bytes = u64::from(width) * encoding.bytes_per_pixel();
    if u64::from(step) < row_bytes {
        return Err(FrameError::Step { encoding, width, step, needed: row_bytes });
    }
    let (len, rows) = (data.len() as u64, u64::from(height));
    let needed = |step: u64| match encoding {
        Encoding::Nv12 | Encoding::Nv21 => step * rows + step * (rows / 2 - 1) + row_bytes,
        Encoding::Nv24 => step * rows + 2 * step * (rows - 1) + 2 * row_bytes,
        _ => step * (rows - 1) + row_bytes,
    };
    let planar = matches!(encoding, Encoding::Nv12 | Encoding::Nv21 | Encoding::Nv24);
    let used_step = if planar && len == needed(row_bytes) { row_bytes } else { u64::from(step) };
    if len < needed(used_step) {
        return Err(FrameError::Data {
            encoding,
            width,
            height,
            step,
            len: data.len(),
            needed: needed(used_step),
        });
    }
    Ok(Layout {
        width: width as usize,
        height: height as usize,
        row_bytes: row_bytes as usize,
        step: used_step as usize,
    })
}

/// Blue first, with `N` bytes a pixel.
fn bgr_row<const N: usize>(row: &[u8], out: &mut [u8]) {
    for (pixel, out) in row.chunks_exact(N).zip(out.chunks_exact_mut(3)) {
        out[0] = pixel[2];
        out[1] = pixel[1];
        out[2] = pixel[0];
    }
}

fn rgba_row(row: &[u8], out: &mut [u8]) {
    for (pixel, out) in row.chunks_exact(4).zip(out.chunks_exact_mut(3)) {
        out.copy_from_slice(&pixel[..3]);
    }
}

fn mono_row(row: &[u8], out: &mut [u8]) {
    for (&value, out) in row.iter().zip(out.chunks_exact_mut(3)) {
        out.fill(value);
    }
}

/// 16-bit values divided by 256.
fn upper_bytes(row: &[u8], is_bigendian: bool) -> Vec<u8> {
    row.chunks_exact(2).map(|pair| pair[usize::from(!is_bigendian)]).collect()
}

/// The largest 16-bit value of a row.
fn brightest(row: &[u8], is_bigendian: bool) -> u16 {
    let value = |pair: &[u8]| {
        let pair = [pair[0], pair[1]];
        if is_bigendian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    };
    row.chunks_exact(2).map(value).max().unwrap_or(0)
}

/// Refuses 16-bit values that a camera of 10 or 12 bits left in the lower bits: their upper eight
/// are a black picture. A guess at the bits would change from frame to frame.
fn fills_16_bits(brightest: u16) -> Result<(), FrameError> {
    if brightest < 1 << 12 { Err(FrameError::Dark { brightest }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
