//! Anomaly scores measured on images whose unknown things are marked.

use std::fmt;

use image::GrayImage;
use tch::Tensor;

use super::evaluation::{Detector, EvaluationError};
use crate::data::anomaly::{AnomalySample, truth};
use crate::monitor::networks::{Networks, Segmentation};
use crate::monitor::pictures::to_map;
use crate::score::{cosine, logits};

/// A score from M's logits.
type LogitScore = fn(&Tensor) -> Tensor;

const FROM_LOGITS: [(&str, LogitScore); 4] = [
    ("MSP", logits::msp),
    ("max logit", logits::max_logit),
    ("energy", logits::energy),
    ("entropy", logits::entropy),
];

/// Scores of the pixels that count, of all images pooled.
#[derive(Debug, Default)]
pub struct AnomalyEvaluation {
    ours: Vec<f32>,
    /// By the paper's configuration, whatever the bundle's.
    papers: Vec<f32>,
    others: [Vec<f32>; FROM_LOGITS.len()],
    strange: Vec<bool>,
    images: usize,
}

impl AnomalyEvaluation {
    /// Scores one image, at its own size.
    pub fn add(&mut self, networks: &Networks, sample: &AnomalySample) -> Result<(), EvaluationError> {
        tch::no_grad(|| {
            let x = networks.input(&sample.image)?;
            let segmented: Segmentation = networks.segment(&x)?;
            let synth = networks.synthesize(&segmented.softmax.labels, &x)?;
            collect(&mut self.ours, &networks.anomaly(&segmented, &synth)?, &sample.truth)?;
            let papers = networks.anomaly_by(cosine::Config::default(), &segmented, &synth)?;
            collect(&mut self.papers, &papers, &sample.truth)?;
            for ((_, score), scores) in FROM_LOGITS.iter().zip(&mut self.others) {
                collect(scores, &score(&networks.full_logits(&segmented)), &sample.truth)?;
            }
            let counted = sample.truth.as_raw().iter().filter(|&&t| t != truth::IGNORED);
            self.strange.extend(counted.map(|&t| t == truth::ANOMALY));
            self.images += 1;
            Ok(())
        })
    }

    /// The figures, SynthCP's first.
    pub fn detectors(&self) -> Result<Vec<Detector>, EvaluationError> {
        let others = FROM_LOGITS.iter().zip(&self.others).map(|((name, _), scores)| (*name, scores));
        [("SynthCP, as the bundle has it", &self.ours), ("SynthCP, as the paper has it", &self.papers)]
            .into_iter()
            .chain(others)
            .map(|(name, scores)| Ok(Detector::of(name, scores, &self.strange)?))
            .collect()
    }

    /// Images so far.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Share of the counted pixels that are strange.
    pub fn strange_share(&self) -> f64 {
        self.strange.iter().filter(|&&s| s).count() as f64 / self.strange.len().max(1) as f64
    }
}

fn collect(into: &mut Vec<f32>, scores: &Tensor, marks: &GrayImage) -> Result<(), EvaluationError> {
    let map = to_map(scores, marks.dimensions())?;
    let counted = map.data.iter().zip(marks.as_raw()).filter(|&(_, &t)| t != truth::IGNORED);
    into.extend(counted.map(|(&score, _)| score));
    Ok(())
}

/// The figures as a table.
pub struct AnomalyTable<'a>(pub &'a [Detector]);

impl fmt::Display for AnomalyTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = |v: Option<f64>| v.map_or("n/a".into(), |v| format!("{:.1}", 100. * v));
        writeln!(f, "| anomaly score | AP | AUROC | FPR95 |\n|---|---|---|---|")?;
        for d in self.0 {
            let [ap, auroc, fpr] = [d.average_precision, d.auroc, d.fpr95].map(percent);
            writeln!(f, "| {} | {ap} | {auroc} | {fpr} |", d.name)?;
        }
        Ok(())
    }
}
