//! Thresholds from labelled images that no network has seen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::TrainError;
use super::things::{self, Drives, Learned, ThingsError};
use super::workspace::GOES_ON;
use crate::data::given::{GivenAt, GivenError};
use crate::data::{self, Reading, Slice};
use crate::frame::Frame;
use crate::labels::{IGNORE, LabelSet};
use crate::metric::conformal::NoLimit;
use crate::model::bundle::{Bundle, BundleError, Thresholds, sha256};
use crate::model::things::LEAST_AREA;
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::{Monitor, MonitorError, MonitorOptions};
use crate::whole_file;

/// Why a bundle cannot be calibrated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// Another segmenter's labels.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// Labels in other classes: no prediction would be right.
    #[error(
        "the labels are of set {data:?} and the bundle's classes of {bundle:?}; calibrate on labels of its own"
    )]
    Labels {
        /// The data's label set.
        data: String,
        /// The bundle's.
        bundle: String,
    },
    /// A frame.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The training's files.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The bundle's folder.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Images that trained a network.
    #[error(
        "calibration slice {slice}: {count} of its images trained a network ({trained_on}), the first is {}; \
         name images that none has seen",
        first.display()
    )]
    Seen {
        /// The slice.
        slice: String,
        /// How many.
        count: usize,
        /// The first.
        first: PathBuf,
        /// What trained the network.
        trained_on: String,
    },
    /// Too few images for what is promised.
    #[error("calibration slice {slice} has {found} images; a rate of 1 % needs at least {FEWEST}")]
    TooFew {
        /// The slice.
        slice: String,
        /// How many it has.
        found: usize,
    },
    /// Nothing is labelled.
    #[error("{}: calibration slice {slice} has no labelled pixel", folder.display())]
    NoLabels {
        /// The data set.
        folder: PathBuf,
        /// The slice.
        slice: String,
    },
    /// Things.
    #[error(transparent)]
    Things(#[from] ThingsError),
    /// A score from which no limit follows.
    #[error("image {image}: the bundle gives {value} for {what}; a finite number is needed")]
    NotFinite {
        /// Which score.
        what: &'static str,
        /// The image.
        image: String,
        /// Its value.
        value: f32,
    },
    /// Scores that were kept.
    #[error("{}: {reason}", file.display())]
    Scores {
        /// The file.
        file: PathBuf,
        /// Why they cannot be used.
        reason: String,
    },
    /// A rate that cannot be promised.
    #[error("--target {aim}: {units} {which}: {reason}")]
    Promise {
        /// What was to be promised.
        aim: String,
        /// Drives or places.
        units: String,
        /// Which of them count.
        which: &'static str,
        /// Why not.
        reason: NoLimit,
    },
    /// A folder in which a bundle would replace something else.
    #[error("{}: {found} is there, which is no part of a bundle; name another folder", out.display())]
    Occupied {
        /// The folder.
        out: PathBuf,
        /// What is there.
        found: String,
    },
}

/// Share of good frames that may reach CAUTION by their failure score, and by their anomaly area; of
/// good frames that may reach FAILURE; of right pixels that may be in the error mask; and of ordinary
/// pixels that may be in the anomaly mask.
const FALSE_ALARMS: [f64; 5] = [0.05, 0.05, 0.01, 0.05, ORDINARY];

/// Share of ordinary pixels that may count as anomalous: less than the smallest region that is reported, so that not
/// every frame shows a thing that is none.
pub(crate) const ORDINARY: f64 = 0.0002;

/// Fewer frames than this cannot tell a rate of 1 %: one of them alone is more.
pub const FEWEST: usize = 100;

/// What trained a network, as far as [`Entry::trained_on`](crate::model::bundle::Entry) says it.
#[derive(Debug, PartialEq)]
enum Seen {
    /// Nothing: its weights are random.
    Nothing,
    /// Samples of a data set, by the name of its folder.
    Samples(String, Slice),
    /// It does not say, or not so that it can be looked up.
    Unknown,
}

impl Seen {
    /// Reads "NAME SLICE", after which a comma or a semicolon may begin something else.
    fn parse(trained_on: &str) -> Self {
        let text = trained_on.split([',', ';']).next().unwrap_or_default().trim();
        match text.rsplit_once(' ') {
            _ if text == "nothing" => Self::Nothing,
            _ if text.starts_with("not known") => Self::Unknown,
            Some((name, slice)) => match slice.parse() {
                Ok(slice) => Self::Samples(name.trim().to_owned(), slice),
                Err(_) => Self::Unknown,
            },
            None => Self::Unknown,
        }
    }
}

/// The images of `slice` in `folder`; as many of them as there are, if there are fewer.
fn images(folder: &Path, slice: &Slice) -> Result<BTreeSet<PathBuf>, data::DataError> {
    let part = slice.part().map_or_else(Slice::default, Slice::named);
    let pairs = match data::list(folder, &part, false) {
        // Samples that are not here are none of those that calibrate.
        Err(data::DataError::Part { .. }) => return Ok(BTreeSet::new()),
        pairs => pairs?.1.pairs,
    };
    let range = match slice.range(pairs.len()) {
        Err(data::DataError::SliceRange { start, end, count }) => {
            start.min(count)..end.min(count).max(start.min(count))
        }
        range => range?,
    };
    let file = |image: &PathBuf| image.canonicalize().unwrap_or_else(|_| image.clone());
    Ok(pairs[range].iter().map(|pair| file(&pair.image)).collect())
}

/// File in a bundle's folder with the hashes of the images that trained it, one a line: a copy is known by any
/// name. Bundles of earlier versions have none.
pub(super) const SEEN: &str = "trained_on.sha256";

/// The content of an image's file, in short.
fn hash(path: &Path) -> Result<String, std::io::Error> {
    const DIGITS: usize = 16;
    Ok(sha256(&fs_err::read(path)?)[..DIGITS].to_owned())
}

/// Those of the images of `slice`.
fn hashes(folder: &Path, slice: &Slice) -> Result<BTreeSet<String>, CalibrationError> {
    Ok(images(folder, slice)?.iter().map(|image| hash(image)).collect::<Result<_, _>>()?)
}

/// Leaves the hashes of the images of `slice` in the folder of a bundle, and those that lie in the folder `start`,
/// from which M went on.
pub(super) fn remember(
    bundle: &Path,
    folder: &Path,
    slice: &Slice,
    start: Option<&Path>,
) -> Result<(), CalibrationError> {
    let mut all = hashes(folder, slice)?;
    if let Some(start) = start {
        all.extend(remembered(start)?);
    }
    let lines: String = all.into_iter().map(|hash| hash + "\n").collect();
    Ok(whole_file::write(&bundle.join(SEEN), lines)?)
}

/// The hashes in a bundle's folder; none where there are none.
fn remembered(bundle: &Path) -> Result<BTreeSet<String>, std::io::Error> {
    const MOST: u64 = 64 << 20;
    let file = bundle.join(SEEN);
    if !file.exists() {
        return Ok(BTreeSet::new());
    }
    let seen = String::from_utf8_lossy(&whole_file::read(&file, MOST)?).into_owned();
    Ok(seen.lines().map(str::to_owned).collect())
}

/// How many of `images` trained the networks of the bundle in this folder, by any name: as far as it keeps their hashes.
pub fn count_seen(bundle: &Path, images: &[PathBuf]) -> Result<usize, std::io::Error> {
    let seen = remembered(bundle)?;
    if seen.is_empty() {
        return Ok(0);
    }
    let mut count = 0;
    for image in images {
        count += usize::from(seen.contains(&hash(image)?));
    }
    Ok(count)
}

/// Fails if one of the samples of `slice` is a copy of an image that trained the bundle's networks.
pub(super) fn check_copies(bundle: &Path, folder: &Path, slice: &Slice) -> Result<(), CalibrationError> {
    none_among(&remembered(bundle)?, folder, slice)
}

/// Fails if one of the samples of `slice` is a copy of one of `training`.
pub(super) fn check_apart(folder: &Path, slice: &Slice, training: &Slice) -> Result<(), CalibrationError> {
    none_among(&hashes(folder, training)?, folder, slice)
}

fn none_among(seen: &BTreeSet<String>, folder: &Path, slice: &Slice) -> Result<(), CalibrationError> {
    let mut copies = Vec::new();
    for image in images(folder, slice)? {
        if seen.contains(&hash(&image)?) {
            copies.push(image);
        }
    }
    match copies.first() {
        None => Ok(()),
        Some(first) => Err(CalibrationError::Seen {
            slice: slice.to_string(),
            count: copies.len(),
            first: first.clone(),
            trained_on: "as copies of the same file".into(),
        }),
    }
}

/// Whether the samples of `slice` can calibrate networks that were trained on what `trained_on` says, one
/// text a network. Returns how the frames are to be called. Nothing is decoded.
pub fn check(folder: &Path, slice: &Slice, trained_on: &[&str]) -> Result<&'static str, CalibrationError> {
    let chosen: BTreeSet<PathBuf> = {
        data::list(folder, slice, false)?;
        images(folder, slice)?
    };
    let name_of = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let names = [name_of(folder), folder.canonicalize().ok().and_then(|folder| name_of(&folder))];
    let mut called = "that no network saw";
    for text in trained_on {
        match Seen::parse(text) {
            Seen::Nothing => {}
            Seen::Samples(name, seen) if names.iter().flatten().any(|own| *own == name) => {
                let seen = images(folder, &seen)?;
                let mut both = chosen.intersection(&seen);
                if let Some(first) = both.next() {
                    return Err(CalibrationError::Seen {
                        slice: slice.to_string(),
                        count: 1 + both.count(),
                        first: first.clone(),
                        trained_on: (*text).to_owned(),
                    });
                }
            }
            // The same images may lie under either name.
            Seen::Samples(..) if called != UNKNOWN => called = OTHER_NAME,
            Seen::Samples(..) => {}
            Seen::Unknown => called = UNKNOWN,
        }
        // What that one had seen is not said.
        if text.contains(GOES_ON) {
            called = UNKNOWN;
        }
    }
    if chosen.len() < FEWEST {
        return Err(CalibrationError::TooFew { slice: slice.to_string(), found: chosen.len() });
    }
    Ok(called)
}

const OTHER_NAME: &str = "of data of another name than trained the networks";
const UNKNOWN: &str = "of which it is not known whether they trained a network";

/// Thresholds that keep false alarms at `FALSE_ALARMS` on the samples of `slice`, by labels of M or those `given`; with
/// `drives`, the level goes by things in place of the anomalous area.
pub fn calibrate(
    bundle: &Path,
    folder: &Path,
    slice: &Slice,
    reading: &Reading,
    given: Option<&GivenAt>,
    drives: Option<&Drives>,
) -> Result<Thresholds, CalibrationError> {
    let d = Bundle::open(bundle)?.description;
    let trained_on = [&d.segmentation.trained_on, &d.synthesis.trained_on, &d.comparison.trained_on];
    let called = check(folder, slice, &trained_on.map(String::as_str))?;
    check_copies(bundle, folder, slice)?;
    let mut monitor = Monitor::load_to_calibrate(
        bundle,
        // Of regions all that a level may go by.
        &MonitorOptions { min_region_area: LEAST_AREA, max_regions: usize::MAX, ..MonitorOptions::default() },
    )?;
    let options = data::Options { slice: slice.clone(), reading: reading.clone(), ..Default::default() };
    let dataset = data::load(folder, &options)?;
    let names = |set: &LabelSet| set.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
    if names(&dataset.labels) != names(monitor.labels()) {
        let [data, bundle] = [dataset.labels.name, monitor.labels().name.clone()];
        return Err(CalibrationError::Labels { data, bundle });
    }
    let labels = given.map(|at| {
        let pairs = data::list(folder, slice, false)?.1.pairs;
        Ok::<_, CalibrationError>(at.open(folder, &pairs, monitor.labels())?)
    });
    let labels = labels.transpose()?;
    let (mut failure, mut error, mut anomaly) = (Vec::new(), Vec::new(), Vec::new());
    let mut maps = Vec::new();
    let wanted = Wanted { error_probability: true, anomaly_score: true, labels: true, ..Wanted::default() };
    for (place, sample) in dataset.samples.iter().enumerate() {
        let labels = labels.as_ref().map(|labels| labels.read(place)).transpose()?.map(|given| given.labels);
        let frame = Frame { labels, ..Frame::new(sample.image.clone()) };
        let assessment = monitor.process(&frame, wanted)?;
        failure.push(finite("a failure score", &sample.name, assessment.report.failure_score)?);
        let (Some(labels), Some(errors), Some(anomalies)) =
            (assessment.maps.labels, assessment.maps.error_probability, assessment.maps.anomaly_score)
        else {
            continue;
        };
        for (i, &truth) in sample.labels.as_raw().iter().enumerate() {
            if truth == IGNORE {
                continue;
            }
            anomaly.push(finite("an anomaly score", &sample.name, anomalies.data[i])?);
            if labels.as_raw()[i] == truth {
                error.push(finite("an error probability", &sample.name, errors.data[i])?);
            }
        }
        maps.push(anomalies.data);
    }
    if anomaly.is_empty() {
        return Err(CalibrationError::NoLabels { folder: folder.into(), slice: slice.to_string() });
    }
    let frames = failure.len();
    let [caution, anomalous_frame, certain, wrong, anomalous] = FALSE_ALARMS;
    let (limit, anomalous) = quantile(&mut anomaly, anomalous);
    let above = |map: &Vec<f32>| map.iter().filter(|&&score| score >= limit).count();
    let mut areas: Vec<f32> = maps.iter().map(|map| above(map) as f32 / map.len().max(1) as f32).collect();
    let (caution_limit, caution) = quantile(&mut failure, caution);
    let (failure_limit, certain) = quantile(&mut failure, certain);
    let (error_limit, wrong) = quantile(&mut error, wrong);
    let (area_limit, anomalous_frame) = quantile(&mut areas, anomalous_frame);
    let by_area = Thresholds {
        caution: caution_limit,
        failure: failure_limit,
        error: error_limit,
        anomaly: limit,
        anomaly_area: area_limit,
        things: None,
        drivable_margin: None,
        evidence: None,
        labels_of: given.map(GivenAt::name),
        guarantee: String::new(),
    };
    let (things, scores, by_frames, of_things) = match drives {
        None => (None, [caution_limit, failure_limit], caution + anomalous_frame, String::new()),
        Some(drives) => {
            monitor.set_thresholds(by_area.clone());
            let Learned { things, scores, promise } = things::learn(&monitor, drives)?;
            // Higher limits are reached by no more frames.
            (Some(things), scores, caution, format!("; {promise}"))
        }
    };
    let reason = if things.is_some() { " by the failure score" } else { "" };
    let name = folder.file_name().map_or_else(String::new, |name| format!("{} ", name.to_string_lossy()));
    let judged = given.map_or(String::new(), |at| format!(", labels of {}", at.name()));
    let [caution, failure] = scores;
    Ok(Thresholds {
        caution,
        failure,
        things,
        guarantee: format!(
            "on {frames} labelled frames {called} ({name}{slice}{judged}): CAUTION{reason} on at most {} % of frames, \
             FAILURE on at most {} %, {} % of right pixels in the error mask, {} % of ordinary pixels in \
             the anomaly mask{of_things}; counted on these frames, and no promise for others",
            percent(by_frames.min(1.)),
            percent(certain),
            percent(wrong),
            percent(anomalous)
        ),
        ..by_area
    })
}

/// A share in percent, rounded up to a hundredth: what is promised is no less than what holds.
fn percent(share: f64) -> f64 {
    (share * 1e4 - 1e-6).ceil() / 100.
}

fn finite(what: &'static str, image: &str, value: f32) -> Result<f32, CalibrationError> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(CalibrationError::NotFinite { what, image: image.into(), value }),
    }
}

/// The smallest limit that no more than the share `most` of the (finite) values reach, and the share that
/// can be promised: `most`, unless more of them are 1, above which there is no limit. Without values, 0,
/// which everything reaches.
fn quantile(values: &mut [f32], most: f64) -> (f32, f64) {
    values.sort_by(f32::total_cmp);
    let rank = (values.len() as f64 * (1. - most)).ceil() as usize;
    let limit = values.get(rank.clamp(1, values.len().max(1)) - 1).map_or(0., |v| v.next_up().clamp(0., 1.));
    let reached = values.iter().filter(|&&value| value >= limit).count();
    let share = reached as f64 / values.len().max(1) as f64;
    (limit, if share > most && limit >= 1. { share } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_leaves_out_the_share_above_it() {
        let mut values: Vec<f32> = (1..=100).rev().map(|v| v as f32 / 100.).collect();
        let (limit, promised) = quantile(&mut values, 0.05);
        assert_eq!((values.iter().filter(|&&v| v >= limit).count(), promised), (5, 0.05));
        assert_eq!(quantile(&mut values, 0.).0, 1.);
        assert_eq!(quantile(&mut [], 0.5), (0., 0.5));
    }

    #[test]
    fn where_scores_leave_no_room_for_a_limit_no_more_is_promised_than_holds() {
        assert_eq!(quantile(&mut [0.1, 1., 1., 1.], 0.05), (1., 0.75));
    }

    #[test]
    fn what_trained_a_network_is_read_from_what_the_bundle_says() {
        let samples = |name: &str, slice: &str| Seen::Samples(name.into(), slice.parse().unwrap());
        for (text, seen) in [
            ("street 0..2880; the encoder of M began from ImageNet", samples("street", "0..2880")),
            ("cityscapes128 0..2475, in sight of an M", samples("cityscapes128", "0..2475")),
            ("my data train:..8", samples("my data", "train:..8")),
            ("nothing", Seen::Nothing),
            ("not known: /a/b.pth", Seen::Unknown),
            ("Cityscapes", Seen::Unknown),
        ] {
            assert_eq!(Seen::parse(text), seen, "{text}");
        }
    }

    /// A hundred and ten images in CamVid's layout, whose folder is called `drive`.
    fn drive(folder: &Path) -> PathBuf {
        let drive = folder.join("drive");
        for part in ["train", "trainannot"] {
            std::fs::create_dir_all(drive.join(part)).unwrap();
            for i in 0..110 {
                std::fs::write(drive.join(part).join(format!("{i:03}.png")), "not looked at").unwrap();
            }
        }
        drive
    }

    #[test]
    fn images_that_trained_a_network_do_not_calibrate_it() {
        let folder = tempfile::tempdir().unwrap();
        let drive = drive(folder.path());
        let error = |slice: &str, trained_on: &str| {
            check(&drive, &slice.parse().unwrap(), &["nothing", trained_on]).unwrap_err().to_string()
        };
        let message = error("train:5..110", "drive train:..8; and more");
        assert!(
            message.contains("train:5..110: 3 of its images trained") && message.contains("005.png"),
            "{message}"
        );
        assert!(message.contains("(drive train:..8; and more)"), "{message}");
        // By another name of the same images; of a folder that has shrunk since.
        assert!(error("0..110", "drive train:100..2000").contains("10 of its images"));
    }

    #[test]
    fn a_copy_of_an_image_that_trained_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let drive = drive(folder.path());
        for i in 0..110 {
            std::fs::write(drive.join(format!("train/{i:03}.png")), format!("image {i}")).unwrap();
        }
        let start = folder.path().join("start");
        std::fs::create_dir(&start).unwrap();
        std::fs::write(start.join(SEEN), "0123456789abcdef\n").unwrap();
        remember(folder.path(), &drive, &"train:..8".parse().unwrap(), Some(&start)).unwrap();
        assert!(remembered(folder.path()).unwrap().contains("0123456789abcdef"));
        let other = folder.path().join("other");
        std::fs::rename(&drive, &other).unwrap();
        std::fs::rename(other.join("train/007.png"), other.join("train/109a.png")).unwrap();
        std::fs::rename(other.join("trainannot/007.png"), other.join("trainannot/109a.png")).unwrap();
        let check = |slice: &str| check_copies(folder.path(), &other, &slice.parse().unwrap());
        assert!(check("7..109").is_ok());
        let message = check("7..110").unwrap_err().to_string();
        assert!(
            message.contains("1 of its images trained a network") && message.contains("109a.png"),
            "{message}"
        );
        let all: Vec<PathBuf> = images(&other, &"0..".parse().unwrap()).unwrap().into_iter().collect();
        assert_eq!(count_seen(folder.path(), &all).unwrap(), 8);
        std::fs::remove_file(folder.path().join(SEEN)).unwrap();
        assert!(check("7..110").is_ok());
        assert_eq!(count_seen(folder.path(), &all).unwrap(), 0);
    }

    #[test]
    fn fewer_images_than_the_rate_needs_are_refused_with_the_number_that_would_do() {
        let folder = tempfile::tempdir().unwrap();
        let message = check(&drive(folder.path()), &"train:109..".parse().unwrap(), &["drive train:..8"]);
        let message = message.unwrap_err().to_string();
        assert!(message.contains("train:109..110") || message.contains("train:109.."), "{message}");
        assert!(message.contains("has 1 ") && message.contains("at least 100"), "{message}");
    }

    #[test]
    fn the_frames_are_called_what_is_known_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let drive = drive(folder.path());
        let called = |trained_on: &[&str]| check(&drive, &"train:8..".parse().unwrap(), trained_on).unwrap();
        assert_eq!(called(&["drive train:..8", "nothing"]), "that no network saw");
        assert_eq!(called(&["drive train:..8", "street 0..9"]), OTHER_NAME);
        assert_eq!(called(&["not known: a.pth", "street 0..9"]), UNKNOWN);
        assert_eq!(called(&["drive train:..8; M went on from a.safetensors", "street 0..9"]), UNKNOWN);
    }
}
