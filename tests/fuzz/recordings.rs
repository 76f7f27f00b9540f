//! Bags: what is read of them, how they are changed, and small ones of every kind.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;

use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use synthcp_monitor::bag::camera::{camera_image, is_image};
use synthcp_monitor::bag::reader::{Reader, Trust, Wish, topics};

use crate::mutate;

/// Reads a bag to its end. Damage is no error; what is read and what is lost is the answer.
pub fn read(file: PathBuf) -> Result<String, String> {
    let bags = [file];
    let known = topics(&bags).map_err(|error| error.to_string())?.len();
    let mut reader = Reader::open(&bags, &Wish::default()).map_err(|error| error.to_string())?;
    let (mut sound, mut doubtful, mut images) = (0, 0, 0);
    for message in reader.by_ref() {
        match message.trust {
            Trust::Sound => sound += 1,
            Trust::Doubtful => doubtful += 1,
        }
        images += usize::from(is_image(&message.kind) && camera_image(&message.kind, &message.data).is_ok());
    }
    let share = reader.share();
    assert!((0.0..=1.0).contains(&share), "{share} of it is read");
    let lost: Vec<String> = reader.losses().named().iter().take(3).map(ToString::to_string).collect();
    assert_eq!(lost.is_empty(), reader.losses().count() == 0, "losses are counted and not named");
    Ok(format!("{known} topics, {sound} messages, {doubtful} doubtful, {images} images; {}", lost.join("; ")))
}

const MAGIC: &[u8] = b"\x89MCAP0\r\n";
const CHUNK: u8 = 6;

type Records = Vec<(u8, Vec<u8>)>;

/// Records with their opcodes, as far as their lengths hold.
fn records(mut data: &[u8]) -> Records {
    let mut found = Vec::new();
    while let [opcode, rest @ ..] = data
        && let Some((length, rest)) = rest.split_first_chunk()
        && let Some(content) = rest.get(..u64::from_le_bytes(*length) as usize)
    {
        found.push((*opcode, content.to_vec()));
        data = &rest[content.len()..];
    }
    found
}

fn joined(records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let one = |(opcode, content): &(u8, Vec<u8>)| {
        [&[*opcode][..], &(content.len() as u64).to_le_bytes(), content].concat()
    };
    records.iter().flat_map(one).collect()
}

/// Mostly whole records, with lengths that hold; what is in chunks too.
pub fn mcap(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let inside = |data: &[u8]| records(data.get(MAGIC.len()..).unwrap_or_default());
    let mut all = inside(data);
    if all.is_empty() || rng.random_bool(0.2) {
        return mutate::bytes(data, other, rng);
    }
    change(&mut all, &inside(other), rng);
    *data = [MAGIC, &joined(&all), MAGIC].concat();
}

fn change(all: &mut Records, other: &[(u8, Vec<u8>)], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..4) {
        if all.is_empty() {
            return;
        }
        let at = rng.random_range(0..all.len());
        match rng.random_range(0..10) {
            0 => drop(all.remove(at)),
            1 => all.insert(at, all[at].clone()),
            2 => {
                let to = rng.random_range(0..all.len());
                all.swap(at, to);
            }
            3 if !other.is_empty() => all.insert(at, other[rng.random_range(0..other.len())].clone()),
            4 => all[at].0 = rng.random_range(0..=16),
            5 | 6 if !all[at].1.is_empty() => {
                let place = rng.random_range(0..all[at].1.len());
                mutate::number(&mut all[at].1, place, rng);
            }
            _ if all[at].0 == CHUNK => chunk(&mut all[at].1, rng),
            _ => mutate::bytes(&mut all[at].1, &[], rng),
        }
    }
}

/// Begin, end, size, checksum, the compression's name, and the records with their length.
fn chunk(content: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let name =
        content.get(28..32).map_or(0, |length| u32::from_le_bytes(length.try_into().unwrap()) as usize);
    let begin = 40usize.saturating_add(name);
    let is_plain = name == 0 && content.len() > begin;
    if !is_plain {
        return mutate::bytes(content, &[], rng);
    }
    let mut inside = records(&content[begin..]);
    change(&mut inside, &[], rng);
    let inside = joined(&inside);
    content.truncate(begin);
    let length = (inside.len() as u64).to_le_bytes();
    content[16..24].copy_from_slice(&length);
    // None.
    content[24..28].fill(0);
    content[32..40].copy_from_slice(&length);
    content.extend(inside);
}

/// Mostly in place, as pages have their places.
pub fn database(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    if data.len() < 32 || rng.random_bool(0.2) {
        return mutate::bytes(data, other, rng);
    }
    for _ in 0..1 << rng.random_range(0..5) {
        // Behind the name of the format.
        let at = rng.random_range(16..data.len());
        match rng.random_range(0..4) {
            0 => data[at] ^= 1 << rng.random_range(0..8),
            1 => data[at] = rng.random(),
            2 => mutate::number(data, at, rng),
            _ => {
                let (from, length) = (rng.random_range(0..data.len()), rng.random_range(1..512));
                let piece = data[from..data.len().min(from + length)].to_vec();
                data.iter_mut().skip(at).zip(piece).for_each(|(byte, new)| *byte = new);
            }
        }
    }
}

type Files = Vec<(String, Vec<u8>)>;

/// The messages of all bags: images, and what is none.
fn messages(image: &[u8]) -> [(&'static str, &'static str, Vec<u8>); 3] {
    [
        ("/front/image", "sensor_msgs/msg/Image", image.to_vec()),
        ("/chatter", "std_msgs/msg/String", b"\0\x01\0\0\x03\0\0\0ok\0".to_vec()),
        ("/front/image", "sensor_msgs/msg/Image", image.to_vec()),
    ]
}

/// In chunks of each compression, with message-wise compression, and as one that was not finished writes.
pub fn mcaps(image: &[u8]) -> Files {
    let plain = WriteOptions::new().profile("ros2").compression(None);
    let unindexed = plain.clone().use_chunks(false).emit_summary_records(false).emit_summary_offsets(false);
    let packed: Vec<_> = messages(image)
        .map(|(topic, kind, data)| (topic, kind, zstd::encode_all(&data[..], 1).unwrap()))
        .into();
    let zstd = plain.clone().compression(Some(Compression::Zstd));
    let lz4 = plain.clone().compression(Some(Compression::Lz4));
    vec![
        ("chunks".to_owned(), written(plain, &messages(image))),
        ("chunks_zstd".to_owned(), written(zstd, &messages(image))),
        ("chunks_lz4".to_owned(), written(lz4, &messages(image))),
        ("unindexed".to_owned(), written(unindexed.clone(), &messages(image))),
        ("messages_zstd".to_owned(), written(unindexed, &packed)),
    ]
}

fn written(options: WriteOptions, messages: &[(&str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = options.create(Cursor::new(&mut bytes)).unwrap();
    for (at, (topic, kind, data)) in messages.iter().enumerate() {
        let schema = writer.add_schema(kind, "ros2msg", b"").unwrap();
        let channel_id = writer.add_channel(schema, topic, "cdr", &BTreeMap::new()).unwrap();
        let header = MessageHeader { channel_id, sequence: 0, log_time: at as u64, publish_time: at as u64 };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

/// In small pages.
pub fn databases(image: &[u8]) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "PRAGMA page_size = 512;
         CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
                             serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
         CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
                               data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);",
    )
    .unwrap();
    for (id, name, kind) in
        [(1, "/front/image", "sensor_msgs/msg/Image"), (2, "/chatter", "std_msgs/msg/String")]
    {
        db.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')", (id, name, kind)).unwrap();
    }
    for (at, (topic, _, data)) in messages(image).iter().enumerate() {
        let id = if *topic == "/chatter" { 2 } else { 1 };
        let new = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)";
        db.execute(new, (id, at as i64, data)).unwrap();
    }
    db.close().unwrap();
    vec![("small_pages".to_owned(), std::fs::read(path).unwrap())]
}
