//! How the cost grows with the size of the image, the classes and the cameras.

use serde::Serialize;
use tch::{Kind, Tensor};

use super::machine::finished;
use super::stages::BenchError;
use super::subject::{Subject, label_batch, reference};
use super::{median, millis, timed};
use crate::data::Sample;
use crate::model::inference::Inference;
use crate::model::networks::{Arithmetic, Specification};
use crate::network::comparison::{ComparatorConfig, joint};
use crate::network::segmentation::{SegmenterConfig, fcn8s};
use crate::network::synthesis::{GeneratorConfig, spade};

/// One point of the sweep.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Height and width.
    pub size: (i64, i64),
    /// Classes.
    pub classes: i64,
    /// Cameras in a batch.
    pub cameras: usize,
    /// The segmenter M, milliseconds per batch.
    pub segment: f64,
    /// The generator G, memoised, on consecutive frames.
    pub synthesize: f64,
    /// The comparator F.
    pub compare: f64,
}

impl Point {
    /// M, G and F, nanoseconds per pixel.
    pub fn nanos_per_pixel(&self) -> f64 {
        let pixels = self.size.0 * self.size.1 * self.cameras as i64;
        (self.segment + self.synthesize + self.compare) * 1e6 / pixels as f64
    }
}

const SIZE: (i64, i64) = (256, 512);
const CLASSES: i64 = 19;
/// Around the middle, one dimension varied at a time.
const POINTS: [((i64, i64), i64, usize); 8] = [
    ((128, 256), CLASSES, 1),
    (SIZE, CLASSES, 1),
    ((384, 768), CLASSES, 1),
    ((512, 1024), CLASSES, 1),
    (SIZE, 7, 1),
    (SIZE, 150, 1),
    (SIZE, CLASSES, 2),
    (SIZE, CLASSES, 4),
];
const TURNS: usize = 5;

/// Networks of the reference architectures with `shrink` times fewer channels.
fn specification(classes: i64, size: (i64, i64), shrink: i64) -> Specification {
    let full = fcn8s::Config::default();
    let narrow = |channels: i64| channels / shrink;
    let spade = spade::Config::default();
    Specification {
        segmentation: SegmenterConfig::Fcn8s(fcn8s::Config {
            widths: full.widths.map(narrow),
            head: narrow(full.head),
            form: full.form,
        }),
        synthesis: GeneratorConfig::Spade(spade::Config {
            ngf: narrow(spade.ngf),
            hidden: narrow(spade.hidden),
            ..spade
        }),
        comparison: ComparatorConfig::Joint(joint::Config {
            width: narrow(64),
            squeeze: narrow(64),
            ..joint::Config::default()
        }),
        ..reference(classes, size)
    }
}

/// Measures every point on `samples`, which stand for cameras and, in turn, for frames.
pub fn measure(arithmetic: Arithmetic, samples: &[Sample], shrink: i64) -> Result<Vec<Point>, BenchError> {
    if samples.is_empty() {
        return Err(BenchError::NoFrames);
    }
    POINTS
        .iter()
        .map(|&(size, classes, cameras)| {
            let subject = Subject::Random(Box::new(specification(classes, size, shrink)));
            point(&subject, cameras, arithmetic, samples)
        })
        .collect()
}

fn point(
    subject: &Subject,
    cameras: usize,
    arithmetic: Arithmetic,
    samples: &[Sample],
) -> Result<Point, BenchError> {
    let networks = subject.networks(Arithmetic { memoise: true, ..arithmetic })?;
    let (size, classes) = (subject.size(), subject.classes());
    let mut times = [const { Vec::new() }; 3];
    tch::no_grad(|| {
        for turn in 0..=TURNS {
            // Cameras far apart in the drive, each going on from frame to frame.
            let frame = |camera: usize| &samples[(turn + camera * samples.len() / cameras) % samples.len()];
            let frames: Vec<&Sample> = (0..cameras).map(frame).collect();
            let images = frames.iter().map(|sample| networks.input(&sample.image));
            let x = Tensor::cat(&images.collect::<Result<Vec<_>, _>>()?, 0);
            let labels =
                label_batch(&frames, size, arithmetic.device).to_kind(Kind::Int64).remainder(classes);
            let inference = Inference::of_batch(networks.trio(), x).with_labels_for_g(labels);
            let done = |tensor: &Tensor| drop(finished(tensor.shallow_clone()));
            let ((), m) = timed(|| done(&inference.segmentation().softmax.largest));
            let ((), g) = timed(|| done(inference.synthesized()));
            let (_, f) = timed(|| inference.comparison().iou.as_ref().map(done));
            // The first turn warms up.
            if turn > 0 {
                times.iter_mut().zip([m, g, f]).for_each(|(times, time)| times.push(time));
            }
        }
        let [segment, synthesize, compare] = times.map(|times| millis(median(&times)));
        Ok(Point { size, classes, cameras, segment, synthesize, compare })
    })
}
