//! Whether the compressed topic is wanted beside the raw one.
//!
//! A camera's driver encodes as soon as somebody subscribes. So the node hears both topics only until the raw one
//! has shown that it does, and again as soon as it no longer does.

use std::time::{Duration, Instant};

use super::duplicates::Quality;

/// How long raw images have to come without a break, and readable, before the compressed topic is given up.
const SETTLED: Duration = Duration::from_secs(2);

/// A gap that breaks their run.
const QUIET: Duration = Duration::from_secs(1);

/// The run of raw images.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transports {
    last: Option<Instant>,
    unbroken_since: Option<Instant>,
}

impl Transports {
    /// A raw image arrived at `now`.
    pub(crate) fn raw_arrived(&mut self, now: Instant) {
        if self.is_quiet(now) {
            self.unbroken_since = None;
        }
        self.last = Some(now);
        self.unbroken_since.get_or_insert(now);
    }

    /// Whether the compressed topic is to be heard, where so many nodes publish the raw one and the last images
    /// were of this quality, raw and compressed.
    pub(crate) fn want_compressed(
        &mut self,
        raw_publishers: usize,
        [raw, compressed]: [Option<Quality>; 2],
        now: Instant,
    ) -> bool {
        let suffices = match raw {
            None | Some(Quality::Unreadable) => false,
            // The other may have colours.
            Some(Quality::Grey) => compressed.is_some_and(|compressed| compressed <= Quality::Grey),
            Some(Quality::Coloured) => true,
        };
        if raw_publishers == 0 || !suffices || self.is_quiet(now) {
            self.unbroken_since = None;
        }
        self.unbroken_since.is_none_or(|since| now.saturating_duration_since(since) < SETTLED)
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) > QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: [Option<Quality>; 2] = [Some(Quality::Coloured), None];

    /// A camera whose raw images came every tenth of a second for three seconds, and the time of the last.
    fn running() -> (Transports, Instant) {
        let (mut transports, mut now) = (Transports::default(), Instant::now());
        for _ in 0..=30 {
            now += Duration::from_millis(100);
            transports.raw_arrived(now);
        }
        (transports, now)
    }

    #[test]
    fn the_compressed_topic_is_given_up_once_raw_images_have_settled() {
        let (mut transports, start) = (Transports::default(), Instant::now());
        let mut wanted = Vec::new();
        for tenth in 0..30 {
            let now = start + Duration::from_millis(100 * tenth);
            transports.raw_arrived(now);
            wanted.push(transports.want_compressed(1, COLOURED, now));
        }
        assert_eq!(wanted.iter().position(|wanted| !wanted), Some(20), "after two seconds");
        assert!(wanted[20..].iter().all(|wanted| !wanted), "and for good");
    }

    #[test]
    fn it_is_heard_again_when_the_raw_publisher_is_gone_silent_or_unreadable() {
        let (mut transports, now) = running();
        assert!(!transports.want_compressed(1, COLOURED, now));
        assert!({ transports }.want_compressed(0, COLOURED, now), "gone");
        assert!({ transports }.want_compressed(1, [Some(Quality::Unreadable), None], now), "unreadable");
        assert!({ transports }.want_compressed(1, COLOURED, now + Duration::from_millis(1001)), "silent");
        // One image does not make it reliable.
        transports.want_compressed(0, COLOURED, now);
        transports.raw_arrived(now);
        assert!(transports.want_compressed(1, COLOURED, now));
    }

    #[test]
    fn raw_images_that_are_too_rare_keep_both() {
        let (mut transports, mut now) = (Transports::default(), Instant::now());
        for _ in 0..10 {
            now += Duration::from_millis(1500);
            transports.raw_arrived(now);
            assert!(transports.want_compressed(1, COLOURED, now));
        }
    }

    #[test]
    fn grey_raw_images_suffice_once_the_compressed_ones_are_known_to_be_no_better() {
        let (mut transports, now) = running();
        let grey = Some(Quality::Grey);
        assert!(!{ transports }.want_compressed(1, [grey, grey], now));
        assert!(!{ transports }.want_compressed(1, [grey, Some(Quality::Unreadable)], now));
        assert!({ transports }.want_compressed(1, [grey, None], now));
        assert!(transports.want_compressed(1, [grey, Some(Quality::Coloured)], now));
    }
}
