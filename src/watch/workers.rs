//! Threads that run until the end, by name.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two glances at a thread that is to end.
const PAUSE: Duration = Duration::from_millis(5);

/// Threads in the order in which they end.
#[derive(Debug, Default)]
pub(crate) struct Workers(Vec<(&'static str, JoinHandle<()>)>);

impl Workers {
    /// Starts `work` on a thread of its own, which ends after those started before it.
    pub fn spawn(&mut self, name: &'static str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        self.0.push((name, thread));
        Ok(())
    }

    /// The first that has ended, if one has.
    pub(crate) fn ended(&self) -> Option<&'static str> {
        self.0.iter().find(|(_, thread)| thread.is_finished()).map(|(name, _)| *name)
    }

    /// Whether none is left.
    pub(crate) fn have_ended(&self) -> bool {
        self.0.iter().all(|(_, thread)| thread.is_finished())
    }

    /// Waits for all of them, but no longer than `limit`: one that hangs must not keep the process, nor must
    /// those that wait for it.
    pub(crate) fn join_within(self, limit: Duration) {
        let end = Instant::now() + limit;
        for (_, thread) in self.0 {
            while !thread.is_finished() && Instant::now() < end {
                thread::sleep(PAUSE);
            }
            if thread.is_finished() {
                // Its panic, if any, has been reported by the hook.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_one_that_has_ended_is_named() {
        let (hold, held) = channel::<()>();
        let mut workers = Workers::default();
        workers.spawn("patient", move || held.recv().unwrap_or_default()).unwrap();
        assert_eq!(workers.ended(), None);
        workers.spawn("hasty", || {}).unwrap();
        while workers.ended().is_none() {
            thread::sleep(PAUSE);
        }
        assert_eq!((workers.ended(), workers.have_ended()), (Some("hasty"), false));
        drop(hold);
        while !workers.have_ended() {
            thread::sleep(PAUSE);
        }
        workers.join_within(Duration::from_secs(60));
    }

    #[test]
    fn one_that_hangs_is_left_behind() {
        let (_hold, held) = channel::<()>();
        let mut workers = Workers::default();
        workers.spawn("hanging", move || held.recv().unwrap_or_default()).unwrap();
        let start = Instant::now();
        workers.join_within(Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn several_that_hang_are_waited_for_once() {
        let mut workers = Workers::default();
        let holds = ["decoding", "inference", "publishing"].map(|name| {
            let (hold, held) = channel::<()>();
            workers.spawn(name, move || held.recv().unwrap_or_default()).unwrap();
            hold
        });
        // Threads that end after the limit would be joined if each had one of its own.
        let limit = Duration::from_millis(400);
        let releaser = thread::spawn(move || {
            thread::sleep(limit * 2);
            drop(holds);
        });
        workers.join_within(limit);
        assert!(!releaser.is_finished(), "it waited for a second thread");
        releaser.join().unwrap();
    }
}
