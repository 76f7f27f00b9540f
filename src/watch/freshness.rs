//! Whether an image is news. A driver that hangs, or a bridge that repeats itself, may publish one picture for ever: every
//! message arrives on time, and none says anything about now.

use std::time::Instant;

use super::mailbox::Arrival;
use super::settings::Live;
use crate::frame::{CameraImage, Stamp};

/// Ages beyond this, in seconds, say that clocks disagree and not that an image is old.
const CLOCKS_DISAGREE: f64 = 3600.;

/// Remembers the last image that came raw, and the last that came compressed: one by the other transport is the same
/// image, and no repetition.
#[derive(Debug, Default)]
pub(crate) struct Freshness([Last; 2]);

#[derive(Debug, Default)]
struct Last {
    image: Option<CameraImage>,
    /// Since when images with its pixels come.
    same_since: Option<Instant>,
}

impl Freshness {
    /// Why an image that can be read says nothing about now, if it does not: its stamp or its pixels repeat, or it is
    /// `age` seconds old.
    pub fn check(&mut self, arrival: &Arrival, age: Option<f64>, live: Live) -> Option<String> {
        let Arrival { image, at, .. } = arrival;
        let Last { image: last, same_since } = &mut self.0[usize::from(image.is_compressed())];
        let last = last.replace(image.clone());
        let is_same = last.as_ref().is_some_and(|last| last.content == image.content);
        let since = *same_since.get_or_insert(*at);
        if !is_same {
            *same_since = Some(*at);
        }
        if last.is_some_and(|last| last.stamp == image.stamp && image.stamp != Stamp::default()) {
            return Some("the image repeats: it has the stamp of the one before".to_owned());
        }
        let frozen = if is_same { at.saturating_duration_since(since) } else { Default::default() };
        if let Some(limit) = live.max_repeat_time.filter(|limit| frozen > *limit) {
            return Some(format!(
                "the image has been the same in every pixel for {:.1} s; max_repeat_time allows {} s",
                frozen.as_secs_f64(),
                limit.as_secs_f64()
            ));
        }
        let is_old = |limit: f64| age.is_some_and(|age| age > limit && age < CLOCKS_DISAGREE);
        let limit = live.max_image_age?.as_secs_f64();
        is_old(limit).then(|| {
            let age = age.unwrap_or(f64::NAN);
            format!(
                "the image is {age:.1} s old by its stamp; max_image_age allows {limit} s (of a recording: use_sim_time)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::frame::Content;
    use crate::watch::parameters::{Parameters, Value};

    fn live(overrides: &[(&str, f64)]) -> Live {
        let overrides = overrides.iter().map(|&(name, value)| (name, Value::Double(value)));
        Parameters::with_overrides(overrides).unwrap().settings().live
    }

    /// What is said of images, each a stamp in seconds and a picture, that come every 400 ms.
    fn said(images: &[(i32, u8)], age: Option<f64>, live: Live) -> Vec<bool> {
        let (start, mut freshness) = (Instant::now(), Freshness::default());
        let judge = |(place, &(sec, picture)): (usize, &(i32, u8))| {
            let content = Content::Compressed { format: "png".into(), data: vec![picture; 9].into() };
            let stamp = Stamp { sec, nanosec: 0 };
            let image = CameraImage { stamp, frame_id: String::new(), content };
            let at = start + Duration::from_millis(400 * place as u64);
            freshness.check(&Arrival::new(image, at), age, live).is_some()
        };
        images.iter().enumerate().map(judge).collect()
    }

    #[test]
    fn a_stamp_that_repeats_is_no_news_and_one_that_is_missing_says_nothing() {
        assert_eq!(said(&[(1, 1), (1, 2), (2, 2), (2, 3)], None, live(&[])), [false, true, false, true]);
        assert_eq!(said(&[(0, 1), (0, 2)], None, live(&[])), [false, false]);
    }

    #[test]
    fn a_picture_that_stays_is_no_news_once_it_has_stayed_for_long() {
        let frozen: Vec<(i32, u8)> = (1..8).map(|sec| (sec, if sec == 6 { 2 } else { 1 })).collect();
        // The same from 0 s on: at 1.2 s it is too long. A new one begins anew.
        let default = said(&frozen, None, live(&[]));
        assert_eq!(default, [false, false, false, true, true, false, false]);
        assert_eq!(said(&frozen, None, live(&[("max_repeat_time", 0.)])), [false; 7]);
    }

    #[test]
    fn a_picture_that_stays_in_both_transports_is_no_news() {
        let (start, mut freshness) = (Instant::now(), Freshness::default());
        let raw = Content::Raw {
            width: 1,
            height: 1,
            encoding: "mono8".into(),
            is_bigendian: false,
            step: 1,
            data: vec![7].into(),
        };
        let compressed = Content::Compressed { format: "png".into(), data: vec![7; 9].into() };
        let mut said = |place: i32| {
            let content = if place % 2 == 0 { raw.clone() } else { compressed.clone() };
            let stamp = Stamp { sec: place + 1, nanosec: 0 };
            let image = CameraImage { stamp, frame_id: String::new(), content };
            let at = start + Duration::from_millis(400 * place as u64);
            freshness.check(&Arrival::new(image, at), None, live(&[])).is_some()
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(&mut said), [false, false, false, false, true, true]);
    }

    #[test]
    fn an_old_image_is_no_news_unless_clocks_disagree() {
        let judged = |age| said(&[(1, 1)], age, live(&[("max_image_age", 2.)]))[0];
        assert_eq!(
            [Some(1.9), Some(2.1), Some(3599.), Some(3601.), Some(-9.), None].map(judged),
            [false, true, true, false, false, false]
        );
        assert!(!said(&[(1, 1)], Some(9.), live(&[("max_image_age", 0.)]))[0]);
    }
}
