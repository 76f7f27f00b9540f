//! The messages of several bags in one order: by stamp, then by bag.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::IntoIter;

use super::BagError;
use super::folder::{Parts, parts};
use super::losses::Losses;
use super::recorded::{Message, Wish};
use super::storage::Storage;

/// The bags, an iterator over their messages.
pub(super) struct Merged {
    bags: Vec<Bag>,
    wish: Arc<Wish>,
    losses: Losses,
    /// Whether nobody asks for more: the way to the next message may be long.
    unwanted: Arc<AtomicBool>,
    /// The bag of the last message. It moves on when the next one is wanted, so that memory may serve again.
    last: Option<usize>,
}

impl Merged {
    /// Opens bags: files, or the folders they are in.
    pub(super) fn open(bags: &[PathBuf], wish: &Wish) -> Result<Self, BagError> {
        let mut merged = Self {
            bags: Vec::new(),
            wish: Arc::new(wish.clone()),
            losses: Losses::default(),
            unwanted: Arc::default(),
            last: None,
        };
        for path in bags {
            let Parts { files, messages } = parts(path, &mut merged.losses)?;
            let mut bag = Bag {
                path: path.clone(),
                all: files.len(),
                files: files.into_iter(),
                storage: None,
                head: None,
                first: None,
                last: None,
                met: 0,
                stated: messages,
            };
            if let Some(file) = bag.files.next() {
                bag.storage = Storage::open(&file, &merged.wish, &mut merged.losses)?;
            }
            bag.advance(&merged.wish, &mut merged.losses, &merged.unwanted);
            merged.bags.push(bag);
        }
        Ok(merged)
    }

    /// The stamp of the first message, of whatever topic.
    pub(super) fn start(&self) -> Option<i64> {
        self.bags.iter().filter_map(|bag| bag.first).min()
    }

    /// The largest stamp that was met so far, of whatever topic; where there are no more messages, of all.
    pub(super) fn end(&self) -> Option<i64> {
        self.bags.iter().filter_map(|bag| bag.last).max()
    }

    /// To be set when nobody asks for more: there is no next message then.
    pub(super) fn unwanted(&self) -> Arc<AtomicBool> {
        self.unwanted.clone()
    }

    /// The place among the bags of the one that the last message came from.
    pub(super) fn recording(&self) -> Option<usize> {
        self.last
    }

    /// What could not be read since this was last asked for.
    pub(super) fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// How much is read, of 1.
    pub(super) fn share(&self) -> f64 {
        self.bags.iter().map(Bag::share).sum::<f64>() / self.bags.len().max(1) as f64
    }
}

impl Iterator for Merged {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if let Some(bag) = self.last.take() {
            self.bags[bag].advance(&self.wish, &mut self.losses, &self.unwanted);
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
    last: Option<i64>,
    /// Messages of any topic, and how many there should be.
    met: u64,
    stated: Option<u64>,
}

impl Bag {
    /// To the next message, through as many files as it takes.
    fn advance(&mut self, wish: &Arc<Wish>, losses: &mut Losses, unwanted: &AtomicBool) {
        loop {
            if let Some(storage) = &mut self.storage {
                self.head = storage.next(losses, unwanted);
                self.first = self.first.or(storage.first());
                self.last = self.last.max(storage.last());
                if self.head.is_some() || unwanted.load(Ordering::Relaxed) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::{Message as _, Text};
    use crate::bag::writer::{BagWriter, Offer};

    #[test]
    fn nothing_more_is_read_once_nobody_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bag.mcap");
        let mut bag = BagWriter::create(&path).unwrap();
        let wanted = bag.topic("/wanted", Text::DEFINITION, Offer::Reliable).unwrap();
        let other = bag.topic("/other", Text::DEFINITION, Offer::Reliable).unwrap();
        let text = Text { data: "said".to_owned() };
        for (topic, time) in [(wanted, 1), (other, 2), (other, 3), (wanted, 4)] {
            bag.write(topic, time, &text).unwrap();
        }
        bag.finish().unwrap();
        let wish = Wish { topics: vec!["/wanted".to_owned()], kinds: Vec::new() };
        let open = || Merged::open(std::slice::from_ref(&path), &wish).unwrap();
        let mut merged = open();
        assert_eq!((merged.start(), merged.end()), (Some(1), Some(1)));
        assert_eq!(merged.by_ref().map(|message| message.stamp).collect::<Vec<_>>(), [1, 4]);
        let mut merged = open();
        merged.unwanted().store(true, Ordering::Relaxed);
        assert_eq!(merged.by_ref().map(|message| message.stamp).collect::<Vec<_>>(), [1]);
        assert_eq!(merged.end(), Some(1), "the others are not read");
    }
}
