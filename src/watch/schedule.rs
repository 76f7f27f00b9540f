//! When the next image is wanted.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When inference will want its next image.
#[derive(Debug, Default)]
pub struct InferenceSchedule {
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

impl InferenceSchedule {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_image_is_taken_up_just_before_it_is_wanted() {
        let schedule = InferenceSchedule::default();
        schedule.wait(Duration::ZERO);
        let now = Instant::now();
        schedule.begin(now + Duration::from_millis(30));
        schedule.wait(Duration::from_millis(20));
        let waited = now.elapsed();
        assert!(waited >= Duration::from_millis(10), "{waited:?}");
        schedule.begin(Instant::now() + Duration::from_secs(1));
        schedule.wait(Duration::from_secs(2));
    }

    #[test]
    fn an_inference_that_ends_early_is_not_kept_waiting() {
        let schedule = Arc::new(InferenceSchedule::default());
        schedule.begin(Instant::now() + Duration::from_secs(3600));
        let waiting = {
            let schedule = schedule.clone();
            std::thread::spawn(move || schedule.wait(Duration::ZERO))
        };
        schedule.end();
        waiting.join().unwrap();
    }

    #[test]
    fn what_follows_an_image_on_its_way_waits_for_its_inference_to_begin() {
        let schedule = Arc::new(InferenceSchedule::default());
        let now = Instant::now();
        schedule.begin(now + Duration::from_secs(3600));
        // Taken up early: the inference before it ends only now.
        schedule.hand();
        schedule.end();
        let waiting = {
            let schedule = schedule.clone();
            std::thread::spawn(move || {
                schedule.wait(Duration::ZERO);
                now.elapsed()
            })
        };
        std::thread::sleep(Duration::from_millis(20));
        schedule.begin(now + Duration::from_millis(30));
        let waited = waiting.join().unwrap();
        assert!(waited >= Duration::from_millis(30), "{waited:?}");
    }
}
