//! A bundle measured on labelled images: how good M is, and how well the monitor, and every other
//! detector, knows when it is not.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use image::GrayImage;
use serde::Serialize;
use tch::Tensor;

use super::frames::{Frame, Worst};
use super::scoreboard::{self, Memory, Scoreboard, Scored};
use super::table::{Cell, Table};
use crate::data::{self, Sample, Slice, resize_labels};
use crate::labels::{IGNORE, LabelError, LabelSet, apply_table};
use crate::metric::MetricError;
use crate::metric::estimate::{Estimates, Fit};
use crate::metric::segmentation::Confusion;
use crate::monitor::pictures::{to_grey, to_map};
use crate::monitor::pipeline::{Monitor, MonitorError};
use crate::monitor::report::Wanted;
use crate::score::catalogue::{Boxed, CatalogueError};
use crate::score::detector::{Judgement, Look};

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
    /// A picture of a frame.
    #[error("a picture for the report: {0}")]
    Picture(#[from] image::ImageError),
    /// A detector.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Too many pixels for exact figures.
    #[error(
        "exact figures of these images take {:.1} GB, more than {:.0}; --streaming takes little and states its error",
        *needs as f64 / 1e9,
        MOST_MEMORY as f64 / 1e9
    )]
    Memory {
        /// Bytes.
        needs: u64,
    },
}

/// Bytes that exact figures may take.
pub const MOST_MEMORY: u64 = 6_000_000_000;

/// The size at which pixels are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// That of the labels: predictions are enlarged.
    #[default]
    Labels,
    /// The networks' working size: labels are reduced, as in the paper.
    Working,
}

/// Text that names no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot score at '{0}'; expected labels or working")]
pub struct UnknownSize(String);

impl FromStr for At {
    type Err = UnknownSize;

    fn from_str(text: &str) -> Result<Self, UnknownSize> {
        match text {
            "labels" => Ok(Self::Labels),
            "working" => Ok(Self::Working),
            _ => Err(UnknownSize(text.to_owned())),
        }
    }
}

/// On what, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which samples.
    pub slice: Slice,
    /// At which size.
    pub at: At,
    /// How pixels are kept.
    pub memory: Memory,
    /// How many of the worst frames are kept as pictures.
    pub worst: usize,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageFigures {
    /// Its name.
    pub name: String,
    /// True mean IoU over the classes in its labels.
    pub true_miou: f64,
    /// Predicted mean IoU.
    pub predicted_miou: f64,
    /// Failure score.
    pub failure: f32,
}

/// The figures of one bundle on one data set.
pub struct Evaluation {
    /// What was measured on.
    pub data: String,
    /// Its label set.
    pub labels: LabelSet,
    /// Labels against M's predictions, all images.
    pub confusion: Confusion,
    /// Share of wrong pixels among those that count.
    pub wrong: f64,
    /// Pixels that count.
    pub pixels: u64,
    /// Error detectors.
    pub errors: Vec<Scored>,
    /// IoU estimates of each detector that gives them.
    pub estimates: Vec<(String, Estimates)>,
    /// Each image.
    pub images: Vec<ImageFigures>,
    /// Frames with the lowest true mean IoU.
    pub worst: Vec<Frame>,
}

/// An evaluation under way.
struct Run<'a> {
    monitor: &'a Monitor,
    detectors: &'a [Boxed],
    options: &'a Options,
    onto: Onto,
    labels: LabelSet,
    confusion: Confusion,
    /// After the first image: which detectors judge pixels, and which the IoU.
    asked: Option<[Vec<bool>; 2]>,
    board: Scoreboard,
    estimates: Vec<(String, Estimates)>,
    images: Vec<ImageFigures>,
    worst: Worst,
}

impl Evaluation {
    /// Runs `monitor` and `detectors` on the data set in `folder`; `each` is called after each image, with
    /// their number. Where the data set has another label set than the bundle, predictions are mapped onto
    /// it, and pixels whose class, labelled or predicted, has no counterpart do not count.
    pub fn of(
        monitor: &Monitor,
        detectors: &[Boxed],
        folder: &Path,
        options: &Options,
        mut each: impl FnMut(usize),
    ) -> Result<Self, EvaluationError> {
        let (layout, pairs) = data::list(folder, &options.slice, false)?;
        let labels = LabelSet::by_name(layout.label_set())?;
        let raw = labels.raw_table();
        let mut run = Run {
            monitor,
            detectors,
            options,
            onto: Onto::new(monitor.labels(), &labels)?,
            confusion: Confusion::new(labels.len()),
            asked: None,
            board: Scoreboard::new([], options.memory),
            estimates: Vec::new(),
            images: Vec::new(),
            worst: Worst::keeping(options.worst),
            labels,
        };
        let count = pairs.pairs.len();
        for pair in pairs.pairs {
            run.add(data::load_pair(pair, None, &raw)?)?;
            let needs = run.board.needs(count);
            if options.memory == Memory::Exact && needs > MOST_MEMORY {
                return Err(EvaluationError::Memory { needs });
            }
            each(count);
        }
        let folder = folder.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy());
        Ok(Self {
            data: format!("{folder} {}", options.slice),
            wrong: run.board.positive_share(),
            pixels: run.board.pixels(),
            errors: run.board.scored()?,
            labels: run.labels,
            confusion: run.confusion,
            estimates: run.estimates,
            images: run.images,
            worst: run.worst.into_frames(),
        })
    }

    /// Median failure score.
    pub fn median_failure(&self) -> f32 {
        let mut sorted: Vec<f32> = self.images.iter().map(|image| image.failure).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f32::NAN)
    }

    /// How well the predicted mean IoU of an image follows the true one.
    pub fn miou_fit(&self) -> Result<Fit, MetricError> {
        let (predicted, truths): (Vec<f64>, Vec<f64>) =
            self.images.iter().map(|image| (image.predicted_miou, image.true_miou)).unzip();
        Fit::of(&predicted, &truths)
    }

    /// All tables: errors, image level, its classes, M's classes.
    pub fn tables(&self) -> Result<Vec<Table>, MetricError> {
        let names = ["error detector", "AP-Err", "AP-Suc", "FPR95-Suc"];
        let title = format!("Finding wrong pixels: {}", self.data);
        let mut tables = vec![scoreboard::table("errors", title, names, &self.errors), self.image_level()?];
        for (name, estimates) in &self.estimates {
            tables.push(self.classes(name, estimates)?);
        }
        Ok(tables)
    }

    fn image_level(&self) -> Result<Table, MetricError> {
        let mut rows = Vec::new();
        for (name, estimates) in &self.estimates {
            rows.push(fit_row(format!("IoU of a class: {name}"), &estimates.mean()?));
        }
        rows.push(fit_row("mean IoU of an image: SynthCP".to_owned(), &self.miou_fit()?));
        Ok(Table {
            name: "image_level",
            title: format!("Estimating the IoU of an image: {}", self.data),
            columns: FIT.into(),
            rows,
            notes: vec![
                "MAE and STD of the absolute error in points of IoU. Of a class: over the images where it is \
                 labelled, then the mean of the classes."
                    .to_owned(),
            ],
        })
    }

    fn classes(&self, name: &str, estimates: &Estimates) -> Result<Table, MetricError> {
        let columns = ["class", "images", "MAE", "STD", "Pearson", "Spearman", "M's IoU", "share of pixels"];
        let total = self.confusion.pixels().max(1) as f64;
        let fits = estimates.fits()?;
        let rows = self.labels.classes.iter().zip(fits).enumerate().map(|(id, (class, fit))| {
            let mut row = fit_row(class.name.clone(), &fit);
            row.push(Cell::Share(self.confusion.class_iou(id)));
            row.push(Cell::Share(Some(self.confusion.labelled(id) as f64 / total)));
            row
        });
        Ok(Table {
            name: "classes",
            title: format!("The IoU of each class, as {name} estimates it: {}", self.data),
            columns: columns.into(),
            rows: rows.collect(),
            notes: Vec::new(),
        })
    }
}

const FIT: [&str; 6] = ["estimate", "images", "MAE", "STD", "Pearson", "Spearman"];

fn fit_row(name: String, fit: &Fit) -> Vec<Cell> {
    vec![
        Cell::Text(name),
        Cell::Count(fit.images as u64),
        Cell::Share(fit.mae),
        Cell::Share(fit.std),
        Cell::Number(fit.pearson),
        Cell::Number(fit.spearman),
    ]
}

impl Run<'_> {
    fn add(&mut self, sample: Sample) -> Result<(), EvaluationError> {
        let networks = self.monitor.networks();
        let look = Look::at(networks, &sample.image)?;
        let judgements = self.judge(&look)?;
        let report = self.monitor.assess_look(&sample.image, &look, Wanted::default())?.report;
        let size = match self.options.at {
            At::Labels => sample.labels.dimensions(),
            At::Working => (networks.size().1 as u32, networks.size().0 as u32),
        };
        let ours = to_grey(&look.segmented.softmax.labels)?;
        let shares = shares(&ours, self.monitor.labels().len());
        let (predicted, truth) =
            self.onto.comparable(resize_labels(ours, size), resize_labels(sample.labels, size));
        let confusion = Confusion::of(predicted.as_raw(), truth.as_raw(), self.labels.len())?;
        let counted: Vec<usize> =
            (0..truth.as_raw().len()).filter(|&i| truth.as_raw()[i] != IGNORE).collect();
        let wrong: Vec<bool> = counted.iter().map(|&i| predicted.as_raw()[i] != truth.as_raw()[i]).collect();
        let mut scores = Vec::new();
        for error in judgements.iter().filter_map(|judgement| judgement.error.as_ref()) {
            let map = to_map(error, size)?;
            scores.push(counted.iter().map(|&i| map.data[i]).collect());
        }
        self.board.add(&scores, &wrong)?;
        let ious = judgements.iter().filter_map(|judgement| judgement.iou.as_ref());
        for ((_, estimates), iou) in self.estimates.iter_mut().zip(ious) {
            let iou = Vec::<f32>::try_from(iou.to_kind(tch::Kind::Float).flatten(0, -1))?;
            for class in (0..self.labels.len()).filter(|&class| confusion.labelled(class) > 0) {
                if let (Some(truth), Some(estimate)) =
                    (confusion.class_iou(class), self.onto.estimate(class, &iou, &shares))
                {
                    estimates.add(class, estimate, truth);
                }
            }
        }
        let figures = ImageFigures {
            name: sample.name,
            true_miou: mean_iou_in_view(&confusion),
            predicted_miou: f64::from(report.predicted_miou),
            failure: report.failure_score,
        };
        let error = judgements.iter().find_map(|judgement| judgement.error.as_ref());
        self.worst.offer(figures.true_miou, || {
            let caption = format!(
                "{}: true mIoU {:.1} %, predicted {:.1} %, failure score {:.2}",
                figures.name,
                100. * figures.true_miou,
                100. * figures.predicted_miou,
                figures.failure
            );
            Frame::of_errors(caption, &sample.image, &self.labels, [&truth, &predicted], &look.synth, error)
        })?;
        self.confusion.merge(&confusion)?;
        self.images.push(figures);
        Ok(())
    }

    /// What each detector says that says something of errors; whoever is silent on the first image is
    /// not asked again.
    fn judge(&mut self, look: &Look) -> Result<Vec<Judgement>, EvaluationError> {
        let seen = look.seen();
        let mut judgements = Vec::new();
        for (place, detector) in self.detectors.iter().enumerate() {
            let silent = self.asked.as_ref().is_some_and(|[pixels, ious]| !pixels[place] && !ious[place]);
            judgements.push(match silent {
                true => Judgement::default(),
                false => tch::no_grad(|| detector.judge(&seen))?,
            });
        }
        if self.asked.is_none() {
            let says = |of: fn(&Judgement) -> &Option<Tensor>| -> Vec<bool> {
                judgements.iter().map(|judgement| of(judgement).is_some()).collect()
            };
            let asked = [says(|judgement| &judgement.error), says(|judgement| &judgement.iou)];
            let named = |says: &[bool]| -> Vec<&Boxed> {
                self.detectors.iter().zip(says).filter(|(_, says)| **says).map(|(d, _)| d).collect()
            };
            let pixels = named(&asked[0]).into_iter().map(|d| (d.name().to_owned(), d.is_probability()));
            self.board = Scoreboard::new(pixels, self.options.memory);
            let none = || Estimates::new(self.labels.len());
            self.estimates = named(&asked[1]).into_iter().map(|d| (d.name().to_owned(), none())).collect();
            self.asked = Some(asked);
        }
        Ok(judgements)
    }
}

/// From the bundle's classes to the data set's.
struct Onto {
    table: [u8; 256],
    /// The bundle's classes that each of the data set's covers.
    sources: Vec<Vec<usize>>,
}

impl Onto {
    fn new(ours: &LabelSet, theirs: &LabelSet) -> Result<Self, LabelError> {
        let table = ours.map_onto(theirs)?;
        let mut sources = vec![Vec::new(); theirs.len()];
        for id in 0..ours.len() {
            if let Some(sources) = sources.get_mut(usize::from(table[id])) {
                sources.push(id);
            }
        }
        Ok(Self { table, sources })
    }

    /// Predictions in the data set's classes; truth is ignored where either has no counterpart.
    fn comparable(&self, mut predicted: GrayImage, mut truth: GrayImage) -> (GrayImage, GrayImage) {
        apply_table(&mut predicted, &self.table);
        for (predicted, truth) in predicted.iter_mut().zip(truth.iter_mut()) {
            let reachable = self.sources.get(usize::from(*truth)).is_some_and(|s| !s.is_empty());
            if *predicted == IGNORE || !reachable {
                (*predicted, *truth) = (0, IGNORE);
            }
        }
        (predicted, truth)
    }

    /// The estimate for one of the data set's classes, in \[0, 1\]. Where it covers several of the
    /// bundle's, their mean by what was predicted of each; 0 if nothing was.
    fn estimate(&self, class: usize, iou: &[f32], shares: &[f64]) -> Option<f64> {
        let sources = self.sources.get(class).filter(|sources| !sources.is_empty())?;
        let of = |id: usize| f64::from(iou[id]).clamp(0., 1.);
        if let [only] = sources.as_slice() {
            return Some(of(*only));
        }
        let total: f64 = sources.iter().map(|&id| shares[id]).sum();
        let sum: f64 = sources.iter().map(|&id| shares[id] * of(id)).sum();
        Some(if total > 0. { sum / total } else { 0. })
    }
}

/// Share of each class among the pixels.
fn shares(labels: &GrayImage, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.; classes];
    for &id in labels.as_raw() {
        if let Some(count) = counts.get_mut(usize::from(id)) {
            *count += 1.;
        }
    }
    let total = labels.as_raw().len().max(1) as f64;
    counts.iter().map(|count| count / total).collect()
}

/// Over the classes in the labels; 0 without any.
fn mean_iou_in_view(confusion: &Confusion) -> f64 {
    let present: Vec<f64> = (0..confusion.classes())
        .filter(|&class| confusion.labelled(class) > 0)
        .filter_map(|class| confusion.class_iou(class))
        .collect();
    present.iter().sum::<f64>() / present.len().max(1) as f64
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = |v: Option<f64>| v.map_or("n/a".into(), |v| format!("{:.1}", 100. * v));
        writeln!(f, "## {}: {} images", self.data, self.images.len())?;
        writeln!(
            f,
            "M: mIoU {} %, pixel accuracy {} %; {} pixels counted, {:.2} % wrong",
            percent(self.confusion.mean_iou()),
            percent(self.confusion.accuracy()),
            self.pixels,
            100. * self.wrong
        )?;
        // One table a page of figures; the classes are for files.
        let tables = self.tables().map_err(|_| fmt::Error)?;
        for table in tables.iter().filter(|table| table.name != "classes") {
            write!(f, "\n{}", table.markdown())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onto(theirs: &str) -> (Onto, LabelSet, LabelSet) {
        let [ours, theirs] = ["cityscapes", theirs].map(|name| LabelSet::by_name(name).unwrap());
        (Onto::new(&ours, &theirs).unwrap(), ours, theirs)
    }

    #[test]
    fn classes_without_counterpart_do_not_count() {
        let (onto, ours, theirs) = onto("streethazards");
        let row = |ids: [u8; 3]| GrayImage::from_raw(3, 1, ids.to_vec()).unwrap();
        let id = |set: &LabelSet, name| set.id(name).unwrap();
        let road = id(&ours, "road");
        let truth = row([id(&theirs, "road"), id(&theirs, "road line"), IGNORE]);
        let (predicted, truth) = onto.comparable(row([road; 3]), truth);
        assert_eq!(truth.as_raw(), &[id(&theirs, "road"), IGNORE, IGNORE]);
        assert_eq!(predicted.as_raw()[0], id(&theirs, "road"));
    }

    #[test]
    fn an_estimate_of_several_classes_is_their_mean_by_share() {
        let (onto, ours, theirs) = onto("camvid");
        let car = usize::from(theirs.id("car").unwrap());
        let (mut iou, mut shares) = (vec![0.; ours.len()], vec![0.; ours.len()]);
        assert_eq!(onto.estimate(car, &iou, &shares), Some(0.));
        for (name, estimate, share) in [("car", 0.8, 0.03), ("truck", 0.2, 0.01)] {
            let id = usize::from(ours.id(name).unwrap());
            (iou[id], shares[id]) = (estimate, share);
        }
        let estimate = onto.estimate(car, &iou, &shares).unwrap();
        assert!((estimate - 0.65).abs() < 1e-6, "{estimate}");
        let sky = usize::from(theirs.id("sky").unwrap());
        iou[usize::from(ours.id("sky").unwrap())] = 1.5;
        assert_eq!(onto.estimate(sky, &iou, &shares), Some(1.));
    }
}
