//! A bundle measured on labelled images: how good the segmenter M is, and how well the monitor, and
//! every other detector, finds its errors.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use tch::Tensor;

use super::bravo::{Bravo, Submission};
use super::class_map::{ClassMap, shares};
use super::error::{EvaluationError, MOST_MEMORY};
use super::frames::{FramePanels, Worst};
use super::given::at_size;
use super::mean_iou::MeanIou;
use super::orderings::Orderings;
use super::scoreboard::{self, Memory, Scoreboard, Scored};
use super::table::{Cell, Column, Table};
use crate::data::given::GivenAt;
use crate::data::{Reading, Sample, Slice, Source};
use crate::labels::{IGNORE, LabelSet, resize_labels};
use crate::metric::MetricError;
use crate::metric::estimate::{Estimates, Fit};
use crate::metric::pixel::TwoSided;
use crate::metric::segmentation::Confusion;
use crate::model::inference::Inference;
use crate::monitor::assessment::{Report, Wanted};
use crate::monitor::pictures::{to_grey, to_map};
use crate::monitor::pipeline::Monitor;
use crate::score::catalogue::Boxed;
use crate::score::detector::Detection;

/// The size at which pixels are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// That of the labels: predictions are enlarged.
    #[default]
    Labels,
    /// The networks' working size: labels are reduced, as in the paper.
    Working,
}

/// Text that is not a size.
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

/// What to measure, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which samples.
    pub slice: Slice,
    /// How their labels are read.
    pub reading: Reading,
    /// The labels that are assessed, where they are not M's.
    pub given: Option<GivenAt>,
    /// At which size.
    pub at: At,
    /// How pixels are kept.
    pub memory: Memory,
    /// How many of the worst frames are kept as images.
    pub worst: usize,
    /// Folder for images as the BRAVO challenge takes them.
    pub bravo: Option<PathBuf>,
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
    /// The data set and slice.
    pub data: String,
    /// Its label set.
    pub labels: LabelSet,
    /// Labels against M's predictions, all images.
    pub confusion: Confusion,
    /// Share of wrong pixels among those that count.
    pub wrong: f64,
    /// Pixels that count.
    pub pixels: u64,
    /// Labelled pixels that another segmenter, whose labels are assessed, gave no class.
    pub unlabelled: u64,
    /// Error detectors.
    pub errors: Vec<Scored>,
    /// IoU estimates of each detector that gives them.
    pub estimates: Vec<(String, Estimates)>,
    /// Each image.
    pub images: Vec<ImageFigures>,
    /// Scores of images.
    orderings: Orderings,
    mean_iou: MeanIou,
    bravo: Option<Bravo>,
    /// Frames with the lowest true mean IoU.
    pub worst: Vec<FramePanels>,
}

/// What is measured on one image.
pub(crate) struct Measured {
    /// Its figures.
    pub figures: ImageFigures,
    /// Labels against M's predictions.
    pub confusion: Confusion,
    /// The figures of each detector.
    pub errors: Vec<(String, TwoSided)>,
}

/// An evaluation under way, whoever brings the images.
pub(crate) struct Evaluating {
    ours: usize,
    at: At,
    memory: Memory,
    class_map: ClassMap,
    labels: LabelSet,
    confusion: Confusion,
    /// After the first image: which detectors score pixels, and which estimate the IoU.
    asked: Option<[Vec<bool>; 2]>,
    unlabelled: u64,
    board: Scoreboard,
    estimates: Vec<(String, Estimates)>,
    images: Vec<ImageFigures>,
    orderings: Orderings,
    mean_iou: MeanIou,
    bravo: Option<Bravo>,
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
        let source = Source::open(folder, &options.slice, false, &options.reading)?;
        let mut run = Evaluating::new(monitor.labels(), source.labels.clone(), options)?;
        let at = options.given.as_ref();
        let given = at.map(|at| at.open(folder, &source.pairs.pairs, monitor.labels())).transpose()?;
        let networks = monitor.networks();
        let count = source.pairs.pairs.len();
        for (place, pair) in source.pairs.pairs.iter().enumerate() {
            let sample = source.load(pair, None)?;
            let name = pair.image.strip_prefix(folder).unwrap_or(&pair.image).with_extension("");
            let inference = Inference::of_image(networks, &sample.image)?;
            let inference = match &given {
                Some(given) => inference.with_given_labels(at_size(
                    &given.read(place)?,
                    networks.size(),
                    networks.device(),
                )),
                None => inference,
            };
            let detections = run.detect(detectors, &inference)?;
            let report = monitor.assess_inference(&sample.image, &inference, Wanted::default())?.report;
            run.add((sample, &name), &inference, &detections, &report)?;
            run.fits(count)?;
            each(count);
        }
        let folder = folder.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy());
        let judged = at.map_or(String::new(), |at| format!(", labels of {}", at.name()));
        run.finish(format!("{folder} {}{judged}", options.slice))
    }

    /// Median failure score.
    pub fn median_failure(&self) -> f32 {
        let mut sorted: Vec<f32> = self.images.iter().map(|image| image.failure).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f32::NAN)
    }

    /// How well the predicted mean IoU of an image follows the true one.
    pub(crate) fn miou_fit(&self) -> Result<Fit, MetricError> {
        let (predicted, truths): (Vec<f64>, Vec<f64>) =
            self.images.iter().map(|image| (image.predicted_miou, image.true_miou)).unzip();
        Fit::of(&predicted, &truths)
    }

    /// All tables: errors, image level, its classes, M's classes.
    pub fn tables(&self) -> Result<Vec<Table>, MetricError> {
        let names = ["error detector", "AP-Err", "AP-Suc", "FPR95-Suc"];
        let title = format!("Finding wrong pixels: {}", self.data);
        let mut errors = scoreboard::table("errors", title, names, &self.errors);
        errors.columns.extend(["AURC", "E-AURC"].map(Column::down));
        for (row, scored) in errors.rows.iter_mut().zip(&self.errors) {
            let risk = scored.risk;
            row.extend([Cell::Share(risk.map(|risk| risk.area)), Cell::Share(risk.map(|risk| risk.excess))]);
        }
        let mut tables = vec![errors, self.image_level()?, self.orderings.table(&self.data)?];
        tables.extend(self.bravo.as_ref().map(|bravo| bravo.table(&self.data, self.confusion.mean_iou())));
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
        for (name, fit) in self.mean_iou.fits()? {
            rows.push(fit_row(name, &fit));
        }
        Ok(Table {
            name: "image_level",
            title: format!("Estimating the IoU of an image: {}", self.data),
            columns: FIT.map(Column::plain).into(),
            rows,
            notes: vec![
                "MAE and STD of the absolute error in points of IoU. Of a class: over the images where it is \
                 labelled, then the mean of the classes."
                    .to_owned(),
            ],
        })
    }

    fn classes(&self, name: &str, estimates: &Estimates) -> Result<Table, MetricError> {
        let names = ["class", "images", "MAE", "STD", "Pearson", "Spearman", "M's IoU", "share of pixels"];
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
            columns: names.map(Column::plain).into(),
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

impl Evaluating {
    /// Nothing measured yet of a bundle with label set `ours`, against labels of another.
    pub(crate) fn new(ours: &LabelSet, labels: LabelSet, options: &Options) -> Result<Self, EvaluationError> {
        Ok(Self {
            ours: ours.len(),
            at: options.at,
            memory: options.memory,
            class_map: ClassMap::new(ours, &labels)?,
            confusion: Confusion::new(labels.len()),
            asked: None,
            unlabelled: 0,
            board: Scoreboard::new([], options.memory),
            estimates: Vec::new(),
            images: Vec::new(),
            orderings: Orderings::default(),
            mean_iou: MeanIou::default(),
            bravo: options.bravo.as_deref().map(Bravo::new),
            worst: Worst::keeping(options.worst),
            labels,
        })
    }

    /// Whether exact figures of `count` images like those so far take no more memory than they may.
    pub(crate) fn fits(&self, count: usize) -> Result<(), EvaluationError> {
        let needs = self.board.needs(count);
        match self.memory == Memory::Exact && needs > MOST_MEMORY {
            true => Err(EvaluationError::Memory { needs }),
            false => Ok(()),
        }
    }

    /// Images so far.
    pub(crate) fn images(&self) -> usize {
        self.images.len()
    }

    /// Adds an image with labels and its place in the data set, without its ending: M's inference on it, what the
    /// detectors make of it, and its report.
    pub(crate) fn add(
        &mut self,
        (sample, place): (Sample, &Path),
        inference: &Inference,
        detections: &[Detection],
        report: &Report,
    ) -> Result<Measured, EvaluationError> {
        let ours = to_grey(inference.labels())?;
        let size = match self.at {
            At::Labels => sample.labels.dimensions(),
            At::Working => ours.dimensions(),
        };
        if let Some(bravo) = &self.bravo {
            let size = sample.image.dimensions();
            let error = to_map(&inference.error()?, size)?;
            let labels = resize_labels(ours.clone(), size);
            bravo.write(&Submission { name: place, labels: &labels, error: &error })?;
        }
        let shares = shares(&ours, self.ours);
        let (ours, labels) = (resize_labels(ours, size), resize_labels(sample.labels, size));
        let is_lacking = |(ours, truth): (&u8, &u8)| usize::from(*ours) >= self.ours && *truth != IGNORE;
        self.unlabelled += ours.iter().zip(labels.iter()).filter(|&pair| is_lacking(pair)).count() as u64;
        let (predicted, truth) = self.class_map.comparable(ours, labels);
        let confusion = Confusion::of(predicted.as_raw(), truth.as_raw(), self.labels.len())?;
        let counted: Vec<usize> =
            (0..truth.as_raw().len()).filter(|&i| truth.as_raw()[i] != IGNORE).collect();
        let wrong: Vec<bool> = counted.iter().map(|&i| predicted.as_raw()[i] != truth.as_raw()[i]).collect();
        let mut scores = Vec::new();
        for error in detections.iter().filter_map(|detection| detection.error.as_ref()) {
            let map = to_map(error, size)?;
            scores.push(counted.iter().map(|&i| map.data[i]).collect());
        }
        let errors = self.board.add(&scores, &wrong)?;
        let ious = detections.iter().filter_map(|detection| detection.iou.as_ref());
        for ((_, estimates), iou) in self.estimates.iter_mut().zip(ious) {
            let iou = Vec::<f32>::try_from(iou.to_kind(tch::Kind::Float).flatten(0, -1))?;
            for class in (0..self.labels.len()).filter(|&class| confusion.labelled(class) > 0) {
                if let (Some(truth), Some(estimate)) =
                    (confusion.class_iou(class), self.class_map.estimate(class, &iou, &shares))
                {
                    estimates.add(class, estimate, truth);
                }
            }
        }
        let figures = ImageFigures {
            name: sample.name,
            true_miou: confusion.mean_iou_in_view().unwrap_or(0.),
            predicted_miou: f64::from(report.predicted_miou),
            failure: report.failure_score,
        };
        let errors_of_bundle = to_map(&inference.error()?, size)?;
        if let Some(bravo) = &mut self.bravo {
            bravo.count(counted.iter().map(|&i| errors_of_bundle.data[i]), &wrong);
        }
        self.orderings.add(report, &errors_of_bundle, figures.true_miou)?;
        self.mean_iou.add((report, &shares), &self.class_map, &confusion, figures.true_miou);
        let error = detections.iter().find_map(|detection| detection.error.as_ref());
        self.worst.offer(figures.true_miou, || {
            let caption = format!(
                "{}: true mIoU {:.1} %, predicted {:.1} %, failure score {:.2}",
                figures.name,
                100. * figures.true_miou,
                100. * figures.predicted_miou,
                figures.failure
            );
            FramePanels::of_errors(
                caption,
                &sample.image,
                &self.labels,
                [&truth, &predicted],
                inference.synthesized(),
                error,
            )
        })?;
        self.confusion.merge(&confusion)?;
        self.images.push(figures.clone());
        Ok(Measured { figures, confusion, errors })
    }

    /// The figures of all images, under the name `data`.
    pub(crate) fn finish(self, data: String) -> Result<Evaluation, EvaluationError> {
        Ok(Evaluation {
            data,
            wrong: self.board.positive_share(),
            pixels: self.board.pixels(),
            unlabelled: self.unlabelled,
            errors: self.board.scored()?,
            labels: self.labels,
            confusion: self.confusion,
            estimates: self.estimates,
            images: self.images,
            orderings: self.orderings,
            mean_iou: self.mean_iou,
            bravo: self.bravo,
            worst: self.worst.into_frames(),
        })
    }

    /// The detections of the detectors that score errors or estimate IoUs. A detector that gives neither on
    /// the first image is not run again.
    pub(crate) fn detect(
        &mut self,
        detectors: &[Boxed],
        inference: &Inference,
    ) -> Result<Vec<Detection>, EvaluationError> {
        let mut detections = Vec::new();
        for (place, detector) in detectors.iter().enumerate() {
            let silent = self.asked.as_ref().is_some_and(|[pixels, ious]| !pixels[place] && !ious[place]);
            detections.push(match silent {
                true => Detection::default(),
                false => tch::no_grad(|| detector.detect(inference))?,
            });
        }
        if self.asked.is_none() {
            let says = |of: fn(&Detection) -> &Option<Tensor>| -> Vec<bool> {
                detections.iter().map(|detection| of(detection).is_some()).collect()
            };
            let asked = [says(|detection| &detection.error), says(|detection| &detection.iou)];
            let named = |says: &[bool]| -> Vec<&Boxed> {
                detectors.iter().zip(says).filter(|(_, says)| **says).map(|(d, _)| d).collect()
            };
            let pixels = named(&asked[0]).into_iter().map(|d| (d.name().to_owned(), d.is_probability()));
            self.board = Scoreboard::new(pixels, self.memory);
            let none = || Estimates::new(self.labels.len());
            self.estimates = named(&asked[1]).into_iter().map(|d| (d.name().to_owned(), none())).collect();
            self.asked = Some(asked);
        }
        Ok(detections)
    }
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
        if self.unlabelled > 0 {
            writeln!(f, "{} labelled pixels have no class in the labels that are assessed", self.unlabelled)?;
        }
        // The tables of classes are for files.
        let tables = self.tables().map_err(|_| fmt::Error)?;
        for table in tables.iter().filter(|table| table.name != "classes") {
            write!(f, "\n{}", table.markdown())?;
        }
        Ok(())
    }
}
