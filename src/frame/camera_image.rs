//! An image as the camera's driver sent it, not decoded yet.

use bytes::Bytes;
use image::RgbImage;

use super::{FrameError, RawImage, Stamp, decode_compressed, decode_raw};

/// An image message of either transport, without its ROS type.
#[derive(Clone, Debug)]
pub struct CameraImage {
    /// Time of acquisition.
    pub stamp: Stamp,
    /// The header's `frame_id`.
    pub frame_id: String,
    /// The pixels, still encoded.
    pub content: Content,
}

/// Pixels as a message carries them: a part of its bytes, not a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The fields of a `sensor_msgs/Image`, owned; `RawImage` says what each means.
    Raw {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// One of `Encoding::supported`.
        encoding: String,
        /// Byte order of 16-bit channels.
        is_bigendian: bool,
        /// Bytes from one row to the next.
        step: u32,
        /// `step * height` bytes.
        data: Bytes,
    },
    /// The fields of a `sensor_msgs/CompressedImage`.
    Compressed {
        /// What the driver says of the bytes.
        format: String,
        /// A JPEG, PNG or WebP file.
        data: Bytes,
    },
}

impl CameraImage {
    /// What the driver calls its encoding.
    pub(crate) fn encoding(&self) -> &str {
        match &self.content {
            Content::Raw { encoding, .. } => encoding,
            Content::Compressed { format, .. } => format,
        }
    }

    /// Whether it came by the compressed transport.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.content, Content::Compressed { .. })
    }

    /// Its pixels. Errors and limits are those of `decode_raw` and [`decode_compressed`].
    pub fn decode(&self) -> Result<RgbImage, FrameError> {
        self.decode_into(Vec::new())
    }

    /// The same, in the memory of a picture that is done with. New memory for each picture costs more than the
    /// decoding of raw pixels.
    pub fn decode_into(&self, buffer: Vec<u8>) -> Result<RgbImage, FrameError> {
        match &self.content {
            Content::Raw { width, height, encoding, is_bigendian, step, data } => {
                let (width, height, is_bigendian, step) = (*width, *height, *is_bigendian, *step);
                decode_raw(&RawImage { width, height, encoding, is_bigendian, step, data }, buffer)
            }
            Content::Compressed { format, data } => decode_compressed(format, data),
        }
    }
}
