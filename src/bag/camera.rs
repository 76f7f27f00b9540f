//! Image messages as the node receives them: a [`CameraImage`] whose pixels are a part of the message.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::cdr::decode_part;
use super::message::{CompressedImage, Image, Message, Time};
use super::{BagError, cdr};
use crate::frame::{CameraImage, Content, Stamp};

#[derive(Deserialize)]
struct Head<'a> {
    stamp: Time,
    #[serde(borrow)]
    frame_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    header: Head<'a>,
    height: u32,
    width: u32,
    #[serde(borrow)]
    encoding: Cow<'a, str>,
    is_bigendian: u8,
    step: u32,
    #[serde(borrow)]
    data: &'a [u8],
}

#[derive(Deserialize)]
struct Compressed<'a> {
    #[serde(borrow)]
    header: Head<'a>,
    #[serde(borrow)]
    format: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a [u8],
}

/// Type of the messages that say at which size a camera is calibrated.
pub const CAMERA_INFO: &str = "sensor_msgs/msg/CameraInfo";

/// Whether messages of this type are images.
pub fn is_image(kind: &str) -> bool {
    kind == Image::DEFINITION.name || kind == CompressedImage::DEFINITION.name
}

/// The image in a message of type `kind`, which is one of images.
pub fn camera_image(kind: &str, message: &Bytes) -> Result<CameraImage, BagError> {
    if kind == CompressedImage::DEFINITION.name {
        let Compressed { header, format, data } = decode_part(message, CompressedImage::DEFINITION.name)?;
        let data = message.slice_ref(data);
        return Ok(image_of(header, Content::Compressed { format: format.into_owned(), data }));
    }
    let Raw { header, height, width, encoding, is_bigendian, step, data } =
        decode_part(message, Image::DEFINITION.name)?;
    let (encoding, data) = (encoding.into_owned(), message.slice_ref(data));
    let is_bigendian = is_bigendian != 0;
    Ok(image_of(header, Content::Raw { width, height, encoding, is_bigendian, step, data }))
}

fn image_of(Head { stamp, frame_id }: Head, content: Content) -> CameraImage {
    let stamp = Stamp { sec: stamp.sec, nanosec: stamp.nanosec };
    CameraImage { stamp, frame_id: frame_id.into_owned(), content }
}

/// Width and height that a camera is calibrated at, from a message of type [`CAMERA_INFO`].
pub fn calibrated_size(message: &[u8]) -> Result<(u32, u32), BagError> {
    #[derive(Deserialize)]
    struct Info<'a> {
        #[serde(borrow)]
        _header: Head<'a>,
        height: u32,
        width: u32,
    }
    let Info { height, width, .. } = cdr::decode_part(message, CAMERA_INFO)?;
    Ok((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::Header;

    #[test]
    fn pixels_are_those_of_the_message_and_not_copied() {
        let header = Header { stamp: Time { sec: 7, nanosec: 8 }, frame_id: "front".to_owned() };
        let data: Vec<u8> = (0..24).collect();
        let image =
            Image { header, height: 2, width: 4, encoding: "rgb8".into(), is_bigendian: 0, step: 12, data };
        let message = Bytes::from(cdr::encode(&image).unwrap());
        let read = camera_image(Image::DEFINITION.name, &message).unwrap();
        assert_eq!((read.stamp, read.frame_id.as_str()), (Stamp { sec: 7, nanosec: 8 }, "front"));
        assert_eq!(read.decode().unwrap().as_raw()[..], image.data);
        let Content::Raw { data, .. } = read.content else { panic!("it is raw") };
        assert!(message.as_ptr_range().contains(&data.as_ptr()));
    }

    #[test]
    fn a_message_that_is_cut_anywhere_is_an_error() {
        let image = CompressedImage { format: "jpeg".into(), data: vec![1; 9], ..CompressedImage::default() };
        let message = Bytes::from(cdr::encode(&image).unwrap());
        for end in 0..message.len() {
            assert!(camera_image(CompressedImage::DEFINITION.name, &message.slice(..end)).is_err(), "{end}");
        }
    }

    #[test]
    fn the_calibrated_size_is_read_from_the_beginning_of_camera_info() {
        let mut message = vec![0, 1, 0, 0];
        // Stamp, an empty frame_id with its end and padding, height, width; the rest is of no interest.
        for word in [1u32, 2, 1, 0, 540, 960, 0] {
            message.extend(word.to_le_bytes());
        }
        assert_eq!(calibrated_size(&message).unwrap(), (960, 540));
    }
}
