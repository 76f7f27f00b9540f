//! Another segmenter's labels of a data set: as an inference takes them, and how often they are wrong.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::error::EvaluationError;
use crate::data::given::{GivenAt, GivenLabels, Sure};
use crate::data::{Reading, Slice, Source};
use crate::labels::{apply_table, resize_labels};
use crate::model::given::Given;
use crate::model::pixels::grey_to_tensor;
use crate::monitor::pipeline::Monitor;
use crate::network::layers::resize_bilinear;
use crate::score::frequencies::Frequencies;

/// Those of one image, brought to the working size (height, width).
pub(super) fn at_size(given: &GivenLabels, (height, width): (i64, i64), device: Device) -> Given {
    let labels = resize_labels(given.labels.clone(), (width as u32, height as u32));
    let labels = grey_to_tensor(&labels).unsqueeze(0).to_kind(Kind::Int64).to_device(device);
    let map = |numbers: &[f32], h: usize, w: usize| {
        let map = Tensor::from_slice(numbers).view([1, -1, h as i64, w as i64]).to_device(device);
        match (h as i64, w as i64) == (height, width) {
            true => map,
            false => resize_bilinear(&map, (height, width), false),
        }
    };
    let alone = Given::labels_alone(labels);
    match &given.sure {
        None => alone,
        Some(Sure::Softmax { height, width, numbers }) => {
            Given { probabilities: Some(map(numbers, *height, *width)), ..alone }
        }
        Some(Sure::Confidence { height, width, numbers }) => {
            Given { confidence: Some(map(numbers, *height, *width)), ..alone }
        }
    }
}

/// Counts their errors on the samples of the data set in folder `data` that `slice` names, at the bundle's working size.
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
