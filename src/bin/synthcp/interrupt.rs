//! Ctrl-C: the first ends a command where what it has written is whole, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Calls `stop` at the first Ctrl-C; a second one ends the process.
pub fn on_first(mut stop: impl FnMut() + Send + 'static) -> Result<(), ctrlc::Error> {
    let again = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if again.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        stop();
    })
}

/// What is true from the first Ctrl-C on.
pub fn stopped() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let stopped = Arc::new(AtomicBool::new(false));
    let by_signal = stopped.clone();
    on_first(move || by_signal.store(true, Ordering::Relaxed))?;
    Ok(stopped)
}
