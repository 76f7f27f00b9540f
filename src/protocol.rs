//! The paper's protocol: all of its tables, from a labelled data set, as a list of stages that is fixed
//! beforehand.
//!
//! A *system* is an M, a G and what is trained on them. Systems with the same M share it and its folds;
//! systems with the same G share that, trained in sight of the first one's M. Every stage leaves its result
//! in the output folder and is not done twice, so that a protocol that was interrupted goes on where it was.
//!
//! ```text
//! out/work/<segmenter>/{segmentation,fold-K}     M, and M without each fold
//! out/work/<generator>/synthesis                 G
//! out/work/<system>/{fold-K,comparison,...}      the folds' predictions, and what learns from them
//! out/bundles/<system>/                          its bundle, with the other detectors in detectors/
//! out/outcomes/<system>/<test>.json              what a test of it came to
//! out/figures/<system>/<test>/                   the same for people
//! out/tables/                                    the tables, of all outcomes
//! ```

pub mod cost;
mod lines;
pub mod measure;
pub mod outcome;
pub mod plan;
pub mod run;
pub mod stage;
pub mod tables;
