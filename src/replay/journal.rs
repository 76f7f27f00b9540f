//! What a replay keeps of the frames it has assessed, so that one that was interrupted goes on.
//!
//! ```text
//! form and header | scene, report | scene, report | ...   each: length, CRC-32, bytes; what is not whole is cut off
//! ```
//!
//! The scene, which no report holds, is what the calibration is compared with: the count of its numbers (0 where there
//! is none), brightness, features.
//!
//! A replay that goes on takes the whole way again, through the same stream; only the networks are not asked
//! for what they have answered.

use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::{File, OpenOptions};
use serde::Deserialize;
use serde_json::json;

use super::ReplayError;
use super::header::Header;
use crate::bag::cdr::{decode, encode};
use crate::bag::message::{AnomalyRegion, ClassScore, MonitorReport};
use crate::monitor::assessment::{self, Assessment, Latency, Maps, Mode, Region, Report, Scene};
use crate::watch::validity::Validity;

/// Journals of another form are refused.
const FORM: u32 = 2;
/// Largest record, in bytes.
const LARGEST: u32 = 1 << 26;

/// The journal, at first read and then written.
pub(super) struct Journal {
    path: PathBuf,
    /// What was written before, as long as something of it is left.
    past: Option<Past>,
    file: File,
}

/// What a journal begins with.
#[derive(Deserialize)]
struct Begin {
    form: u32,
    header: Header,
}

struct Past {
    reader: BufReader<File>,
    /// Where the last whole record ends.
    end: u64,
}

impl Past {
    fn record(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut prefix = [0; 8];
        let (length, sum) = prefix.split_at_mut(4);
        if self.reader.read_exact(length).and_then(|()| self.reader.read_exact(sum)).is_err() {
            return Ok(None);
        }
        let word =
            |at: usize| u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
        let (length, sum) = (word(0), word(4));
        let mut bytes = Vec::new();
        if length <= LARGEST {
            (&mut self.reader).take(u64::from(length)).read_to_end(&mut bytes)?;
        }
        let whole = bytes.len() == length as usize && crc32fast::hash(&bytes) == sum;
        self.end += if whole { 8 + u64::from(length) } else { 0 };
        Ok(whole.then_some(bytes))
    }
}

impl Journal {
    /// Begins one.
    pub(super) fn create(path: &Path, header: &Header) -> Result<Self, ReplayError> {
        let mut journal = Self { path: path.to_owned(), past: None, file: File::create(path)? };
        let begin = json!({ "form": FORM, "header": header });
        journal.write(&serde_json::to_vec(&begin).map_err(std::io::Error::from)?)?;
        Ok(journal)
    }

    /// Goes on with the one at `path`, or begins it. One that is of another replay is refused.
    pub(super) fn resume(path: &Path, header: &Header) -> Result<Self, ReplayError> {
        if !path.exists() {
            return Self::create(path, header);
        }
        let mut past = Past { reader: BufReader::new(File::open(path)?), end: 0 };
        let Some(bytes) = past.record()? else { return Self::create(path, header) };
        let earlier = serde_json::from_slice::<Begin>(&bytes).ok().filter(|earlier| earlier.form == FORM);
        let difference = match &earlier {
            Some(earlier) => header.difference(&earlier.header),
            None => Some("its form".to_owned()),
        };
        if let Some(what) = difference {
            return Err(ReplayError::Another { path: path.to_owned(), what });
        }
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self { path: path.to_owned(), past: Some(past), file })
    }

    /// What was said of the next frame, and its scene, if it was assessed before.
    pub(super) fn next(&mut self) -> Result<Option<(MonitorReport, Option<Scene>)>, ReplayError> {
        let Some(past) = &mut self.past else { return Ok(None) };
        let end = past.end;
        if let Some(entry) = past.record()?.and_then(|bytes| entry(&bytes)) {
            return Ok(Some(entry));
        }
        self.past = None;
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok(None)
    }

    /// Keeps what was said of a frame that had not been assessed before.
    pub(super) fn add(&mut self, report: &MonitorReport, scene: Option<&Scene>) -> Result<(), ReplayError> {
        let numbers = scene.map_or(Vec::new(), |scene| [&[scene.brightness][..], &scene.features].concat());
        let mut bytes = (numbers.len() as u32).to_le_bytes().to_vec();
        bytes.extend(numbers.into_iter().flat_map(f32::to_le_bytes));
        bytes.extend(encode(report)?);
        self.write(&bytes)
    }

    /// The replay is complete.
    pub(super) fn done(self) -> Result<(), ReplayError> {
        Ok(fs_err::remove_file(self.path)?)
    }

    /// In one go, so that what a killed process leaves lacks no more than the last record.
    fn write(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let mut record = Vec::with_capacity(8 + bytes.len());
        record.extend((bytes.len() as u32).to_le_bytes());
        record.extend(crc32fast::hash(bytes).to_le_bytes());
        record.extend(bytes);
        Ok(self.file.write_all(&record)?)
    }
}

/// A record's report and scene.
fn entry(bytes: &[u8]) -> Option<(MonitorReport, Option<Scene>)> {
    let (count, rest) = bytes.split_first_chunk()?;
    let (numbers, report) = rest.split_at_checked(4 * u32::from_le_bytes(*count) as usize)?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let mut numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
    let scene = numbers.next().map(|brightness| Scene { brightness, features: numbers.collect() });
    Some((decode(report).ok()?, scene))
}

/// What the assessor came to when it made this report on this scene.
pub(super) fn outcome(report: MonitorReport, scene: Option<Scene>) -> Result<Assessment, String> {
    let degraded = report.validity == Validity::Degraded as u8;
    if !degraded && report.validity != Validity::Ok as u8 {
        return Err(report.reason);
    }
    let report = Report {
        mode: if degraded { Mode::LogitsOnly } else { Mode::Full },
        failure_score: report.failure_score,
        predicted_miou: report.predicted_miou,
        error_area: report.error_area,
        anomaly_area: report.anomaly_area,
        unlabelled_area: report.unlabelled_area,
        latency: Latency {
            segment: millis(report.latency_segment_ms),
            synthesize: millis(report.latency_synthesize_ms),
            compare: millis(report.latency_compare_ms),
            score: millis(report.latency_score_ms),
            ..Latency::default()
        },
        classes: report.classes.into_iter().map(class).collect(),
        regions: report.regions.into_iter().map(region).collect(),
        scene,
    };
    Ok(Assessment { report, maps: Maps::default() })
}

/// A time in milliseconds; none of a stage that did not run.
pub(super) fn millis(millis: f32) -> Duration {
    Duration::try_from_secs_f32(millis / 1e3).unwrap_or_default()
}

fn class(score: ClassScore) -> assessment::ClassScore {
    let ClassScore { class_id, class_name, predicted_iou, presence, pixel_share, present } = score;
    assessment::ClassScore { class_id, class_name, predicted_iou, presence, pixel_share, present }
}

fn region(region: AnomalyRegion) -> Region {
    Region {
        x: region.x,
        y: region.y,
        width: region.width,
        height: region.height,
        centroid: (region.centroid_x, region.centroid_y),
        area: region.area,
        mean_score: region.mean_score,
        peak_score: region.peak_score,
        class_id: region.class_id,
        probability: region.probability,
        on_road: region.on_road,
        // The stream follows it anew, and comes to the same.
        track: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::replay::header::BundleFacts;

    fn header(version: &str) -> Header {
        let bundle = BundleFacts {
            name: String::new(),
            sha256: String::new(),
            weights: BTreeMap::new(),
            networks: String::new(),
        };
        let (recordings, labels) = (Vec::new(), None);
        let (configuration, configuration_sha256) = (BTreeMap::new(), String::new());
        Header {
            version: version.to_owned(),
            recordings,
            labels,
            bundle,
            configuration,
            configuration_sha256,
        }
    }

    #[test]
    fn wherever_it_was_cut_the_whole_reports_before_are_read_and_more_follow_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let report = |received: u64| MonitorReport { frames_received: received, ..MonitorReport::default() };
        let scene = |received: u64| {
            (received > 0).then(|| Scene { brightness: received as f32 / 3., features: vec![0.1, 7e-9] })
        };
        let mut journal = Journal::create(&path, &header("1")).unwrap();
        let mut ends = vec![std::fs::metadata(&path).unwrap().len()];
        for received in 0..3 {
            journal.add(&report(received), scene(received).as_ref()).unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
        let bytes = std::fs::read(&path).unwrap();
        for length in ends[0]..=ends[3] {
            std::fs::write(&path, &bytes[..length as usize]).unwrap();
            let mut journal = Journal::resume(&path, &header("1")).unwrap();
            let mut read = 0;
            while let Some((found, seen)) = journal.next().unwrap() {
                assert_eq!((found.frames_received, &seen), (read, &scene(read)));
                assert_eq!(outcome(found, seen).unwrap().report.scene, scene(read));
                read += 1;
            }
            assert_eq!(read as usize, ends.iter().filter(|&&end| end <= length).count() - 1);
            for received in read..3 {
                journal.add(&report(received), scene(received).as_ref()).unwrap();
            }
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        let error = Journal::resume(&path, &header("2")).err().unwrap().to_string();
        assert!(error.contains("version"), "{error}");
        // As it was before there were scenes.
        let mut before = Journal { path: path.clone(), past: None, file: File::create(&path).unwrap() };
        before.write(&serde_json::to_vec(&header("1")).unwrap()).unwrap();
        let error = Journal::resume(&path, &header("1")).err().unwrap().to_string();
        assert!(error.contains("its form"), "{error}");
    }
}
