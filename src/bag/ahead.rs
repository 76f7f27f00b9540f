//! What an iterator gives, made on a thread of its own before it is asked for, as far as memory allows.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// An iterator over what another one gives, in its order.
pub(super) struct Ahead<T> {
    queue: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

struct Queue<T> {
    /// Each with its size.
    items: VecDeque<(T, usize)>,
    /// The sizes together.
    bytes: usize,
    /// There will be no more.
    ended: bool,
    /// Nobody asks for more.
    unwanted: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as `condition` holds.
    fn wait_while(&self, condition: impl FnMut(&mut Queue<T>) -> bool) -> MutexGuard<'_, Queue<T>> {
        self.changed.wait_while(self.lock(), condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in, once there is room for it; false where nobody wants it.
    fn put(&self, item: T, size: usize, most: usize) -> bool {
        let full = |queue: &mut Queue<T>| {
            !queue.unwanted && !queue.items.is_empty() && queue.bytes.saturating_add(size) > most
        };
        let mut queue = self.wait_while(full);
        if queue.unwanted {
            return false;
        }
        queue.bytes = queue.bytes.saturating_add(size);
        queue.items.push_back((item, size));
        self.changed.notify_all();
        true
    }

    fn set(&self, change: impl FnOnce(&mut Queue<T>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Says that there will be no more, however the thread ends.
struct Ends<T>(Arc<Shared<T>>);

impl<T> Drop for Ends<T> {
    fn drop(&mut self) {
        self.0.set(|queue| queue.ended = true);
    }
}

impl<T: Send + 'static> Ahead<T> {
    /// Items of `most` bytes together wait to be asked for, by what `size` says of each; or one that is larger.
    pub(super) fn of(
        items: impl Iterator<Item = T> + Send + 'static,
        size: fn(&T) -> usize,
        most: usize,
    ) -> io::Result<Self> {
        let queue = Queue { items: VecDeque::new(), bytes: 0, ended: false, unwanted: false };
        let queue = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        let ends = Ends(queue.clone());
        let make = move || {
            for item in items {
                let size = size(&item);
                if !ends.0.put(item, size, most) {
                    break;
                }
            }
        };
        let thread = Builder::new().name("read ahead".to_owned()).spawn(make)?;
        Ok(Self { queue, thread: Some(thread) })
    }
}

impl<T> Iterator for Ahead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut queue = self.queue.wait_while(|queue| queue.items.is_empty() && !queue.ended);
        if let Some((item, size)) = queue.items.pop_front() {
            queue.bytes -= size;
            self.queue.changed.notify_all();
            return Some(item);
        }
        drop(queue);
        // An end that is a panic must not pass for one of the items.
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        None
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.queue.set(|queue| queue.unwanted = true);
        if let Some(thread) = self.thread.take() {
            // What it was about to read is not asked for, nor is why it failed.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_come_in_their_order_and_no_more_than_there_is_room_for_is_made_ahead() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let items = (0..100usize).inspect(|_| {
            MADE.fetch_add(1, Ordering::SeqCst);
        });
        let mut taken = 0;
        for item in Ahead::of(items, |_| 10, 35).unwrap() {
            assert_eq!(item, taken);
            taken += 1;
            // Three wait, one is in the maker's hand.
            assert!(MADE.load(Ordering::SeqCst) <= taken + 4);
        }
        assert_eq!(taken, 100);
    }

    #[test]
    fn one_that_is_larger_than_the_room_comes_too() {
        let sizes = [1, 1000, 1000, 1, usize::MAX, usize::MAX];
        assert!(Ahead::of(sizes.into_iter(), |&size| size, 10).unwrap().eq(sizes));
    }

    #[test]
    fn a_maker_whose_items_nobody_wants_ends() {
        let mut ahead = Ahead::of(0.., |_| 1, 3).unwrap();
        assert_eq!(ahead.next(), Some(0));
        // Joins the thread, which is endless otherwise.
        drop(ahead);
    }

    #[test]
    #[should_panic(expected = "the third is broken")]
    fn a_panic_is_no_end() {
        let items = (0..9).map(|item| if item == 2 { panic!("the third is broken") } else { item });
        let mut ahead = Ahead::of(items, |_| 1, 100).unwrap();
        assert_eq!((ahead.next(), ahead.next()), (Some(0), Some(1)));
        ahead.next();
    }
}
