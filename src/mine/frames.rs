//! Where frames to choose from come from.

use std::collections::BTreeSet;
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
    /// Frames of recordings, by the results of their replays; see [`Source::of_results`].
    Results(Vec<Replayed>),
}

/// A result of a replay, and which of its frames are worth a second look.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The name of its folder.
    name: String,
    bags: Vec<PathBuf>,
    topic: String,
    /// The drive of each bag.
    drives: Vec<String>,
    /// Place of the recording and time of each frame.
    frames: BTreeSet<(usize, i64)>,
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
        let drives: Vec<String> = bags.iter().map(|bag| stem(bag)).collect();
        let text = whole_file::read(&folder.join(LINES), LARGEST)?;
        let (mut candidates, mut keys) = (Vec::new(), Vec::new());
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|e| wrong(LINES, e.to_string()))?;
            // A report without a frame.
            let Some(recording) = line.recording else { continue };
            if recording >= drives.len() {
                let there = drives.len();
                let reason = format!("recording {recording} is none of the {there} in {SUMMARY}");
                return Err(wrong(LINES, reason));
            }
            // Two may have one name.
            let drive = recording.to_string();
            let Report { failure_score, error_area, anomaly_area } = line.report;
            let evidence = [failure_score, error_area, anomaly_area].map(|score| score.unwrap_or(f32::NAN));
            let (name, time) = (line.time.to_string(), line.time as f64 / 1e9);
            candidates.push(Candidate { name, drive, time, evidence, features: Vec::new() });
            keys.push((recording, line.time));
        }
        let looks = best(&candidates, LOOKS.saturating_mul(limits.most), limits.gap);
        let (name, frames) = (stem(folder), looks.into_iter().map(|i| keys[i]).collect());
        Ok(Self { name, bags, topic, drives, frames })
    }
}

/// What files of it are named by.
fn stem(path: &Path) -> String {
    path.file_stem().map_or("recording".into(), |stem| stem.to_string_lossy().into())
}

impl Source {
    /// Frames of the recordings of these results. Every camera of every recording has a drive of its own, also where
    /// names of files are the same, and a frame that several results name is taken once.
    pub fn of_results(mut results: Vec<Replayed>) -> Self {
        let mut drives: Vec<((PathBuf, String), String)> = Vec::new();
        let mut taken = BTreeSet::new();
        for result in &mut results {
            for (bag, drive) in result.bags.iter().zip(&mut result.drives) {
                let camera = (bag.canonicalize().unwrap_or_else(|_| bag.clone()), result.topic.clone());
                let known = drives.iter().find(|(known, _)| *known == camera).map(|(_, name)| name.clone());
                *drive = known.unwrap_or_else(|| {
                    let longer = format!("{drive}_{}", result.name);
                    let numbered = (2..).map(|number| format!("{longer}_{number}"));
                    let mut names = [drive.clone(), longer.clone()].into_iter().chain(numbered);
                    let is_free = |name: &String| drives.iter().all(|(_, other)| other != name);
                    let name = names.find(is_free).unwrap_or_default();
                    drives.push((camera, name.clone()));
                    name
                });
            }
            let drives = &result.drives;
            result.frames.retain(|&(recording, time)| taken.insert((drives[recording].clone(), time)));
        }
        Self::Results(results)
    }

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
        let mut taken = BTreeSet::new();
        while let Some(message) = reader.next() {
            let recording = reader.recording().unwrap_or_default();
            let (name, drive) = (message.stamp.to_string(), self.drives[recording].clone());
            let frame = (recording, message.stamp);
            // Of several that were recorded at one time, the first.
            if !self.frames.contains(&frame) || !wanted(&drive, &name) || !taken.insert(frame) {
                continue;
            }
            let image = camera_image(&message.kind, &message.data)?;
            let image = image.decode().map_err(|error| MineError::Frame { name: name.clone(), error })?;
            with(Taken { name, drive, time: message.stamp as f64 / 1e9, image })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::cdr::encode;
    use crate::bag::message::{Image, Message as _};
    use crate::bag::writer::{BagWriter, Offer};

    fn replayed(name: &str, bags: &[&Path], topic: &str, frames: &[(usize, i64)]) -> Replayed {
        Replayed {
            name: name.to_owned(),
            bags: bags.iter().map(|bag| bag.to_path_buf()).collect(),
            topic: topic.to_owned(),
            drives: bags.iter().map(|bag| stem(bag)).collect(),
            frames: frames.iter().copied().collect(),
        }
    }

    #[test]
    fn drives_of_one_name_are_told_apart_and_no_frame_is_taken_twice() {
        let [a, b] = ["a/drive_0.mcap", "b/drive_0.mcap"].map(Path::new);
        let source = Source::of_results(vec![
            replayed("out", &[a, b], "/image", &[(0, 1), (1, 1)]),
            replayed("out", &[b, a], "/image", &[(0, 1), (0, 2), (1, 1)]),
            replayed("out", &[a], "/rear", &[(0, 1)]),
        ]);
        let Source::Results(results) = source else { panic!("no results") };
        let drives = results.iter().map(|result| result.drives.clone()).collect::<Vec<_>>();
        let [first, second, third] = ["drive_0", "drive_0_out", "drive_0_out_2"];
        assert_eq!(drives, [vec![first, second], vec![second, first], vec![third]]);
        let frames = results.iter().map(|result| result.frames.iter().copied().collect::<Vec<_>>());
        let frames = frames.collect::<Vec<_>>();
        assert_eq!(frames, [vec![(0, 1), (1, 1)], vec![(0, 2)], vec![(0, 1)]]);
    }

    #[test]
    fn of_frames_that_were_recorded_at_one_time_the_first_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.mcap");
        let mut bag = BagWriter::create(&path).unwrap();
        let topic = bag.topic("/image", Image::DEFINITION, Offer::SensorData).unwrap();
        for (time, value) in [(1, 10), (1, 20), (2, 30)] {
            let image = Image {
                height: 2,
                width: 2,
                encoding: "rgb8".to_owned(),
                step: 6,
                data: vec![value; 12],
                ..Image::default()
            };
            bag.write_encoded(topic, time, &encode(&image).unwrap()).unwrap();
        }
        bag.finish().unwrap();
        let source =
            Source::of_results(vec![replayed("out", &[path.as_path()], "/image", &[(0, 1), (0, 2)])]);
        let mut seen = Vec::new();
        let with = |taken: Taken| {
            seen.push((taken.name, taken.image.get_pixel(0, 0).0[0]));
            Ok(())
        };
        source.each(|_, _| true, with).unwrap();
        assert_eq!(seen, [("1".to_owned(), 10), ("2".to_owned(), 30)]);
    }
}
