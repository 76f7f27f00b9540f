//! Frames that arrive twice, by both transports.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::frame::{CameraImage, Stamp};

/// Recognises an image that comes a second time by the other transport: a camera that offers both
/// topics to a node that listens to both must still get one report a frame.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    recent: VecDeque<(Stamp, bool, Instant)>,
}

impl Duplicates {
    const MEMORY: Duration = Duration::from_secs(1);

    /// Whether an image with this stamp came by the other transport a moment ago.
    pub(crate) fn is_second(&mut self, image: &CameraImage, now: Instant) -> bool {
        self.seen(image.stamp, image.is_compressed(), now)
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
    use super::*;

    #[test]
    fn an_image_by_both_transports_counts_once() {
        let mut duplicates = Duplicates::default();
        let now = Instant::now();
        let at = |sec| Stamp { sec, nanosec: 0 };
        assert!(!duplicates.seen(at(1), false, now));
        assert!(!duplicates.seen(at(2), true, now));
        assert!(duplicates.seen(at(1), true, now));
        assert!(duplicates.seen(at(2), false, now));
        assert!(!duplicates.seen(at(3), false, now));
        assert!(!duplicates.seen(at(3), false, now), "one transport never doubles itself");
        assert!(!duplicates.seen(at(3), true, now + Duplicates::MEMORY), "a bag played again is new");
        assert!(
            !duplicates.seen(at(0), false, now) && !duplicates.seen(at(0), true, now),
            "no stamp, no twin"
        );
    }
}
