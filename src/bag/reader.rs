//! Reads what robots record: `(topic, stamp, bytes)` in recorded order, several bags merged by stamp.
//!
//! ```text
//! bag --folder--> files in order --storage--> mcap_file --chunks, walk--> records, over damage --.
//!                                  unzipped   sqlite_file --------------> rows, over damage -----+-- merge
//! bag ... ---------------------------------------------------------------- by stamp, then by bag --'   |
//!                                                              Message <-- ahead: on its own thread <--'
//! ```
//!
//! Memory does not grow with the bag: a few chunks and messages are held, of `AHEAD` bytes or one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::BagError;
use super::ahead::Ahead;
use super::folder::{METADATA, parts};
use super::losses::Losses;
use super::merge::Merged;
pub use super::recorded::{Message, Trust, Wish};
use super::storage::{Storage, log_of};

/// Messages that are read before they are wanted, in bytes; one, where it is larger. What they keep in memory is
/// four times as much at most: smaller parts are copied.
const AHEAD: usize = 1 << 22;
/// What a message counts at least.
const LEAST: usize = 1 << 10;

/// A topic of a bag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its type; empty where the bag does not say.
    pub kind: String,
}

/// The topics of bags, by name. Files without a summary are read through.
pub fn topics(bags: &[PathBuf]) -> Result<Vec<Topic>, BagError> {
    // What is lost here is lost again, and told, when the messages are read.
    let mut losses = Losses::default();
    let nothing = Arc::new(Wish { topics: vec![String::new()], kinds: Vec::new() });
    let mut topics = Vec::new();
    for bag in bags {
        for file in parts(bag, &mut losses)?.files {
            let found = Storage::open(&file, &nothing, &mut losses)?;
            let found = found.map_or(Vec::new(), |storage| storage.topics(&mut losses));
            topics.extend(found.into_iter().map(|(name, kind)| Topic { name, kind }));
        }
    }
    topics.sort();
    topics.dedup();
    Ok(topics)
}

/// What records of metadata in the MCAP files of the bag at `path` say that have this name. No message is read.
pub(crate) fn notes(path: &Path, name: &str) -> Result<Vec<BTreeMap<String, String>>, BagError> {
    // What is lost here is lost again, and told, when the messages are read.
    let mut losses = Losses::default();
    let nothing = Arc::new(Wish { topics: vec![String::new()], kinds: Vec::new() });
    let mut notes = Vec::new();
    for file in parts(path, &mut losses)?.files {
        let found = Storage::open(&file, &nothing, &mut losses)?;
        notes.extend(found.map_or(Vec::new(), |storage| storage.notes(name)));
    }
    Ok(notes)
}

/// The files that the bag at `path` is read from, and those beside them that say how.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, BagError> {
    let mut files = parts(path, &mut Losses::default())?.files;
    files.extend(files.clone().iter().map(|file| log_of(file)).filter(|log| log.is_file()));
    files.extend(Some(path.join(METADATA)).filter(|about| about.is_file()));
    Ok(files)
}

/// The messages of bags, an iterator. What cannot be read is passed over, and in [`Reader::losses`].
///
/// Files are read on a thread of its own, while the caller is at work on the message before.
pub struct Reader {
    ahead: Ahead<Read>,
    /// Tells the thread that nobody asks for more.
    unwanted: Arc<AtomicBool>,
    start: Option<i64>,
    end: Option<i64>,
    recording: Option<usize>,
    losses: Losses,
    share: f64,
}

/// A message, or the end, and what is known once it is read.
struct Read {
    message: Option<Message>,
    recording: Option<usize>,
    /// What was lost on the way to it.
    lost: Losses,
    end: Option<i64>,
    share: f64,
}

impl Reader {
    /// Opens bags: files, or the folders they are in. An error is one of the arguments; damage is none.
    pub fn open(bags: &[PathBuf], wish: &Wish) -> Result<Self, BagError> {
        let mut merged = Merged::open(bags, wish)?;
        let (start, end, unwanted) = (merged.start(), merged.end(), merged.unwanted());
        let (share, losses) = (merged.share(), merged.take_losses());
        let mut ended = false;
        let read = std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let message = merged.next();
            ended = message.is_none();
            let (recording, lost) = (merged.recording(), merged.take_losses());
            Some(Read { message, recording, lost, end: merged.end(), share: merged.share() })
        });
        let size = |read: &Read| read.message.as_ref().map_or(0, |message| message.data.len().max(LEAST));
        let ahead = Ahead::of(read, size, AHEAD)?;
        Ok(Self { ahead, unwanted, start, end, recording: None, losses, share })
    }

    /// The stamp of the first message, of whatever topic.
    pub fn start(&self) -> Option<i64> {
        self.start
    }

    /// The largest stamp that was met so far, of whatever topic; once there are no more messages, of all. Doubtful
    /// messages are left out: their stamps may be wrong.
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// The place among the bags of the one that the last message came from.
    pub fn recording(&self) -> Option<usize> {
        self.recording
    }

    /// What could not be read so far.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// How much is read, of 1.
    pub fn share(&self) -> f64 {
        self.share
    }
}

impl Iterator for Reader {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let Read { message, recording, lost, end, share } = self.ahead.next()?;
        self.losses.append(lost);
        (self.recording, self.end, self.share) = (recording, end, share);
        message
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The thread, which is waited for, may be on its way to a message that is far away.
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::{Message as _, Text};
    use crate::bag::writer::{BagWriter, Offer};

    #[test]
    fn a_small_message_does_not_keep_what_it_was_read_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bag.mcap");
        let mut bag = BagWriter::create(&path).unwrap();
        let topic = bag.topic("/topic", Text::DEFINITION, Offer::Reliable).unwrap();
        let sizes = [1_000, 300_000, 1_000, 1_000];
        for (time, size) in (1..).zip(sizes) {
            bag.write_encoded(topic, time, &vec![7; size]).unwrap();
        }
        bag.finish().unwrap();
        let read: Vec<Message> = Reader::open(&[path], &Wish::default()).unwrap().collect();
        assert_eq!(read.iter().map(|message| message.data.len()).collect::<Vec<_>>(), sizes);
        // Parts of one chunk would share it.
        assert!(read.iter().all(|message| message.data.is_unique() || message.data.len() > 1_000));
    }

    #[test]
    fn notes_are_found_by_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bag.mcap");
        let mut bag = BagWriter::create(&path).unwrap();
        let topic = bag.topic("/topic", Text::DEFINITION, Offer::Reliable).unwrap();
        let facts = |value: &str| BTreeMap::from([("key".to_owned(), value.to_owned())]);
        bag.note("one", facts("a")).unwrap();
        bag.write_encoded(topic, 1, &vec![7; 2_000_000]).unwrap();
        bag.note("other", facts("b")).unwrap();
        bag.finish().unwrap();
        assert_eq!(notes(&path, "one").unwrap(), [facts("a")]);
        assert_eq!(notes(folder.path(), "other").unwrap(), [facts("b")]);
        assert!(notes(&path, "none").unwrap().is_empty());
    }
}
