//! Bags as rosbag2 leaves them, made by the crates that others make them with.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};

/// A message that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub topic: &'static str,
    pub kind: &'static str,
    pub stamp: u64,
    pub data: Vec<u8>,
}

/// Where messages are stored.
#[derive(Clone, Copy, Debug)]
pub enum Storage {
    /// MCAP in chunks.
    Chunks(Option<Compression>),
    /// MCAP without chunks and without an index.
    Unindexed,
    /// sqlite3.
    Db3,
}

/// What rosbag2 calls the compression mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Zstd {
    None,
    File,
    Message,
}

/// How a bag is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub storage: Storage,
    pub zstd: Zstd,
    pub splits: usize,
    /// Version of the metadata.yaml, and whether it names the storage.
    pub metadata: Option<(u32, bool)>,
}

pub const STORAGES: [Storage; 5] = [
    Storage::Chunks(None),
    Storage::Chunks(Some(Compression::Lz4)),
    Storage::Chunks(Some(Compression::Zstd)),
    Storage::Unindexed,
    Storage::Db3,
];

/// Small, so that a bag has several.
pub const CHUNK: u64 = 20_000;

/// Writes the messages to a bag in `folder` and gives its files in order.
pub fn write(folder: &Path, form: Form, messages: &[Recorded]) -> Vec<PathBuf> {
    let a_part = messages.len().div_ceil(form.splits);
    let ending = if matches!(form.storage, Storage::Db3) { "db3" } else { "mcap" };
    let name = folder.file_name().unwrap().to_str().unwrap();
    let mut files = Vec::new();
    for (number, part) in messages.chunks(a_part).enumerate() {
        let mut part = part.to_vec();
        if form.zstd == Zstd::Message {
            part.iter_mut()
                .for_each(|message| message.data = zstd::encode_all(&message.data[..], 1).unwrap());
        }
        let mut file = folder.join(format!("{name}_{number}.{ending}"));
        match form.storage {
            Storage::Chunks(compression) => write_mcap(&file, &part, Some(compression)),
            Storage::Unindexed => write_mcap(&file, &part, None),
            Storage::Db3 => write_db3(&file, &part, false),
        }
        if form.zstd == Zstd::File {
            let packed = folder.join(format!("{name}_{number}.{ending}.zstd"));
            fs::write(&packed, zstd::encode_all(File::open(&file).unwrap(), 1).unwrap()).unwrap();
            fs::remove_file(&file).unwrap();
            file = packed;
        }
        files.push(file);
    }
    if let Some((version, named)) = form.metadata {
        let mode = match form.zstd {
            Zstd::None => "",
            Zstd::File => "FILE",
            Zstd::Message => "MESSAGE",
        };
        let storage = match (named, form.storage) {
            (false, _) => "",
            (true, Storage::Db3) => "sqlite3",
            (true, _) => "mcap",
        };
        let paths: String = files
            .iter()
            .map(|file| {
                let file = file.file_name().unwrap().to_str().unwrap();
                // As version 4 names compressed files.
                let prefix =
                    if version == 4 && form.zstd == Zstd::File { format!("{name}/") } else { String::new() };
                format!("    - {prefix}{file}\n")
            })
            .collect();
        let text = format!(
            "rosbag2_bagfile_information:\n  version: {version}\n  storage_identifier: \"{storage}\"\n  \
             duration:\n    nanoseconds: 1\n  starting_time:\n    nanoseconds_since_epoch: 0\n  \
             message_count: {}\n  topics_with_message_count: []\n  compression_format: zstd\n  \
             compression_mode: {mode:?}\n  relative_file_paths:\n{paths}",
            messages.len(),
        );
        fs::write(folder.join("metadata.yaml"), text).unwrap();
    }
    files
}

/// `chunks` is their compression; without, there are neither chunks nor index.
fn write_mcap(path: &Path, messages: &[Recorded], chunks: Option<Option<Compression>>) {
    let options = WriteOptions::new().profile("ros2").chunk_size(Some(CHUNK));
    let options = match chunks {
        Some(compression) => options.compression(compression),
        None => options.use_chunks(false).emit_summary_records(false).emit_summary_offsets(false),
    };
    let mut writer = options.create(BufWriter::new(File::create(path).unwrap())).unwrap();
    let mut channels = BTreeMap::new();
    for Recorded { topic, kind, stamp, data } in messages {
        let channel_id = *channels.entry(topic).or_insert_with(|| {
            let schema = writer.add_schema(kind, "ros2msg", b"").unwrap();
            writer.add_channel(schema, topic, "cdr", &BTreeMap::new()).unwrap()
        });
        let header = MessageHeader { channel_id, sequence: 0, log_time: *stamp, publish_time: *stamp };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
}

/// With `wal`, the messages are left in the log beside the file, as after a crash.
pub fn write_db3(path: &Path, messages: &[Recorded], wal: bool) {
    let at_work = path.with_extension("working");
    let mut db = rusqlite::Connection::open(if wal { &at_work } else { path }).unwrap();
    if wal {
        db.pragma_update(None, "journal_mode", "wal").unwrap();
    }
    db.execute_batch(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
                             serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
         CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
                               data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);",
    )
    .unwrap();
    let all = db.transaction().unwrap();
    let mut topics = Vec::new();
    for Recorded { topic, kind, stamp, data } in messages {
        if !topics.contains(topic) {
            topics.push(topic);
            let new = "INSERT INTO topics(name, type, serialization_format, offered_qos_profiles) \
                       VALUES (?, ?, 'cdr', '')";
            all.execute(new, [topic, kind]).unwrap();
        }
        let topic = topics.iter().position(|known| known == topic).unwrap() + 1;
        let new = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)";
        all.execute(new, (topic, *stamp as i64, data)).unwrap();
    }
    all.commit().unwrap();
    if wal {
        let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
        fs::copy(&at_work, path).unwrap();
        fs::copy(log(&at_work), log(path)).unwrap();
    }
}
