//! Decoding on a thread of its own, just in time.
//!
//! An image decoded too early is older, when its turn comes, than the newest one, and one that a newer one
//! replaces was decoded for nothing. So the newest image is taken up when the inference of the one before
//! it is about to end: then decoding takes no time from inference, and no image is decoded in vain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};

use super::duplicates::Quality;
use super::mailbox::Arrival;
use super::shared::Shared;
use super::turns::Turns;
use crate::network::fault;

/// An image on its way from decoding to inference.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The image.
    pub arrival: Arrival,
    /// Its pixels and another segmenter's labels of it, where those are assessed; or why there are none.
    pub image: Result<(RgbImage, Option<GrayImage>), String>,
    /// How long that took.
    pub took: Duration,
}

impl Decoded {
    /// Decodes the image, or its twin by the other transport where only that can be read.
    pub fn new(arrival: Arrival, shared: &Shared) -> Self {
        Self::within(Vec::new(), arrival, shared)
    }

    /// The same, in the memory of a picture that is done with.
    pub fn within(memory: Vec<u8>, arrival: Arrival, shared: &Shared) -> Self {
        let start = Instant::now();
        let mut image = pixels(&arrival, memory);
        let mut arrival = arrival;
        shared.duplicates().learn(&arrival.image, Quality::of(&image));
        if image.is_err()
            && let Some(twin) = { shared.duplicates().twin_of(&arrival.image) }
        {
            let other = pixels(&twin, Vec::new());
            shared.duplicates().learn(&twin.image, Quality::of(&other));
            if other.is_ok() {
                (arrival, image) = (Arrival { labels: arrival.labels, ..twin }, other);
            }
        }
        let image = image.and_then(|image| {
            let labels = labels(&arrival, shared, image.dimensions())?;
            Ok((image, labels))
        });
        Self { arrival, image, took: start.elapsed() }
    }
}

/// Decodes. A panic inside is but another reason.
fn pixels(arrival: &Arrival, memory: Vec<u8>) -> Result<RgbImage, String> {
    catch_unwind(AssertUnwindSafe(|| arrival.image.decode_into(memory)))
        .map_err(|panic| fault::of_panic(panic.as_ref()))
        .and_then(|result| result.map_err(|error| error.to_string()))
}

/// Labels of an image of this size, where labels are assessed. A panic inside is but another reason.
fn labels(arrival: &Arrival, shared: &Shared, size: (u32, u32)) -> Result<Option<GrayImage>, String> {
    let (Some(labels), Some(came)) = (&shared.labels, &arrival.labels) else { return Ok(None) };
    catch_unwind(AssertUnwindSafe(|| labels.read(came, size)))
        .unwrap_or_else(|panic| Err(fault::of_panic(panic.as_ref())))
        .map(Some)
}

/// Decodes the newest image of whose turn it is whenever it is time, until the mailboxes are closed; all are served by
/// one inference. Each goes on with the number of its camera.
pub(crate) fn decode(cameras: &[Arc<Shared>], decoded: &SyncSender<(usize, Decoded)>) {
    let mut turns = Turns::new(cameras.len());
    let mut took = vec![Duration::ZERO; cameras.len()];
    let Some(Shared { schedule, .. }) = cameras.first().map(Arc::as_ref) else { return };
    loop {
        // As much again for what the estimate is off.
        let lead = took.iter().max().map_or(Duration::ZERO, |longest| 2 * *longest);
        schedule.wait(lead);
        let Some((camera, arrival)) = turns.take(cameras) else { return };
        let next = Decoded::new(arrival, &cameras[camera]);
        took[camera] = next.took;
        schedule.hand();
        if decoded.send((camera, next)).is_err() {
            return;
        }
    }
}
