//! Training of M, G and F, on the CPU or a GPU, interruptible at any time.

mod ahead;
pub mod baseline;
pub mod batch;
pub mod calibration;
pub mod checkpoint;
pub mod comparison;
pub(crate) mod degrade;
pub(crate) mod discriminator;
pub mod foreign;
pub mod guarantee;
pub mod identity;
mod logistic;
pub mod optimizer;
pub mod outcomes;
pub mod outliers;
pub mod packing;
pub mod predictions;
pub mod progress;
pub mod recipe;
pub mod segmentation;
pub mod splits;
pub mod start;
pub mod synthesis;
pub mod things;
mod tone;
pub mod training;
pub mod workspace;

use std::path::PathBuf;

use crate::checkpoint::weights::WeightsError;
use crate::data::DataError;
use crate::data::given::GivenError;
use crate::network::segmentation::NotBuilt;

/// Why a training cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Another segmenter's labels of it.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// Weights that are read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file or folder beside the weights.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A checkpoint of another training.
    #[error("{}: {field} was {found} and is now {expected}; resume with the same or use another folder", path.display())]
    OtherTraining {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        field: String,
        /// Its value in the checkpoint.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// A file that cannot be read as what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The recipe, or an option, has what cannot be trained.
    #[error("{0}")]
    Recipe(String),
    /// Fewer samples than folds.
    #[error(transparent)]
    Folds(#[from] crate::data::folds::FoldError),
    /// Somebody's own M without its file.
    #[error(
        "segmentation.architecture is torchscript, which is not trained; expected its file, --segmenter FILE"
    )]
    NoSegmenter,
    /// A network that cannot be trained.
    #[error(transparent)]
    NotBuilt(#[from] NotBuilt),
    /// A baseline that the recipe does not have.
    #[error("no baseline '{name}' in the recipe; it has {known}")]
    NoBaseline {
        /// What was asked for.
        name: String,
        /// All there are, comma separated.
        known: String,
    },
    /// A baseline that learns from dropout, and predictions without.
    #[error(
        "the folds' predictions hold no passes with dropout; M needs dropout, and predictions made before the \
         recipe had the baseline must be made anew"
    )]
    NoDropout,
    /// A training that stopped in the middle, as it was told to.
    #[error("{title}: paused after step {step}, with a checkpoint; --resume goes on from there")]
    Paused {
        /// Which.
        title: String,
        /// Steps taken.
        step: u64,
    },
    /// A loss left the numbers.
    #[error("step {step}: the loss '{name}' is {value}; lower the learning rate or use fp32")]
    Diverged {
        /// Where.
        step: u64,
        /// Which loss.
        name: &'static str,
        /// Its value.
        value: f64,
    },
}
