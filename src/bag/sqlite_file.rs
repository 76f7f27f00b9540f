//! The messages of one sqlite3 file of rosbag2, row by row in the order in which they were written.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension};

use super::losses::Losses;
use super::recorded::{Message, Trust, Wish};
use super::spare::Spare;
use super::unpack::{MOST, plain};

/// Begins every sqlite3 file.
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Rows that are tried one by one behind one that cannot be read; and no more than a file has room for, at so
/// many bytes a row.
const PATIENCE: i64 = 1 << 20;
const SMALLEST: u64 = 8;
/// Bytes of the file that sqlite maps at most, and bytes of messages after which it begins anew: what is mapped
/// and was read counts as memory in use. Without, each page of 4 KiB is a call of the system of its own.
const MAPPED: i64 = 0x7fff_0000;
const MAPPED_ANEW: usize = 1 << 26;

struct Topic {
    name: Arc<str>,
    kind: Arc<str>,
    wanted: bool,
}

/// One file, row by row.
pub(crate) struct SqliteFile {
    path: PathBuf,
    connection: Connection,
    topics: HashMap<i64, Topic>,
    /// The row that was read last, and the last one there is.
    row: i64,
    last_row: i64,
    first: Option<i64>,
    last: Option<i64>,
    met: u64,
    /// Whether pages are missing. Those at the end of a message then read as zeros, and nothing tells.
    cut: bool,
    /// Rows that the file has room for.
    room: i64,
    ended: bool,
    /// Messages that were read.
    spare: Spare,
    /// Bytes of messages that were read since the file was mapped.
    since_mapped: usize,
}

/// A row, as far as it was needed.
enum Found {
    Wanted { row: i64, topic: i64, stamp: i64, data: Bytes },
    Unwanted { row: i64, topic: i64, stamp: i64 },
}

impl SqliteFile {
    /// `path` is the name by which losses are told, `file` where the database is. Nothing is written there: no
    /// lock, no shared memory. A file with a `-wal` that counts has to be a copy, as it is written to.
    pub(crate) fn open(path: &Path, file: &Path, is_copy: bool, wish: &Wish) -> rusqlite::Result<Self> {
        let connection = match is_copy {
            true => Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?,
            false => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(uri(file), flags)?
            }
        };
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MOST as i32)?;
        // What sqlite refuses as a whole, a file shorter than it was, is read as far as it goes.
        connection.pragma_update(None, "writable_schema", true)?;
        let mut opened = Self {
            path: path.to_owned(),
            topics: topics(&connection, wish)?,
            connection,
            row: i64::MIN,
            last_row: 0,
            first: None,
            last: None,
            met: 0,
            cut: false,
            room: PATIENCE,
            ended: false,
            spare: Spare::default(),
            since_mapped: 0,
        };
        opened.map()?;
        opened.last_row = opened.last_row()?;
        Ok(opened)
    }

    /// Compares the file's length with what its head says, unless the rest of it is in a log.
    pub(crate) fn measure(&mut self, file: &Path, losses: &mut Losses) -> io::Result<()> {
        let (len, mut head) = (fs_err::metadata(file)?.len(), [0; 100]);
        fs_err::File::open(file)?.read_exact(&mut head)?;
        let field = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let page = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 1 << 16,
            page => u64::from(page.max(1)),
        };
        // The number of pages counts if it was written last (sqlite file format, 1.3.7).
        let pages = if field(24) == field(92) { u64::from(field(28)) } else { len.div_ceil(page) };
        self.cut = len < pages * page;
        self.room = i64::try_from(len / SMALLEST).unwrap_or(PATIENCE).min(PATIENCE);
        if self.cut {
            let what = format!("the file was cut: {len} bytes of {} are there", pages * page);
            losses.note(&self.path, None, what);
        }
        Ok(())
    }

    /// Maps the file, anew if it was.
    fn map(&mut self) -> rusqlite::Result<()> {
        self.since_mapped = 0;
        self.connection.pragma_update(None, "mmap_size", 0)?;
        self.connection.pragma_update(None, "mmap_size", MAPPED)
    }

    fn last_row(&self) -> rusqlite::Result<i64> {
        let last = "SELECT id FROM messages ORDER BY id DESC LIMIT 1";
        match self.connection.query_row(last, [], |row| row.get(0)) {
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(0),
            // That part is damaged; rows are tried as long as patience lasts.
            Err(rusqlite::Error::SqliteFailure(..)) => Ok(i64::MAX),
            other => other,
        }
    }

    /// Topics and types.
    pub(crate) fn topics(self) -> Vec<(String, String)> {
        self.topics.into_values().map(|topic| (topic.name.to_string(), topic.kind.to_string())).collect()
    }

    /// The stamp of the first message of any topic, once one has been met.
    pub(crate) fn first(&self) -> Option<i64> {
        self.first
    }

    /// The largest stamp that was met of any topic, once one has been.
    pub(crate) fn last(&self) -> Option<i64> {
        self.last
    }

    /// How many messages of any topic were met.
    pub(crate) fn met(&self) -> u64 {
        self.met
    }

    /// How much of the file is read.
    pub(crate) fn share(&self) -> f64 {
        if self.ended { 1.0 } else { self.row.max(0) as f64 / self.last_row.max(1) as f64 }
    }

    /// The next message of a topic that is wanted; none once nobody asks for it any more.
    pub(crate) fn next(&mut self, losses: &mut Losses, unwanted: &AtomicBool) -> Option<Message> {
        while !self.ended && !unwanted.load(Ordering::Relaxed) {
            let found = match self.next_row() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) => self.behind_damage(&error, losses)?,
            };
            let message = self.message(found, losses);
            if message.is_some() {
                return message;
            }
        }
        None
    }

    fn message(&mut self, found: Found, losses: &mut Losses) -> Option<Message> {
        let (Found::Wanted { row, topic, stamp, .. } | Found::Unwanted { row, topic, stamp }) = found;
        self.row = row;
        self.met += 1;
        self.first.get_or_insert(stamp);
        self.last = self.last.max(Some(stamp));
        let place = u64::try_from(row).ok();
        let Some(Topic { name, kind, .. }) = self.topics.get(&topic) else {
            losses.note(&self.path, place, format!("a message of topic {topic}, which is not in the table"));
            return None;
        };
        let Found::Wanted { data, .. } = found else { return None };
        let trust = if self.cut && data.last() == Some(&0) { Trust::Doubtful } else { Trust::Sound };
        let data = plain(data).map_err(|what| losses.note(&self.path, place, what)).ok()?;
        Some(Message { topic: name.clone(), kind: kind.clone(), stamp, data, trust })
    }

    fn next_row(&mut self) -> rusqlite::Result<Option<Found>> {
        if self.since_mapped >= MAPPED_ANEW {
            self.map()?;
        }
        self.find("WHERE id > ?1 ORDER BY id LIMIT 1", self.row)
    }

    fn at(&mut self, row: i64) -> rusqlite::Result<Option<Found>> {
        self.find("WHERE id = ?1", row)
    }

    fn find(&mut self, place: &str, row: i64) -> rusqlite::Result<Option<Found>> {
        // Of the data only the kind, which is told without reading them.
        let query = format!("SELECT id, topic_id, timestamp, typeof(data) FROM messages {place}");
        let mut statement = self.connection.prepare_cached(&query)?;
        let found = statement.query_row([row], |found| {
            Ok((found.get(0)?, found.get(1)?, found.get(2)?, found.get::<_, String>(3)?))
        });
        let Some((row, topic, stamp, kind)): Option<(i64, i64, i64, _)> = found.optional()? else {
            return Ok(None);
        };
        drop(statement);
        if row <= self.row {
            let what = format!("row {row} behind row {}", self.row);
            return Err(rusqlite::Error::ToSqlConversionFailure(what.into()));
        }
        // The data of others is not even fetched.
        if self.topics.get(&topic).is_some_and(|topic| !topic.wanted) {
            return Ok(Some(Found::Unwanted { row, topic, stamp }));
        }
        if kind != "blob" {
            let what = format!("{kind} in place of data");
            return Err(rusqlite::Error::ToSqlConversionFailure(what.into()));
        }
        let data = self.data(row)?;
        Ok(Some(Found::Wanted { row, topic, stamp, data }))
    }

    /// The message in a row, copied once: from the file's pages.
    fn data(&mut self, row: i64) -> rusqlite::Result<Bytes> {
        let blob = self.connection.blob_open(MAIN_DB, "messages", "data", row, true)?;
        let mut memory = self.spare.take();
        memory.resize(blob.len(), 0);
        blob.read_at_exact(&mut memory, 0)?;
        self.since_mapped += memory.len();
        let data = memory.freeze();
        self.spare.keep(data.clone());
        Ok(data)
    }

    /// The next row that can be read, found by its number: a walk would meet the same damage again.
    fn behind_damage(&mut self, error: &rusqlite::Error, losses: &mut Losses) -> Option<Found> {
        let from = self.row.max(0);
        let end = self.last_row.min(from.saturating_add(self.room));
        let mut rows = from.saturating_add(1)..=end;
        let found = rows.find_map(|row| Some((row, self.at(row).ok()??)));
        let lost = match &found {
            Some((row, _)) => format!("{} rows behind this one cannot be read", row - from - 1),
            None => "no row behind this one can be read".to_owned(),
        };
        losses.note(&self.path, u64::try_from(from).ok(), format!("{error}; {lost}"));
        self.ended = found.is_none();
        found.map(|(_, found)| found)
    }
}

fn topics(connection: &Connection, wish: &Wish) -> rusqlite::Result<HashMap<i64, Topic>> {
    let mut statement = connection.prepare("SELECT id, name, type FROM topics")?;
    let mut rows = statement.query([])?;
    let mut topics = HashMap::new();
    while let Some(row) = rows.next()? {
        let (id, name, kind): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let wanted = wish.wants(&name, &kind);
        topics.insert(id, Topic { name: name.into(), kind: kind.into(), wanted });
    }
    Ok(topics)
}

/// As sqlite wants a file that it must leave as it is.
fn uri(file: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let escaped = file.as_os_str().as_bytes().iter().map(|&byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    });
    // A path that begins with two slashes would name a computer.
    format!("file:{}?immutable=1", escaped.collect::<String>().replace("//", "/"))
}
