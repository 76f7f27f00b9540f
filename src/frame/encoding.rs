//! The pixel encodings that camera drivers send, by their names in `sensor_msgs/image_encodings.hpp`.

use std::fmt;
use std::str::FromStr;

use super::FrameError;
use super::bayer::Pattern;

/// How the bytes of a raw image make pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `rgb8`.
    Rgb8,
    /// `bgr8`, `8UC3`.
    Bgr8,
    /// `rgba8`; alpha is dropped.
    Rgba8,
    /// `bgra8`, `8UC4`; alpha is dropped.
    Bgra8,
    /// `mono8`, `8UC1`.
    Mono8,
    /// `mono16`; the upper 8 bits are kept.
    Mono16,
    /// `bayer_*8`.
    Bayer8(Pattern),
    /// `bayer_*16`; the upper 8 bits are kept.
    Bayer16(Pattern),
    /// `uyvy`, `yuv422`: 4:2:2, bytes U Y V Y.
    Uyvy,
    /// `yuyv`, `yuv422_yuy2`: 4:2:2, bytes Y U Y V.
    Yuyv,
    /// `nv12`: a plane of Y, then a plane of U V at half the size.
    Nv12,
    /// `nv21`: a plane of Y, then a plane of V U at half the size.
    Nv21,
    /// `nv24`: a plane of Y, then a plane of U V at full size.
    Nv24,
}

/// Names that depth images go by.
const DEPTH: [&str; 3] = ["16UC1", "16SC1", "32FC1"];

/// Every accepted name; the first one of an encoding is the one it is shown by.
const NAMES: [(&str, Encoding); 24] = [
    ("rgb8", Encoding::Rgb8),
    ("bgr8", Encoding::Bgr8),
    ("rgba8", Encoding::Rgba8),
    ("bgra8", Encoding::Bgra8),
    ("mono8", Encoding::Mono8),
    ("mono16", Encoding::Mono16),
    ("8UC1", Encoding::Mono8),
    ("8UC3", Encoding::Bgr8),
    ("8UC4", Encoding::Bgra8),
    ("bayer_rggb8", Encoding::Bayer8(Pattern::Rggb)),
    ("bayer_bggr8", Encoding::Bayer8(Pattern::Bggr)),
    ("bayer_gbrg8", Encoding::Bayer8(Pattern::Gbrg)),
    ("bayer_grbg8", Encoding::Bayer8(Pattern::Grbg)),
    ("bayer_rggb16", Encoding::Bayer16(Pattern::Rggb)),
    ("bayer_bggr16", Encoding::Bayer16(Pattern::Bggr)),
    ("bayer_gbrg16", Encoding::Bayer16(Pattern::Gbrg)),
    ("bayer_grbg16", Encoding::Bayer16(Pattern::Grbg)),
    ("uyvy", Encoding::Uyvy),
    ("yuv422", Encoding::Uyvy),
    ("yuyv", Encoding::Yuyv),
    ("yuv422_yuy2", Encoding::Yuyv),
    ("nv12", Encoding::Nv12),
    ("nv21", Encoding::Nv21),
    ("nv24", Encoding::Nv24),
];

impl Encoding {
    /// Every accepted name, for messages.
    pub(crate) fn supported() -> String {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Bytes a pixel of one row; of the first plane where there are two.
    pub(super) fn bytes_per_pixel(self) -> u64 {
        match self {
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
            Self::Mono16 | Self::Bayer16(_) | Self::Uyvy | Self::Yuyv => 2,
            Self::Mono8 | Self::Bayer8(_) | Self::Nv12 | Self::Nv21 | Self::Nv24 => 1,
        }
    }

    /// Smallest unit of columns and rows that the encoding can hold.
    pub(super) fn block(self) -> (u32, u32) {
        match self {
            Self::Uyvy | Self::Yuyv => (2, 1),
            Self::Nv12 | Self::Nv21 => (2, 2),
            _ => (1, 1),
        }
    }
}

impl FromStr for Encoding {
    type Err = FrameError;

    /// Reads a name as ROS writes it; an unknown one is an error that lists all.
    fn from_str(name: &str) -> Result<Self, FrameError> {
        if DEPTH.contains(&name) {
            return Err(FrameError::Depth { value: name.to_owned() });
        }
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, encoding)| *encoding)
            .ok_or_else(|| FrameError::Encoding { value: name.to_owned(), supported: Self::supported() })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, encoding)| encoding == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_shown() {
        for (name, encoding) in NAMES {
            assert_eq!(name.parse::<Encoding>().unwrap(), encoding);
            assert_eq!(encoding.to_string().parse::<Encoding>().unwrap(), encoding);
        }
        assert_eq!("8UC3".parse::<Encoding>().unwrap().to_string(), "bgr8");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_list() {
        let message = "rgb16".parse::<Encoding>().unwrap_err().to_string();
        assert!(message.contains("\"rgb16\""), "{message}");
        assert!(NAMES.iter().all(|(name, _)| message.contains(name)), "{message}");
    }
}
