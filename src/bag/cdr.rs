//! Messages as bytes: plain CDR (OMG DDSI-RTPS 2.3, section 10). Written little-endian, as every ROS 2
//! middleware on x86 and ARM does; read in both byte orders.
//!
//! Four bytes say which encoding follows; alignment counts from behind them.

use byteorder::{BigEndian, LittleEndian};
use serde::Deserialize;

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
    decode_part(bytes, M::DEFINITION.name)
}

/// What a message begins with, or all of it; it may borrow from `bytes`.
pub(crate) fn decode_part<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    message: &'static str,
) -> Result<T, BagError> {
    let decoded = match bytes.split_at_checked(HEADER.len()) {
        // The two bytes of options, such as padding, are not needed.
        Some(([0, 1, ..], body)) => cdr_encoding::from_bytes::<T, LittleEndian>(body),
        Some(([0, 0, ..], body)) => cdr_encoding::from_bytes::<T, BigEndian>(body),
        _ => {
            let start = bytes.iter().copied().take(4).collect();
            return Err(BagError::Encapsulation { len: bytes.len(), start });
        }
    };
    decoded.map(|(part, _)| part).map_err(|reason| BagError::Cdr { message, reason })
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
        let parameters = [&[0, 3][..], &bytes[2..]].concat();
        let message = decode::<Image>(&parameters).unwrap_err().to_string();
        assert!(message.contains("[00, 03, 00, 00]"), "{message}");
        let message = decode::<MonitorReport>(&bytes).unwrap_err().to_string();
        assert!(message.starts_with("synthcp_monitor/msg/MonitorReport: "), "{message}");
        // A length that no memory holds.
        let mut huge = bytes.clone();
        huge[12..16].fill(0xff);
        assert!(decode::<Image>(&huge).is_err());
    }

    #[test]
    fn both_byte_orders_say_the_same() {
        let mut bytes = vec![0, 0, 0, 0];
        cdr_encoding::to_writer::<_, BigEndian, _>(&mut bytes, &image()).unwrap();
        assert_eq!(bytes[4..8], [0, 0, 0, 7]);
        assert_eq!(decode::<Image>(&bytes).unwrap(), image());
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
