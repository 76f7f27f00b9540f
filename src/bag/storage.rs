//! One file of a bag, whatever it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fs_err as fs;
use tempfile::{NamedTempFile, TempDir};

use super::BagError;
use super::losses::Losses;
use super::mcap_file::McapFile;
use super::recorded::{Message, Wish};
use super::sqlite_file::{self, SqliteFile};
use super::unpack::{ZSTD, unpack_file};
use super::walk;

/// The largest file that is unpacked, in bytes.
const LARGEST: u64 = 1 << 38;

/// A file that is read message by message.
pub(crate) struct Storage {
    reading: Reading,
    /// What it was unpacked or copied to, for as long as it is read.
    _copy: Option<Copy>,
}

enum Reading {
    Mcap(Box<McapFile>),
    Sqlite(Box<SqliteFile>),
}

enum Copy {
    Unpacked { _file: NamedTempFile },
    WithLog { _folder: TempDir },
}

/// What the first bytes of a file, or its name, say it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zstd,
    Mcap,
    Sqlite,
}

impl Kind {
    fn of(file: &Path, name: &Path) -> io::Result<Option<Self>> {
        let mut begin = Vec::new();
        fs::File::open(file)?.take(16).read_to_end(&mut begin)?;
        let by_bytes =
            [(&ZSTD[..], Self::Zstd), (&walk::MAGIC, Self::Mcap), (sqlite_file::MAGIC, Self::Sqlite)];
        let by_name = [("zstd", Self::Zstd), ("mcap", Self::Mcap), ("db3", Self::Sqlite)];
        let known = by_bytes.into_iter().find(|(magic, _)| begin.starts_with(magic));
        // The first bytes may be what is damaged.
        let ending = name.extension().unwrap_or_default();
        let named = || by_name.into_iter().find(|(known, _)| ending == *known);
        Ok(known.map(|(_, kind)| kind).or_else(|| named().map(|(_, kind)| kind)))
    }
}

impl Storage {
    /// Opens the file. One that is damaged so much that nothing can be read is a loss, and `None`.
    pub(crate) fn open(path: &Path, wish: &Arc<Wish>, losses: &mut Losses) -> Result<Option<Self>, BagError> {
        if !fs::metadata(path)?.is_file() {
            return Err(BagError::NoBag { path: path.to_owned() });
        }
        let mut kind = Kind::of(path, path)?;
        let mut file = path.to_owned();
        let mut copy = None;
        if kind == Some(Kind::Zstd) {
            let unpacked = unpacked(path, losses)?;
            file = unpacked.path().to_owned();
            kind = Kind::of(&file, &path.with_extension(""))?;
            copy = Some(Copy::Unpacked { _file: unpacked });
        }
        let reading = match kind {
            Some(Kind::Mcap) => {
                let opened = File::open(&file).and_then(|file| McapFile::open(path, file, wish.clone()));
                opened.map(|file| Reading::Mcap(Box::new(file))).map_err(|error| error.to_string())
            }
            Some(Kind::Sqlite) => {
                let log = log_of(path);
                let has_log = copy.is_none() && fs::metadata(&log).is_ok_and(|log| log.len() > 0);
                if has_log {
                    let folder = tempfile::tempdir()?;
                    file = folder.path().join("bag.db3");
                    fs::copy(path, &file)?;
                    fs::copy(&log, with_ending(&file, "-wal"))?;
                    copy = Some(Copy::WithLog { _folder: folder });
                }
                let opened = SqliteFile::open(path, &file, copy.is_some(), wish);
                let opened = opened.map_err(|error| error.to_string()).and_then(|mut database| {
                    if !has_log {
                        database.measure(&file, losses).map_err(|error| error.to_string())?;
                    }
                    Ok(Box::new(database))
                });
                opened.map(Reading::Sqlite)
            }
            Some(Kind::Zstd) | None => return Err(BagError::NoBag { path: path.to_owned() }),
        };
        match reading {
            Ok(reading) => Ok(Some(Self { reading, _copy: copy })),
            Err(error) => {
                losses.note(path, None, format!("nothing of this file can be read: {error}"));
                Ok(None)
            }
        }
    }

    /// The next message of a topic that is wanted; none once nobody asks for it any more.
    pub(crate) fn next(&mut self, losses: &mut Losses, unwanted: &AtomicBool) -> Option<Message> {
        match &mut self.reading {
            Reading::Mcap(file) => file.next(losses, unwanted),
            Reading::Sqlite(file) => file.next(losses, unwanted),
        }
    }

    /// What its records of metadata say that have this name.
    pub(crate) fn notes(self, name: &str) -> Vec<BTreeMap<String, String>> {
        match self.reading {
            Reading::Mcap(file) => file.notes(name),
            Reading::Sqlite(_) => Vec::new(),
        }
    }

    /// Topics and types.
    pub(crate) fn topics(self, losses: &mut Losses) -> Vec<(String, String)> {
        match self.reading {
            Reading::Mcap(file) => file.topics(losses),
            Reading::Sqlite(file) => file.topics(),
        }
    }

    /// The stamp of the first message of any topic, once one has been met.
    pub(crate) fn first(&self) -> Option<i64> {
        match &self.reading {
            Reading::Mcap(file) => file.first(),
            Reading::Sqlite(file) => file.first(),
        }
    }

    /// The largest stamp that was met of any topic, once one has been.
    pub(crate) fn last(&self) -> Option<i64> {
        match &self.reading {
            Reading::Mcap(file) => file.last(),
            Reading::Sqlite(file) => file.last(),
        }
    }

    /// How many messages of any topic were met.
    pub(crate) fn met(&self) -> u64 {
        match &self.reading {
            Reading::Mcap(file) => file.met(),
            Reading::Sqlite(file) => file.met(),
        }
    }

    /// How much of the file is read.
    pub(crate) fn share(&self) -> f64 {
        match &self.reading {
            Reading::Mcap(file) => file.share(),
            Reading::Sqlite(file) => file.share(),
        }
    }
}

/// The file unpacked to the folder for temporary files, as far as it can be.
fn unpacked(path: &Path, losses: &mut Losses) -> Result<NamedTempFile, BagError> {
    let mut unpacked = NamedTempFile::with_prefix("synthcp-bag-")?;
    let mut writer = BufWriter::new(unpacked.as_file_mut());
    if let Err(error) = unpack_file(fs::File::open(path)?, &mut writer, LARGEST) {
        losses.note(path, None, format!("the compressed file is read as far as it can be: {error}"));
    }
    writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(unpacked)
}

/// Where sqlite3 keeps what is not yet in the database at `path`.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    with_ending(path, "-wal")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
