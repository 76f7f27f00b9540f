//! What a result holds, as far as it can decide anything: a few numbers a report.
//!
//! A result is the folder of a replay, or any recording in which somebody's reports are, a robot's own as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::limits::MILLISECOND;
use super::scenario::Severity;
use crate::bag::BagError;
use crate::bag::cdr::{decode, decode_part};
use crate::bag::message::{CompressedImage, Message as _, MonitorReport, Time};
use crate::bag::reader::{Message, Reader, Topic, Wish, notes, topics};
use crate::replay::{BAG, BEGUN, ENDED, SUMMARY};
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;
use crate::whole_file;

const DIAGNOSTICS: &str = "diagnostic_msgs/msg/DiagnosticArray";
/// Rises of the level whose pictures are kept.
pub(super) const PICTURED: usize = 24;
/// Rises whose pictures may still come.
const RECENT: usize = 4;
/// A larger picture is left out, as is one that is no JPEG.
const MOST_OF_A_PICTURE: usize = 2 << 20;
const JPEG: [u8; 2] = [0xff, 0xd8];
/// A larger summary is none.
const MOST_BYTES: u64 = 64 << 20;

/// Why a result cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// It is no recording.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// Its summary.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The summary is not JSON.
    #[error("{}: {reason}", path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: serde_json::Error,
    },
    /// No reports, or not those.
    #[error("{} has no reports on {wanted}; it has {found}", path.display())]
    NoReports {
        /// The result.
        path: PathBuf,
        /// The topic.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// Several monitors.
    #[error("{} has the reports of several monitors; --topic takes one of {found}", path.display())]
    Several {
        /// The result.
        path: PathBuf,
        /// They.
        found: String,
    },
}

/// A report: on a frame, or that there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The frame's number, from 1; that of the last frame where there is none.
    pub number: u64,
    /// Nanoseconds since the beginning of the recording.
    pub time: i64,
    /// The same, when the report was given: a replay has it at the time of its frame, and says how long it took.
    pub said: i64,
    /// The header's stamp.
    pub stamp: Time,
    /// Whether the scores may be used.
    pub validity: Validity,
    /// Why not.
    pub reason: String,
    /// After debouncing.
    pub level: Level,
    /// As in the report; NaN where there is none.
    pub failure_score: f32,
    /// As in the report; NaN where there is none.
    pub predicted_miou: f32,
    /// As in the report; NaN where there is none.
    pub error_area: f32,
    /// As in the report; NaN where there is none.
    pub anomaly_area: f32,
    /// What the largest anomalous region was taken for; empty without a region.
    pub taken_for: Arc<str>,
    /// As in the report; NaN where there is none.
    pub latency_ms: f32,
    /// Frames dropped, or given up for want of labels, since the report before.
    pub dropped: u64,
    /// Classes in view, as places in [`Evidence::classes`], and their predicted IoU.
    classes: Box<[(u16, f32)]>,
}

impl Sighting {
    /// In seconds.
    pub fn seconds(&self) -> f64 {
        self.time as f64 / 1e9
    }

    /// Whether there are scores.
    pub(super) fn is_scored(&self) -> bool {
        matches!(self.validity, Validity::Ok | Validity::Degraded)
    }

    /// The predicted IoU of a class in view.
    pub(super) fn predicted_iou(&self, class: u16) -> Option<f32> {
        self.classes.iter().find(|(seen, _)| *seen == class).map(|(_, iou)| *iou)
    }
}

/// A rise of the level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rise {
    /// The report's place among the sightings.
    pub place: usize,
    /// The frame as the camera saw it, a JPEG file.
    pub image: Option<Vec<u8>>,
    /// The frame as an operator sees it, a JPEG file.
    pub overlay: Option<Vec<u8>>,
}

/// A message of a status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    pub time: i64,
    pub name: String,
    pub severity: Severity,
    pub message: String,
}

/// What a result holds.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// All reports in order.
    pub sightings: Vec<Sighting>,
    /// The last report on a frame: bundle, limits, counts.
    pub last: Option<MonitorReport>,
    /// The classes of the bundle.
    pub classes: Vec<String>,
    /// When the recording begins, in nanoseconds since 1970.
    pub begin: i64,
    /// From when to when there should be reports, in nanoseconds since then.
    pub span: (i64, i64),
    /// Whether the result came to its end.
    pub complete: bool,
    /// What was lost, of the recording and of the result.
    pub lost: u64,
    /// The replay's own summary; null of other recordings.
    pub summary: Value,
    /// Every rise of the level; the first ones with pictures.
    pub(super) rises: Vec<Rise>,
    pub(super) statuses: Vec<Status>,
    /// Names of all statuses.
    pub(super) status_names: BTreeSet<String>,
}

/// What a picture of a frame shows.
#[derive(Clone, Copy)]
enum Picture {
    Image,
    Overlay,
}

impl Picture {
    /// The topics beside that of the reports.
    fn topics(reports: &str) -> [String; 2] {
        let namespace = reports.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        ["image", "overlay"].map(|name| format!("{namespace}/{name}/compressed"))
    }

    fn of(message: &Message, topics: &[String; 2]) -> Option<Self> {
        let is =
            |topic: &String| &*message.kind == CompressedImage::DEFINITION.name && *message.topic == **topic;
        match topics.each_ref().map(is) {
            [true, _] => Some(Self::Image),
            [_, true] => Some(Self::Overlay),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct DiagnosticArray {
    _header: crate::bag::message::Header,
    status: Vec<DiagnosticStatus>,
}

#[derive(Deserialize)]
struct DiagnosticStatus {
    level: u8,
    name: String,
    message: String,
    _hardware_id: String,
    _values: Vec<(String, String)>,
}

impl Evidence {
    /// Reads a result: `topic` chooses among several monitors' reports, and of diagnostics the statuses
    /// `wanted` are kept.
    pub fn read(result: &Path, topic: Option<&str>, wanted: &[&str]) -> Result<Self, EvidenceError> {
        let folder = replay_folder(result);
        let bag = folder.map_or(result.to_owned(), |folder| folder.join(BAG));
        let bags = [bag];
        let topic = reports_topic(result, &topics(&bags)?, topic)?;
        let pictures = Picture::topics(&topic);
        let wish =
            Wish { topics: [&[topic.clone()][..], &pictures].concat(), kinds: vec![DIAGNOSTICS.to_owned()] };
        let mut reader = Reader::open(&bags, &wish)?;
        let summary = folder.map_or(Ok(Value::Null), summary)?;
        let begin = summary["begin"].as_i64().or(reader.start()).unwrap_or(0);
        // A replay's own recording may lie anywhere.
        let is_replay = folder.is_some() || !notes(result, BEGUN)?.is_empty();
        let mut evidence = Self {
            sightings: Vec::new(),
            last: None,
            classes: Vec::new(),
            begin,
            span: (0, 0),
            // Of a replay that was killed, summary and end are missing.
            complete: match folder {
                Some(_) => summary["complete"] == true,
                None => !is_replay || has_end(result)?,
            },
            lost: 0,
            summary,
            rises: Vec::new(),
            statuses: Vec::new(),
            status_names: BTreeSet::new(),
        };
        // Of a robot, what was lost before its recording began is nobody's here.
        let mut gone = is_replay.then_some(0);
        for message in reader.by_ref() {
            let read = if *message.topic == *topic {
                decode::<MonitorReport>(&message.data).map(|report| {
                    let now = report.frames_dropped.saturating_add(report.frames_unmatched);
                    let dropped = now.saturating_sub(gone.replace(now).unwrap_or(now));
                    evidence.add(&message, report, dropped, is_replay);
                })
            } else if let Some(picture) = Picture::of(&message, &pictures) {
                decode::<CompressedImage>(&message.data).map(|image| evidence.illustrate(picture, image))
            } else if &*message.kind == DIAGNOSTICS {
                let array = decode_part::<DiagnosticArray>(&message.data, DIAGNOSTICS);
                array.map(|array| evidence.diagnose(&message, array, wanted))
            } else {
                Ok(())
            };
            evidence.lost += u64::from(read.is_err());
        }
        evidence.lost += reader.losses().count() + evidence.summary["lost"].as_u64().unwrap_or(0);
        evidence.span = evidence.span_of(reader.end(), folder.is_some());
        Ok(evidence)
    }

    /// From when to when there should be reports: of a replay what was selected, of a recording that ends at `end`
    /// all of it.
    fn span_of(&self, end: Option<i64>, is_replay: bool) -> (i64, i64) {
        let time = |sighting: Option<&Sighting>| sighting.map_or(0, |sighting| sighting.time);
        let (first, last) = (time(self.sightings.first()), time(self.sightings.last()));
        let selected =
            |place: usize| Some(self.summary["selected"][place].as_i64()?.saturating_sub(self.begin));
        match (selected(0), selected(1)) {
            (Some(from), Some(to)) => (from, to),
            // One of an older version does not say.
            _ if is_replay => (first, last),
            _ => (0, end.map_or(last, |end| end.saturating_sub(self.begin))),
        }
    }

    fn add(&mut self, message: &Message, report: MonitorReport, dropped: u64, is_replay: bool) {
        let validity = Validity::from_number(report.validity);
        if self.classes.is_empty() {
            self.classes = report.classes.iter().map(|class| class.class_name.clone()).collect();
        }
        let (number, taken_for) =
            self.sightings.last().map_or((0, Arc::from("")), |last| (last.number, last.taken_for.clone()));
        let level = Level::from_number(report.level);
        if self.sightings.last().is_some_and(|last| last.level < level) {
            self.rises.push(Rise { place: self.sightings.len(), image: None, overlay: None });
        }
        let region = report.regions.first().map_or("", |region| region.class_name.as_str());
        let time = message.stamp.saturating_sub(self.begin);
        // A robot's report was recorded when it was given, as one is of a replay that there is no frame.
        let waited = f64::from(report.since_arrival_ms).max(0.0) * MILLISECOND;
        let waited = if is_replay && validity.is_on_an_image() { waited.round() as i64 } else { 0 };
        let in_view = report.classes.iter().zip(0..).filter(|(class, _)| class.present);
        self.sightings.push(Sighting {
            number: number + u64::from(validity.is_on_an_image()),
            time,
            said: time.saturating_add(waited),
            stamp: report.header.stamp,
            validity,
            reason: report.reason.clone(),
            level,
            failure_score: report.failure_score,
            predicted_miou: report.predicted_miou,
            error_area: report.error_area,
            anomaly_area: report.anomaly_area,
            taken_for: if *taken_for == *region { taken_for } else { Arc::from(region) },
            latency_ms: report.latency_total_ms,
            dropped,
            classes: in_view.map(|(class, place)| (place, class.predicted_iou)).collect(),
        });
        if validity.is_on_an_image() || self.last.is_none() {
            self.last = Some(report);
        }
    }

    /// Keeps a picture of a frame at which the level has just risen.
    fn illustrate(&mut self, picture: Picture, image: CompressedImage) {
        // Pictures come after their report.
        let recent = self.rises.iter_mut().take(PICTURED).rev().take(RECENT);
        let stamp = image.header.stamp;
        let sightings = &self.sightings;
        let Some(rise) = recent.into_iter().find(|rise| sightings[rise.place].stamp == stamp) else { return };
        if image.data.starts_with(&JPEG) && image.data.len() <= MOST_OF_A_PICTURE {
            match picture {
                Picture::Image => rise.image = Some(image.data),
                Picture::Overlay => rise.overlay = Some(image.data),
            }
        }
    }

    fn diagnose(&mut self, message: &Message, array: DiagnosticArray, wanted: &[&str]) {
        for DiagnosticStatus { level, name, message: said, .. } in array.status {
            if wanted.contains(&name.as_str()) {
                let severity = match level {
                    0 => Severity::Ok,
                    1 => Severity::Warn,
                    2 => Severity::Error,
                    _ => Severity::Stale,
                };
                let time = message.stamp.saturating_sub(self.begin);
                self.statuses.push(Status { time, name: name.clone(), severity, message: said });
            }
            self.status_names.insert(name);
        }
    }

    /// Frames, whether they could be assessed or not.
    pub fn frames(&self) -> u64 {
        self.sightings.last().map_or(0, |last| last.number)
    }
}

/// The folder of a replay, which may be named by the recording in it.
pub fn replay_folder(result: &Path) -> Option<&Path> {
    match result.is_dir() {
        true => result.join(BAG).is_file().then_some(result),
        false => result.parent().filter(|folder| result.ends_with(BAG) && folder.join(SUMMARY).is_file()),
    }
}

/// Whether a replay's own recording says that it came to its end.
fn has_end(result: &Path) -> Result<bool, BagError> {
    let ends = notes(result, ENDED)?;
    Ok(ends.iter().any(|facts| facts.get("complete").is_some_and(|complete| complete == "true")))
}

fn summary(folder: &Path) -> Result<Value, EvidenceError> {
    let path = folder.join(SUMMARY);
    if !path.exists() {
        return Ok(Value::Null);
    }
    let bytes = whole_file::read(&path, MOST_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|reason| EvidenceError::Summary { path, reason })
}

/// The topic that is wanted, or the only one of reports.
fn reports_topic(result: &Path, found: &[Topic], wanted: Option<&str>) -> Result<String, EvidenceError> {
    let list = |topics: &[&Topic]| {
        let topics: Vec<String> =
            topics.iter().map(|topic| format!("{} ({})", topic.name, topic.kind)).collect();
        if topics.is_empty() { "none".to_owned() } else { topics.join(", ") }
    };
    let all: Vec<&Topic> = found.iter().collect();
    let reports: Vec<&Topic> =
        found.iter().filter(|topic| topic.kind == MonitorReport::DEFINITION.name).collect();
    let path = result.to_owned();
    match (wanted, reports.as_slice()) {
        (Some(wanted), reports) => match reports.iter().find(|topic| topic.name == wanted) {
            Some(topic) => Ok(topic.name.clone()),
            None => Err(EvidenceError::NoReports { path, wanted: format!("{wanted:?}"), found: list(&all) }),
        },
        (None, [topic]) => Ok(topic.name.clone()),
        (None, []) => {
            Err(EvidenceError::NoReports { path, wanted: "any topic".to_owned(), found: list(&all) })
        }
        (None, several) => Err(EvidenceError::Several { path, found: list(several) }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bag::writer::{BagWriter, Offer};

    /// A report on a frame every 100 ms, from these numbers: level, failure score.
    pub(crate) fn drive(frames: &[(Level, f32)]) -> Evidence {
        let sightings = frames.iter().zip(1..).map(|(&(level, failure_score), number)| Sighting {
            number,
            time: (number as i64 - 1) * 100_000_000,
            said: (number as i64 - 1) * 100_000_000,
            stamp: Time { sec: 0, nanosec: (number as u32 - 1) * 100_000_000 },
            validity: if failure_score.is_nan() { Validity::InvalidInput } else { Validity::Ok },
            reason: String::new(),
            level,
            failure_score,
            predicted_miou: 1.0 - failure_score,
            error_area: 0.1,
            anomaly_area: 0.01,
            taken_for: Arc::from(""),
            latency_ms: 10.0 * number as f32,
            dropped: 0,
            classes: Box::new([(1, 0.75)]),
        });
        Evidence {
            sightings: sightings.collect(),
            last: Some(MonitorReport { bundle: "street".to_owned(), ..MonitorReport::default() }),
            classes: ["sky", "road", "car"].map(str::to_owned).into(),
            begin: 1_700_000_000_000_000_000,
            span: (0, (frames.len() as i64 - 1).max(0) * 100_000_000),
            complete: true,
            lost: 0,
            summary: Value::Null,
            rises: Vec::new(),
            statuses: Vec::new(),
            status_names: BTreeSet::new(),
        }
    }

    /// What is read of a recording with these notes, and with two reports, a second apart.
    fn recorded(notes: &[(&str, &str)]) -> Evidence {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recorded.mcap");
        let mut bag = BagWriter::create(&path).unwrap();
        let topic = bag.topic("/monitor/report", MonitorReport::DEFINITION, Offer::Reliable).unwrap();
        for (name, complete) in notes {
            let facts = BTreeMap::from([("complete".to_owned(), (*complete).to_owned())]);
            bag.note(name, facts).unwrap();
        }
        for second in 0..2 {
            let report = MonitorReport {
                frames_dropped: 500 + second,
                frames_unmatched: 2 * second,
                since_arrival_ms: 900.0,
                ..MonitorReport::default()
            };
            bag.write(topic, (1 + second) * 1_000_000_000, &report).unwrap();
        }
        bag.finish().unwrap();
        Evidence::read(&path, None, &[]).unwrap()
    }

    fn each<T>(evidence: &Evidence, of: fn(&Sighting) -> T) -> Vec<T> {
        evidence.sightings.iter().map(of).collect()
    }

    #[test]
    fn what_was_lost_before_a_robots_recording_began_does_not_count() {
        let evidence = recorded(&[]);
        assert!(evidence.complete);
        assert_eq!(each(&evidence, |sighting| sighting.dropped), [0, 3]);
        assert_eq!(each(&evidence, |sighting| sighting.said), [0, 1_000_000_000]);
        assert_eq!(evidence.span, (0, 1_000_000_000));
    }

    #[test]
    fn a_replay_is_told_by_its_recording_and_whole_with_its_end_alone() {
        let begun = (BEGUN, "");
        assert!(!recorded(&[begun]).complete);
        assert!(!recorded(&[begun, (ENDED, "false")]).complete);
        let evidence = recorded(&[begun, (ENDED, "true")]);
        assert!(evidence.complete);
        assert_eq!(each(&evidence, |sighting| sighting.dropped), [500, 3]);
        assert_eq!(each(&evidence, |sighting| sighting.said), [900_000_000, 1_900_000_000]);
    }
}
