//! Cross-prediction folds: every sample is predicted by a network that was not trained on it.

use std::ops::Range;

/// A number of folds that is not possible.
#[derive(Debug, thiserror::Error)]
#[error("cannot cut {samples} samples into {folds} folds; it takes at least 2 folds and a sample in each")]
pub struct FoldError {
    /// Number of samples.
    pub samples: usize,
    /// Folds asked for.
    pub folds: usize,
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
        return Err(FoldError { samples, folds });
    }
    let (length, longer) = (samples / folds, samples % folds);
    // The first `longer` folds hold one sample more.
    let start = |fold: usize| fold * length + fold.min(longer);
    let fold = |index: usize| {
        let held_out = start(index)..start(index + 1);
        let before = 0..held_out.start.saturating_sub(gap);
        let after = held_out.end.saturating_add(gap).min(samples)..samples;
        Fold { held_out, before, after }
    };
    Ok((0..folds).map(fold).collect())
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
