//! What a detector's file says of it to the [`catalogue`](super::catalogue).

use super::detector::Detector;
use super::frequencies::OfGiven;
use super::statistics::Statistics;
use crate::model::networks::Networks;

/// What detectors are made from.
pub struct Parts<'a> {
    /// The bundle's networks.
    pub networks: &'a Networks,
    /// What a calibration slice told of M.
    pub statistics: Option<Statistics>,
    /// Where the labels of another segmenter are assessed: what is known of it.
    pub given: Option<OfGiven>,
    /// Passes with dropout.
    pub passes: usize,
}

impl<'a> Parts<'a> {
    /// Of the networks alone.
    pub fn of(networks: &'a Networks) -> Self {
        Self { networks, statistics: None, given: None, passes: PASSES }
    }
}

/// Passes with dropout, unless said otherwise. SynthCP's code takes 50.
pub const PASSES: usize = 10;

/// A detector, boxed.
pub type Boxed = Box<dyn Detector>;

/// One kind of detector.
pub struct Entry {
    /// Its name on a command line.
    pub id: &'static str,
    /// What it cannot be without, in words.
    pub needs: &'static str,
    /// Makes it, if the parts are there.
    pub make: fn(&Parts) -> Option<Boxed>,
}

/// What [`Entry::make`] gives of a detector that can be had.
pub(super) fn made(detector: impl Detector + 'static) -> Option<Boxed> {
    Some(Box::new(detector))
}
