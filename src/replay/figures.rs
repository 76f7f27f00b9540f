//! The figures of `synthcp evaluate`, of the frames of a replay that have labels.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::ReplayError;
use crate::data::Sample;
use crate::evaluate::evaluation::{Evaluating, Evaluation, Measured, Options};
use crate::frame::Frame;
use crate::labels::LabelSet;
use crate::metric::pixel::TwoSided;
use crate::model::inference::Inference;
use crate::monitor::assessment::Report;
use crate::score::catalogue::Boxed;

/// What is measured where there are labels.
pub struct Measures {
    /// Detectors of errors.
    pub detectors: Vec<Boxed>,
    /// What each is called on a command line, whatever the bundle calls its own.
    pub ids: Vec<String>,
    /// At which size, and how pixels are kept.
    pub options: Options,
}

impl Measures {
    /// What decides on the figures, in words.
    pub(super) fn description(&self) -> String {
        let names: Vec<_> = self.detectors.iter().map(|detector| detector.name()).collect();
        let Options { at, memory, .. } = &self.options;
        format!("{} at {at:?}, {memory:?}", names.join(", "))
    }

    /// The detectors' names in figures, by what each is called on a command line.
    pub(super) fn named(&self) -> BTreeMap<&str, &str> {
        let names = self.detectors.iter().map(|detector| detector.name());
        self.ids.iter().map(String::as_str).zip(names).collect()
    }
}

/// How the frames of a replay and labels met.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Matches {
    /// Frames that were measured.
    pub frames: u64,
    /// Frames that were assessed and have no label.
    pub without_label: u64,
    /// Labels of frames that were not assessed by the whole method: dropped, unreadable, DEGRADED, failed, or
    /// between those that were due.
    pub not_assessed: u64,
    /// Labels that are of no frame.
    pub without_frame: u64,
}

/// Figures under way, and the file of single frames.
pub(super) struct Figures {
    evaluating: Evaluating,
    detectors: Vec<Boxed>,
    lines: BufWriter<File>,
    /// What was counted.
    pub matches: Matches,
}

/// The figures of one frame.
#[derive(Serialize)]
struct Line<'a> {
    time: i64,
    recording: usize,
    true_miou: f64,
    predicted_miou: f64,
    failure_score: f32,
    pixels: u64,
    wrong: u64,
    /// Of every class: pixels in label and prediction, and in either.
    classes: Vec<[u64; 2]>,
    errors: Vec<(&'a str, TwoSided)>,
}

impl Figures {
    pub(super) fn create(
        path: &Path,
        measures: Measures,
        ours: &LabelSet,
        labels: LabelSet,
    ) -> Result<Self, ReplayError> {
        let evaluating = Evaluating::new(ours, labels, &measures.options)?;
        let lines = BufWriter::new(File::create(path)?);
        Ok(Self { evaluating, detectors: measures.detectors, lines, matches: Matches::default() })
    }

    /// Adds a frame recorded at `time` with its labels.
    pub(super) fn add(
        &mut self,
        (recording, time): (usize, i64),
        frame: &Frame,
        labels: image::GrayImage,
        inference: &Inference,
        report: &Report,
    ) -> Result<(), ReplayError> {
        let detections = self.evaluating.detect(&self.detectors, inference)?;
        let name = time.to_string();
        let place = PathBuf::from(&name);
        let sample = Sample { name, image: frame.image.clone(), labels };
        let measured = self.evaluating.add((sample, &place), inference, &detections, report)?;
        self.evaluating.fits(self.evaluating.images())?;
        self.matches.frames += 1;
        let Measured { figures, confusion, errors } = &measured;
        let classes = (0..confusion.classes()).map(|class| {
            let both = confusion.count(class, class);
            [both, confusion.labelled(class) + confusion.predicted(class) - both]
        });
        let right: u64 = (0..confusion.classes()).map(|class| confusion.count(class, class)).sum();
        let line = Line {
            time,
            recording,
            true_miou: figures.true_miou,
            predicted_miou: figures.predicted_miou,
            failure_score: figures.failure,
            pixels: confusion.pixels(),
            wrong: confusion.pixels() - right,
            classes: classes.collect(),
            errors: errors.iter().map(|(name, figures)| (name.as_str(), *figures)).collect(),
        };
        serde_json::to_writer(&mut self.lines, &line).map_err(std::io::Error::from)?;
        Ok(self.lines.write_all(b"\n")?)
    }

    /// Closes the file. `None` where no frame was measured.
    pub(super) fn finish(mut self) -> Result<(Matches, Option<Evaluation>), ReplayError> {
        self.lines.flush()?;
        let measured = self.matches.frames > 0;
        let evaluation = measured.then(|| self.evaluating.finish("the replayed frames".to_owned()));
        Ok((self.matches, evaluation.transpose()?))
    }
}

/// The figures for summary.json.
pub(super) fn summed(evaluation: &Evaluation) -> Result<Json, ReplayError> {
    let classes = evaluation.labels.classes.iter().enumerate();
    let fit = evaluation.miou_fit()?;
    Ok(json!({
        "miou": evaluation.confusion.mean_iou(),
        "accuracy": evaluation.confusion.accuracy(),
        "pixels": evaluation.pixels,
        "wrong": evaluation.wrong,
        "classes": classes
            .map(|(id, class)| json!({ "name": class.name, "iou": evaluation.confusion.class_iou(id) }))
            .collect::<Vec<_>>(),
        "errors": evaluation.errors,
        "predicted_miou": { "images": fit.images, "mae": fit.mae, "std": fit.std, "pearson": fit.pearson,
            "spearman": fit.spearman },
    }))
}
