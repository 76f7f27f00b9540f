//! Cross-prediction folds: every sample is predicted by a network that was not trained on it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A number of folds that is not possible.
#[derive(Debug, thiserror::Error)]
#[error("cannot cut {parts} {of} into {folds} folds; it takes at least 2 folds and one of the {of} in each")]
pub struct FoldError {
    /// Number of samples or drives.
    pub parts: usize,
    /// Which of them.
    pub of: &'static str,
    /// Folds asked for.
    pub folds: usize,
}

/// What no fold cuts through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Along {
    /// The drives, or cities, that the names of the samples tell apart ([`drive`]).
    Drives,
}

/// One fold: what is held out, and what is trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Positions to predict.
    pub held_out: Range<usize>,
    /// Positions before the held-out ones that may be trained on; may be empty.
    pub before: Range<usize>,
    /// Positions after the held-out ones that may be trained on; may be empty.
    pub after: Range<usize>,
}

impl Fold {
    /// All samples, none of which its network was trained on.
    pub fn all(samples: usize) -> Self {
        Self { held_out: 0..samples, before: 0..0, after: samples..samples }
    }

    fn of(held_out: Range<usize>, samples: usize, gap: usize) -> Self {
        let before = 0..held_out.start.saturating_sub(gap);
        let after = held_out.end.saturating_add(gap).min(samples)..samples;
        Self { held_out, before, after }
    }

    /// All positions to train on, ascending.
    pub fn train(&self) -> impl Iterator<Item = usize> + use<> {
        self.before.clone().chain(self.after.clone())
    }
}

/// Cuts `samples` into `folds` contiguous held-out ranges whose lengths differ by at most one.
///
/// Samples are in order of time, and neighbours in time show the same street; a random fold would
/// train on the neighbours of what it predicts. `gap` samples on either side of a held-out range
/// are left out of its training as well, for data without a change of scene between the folds.
pub fn contiguous(samples: usize, folds: usize, gap: usize) -> Result<Vec<Fold>, FoldError> {
    if folds < 2 || folds > samples {
        return Err(FoldError { parts: samples, of: "samples", folds });
    }
    let (length, longer) = (samples / folds, samples % folds);
    // The first `longer` folds hold one sample more.
    let start = |fold: usize| fold * length + fold.min(longer);
    Ok((0..folds).map(|fold| Fold::of(start(fold)..start(fold + 1), samples, gap)).collect())
}

/// What the name of a sample says about where it comes from: the folder, or the part before the first `_`, as
/// in `aachen_000000_000019` or `0016E5_07959`.
pub fn drive(name: &str) -> &str {
    name.rsplit_once('/').map_or_else(|| name.split('_').next().unwrap_or(name), |(folder, _)| folder)
}

/// The same for samples of which `drives` names the drives: no fold begins in the middle of one. Each of the
/// inner borders is the one between two drives that is nearest to where the folds would be of one length.
pub fn along(drives: &[&str], folds: usize) -> Result<Vec<Fold>, FoldError> {
    let samples = drives.len();
    let borders: Vec<usize> = (1..samples).filter(|&i| drives[i] != drives[i - 1]).collect();
    let parts = borders.len() + usize::from(samples > 0);
    if folds < 2 || folds > parts {
        return Err(FoldError { parts, of: "drives", folds });
    }
    let mut starts = vec![0];
    let mut first = 0;
    for fold in 1..folds {
        // Every later fold needs a border of its own.
        let last = borders.len() - (folds - fold);
        let ideal = samples * fold / folds;
        let nearest = (first..=last).min_by_key(|&i| borders[i].abs_diff(ideal)).unwrap_or(first);
        starts.push(borders[nearest]);
        first = nearest + 1;
    }
    starts.push(samples);
    Ok(starts.windows(2).map(|ends| Fold::of(ends[0]..ends[1], samples, 0)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_samples_in_three_folds() {
        let folds = contiguous(10, 3, 0).unwrap();
        let held_out: Vec<_> = folds.iter().map(|fold| fold.held_out.clone()).collect();
        assert_eq!(held_out, [0..4, 4..7, 7..10]);
        assert_eq!(folds[1].train().collect::<Vec<_>>(), [0, 1, 2, 3, 7, 8, 9]);
    }

    #[test]
    fn a_gap_keeps_neighbours_apart() {
        let folds = contiguous(10, 3, 2).unwrap();
        assert_eq!(folds[1].train().collect::<Vec<_>>(), [0, 1, 9]);
        assert_eq!(folds[0].train().collect::<Vec<_>>(), [6, 7, 8, 9]);
        assert_eq!(contiguous(4, 2, usize::MAX).unwrap()[0].train().count(), 0);
    }

    #[test]
    fn impossible_numbers_are_named() {
        for (samples, folds) in [(5, 0), (5, 1), (5, 6), (0, 2)] {
            let message = contiguous(samples, folds, 0).unwrap_err().to_string();
            assert!(message.contains(&format!("{samples} samples into {folds} folds")), "{message}");
        }
    }

    #[test]
    fn no_fold_cuts_through_a_drive() {
        let drives: Vec<&str> = [("a", 5), ("b", 1), ("c", 2), ("d", 4)]
            .iter()
            .flat_map(|&(drive, samples)| vec![drive; samples])
            .collect();
        let held_out =
            |folds| along(&drives, folds).unwrap().into_iter().map(|fold| fold.held_out).collect::<Vec<_>>();
        assert_eq!(held_out(2), [0..6, 6..12]);
        assert_eq!(held_out(3), [0..5, 5..8, 8..12]);
        assert_eq!(held_out(4), [0..5, 5..6, 6..8, 8..12]);
        let message = along(&drives, 5).unwrap_err().to_string();
        assert!(message.contains("4 drives into 5 folds"), "{message}");
        assert!(along(&[], 2).is_err());
    }

    #[test]
    fn names_tell_drives_apart() {
        for (name, expected) in [
            ("aachen_000000_000019", "aachen"),
            ("0016E5_07959", "0016E5"),
            ("t2/12", "t2"),
            ("plain", "plain"),
        ] {
            assert_eq!(drive(name), expected);
        }
    }

    proptest! {
        #[test]
        fn every_sample_is_held_out_once_and_never_trained_on_then(
            samples in 2usize..500, folds in 2usize..20, gap in 0usize..10,
        ) {
            prop_assume!(folds <= samples);
            let folds = contiguous(samples, folds, gap).unwrap();
            let held_out: Vec<usize> = folds.iter().flat_map(|fold| fold.held_out.clone()).collect();
            prop_assert_eq!(held_out, (0..samples).collect::<Vec<_>>());
            let lengths: Vec<usize> = folds.iter().map(|fold| fold.held_out.len()).collect();
            prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1);
            for fold in &folds {
                for index in fold.train() {
                    let distance = if index < fold.held_out.start {
                        fold.held_out.start - index
                    } else {
                        index + 1 - fold.held_out.end
                    };
                    prop_assert!(distance > gap, "{} is {} from {:?}", index, distance, fold.held_out);
                }
            }
        }
    }
}
