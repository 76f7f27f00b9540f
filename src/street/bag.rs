//! A drive as a bag: the camera's images with their ground truth.

use std::path::Path;

use image::GrayImage;

use super::{Drive, DriveOptions};
use crate::bag::BagError;
use crate::bag::message::{Header, Image, Message, Time};
use crate::bag::writer::{BagWriter, Offer};

/// Where a drive's own time begins, in seconds since 1970: a bag is the same whenever it is made.
const BEGIN: u64 = 1_700_000_000;

fn message(header: &Header, encoding: &str, (width, height): (u32, u32), data: Vec<u8>) -> Image {
    let step = data.len() as u32 / height.max(1);
    Image { header: header.clone(), height, width, encoding: encoding.into(), is_bigendian: 0, step, data }
}

/// Writes `frames` frames of a drive: `/image` (rgb8), `/labels` (mono8, class ids) and `/anomaly`
/// (mono8, 1 on anomaly objects). `each` is called after each frame.
pub fn write(
    path: &Path,
    options: &DriveOptions,
    frames: usize,
    mut each: impl FnMut(),
) -> Result<(), BagError> {
    let mut bag = BagWriter::create(path)?;
    let image = bag.topic("/image", Image::DEFINITION, Offer::SensorData)?;
    let labels = bag.topic("/labels", Image::DEFINITION, Offer::SensorData)?;
    let anomaly = bag.topic("/anomaly", Image::DEFINITION, Offer::SensorData)?;
    for (number, frame) in Drive::new(options).take(frames).enumerate() {
        let nanos = (number as f64 / f64::from(options.rate) * 1e9) as u64;
        let (seconds, nanosec) = (nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32);
        let stamp = Time { sec: (BEGIN + seconds) as i32, nanosec };
        let header = Header { stamp, frame_id: "camera_optical".into() };
        let time = BEGIN * 1_000_000_000 + nanos;
        let size = frame.image.dimensions();
        let grey = |map: GrayImage| message(&header, "mono8", size, map.into_raw());
        bag.write(image, time, &message(&header, "rgb8", size, frame.image.into_raw()))?;
        bag.write(labels, time, &grey(frame.labels))?;
        bag.write(anomaly, time, &grey(frame.anomaly))?;
        each();
    }
    bag.finish()
}
