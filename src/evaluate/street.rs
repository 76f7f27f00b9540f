//! A bundle tested in the street's test town: how well it finds anomaly objects, how soon it raises the
//! level, how often without a reason, and whether it notices a camera that fails.

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::anomaly::{AnomalyEvaluation, AnomalyScored, AnomalyTable};
use super::error::EvaluationError;
use super::scoreboard::Memory;
use crate::data::anomaly::AnomalySample;
use crate::data::degradation::Degradation;
use crate::frame::Frame;
use crate::metric::segmentation::Confusion;
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::Monitor;
use crate::score::catalogue::{self, Parts};
use crate::street::{Drive, DriveOptions, Rendered, Town};
use crate::watch::debounce::{Debounce, Level, Patience};

/// How much is tested.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of the first drive.
    pub seed: u64,
    /// Frames with anomaly objects whose pixels are scored.
    pub frames: usize,
    /// Drives with anomaly objects, and as many without.
    pub drives: u64,
    /// Frames per drive.
    pub drive_frames: usize,
    /// Images that are degraded.
    pub degraded: usize,
    /// What turns frames into alarms.
    pub patience: Patience,
}

/// Share of the pixels that anomaly objects cover in the frames that are scored.
const SCORED: std::ops::RangeInclusive<f32> = 0.002..=0.05;
/// Share of the pixels from which an anomaly object counts as noticeable.
const NOTICEABLE: f32 = 0.005;
/// Most frames per drive that are scored: a drive is one street.
const PER_DRIVE: usize = 4;
/// Frames per second of drives whose alarms are counted.
const RATE: f32 = 5.;
/// Strengths of each degradation.
const STRENGTHS: [f32; 5] = [0., 0.25, 0.5, 0.75, 1.];

/// All of the figures.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Anomaly scores, SynthCP's first; the number of images; the share of their pixels that is anomalous.
    pub anomalies: (Vec<AnomalyScored>, usize, f64),
    /// Alarms.
    pub alarms: Alarms,
    /// Failures.
    pub failures: Vec<Failure>,
}

/// How soon, and how often without a reason, the level leaves NOMINAL.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    /// Frames from the moment an anomaly object is noticeable to CAUTION; `None` if it passed before.
    pub delays: Vec<Option<u32>>,
    /// Times that CAUTION was entered on drives without anomaly objects.
    pub false_alarms: u32,
    /// Minutes of those drives.
    pub minutes: f64,
}

/// A degradation: mean failure score and true mean IoU at each strength.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub degradation: Degradation,
    /// Failure score and mean IoU, by strength.
    pub at: [(f64, f64); STRENGTHS.len()],
}

fn drive(seed: u64, anomalies: bool, rate: f32) -> Drive {
    Drive::new(&DriveOptions { town: Town::Test, seed, anomalies, rate, ..DriveOptions::default() })
}

fn share(frame: &Rendered) -> f32 {
    let anomalous = frame.anomaly.iter().filter(|&&v| v > 0).count();
    anomalous as f32 / frame.anomaly.len().max(1) as f32
}

impl Trial {
    /// Tests `monitor`; `each` is called after each frame.
    pub fn of(monitor: &Monitor, plan: &Plan, mut each: impl FnMut()) -> Result<Self, EvaluationError> {
        Ok(Self {
            anomalies: anomalies(monitor, plan, &mut each)?,
            alarms: alarms(monitor, plan, &mut each)?,
            failures: failures(monitor, plan, &mut each)?,
        })
    }
}

fn anomalies(
    monitor: &Monitor,
    plan: &Plan,
    each: &mut impl FnMut(),
) -> Result<(Vec<AnomalyScored>, usize, f64), EvaluationError> {
    let detectors = catalogue::choose(&[], &Parts::of(monitor.networks()))?;
    let mut evaluation = AnomalyEvaluation::new(&detectors, Vec::new(), Memory::Exact, 0);
    for seed in plan.seed.. {
        // One frame per second: neighbours in time are nearly the same image.
        let seen = drive(seed, true, 1.).take(12).filter(|frame| SCORED.contains(&share(frame)));
        for frame in seen.take(PER_DRIVE.min(plan.frames - evaluation.images())) {
            let sample = AnomalySample { name: String::new(), image: frame.image, truth: frame.anomaly };
            evaluation.add(monitor.networks(), &sample)?;
            each();
        }
        if evaluation.images() >= plan.frames {
            break;
        }
    }
    Ok((evaluation.scored()?, evaluation.images(), evaluation.anomalous_share()))
}

fn alarms(monitor: &Monitor, plan: &Plan, each: &mut impl FnMut()) -> Result<Alarms, EvaluationError> {
    let mut alarms = Alarms::default();
    for seed in plan.seed..plan.seed + plan.drives {
        for anomalies in [true, false] {
            let mut debounce = settled(plan.patience);
            let (mut before, mut waiting) = (Level::Nominal, None);
            let mut noticeable = false;
            for frame in drive(seed, anomalies, RATE).take(plan.drive_frames) {
                let there = share(&frame) >= NOTICEABLE;
                let report = monitor.process(&Frame::new(frame.image), Wanted::default())?.report;
                let raw = Level::of(report.failure_score, report.anomaly_area, monitor.thresholds());
                let level = debounce.update(raw, plan.patience);
                each();
                if !anomalies {
                    let entered = level > Level::Nominal && before == Level::Nominal;
                    alarms.false_alarms += u32::from(entered);
                    before = level;
                    continue;
                }
                if there && !noticeable {
                    waiting = Some(0);
                }
                if let Some(frames) = waiting {
                    if level > Level::Nominal {
                        alarms.delays.push(Some(frames));
                        waiting = None;
                    } else if !there {
                        alarms.delays.push(None);
                        waiting = None;
                    } else {
                        waiting = Some(frames + 1);
                    }
                }
                noticeable = there;
            }
            if !anomalies {
                alarms.minutes += plan.drive_frames as f64 / f64::from(RATE) / 60.;
            }
        }
    }
    Ok(alarms)
}

/// A debounce that has seen good frames.
fn settled(patience: Patience) -> Debounce {
    let mut debounce = Debounce::new();
    (0..patience.release).for_each(|_| {
        debounce.update(Level::Nominal, patience);
    });
    debounce
}

fn failures(
    monitor: &Monitor,
    plan: &Plan,
    each: &mut impl FnMut(),
) -> Result<Vec<Failure>, EvaluationError> {
    let frames: Vec<Rendered> = (plan.seed..plan.seed + plan.degraded as u64)
        .filter_map(|seed| drive(seed, false, RATE).nth(5))
        .collect();
    let classes = monitor.labels().len();
    let mut failures = Vec::new();
    for degradation in Degradation::ALL {
        let mut at = [(0., 0.); STRENGTHS.len()];
        for (sums, strength) in at.iter_mut().zip(STRENGTHS) {
            for (number, frame) in frames.iter().enumerate() {
                let rng = &mut ChaCha8Rng::seed_from_u64(plan.seed + number as u64);
                let (image, labels) = degradation.apply(&frame.image, &frame.labels, strength, rng);
                let wanted = Wanted { labels: true, ..Wanted::default() };
                let assessment = monitor.process(&Frame::new(image), wanted)?;
                let predicted = assessment.maps.labels.unwrap_or_default();
                let confusion = Confusion::of(predicted.as_raw(), labels.as_raw(), classes)?;
                sums.0 += f64::from(assessment.report.failure_score) / frames.len() as f64;
                sums.1 += confusion.mean_iou().unwrap_or(0.) / frames.len() as f64;
                each();
            }
        }
        failures.push(Failure { degradation, at });
    }
    Ok(failures)
}

/// Median of delays in frames; an object that passed unnoticed counts as never.
fn median(delays: &[Option<u32>]) -> Option<u32> {
    let mut delays: Vec<u32> = delays.iter().map(|d| d.unwrap_or(u32::MAX)).collect();
    delays.sort_unstable();
    delays.get(delays.len() / 2).copied().filter(|&d| d != u32::MAX)
}

impl Alarms {
    /// Anomaly objects that were never noticed.
    pub fn missed(&self) -> usize {
        self.delays.iter().filter(|d| d.is_none()).count()
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (detectors, images, anomalous) = &self.anomalies;
        writeln!(
            f,
            "## {images} frames of the test town, {:.2} % of the pixels anomalous",
            100. * anomalous
        )?;
        write!(f, "{}", AnomalyTable(detectors))?;
        writeln!(f, "\n{}", self.alarms)?;
        writeln!(f, "failure score (true mIoU in %) by strength of a degradation:")?;
        let head: Vec<String> = STRENGTHS.iter().map(|s| format!(" {s} |")).collect();
        writeln!(f, "| degradation |{}\n|---|{}", head.concat(), "---|".repeat(STRENGTHS.len()))?;
        for failure in &self.failures {
            let cells = failure.at.map(|(score, miou)| format!(" {score:.2} ({:.0}) |", 100. * miou));
            writeln!(f, "| {} |{}", failure.degradation, cells.concat())?;
        }
        Ok(())
    }
}

impl fmt::Display for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let frames = |delays: &[Option<u32>]| {
            median(delays).map_or("never".to_owned(), |frames| format!("{frames} frames at {RATE} Hz"))
        };
        let noticed: Vec<_> = self.delays.iter().copied().filter(Option::is_some).collect();
        writeln!(
            f,
            "from {:.1} % of the image to CAUTION: median {}; of {} objects {} passed unnoticed, the median of the \
             others is {}",
            100. * NOTICEABLE,
            frames(&self.delays),
            self.delays.len(),
            self.missed(),
            frames(&noticed)
        )?;
        writeln!(
            f,
            "false alarms: CAUTION {} times in {:.1} minutes of clean drives, {:.2} per minute",
            self.false_alarms,
            self.minutes,
            f64::from(self.false_alarms) / self.minutes.max(1e-9)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_unnoticed_counts_as_never() {
        assert_eq!(median(&[Some(4), Some(1), Some(2)]), Some(2));
        assert_eq!(median(&[Some(1), None, None]), None);
        assert_eq!(median(&[]), None);
        let alarms = Alarms { delays: vec![Some(1), None, Some(3)], ..Alarms::default() };
        assert_eq!(alarms.missed(), 1);
        assert!(alarms.to_string().contains("median 3 frames at 5 Hz; of 3 objects 1 passed unnoticed"));
    }
}
