//! Reads what robots record: `(topic, stamp, bytes)` in recorded order, several bags merged by stamp.
//!
//! ```text
//! bag --folder--> files in order --storage--> mcap_file --walk--> records, over damage ---.
//!                                  unzipped   sqlite_file -------> rows, over damage -----+--> Message
//! bag ... ------------------------------------------------------------ by stamp, then by bag
//! ```
//!
//! Memory does not grow with the bag: one chunk or one message a bag is held.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

use super::BagError;
use super::folder::{METADATA, Parts, parts};
use super::losses::Losses;
pub use super::recorded::{Message, Trust, Wish};
use super::storage::{Storage, log_of};

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

/// The files that the bag at `path` is read from, and those beside them that say how.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, BagError> {
    let mut files = parts(path, &mut Losses::default())?.files;
    files.extend(files.clone().iter().map(|file| log_of(file)).filter(|log| log.is_file()));
    files.extend(Some(path.join(METADATA)).filter(|about| about.is_file()));
    Ok(files)
}

/// The messages of bags, an iterator. What cannot be read is passed over, and in [`Reader::losses`].
pub struct Reader {
    bags: Vec<Bag>,
    wish: Arc<Wish>,
    losses: Losses,
    /// The bag of the last message. It moves on when the next one is wanted, so that memory may serve again.
    last: Option<usize>,
}

impl Reader {
    /// Opens bags: files, or the folders they are in. An error is one of the arguments; damage is none.
    pub fn open(bags: &[PathBuf], wish: &Wish) -> Result<Self, BagError> {
        let mut reader =
            Self { bags: Vec::new(), wish: Arc::new(wish.clone()), losses: Losses::default(), last: None };
        for path in bags {
            let Parts { files, messages } = parts(path, &mut reader.losses)?;
            let mut bag = Bag {
                path: path.clone(),
                all: files.len(),
                files: files.into_iter(),
                storage: None,
                head: None,
                first: None,
                met: 0,
                stated: messages,
            };
            if let Some(file) = bag.files.next() {
                bag.storage = Storage::open(&file, &reader.wish, &mut reader.losses)?;
            }
            bag.advance(&reader.wish, &mut reader.losses);
            reader.bags.push(bag);
        }
        Ok(reader)
    }

    /// The stamp of the first message, of whatever topic.
    pub fn start(&self) -> Option<i64> {
        self.bags.iter().filter_map(|bag| bag.first).min()
    }

    /// The place among the bags of the one that the last message came from.
    pub fn recording(&self) -> Option<usize> {
        self.last
    }

    /// What could not be read so far.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// How much is read, of 1.
    pub fn share(&self) -> f64 {
        self.bags.iter().map(Bag::share).sum::<f64>() / self.bags.len().max(1) as f64
    }
}

impl Iterator for Reader {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if let Some(bag) = self.last.take() {
            self.bags[bag].advance(&self.wish, &mut self.losses);
        }
        // The first of those with the same stamp: bags are in the order in which they were given.
        let heads = self.bags.iter().map(|bag| bag.head.as_ref());
        let stamps = heads.enumerate().filter_map(|(bag, head)| Some((head?.stamp, bag)));
        let (_, bag) = stamps.min()?;
        self.last = Some(bag);
        self.bags[bag].head.take()
    }
}

/// One bag at work.
struct Bag {
    path: PathBuf,
    files: IntoIter<PathBuf>,
    all: usize,
    storage: Option<Storage>,
    /// The next message.
    head: Option<Message>,
    first: Option<i64>,
    /// Messages of any topic, and how many there should be.
    met: u64,
    stated: Option<u64>,
}

impl Bag {
    /// To the next message, through as many files as it takes.
    fn advance(&mut self, wish: &Arc<Wish>, losses: &mut Losses) {
        loop {
            if let Some(storage) = &mut self.storage {
                self.head = storage.next(losses);
                self.first = self.first.or(storage.first());
                if self.head.is_some() {
                    return;
                }
                self.met += storage.met();
                self.storage = None;
            }
            let Some(file) = self.files.next() else { break };
            match Storage::open(&file, wish, losses) {
                Ok(storage) => self.storage = storage,
                Err(error) => losses.note(&file, None, error.to_string()),
            }
        }
        if let Some(stated) = self.stated.take().filter(|&stated| stated > self.met) {
            let what = format!("{} messages are there; metadata.yaml counts {stated}", self.met);
            losses.note(&self.path, None, what);
        }
    }

    fn share(&self) -> f64 {
        let begun = self.all - self.files.len();
        let unread = self.storage.as_ref().map_or(0.0, |storage| 1.0 - storage.share());
        (begun as f64 - unread) / self.all.max(1) as f64
    }
}
