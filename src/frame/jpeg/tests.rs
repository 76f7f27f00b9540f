use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::frame::decode_compressed;

fn street() -> RgbImage {
    RgbImage::from_fn(61, 47, |x, y| Rgb([(4 * x) as u8, (5 * y) as u8, (x * y * 7 % 256) as u8]))
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&street()).unwrap();
    bytes
}

fn scan_data(jpeg: &[u8]) -> usize {
    let scan = jpeg.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
    scan + 2 + usize::from(u16::from_be_bytes([jpeg[scan + 2], jpeg[scan + 3]]))
}

fn message(jpeg: &[u8]) -> String {
    decode_compressed("jpeg", jpeg).unwrap_err().to_string()
}

/// Without its Huffman tables, as MJPEG cameras send it.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    while let Some(table) = bytes.windows(2).position(|marker| marker == [0xff, 0xc4]) {
        let length = usize::from(u16::from_be_bytes([bytes[table + 2], bytes[table + 3]]));
        bytes.drain(table..table + 2 + length);
    }
    bytes
}

#[test]
fn half_a_jpeg_ends_early_with_or_without_an_end_marker() {
    let whole = jpeg();
    let data = scan_data(&whole);
    for tenths in 0..10 {
        let cut = data + (whole.len() - 2 - data) * tenths / 10;
        let said = message(&whole[..cut]);
        assert!(said.contains("ends early"), "{tenths} tenths: {said}");
        let closed = [&whole[..cut], &[0xff, 0xd9]].concat();
        assert!(message(&closed).contains("ends early"), "{tenths} tenths, closed");
        let padded = [&whole[..cut], &[0; 4000]].concat();
        assert!(message(&padded).starts_with("the JPEG "), "{tenths} tenths, padded");
        let zeros = [&whole[..cut], &vec![0; whole.len() - 2 - cut][..], &[0xff, 0xd9]].concat();
        assert!(message(&zeros).starts_with("the JPEG "), "{tenths} tenths, the rest is zero");
    }
    assert!(message(&whole[..data / 2]).contains("ends early"));
}

#[test]
fn a_jpeg_without_its_end_marker_is_whole() {
    let whole = jpeg();
    let expected = decode_compressed("jpeg", &whole).unwrap();
    for missing in 1..=2 {
        let cut = &whole[..whole.len() - missing];
        assert_eq!(decode_compressed("jpeg", cut).unwrap(), expected, "{missing} bytes");
    }
    let more = [&whole[..], &[0; 500]].concat();
    assert_eq!(decode_compressed("jpeg", &more).unwrap(), expected, "padding after the end");
}

#[test]
fn a_jpeg_with_a_piece_lost_on_the_way_is_refused() {
    let whole = jpeg();
    let data = scan_data(&whole);
    let third = (whole.len() - data) / 3;
    let lost = [&whole[..data + third], &whole[data + 2 * third..]].concat();
    assert!(message(&lost).starts_with("the JPEG "), "{}", message(&lost));
}

#[test]
fn a_jpeg_without_huffman_tables_has_the_standard_ones() {
    let whole = jpeg();
    let bare = without_tables(&whole);
    assert!(bare.len() + 400 < whole.len());
    assert_eq!(decode_compressed("jpeg", &bare).unwrap(), decode_compressed("jpeg", &whole).unwrap());
    assert!(message(&bare[..bare.len() * 3 / 4]).contains("ends early"));
}

#[test]
fn a_scan_that_comes_again_is_refused() {
    let whole = hex(PROGRESSIVE);
    let scan = whole.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
    let data = scan_data(&whole);
    let end = data + whole[data..].windows(2).position(|m| m[0] == 0xff && m[1] != 0).unwrap();
    let bomb = [&whole[..end], &whole[scan..end].repeat(1000), &whole[end..]].concat();
    assert!(message(&bomb).contains("scan 2 does not follow"), "{}", message(&bomb));
}

#[test]
fn the_number_of_scans_is_limited() {
    // One coefficient and one bit a scan: nothing repeats, and each visits every block.
    let mut bytes = vec![0xff, 0xd8];
    bytes.extend([0xff, 0xc2, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    // Codes of one bit: DC of length 0, and the end of a block.
    for class in [0x00, 0x10] {
        bytes.extend([0xff, 0xc4, 0, 20, class, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0x0d, 0x7f]);
    for low in (0..13).rev() {
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, (low + 1) << 4 | low, 0x7f]);
    }
    for k in 1..64 {
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, k, k, 0, 0x7f]);
    }
    assert!(matches!(complete(&bytes), Err(FrameError::JpegScans)));
}

#[test]
fn a_progressive_jpeg_is_walked_to_its_last_bit() {
    for (name, text) in [("progressive", PROGRESSIVE), ("with restarts", RESTARTS)] {
        let whole = hex(text);
        let expected = decode_compressed("jpeg", &whole).unwrap();
        let without_end = &whole[..whole.len() - 2];
        assert_eq!(decode_compressed("jpeg", without_end).unwrap(), expected, "{name}");
        for len in 4..whole.len() - 3 {
            let said = message(&whole[..len]);
            assert!(said.contains("ends early"), "{name}, {len} bytes: {said}");
            let closed = [&whole[..len], &[0xff, 0xd9]].concat();
            assert!(decode_compressed("jpeg", &closed).is_err(), "{name}, {len} bytes, closed");
        }
    }
}

#[test]
fn a_huge_announced_size_is_refused_before_the_walk() {
    let mut bytes = hex(PROGRESSIVE);
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xff);
    assert!(message(&bytes).contains("65535x65535"));
}

proptest! {
    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), value: u8, which in 0..3) {
        let mut bytes = match which {
            0 => hex(PROGRESSIVE),
            1 => hex(RESTARTS),
            _ => without_tables(&jpeg()),
        };
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = complete(&bytes);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A gradient of 24x17 pixels in ten scans, 4:2:0, by libjpeg.
const PROGRESSIVE: &str = "
    ffd8ffe000104a46494600010100000100010000ffdb004300140e0f120f0d14121012171514181e32211e1c1c1e
    3d2c2e243249404c4b47404645505a736250556d5645466488656d777b8182814e608d978c7d96737e817cffdb00
    43011517171e1a1e3b21213b7c5346537c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c
    7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7cffc20011080011001803012200021101031101ffc40017000101
    010100000000000000000000000000030405ffc4001801000301010000000000000000000000000102040305ffda
    000c03010002100310000001e6dad6020da6b25632e5543d9fffc400161001010100000000000000000000000000
    000102ffda0008010100010502994ca6532994ca223fffc400171101000300000000000000000000000000000102
    03ffda0008010301013f01a688d1443fffc400161101010100000000000000000000000000110010ffda00080102
    01013f01677fffc40014100100000000000000000000000000000030ffda0008010100063f021fffc40014100100
    000000000000000000000000000030ffda0008010100013f2110001fffda000c030100020003000000102308bcff
    c40017110100030000000000000000000000000000102131ffda0008010301013f1075c72fffc400151101010000
    0000000000000000000000000001ffda0008010201013f1084223fffc40016100101010000000000000000000000
    0000610020ffda0008010100013f1038e38e38f1ff00ffd9
";

/// The same in one scan with a restart after every MCU.
const RESTARTS: &str = "
    ffd8ffe000104a46494600010100000100010000ffdb004300140e0f120f0d14121012171514181e32211e1c1c1e
    3d2c2e243249404c4b47404645505a736250556d5645466488656d777b8182814e608d978c7d96737e817cffdb00
    43011517171e1a1e3b21213b7c5346537c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c
    7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7cffc00011080011001803012200021101031101ffc40018000101
    01010100000000000000000000000004050206ffc40017100101010100000000000000000000000000030461ffc4
    00160101010100000000000000000000000000020305ffc4001a1101000203010000000000000000000000000102
    03042131ffdd00040001ffda000c03010002110311003f00f372cdc592cdc5b2cdc572cdc18b0e0d97ffd08a59b8
    36659b81459ad4d9e3ffd1ee4ae408432f03ffd2d990030a53c7ffd9
";
