//! Messages as bytes: plain CDR, little-endian, as every ROS 2 middleware on x86 and ARM sends it
//! (OMG DDSI-RTPS 2.3, section 10).
//!
//! Four bytes say which encoding follows; alignment counts from behind them.

use byteorder::LittleEndian;

use super::BagError;
use super::message::Message;

/// Encapsulation: plain CDR, little-endian, no options.
const HEADER: [u8; 4] = [0, 1, 0, 0];

/// The message's bytes, encapsulation included.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, BagError> {
    let mut bytes = HEADER.to_vec();
    cdr_encoding::to_writer::<M, LittleEndian, _>(&mut bytes, message).map_err(failed::<M>)?;
    Ok(bytes)
}

/// The message in `bytes`, encapsulation included. Bytes behind its end (padding) are ignored.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, BagError> {
    // The two bytes of options, such as padding, are not needed.
    let Some(body) = bytes.get(HEADER.len()..).filter(|_| bytes.starts_with(&HEADER[..2])) else {
        return Err(BagError::Encapsulation {
            len: bytes.len(),
            start: bytes.iter().copied().take(4).collect(),
        });
    };
    let (message, _) = cdr_encoding::from_bytes::<M, LittleEndian>(body).map_err(failed::<M>)?;
    Ok(message)
}

fn failed<M: Message>(reason: cdr_encoding::Error) -> BagError {
    BagError::Cdr { message: M::DEFINITION.name, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::{CompressedImage, Header, Image, MonitorReport, Text, Time};

    fn image() -> Image {
        let header = Header { stamp: Time { sec: 7, nanosec: 8 }, frame_id: "front".to_owned() };
        let data = vec![1, 2, 3, 4, 5, 6];
        Image { header, height: 1, width: 2, encoding: "rgb8".to_owned(), is_bigendian: 0, step: 6, data }
    }

    #[test]
    fn fields_are_aligned_behind_the_encapsulation() {
        let bytes = encode(&image()).unwrap();
        #[rustfmt::skip]
        let expected = [
            0, 1, 0, 0,
            7, 0, 0, 0,  8, 0, 0, 0,  6, 0, 0, 0, b'f', b'r', b'o', b'n', b't', 0,  0, 0,
            1, 0, 0, 0,  2, 0, 0, 0,  5, 0, 0, 0, b'r', b'g', b'b', b'8', 0,  0,  0, 0,
            6, 0, 0, 0,  6, 0, 0, 0, 1, 2, 3, 4, 5, 6,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(decode::<Image>(&bytes).unwrap(), image());
    }

    #[test]
    fn what_is_no_message_is_refused_and_named() {
        let bytes = encode(&image()).unwrap();
        for end in 0..bytes.len() {
            assert!(decode::<Image>(&bytes[..end]).is_err(), "cut after {end} bytes");
        }
        let big_endian = [&[0, 0][..], &bytes[2..]].concat();
        let message = decode::<Image>(&big_endian).unwrap_err().to_string();
        assert!(message.contains("[00, 00, 00, 00]"), "{message}");
        let message = decode::<MonitorReport>(&bytes).unwrap_err().to_string();
        assert!(message.starts_with("synthcp_monitor/msg/MonitorReport: "), "{message}");
        // A length that no memory holds.
        let mut huge = bytes.clone();
        huge[12..16].fill(0xff);
        assert!(decode::<Image>(&huge).is_err());
    }

    #[test]
    fn padding_and_options_are_ignored() {
        let mut bytes = encode(&Text { data: "ok".to_owned() }).unwrap();
        bytes[3] = 1;
        bytes.push(0);
        assert_eq!(decode::<Text>(&bytes).unwrap().data, "ok");
        let empty = CompressedImage::default();
        assert_eq!(decode::<CompressedImage>(&encode(&empty).unwrap()).unwrap(), empty);
    }
}
