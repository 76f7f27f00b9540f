//! Changes of bytes and of text, whatever they mean.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Numbers at which things go wrong.
const INTERESTING: [u64; 24] = [
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    31,
    32,
    64,
    127,
    128,
    255,
    256,
    4096,
    32767,
    32768,
    65535,
    65536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    u64::MAX,
];

/// A few changes of any kind.
pub fn bytes(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..1 << rng.random_range(0..4) {
        byte(data, other, rng);
    }
}

fn byte(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    if data.is_empty() {
        data.extend(other.iter().take(64));
        return;
    }
    let at = rng.random_range(0..data.len());
    let length = rng.random_range(1..=(data.len() - at).min(64));
    match rng.random_range(0..11) {
        0 | 1 => data[at] ^= 1 << rng.random_range(0..8),
        2 | 3 => data[at] = rng.random(),
        4 => data[at] = INTERESTING[rng.random_range(0..14)] as u8,
        5 => number(data, at, rng),
        6 => drop(data.drain(at..at + length)),
        7 => {
            let piece = data[at..at + length].to_vec();
            let times = if rng.random_bool(0.1) { 64 } else { 1 };
            data.splice(at..at, piece.repeat(times));
        }
        8 => {
            let piece: Vec<u8> = (0..length.min(8)).map(|_| rng.random()).collect();
            data.splice(at..at, piece);
        }
        9 => data.truncate(at),
        _ => {
            if !other.is_empty() {
                let from = rng.random_range(0..other.len());
                let piece = other[from..other.len().min(from + length)].to_vec();
                let end = (at + piece.len()).min(data.len());
                data.splice(at..end, piece);
            }
        }
    }
}

/// Writes a number of 2, 4 or 8 bytes over what is at `at`.
pub fn number(data: &mut [u8], at: usize, rng: &mut ChaCha8Rng) {
    let width = 2 << rng.random_range(0..3);
    let value = INTERESTING[rng.random_range(0..INTERESTING.len())]
        .wrapping_add(rng.random_range(0..3))
        .wrapping_sub(1);
    let number = if rng.random_bool(0.5) {
        value.to_le_bytes()[..width].to_vec()
    } else {
        value.to_be_bytes()[8 - width..].to_vec()
    };
    data.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new);
}

/// Numbers in text at which things go wrong.
const WRITTEN: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "255",
    "256",
    "4096",
    "65536",
    "2147483647",
    "4294967295",
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999",
    "1e9",
    "1e308",
    "1e999",
    ".nan",
    ".inf",
    "0.5",
    "true",
];

/// A few changes of text: numbers, lines, pieces, and at times bytes.
pub fn text(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng, tokens: &[&str]) {
    for _ in 0..1 << rng.random_range(0..3) {
        match rng.random_range(0..8) {
            0..=2 => written_number(data, rng),
            3 => line(data, other, rng),
            4 | 5 if !tokens.is_empty() => {
                let at = rng.random_range(0..=data.len());
                let token = tokens[rng.random_range(0..tokens.len())];
                let times = if rng.random_bool(0.05) { 2000 } else { 1 };
                data.splice(at..at, token.repeat(times).into_bytes());
            }
            _ => byte(data, other, rng),
        }
    }
}

fn written_number(data: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let is_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let starts: Vec<usize> = (0..data.len())
        .filter(|&i| data[i].is_ascii_digit() && (i == 0 || !data[i - 1].is_ascii_alphanumeric()))
        .collect();
    if starts.is_empty() {
        return;
    }
    let at = starts[rng.random_range(0..starts.len())];
    let end = (at..data.len()).find(|&i| !is_number(data[i])).unwrap_or(data.len());
    let new = WRITTEN[rng.random_range(0..WRITTEN.len())];
    data.splice(at..end, new.bytes());
}

/// Takes a line away, repeats one, or takes one of another text.
fn line(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let mut lines: Vec<Vec<u8>> = data.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    let theirs: Vec<&[u8]> = other.split_inclusive(|&b| b == b'\n').collect();
    if lines.is_empty() || theirs.is_empty() {
        return;
    }
    let at = rng.random_range(0..lines.len());
    match rng.random_range(0..4) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines.insert(at, theirs[rng.random_range(0..theirs.len())].to_vec()),
        _ => {
            // Deeper or less deep than it was.
            match lines[at].starts_with(b"  ") && rng.random_bool(0.5) {
                true => drop(lines[at].drain(..2)),
                false => drop(lines[at].splice(0..0, *b"  ")),
            }
        }
    }
    *data = lines.concat();
}
