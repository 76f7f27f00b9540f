//! Decoding on a thread of its own, just in time.
//!
//! An image decoded too early is older, when its turn comes, than the newest one, and one that a newer one
//! replaces was decoded for nothing. So the newest image is taken up when the inference of the one before
//! it is about to end: then decoding takes no time from inference, and no image is decoded in vain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::mailbox::Arrival;
use super::shared::Shared;

/// An image on its way from decoding to inference.
#[derive(Debug)]
pub(crate) struct Decoded {
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

/// Decodes the newest image whenever it is time, until the mailbox is closed.
pub fn decode(shared: &Shared, decoded: &SyncSender<Decoded>) {
    let mut lead = Duration::ZERO;
    loop {
        shared.schedule.wait(lead);
        let Some(arrival) = shared.mailbox.take() else { return };
        let next = Decoded::new(arrival);
        // As much again for what the estimate is off.
        lead = 2 * next.took;
        shared.schedule.hand();
        if decoded.send(next).is_err() {
            return;
        }
    }
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    format!("a fault inside the monitor: {text}")
}
