//! A bundle tested in the street's test town: how well it finds anomaly objects, how soon it raises the
//! level, how often without a reason, and whether it notices a camera that fails.

use std::fmt;
use std::time::Duration;

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
use crate::watch::debounce::{Level, Patience};
use crate::watch::rerun::Rerun;
use crate::watch::verdict::Verdict;

/// How much is tested.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of the first drive.
    pub seed: u64,
    /// Frames with anomaly objects whose pixels are scored.
    pub frames: usize,
    /// Drives with anomaly objects, at least.
    pub drives: u64,
    /// Noticeable objects that these drives have to meet; more drives follow till there are so many.
    pub things: usize,
    /// Minutes of drives without any, at least.
    pub minutes: f64,
    /// Frames per drive.
    pub drive_frames: usize,
    /// Frames per second of the drives' own time.
    pub rate: f32,
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
/// Frames per second of drives of which one frame is degraded.
const RATE: f32 = 5.;
/// Drives after which no more objects are looked for.
const MOST_DRIVES: u64 = 1000;
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
    /// Objects that had not passed when their drive ended. They are in no other figure, found or not: to miss them
    /// there was no time.
    pub left_out: u32,
    /// Drives with anomaly objects.
    pub drives: u64,
    /// Times that the level left NOMINAL on drives without anomaly objects.
    pub false_alarms: u32,
    /// Those of them that no frame's own numbers explain: a thing was seen on the road.
    pub by_things: u32,
    /// The drives without.
    pub clean_drives: u64,
    /// Their minutes.
    pub minutes: f64,
    /// Frames per second of both.
    pub rate: f32,
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
    let mut alarms = Alarms { rate: plan.rate, ..Alarms::default() };
    // Drives too short to meet anything have an end as well.
    while alarms.drives < plan.drives || (alarms.delays.len() < plan.things && alarms.drives < MOST_DRIVES) {
        let mut waiting = Waiting::default();
        follow(monitor, plan, plan.seed + alarms.drives, true, |frame, verdict| {
            alarms.delays.extend(waiting.frame(share(frame) >= NOTICEABLE, verdict.level));
            each();
        })?;
        alarms.end(&waiting);
    }
    let clean = (plan.minutes * 60. * f64::from(plan.rate) / plan.drive_frames as f64).ceil() as u64;
    for seed in plan.seed..plan.seed + clean {
        let mut before = Level::Nominal;
        follow(monitor, plan, seed, false, |_, verdict| {
            if verdict.level > Level::Nominal && before == Level::Nominal {
                alarms.false_alarms += 1;
                // What no frame's own numbers raise, things do.
                let alone = verdict
                    .report
                    .as_ref()
                    .map(|report| Level::of(report.failure_score, report.anomaly_area, &verdict.thresholds));
                alarms.by_things += u32::from(alone == Some(Level::Nominal));
            }
            before = verdict.level;
            each();
        })?;
    }
    alarms.clean_drives = clean;
    alarms.minutes = (clean * plan.drive_frames as u64) as f64 / f64::from(plan.rate) / 60.;
    Ok(alarms)
}

/// Sends a drive through the node's stream.
fn follow(
    monitor: &Monitor,
    plan: &Plan,
    seed: u64,
    anomalies: bool,
    mut each: impl FnMut(&Rendered, &Verdict),
) -> Result<(), EvaluationError> {
    let mut rerun = Rerun::new(monitor.thresholds(), plan.patience)?;
    for (number, rendered) in drive(seed, anomalies, plan.rate).take(plan.drive_frames).enumerate() {
        let frame = Frame::new(rendered.image.clone());
        let report = monitor.process(&frame, Wanted::default())?.report;
        let time = Duration::from_secs_f64(number as f64 / f64::from(plan.rate));
        each(&rendered, &rerun.verdict(report, time));
    }
    Ok(())
}

/// Waits for the alarm from the moment something is noticeable till it no longer is.
#[derive(Default)]
struct Waiting {
    in_view: Option<InView>,
}

/// What is noticeable.
#[derive(Default)]
struct InView {
    /// Frames so far.
    frames: u32,
    /// How many of them there were before the alarm, if it came.
    delay: Option<u32>,
}

impl Waiting {
    /// Takes in a frame. Where something has passed: how many frames the alarm took, none if it did not come.
    fn frame(&mut self, there: bool, level: Level) -> Option<Option<u32>> {
        if !there {
            return self.in_view.take().map(|passed| passed.delay);
        }
        let InView { frames, delay } = self.in_view.get_or_insert_default();
        if level > Level::Nominal {
            delay.get_or_insert(*frames);
        }
        *frames += 1;
        None
    }
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
                sums.0 += f64::from(assessment.report.failure_score) / frames.len() as f64;
                sums.1 += true_miou(predicted.as_raw(), labels.as_raw(), classes)? / frames.len() as f64;
                each();
            }
        }
        failures.push(Failure { degradation, at });
    }
    Ok(failures)
}

/// Mean IoU of an image, over the classes in its labels.
fn true_miou(predicted: &[u8], labels: &[u8], classes: usize) -> Result<f64, EvaluationError> {
    Ok(Confusion::of(predicted, labels, classes)?.mean_iou_in_view().unwrap_or(0.))
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

    /// A drive with objects is over.
    fn end(&mut self, waiting: &Waiting) {
        self.drives += 1;
        self.left_out += u32::from(waiting.in_view.is_some());
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
        let rate = self.rate;
        let time = |frames: Option<u32>| {
            frames
                .map_or("never".to_owned(), |frames| format!("{:.1} s", f64::from(frames) / f64::from(rate)))
        };
        let noticed: Vec<_> = self.delays.iter().copied().filter(Option::is_some).collect();
        writeln!(
            f,
            "alarms at {rate} frames a second, as the node debounces them: of {} objects on {} drives, {} raised \
             CAUTION between covering {:.1} % of the image and having passed, {} did not; {} more had not passed when \
             their drive ended, and do not count",
            self.delays.len(),
            self.drives,
            noticed.len(),
            100. * NOTICEABLE,
            self.missed(),
            self.left_out
        )?;
        writeln!(
            f,
            "time to alarm: median {} of all, {} of those that raised one, the worst of which took {}",
            time(median(&self.delays)),
            time(median(&noticed)),
            time(noticed.iter().copied().max().flatten())
        )?;
        let per_minute = |count: u32| f64::from(count) / self.minutes.max(1e-9);
        writeln!(
            f,
            "false alarms: the level left NOMINAL {} times in {:.1} minutes of {} clean drives, {:.2} a minute; {} of \
             them for a thing on the road, {:.2} a minute",
            self.false_alarms,
            self.minutes,
            self.clean_drives,
            per_minute(self.false_alarms),
            self.by_things,
            per_minute(self.by_things)
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
        let alarms = Alarms { delays: vec![Some(1), None, Some(3), Some(9)], rate: 5., ..Alarms::default() };
        assert_eq!(alarms.missed(), 1);
        let said = alarms.to_string();
        assert!(said.contains("of 4 objects on 0 drives, 3 raised CAUTION"), "{said}");
        assert!(
            said.contains(
                "median 1.8 s of all, 0.6 s of those that raised one, the worst of which took 1.8 s"
            )
        );
    }

    #[test]
    fn an_object_is_waited_for_from_when_it_is_noticeable_till_it_no_longer_is() {
        use Level::{Caution, Nominal};
        let mut waiting = Waiting::default();
        let frames = [
            (false, Caution, None),
            (true, Nominal, None),
            (true, Nominal, None),
            (true, Caution, None),
            (true, Nominal, None),
            (true, Caution, None),
            (false, Nominal, Some(Some(2))),
            (true, Nominal, None),
            (false, Caution, Some(None)),
            (false, Caution, None),
            (true, Caution, None),
            (false, Nominal, Some(Some(0))),
        ];
        for (number, (there, level, ended)) in frames.into_iter().enumerate() {
            assert_eq!(waiting.frame(there, level), ended, "frame {number}");
        }
    }

    #[test]
    fn an_object_in_view_when_its_drive_ends_does_not_count_found_or_not() {
        use Level::{Caution, Nominal};
        let mut alarms = Alarms::default();
        // Passed and found; in view at the end and found; in view at the end and not found; nothing at the end.
        let drives: [&[(bool, Level)]; 4] = [
            &[(true, Nominal), (true, Caution), (false, Nominal)],
            &[(true, Caution), (true, Caution)],
            &[(false, Nominal), (true, Nominal)],
            &[(true, Nominal), (false, Nominal)],
        ];
        for drive in drives {
            let mut waiting = Waiting::default();
            alarms.delays.extend(drive.iter().filter_map(|&(there, level)| waiting.frame(there, level)));
            alarms.end(&waiting);
        }
        assert_eq!((alarms.delays.clone(), alarms.left_out, alarms.drives), (vec![Some(1), None], 2, 4));
        let said = Alarms { rate: 5., ..alarms }.to_string();
        assert!(said.contains("of 2 objects on 4 drives, 1 raised CAUTION"), "{said}");
        assert!(said.contains("2 more had not passed when their drive ended, and do not count"), "{said}");
    }

    #[test]
    fn a_class_that_m_made_up_takes_nothing_from_the_true_mean_iou() {
        // Half of class 0 is right; class 2 is in no label.
        assert_eq!(true_miou(&[0, 0, 2, 2], &[0, 0, 0, 0], 3).unwrap(), 0.5);
        assert_eq!(true_miou(&[2, 2], &[255, 255], 3).unwrap(), 0.);
    }
}
