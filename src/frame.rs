//! A camera frame: pixels, stamp and camera name, decoded from any encoding a driver sends.

use image::RgbImage;

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
}
