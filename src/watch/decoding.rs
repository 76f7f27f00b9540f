//! Decoding on a thread of its own, just in time.
//!
//! An image decoded too early is older, when its turn comes, than the newest one, and one that a newer one
//! replaces was decoded for nothing. So the newest image is taken up when the inference of the one before
//! it is about to end: then decoding takes no time from inference, and no image is decoded in vain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::RgbImage;

use super::mailbox::Arrival;
use super::shared::Shared;
use super::stream::panic_message;

/// An image on its way from decoding to inference.
#[derive(Debug)]
pub struct Decoded {
    /// The image.
    pub arrival: Arrival,
    /// Its pixels, or why there are none.
    pub image: Result<RgbImage, String>,
    /// How long that took.
    pub took: Duration,
}

impl Decoded {
    /// Decodes. A panic inside is but another reason.
    pub fn new(arrival: Arrival) -> Self {
        let start = Instant::now();
        let image = catch_unwind(AssertUnwindSafe(|| arrival.image.decode()))
            .map_err(|panic| panic_message(panic.as_ref()))
            .and_then(|result| result.map_err(|error| error.to_string()));
        Self { arrival, image, took: start.elapsed() }
    }
}

/// When inference will want its next image.
#[derive(Debug, Default)]
pub struct Turn {
    next: Mutex<Next>,
    changed: Condvar,
}

/// What inference is about to do.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    /// It waits for an image.
    #[default]
    Wanted,
    /// It has been handed one, or is about to be.
    Handed,
    /// It is at work on one until then, as far as one can tell.
    After(Instant),
}

impl Turn {
    /// An image goes to inference; when the one after it is wanted will be known when that begins.
    pub fn hand(&self) {
        *self.lock() = Next::Handed;
    }

    /// Inference has begun and will have ended at `end`, as far as one can tell.
    pub fn begin(&self, end: Instant) {
        *self.lock() = Next::After(end);
        self.changed.notify_all();
    }

    /// Inference has ended.
    pub fn end(&self) {
        let mut next = self.lock();
        if matches!(*next, Next::After(_)) {
            *next = Next::Wanted;
            self.changed.notify_all();
        }
    }

    /// Waits until inference wants an image, or will within `lead`.
    pub fn wait(&self, lead: Duration) {
        let mut next = self.lock();
        loop {
            next = match *next {
                Next::Wanted => return,
                Next::Handed => self.changed.wait(next).unwrap_or_else(PoisonError::into_inner),
                Next::After(end) => {
                    let rest = end.saturating_duration_since(Instant::now() + lead);
                    if rest.is_zero() {
                        return;
                    }
                    self.changed.wait_timeout(next, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes the newest image whenever it is time, until the mailbox is closed.
pub fn decode(shared: &Shared, decoded: &SyncSender<Decoded>) {
    let mut lead = Duration::ZERO;
    loop {
        shared.turn.wait(lead);
        let Some(arrival) = shared.mailbox.take() else { return };
        let next = Decoded::new(arrival);
        // As much again for what the estimate is off.
        lead = 2 * next.took;
        shared.turn.hand();
        if decoded.send(next).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_image_is_taken_up_just_before_it_is_wanted() {
        let turn = Turn::default();
        turn.wait(Duration::ZERO);
        let now = Instant::now();
        turn.begin(now + Duration::from_millis(30));
        turn.wait(Duration::from_millis(20));
        let waited = now.elapsed();
        assert!(waited >= Duration::from_millis(10), "{waited:?}");
        turn.begin(Instant::now() + Duration::from_secs(1));
        turn.wait(Duration::from_secs(2));
    }

    #[test]
    fn an_inference_that_ends_early_is_not_kept_waiting() {
        let turn = Arc::new(Turn::default());
        turn.begin(Instant::now() + Duration::from_secs(3600));
        let waiting = {
            let turn = turn.clone();
            std::thread::spawn(move || turn.wait(Duration::ZERO))
        };
        turn.end();
        waiting.join().unwrap();
    }

    #[test]
    fn what_follows_an_image_on_its_way_waits_for_its_inference_to_begin() {
        let turn = Arc::new(Turn::default());
        let now = Instant::now();
        turn.begin(now + Duration::from_secs(3600));
        // Taken up early: the inference before it ends only now.
        turn.hand();
        turn.end();
        let waiting = {
            let turn = turn.clone();
            std::thread::spawn(move || {
                turn.wait(Duration::ZERO);
                now.elapsed()
            })
        };
        std::thread::sleep(Duration::from_millis(20));
        turn.begin(now + Duration::from_millis(30));
        let waited = waiting.join().unwrap();
        assert!(waited >= Duration::from_millis(30), "{waited:?}");
    }
}
