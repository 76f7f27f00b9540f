//! How long nothing is known.

use super::evidence::Sighting;
use super::scenario::Misses;
use super::verdict::{Ruling, Scope};

/// The longest stretches without scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Longest {
    /// Frames in a row, and the place of the report that ends the run.
    pub frames: (u64, usize),
    /// Seconds from one frame with scores to the next, or to the last report, and its place.
    pub seconds: (f64, usize),
}

/// Of these reports; nothing without any.
pub(super) fn longest<'a>(sightings: impl Iterator<Item = (usize, &'a Sighting)>) -> Option<Longest> {
    let mut longest = None::<Longest>;
    let (mut run, mut scored, mut number) = (0, None::<i64>, None::<u64>);
    for (place, sighting) in sightings {
        let longest = longest.get_or_insert_default();
        let is_frame =
            number.replace(sighting.number) != Some(sighting.number) && sighting.validity.is_on_an_image();
        run += sighting.dropped + u64::from(is_frame && !sighting.is_scored());
        if run > longest.frames.0 {
            longest.frames = (run, place);
        }
        let since = (sighting.time - *scored.get_or_insert(sighting.time)).max(0) as f64 / 1e9;
        if since > longest.seconds.0 {
            longest.seconds = (since, place);
        }
        if sighting.is_scored() {
            (run, scored) = (0, Some(sighting.time));
        }
    }
    longest
}

pub(super) fn judge(asked: &Misses, scope: &Scope) -> Ruling {
    let Some(Longest { frames, seconds }) = longest(scope.sightings()) else {
        return Ruling::no_data("no frame".to_owned());
    };
    let mut ruling = Ruling { passed: true, ..Ruling::default() };
    ruling.seen = format!("{} in a row, {:.2} s", counted(frames.0), seconds.0);
    ruling.figures = [("frames", frames.0 as f64), ("seconds", seconds.0)].into();
    if asked.frames.is_some_and(|most| frames.0 > most) {
        ruling.passed = false;
        ruling.decide(frames.1, format!("{} in a row without scores", counted(frames.0)));
    }
    if asked.seconds.is_some_and(|most| seconds.0 > most) {
        ruling.passed = false;
        ruling.decide(seconds.1, format!("{:.2} s after the last frame with scores", seconds.0));
    }
    ruling
}

/// In words.
pub(super) fn counted(frames: u64) -> String {
    if frames == 1 { "1 frame".to_owned() } else { format!("{frames} frames") }
}

/// In words.
pub(super) fn sentence(asked: &Misses) -> String {
    let frames = asked.frames.map(|frames| format!("{} in a row", counted(frames)));
    let seconds = asked.seconds.map(|seconds| format!("{seconds} s"));
    let limits: Vec<String> = [frames, seconds].into_iter().flatten().collect();
    format!("no longer without scores than {}", limits.join(" and "))
}
