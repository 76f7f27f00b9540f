//! Anomaly scores measured on images whose anomaly objects are marked.

use std::fmt;

use image::GrayImage;
use serde::Serialize;
use tch::Kind;

use super::error::{EvaluationError, MOST_MEMORY};
use super::frames::{FramePanels, Worst};
use super::scoreboard::{self, Memory, Scoreboard, Scored};
use super::table::{Cell, Column, Table};
use crate::data::Sample;
use crate::data::anomaly::{AnomalySample, truth};
use crate::labels::{IGNORE, resize_labels};
use crate::metric::component::{ComponentFigures, Components, Least};
use crate::metric::histogram::Histogram;
use crate::metric::ranking::Ranking;
use crate::model::inference::Inference;
use crate::model::networks::Networks;
use crate::monitor::assessment::ScoreMap;
use crate::monitor::pictures::{threshold, to_map};
use crate::network::layers::resize_bilinear;
use crate::score::catalogue::Boxed;
use crate::train::calibration::ORDINARY;

/// Scores of the pixels that count, of all images.
pub struct AnomalyEvaluation<'a> {
    detectors: &'a [Boxed],
    /// Limits from calibration; none without one.
    limits: Vec<Option<f32>>,
    memory: Memory,
    /// After the first image: the detectors that give an anomaly score.
    asked: Option<Vec<usize>>,
    board: Scoreboard,
    components: Vec<Components>,
    worst: Worst,
}

/// All figures of a detector.
#[derive(Clone, Debug, Serialize)]
pub struct AnomalyScored {
    /// At pixel level.
    pub pixels: Scored,
    /// At object level, where calibration set a limit.
    pub components: Option<ComponentFigures>,
}

impl<'a> AnomalyEvaluation<'a> {
    /// Nothing scored yet. `limits` are scores, one per detector, from which a pixel counts as anomalous.
    /// They must be set on other images than these. The `worst` frames are kept as images.
    pub fn new(detectors: &'a [Boxed], limits: Vec<Option<f32>>, memory: Memory, worst: usize) -> Self {
        Self {
            detectors,
            limits,
            memory,
            asked: None,
            board: Scoreboard::new([], memory),
            components: Vec::new(),
            worst: Worst::keeping(worst),
        }
    }

    /// Scores one image, at its own size.
    pub fn add(&mut self, networks: &Networks, sample: &AnomalySample) -> Result<(), EvaluationError> {
        let inference = Inference::of_image(networks, &sample.image)?;
        let asked = self.asked.clone().unwrap_or_else(|| (0..self.detectors.len()).collect());
        let mut spoke = Vec::new();
        for place in asked {
            if let Some(score) = tch::no_grad(|| self.detectors[place].detect(&inference))?.anomaly {
                spoke.push((place, score));
            }
        }
        if self.asked.is_none() {
            let names = spoke.iter().map(|(place, _)| (self.detectors[*place].name().to_owned(), false));
            self.board = Scoreboard::new(names, self.memory);
            self.components = vec![Components::default(); spoke.len()];
            self.asked = Some(spoke.iter().map(|(place, _)| *place).collect());
        }
        let maps: Vec<ScoreMap> = spoke
            .iter()
            .map(|(_, score)| to_map(score, sample.truth.dimensions()))
            .collect::<Result<_, _>>()?;
        let scores: Vec<Vec<f32>> = maps.iter().map(|map| counted(map, &sample.truth)).collect();
        let marks = sample.truth.as_raw().iter().filter(|&&mark| mark != truth::IGNORED);
        let anomalous: Vec<bool> = marks.map(|&mark| mark == truth::ANOMALY).collect();
        self.board.add(&scores, &anomalous)?;
        for ((components, map), (place, _)) in self.components.iter_mut().zip(&maps).zip(&spoke) {
            if let Some(limit) = self.limits.get(*place).copied().flatten() {
                components.add(&threshold(map, limit), &sample.truth, Least::ANOMALY_TRACK)?;
            }
        }
        let first = scores.first().map(|scores| Ranking::new(scores, &anomalous)).transpose()?;
        let precision = first.as_ref().and_then(Ranking::average_precision);
        if let (Some(precision), Some((place, score))) = (precision, spoke.first()) {
            self.worst.offer(precision, || {
                let detector = self.detectors[*place].name();
                let caption = format!("{}: AP {:.1} % of {detector}", sample.name, 100. * precision);
                FramePanels::of_anomalies(
                    caption,
                    &sample.image,
                    &sample.truth,
                    inference.synthesized(),
                    score,
                )
            })?;
        }
        Ok(())
    }

    /// Whether `images` images like those so far fit in memory.
    pub fn check(&self, images: usize) -> Result<(), EvaluationError> {
        let needs = self.board.needs(images);
        match self.memory == Memory::Exact && needs > MOST_MEMORY {
            true => Err(EvaluationError::Memory { needs }),
            false => Ok(()),
        }
    }

    /// The figures, in the order of the detectors.
    pub fn scored(&self) -> Result<Vec<AnomalyScored>, EvaluationError> {
        let asked = self.asked.as_deref().unwrap_or_default();
        let limited = |place: usize| self.limits.get(place).is_some_and(Option::is_some);
        let of_objects = asked.iter().zip(&self.components);
        let of_objects = of_objects.map(|(place, components)| limited(*place).then(|| components.figures()));
        let of_pixels = self.board.scored()?.into_iter();
        Ok(of_pixels
            .zip(of_objects)
            .map(|(pixels, components)| AnomalyScored { pixels, components })
            .collect())
    }

    /// Images so far.
    pub fn images(&self) -> usize {
        self.board.images() as usize
    }

    /// Share of the counted pixels that are anomalous.
    pub fn anomalous_share(&self) -> f64 {
        self.board.positive_share()
    }

    /// Images on which the first detector did worst.
    pub(crate) fn into_worst(self) -> Vec<FramePanels> {
        self.worst.into_frames()
    }
}

/// For each detector the score that at most `ORDINARY` of the labelled pixels of ordinary images reach, as the
/// bundle's own is calibrated; `None` if it gives no anomaly score.
pub fn limits(
    networks: &Networks,
    detectors: &[Boxed],
    samples: &[Sample],
) -> Result<Vec<Option<f32>>, EvaluationError> {
    let mut histograms: Vec<Option<Histogram>> = vec![None; detectors.len()];
    let (height, width) = networks.size();
    for sample in samples {
        let inference = Inference::of_image(networks, &sample.image)?;
        let labels = resize_labels(sample.labels.clone(), (width as u32, height as u32));
        for (detector, histogram) in detectors.iter().zip(&mut histograms) {
            if let Some(score) = tch::no_grad(|| detector.detect(&inference))?.anomaly {
                let score = resize_bilinear(&score.to_kind(Kind::Float), (height, width), false);
                let scores = Vec::<f32>::try_from(score.flatten(0, -1))?;
                // What is unlabelled may well be unknown.
                let labelled = scores.iter().zip(labels.as_raw()).filter(|&(_, &id)| id != IGNORE);
                let scores: Vec<f32> = labelled.map(|(&score, _)| score).collect();
                histogram.get_or_insert_default().add(&scores, &vec![false; scores.len()])?;
            }
        }
    }
    Ok(histograms.iter().map(|histogram| Some(histogram.as_ref()?.threshold(ORDINARY))).collect())
}

fn counted(map: &ScoreMap, marks: &GrayImage) -> Vec<f32> {
    let pixels = map.data.iter().zip(marks.as_raw());
    pixels.filter(|&(_, &mark)| mark != truth::IGNORED).map(|(&score, _)| score).collect()
}

/// The figures as tables: of pixels, and of objects if there are any.
pub fn tables(data: &str, scored: &[AnomalyScored]) -> Vec<Table> {
    let names = ["anomaly score", "AP", "AP ordinary", "FPR95 ordinary"];
    let pixels: Vec<Scored> = scored.iter().map(|scored| scored.pixels.clone()).collect();
    let title = format!("Finding anomalous pixels: {data}");
    let of_pixels = scoreboard::table("anomalies", title, names, &pixels);
    let rows: Vec<Vec<Cell>> = scored
        .iter()
        .filter_map(|scored| Some((scored.pixels.name.clone(), scored.components?)))
        .map(|(name, c)| {
            let shares = [c.siou, c.ppv, c.f1].map(Cell::Share);
            let counts = [Cell::Count(c.objects), Cell::Count(c.predicted)];
            std::iter::once(Cell::Text(name)).chain(shares).chain(counts).collect()
        })
        .collect();
    let Least { predicted, truth } = Least::ANOMALY_TRACK;
    let of_objects = Table {
        name: "components",
        title: format!("Finding anomaly objects: {data}"),
        columns: vec![
            Column::plain("anomaly score"),
            Column::up("sIoU"),
            Column::up("PPV"),
            Column::up("F1*"),
            Column::plain("things"),
            Column::plain("predicted"),
        ],
        notes: vec![format!(
            "As SegmentMeIfYouCan: components of at least {predicted} pixels predicted and {truth} labelled; the limit \
             of the score is from calibration, not from these images."
        )],
        rows,
    };
    let some = !of_objects.rows.is_empty();
    std::iter::once(of_pixels).chain(some.then_some(of_objects)).collect()
}

/// The figures of pixels as a table for a terminal.
pub(crate) struct AnomalyTable<'a>(pub &'a [AnomalyScored]);

impl fmt::Display for AnomalyTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let tables: Vec<String> = tables("", self.0).iter().map(Table::markdown).collect();
        f.write_str(&tables.join("\n"))
    }
}
