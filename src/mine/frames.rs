//! Where frames to choose from come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::Deserialize;

use super::choose::{Candidate, best};
use super::{Limits, MineError};
use crate::bag::camera::camera_image;
use crate::bag::reader::{Reader, Wish};
use crate::data::{self, Slice, folds};
use crate::replay::{LINES, SUMMARY};
use crate::whole_file;

/// Frames to choose from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Those of a data set; their labels, if there are any, are not asked for.
    Data {
        /// Its folder.
        folder: PathBuf,
        /// Which.
        slice: Slice,
    },
    /// Frames of recordings, by the results of their replays.
    Results(Vec<Replayed>),
}

/// A result of a replay, and which of its frames are worth a second look.
#[derive(Clone, Debug)]
pub struct Replayed {
    bags: Vec<PathBuf>,
    topic: String,
    /// The drive of each bag.
    drives: Vec<String>,
    /// Place of the recording and time of each frame.
    frames: BTreeMap<(usize, i64), ()>,
}

/// A frame, read.
pub(super) struct Taken {
    /// Its name, for files.
    pub name: String,
    /// The drive that it is of, for folders.
    pub drive: String,
    /// Seconds, or its place in the data set.
    pub time: f64,
    /// As the camera saw it.
    pub image: RgbImage,
}

/// What is needed of summary.json.
#[derive(Deserialize)]
struct Summary {
    topic: String,
    header: Header,
}

#[derive(Deserialize)]
struct Header {
    recordings: Vec<Recording>,
}

#[derive(Deserialize)]
struct Recording {
    path: PathBuf,
}

/// What is needed of a line of report.jsonl.
#[derive(Deserialize)]
struct Line {
    time: i64,
    recording: Option<usize>,
    report: Report,
}

#[derive(Deserialize)]
struct Report {
    failure_score: Option<f32>,
    error_area: Option<f32>,
    anomaly_area: Option<f32>,
}

/// Frames that get a second look, for each that may be chosen.
const LOOKS: usize = 8;
/// Largest file of a result.
const LARGEST: u64 = 1 << 32;

impl Replayed {
    /// The result in `folder`. The recordings that it names must still be there.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, MineError> {
        let wrong = |name: &str, reason: String| MineError::Result { path: folder.join(name), reason };
        let text = whole_file::read(&folder.join(SUMMARY), LARGEST)?;
        let Summary { topic, header } =
            serde_json::from_slice(&text).map_err(|e| wrong(SUMMARY, e.to_string()))?;
        let bags: Vec<PathBuf> = header.recordings.into_iter().map(|recording| recording.path).collect();
        if let Some(lost) = bags.iter().find(|bag| !bag.exists()) {
            let reason = format!("its recording {} is not there any more", lost.display());
            return Err(wrong(SUMMARY, reason));
        }
        let drive =
            |bag: &PathBuf| bag.file_stem().map_or("recording".into(), |stem| stem.to_string_lossy().into());
        let drives: Vec<String> = bags.iter().map(drive).collect();
        let text = whole_file::read(&folder.join(LINES), LARGEST)?;
        let (mut candidates, mut keys) = (Vec::new(), Vec::new());
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|e| wrong(LINES, e.to_string()))?;
            // A report without a frame.
            let Some(recording) = line.recording else { continue };
            let drive = drives.get(recording).cloned().ok_or_else(|| {
                wrong(LINES, format!("recording {recording} is none of the {} in {SUMMARY}", drives.len()))
            })?;
            let Report { failure_score, error_area, anomaly_area } = line.report;
            let evidence = [failure_score, error_area, anomaly_area].map(|score| score.unwrap_or(f32::NAN));
            let (name, time) = (line.time.to_string(), line.time as f64 / 1e9);
            candidates.push(Candidate { name, drive, time, evidence, features: Vec::new() });
            keys.push((recording, line.time));
        }
        let looks = best(&candidates, LOOKS.saturating_mul(limits.most), limits.gap);
        Ok(Self { bags, topic, drives, frames: looks.into_iter().map(|i| (keys[i], ())).collect() })
    }
}

impl Source {
    /// How many frames there are.
    pub fn count(&self) -> Result<usize, MineError> {
        Ok(match self {
            Self::Data { folder, slice } => data::list(folder, slice, true)?.1.pairs.len(),
            Self::Results(results) => results.iter().map(|result| result.frames.len()).sum(),
        })
    }

    /// Reads each frame that is `wanted`, by drive and name, and calls `with`.
    pub(super) fn each(
        &self,
        wanted: impl Fn(&str, &str) -> bool,
        mut with: impl FnMut(Taken) -> Result<(), MineError>,
    ) -> Result<(), MineError> {
        match self {
            Self::Data { folder, slice } => {
                for (place, pair) in data::list(folder, slice, true)?.1.pairs.iter().enumerate() {
                    let drive = folds::drive(&pair.name).replace('/', "_");
                    let name = pair.name.rsplit('/').next().unwrap_or(&pair.name).to_owned();
                    if wanted(&drive, &name) {
                        let image = data::open_image(&pair.image)?;
                        with(Taken { name, drive, time: place as f64, image })?;
                    }
                }
                Ok(())
            }
            Self::Results(results) => results.iter().try_for_each(|result| result.each(&wanted, &mut with)),
        }
    }
}

impl Replayed {
    fn each(
        &self,
        wanted: &impl Fn(&str, &str) -> bool,
        with: &mut impl FnMut(Taken) -> Result<(), MineError>,
    ) -> Result<(), MineError> {
        let wish = Wish { topics: vec![self.topic.clone()], kinds: Vec::new() };
        let mut reader = Reader::open(&self.bags, &wish)?;
        while let Some(message) = reader.next() {
            let recording = reader.recording().unwrap_or_default();
            let (name, drive) = (message.stamp.to_string(), self.drives[recording].clone());
            if !self.frames.contains_key(&(recording, message.stamp)) || !wanted(&drive, &name) {
                continue;
            }
            let image = camera_image(&message.kind, &message.data)?;
            let image = image.decode().map_err(|error| MineError::Frame { name: name.clone(), error })?;
            with(Taken { name, drive, time: message.stamp as f64 / 1e9, image })?;
        }
        Ok(())
    }
}
