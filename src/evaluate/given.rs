//! How often another segmenter's labels are wrong, by calibration samples.

use std::path::Path;

use super::error::EvaluationError;
use crate::data::given::GivenAt;
use crate::data::{Reading, Slice, Source};
use crate::labels::{apply_table, resize_labels};
use crate::monitor::pipeline::Monitor;
use crate::score::frequencies::Frequencies;

/// Counts its errors on the samples of the data set in folder `data` that `slice` names, at the bundle's working size.
pub fn frequencies(
    monitor: &Monitor,
    (data, slice, reading): (&Path, &Slice, &Reading),
    given: &GivenAt,
) -> Result<Frequencies, EvaluationError> {
    let source = Source::open(data, slice, false, reading)?;
    let given = given.open(data, &source.pairs.pairs, monitor.labels())?;
    let table = source.labels.map_onto(monitor.labels())?;
    let (height, width) = monitor.networks().size();
    let size = (width as u32, height as u32);
    let mut frequencies = Frequencies::new(monitor.labels().len());
    for (at, pair) in source.pairs.pairs.iter().enumerate() {
        let mut truth = source.load(pair, Some(size))?.labels;
        apply_table(&mut truth, &table);
        frequencies.add(&resize_labels(given.read(at)?.labels, size), &truth);
    }
    Ok(frequencies)
}
