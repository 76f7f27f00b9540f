use proptest::prelude::*;

use super::*;

/// The checksum of a PNG's chunk.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

fn raw<'a>(width: u32, height: u32, encoding: &'a str, step: u32, data: &'a [u8]) -> RawImage<'a> {
    RawImage { width, height, encoding, is_bigendian: false, step, data }
}

fn decode_raw(raw: &RawImage) -> Result<RgbImage, FrameError> {
    super::decode_raw(raw, Vec::new())
}

fn pixels(raw: &RawImage) -> Vec<u8> {
    decode_raw(raw).unwrap().into_raw()
}

fn message(raw: &RawImage) -> String {
    decode_raw(raw).unwrap_err().to_string()
}

#[test]
fn interleaved_encodings() {
    let six = [1, 2, 3, 4, 5, 6];
    assert_eq!(pixels(&raw(2, 1, "rgb8", 6, &six)), six);
    for name in ["bgr8", "8UC3"] {
        assert_eq!(pixels(&raw(2, 1, name, 6, &six)), [3, 2, 1, 6, 5, 4]);
    }
    let eight = [1, 2, 3, 99, 4, 5, 6, 99];
    assert_eq!(pixels(&raw(2, 1, "rgba8", 8, &eight)), [1, 2, 3, 4, 5, 6]);
    for name in ["bgra8", "8UC4"] {
        assert_eq!(pixels(&raw(2, 1, name, 8, &eight)), [3, 2, 1, 6, 5, 4]);
    }
    for name in ["mono8", "8UC1"] {
        assert_eq!(pixels(&raw(2, 1, name, 2, &[7, 8])), [7, 7, 7, 8, 8, 8]);
    }
}

#[test]
fn sixteen_bits_keep_the_upper_eight_in_either_byte_order() {
    let mut image = raw(2, 1, "mono16", 4, &[0x34, 0x12, 0xff, 0x80]);
    assert_eq!(pixels(&image), [0x12, 0x12, 0x12, 0x80, 0x80, 0x80]);
    image.is_bigendian = true;
    assert_eq!(pixels(&image), [0x34, 0x34, 0x34, 0xff, 0xff, 0xff]);
}

#[test]
fn a_depth_image_is_refused_by_its_encoding() {
    for name in ["16UC1", "16SC1", "32FC1"] {
        let said = message(&raw(2, 1, name, 8, &[0x80; 8]));
        assert!(said.contains("depth") && said.contains(name) && said.contains("mono16"), "{said}");
    }
}

#[test]
fn sixteen_bits_of_which_twelve_are_used_are_refused() {
    for name in ["mono16", "bayer_rggb16"] {
        let twelve = [0xff, 0x0f].repeat(4);
        let mut image = raw(2, 2, name, 4, &twelve);
        let said = message(&image);
        assert!(said.contains("4095") && said.contains("12 bits"), "{name}: {said}");
        image.is_bigendian = true;
        assert!(decode_raw(&image).is_ok(), "{name}: the same bytes in the other order are bright");
        let bright = [&twelve[..6], &[0x00, 0x10]].concat();
        assert!(decode_raw(&raw(2, 2, name, 4, &bright)).is_ok(), "{name}: one value of 4096");
    }
}

#[test]
fn an_encoding_of_a_million_characters_gives_a_short_reason() {
    let said = message(&raw(2, 1, &"\u{1}".repeat(1 << 20), 4, &[0; 4]));
    assert!(said.len() < 1000 && said.contains("(1048576 bytes)"), "{} bytes", said.len());
}

#[test]
fn padding_is_skipped_and_may_be_missing_at_the_end() {
    let data = [1, 2, 3, 0, 0, 4, 5, 6, 0, 0];
    assert_eq!(pixels(&raw(1, 2, "rgb8", 5, &data)), [1, 2, 3, 4, 5, 6]);
    assert_eq!(pixels(&raw(1, 2, "rgb8", 5, &data[..8])), [1, 2, 3, 4, 5, 6]);
    let long = [&data[..], &[9; 20]].concat();
    assert_eq!(pixels(&raw(1, 2, "rgb8", 5, &long)), [1, 2, 3, 4, 5, 6]);
    let said = message(&raw(1, 2, "rgb8", 5, &data[..7]));
    assert_eq!(said, "data holds 7 bytes, but 1x2 in rgb8 with step 5 takes 8");
}

#[test]
fn a_flat_scene_is_flat_in_every_bayer_pattern() {
    // Red 200, green 100, blue 50 as each pattern measures them, 4x4.
    let measured = |pattern: &str| -> Vec<u8> {
        let value = |letter: u8| match letter {
            b'r' => 200,
            b'g' => 100,
            _ => 50,
        };
        let letters = pattern.as_bytes();
        (0..16).map(|i| value(letters[2 * (i / 4 % 2) + i % 2])).collect()
    };
    for pattern in ["rggb", "bggr", "gbrg", "grbg"] {
        let data = measured(pattern);
        let expected: Vec<u8> = [200, 100, 50].repeat(16);
        assert_eq!(pixels(&raw(4, 4, &format!("bayer_{pattern}8"), 4, &data)), expected, "{pattern}");
        // 16 bits, little endian, with a padded step.
        let deep: Vec<u8> = data
            .chunks(4)
            .flat_map(|row| [row.iter().flat_map(|&v| [77, v]).collect(), vec![1; 3]].concat())
            .collect();
        assert_eq!(pixels(&raw(4, 4, &format!("bayer_{pattern}16"), 11, &deep)), expected, "{pattern} 16");
    }
}

#[test]
fn bayer_interpolates_and_mirrors() {
    // R G R
    // G B G
    // R G R
    let data = [10, 20, 30, 40, 50, 60, 70, 80, 90];
    let out = pixels(&raw(3, 3, "bayer_rggb8", 3, &data));
    let at = |x: usize, y: usize| &out[3 * (3 * y + x)..][..3];
    assert_eq!(at(1, 1), [50, 50, 50], "red: mean of 10 30 70 90; green: mean of 20 40 60 80");
    assert_eq!(at(0, 0), [10, 30, 50], "green: mean of 20 20 40 40 mirrored; blue: 50 four times");
    assert_eq!(at(1, 0), [20, 20, 50], "red between 10 and 30; blue 50 below, mirrored above");
    assert_eq!(at(2, 1), [60, 60, 50], "red between 30 and 90; blue 50 left, mirrored right");
}

#[test]
fn yuv_422_in_both_orders() {
    // 81 90 240 is red and 41 240 110 blue in BT.601 limited range.
    let red_then_blue_uyvy = [90, 81, 240, 81, 240, 41, 110, 41];
    let expected = [254, 0, 0, 254, 0, 0, 0, 0, 255, 0, 0, 255];
    for name in ["uyvy", "yuv422"] {
        assert_eq!(pixels(&raw(4, 1, name, 8, &red_then_blue_uyvy)), expected);
    }
    let yuyv = [81, 90, 81, 240, 41, 240, 41, 110];
    for name in ["yuyv", "yuv422_yuy2"] {
        assert_eq!(pixels(&raw(4, 1, name, 8, &yuyv)), expected);
    }
    assert_eq!(pixels(&raw(2, 1, "yuyv", 4, &[16, 128, 235, 128])), [0, 0, 0, 255, 255, 255]);
    assert!(message(&raw(3, 1, "yuyv", 8, &[0; 8])).contains("cannot be 3x1; the width must be even"));
}

#[test]
fn two_planes() {
    let red = [254, 0, 0].repeat(4);
    assert_eq!(pixels(&raw(2, 2, "nv12", 2, &[81, 81, 81, 81, 90, 240])), red);
    assert_eq!(pixels(&raw(2, 2, "nv21", 2, &[81, 81, 81, 81, 240, 90])), red);
    let pairs = [90, 240].repeat(4);
    assert_eq!(pixels(&raw(2, 2, "nv24", 2, &[&[81; 4], &pairs[..]].concat())), red);
    assert!(message(&raw(2, 3, "nv12", 2, &[0; 20])).contains("both must be even"));
}

#[test]
fn two_planes_with_padding() {
    let red = [254, 0, 0].repeat(4);
    let padded = [81, 81, 9, 81, 81, 9, 90, 240, 9];
    assert_eq!(pixels(&raw(2, 2, "nv12", 3, &padded)), red);
    assert_eq!(pixels(&raw(2, 2, "nv12", 3, &padded[..8])), red);
    assert!(message(&raw(2, 2, "nv12", 3, &padded[..7])).contains("takes 8"));
    let nv24 = [81, 81, 9, 81, 81, 9, 90, 240, 90, 240, 9, 9, 90, 240, 90, 240];
    assert_eq!(pixels(&raw(2, 2, "nv24", 3, &nv24)), red);
}

#[test]
fn packed_planes_are_read_whatever_step_says() {
    let nv24 = [&[81; 4], &[90, 240].repeat(4)[..]].concat();
    for step in [2, 4, 6] {
        assert_eq!(pixels(&raw(2, 2, "nv24", step, &nv24)), [254, 0, 0].repeat(4), "step {step}");
    }
}

#[test]
fn impossible_headers_are_named() {
    assert_eq!(message(&raw(0, 4, "rgb8", 0, &[])), "the image is 0x4; both must be at least 1");
    assert_eq!(message(&raw(4, 0, "rgb8", 12, &[])), "the image is 4x0; both must be at least 1");
    let said = message(&raw(100, 1, "rgb8", 299, &[0; 300]));
    assert_eq!(said, "step is 299 bytes, but a row of 100 pixels in rgb8 takes 300");
    let said = message(&raw(u32::MAX, u32::MAX, "rgba8", u32::MAX, &[]));
    assert_eq!(said, "the image is 4294967295x4294967295; at most 67108864 pixels are decoded");
    let said = message(&raw(1, 1 << 26, "nv24", u32::MAX, &[]));
    assert!(said.contains("data holds 0 bytes"), "{said}");
    assert!(message(&raw(1, 5, "bayer_rggb8", 1, &[0; 5])).contains("both must be at least 2"));
    assert!(
        message(&raw(1, 1, "rgb16", 6, &[0; 6])).contains("\"rgb16\" is not supported; supported are rgb8")
    );
}

fn any_encoding() -> impl Strategy<Value = String> {
    let names: Vec<String> = Encoding::supported().split(", ").map(str::to_owned).collect();
    prop_oneof![20 => prop::sample::select(names), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn never_panics(
        width in prop_oneof![0u32..20, any::<u32>()],
        height in prop_oneof![0u32..20, any::<u32>()],
        step in prop_oneof![0u32..90, any::<u32>()],
        encoding in any_encoding(),
        is_bigendian: bool,
        data in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let image = RawImage { width, height, encoding: &encoding, is_bigendian, step, data: &data };
        if let Ok(decoded) = decode_raw(&image) {
            prop_assert_eq!(decoded.dimensions(), (width, height));
        }
    }

    #[test]
    fn enough_data_always_decodes(half_width in 1u32..10, half_height in 1u32..10, pad in 0u32..5, encoding in any_encoding()) {
        prop_assume!(encoding.parse::<Encoding>().is_ok());
        let (width, height) = (2 * half_width, 2 * half_height);
        let step = 4 * width + pad;
        let data = vec![128; (3 * step * height) as usize];
        let image = decode_raw(&raw(width, height, &encoding, step, &data)).unwrap();
        let first = image.get_pixel(0, 0);
        prop_assert!(image.pixels().all(|pixel| pixel == first), "a flat picture stays flat");
    }
}

#[test]
fn nothing_is_left_of_the_picture_whose_memory_serves_again() {
    let data: Vec<u8> = (0..6 * 4 * 12).map(|at| (at * 37 % 251) as u8).collect();
    for (name, step) in [
        ("rgb8", 20),
        ("bgr8", 18),
        ("rgba8", 24),
        ("bgra8", 25),
        ("mono8", 7),
        ("mono16", 13),
        ("bayer_rggb8", 6),
        ("bayer_gbrg8", 8),
        ("bayer_grbg16", 12),
        ("uyvy", 12),
        ("yuyv", 14),
        ("nv12", 8),
        ("nv21", 6),
        ("nv24", 8),
    ] {
        let image = raw(6, 4, name, step, &data);
        let fresh = decode_raw(&image).unwrap();
        for length in [0, 10, 6 * 4 * 3, 500] {
            assert_eq!(super::decode_raw(&image, vec![0xa5; length]).unwrap(), fresh, "{name} into {length}");
        }
    }
}
