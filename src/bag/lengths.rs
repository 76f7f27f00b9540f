//! Whether the lengths in a record of MCAP hold. Its parser reserves what they say, up to 4 GiB each.

use super::walk::{CHANNEL, METADATA, SCHEMA, STATISTICS};

/// Whether texts, data and the map in a description end within its body.
pub(super) fn hold(opcode: u8, body: &[u8]) -> bool {
    match opcode {
        // Id; name, encoding, data.
        SCHEMA => body.get(2..).and_then(|rest| (0..3).try_fold(rest, |rest, _| behind(rest))).is_some(),
        // Id, schema; topic, encoding; a map of texts.
        CHANNEL => {
            let map = body.get(4..).and_then(behind).and_then(behind);
            map.is_some_and(|map| behind(map).is_some() && are_texts(map))
        }
        // Seven counts and times; a map of numbers.
        STATISTICS => body.get(42..).and_then(behind).is_some(),
        // A name; a map of texts.
        METADATA => behind(body).is_some_and(are_texts),
        _ => true,
    }
}

/// What comes behind a length and as many bytes.
fn behind(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(u32::from_le_bytes(*length) as usize..)
}

/// Whether what a map's length comprises are texts.
fn are_texts(map: &[u8]) -> bool {
    let Some((length, rest)) = map.split_first_chunk() else { return false };
    let mut left = rest.get(..u32::from_le_bytes(*length) as usize);
    while let Some(bytes) = left.filter(|bytes| !bytes.is_empty()) {
        left = behind(bytes);
    }
    left.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn a_length_beyond_the_body_does_not_hold() {
        let pair = [text("key"), text("value")].concat();
        let map = [&(pair.len() as u32).to_le_bytes()[..], &pair].concat();
        let channel = [vec![1, 0, 2, 0], text("/front/image"), text("cdr"), map.clone()].concat();
        let schema = [vec![1, 0], text("sensor_msgs/msg/Image"), text("ros2msg"), text("uint8 a")].concat();
        let metadata = [text("synthcp_replay"), map].concat();
        let statistics = [&[0; 42][..], &10u32.to_le_bytes(), &[0; 10]].concat();
        for (opcode, body, lengths) in [
            (CHANNEL, channel, vec![4, 20, 27, 31, 38]),
            (SCHEMA, schema, vec![2, 27, 38]),
            (STATISTICS, statistics, vec![42]),
            (METADATA, metadata, vec![0, 18, 22, 29]),
        ] {
            assert!(hold(opcode, &body));
            for at in lengths {
                let mut wrong = body.clone();
                wrong[at + 3] = 0x32;
                assert!(!hold(opcode, &wrong), "{opcode}: the length at {at}");
            }
            assert!((0..body.len()).all(|end| !hold(opcode, &body[..end])), "{opcode}: cut");
        }
    }
}
