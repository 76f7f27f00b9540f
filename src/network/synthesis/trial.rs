//! Which of two ways to the same picture is the quicker one on the device at hand.

use std::cell::Cell;
use std::time::Duration;

/// Passes by each way before they are compared; the first of each is not counted, as it sets things up.
const PASSES: u32 = 4;

/// Takes the ways in turns until both are known.
#[derive(Debug, Default)]
pub(super) struct Trial {
    passes: Cell<u32>,
    best: Cell<[Option<Duration>; 2]>,
}

impl Trial {
    /// The way to take now, 0 or 1, and whether its time is still asked for.
    pub fn next(&self) -> (usize, bool) {
        match self.quicker() {
            Some(way) => (way, false),
            None => ((self.passes.get() % 2) as usize, true),
        }
    }

    /// The pass by `way` took so long. The quicker way, if it is known by this.
    pub fn took(&self, way: usize, time: Duration) -> Option<usize> {
        let passes = self.passes.get() + 1;
        self.passes.set(passes);
        if passes > 2 {
            let mut best = self.best.get();
            best[way] = Some(best[way].map_or(time, |known| known.min(time)));
            self.best.set(best);
        }
        self.quicker()
    }

    fn quicker(&self) -> Option<usize> {
        let [first, second] = self.best.get();
        (self.passes.get() >= 2 * PASSES).then(|| usize::from(second < first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quicker_way_is_taken_once_both_are_known() {
        let millis = Duration::from_millis;
        for (times, quicker) in [([5, 3], 1), ([3, 5], 0)] {
            let trial = Trial::default();
            // Setting up is slow, whichever way.
            for pass in 0..2 * PASSES {
                let (way, asked) = trial.next();
                assert!(asked && way == (pass % 2) as usize);
                let setting_up = if pass < 2 { 100 * quicker as u64 } else { 0 };
                let known = trial.took(way, millis(times[way] + setting_up));
                assert_eq!(known, (pass + 1 == 2 * PASSES).then_some(quicker));
            }
            assert_eq!(trial.next(), (quicker, false));
        }
    }
}
