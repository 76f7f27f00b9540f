//! From camera topics to the newest image.
//!
//! Images are drained as fast as they arrive into one slot; what is still waiting there when the
//! next one comes is dropped and counted. Only what is taken out is ever decoded, so a dropped image
//! costs a move.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::labels::LabelArrival;
use crate::frame::CameraImage;

/// An image and when it arrived, on the steady clock.
#[derive(Debug)]
pub struct Arrival {
    /// The image.
    pub image: CameraImage,
    /// When it came.
    pub at: Instant,
    /// Another segmenter's labels of it, where those are assessed.
    pub labels: Option<LabelArrival>,
}

impl Arrival {
    /// An image alone.
    pub fn new(image: CameraImage, at: Instant) -> Self {
        Self { image, at, labels: None }
    }

    /// The image with its labels.
    pub(crate) fn with(self, labels: LabelArrival) -> Self {
        Self { labels: Some(labels), ..self }
    }
}

/// Images since the start. Once none is in hand or waiting,
/// `received = processed + dropped + invalid + unmatched`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrived.
    pub received: u64,
    /// Assessed, those whose inference failed included.
    pub processed: u64,
    /// Overwritten by a newer one before their turn, or come while none was assessed.
    pub dropped: u64,
    /// Could not be read.
    pub invalid: u64,
    /// Came without the labels that were to be assessed.
    pub unmatched: u64,
}

impl Counts {
    /// Images that wait or are in hand.
    pub(crate) fn outstanding(&self) -> u64 {
        self.received.saturating_sub(self.processed + self.dropped + self.invalid + self.unmatched)
    }
}

/// Wakes whoever waits for an item of any of several mailboxes.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl Bell {
    /// How often it has rung.
    pub(crate) fn rung(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has rung more than `times`.
    pub(crate) fn wait_for_more_than(&self, times: u64) {
        let mut rung = self.lock();
        while *rung <= times {
            rung = self.changed.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ring(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One slot in which the newest wins, and the count of all that went through it.
#[derive(Debug)]
pub struct Mailbox<T> {
    slot: Mutex<Slot<T>>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Slot<T> {
    waiting: Option<T>,
    closed: bool,
    counts: Counts,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let slot = Slot { waiting: None, closed: false, counts: Counts::default() };
        Self { slot: Mutex::new(slot), bell: Arc::default() }
    }
}

impl<T> Mailbox<T> {
    /// The same, that rings this bell.
    pub(crate) fn with_bell(self, bell: Arc<Bell>) -> Self {
        Self { bell, ..self }
    }

    /// What rings when something comes, and at the end.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Leaves `item` for the taker, in place of whatever still waits; once closed, drops it.
    pub(crate) fn put(&self, item: T) {
        {
            let mut slot = self.lock();
            slot.counts.received += 1;
            if slot.closed || slot.waiting.replace(item).is_some() {
                slot.counts.dropped += 1;
            }
        }
        self.bell.ring();
    }

    /// The newest item, if one waits.
    pub fn take(&self) -> Option<T> {
        self.lock().waiting.take()
    }

    /// Whether there will be no more, till it is opened.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What `look` makes of the item that waits.
    pub(crate) fn waiting<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.lock().waiting.as_ref().map(look)
    }

    /// Counts the item last taken as assessed, and gives the counts with it.
    pub(crate) fn count_processed(&self) -> Counts {
        let mut slot = self.lock();
        slot.counts.processed += 1;
        slot.counts
    }

    /// Counts the item last taken as unreadable, and gives the counts with it.
    pub(crate) fn count_invalid(&self) -> Counts {
        let mut slot = self.lock();
        slot.counts.invalid += 1;
        slot.counts
    }

    /// Counts images that arrived and never came here, for want of their labels.
    pub(crate) fn count_unmatched(&self, images: u64) {
        let counts = &mut self.lock().counts;
        counts.received += images;
        counts.unmatched += images;
    }

    /// Counts an image that arrived and is not to be assessed.
    pub(crate) fn count_dropped(&self) {
        let counts = &mut self.lock().counts;
        counts.received += 1;
        counts.dropped += 1;
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// There will be no more, till it is opened; what waits is dropped.
    pub(crate) fn close(&self) {
        {
            let mut slot = self.lock();
            slot.closed = true;
            slot.counts.dropped += u64::from(slot.waiting.take().is_some());
        }
        self.bell.ring();
    }

    /// There will be more.
    pub(crate) fn open(&self) {
        self.lock().closed = false;
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_every_item_is_accounted_for() {
        let mailbox = Mailbox::default();
        for item in 0..5 {
            mailbox.put(item);
        }
        assert_eq!(mailbox.take(), Some(4));
        let counts = mailbox.count_processed();
        assert_eq!(counts, Counts { received: 5, processed: 1, dropped: 4, ..Counts::default() });
        mailbox.put(5);
        assert_eq!(mailbox.take(), Some(5));
        assert_eq!(
            mailbox.count_invalid(),
            Counts { received: 6, processed: 1, dropped: 4, invalid: 1, unmatched: 0 }
        );
    }

    #[test]
    fn while_it_is_closed_everything_is_dropped_and_counted() {
        let mailbox = Mailbox::default();
        mailbox.put(1);
        mailbox.close();
        mailbox.put(2);
        mailbox.count_dropped();
        assert_eq!(mailbox.take(), None);
        assert_eq!(mailbox.counts(), Counts { received: 3, dropped: 3, ..Counts::default() });
        mailbox.open();
        assert_eq!(mailbox.take(), None, "what came before is gone");
        mailbox.put(3);
        assert_eq!((mailbox.take(), mailbox.is_closed()), (Some(3), false));
    }

    #[test]
    fn images_without_labels_count_as_arrived_and_owe_nothing() {
        let mailbox = Mailbox::<u8>::default();
        mailbox.put(1);
        mailbox.count_unmatched(3);
        let counts = mailbox.counts();
        assert_eq!((counts.received, counts.unmatched, counts.outstanding()), (4, 3, 1));
    }
}
