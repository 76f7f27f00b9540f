//! The stages of a frame, each timed by itself.

use std::fmt;
use std::io::Cursor;
use std::time::Duration;

use image::ImageFormat;
use serde::Serialize;
use tch::{Kind, TchError, Tensor};

use super::machine::{Machine, finished};
use super::memory::Memory;
use super::subject::{Subject, label_batch};
use super::{median, timed};
use crate::data::Sample;
use crate::frame::{FrameError, decode_compressed};
use crate::model::bundle::BundleError;
use crate::model::inference::Inference;
use crate::model::networks::{Arithmetic, Networks, Trio};
use crate::monitor::pictures;
use crate::monitor::regions::{self, RegionError, RegionLimits};
use crate::network::flops;
use crate::network::layers::spatial;
use crate::network::synthesis::ReadyGenerator;

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// libtorch refused an operation.
    #[error("inference failed: {0}")]
    Inference(TchError),
    /// A frame could not be decoded again.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame could not be encoded as JPEG.
    #[error("encoding a frame: {0}")]
    Encode(image::ImageError),
    /// Maps of different sizes met.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// Nothing to measure on.
    #[error("no frames; at least one is needed")]
    NoFrames,
}

impl From<TchError> for BenchError {
    fn from(error: TchError) -> Self {
        Self::Inference(error)
    }
}

/// Stages in the order of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A JPEG of the camera's size to pixels.
    Decode,
    /// To a tensor of the working size.
    Resize,
    /// The segmenter M on the image x as published, layer by layer, softmax and labels included: this is T.
    SegmentDense,
    /// M on x as the monitor runs it.
    Segment,
    /// The generator G, every layer dense.
    SynthesizeDense,
    /// G, memoised, with an empty memory.
    SynthesizeFirst,
    /// G, memoised, after the frames before.
    SynthesizeNext,
    /// M on the synthesized image x' as published.
    SegmentAgainDense,
    /// M on x' as the monitor runs it.
    SegmentAgain,
    /// The comparator F.
    Compare,
    /// Cosine of the features.
    Score,
    /// Maps, masks and regions.
    Report,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Decode,
        Self::Resize,
        Self::SegmentDense,
        Self::Segment,
        Self::SynthesizeDense,
        Self::SynthesizeFirst,
        Self::SynthesizeNext,
        Self::SegmentAgainDense,
        Self::SegmentAgain,
        Self::Compare,
        Self::Score,
        Self::Report,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode JPEG",
            Self::Resize => "resize",
            Self::SegmentDense => "M on x, dense",
            Self::Segment => "M on x",
            Self::SynthesizeDense => "G dense",
            Self::SynthesizeFirst => "G memoised, first",
            Self::SynthesizeNext => "G memoised, next",
            Self::SegmentAgainDense => "M on x', dense",
            Self::SegmentAgain => "M on x'",
            Self::Compare => "F",
            Self::Score => "cosine",
            Self::Report => "report",
        }
    }
}

/// M, G and M again in a frame: dense, memoised on first frames, on next ones.
const FRAMES: [[Stage; 3]; 3] = [
    [Stage::SegmentDense, Stage::SynthesizeDense, Stage::SegmentAgainDense],
    [Stage::Segment, Stage::SynthesizeFirst, Stage::SegmentAgain],
    [Stage::Segment, Stage::SynthesizeNext, Stage::SegmentAgain],
];

/// The cost of one stage.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StageCost {
    /// Which.
    pub stage: Stage,
    /// Median.
    pub millis: f64,
    /// In multiples of the dense M's time.
    pub t: f64,
    /// Operations of convolutions and matrix products, 10^9; mean over the frames.
    pub gflop: f64,
    /// Share of the machine's peak.
    pub peak_share: f64,
}

/// The cost of frames.
#[derive(Clone, Debug, Serialize)]
pub struct Benchmark {
    /// What was measured.
    pub subject: String,
    /// Height and width.
    pub size: (i64, i64),
    /// Classes.
    pub classes: i64,
    /// Precision.
    pub precision: String,
    /// Frames.
    pub frames: usize,
    /// Peaks.
    pub machine: Machine,
    /// Costs.
    pub stages: Vec<StageCost>,
    /// A whole frame without the anomaly score, in T: dense, memoised on first frames, on next ones.
    pub frame_t: [f64; 3],
    /// The same with the anomaly score.
    pub anomaly_frame_t: [f64; 3],
    /// How often G was faster memoised than dense: first frames, next ones.
    pub speedup: [f64; 2],
    /// Largest difference of the memoised synthesized image from the dense one, as a share of its range.
    pub difference: f64,
    /// Memory at the end.
    pub memory: Option<Memory>,
}

impl Benchmark {
    /// T in milliseconds.
    fn t_millis(&self) -> f64 {
        let m = self.stages.iter().find(|cost| cost.stage == Stage::SegmentDense);
        m.map_or(f64::NAN, |cost| cost.millis)
    }

    /// Milliseconds of a frame with the anomaly score, G memoised, after the frames before.
    pub fn frame_millis(&self) -> f64 {
        let [.., next] = self.anomaly_frame_t;
        next * self.t_millis()
    }
}

/// Measures every stage on `samples`, in their order.
pub fn measure(
    subject: &Subject,
    arithmetic: Arithmetic,
    samples: &[Sample],
) -> Result<Benchmark, BenchError> {
    if samples.is_empty() {
        return Err(BenchError::NoFrames);
    }
    let machine = Machine::measure(arithmetic.device, arithmetic.kind);
    let networks = |memoise| subject.networks(Arithmetic { memoise, ..arithmetic });
    let dense = networks(false)?;
    let first = networks(true)?.into_generator();
    let next = networks(true)?;
    let mut meter = Meter { dense, first, next, subject, times: Times::default(), difference: 0. };
    // Once to warm up, then for the record.
    meter.frame(&samples[0])?;
    meter.times = Times::default();
    meter.difference = 0.;
    for sample in samples {
        meter.frame(sample)?;
    }
    Ok(meter.summary(machine, arithmetic.kind))
}

#[derive(Default)]
struct Times {
    durations: [Vec<Duration>; Stage::ALL.len()],
    flops: [u64; Stage::ALL.len()],
}

struct Meter<'a> {
    dense: Networks,
    first: ReadyGenerator,
    next: Networks,
    subject: &'a Subject,
    times: Times,
    difference: f64,
}

impl Times {
    fn run<R>(&mut self, stage: Stage, work: impl FnOnce() -> R) -> R {
        let ((result, flops), time) = timed(|| flops::count(work));
        self.durations[stage as usize].push(time);
        self.flops[stage as usize] += flops;
        result
    }
}

impl Meter<'_> {
    fn frame(&mut self, sample: &Sample) -> Result<(), BenchError> {
        let mut jpeg = Cursor::new(Vec::new());
        sample.image.write_to(&mut jpeg, ImageFormat::Jpeg).map_err(BenchError::Encode)?;
        let Self { dense, first, next, subject, times, .. } = self;
        if let ReadyGenerator::Folded(memoised) = first {
            memoised.forget();
        }
        let config = next.anomaly_config();
        tch::no_grad(|| {
            let image = times.run(Stage::Decode, || decode_compressed("jpeg", jpeg.get_ref()))?;
            let x = times.run(Stage::Resize, || next.input(&image).map(finished))?;
            let dense = Inference::of_batch(dense.trio(), x.shallow_clone());
            let with_first = Trio { generator: &*first, ..next.trio() };
            let first = Inference::of_batch(with_first, x.shallow_clone());
            let next: &Networks = next;
            let next = Inference::of_batch(next.trio(), x).with_enlarged_band(next, next.uploaded(&image)?);
            let labels_of =
                |inference: &Inference| finished(inference.segmentation().softmax.labels.shallow_clone());
            drop(times.run(Stage::SegmentDense, || labels_of(&dense)));
            let labels = times.run(Stage::Segment, || labels_of(&next));
            let labels = match subject.synthesizes_given_labels() {
                true => label_batch(&[sample], spatial(next.image()), labels.device()),
                false => labels,
            };
            let [dense, first, next] =
                [dense, first, next].map(|inference| inference.with_labels_for_g(labels.shallow_clone()));
            let mut synthesize = |stage, inference: &Inference| {
                times.run(stage, || finished(inference.synthesized().shallow_clone()))
            };
            let plain = synthesize(Stage::SynthesizeDense, &dense);
            let early = synthesize(Stage::SynthesizeFirst, &first);
            let late = synthesize(Stage::SynthesizeNext, &next);
            let range = (plain.max() - plain.min()).double_value(&[]);
            let apart = |image: &Tensor| (image - &plain).abs().max().double_value(&[]) / range;
            let difference = apart(&early).max(apart(&late));
            let again = |inference: &Inference| {
                drop(finished(inference.second_features(config.features).shallow_clone()));
            };
            times.run(Stage::SegmentAgainDense, || again(&dense));
            times.run(Stage::SegmentAgain, || again(&next));
            times.run(Stage::Compare, || {
                drop(next.comparison().iou.as_ref().map(|iou| finished(iou.shallow_clone())));
            });
            let anomaly = times.run(Stage::Score, || next.anomaly(config).map(finished))?;
            times.run(Stage::Report, || report(&labels_of(&next), &next.error()?, &anomaly))?;
            self.difference = self.difference.max(difference);
            Ok(())
        })
    }

    fn summary(&self, machine: Machine, kind: Kind) -> Benchmark {
        let frames = self.times.durations[0].len();
        let time = |stage: Stage| median(&self.times.durations[stage as usize]).as_secs_f64();
        let t = time(Stage::SegmentDense);
        let stages = Stage::ALL.map(|stage| {
            let gflop = self.times.flops[stage as usize] as f64 / frames as f64 / 1e9;
            let seconds = time(stage);
            let peak_share = gflop / seconds / machine.gflop_per_s;
            StageCost { stage, millis: seconds * 1e3, t: seconds / t, gflop, peak_share }
        });
        let around: f64 = [Stage::Resize, Stage::Compare, Stage::Report].map(time).iter().sum();
        let frame = |[first, synthesize, again]: [Stage; 3], anomaly: bool| {
            let again = if anomaly || self.next.segments_again() { time(again) } else { 0. };
            let score = if anomaly { time(Stage::Score) } else { 0. };
            (around + time(first) + time(synthesize) + again + score) / t
        };
        let faster = |ours: Stage| time(Stage::SynthesizeDense) / time(ours);
        Benchmark {
            subject: self.subject.name(),
            size: self.subject.size(),
            classes: self.subject.classes(),
            precision: format!("{kind:?}"),
            frames,
            machine,
            stages: stages.to_vec(),
            frame_t: FRAMES.map(|stages| frame(stages, false)),
            anomaly_frame_t: FRAMES.map(|stages| frame(stages, true)),
            speedup: [faster(Stage::SynthesizeFirst), faster(Stage::SynthesizeNext)],
            difference: self.difference,
            memory: Memory::read(),
        }
    }
}

/// What the monitor computes from the scores for every report.
fn report(labels: &Tensor, error: &Tensor, anomaly: &Tensor) -> Result<(), BenchError> {
    /// About one pixel in a hundred is above it: the cost of regions is that of their outline.
    const LIMIT: f32 = 0.5;
    let labels = pictures::to_grey(labels)?;
    let size = labels.dimensions();
    let _error = pictures::to_map(error, size)?;
    let map = pictures::to_map(anomaly, size)?;
    let mask = pictures::threshold(&map, LIMIT);
    let limits = RegionLimits { min_area: 0.0005, max_count: 32 };
    regions::find(&mask, &map, &labels, None, limits)?;
    Ok(())
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ((h, w), machine) = (self.size, self.machine);
        writeln!(
            f,
            "{}: {w}x{h}, {} classes, {}, {} frames",
            self.subject, self.classes, self.precision, self.frames
        )?;
        writeln!(
            f,
            "machine: {:.0} GFLOP/s in a big convolution, {:.1} GB/s in a big copy, {} threads",
            machine.gflop_per_s, machine.gbyte_per_s, machine.threads
        )?;
        writeln!(f, "{:<18} {:>9} {:>6} {:>8} {:>8}", "stage", "ms", "T", "GFLOP", "of peak")?;
        for StageCost { stage, millis, t, gflop, peak_share } in &self.stages {
            writeln!(
                f,
                "{:<18} {millis:>9.2} {t:>6.2} {gflop:>8.1} {:>7.0}%",
                stage.name(),
                100. * peak_share
            )?;
        }
        for (frame, in_t) in [("without", self.frame_t), ("with", self.anomaly_frame_t)] {
            let [dense, first, next] = in_t;
            let millis = in_t.map(|t| t * self.t_millis());
            writeln!(
                f,
                "frame {frame:>7} anomaly: {dense:.2} T dense, {first:.2} T first, {next:.2} T next ({:.0}, {:.0}, {:.0} ms)",
                millis[0], millis[1], millis[2]
            )?;
        }
        let [first, next] = self.speedup;
        writeln!(
            f,
            "G memoised: {first:.2}x on first frames, {next:.2}x on next ones, largest difference {:.1e} of the range",
            self.difference
        )?;
        if let Some(memory) = self.memory {
            writeln!(f, "memory: {:.0} MB, peak {:.0} MB", memory.now, memory.peak)?;
        }
        Ok(())
    }
}
