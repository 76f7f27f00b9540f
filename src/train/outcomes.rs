//! What a bundle says of labelled frames, beside the truth: computed once, kept in a file, and enough to choose
//! limits by and to try the choice out.

use std::path::Path;
use std::str::FromStr;

use image::GrayImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::calibration::{self, CalibrationError};
use crate::data::degradation::Degradation;
use crate::data::given::GivenAt;
use crate::data::{self, Reading, Slice};
use crate::frame::Frame;
use crate::frame::health::Health;
use crate::labels::{IGNORE, LabelSet, resize_labels};
use crate::metric::segmentation::Confusion;
use crate::model::bundle::{Bundle, BundleError, sha256};
use crate::monitor::assessment::Wanted;
use crate::monitor::margin;
use crate::monitor::pipeline::{Monitor, MonitorOptions};
use crate::whole_file;

/// Error probabilities are counted in so many steps: limits lie between them.
pub(crate) const STEPS: usize = 256;
/// Margins that there are, and what lies beyond all.
pub(crate) const DEPTHS: usize = margin::WIDEST as usize + 2;
/// Largest file that is read.
const MOST: u64 = 1 << 30;

/// One labelled frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The frame's name; what stands before its last `_` names the drive.
    pub name: String,
    /// Its failure score.
    pub failure_score: f32,
    /// The mean IoU that its labels truly have; none of a frame without labelled pixels.
    pub miou: Option<f64>,
    /// Wrong pixels by the step of their error probability.
    pub wrong: Vec<u32>,
    /// Right pixels by the step of theirs.
    pub right: Vec<u32>,
    /// Pixels that are falsely labelled drivable, at the working size, by how many steps they lie inside drivable labels:
    /// 0 (none), 1 and so on; the last are those beyond every margin.
    pub falsely_drivable: Vec<u32>,
    /// Share of the image above the anomaly limit.
    pub anomaly_area: f32,
    /// M's features, each the mean over the image.
    pub features: Vec<f32>,
    /// The camera's picture by itself.
    pub health: Health,
}

impl Outcome {
    /// The drive that it is a frame of.
    pub fn drive(&self) -> &str {
        self.name.rsplit_once('_').map_or("", |(drive, _)| drive)
    }

    /// The place of that drive: what stands before the first `_`.
    pub fn place(&self) -> &str {
        data::folds::drive(&self.name)
    }
}

/// Labelled frames of one data set, as one bundle sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    /// What stands behind the scores: a hash of weights and anomaly limit.
    pub scores_of: String,
    /// Name of the data set's folder, and the samples.
    pub data: String,
    /// SHA-256 of the images and labels.
    pub data_sha256: String,
    /// Whose labels were judged, if another segmenter's.
    pub labels_of: Option<String>,
    /// The frames, in the order of their names.
    pub frames: Vec<Outcome>,
}

impl Outcomes {
    /// Of the samples of `slice` in `folder`, none of which trained a network; with the labels that another segmenter has
    /// `given` of them, of those. `each` is called for every one.
    pub fn of(
        bundle: &Path,
        (folder, slice, reading): (&Path, &Slice, &Reading),
        given: Option<&GivenAt>,
        mut each: impl FnMut(usize),
    ) -> Result<Self, CalibrationError> {
        let scores_of = scores_of(bundle)?;
        let d = Bundle::open(bundle)?.description;
        let trained_on = [&d.segmentation.trained_on, &d.synthesis.trained_on, &d.comparison.trained_on];
        calibration::check(folder, slice, &trained_on.map(String::as_str))?;
        calibration::check_copies(bundle, folder, slice)?;
        let monitor = Monitor::load_to_calibrate(bundle, &MonitorOptions::default())?;
        let source = data::Source::open(folder, slice, false, reading)?;
        let names = |set: &LabelSet| set.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
        if names(&source.labels) != names(monitor.labels()) {
            let [data, bundle] = [source.labels.name, monitor.labels().name.clone()];
            return Err(CalibrationError::Labels { data, bundle });
        }
        let theirs =
            given.map(|given| given.open(folder, &source.pairs.pairs, monitor.labels())).transpose()?;
        let mut hashes = String::new();
        let mut frames = Vec::new();
        for (place, pair) in source.pairs.pairs.iter().enumerate() {
            for file in [&pair.image, &pair.labels] {
                hashes += &sha256(&fs_err::read(file)?);
            }
            let labels = theirs.as_ref().map(|theirs| theirs.read(place)).transpose()?;
            frames.push(outcome(&monitor, source.load(pair, None)?, labels.map(|given| given.labels))?);
            each(source.pairs.pairs.len());
        }
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self {
            scores_of,
            data: format!("{name} {slice}"),
            data_sha256: sha256(hashes.as_bytes()),
            labels_of: given.map(GivenAt::name),
            frames,
        })
    }

    /// Of the frames of drives in `folder`, without labels, each made worse to a degree where that is wanted.
    pub fn unlabelled(
        bundle: &Path,
        folder: &Path,
        worse: Option<Worse>,
        mut each: impl FnMut(usize),
    ) -> Result<Self, CalibrationError> {
        let scores_of = scores_of(bundle)?;
        let monitor = Monitor::load_to_calibrate(bundle, &MonitorOptions::default())?;
        let drives = data::sequence::drives(folder)?;
        let total = drives.iter().map(Vec::len).sum();
        let mut hashes = String::new();
        let mut frames = Vec::new();
        for (number, path) in
            (0..).zip(&drives).flat_map(|(number, drive)| drive.iter().map(move |p| (number, p)))
        {
            hashes += &sha256(&fs_err::read(path)?);
            let mut image = data::open_image(path)?;
            if let Some(Worse { by, strength }) = worse {
                // The same veil and the same spots all along a drive.
                let rng = &mut ChaCha8Rng::seed_from_u64(number);
                image = by.apply(&image, &GrayImage::new(image.width(), image.height()), strength, rng).0;
            }
            let labels = GrayImage::from_pixel(image.width(), image.height(), image::Luma([IGNORE]));
            let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            frames.push(outcome(&monitor, data::Sample { name, image, labels }, None)?);
            each(total);
        }
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let data = worse.map_or(name.clone(), |Worse { by, strength }| format!("{name}, {by} {strength}"));
        Ok(Self { scores_of, data, data_sha256: sha256(hashes.as_bytes()), labels_of: None, frames })
    }

    /// Reads what [`Outcomes::write`] wrote for a bundle of the same weights and anomaly limit.
    pub fn read(file: &Path, bundle: &Path) -> Result<Self, CalibrationError> {
        let unusable = |reason: String| CalibrationError::Scores { file: file.into(), reason };
        let read: Self = serde_json::from_slice(&whole_file::read(file, MOST)?)
            .map_err(|e| unusable(format!("no scores of labelled frames: {e}")))?;
        let expected = scores_of(bundle)?;
        if read.scores_of != expected {
            return Err(unusable(
                "its scores are of other weights or another anomaly limit than the bundle's".into(),
            ));
        }
        let calibrated = Bundle::open(bundle)?.description.calibration.and_then(|limits| limits.labels_of);
        if read.labels_of != calibrated {
            let whose = |of: &Option<String>| {
                of.as_ref()
                    .map_or("the bundle's own segmenter".to_owned(), |name| format!("{name} (--predictions)"))
            };
            return Err(unusable(format!(
                "its scores are of the labels of {}, and the bundle's limits are for those of {}",
                whose(&read.labels_of),
                whose(&calibrated)
            )));
        }
        let counted = |counts: &Vec<u32>| counts.len() == STEPS;
        let measured = |counts: &Vec<u32>| counts.len() == DEPTHS;
        match read.frames.iter().find(|f| {
            !(counted(&f.wrong)
                && counted(&f.right)
                && measured(&f.falsely_drivable)
                && f.failure_score.is_finite())
        }) {
            Some(frame) => Err(unusable(format!("frame {} is not whole", frame.name))),
            None => Ok(read),
        }
    }

    /// Writes them, whole or not at all.
    pub fn write(&self, file: &Path) -> Result<(), CalibrationError> {
        let text = serde_json::to_vec(self)
            .map_err(|e| CalibrationError::Scores { file: file.into(), reason: e.to_string() })?;
        Ok(whole_file::write(file, text)?)
    }
}

/// A degradation at a strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worse {
    /// Which.
    pub by: Degradation,
    /// From 0 to 1.
    pub strength: f32,
}

impl FromStr for Worse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no degradation at a strength; NAME=STRENGTH is one, as in fog=0.5");
        let (by, strength) = text.split_once('=').ok_or_else(wrong)?;
        let by = by.parse().map_err(|e: data::degradation::UnknownDegradation| e.to_string())?;
        let strength = strength.parse().ok().filter(|s| (0. ..=1.).contains(s)).ok_or_else(wrong)?;
        Ok(Self { by, strength })
    }
}

/// A hash of all that scores depend on.
fn scores_of(bundle: &Path) -> Result<String, BundleError> {
    let description = Bundle::open(bundle)?.description;
    let anomaly = description.calibration.as_ref().map(|limits| limits.anomaly);
    let parts = (description.weights(), description.anomaly, anomaly);
    Ok(sha256(format!("{parts:?}").as_bytes()))
}

fn outcome(
    monitor: &Monitor,
    sample: data::Sample,
    given: Option<GrayImage>,
) -> Result<Outcome, CalibrationError> {
    let health = Health::of(&sample.image);
    let wanted = Wanted { error_probability: true, labels: true, ..Wanted::default() };
    let assessment = monitor.process(&Frame { labels: given, ..Frame::new(sample.image) }, wanted)?;
    let (report, maps) = (assessment.report, assessment.maps);
    let labels = maps.labels.unwrap_or_default();
    let falsely_drivable = falsely_drivable(monitor, &labels, &sample.labels);
    let errors = maps.error_probability.map_or_else(Vec::new, |map| map.data);
    let truth = sample.labels.as_raw();
    let (mut wrong, mut right) = (vec![0; STEPS], vec![0; STEPS]);
    for ((&label, &error), &truth) in labels.iter().zip(&errors).zip(truth) {
        if truth != IGNORE && label != IGNORE {
            let counts = if label == truth { &mut right } else { &mut wrong };
            counts[((error * STEPS as f32) as usize).min(STEPS - 1)] += 1;
        }
    }
    let miou =
        Confusion::of(labels.as_raw(), truth, monitor.labels().len()).ok().and_then(|c| c.mean_iou_in_view());
    if !report.failure_score.is_finite() {
        let (what, value) = ("a failure score", report.failure_score);
        return Err(CalibrationError::NotFinite { what, image: sample.name, value });
    }
    Ok(Outcome {
        name: sample.name,
        failure_score: report.failure_score,
        miou,
        wrong,
        right,
        falsely_drivable,
        anomaly_area: report.anomaly_area,
        features: report.scene.map_or_else(Vec::new, |scene| scene.features),
        health,
    })
}

/// Pixels at the working size that are labelled drivable and are not, by their depth.
fn falsely_drivable(monitor: &Monitor, labels: &GrayImage, truth: &GrayImage) -> Vec<u32> {
    let mut counts = vec![0; DEPTHS];
    let Some(drivable) = monitor.drivable() else { return counts };
    let (height, width) = monitor.networks().size();
    let [labels, truth] =
        [labels, truth].map(|map| resize_labels(map.clone(), (width as u32, height as u32)));
    for (depth, &truth) in margin::depths(&labels, drivable).into_iter().zip(truth.as_raw()) {
        if depth > 0 && truth != IGNORE && !drivable[usize::from(truth)] {
            counts[(depth as usize).min(DEPTHS - 1)] += 1;
        }
    }
    counts
}
