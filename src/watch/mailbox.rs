//! From camera topics to the newest image.
//!
//! Images are drained as fast as they arrive into one slot; what is still waiting there when the
//! next one comes is dropped and counted. Only what is taken out is ever decoded, so a dropped image
//! costs a move.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::RgbImage;
use r2r::sensor_msgs::msg::{CompressedImage, Image};
use r2r::std_msgs::msg::Header;

use crate::frame::{FrameError, RawImage, Stamp, decode_compressed, decode_raw};

/// An image message of either kind.
#[derive(Debug)]
pub enum Picture {
    /// From `image`.
    Raw(Image),
    /// From `image/compressed`.
    Compressed(CompressedImage),
}

impl Picture {
    /// Its header.
    pub fn header(&self) -> &Header {
        match self {
            Self::Raw(message) => &message.header,
            Self::Compressed(message) => &message.header,
        }
    }

    /// When it was taken.
    pub fn stamp(&self) -> Stamp {
        let Header { stamp, .. } = self.header();
        Stamp { sec: stamp.sec, nanosec: stamp.nanosec }
    }

    /// What the driver calls its encoding.
    pub fn encoding(&self) -> &str {
        match self {
            Self::Raw(message) => &message.encoding,
            Self::Compressed(message) => &message.format,
        }
    }

    /// Its pixels.
    pub fn decode(&self) -> Result<RgbImage, FrameError> {
        match self {
            Self::Raw(message) => decode_raw(&RawImage {
                width: message.width,
                height: message.height,
                encoding: &message.encoding,
                is_bigendian: message.is_bigendian != 0,
                step: message.step,
                data: &message.data,
            }),
            Self::Compressed(message) => decode_compressed(&message.format, &message.data),
        }
    }

    fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed(_))
    }
}

/// An image and when it arrived, on the steady clock.
#[derive(Debug)]
pub struct Arrival {
    /// The message.
    pub picture: Picture,
    /// When it came.
    pub at: Instant,
}

/// Images since the start. Once none is in hand or waiting,
/// `received = processed + dropped + invalid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrived.
    pub received: u64,
    /// Judged, those whose inference failed included.
    pub processed: u64,
    /// Overwritten by a newer one before their turn.
    pub dropped: u64,
    /// Could not be read.
    pub invalid: u64,
}

impl Counts {
    /// Images that wait or are in hand.
    pub fn outstanding(&self) -> u64 {
        self.received.saturating_sub(self.processed + self.dropped + self.invalid)
    }
}

/// One slot in which the newest wins, and the count of all that went through it.
#[derive(Debug)]
pub struct Mailbox<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
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
        Self { slot: Mutex::new(slot), changed: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    /// Leaves `item` for the taker, in place of whatever still waits.
    pub fn put(&self, item: T) {
        let mut slot = self.lock();
        slot.counts.received += 1;
        if slot.waiting.replace(item).is_some() {
            slot.counts.dropped += 1;
        }
        self.changed.notify_one();
    }

    /// Waits for the newest item; `None` once closed.
    pub fn take(&self) -> Option<T> {
        let mut slot = self.lock();
        loop {
            if slot.closed {
                return None;
            }
            if let Some(item) = slot.waiting.take() {
                return Some(item);
            }
            slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts the item last taken as judged, and gives the counts with it.
    pub fn count_processed(&self) -> Counts {
        let mut slot = self.lock();
        slot.counts.processed += 1;
        slot.counts
    }

    /// Counts the item last taken as unreadable, and gives the counts with it.
    pub fn count_invalid(&self) -> Counts {
        let mut slot = self.lock();
        slot.counts.invalid += 1;
        slot.counts
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Wakes the taker for the last time.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Recognises an image that comes a second time by the other transport: a camera that offers both
/// topics to a node that listens to both must still get one report a frame.
#[derive(Debug, Default)]
pub struct Twins {
    recent: VecDeque<(Stamp, bool, Instant)>,
}

impl Twins {
    const MEMORY: Duration = Duration::from_secs(1);

    /// Whether an image with this stamp came by the other transport a moment ago.
    pub fn is_second(&mut self, picture: &Picture, now: Instant) -> bool {
        self.seen(picture.stamp(), picture.is_compressed(), now)
    }

    fn seen(&mut self, stamp: Stamp, compressed: bool, now: Instant) -> bool {
        self.recent.retain(|&(_, _, at)| now.saturating_duration_since(at) < Self::MEMORY);
        // A driver that does not stamp gives no way to tell frames apart.
        if stamp == Stamp::default() {
            return false;
        }
        let twin = self.recent.iter().position(|&(other, kind, _)| other == stamp && kind != compressed);
        if let Some(index) = twin {
            self.recent.remove(index);
            return true;
        }
        self.recent.push_back((stamp, compressed, now));
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_newest_wins_and_every_item_is_accounted_for() {
        let mailbox = Mailbox::default();
        for item in 0..5 {
            mailbox.put(item);
        }
        assert_eq!(mailbox.take(), Some(4));
        let counts = mailbox.count_processed();
        assert_eq!(counts, Counts { received: 5, processed: 1, dropped: 4, invalid: 0 });
        mailbox.put(5);
        assert_eq!(mailbox.take(), Some(5));
        assert_eq!(mailbox.count_invalid(), Counts { received: 6, processed: 1, dropped: 4, invalid: 1 });
    }

    #[test]
    fn closing_wakes_a_waiting_taker() {
        let mailbox = Arc::new(Mailbox::<u8>::default());
        let taker = {
            let mailbox = mailbox.clone();
            std::thread::spawn(move || mailbox.take())
        };
        mailbox.close();
        assert_eq!(taker.join().unwrap(), None);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let mailbox = Arc::new(Mailbox::default());
        let taker = {
            let mailbox = mailbox.clone();
            std::thread::spawn(move || {
                let mut last = None;
                while let Some(item) = mailbox.take() {
                    assert!(last < Some(item), "newer than any before");
                    last = Some(item);
                    mailbox.count_processed();
                    if item == 9_999 {
                        break;
                    }
                }
            })
        };
        for item in 0..10_000 {
            mailbox.put(item);
        }
        taker.join().unwrap();
        let Counts { received, processed, dropped, invalid } = mailbox.counts();
        assert_eq!(received, 10_000);
        assert_eq!(received, processed + dropped + invalid);
    }

    #[test]
    fn an_image_by_both_transports_counts_once() {
        let mut twins = Twins::default();
        let now = Instant::now();
        let at = |sec| Stamp { sec, nanosec: 0 };
        assert!(!twins.seen(at(1), false, now));
        assert!(!twins.seen(at(2), true, now));
        assert!(twins.seen(at(1), true, now));
        assert!(twins.seen(at(2), false, now));
        assert!(!twins.seen(at(3), false, now));
        assert!(!twins.seen(at(3), false, now), "one transport never doubles itself");
        assert!(!twins.seen(at(3), true, now + Twins::MEMORY), "a bag played again is new");
        assert!(!twins.seen(at(0), false, now) && !twins.seen(at(0), true, now), "no stamp, no twin");
    }
}
