//! Frames without a usable report, in a row.

use serde::Serialize;

/// Frames that were due and got no report that may be used: dropped, unreadable, failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misses {
    /// How many.
    pub frames: u64,
    /// The longest run of them.
    pub longest: u64,
    /// When the first frame of that run was recorded, in nanoseconds since 1970.
    pub longest_since: Option<i64>,
    #[serde(skip)]
    run: u64,
    #[serde(skip)]
    since: Option<i64>,
}

impl Misses {
    /// The frame recorded at `time` got none.
    pub(super) fn miss(&mut self, time: i64) {
        self.frames += 1;
        self.run += 1;
        let since = *self.since.get_or_insert(time);
        if self.run > self.longest {
            (self.longest, self.longest_since) = (self.run, Some(since));
        }
    }

    /// A frame got one.
    pub(super) fn hit(&mut self) {
        (self.run, self.since) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_is_the_first_of_equals() {
        let mut misses = Misses::default();
        for (time, hit) in [false, true, false, false, true, false, false].into_iter().enumerate() {
            if hit { misses.hit() } else { misses.miss(time as i64) }
        }
        assert_eq!((misses.frames, misses.longest, misses.longest_since), (5, 2, Some(2)));
    }
}
