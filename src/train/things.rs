//! Which regions are things: learned from marked anomalies and clean drives, with limits under which clean drives
//! give an alarm every two minutes at most, for things or for the failure score.
//!
//! ```text
//! marked images, clean drives --regions--> logistic model of a thing    (without marked images: an order alone)
//! clean drives --watch/rerun.rs, limit by limit--> the lowest limits that keep the rate
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::logistic;
use crate::data::anomaly::Source;
use crate::data::{DataError, open_image, sequence};
use crate::frame::Frame;
use crate::labels::truth;
use crate::model::bundle::Thresholds;
use crate::model::things::{Features, LEAST_AREA, Things};
use crate::monitor::assessment::{Region, Report, ScoreMap, Wanted};
use crate::monitor::pipeline::{Monitor, MonitorError, features};
use crate::watch::debounce::{Level, Patience};
use crate::watch::parameters::ParameterError;
use crate::watch::rerun::Rerun;

/// Why it cannot be learned what regions are things.
#[derive(Debug, thiserror::Error)]
pub enum ThingsError {
    /// Clean drives from which nothing can be learned.
    #[error("{}: {reason}", folder.display())]
    Drives {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Clean drives on which something fails.
    #[error(
        "clean drives have a failure score of {score:.3} for long enough to be FAILURE, which labelled images set \
             at {set:.3}: above {most:.3} it is no limit any more, something fails on them; leave those drives out"
    )]
    Failing {
        /// The limit that they ask for.
        score: f32,
        /// The one that labelled images ask for.
        set: f32,
        /// The highest that is accepted.
        most: f32,
    },
    /// Images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A frame.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The regression.
    #[error("the regression on regions failed: {0}")]
    Regression(#[from] tch::TchError),
    /// A patience that the node refuses.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// What regions are learned from.
#[derive(Clone, Debug)]
pub struct Drives {
    /// Folder with frames of drives on which nothing unknown is in view.
    pub clean: PathBuf,
    /// Their frames per second.
    pub rate: f64,
    /// Data set with marked anomalies.
    pub marked: Option<PathBuf>,
}

/// Alarms a minute of clean drive, for things and for the failure score.
const ALARMS: f64 = 0.5;
/// The failure score's share of them.
const OF_FAILURE: f64 = 0.25;
/// Less of it tells nothing of such a rate.
const MINUTES: f64 = 4.;
/// Examples of each kind without which a probability is not learned.
const FEWEST: usize = 20;
/// Limits that are tried out.
const STEPS: usize = 400;

/// What was said of one frame, and what tells whether its regions are things.
struct Said {
    report: Report,
    features: Vec<Features>,
}

/// Whether a region is a thing, by its features.
type Example = ([f32; Features::COUNT], bool);

/// What clean drives told.
pub(super) struct Learned {
    /// Which regions are things.
    pub things: Things,
    /// Failure scores from which a frame counts towards CAUTION, and towards FAILURE: as before, or higher.
    pub scores: [f32; 2],
    /// What can be promised of both.
    pub promise: String,
}

/// Learns with the monitor's networks and limits.
pub(super) fn learn(monitor: &Monitor, drives: &Drives) -> Result<Learned, ThingsError> {
    let unusable = |reason| ThingsError::Drives { folder: drives.clean.clone(), reason };
    let rate = drives.rate;
    if !(rate.is_finite() && rate > 0.) {
        return Err(unusable(format!("{rate} frames a second are none; a rate above 0 is needed")));
    }
    let paths = sequence::drives(&drives.clean)?;
    let frames = paths.iter().map(Vec::len).sum::<usize>();
    let minutes = frames as f64 / rate / 60.;
    if minutes < MINUTES {
        return Err(unusable(format!("{minutes:.1} minutes of clean drive are there, {MINUTES} are needed")));
    }
    let mut said: Vec<Vec<Said>> = Vec::new();
    for drive in &paths {
        said.push(drive.iter().map(|path| look(monitor, path)).collect::<Result<_, _>>()?);
    }
    let all = said.iter().flatten().flat_map(|said| &said.features);
    let mut examples: Vec<Example> = all.map(|features| (features.values(), false)).collect();
    let images = match &drives.marked {
        Some(folder) => add_marked(monitor, folder, &mut examples)?,
        None => 0,
    };
    let model = Model::learn(&examples)?;
    let clean = format!("{frames} frames of clean drives ({})", name(&drives.clean));
    let marked = drives.marked.as_deref().map_or(String::new(), |folder| {
        format!("{images} images with marked anomalies ({}) and ", name(folder))
    });
    let things = Things {
        intercept: model.intercept,
        weights: Features::of_values(model.weights),
        limit: 1.,
        least_area: LEAST_AREA,
        stands_on: format!("{}, from {marked}{clean}", model.stands_on),
    };
    for Said { report, features } in said.iter_mut().flatten() {
        for (region, features) in report.regions.iter_mut().zip(features) {
            region.probability = things.probability(features);
        }
    }
    let scores @ [caution, failure] = lowest_scores(monitor.thresholds(), &said, rate, minutes)?;
    let limits = Thresholds { caution, failure, ..monitor.thresholds().clone() };
    let (things, alarms) = with_lowest_limit(things, &limits, &said, rate, minutes)?;
    let limits = Thresholds { things: Some(things.clone()), ..limits };
    let [all, failures] = [Level::Caution, Level::Failure]
        .map(|level| count(&said, &limits, rate, level, |report| report.clone()));
    let Patience { trigger, .. } = Patience::DEFAULT;
    let promise = format!(
        "CAUTION for a thing of {trigger} frames on or beside the road {alarms} times in {minutes:.1} minutes of clean \
         drive ({}, {rate} frames a second), for any reason {} times, and FAILURE {} times",
        name(&drives.clean),
        all?,
        failures?
    );
    Ok(Learned { things, scores, promise })
}

fn name(folder: &Path) -> String {
    folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn look(monitor: &Monitor, path: &Path) -> Result<Said, ThingsError> {
    let image = open_image(path)?;
    let size = image.dimensions();
    let report = monitor.process(&Frame::new(image), Wanted::default())?.report;
    let features = report.regions.iter().map(|region| features(region, size)).collect();
    Ok(Said { report: Report { classes: Vec::new(), ..report }, features })
}

/// Adds the regions on marked images: things where half of the pixels are marked, none where no pixel is; what
/// lies between teaches nothing. Returns the number of images.
fn add_marked(monitor: &Monitor, folder: &Path, examples: &mut Vec<Example>) -> Result<usize, ThingsError> {
    let source = Source::open(folder, None)?;
    for pair in &source.pairs.pairs {
        let sample = source.load(pair)?;
        let size = sample.image.dimensions();
        let wanted = Wanted { anomaly_score: true, ..Wanted::default() };
        let assessment = monitor.process(&Frame::new(sample.image), wanted)?;
        let Some(scores) = assessment.maps.anomaly_score else { continue };
        for region in &assessment.report.regions {
            let marked = marked_share(region, &scores, sample.truth.as_raw(), monitor.thresholds().anomaly);
            if marked >= 0.5 || marked == 0. {
                examples.push((features(region, size).values(), marked > 0.));
            }
        }
    }
    Ok(source.pairs.pairs.len())
}

/// Share of the pixels above the limit in the region's box that are marked; those that do not count left out.
fn marked_share(region: &Region, scores: &ScoreMap, marks: &[u8], limit: f32) -> f32 {
    let (mut marked, mut all) = (0_u32, 0_u32);
    for y in region.y..(region.y + region.height).min(scores.height) {
        for x in region.x..(region.x + region.width).min(scores.width) {
            let i = (y * scores.width + x) as usize;
            let counts = scores.data[i] >= limit && marks[i] != truth::IGNORED;
            all += u32::from(counts);
            marked += u32::from(counts && marks[i] == truth::ANOMALY);
        }
    }
    // 0 of 0 is NaN, which is neither.
    marked as f32 / all as f32
}

/// Log odds of a thing.
struct Model {
    intercept: f32,
    weights: [f32; Features::COUNT],
    stands_on: String,
}

impl Model {
    fn learn(examples: &[Example]) -> Result<Self, ThingsError> {
        let things = examples.iter().filter(|(_, thing)| *thing).count();
        let others = examples.len() - things;
        if things < FEWEST || others < FEWEST {
            let [intercept, mean_score, log_area] = order(examples);
            let weights = Features { mean_score, log_area, ..Features::default() }.values();
            let stands_on = format!(
                "an order by score and size, no probability: {things} regions on anomalies and {others} on none, and \
                 {FEWEST} of each are needed"
            );
            return Ok(Self { intercept, weights, stands_on });
        }
        let (intercept, weights) = logistic::fit(examples)?;
        let stands_on = format!("{things} regions on anomalies and {others} on none");
        Ok(Self { intercept, weights, stands_on })
    }
}

/// Intercept and weights of mean score and area under which an ordinary region has even odds, and one that is
/// larger or scores higher by the spread of these has better ones.
fn order(examples: &[Example]) -> [f32; 3] {
    let count = examples.len().max(1) as f32;
    let standard = |pick: fn(&Features) -> f32| {
        let values = examples.iter().map(|(values, _)| pick(&Features::of_values(*values)));
        let mean = values.clone().sum::<f32>() / count;
        let spread = (values.map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt();
        (mean, 1. / spread.max(1e-3))
    };
    let [(score, by_score), (area, by_area)] = [standard(|f| f.mean_score), standard(|f| f.log_area)];
    [-score * by_score - area * by_area, by_score, by_area]
}

/// The lowest limits of the failure score, from those that there are upwards, for CAUTION the one at which clean
/// drives keep their rate of alarms. Where that lies above FAILURE's, which few labelled frames have set, FAILURE's
/// becomes the one that clean drives never reach for long enough; but not above half of the way to 1, or a drive on
/// which something does fail would blind the monitor.
fn lowest_scores(
    thresholds: &Thresholds,
    drives: &[Vec<Said>],
    rate: f64,
    minutes: f64,
) -> Result<[f32; 2], ThingsError> {
    // Nothing but the failure score raises the level.
    let alone = |report: &Report| Report { anomaly_area: f32::NAN, regions: Vec::new(), ..report.clone() };
    let from = |least: f32| -> Vec<f32> {
        let scores = drives.iter().flatten().map(|said| said.report.failure_score.next_up());
        std::iter::once(least).chain(scores.filter(|&score| score > least)).collect()
    };
    let alarms = |&caution: &f32| {
        let limits = Thresholds { caution, failure: thresholds.failure.max(caution), ..thresholds.clone() };
        count(drives, &limits, rate, Level::Caution, alone)
    };
    let found = lowest(from(thresholds.caution), alarms, |alarms| {
        f64::from(alarms) <= OF_FAILURE * ALARMS * minutes
    })?;
    let caution = found.map_or(thresholds.caution, |(limit, _)| limit);
    if caution <= thresholds.failure {
        return Ok([caution, thresholds.failure]);
    }
    let failures = |&failure: &f32| {
        count(drives, &Thresholds { caution, failure, ..thresholds.clone() }, rate, Level::Failure, alone)
    };
    let found = lowest(from(caution), failures, |failures| failures == 0)?;
    let failure = found.map_or(caution, |(limit, _)| limit);
    let (set, most) = (thresholds.failure, (thresholds.failure + 1.) / 2.);
    match failure <= most {
        true => Ok([caution, failure]),
        false => Err(ThingsError::Failing { score: failure, set, most }),
    }
}

/// The lowest limit of a thing's probability down to which clean drives keep their rate of alarms, with one alarm to
/// spare; and the alarms.
fn with_lowest_limit(
    things: Things,
    thresholds: &Thresholds,
    drives: &[Vec<Said>],
    rate: f64,
    minutes: f64,
) -> Result<(Things, u32), ThingsError> {
    let regions = drives.iter().flatten().flat_map(|said| &said.report.regions);
    let mut limits: Vec<f32> = regions.map(|region| region.probability).filter(|p| p.is_finite()).collect();
    // One that no region reaches, as far as there is any.
    limits.push(limits.iter().copied().reduce(f32::max).map_or(0., |p| p.next_up().min(1.)));
    let with = |limit: f32| Things { limit, ..things.clone() };
    let alarms = |&limit: &f32| {
        let limits = Thresholds { things: Some(with(limit)), ..thresholds.clone() };
        // Nothing but things raises the level.
        count(drives, &limits, rate, Level::Caution, |report| Report { failure_score: 0., ..report.clone() })
    };
    let allowed = (1. - OF_FAILURE) * ALARMS * minutes;
    let found = lowest(limits, alarms, |alarms| f64::from(alarms + 1) <= allowed)?;
    // Where even the highest is too low, there is none that is higher; what it gives is said.
    let (limit, alarms) = found.map_or_else(|| Ok((1., alarms(&1.)?)), Ok::<_, ThingsError>)?;
    Ok((with(limit), alarms))
}

/// The lowest of some limits down to which the number of alarms is allowed, and that number.
fn lowest(
    mut limits: Vec<f32>,
    alarms: impl Fn(&f32) -> Result<u32, ThingsError>,
    is_allowed: impl Fn(u32) -> bool,
) -> Result<Option<(f32, u32)>, ThingsError> {
    limits.sort_by(|a, b| b.total_cmp(a));
    limits.dedup();
    let mut best = None;
    // The highest and the lowest are among those that are tried.
    let (step, last) = (limits.len().div_ceil(STEPS).max(1), limits.len().saturating_sub(1));
    let tried = limits.iter().enumerate().filter(|(place, _)| place % step == 0 || *place == last);
    for (_, limit) in tried {
        let found = alarms(limit)?;
        if !is_allowed(found) {
            break;
        }
        best = Some((*limit, found));
    }
    Ok(best)
}

/// How often the level becomes this one or a worse one.
fn count(
    drives: &[Vec<Said>],
    limits: &Thresholds,
    rate: f64,
    least: Level,
    report: impl Fn(&Report) -> Report,
) -> Result<u32, ThingsError> {
    let mut alarms = 0;
    for drive in drives {
        let mut rerun = Rerun::new(limits, Patience::DEFAULT)?;
        let mut before = Level::Nominal;
        for (number, said) in drive.iter().enumerate() {
            let time = Duration::from_secs_f64(number as f64 / rate);
            let level = rerun.verdict(report(&said.report), time).level;
            alarms += u32::from(level >= least && before < least);
            before = level;
        }
    }
    Ok(alarms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::assessment::Mode;

    fn region(x: u32, probability: f32) -> Region {
        Region { x, y: 50, width: 10, height: 10, probability, on_road: 1., ..Region::example() }
    }

    /// A drive with one thing of each probability after the other, five frames each, and good frames between.
    fn drive(probabilities: &[f32]) -> Vec<Said> {
        let said = |regions| Said {
            report: Report { regions, ..Report::example(Mode::Full, 0.1) },
            features: Vec::new(),
        };
        let each =
            |&p: &f32| (0..20).map(move |i| said(if i < 5 { vec![region(100, p)] } else { Vec::new() }));
        probabilities.iter().flat_map(each).collect()
    }

    fn things() -> Things {
        Things::example(1.)
    }

    #[test]
    fn the_limit_is_the_lowest_that_leaves_one_alarm_to_spare() {
        let drives = [drive(&[0.9, 0.2, 0.7]), drive(&[0.3, 0.8, 0.1])];
        let limit = |minutes| {
            let found =
                with_lowest_limit(things(), &Thresholds::uncalibrated(), &drives, 5., minutes).unwrap();
            (found.0.limit, found.1)
        };
        assert_eq!(limit(12.), (0.7, 3));
        assert_eq!(limit(6.), (0.9, 1));
        assert_eq!(limit(3.), (0.9_f32.next_up(), 0));
        assert_eq!(limit(60.), (0.1, 6));
    }

    #[test]
    fn the_failure_score_has_the_lowest_limit_at_which_it_keeps_its_rate() {
        // Five frames of each score with good ones between; the area counts for nothing here.
        let said = |failure_score| Said {
            report: Report { anomaly_area: 1., ..Report::example(Mode::Full, failure_score) },
            features: Vec::new(),
        };
        let drive = |scores: &[f32]| -> Vec<Said> {
            let each = |&score: &f32| (0..20).map(move |i| said(if i < 5 { score } else { 0.1 }));
            scores.iter().flat_map(each).collect()
        };
        let drives = [drive(&[0.62, 0.55, 0.7]), drive(&[0.3, 0.66])];
        let limits = Thresholds { caution: 0.5, failure: 0.8, ..Thresholds::uncalibrated() };
        let scores = |limits: &Thresholds, minutes| lowest_scores(limits, &drives, 5., minutes).unwrap();
        assert_eq!(scores(&limits, 60.), [0.5, 0.8], "four alarms are allowed there");
        assert_eq!(scores(&limits, 24.), [0.55_f32.next_up(), 0.8]);
        assert_eq!(scores(&limits, 8.), [0.66_f32.next_up(), 0.8]);
        assert_eq!(scores(&limits, 4.), [0.7_f32.next_up(), 0.8]);
        // FAILURE is not reached by drives on which nothing failed.
        let low = Thresholds { failure: 0.6, ..limits };
        assert_eq!(scores(&low, 24.), [0.55_f32.next_up(), 0.6], "three alarms are allowed there");
        assert_eq!(scores(&low, 8.), [0.66_f32.next_up(), 0.7_f32.next_up()]);
        assert_eq!(scores(&low, 4.), [0.7_f32.next_up(); 2]);
        // Unless something does.
        let lower = Thresholds { caution: 0.3, failure: 0.3, ..low };
        let message = lowest_scores(&lower, &drives, 5., 4.).unwrap_err().to_string();
        assert!(message.contains("0.700") && message.contains("above 0.650"), "{message}");
    }

    #[test]
    fn where_a_region_is_certain_and_no_alarm_is_allowed_the_limit_is_one() {
        let found =
            with_lowest_limit(things(), &Thresholds::uncalibrated(), &[drive(&[1.])], 5., 2.).unwrap();
        assert_eq!((found.0.limit, found.1), (1., 1));
    }

    #[test]
    fn clean_drives_without_regions_need_no_limit() {
        let found = with_lowest_limit(things(), &Thresholds::uncalibrated(), &[drive(&[])], 5., 4.).unwrap();
        assert_eq!((found.0.limit, found.1), (0., 0));
    }

    #[test]
    fn without_marked_anomalies_larger_and_higher_regions_come_first_and_it_says_so() {
        let examples: Vec<Example> = (0..9)
            .map(|i| {
                let f =
                    Features { mean_score: i as f32 / 9., log_area: -(i as f32 % 3.), ..Features::default() };
                (f.values(), false)
            })
            .collect();
        let model = Model::learn(&examples).unwrap();
        assert!(model.stands_on.contains("no probability: 0 regions on anomalies and 9 on none"));
        let [score, _, area, ..] = model.weights;
        assert!(score > 0. && area > 0. && model.intercept.is_finite());
    }

    #[test]
    fn marked_pixels_are_counted_among_those_above_the_limit() {
        let scores = ScoreMap { width: 4, height: 1, data: vec![0.9, 0.9, 0.1, 0.9] };
        let all = Region { x: 0, y: 0, width: 4, height: 1, ..Region::example() };
        assert_eq!(marked_share(&all, &scores, &[1, 0, 1, 255], 0.5), 0.5);
        assert!(marked_share(&all, &scores, &[255; 4], 0.5).is_nan());
    }
}
