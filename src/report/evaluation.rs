//! A bundle measured on labelled images: how good M is, and how well the monitor knows when it is not.

use std::fmt;
use std::path::Path;

use image::{GrayImage, Rgb, RgbImage, imageops};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::{self, Slice};
use crate::frame::{Frame, Stamp};
use crate::labels::{IGNORE, LabelError, LabelSet, apply_table};
use crate::metric::MetricError;
use crate::metric::correlation::{absolute_error, pearson, spearman};
use crate::metric::ranking::Ranking;
use crate::metric::segmentation::Confusion;
use crate::monitor::pipeline::{Monitor, MonitorError};
use crate::monitor::report::Wanted;

/// Why a bundle cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// Its label set.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A frame.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// libtorch.
    #[error(transparent)]
    Inference(#[from] tch::TchError),
    /// A figure.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// Pixel-level figures of one detector, pixels of all images pooled.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Its name.
    pub name: &'static str,
    /// Average precision for the positives.
    pub average_precision: Option<f64>,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// False positives at the first recall of at least 0.95.
    pub fpr95: Option<f64>,
}

impl Detector {
    /// Of `scores` that should be high where `positive`.
    pub(super) fn of(name: &'static str, scores: &[f32], positive: &[bool]) -> Result<Self, MetricError> {
        let ranking = Ranking::new(scores, positive)?;
        Ok(Self {
            name,
            average_precision: ranking.average_precision(),
            auroc: ranking.auroc(),
            fpr95: ranking.fpr_at_recall(0.95),
        })
    }
}

/// The figures of one bundle on one data set.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// What was measured on.
    pub data: String,
    /// Labels against M's predictions, all images.
    pub confusion: Confusion,
    /// Error detectors.
    pub detectors: Vec<Detector>,
    /// True mean IoU of each image, over the classes in its ground truth.
    pub true_miou: Vec<f64>,
    /// Predicted mean IoU of each image.
    pub predicted_miou: Vec<f64>,
    /// Failure score of each image.
    pub failure: Vec<f32>,
}

impl Evaluation {
    /// Runs `monitor` on the samples of `slice` at their own size. Where the data set has another label
    /// set than the bundle, predictions are mapped onto it and classes without counterpart ignored.
    pub fn of(monitor: &Monitor, folder: &Path, slice: &Slice) -> Result<Self, EvaluationError> {
        let dataset = data::load(folder, &data::Options { slice: slice.clone(), ..Default::default() })?;
        let set = LabelSet::by_name(&dataset.label_set)?;
        let table = monitor.labels().map_onto(&set)?;
        let mut confusion = Confusion::new(set.len());
        let (mut ours, mut msp, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        let (mut true_miou, mut predicted_miou, mut failure) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = Wanted { error_probability: true, labels: true, ..Wanted::default() };
        for sample in &dataset.samples {
            let frame = frame_of(sample.image.clone());
            let full = monitor.process(&frame, wanted)?;
            let logits = monitor.process_logits_only(&frame, wanted)?;
            let (Some(mut labels), Some(error), Some(doubt)) =
                (full.maps.labels, full.maps.error_probability, logits.maps.error_probability)
            else {
                continue;
            };
            apply_table(&mut labels, &table);
            let (predicted, truth) = comparable(&labels, &sample.labels);
            let one = Confusion::of(&predicted, &truth, set.len())?;
            confusion.merge(&one)?;
            for (i, &label) in truth.iter().enumerate().filter(|&(_, &l)| l != IGNORE) {
                ours.push(error.data[i]);
                msp.push(doubt.data[i]);
                wrong.push(predicted[i] != label);
            }
            let present: Vec<f64> =
                (0..set.len()).filter(|&c| one.labelled(c) > 0).filter_map(|c| one.class_iou(c)).collect();
            true_miou.push(present.iter().sum::<f64>() / present.len().max(1) as f64);
            predicted_miou.push(f64::from(full.report.predicted_miou));
            failure.push(full.report.failure_score);
        }
        let detectors = vec![
            Detector::of("SynthCP joint", &ours, &wrong)?,
            Detector::of("1 - MSP", &msp, &wrong)?,
            Detector::of("SynthCP joint + (1 - MSP)", &add(&ours, &msp), &wrong)?,
        ];
        let data =
            format!("{} {slice}", folder.file_name().map_or_else(|| "?".into(), |n| n.to_string_lossy()));
        Ok(Self { data, confusion, detectors, true_miou, predicted_miou, failure })
    }

    /// Median failure score.
    pub fn median_failure(&self) -> f32 {
        let mut sorted = self.failure.clone();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f32::NAN)
    }
}

fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Pixels whose class has a counterpart in both label sets; the others are ignored.
fn comparable(predicted: &GrayImage, truth: &GrayImage) -> (Vec<u8>, Vec<u8>) {
    let pairs = predicted.as_raw().iter().zip(truth.as_raw());
    pairs.map(|(&p, &t)| if p == IGNORE { (0, IGNORE) } else { (p, t) }).unzip()
}

fn frame_of(image: RgbImage) -> Frame {
    Frame { image, stamp: Stamp::default(), camera: String::new() }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = |v: Option<f64>| v.map_or("n/a".into(), |v| format!("{:.1}", 100. * v));
        let plain = |v: Result<Option<f64>, MetricError>| match v {
            Ok(Some(v)) => format!("{v:.3}"),
            _ => "n/a".into(),
        };
        writeln!(f, "## {}: {} images", self.data, self.failure.len())?;
        writeln!(
            f,
            "M: mIoU {} %, pixel accuracy {} %",
            percent(self.confusion.mean_iou()),
            percent(self.confusion.accuracy())
        )?;
        writeln!(f, "| error detector | AP-Err | AUROC | FPR95 |\n|---|---|---|---|")?;
        for d in &self.detectors {
            writeln!(
                f,
                "| {} | {} | {} | {} |",
                d.name,
                percent(d.average_precision),
                percent(d.auroc),
                percent(d.fpr95)
            )?;
        }
        let (p, t) = (&self.predicted_miou, &self.true_miou);
        let mae = absolute_error(p, t).ok().flatten().map(|e| e.mean);
        writeln!(
            f,
            "predicted against true mIoU of an image: Pearson {}, Spearman {}, MAE {} points",
            plain(pearson(p, t)),
            plain(spearman(p, t)),
            percent(mae)
        )
    }
}

/// What the monitor says of frames that no camera should send.
#[derive(Clone, Debug)]
pub struct Sanity {
    /// Median failure score of the normal frames.
    pub median: f32,
    /// Name, failure score, and whether it is above the median.
    pub frames: Vec<(String, f32)>,
    /// Share of the frames that score above the median when turned upside down.
    pub flipped_above: f64,
}

/// Shows `monitor` a black frame, noise, and frames upside down.
pub fn sanity(
    monitor: &Monitor,
    evaluation: &Evaluation,
    folder: &Path,
    slice: &Slice,
) -> Result<Sanity, EvaluationError> {
    const FLIPPED: usize = 50;
    let dataset = data::load(folder, &data::Options { slice: slice.clone(), ..Default::default() })?;
    let score = |image: RgbImage| -> Result<f32, MonitorError> {
        Ok(monitor.process(&frame_of(image), Wanted::default())?.report.failure_score)
    };
    let median = evaluation.median_failure();
    let first = &dataset.samples[0].image;
    let (width, height) = first.dimensions();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise = RgbImage::from_fn(width, height, |_, _| Rgb(rng.random()));
    let frames = vec![
        ("all black".to_owned(), score(RgbImage::new(width, height))?),
        ("random noise".to_owned(), score(noise)?),
        (format!("{} upside down", dataset.samples[0].name), score(imageops::flip_vertical(first))?),
    ];
    let count = dataset.samples.len().min(FLIPPED);
    let mut above = 0;
    for sample in dataset.samples.iter().take(count) {
        above += usize::from(score(imageops::flip_vertical(&sample.image))? > median);
    }
    Ok(Sanity { median, frames, flipped_above: above as f64 / count as f64 })
}

impl fmt::Display for Sanity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "failure score: median of normal frames {:.3}", self.median)?;
        for (name, score) in &self.frames {
            let verdict = if *score > self.median { "above" } else { "NOT above" };
            writeln!(f, "  {name}: {score:.3}, {verdict} the median")?;
        }
        writeln!(f, "  upside down: {:.0} % of frames above the median", 100. * self.flipped_above)
    }
}
