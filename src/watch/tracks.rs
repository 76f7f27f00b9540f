//! Which regions of successive frames are one thing, and how long it has been there.
//!
//! A region belongs to the thing whose last box it overlaps most, boxes grown by half their size on every side:
//! between frames things move and grow. Nothing is asked of the stamps but ages; a clock, however wrong,
//! keeps no alarm away. A thing that is not seen in two frames in a row is forgotten, so that there are never more
//! than the regions of two frames; a frame on which there is no report does not count as one.

use crate::frame::Stamp;
use crate::model::things::Things;
use crate::monitor::assessment::{Region, Sighting};

/// Least overlap, as intersection over union of the grown boxes, of one thing in two frames.
const SAME: f32 = 0.1;
/// Frames in a row in which a thing may be missing.
const LAPSES: u32 = 1;

/// The things in view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracks {
    last_id: u32,
    tracks: Vec<Track>,
}

#[derive(Clone, Debug)]
struct Track {
    id: u32,
    place: Place,
    /// Stamp of the first frame, in seconds; NaN where there is none.
    since: f64,
    frames: u32,
    /// Frames in a row, but for lapses, in which it raised the level.
    alarming: u32,
    /// Frames in a row, up to this, without it.
    missing: u32,
    /// The same without its raising the level.
    quiet: u32,
}

impl Tracks {
    /// Takes in the regions of one frame and says of each which thing it is.
    pub fn follow(&mut self, regions: &mut [Region], stamp: Stamp, things: Option<&Things>) {
        let now = seconds(stamp);
        for track in &mut self.tracks {
            track.missing = track.missing.saturating_add(1);
            track.quiet = track.quiet.saturating_add(1);
        }
        let mut owners = self.owners(regions);
        for (region, owner) in regions.iter_mut().zip(&mut owners) {
            let index = *owner.get_or_insert_with(|| self.begin(region, now));
            let track = &mut self.tracks[index];
            track.frames = track.frames.saturating_add(1);
            (track.place, track.missing) = (Place::of(region), 0);
            if things.is_some_and(|things| things.raise(region.area, region.probability, region.on_road)) {
                // After more lapses than one the count begins again.
                track.alarming = if track.quiet > LAPSES + 1 { 1 } else { track.alarming.saturating_add(1) };
                track.quiet = 0;
            }
            // Before the first frame lies no time: the clock was set.
            let age = (now - track.since) as f32;
            let seconds = if age < 0. { 0. } else { age };
            region.track = Some(Sighting { id: track.id, frames: track.frames, seconds });
        }
        self.tracks.retain(|track| track.missing <= LAPSES);
    }

    /// Whether a thing is in view that has raised the level for `frames` frames.
    pub(crate) fn live(&self, frames: u32) -> bool {
        self.tracks.iter().any(|track| track.quiet == 0 && track.alarming >= frames)
    }

    /// Time has jumped: ages begin anew.
    pub(crate) fn jump(&mut self, stamp: Stamp) {
        self.tracks.iter_mut().for_each(|track| track.since = seconds(stamp));
    }

    /// For each region the place of its track: the pairs that overlap most first, each track and region once. Of
    /// equal ones the older thing and the earlier region.
    fn owners(&self, regions: &[Region]) -> Vec<Option<usize>> {
        let mut pairs = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (r, region) in regions.iter().enumerate() {
                let overlap = track.place.overlap(&Place::of(region));
                if overlap >= SAME {
                    pairs.push((overlap, t, r));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let (mut taken, mut owners) = (vec![false; self.tracks.len()], vec![None; regions.len()]);
        for (_, t, r) in pairs {
            if !taken[t] && owners[r].is_none() {
                (taken[t], owners[r]) = (true, Some(t));
            }
        }
        owners
    }

    fn begin(&mut self, region: &Region, now: f64) -> usize {
        // 0 is no thing.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let place = Place::of(region);
        let id = self.last_id;
        self.tracks.push(Track { id, place, since: now, frames: 0, alarming: 0, missing: 0, quiet: 0 });
        self.tracks.len() - 1
    }
}

/// NaN of a driver that does not stamp.
fn seconds(stamp: Stamp) -> f64 {
    match stamp == Stamp::default() {
        true => f64::NAN,
        false => f64::from(stamp.sec) + f64::from(stamp.nanosec) * 1e-9,
    }
}

/// A grown box: left, upper, right and lower edge.
#[derive(Clone, Copy, Debug)]
struct Place([f32; 4]);

impl Place {
    fn of(region: &Region) -> Self {
        let [x, y, width, height] =
            [region.x, region.y, region.width, region.height].map(|length| length as f32);
        Self([x - width / 2., y - height / 2., x + 1.5 * width, y + 1.5 * height])
    }

    /// Intersection over union.
    fn overlap(&self, other: &Self) -> f32 {
        let (a, b) = (self.0, other.0);
        let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.);
        let area = |p: [f32; 4]| (p[2] - p[0]) * (p[3] - p[1]);
        let both = side(0) * side(1);
        both / (area(a) + area(b) - both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn things() -> Things {
        Things::example(0.5)
    }

    fn at(x: u32, y: u32, side: u32, probability: f32) -> Region {
        Region { x, y, width: side, height: side, probability, on_road: 1., ..Region::example() }
    }

    /// The sightings of each frame, at five frames a second.
    fn follow(tracks: &mut Tracks, frames: &[&[Region]]) -> Vec<Vec<Sighting>> {
        let frame = |(number, regions): (usize, &&[Region])| {
            let mut regions = regions.to_vec();
            let stamp = Stamp { sec: 10, nanosec: number as u32 * 200_000_000 };
            tracks.follow(&mut regions, stamp, Some(&things()));
            regions.iter().map(|region| region.track.unwrap()).collect()
        };
        frames.iter().enumerate().map(frame).collect()
    }

    #[test]
    fn a_thing_that_moves_and_grows_keeps_its_id_and_ages() {
        let mut tracks = Tracks::default();
        let seen =
            follow(&mut tracks, &[&[at(100, 50, 6, 1.)], &[at(106, 53, 8, 1.)], &[at(114, 57, 12, 1.)]]);
        let last = seen[2][0];
        assert_eq!((seen[0][0].id, last.id, last.frames), (1, 1, 3));
        assert!((last.seconds - 0.4).abs() < 1e-6 && seen[0][0].seconds == 0.);
    }

    #[test]
    fn each_thing_is_one_region_and_the_other_way_round() {
        let mut tracks = Tracks::default();
        let two = [at(100, 50, 10, 1.), at(112, 50, 10, 1.)];
        let turned = [two[1].clone(), two[0].clone(), at(106, 50, 10, 1.)];
        let seen = follow(&mut tracks, &[&two, &turned]);
        assert_eq!(seen[1].iter().map(|s| s.id).collect::<Vec<_>>(), [2, 1, 3]);
    }

    #[test]
    fn one_frame_without_it_does_not_end_a_thing_and_two_do() {
        let mut tracks = Tracks::default();
        let there: &[Region] = &[at(100, 50, 10, 1.)];
        let seen = follow(&mut tracks, &[there, &[], there, &[], &[], there]);
        let ids: Vec<u32> = seen.iter().flatten().map(|s| s.id).collect();
        assert_eq!(ids, [1, 1, 2]);
        assert_eq!(tracks.tracks.len(), 1);
    }

    #[test]
    fn a_thing_lives_once_it_has_raised_the_level_for_so_many_frames() {
        let lives = |probabilities: &[f32]| {
            let mut tracks = Tracks::default();
            let lives = probabilities.iter().map(|&p| {
                follow(&mut tracks, &[&[at(100, 50, 10, p)]]);
                tracks.live(3)
            });
            lives.collect::<Vec<_>>()
        };
        assert_eq!(lives(&[0.6, 0.6, 0.6, 0.6]), [false, false, true, true]);
        assert_eq!(lives(&[0.6, 0.6, 0.1, 0.6, 0.1]), [false, false, false, true, false]);
        assert_eq!(lives(&[0.6, 0.6, 0.1, 0.1, 0.6]), [false; 5]);
        assert_eq!(lives(&[0.1, 0.1, 0.1, 0.6]), [false; 4]);
        assert_eq!(lives(&[f32::NAN, f32::NAN, f32::NAN]), [false, false, true]);
    }

    #[test]
    fn without_a_calibration_things_are_followed_and_raise_nothing() {
        let mut tracks = Tracks::default();
        for _ in 0..9 {
            tracks.follow(&mut [at(1, 1, 9, 1.)], Stamp::default(), None);
        }
        assert!(!tracks.live(1));
        assert_eq!(tracks.tracks[0].frames, 9);
    }

    #[test]
    fn wrong_stamps_change_ages_alone() {
        let mut tracks = Tracks::default();
        let mut age = |sec| {
            let mut regions = [at(1, 1, 9, 1.)];
            tracks.follow(&mut regions, Stamp { sec, nanosec: 0 }, Some(&things()));
            let seen = regions[0].track.unwrap();
            (seen.id, seen.frames, seen.seconds)
        };
        assert_eq!([age(50), age(3), age(52)], [(1, 1, 0.), (1, 2, 0.), (1, 3, 2.)]);
        let (id, frames, seconds) = age(0);
        assert!((id, frames) == (1, 4) && (seconds.is_nan() || seconds == 0.), "{seconds}");
        tracks.jump(Stamp { sec: 3, nanosec: 0 });
        let mut regions = [at(1, 1, 9, 1.)];
        tracks.follow(&mut regions, Stamp { sec: 4, nanosec: 0 }, None);
        assert_eq!(regions[0].track.unwrap().seconds, 1.);
    }
}
