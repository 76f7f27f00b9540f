//! Changes that keep what a reader checks first: checksums, lengths, the container around the content.

use std::io::{Cursor, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::mutate;

/// A PNG's signature.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Most bytes that are unpacked for a change.
const MOST_UNPACKED: u64 = 1 << 16;

type Chunk = ([u8; 4], Vec<u8>);

fn chunks(png: &[u8]) -> Option<Vec<Chunk>> {
    let mut rest = png.strip_prefix(SIGNATURE)?;
    let mut chunks = Vec::new();
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
        let content = body.get(..length)?.to_vec();
        chunks.push((*head.last_chunk()?, content));
        rest = body.get(length + 4..)?;
    }
    Some(chunks)
}

fn joined(chunks: &[Chunk]) -> Vec<u8> {
    let mut png = SIGNATURE.to_vec();
    for (kind, content) in chunks {
        let begin = png.len() + 4;
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(kind);
        png.extend(content);
        png.extend(crc32fast::hash(&png[begin..]).to_be_bytes());
    }
    png
}

/// A PNG: mostly inside its chunks, whose checksums stay right.
pub fn png(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let Some(mut parts) = chunks(data).filter(|parts| !parts.is_empty() && rng.random_bool(0.9)) else {
        return mutate::bytes(data, other, rng);
    };
    for _ in 0..rng.random_range(1..4) {
        if parts.is_empty() {
            break;
        }
        let at = rng.random_range(0..parts.len());
        match rng.random_range(0..9) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, parts[at].clone()),
            2 => {
                let to = rng.random_range(0..parts.len());
                parts.swap(at, to);
            }
            3 => {
                let theirs = chunks(other).unwrap_or_default();
                if !theirs.is_empty() {
                    parts.insert(at, theirs[rng.random_range(0..theirs.len())].clone());
                }
            }
            // Size, depth, colour, interlace.
            4 => header(&mut parts[0].1, rng),
            5 if &parts[at].0 == b"IDAT" => unpacked(&mut parts[at].1, rng),
            _ => mutate::bytes(&mut parts[at].1, &[], rng),
        }
    }
    *data = joined(&parts);
}

fn header(ihdr: &mut [u8], rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..13);
    match at {
        0..8 => mutate::number(ihdr, at & 4, rng),
        8 => ihdr.iter_mut().skip(8).take(1).for_each(|depth| *depth = 1 << rng.random_range(0..6)),
        9 => ihdr.iter_mut().skip(9).take(1).for_each(|color| *color = rng.random_range(0..8)),
        _ => ihdr.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.random_range(0..3)),
    }
}

/// What is packed, changed and packed again.
fn unpacked(packed: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let mut content = Vec::new();
    if ZlibDecoder::new(&packed[..]).take(MOST_UNPACKED).read_to_end(&mut content).is_err() {
        return;
    }
    mutate::bytes(&mut content, &[], rng);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&content).unwrap();
    *packed = encoder.finish().unwrap();
}

/// A JPEG: whole segments, their lengths, or bytes.
pub fn jpeg(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let markers: Vec<usize> = (0..data.len().saturating_sub(3))
        .filter(|&at| data[at] == 0xff && !matches!(data[at + 1], 0 | 0xff))
        .collect();
    if markers.is_empty() || rng.random_bool(0.5) {
        return mutate::bytes(data, other, rng);
    }
    let at = markers[rng.random_range(0..markers.len())];
    let length = 2 + usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]]));
    let end = (at + length).min(data.len());
    match rng.random_range(0..6) {
        0 => drop(data.drain(at..end)),
        1 => {
            let segment = data[at..end].to_vec();
            let to = markers[rng.random_range(0..markers.len())];
            let times = if rng.random_bool(0.1) { 80 } else { 1 };
            data.splice(to..to, segment.repeat(times));
        }
        2 => {
            data[at + 1] = [0xc0, 0xc1, 0xc2, 0xc4, 0xd0, 0xd9, 0xda, 0xdb, 0xdd, 0xe0, 0xe1, 0xee]
                [rng.random_range(0..12)]
        }
        3 => mutate::number(data, at + 2, rng),
        // Size and sampling, where the segment is a frame.
        _ => {
            let inside = (at + 4 + rng.random_range(0..15)).min(data.len() - 1);
            match rng.random_bool(0.5) {
                true => mutate::number(data, inside, rng),
                false => data[inside] = rng.random(),
            }
        }
    }
}

/// A WebP: bytes, and the length of the whole made right again.
pub fn webp(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    mutate::bytes(data, other, rng);
    if data.len() > 12 && rng.random_bool(0.8) {
        let length = (data.len() as u32 - 8).to_le_bytes();
        data[..4].copy_from_slice(b"RIFF");
        data[4..8].copy_from_slice(&length);
        data[8..12].copy_from_slice(b"WEBP");
    }
}

/// Opcodes of pickles, and the names of what PyTorch calls.
const PICKLE: [&[u8]; 24] = [
    b"(",
    b")",
    b"}",
    b"]",
    b"t",
    b"u",
    b"s",
    b"e",
    b"a",
    b"R",
    b"Q",
    b"0",
    b"1",
    b"2",
    b"q\x01",
    b"h\x01",
    b"b",
    b"K\x07",
    b"J\xff\xff\xff\x7f",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"X\x05\x00\x00\x00model",
    b"\x81",
];

/// A pickle: bytes and opcodes.
pub fn pickle(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..5) {
        match rng.random_bool(0.4) {
            true => {
                let at = rng.random_range(0..=data.len());
                let opcode = PICKLE[rng.random_range(0..PICKLE.len())];
                let times = if rng.random_bool(0.02) { 1000 } else { 1 };
                data.splice(at..at, opcode.repeat(times));
            }
            false => mutate::bytes(data, other, rng),
        }
    }
}

/// The files of an archive.
fn entries(archive: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut zip = ZipArchive::new(Cursor::new(archive)).ok()?;
    let mut entries = Vec::new();
    for index in 0..zip.len() {
        let file = zip.by_index(index).ok()?;
        let (name, mut content) = (file.name().to_owned(), Vec::new());
        file.take(MOST_UNPACKED).read_to_end(&mut content).ok()?;
        entries.push((name, content));
    }
    Some(entries)
}

/// An archive: mostly inside its files, whose checksums stay right.
pub fn archive(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let Some(mut files) = entries(data).filter(|files| !files.is_empty() && rng.random_bool(0.8)) else {
        return mutate::bytes(data, other, rng);
    };
    let at = rng.random_range(0..files.len());
    match rng.random_range(0..10) {
        0 => drop(files.remove(at)),
        1 => files.push((format!("{}/", files[at].0), files[at].1.clone())),
        2 => files[at].0.insert(0, 'x'),
        3 | 4 => mutate::bytes(&mut files[at].1, &[], rng),
        _ => {
            if let Some((_, content)) = files.iter_mut().find(|(name, _)| name.ends_with("data.pkl")) {
                pickle(content, &[], rng);
            }
        }
    }
    let method = if rng.random_bool(0.95) { CompressionMethod::Stored } else { CompressionMethod::Deflated };
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        // Names twice are refused by the writer, not by readers.
        if zip.start_file(name, FileOptions::default().compression_method(method)).is_err() {
            return;
        }
        zip.write_all(&content).unwrap();
    }
    *data = zip.finish().unwrap().into_inner();
}

/// Safetensors: mostly the header, whose length stays right.
pub fn safetensors(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let length = data.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) as usize;
    let Some(header) = data.get(8..8usize.saturating_add(length)).filter(|_| rng.random_bool(0.8)) else {
        return mutate::bytes(data, other, rng);
    };
    let mut header = header.to_vec();
    mutate::text(
        &mut header,
        &[],
        rng,
        &["{", "}", "[", "]", ",", "\"F32\"", "\"F64\"", "\"BOOL\"", "\"__metadata__\":{},", "0,"],
    );
    let content = data.split_off(8 + length);
    *data = [&(header.len() as u64).to_le_bytes()[..], &header, &content].concat();
}

/// NumPy's array: mostly the header, whose length stays right.
pub fn npy(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let length = data.get(8..10).map_or(0, |bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let Some(header) = data.get(10..10 + length).filter(|_| rng.random_bool(0.8)) else {
        return mutate::bytes(data, other, rng);
    };
    let mut header = header.to_vec();
    mutate::text(
        &mut header,
        &[],
        rng,
        &["(", ")", ",", "'<f8'", "'<f2'", "'|b1'", "'>i8'", "'<c8'", "[('a', '<f4')]", "True", "'"],
    );
    header.truncate(60_000);
    let content = data.split_off(10 + length);
    *data = [&data[..8], &(header.len() as u16).to_le_bytes(), &header, &content].concat();
}

/// YAML.
pub fn yaml(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    const TOKENS: [&str; 22] = [
        "[",
        "]",
        "{",
        "}",
        "- ",
        ": ",
        "&a ",
        "*a",
        "!!binary ",
        "? ",
        "| ",
        "> ",
        "\n---\n",
        "~",
        "''",
        "\"",
        "#",
        "<<: *a\n",
        "[[",
        "{a: ",
        "\t",
        "\u{feff}",
    ];
    mutate::text(data, other, rng, &TOKENS);
}

/// A message: numbers where CDR has them, or bytes.
pub fn cdr(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..4) {
        match data.len() > 8 && rng.random_bool(0.5) {
            true => {
                let at = rng.random_range(1..data.len() / 4) * 4;
                mutate::number(data, at, rng);
            }
            false => mutate::bytes(data, other, rng),
        }
    }
}
