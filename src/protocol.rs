//! The paper's protocol: all of its tables, from a labelled data set, as a list of stages that is fixed
//! beforehand.
//!
//! A *system* is a segmenter M, a generator G, and the comparator F and other detectors that are trained
//! on them. Systems with the same M share it and its folds. Systems with the same G share that; it was
//! trained with the M of the first of them. Every stage leaves its result in the output folder and is not
//! done twice, so that an interrupted protocol goes on where it stopped.
//!
//! ```text
//! out/work/<segmenter>/{segmentation,fold-K}     M, and M without each fold
//! out/work/<generator>/synthesis                 G
//! out/work/<system>/{fold-K,comparison,...}      the folds' predictions, and what learns from them
//! out/bundles/<system>/                          its bundle, with the other detectors in detectors/
//! out/outcomes/<system>/<test>.json              the result of a test of it
//! out/figures/<system>/<test>/                   the same as a page for people
//! out/tables/                                    the tables, of all outcomes
//! out/origins/<system>/<stage>.json              what a result was made from: of another plan it is refused
//! ```

pub mod cost;
mod lines;
pub mod measure;
mod origin;
pub mod outcome;
pub mod plan;
pub mod run;
pub mod stage;
pub mod tables;
