//! What a drive must show, as a file says it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::limits::{FrameRange, Window, Within};
use crate::quote::told;
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;
use crate::whole_file;

/// A larger file is no scenario.
const MOST_BYTES: u64 = 1 << 20;

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is no scenario by its form.
    #[error("{}: {what}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Key, value, and what would be right.
        what: String,
    },
    /// A value is out of range.
    #[error("{}: {key} {what}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value, and what would be right.
        what: String,
    },
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Only what lies in this span counts.
    #[serde(default)]
    pub during: Window,
    /// And of that all but these.
    #[serde(default)]
    pub ignore: Ignore,
    /// What happens on the drive.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What it must show; all of it.
    pub criteria: Vec<Criterion>,
}

/// What does not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ignore {
    /// Frames by their numbers.
    pub frames: Vec<FrameRange>,
    /// Spans of time.
    pub seconds: Vec<Window>,
}

/// Something on the drive that is to raise an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What it is called.
    pub name: String,
    /// When it begins, in seconds from the beginning of the recording.
    pub at: f64,
    /// When it is over; without, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

/// One thing that must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Criterion {
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Only what lies in this span counts.
    #[serde(skip_serializing_if = "Window::is_everything")]
    pub during: Window,
    /// Limits of single frames, and how many must keep them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Frames>,
    /// An alarm soon after an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
    /// Few alarms without an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_alarms: Option<FalseAlarms>,
    /// Quick reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Few frames in a row without scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misses: Option<Misses>,
    /// A status on /diagnostics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Diagnostics>,
}

/// Limits of single frames. A frame passes that keeps all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frames {
    /// Per cent of the frames that must pass.
    pub pass_rate: f64,
    /// Only frames in which M sees this class count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Levels that pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Vec<Level>>,
    /// Validities that pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity: Option<Vec<Validity>>,
    /// The failure score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_score: Option<Within>,
    /// The predicted mean IoU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_miou: Option<Within>,
    /// The predicted IoU of `class`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_iou: Option<Within>,
    /// Share of the image that is probably wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_area: Option<Within>,
    /// Share of the image that is anomalous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly_area: Option<Within>,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            pass_rate: 100.0,
            class: None,
            level: None,
            validity: None,
            failure_score: None,
            predicted_miou: None,
            predicted_iou: None,
            error_area: None,
            anomaly_area: None,
        }
    }
}

fn caution() -> Level {
    Level::Caution
}

/// An alarm soon after an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// The event's name.
    pub event: String,
    /// Milliseconds from the event to the alarm.
    pub within_ms: f64,
    /// What is an alarm: this level or a higher one.
    #[serde(default = "caution")]
    pub level: Level,
    /// Whether an alarm counts that was raised before the event and stands.
    #[serde(default)]
    pub standing: bool,
}

/// Few alarms without an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FalseAlarms {
    /// The most a minute.
    pub per_minute: f64,
    /// What is an alarm: a rise to this level or a higher one.
    #[serde(default = "caution")]
    pub level: Level,
    /// Milliseconds after an event's end in which an alarm is still its own.
    #[serde(default)]
    pub grace_ms: f64,
}

/// Quick reports: percentiles of `latency_total_ms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// Of half of the frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Of 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// Of 99 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
}

/// Few frames in a row without scores: dropped for newer ones, unreadable, failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Misses {
    /// The most in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// The longest time from one frame with scores to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// A status on /diagnostics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnostics {
    /// Its name.
    pub status: String,
    /// Severities that pass.
    pub levels: Vec<Severity>,
    /// Per cent of its messages that must pass.
    #[serde(default = "all")]
    pub pass_rate: f64,
}

fn all() -> f64 {
    100.0
}

/// Severity as diagnostic_msgs/DiagnosticStatus names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// All is well.
    Ok,
    /// Something deserves attention.
    Warn,
    /// Something is broken.
    Error,
    /// Nothing is known.
    Stale,
}

impl Scenario {
    /// The scenario in a file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let bytes = whole_file::read(path, MOST_BYTES)?;
        let form = |what: String| ScenarioError::Form { path: path.to_owned(), what };
        let text = std::str::from_utf8(&bytes).map_err(|_| form("is no UTF-8 text".to_owned()))?;
        let scenario: Self = serde_norway::from_str(text).map_err(|error| form(told(error)))?;
        match scenario.fault() {
            Ok(()) => Ok(scenario),
            Err((key, what)) => Err(ScenarioError::Value { path: path.to_owned(), key, what }),
        }
    }
}

impl Frames {
    /// The ranges that are asked for, by name.
    pub(super) fn limits(&self) -> Vec<(&'static str, Within)> {
        let limits = [
            ("failure_score", self.failure_score),
            ("predicted_miou", self.predicted_miou),
            ("predicted_iou", self.predicted_iou),
            ("error_area", self.error_area),
            ("anomaly_area", self.anomaly_area),
        ];
        limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect()
    }
}

impl Latency {
    /// The limits that are asked for: name, share of the frames, milliseconds.
    pub(super) fn limits(&self) -> Vec<(&'static str, f64, f64)> {
        let limits = [
            ("p50_ms", 0.5, self.p50_ms),
            ("p95_ms", 0.95, self.p95_ms),
            ("p99_ms", 0.99, self.p99_ms),
            ("max_ms", 1.0, self.max_ms),
        ];
        limits.into_iter().filter_map(|(name, share, limit)| Some((name, share, limit?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Scenario, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenario.yaml");
        std::fs::write(&path, text).unwrap();
        Scenario::load(&path).map_err(|error| error.to_string())
    }

    const WHOLE: &str = "
name: a mattress on the road
during: {from: 2}
ignore: {frames: [1-4, 9], seconds: [{from: 12.5, to: 14}]}
events: [{name: mattress, at: 7.5, until: 9}]
criteria:
  - {name: seen, alarm: {event: mattress, within_ms: 800, level: FAILURE, standing: true}}
  - {false_alarms: {per_minute: 0.5, grace_ms: 1000}}
  - frames: {pass_rate: 95, level: [NOMINAL, CAUTION], validity: [OK], failure_score: {max: 0.6}}
    during: {from: 1, to: 5}
  - frames: {class: road, predicted_iou: {min: 0.5}, error_area: {max: 0.1}, anomaly_area: {max: 0.02}}
  - latency: {p50_ms: 80, p95_ms: 100, p99_ms: 120, max_ms: 500}
  - misses: {frames: 2, seconds: 0.5}
  - diagnostics: {status: 'monitor: camera', levels: [OK, WARN]}
";

    #[test]
    fn all_that_can_be_said_is_read_and_comes_back_from_what_is_written() {
        let scenario = load(WHOLE).unwrap();
        assert_eq!(scenario.criteria.len(), 7);
        assert_eq!(
            scenario.criteria[2].frames.as_ref().unwrap().level,
            Some(vec![Level::Nominal, Level::Caution])
        );
        assert_eq!(scenario.criteria[1].false_alarms.as_ref().unwrap().level, Level::Caution);
        let written = serde_norway::to_string(&scenario).unwrap();
        assert_eq!(load(&written).unwrap(), scenario);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_value_and_what_would_be_right() {
        let one = |criterion: &str| format!("criteria: [{criterion}]");
        for (text, said) in [
            ("name: x", &["criteria"][..]),
            ("criteria: []", &["criteria is empty"]),
            ("criterions: []", &["criterions", "criteria"]),
            (&one("{}"), &["criteria[0] asks for 0 things", "diagnostics"]),
            (&one("{misses: {frames: 1}, latency: {max_ms: 1}}"), &["criteria[0] asks for 2 things"]),
            (&one("{frames: {level: [FAILUR]}}"), &["criteria[0].frames.level[0]", "FAILUR", "CAUTION"]),
            (&one("{frames: {levle: [FAILURE]}}"), &["criteria[0].frames", "levle", "validity"]),
            (&one("{frames: {}}"), &["criteria[0].frames limits nothing", "anomaly_area"]),
            (&one("{frames: {level: []}}"), &["criteria[0].frames.level is empty"]),
            (&one("{frames: {pass_rate: 120, level: [NOMINAL]}}"), &["pass_rate is 120", "0 to 100"]),
            (&one("{frames: {pass_rate: .nan, level: [NOMINAL]}}"), &["pass_rate is NaN"]),
            (&one("{frames: {failure_score: {}}}"), &["failure_score limits nothing"]),
            (&one("{frames: {failure_score: {min: 2, max: 1}}}"), &["min 2 and max 1"]),
            (&one("{frames: {failure_score: 0.6}}"), &["criteria[0].frames.failure_score", "0.6"]),
            (&one("{frames: {predicted_iou: {min: 0.5}}}"), &["predicted_iou", "class is needed"]),
            (&one("{alarm: {event: dog, within_ms: 5}}"), &["alarm.event is \"dog\"; events has none"]),
            (&one("{latency: {}}"), &["criteria[0].latency limits nothing"]),
            (&one("{latency: {p95_ms: -1}}"), &["latency.p95_ms is -1"]),
            (&one("{misses: {frames: -1}}"), &["criteria[0].misses.frames", "-1"]),
            (&one("{false_alarms: {per_minute: .inf}}"), &["per_minute is inf"]),
            (&one("{false_alarms: {per_minute: 1, level: NOMINAL}}"), &["level is NOMINAL", "FAILURE"]),
            (&one("{diagnostics: {status: a, levels: [BAD]}}"), &["BAD", "WARN"]),
            (
                &one("{misses: {frames: 1}, during: {from: 3, to: 2}}"),
                &["criteria[0].during.to is 2", "after 3"],
            ),
            ("criteria: 5", &["criteria", "5"]),
            ("events: [{name: a, at: -1}]\ncriteria: []", &["events[0].at is -1"]),
            ("events: [{name: a, at: 1}, {name: a, at: 2}]\ncriteria: []", &["events[1].name is \"a\""]),
            ("events: [{name: a, at: 5, until: 2}]\ncriteria: []", &["events[0].until is 2", "from 5"]),
            ("ignore: {frames: [0]}\ncriteria: []", &["ignore.frames[0]", "0", "10-20"]),
            ("ignore: {seconds: [{from: 5, to: 1}]}\ncriteria: []", &["ignore.seconds[0].to is 1"]),
        ] {
            let error = load(text).unwrap_err();
            assert!(said.iter().all(|part| error.contains(part)), "{text}: {error}");
            assert!(error.contains("scenario.yaml") && !error.contains('\n'), "{error}");
        }
    }
}
