//! Frames that arrive twice, by both transports.
//!
//! A camera that offers both topics to a node that listens to both must still get one report a
//! frame. Which of the two is assessed is not left to chance, or scores would flicker:
//!
//! - One transport is kept while it works: the coloured rather than the grey one, the readable
//!   rather than the unreadable one, and between equals the one that came first.
//! - Only a decoded image displaces its twin. What was set aside is taken when the other cannot be
//!   read, or does not come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::mailbox::Arrival;
use crate::frame::{CameraImage, Stamp};

/// What an image turned out to be, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quality {
    /// It cannot be decoded.
    Unreadable,
    /// Red, green and blue are the same everywhere.
    Grey,
    /// It has colours.
    Coloured,
}

impl Quality {
    /// That of a decoded image, or of one that cannot be.
    pub(crate) fn of<E>(decoded: &Result<RgbImage, E>) -> Self {
        match decoded {
            Err(_) => Self::Unreadable,
            Ok(image) if image.pixels().all(|p| p[0] == p[1] && p[1] == p[2]) => Self::Grey,
            Ok(_) => Self::Coloured,
        }
    }
}

/// Recognises an image that comes a second time by the other transport.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    recent: VecDeque<Seen>,
    /// Whether the kept transport is the compressed one.
    kept: Option<bool>,
    /// What the last image was that came raw, and compressed.
    quality: [Option<Quality>; 2],
    /// When an image last came by both.
    paired: Option<Instant>,
    /// The image set aside last.
    spare: Option<Arrival>,
    /// Images that came a second time.
    count: u64,
}

/// An image that came a moment ago.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    compressed: bool,
    at: Instant,
    quality: Option<Quality>,
    /// Whether it went on to be assessed.
    admitted: bool,
}

impl Seen {
    fn is(&self, image: &CameraImage) -> bool {
        self.stamp == image.stamp && self.compressed == image.is_compressed()
    }
}

impl Duplicates {
    const MEMORY: Duration = Duration::from_secs(1);

    /// Images that came a second time by the other transport.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What the last images were, raw and compressed.
    pub(crate) fn quality(&self) -> [Option<Quality>; 2] {
        self.quality
    }

    /// What is to be assessed now that `arrival` has come: nothing, it, or first the one before it
    /// whose twin did not come.
    pub(crate) fn admit(&mut self, arrival: Arrival) -> Vec<Arrival> {
        let (stamp, compressed, now) = (arrival.image.stamp, arrival.image.is_compressed(), arrival.at);
        // A driver that does not stamp gives no way to tell frames apart.
        if stamp == Stamp::default() {
            return vec![arrival];
        }
        // One that is set aside is remembered till it goes on: it has nobody else.
        let spare = &self.spare;
        self.recent.retain(|seen| {
            now.saturating_duration_since(seen.at) < Self::MEMORY
                || spare.as_ref().is_some_and(|spare| seen.is(&spare.image))
        });
        let twin = self.recent.iter().position(|seen| seen.stamp == stamp && seen.compressed != compressed);
        let Some(twin) = twin else {
            self.recent.push_back(Seen { stamp, compressed, at: now, quality: None, admitted: false });
            return self.admit_first(arrival);
        };
        // A pair is complete; the same stamp once more is another image.
        let Some(Seen { quality: twin_quality, admitted: twin_admitted, .. }) = self.recent.remove(twin)
        else {
            return vec![arrival];
        };
        self.paired = Some(now);
        let twin_waits = self.spare.as_ref().is_some_and(|spare| spare.image.stamp == stamp);
        let may_be_better = match (twin_quality, self.quality[usize::from(compressed)]) {
            (Some(Quality::Unreadable), _) => true,
            (Some(quality), own) => quality < Quality::Coloured && own.is_none_or(|own| own > quality),
            (None, _) => false,
        };
        if may_be_better {
            return vec![arrival];
        }
        self.count += 1;
        if twin_waits || !twin_admitted {
            return vec![arrival];
        }
        // Never in the place of one whose own twin has not come: that one has nobody else.
        if twin_quality.is_none() && !self.spare.as_ref().is_some_and(|spare| self.is_unpaired(spare)) {
            self.spare = Some(arrival);
        }
        Vec::new()
    }

    /// Whether the twin of `image` has not come yet: one whose twin came is no longer among the recent ones.
    fn is_unpaired(&self, Arrival { image, .. }: &Arrival) -> bool {
        self.recent.iter().any(|seen| seen.is(image))
    }

    /// An image of which no twin has come yet.
    fn admit_first(&mut self, arrival: Arrival) -> Vec<Arrival> {
        let compressed = arrival.image.is_compressed();
        let unpaired = self.spare.take().filter(|spare| self.is_unpaired(spare));
        let mut admitted: Vec<Arrival> = unpaired.into_iter().collect();
        let pairs = self.paired.is_some_and(|at| arrival.at.saturating_duration_since(at) < Self::MEMORY);
        let other_is_kept = self.kept.is_some_and(|kept| {
            kept != compressed && self.quality[usize::from(kept)] != Some(Quality::Unreadable)
        });
        if pairs && other_is_kept {
            self.spare = Some(arrival);
        } else {
            admitted.push(arrival);
        }
        for arrival in &admitted {
            self.recent
                .iter_mut()
                .filter(|seen| seen.is(&arrival.image))
                .for_each(|seen| seen.admitted = true);
        }
        admitted
    }

    /// Notes what an image turned out to be.
    pub(crate) fn learn(&mut self, image: &CameraImage, quality: Quality) {
        let compressed = image.is_compressed();
        self.quality[usize::from(compressed)] = Some(quality);
        if let Some(seen) = self.recent.iter_mut().find(|seen| seen.is(image)) {
            seen.quality = Some(quality);
        }
        let kept = *self.kept.get_or_insert(compressed);
        if self.quality[usize::from(!kept)] > self.quality[usize::from(kept)] {
            self.kept = Some(!kept);
        }
    }

    /// The twin of an image that cannot be read, where one was set aside.
    pub(crate) fn twin_of(&mut self, image: &CameraImage) -> Option<Arrival> {
        self.spare.take_if(|spare| {
            spare.image.stamp == image.stamp && spare.image.is_compressed() != image.is_compressed()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Content;

    fn image(stamp: i32, compressed: bool) -> CameraImage {
        let content = if compressed {
            Content::Compressed { format: "jpeg".to_owned(), data: Vec::new().into() }
        } else {
            let encoding = "rgb8".to_owned();
            Content::Raw {
                width: 1,
                height: 1,
                encoding,
                is_bigendian: false,
                step: 3,
                data: vec![1, 2, 3].into(),
            }
        };
        CameraImage { stamp: Stamp { sec: stamp, nanosec: 0 }, frame_id: String::new(), content }
    }

    struct Camera {
        duplicates: Duplicates,
        now: Instant,
    }

    impl Camera {
        fn new() -> Self {
            Self { duplicates: Duplicates::default(), now: Instant::now() }
        }

        /// The stamps and transports that are assessed after one more image, a hundredth later.
        fn sends(&mut self, stamp: i32, compressed: bool) -> Vec<(i32, bool)> {
            self.now += Duration::from_millis(10);
            let arrival = Arrival::new(image(stamp, compressed), self.now);
            let admitted = self.duplicates.admit(arrival);
            admitted.iter().map(|a| (a.image.stamp.sec, a.image.is_compressed())).collect()
        }

        fn learns(&mut self, stamp: i32, compressed: bool, quality: Quality) {
            self.duplicates.learn(&image(stamp, compressed), quality);
        }
    }

    const RAW: bool = false;
    const JPEG: bool = true;

    #[test]
    fn an_image_by_both_transports_counts_once() {
        let mut camera = Camera::new();
        assert_eq!(camera.sends(1, RAW), [(1, RAW)]);
        camera.learns(1, RAW, Quality::Coloured);
        assert_eq!(camera.sends(1, JPEG), []);
        assert_eq!(camera.sends(3, RAW), [(3, RAW)]);
        assert_eq!(camera.sends(3, RAW), [(3, RAW)], "one transport never doubles itself");
        camera.now += Duration::from_secs(1);
        assert_eq!(camera.sends(3, JPEG), [(3, JPEG)], "a bag played again is new");
        assert_eq!(camera.sends(0, RAW), [(0, RAW)]);
        assert_eq!(camera.sends(0, JPEG), [(0, JPEG)], "no stamp, no twin");
        assert_eq!(camera.duplicates.count(), 1);
    }

    #[test]
    fn one_transport_is_kept_whichever_comes_first() {
        let mut camera = Camera::new();
        camera.sends(1, RAW);
        camera.learns(1, RAW, Quality::Coloured);
        camera.sends(1, JPEG);
        for stamp in 2..20 {
            assert_eq!(camera.sends(stamp, JPEG), [], "its raw twin is about to come");
            assert_eq!(camera.sends(stamp, RAW), [(stamp, RAW)]);
            camera.learns(stamp, RAW, Quality::Coloured);
        }
        assert_eq!(camera.duplicates.count(), 19);
    }

    #[test]
    fn an_image_whose_twin_does_not_come_is_judged_all_the_same() {
        let mut camera = Camera::new();
        camera.sends(1, RAW);
        camera.learns(1, RAW, Quality::Coloured);
        camera.sends(1, JPEG);
        assert_eq!(camera.sends(2, JPEG), []);
        assert_eq!(camera.sends(3, JPEG), [(2, JPEG)]);
        assert_eq!(camera.sends(4, RAW), [(3, JPEG), (4, RAW)]);
        camera.now += Duration::from_secs(1);
        assert_eq!(camera.sends(5, JPEG), [(5, JPEG)], "the other transport is silent");
    }

    #[test]
    fn an_image_set_aside_for_its_twin_is_judged_however_late_the_next_one_comes() {
        let mut camera = Camera::new();
        camera.sends(1, RAW);
        camera.learns(1, RAW, Quality::Coloured);
        camera.sends(1, JPEG);
        assert_eq!(camera.sends(2, JPEG), [], "its raw twin is lost");
        camera.now += Duration::from_millis(1100);
        assert_eq!(camera.sends(3, JPEG), [(2, JPEG), (3, JPEG)]);
        camera.now += Duration::from_secs(9);
        assert_eq!(camera.sends(2, RAW), [(2, RAW)], "and is forgotten then");
    }

    #[test]
    fn a_transport_that_lags_by_more_than_a_frame_loses_none() {
        for (raw, jpeg) in [(Quality::Unreadable, Quality::Coloured), (Quality::Grey, Quality::Coloured)] {
            let mut camera = Camera::new();
            camera.sends(1, RAW);
            camera.learns(1, RAW, raw);
            assert_eq!(camera.sends(1, JPEG), [(1, JPEG)], "the better one");
            camera.learns(1, JPEG, jpeg);
            // Nothing is decoded meanwhile: inference has something in hand.
            let mut judged = camera.sends(2, RAW);
            for stamp in 3..23 {
                judged.extend(camera.sends(stamp, RAW));
                judged.extend(camera.sends(stamp - 1, JPEG));
            }
            let stamps: Vec<i32> = judged.iter().map(|&(stamp, _)| stamp).collect();
            assert_eq!(stamps, (2..22).collect::<Vec<_>>(), "each once, and the last still waits");
        }
    }

    #[test]
    fn a_garbage_twin_displaces_no_good_image() {
        let mut camera = Camera::new();
        assert_eq!(camera.sends(1, JPEG), [(1, JPEG)]);
        assert_eq!(camera.sends(1, RAW), [], "set aside until the JPEG is decoded");
        camera.learns(1, JPEG, Quality::Unreadable);
        let twin = camera.duplicates.twin_of(&image(1, JPEG)).expect("set aside");
        assert!(!twin.image.is_compressed());
        camera.learns(1, RAW, Quality::Coloured);
        for stamp in 2..21 {
            assert_eq!(camera.sends(stamp, JPEG), []);
            assert_eq!(camera.sends(stamp, RAW), [(stamp, RAW)]);
            camera.learns(stamp, RAW, Quality::Coloured);
        }
    }

    #[test]
    fn a_good_image_that_comes_after_its_garbage_twin_is_judged() {
        let mut camera = Camera::new();
        camera.sends(1, JPEG);
        camera.learns(1, JPEG, Quality::Unreadable);
        assert_eq!(camera.sends(1, RAW), [(1, RAW)]);
    }

    #[test]
    fn the_coloured_transport_is_preferred_to_the_grey_one() {
        let mut camera = Camera::new();
        camera.sends(1, JPEG);
        camera.learns(1, JPEG, Quality::Grey);
        assert_eq!(camera.sends(1, RAW), [(1, RAW)], "it may be coloured");
        camera.learns(1, RAW, Quality::Coloured);
        for stamp in 2..10 {
            assert_eq!(camera.sends(stamp, JPEG), []);
            assert_eq!(camera.sends(stamp, RAW), [(stamp, RAW)]);
        }
    }

    #[test]
    fn two_unreadable_transports_are_both_tried_until_one_recovers() {
        let mut camera = Camera::new();
        for stamp in 1..5 {
            camera.sends(stamp, JPEG);
            camera.learns(stamp, JPEG, Quality::Unreadable);
            assert_eq!(camera.sends(stamp, RAW), [(stamp, RAW)]);
            camera.learns(stamp, RAW, Quality::Unreadable);
        }
        assert_eq!(camera.sends(5, JPEG), [(5, JPEG)]);
        camera.learns(5, JPEG, Quality::Coloured);
        assert_eq!(camera.sends(5, RAW), []);
    }

    #[test]
    fn quality_is_that_of_the_pixels() {
        let grey = RgbImage::from_pixel(2, 2, image::Rgb([9, 9, 9]));
        let mut coloured = grey.clone();
        coloured.put_pixel(1, 1, image::Rgb([9, 9, 8]));
        assert_eq!(Quality::of::<()>(&Ok(grey)), Quality::Grey);
        assert_eq!(Quality::of::<()>(&Ok(coloured)), Quality::Coloured);
        assert_eq!(Quality::of(&Err(())), Quality::Unreadable);
    }
}
