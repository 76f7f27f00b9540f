//! What the PNG decoder trusts and should not: looked at before it begins.

use super::FrameError;

/// Bytes that one byte of deflated data gives at most.
const MOST_DEFLATED: u64 = 1032;

/// Refuses a palette that is none, and a size that so few bytes cannot hold. What else is wrong the decoder
/// says.
pub(super) fn check(data: &[u8]) -> Result<(), FrameError> {
    let damaged = |what: String| Err(FrameError::PngDamaged { what });
    let mut rest = data.get(8..).unwrap_or_default();
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        match (&head[4..], body) {
            (b"IHDR", &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, ..]) => {
                let (width, height) =
                    (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
                let channels = [1, 0, 3, 1, 2, 0, 4].get(usize::from(color)).copied().unwrap_or(0);
                let bits = u64::from(width) * channels * u64::from(depth);
                if bits.div_ceil(8).saturating_mul(height.into()) > MOST_DEFLATED * data.len() as u64 {
                    let length = data.len();
                    return damaged(format!(
                        "its {length} bytes cannot hold the {width}x{height} pixels announced"
                    ));
                }
            }
            // The decoder panics on part of an entry.
            (b"PLTE", _) if !length.is_multiple_of(3) => {
                return damaged(format!("its palette has {length} bytes, three for each colour are needed"));
            }
            (b"IDAT", _) => break,
            _ => {}
        }
        rest = body.get(length.saturating_add(4)..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::frame::decode_compressed;

    /// A PNG that is given chunk by chunk.
    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in chunks {
            let checked = [&kind[..], content].concat();
            bytes.extend((content.len() as u32).to_be_bytes());
            bytes.extend(&checked);
            bytes.extend(crate::frame::tests::crc(&checked).to_be_bytes());
        }
        bytes
    }

    #[test]
    fn a_palette_of_part_of_a_colour_is_refused() {
        let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0];
        // One row, stored: its filter, and index 0.
        let row = [0x78, 1, 1, 2, 0, 0xfd, 0xff, 0, 0, 0, 2, 0, 1];
        let of = |palette: &[u8]| {
            let file = png(&[(b"IHDR", &header), (b"PLTE", palette), (b"IDAT", &row), (b"IEND", &[])]);
            decode_compressed("png", &file).map_err(|e| e.to_string())
        };
        assert_eq!(of(&[7, 8, 9]).unwrap().get_pixel(0, 0).0, [7, 8, 9]);
        for length in [1, 2, 4, 22] {
            let said = of(&vec![1; length]).unwrap_err();
            assert!(said.contains(&format!("its palette has {length} bytes")), "{said}");
        }
    }

    #[test]
    fn more_pixels_than_the_bytes_can_hold_are_refused_before_room_is_made_for_them() {
        let header = [0, 0, 0x20, 0, 0, 0, 0x20, 0, 8, 2, 0, 0, 0];
        let file = png(&[(b"IHDR", &header), (b"IDAT", &[0x78, 1]), (b"IEND", &[])]);
        let said = decode_compressed("png", &file).unwrap_err().to_string();
        assert!(said.contains("cannot hold the 8192x8192 pixels"), "{said}");
    }
}
