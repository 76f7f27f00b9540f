//! How long nothing is known.

use super::evidence::Sighting;
use super::scenario::Misses;
use super::verdict::{Ruling, Scope};

/// The longest stretches without scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Longest {
    /// Frames in a row, and the place of the report that ends the run.
    pub frames: (u64, usize),
    /// Seconds from one frame with scores, or the beginning, to the next, or to the end, and the place of the report
    /// that ends it, or of the last one.
    pub seconds: (f64, usize),
}

impl Longest {
    fn silence(&mut self, from: i64, to: i64, place: usize) {
        let seconds = to.saturating_sub(from).max(0) as f64 / 1e9;
        if seconds > self.seconds.0 {
            self.seconds = (seconds, place);
        }
    }
}

/// Of these reports, between two times; nothing without any.
pub(super) fn longest<'a>(
    sightings: impl Iterator<Item = (usize, &'a Sighting)>,
    (from, to): (i64, i64),
) -> Option<Longest> {
    let mut longest = None::<Longest>;
    let (mut run, mut scored, mut number) = (0, from, None::<u64>);
    let mut last = 0;
    for (place, sighting) in sightings {
        last = place;
        let longest = longest.get_or_insert_default();
        let is_frame =
            number.replace(sighting.number) != Some(sighting.number) && sighting.validity.is_on_an_image();
        run += sighting.dropped + u64::from(is_frame && !sighting.is_scored());
        if run > longest.frames.0 {
            longest.frames = (run, place);
        }
        longest.silence(scored, sighting.time, place);
        if sighting.is_scored() {
            (run, scored) = (0, sighting.time);
        }
    }
    if let Some(longest) = &mut longest {
        longest.silence(scored, to, last);
    }
    longest
}

/// When the time begins and ends that counts: a report that is ignored is no silence.
fn edges(scope: &Scope) -> (i64, i64) {
    let (from, to) = scope.span();
    let all = &scope.evidence.sightings;
    let mut places = scope.sightings().map(|(place, _)| place);
    let first = places.next();
    let before = first.and_then(|place| all.get(place.checked_sub(1)?));
    let after = places.last().or(first).and_then(|place| all.get(place + 1));
    let from = before.map_or(from, |before| from.max(before.time));
    (from, after.map_or(to, |after| to.min(after.time)))
}

pub(super) fn judge(asked: &Misses, scope: &Scope) -> Ruling {
    let Some(Longest { frames, seconds }) = longest(scope.sightings(), edges(scope)) else {
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
        ruling.decide(seconds.1, format!("{:.2} s without a frame with scores", seconds.0));
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
