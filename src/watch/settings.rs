//! What the values of the parameters mean: the settings of the start, and those that may change.

use std::path::PathBuf;
use std::time::Duration;

use super::cameras::Camera;
use super::debounce::{Level, Patience};
use super::labels;
use super::labels::matching::Rule;
use super::parameters::table as parameter;
use super::parameters::{Match, Parameters, Qos, Source, Transport};
use crate::model::bundle::Thresholds;
use crate::monitor::pipeline::MonitorOptions;

/// The node's settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Name or path of the bundle.
    pub bundle: String,
    /// Where and how the networks run.
    pub monitor: MonitorOptions,
    /// Whether the node makes itself active at the start.
    pub autostart: bool,
    /// The cameras; at least one.
    pub cameras: Vec<Camera>,
    /// Which image topics are listened to.
    pub transport: Transport,
    /// Whether inputs are reliable rather than best effort.
    pub reliable_input: bool,
    /// Whether outputs are reliable rather than best effort.
    pub reliable_output: bool,
    /// Time between messages on `/diagnostics`.
    pub diagnostics_period: Duration,
    /// Whether the time comes from `/clock`.
    pub use_sim_time: bool,
    /// How labels by topic are taken, where those are assessed in place of the bundle's segmenter.
    pub labels: Option<labels::Options>,
    /// Where and how much is recorded of each alarm, if anything is.
    pub recording: Option<Recording>,
    /// What may change while the node runs.
    pub live: Live,
}

/// What is recorded around each rise of the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    /// The folder.
    pub dir: PathBuf,
    /// Time before the rise, and after it.
    pub seconds: Duration,
    /// Most bytes of one event, in memory and on the disk.
    pub max_bytes: u64,
    /// Most files.
    pub max_events: usize,
}

/// Settings that may change while the node runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Live {
    /// Silence after which the report is STALE.
    pub source_timeout: Option<Duration>,
    /// Frames in a row that change the level.
    pub patience: Patience,
    /// Thresholds that replace the bundle's.
    pub thresholds: Overrides,
    /// Time after which the whole method is given up.
    pub degraded_deadline: Option<Duration>,
    /// Time after which diagnostics warn.
    pub max_processing_time: Option<Duration>,
    /// Time over `max_processing_time` after which the warning is an error.
    pub max_consecutive_delay: Duration,
    /// Time that a report may be due before something hangs.
    pub report_timeout: Duration,
    /// Time after which something is said even if there is nothing new; it does not change.
    pub report_period: Duration,
    /// Age by its stamp up to which an image says something about now.
    pub max_image_age: Option<Duration>,
    /// Time for which an image may repeat.
    pub max_repeat_time: Option<Duration>,
    /// Time without labels for the images that come, where labels by topic are assessed.
    pub labels_timeout: Option<Duration>,
}

/// Thresholds set by hand; `None` leaves the bundle's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// See [`Thresholds`].
    pub caution: Option<f32>,
    /// See [`Thresholds`].
    pub failure: Option<f32>,
    /// See [`Thresholds`].
    pub error: Option<f32>,
    /// See [`Thresholds`].
    pub anomaly: Option<f32>,
    /// See [`Thresholds`].
    pub anomaly_area: Option<f32>,
}

impl Overrides {
    /// The bundle's thresholds with those set by hand in their place. What was promised for the bundle's holds for
    /// none that was touched.
    pub(crate) fn in_place_of(self, calibrated: &Thresholds) -> Thresholds {
        Thresholds {
            caution: self.caution.unwrap_or(calibrated.caution),
            failure: self.failure.unwrap_or(calibrated.failure),
            error: self.error.unwrap_or(calibrated.error),
            anomaly: self.anomaly.unwrap_or(calibrated.anomaly),
            anomaly_area: self.anomaly_area.unwrap_or(calibrated.anomaly_area),
            // Whoever limits the area by hand wants the level to go by it.
            things: calibrated.things.clone().filter(|_| self.anomaly_area.is_none()),
            drivable_margin: calibrated.drivable_margin,
            evidence: calibrated.evidence.clone(),
            labels_of: calibrated.labels_of.clone(),
            guarantee: if self == Self::default() { calibrated.guarantee.clone() } else { String::new() },
        }
    }
}

impl Settings {
    /// The longest that a reader of the reports hears nothing, as long as all is well.
    pub(crate) fn longest_silence(&self) -> Duration {
        2 * self.live.report_period
    }
}

impl Parameters {
    /// The settings that these values mean.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            bundle: self.bundle(),
            monitor: MonitorOptions {
                device: self.read(&parameter::DEVICE),
                precision: self.read(&parameter::PRECISION),
                threads: self.read(&parameter::THREADS),
                anomaly: self.read(&parameter::ANOMALY),
                memoise: self.read(&parameter::MEMOISE),
                min_region_area: self.read(&parameter::MIN_REGION_AREA) as f32,
                max_regions: self.read(&parameter::MAX_REGIONS),
            },
            autostart: self.read(&parameter::AUTOSTART),
            cameras: Camera::all(&self.read(&parameter::CAMERAS)),
            transport: self.read(&parameter::IMAGE_TRANSPORT),
            reliable_input: self.read(&parameter::INPUT_QOS) == Qos::Default,
            reliable_output: self.read(&parameter::OUTPUT_QOS) == Qos::Default,
            diagnostics_period: self.read(&parameter::DIAGNOSTICS_PERIOD),
            use_sim_time: self.read(&parameter::USE_SIM_TIME),
            labels: self.labels(),
            recording: self.read(&parameter::RECORD_DIR).map(|dir| Recording {
                dir: dir.into(),
                seconds: self.read(&parameter::RECORD_SECONDS),
                max_bytes: self.read(&parameter::RECORD_MAX_BYTES),
                max_events: self.read(&parameter::RECORD_MAX_EVENTS),
            }),
            live: self.live_of(&Camera::default()),
        }
    }

    /// The lowest level that is held until it is acknowledged.
    pub(crate) fn latch_level(&self) -> Option<Level> {
        self.read(&parameter::LATCH_LEVEL)
    }

    /// Name or path of the bundle.
    pub fn bundle(&self) -> String {
        self.read(&parameter::BUNDLE)
    }

    /// How labels by topic are taken, where those are assessed.
    pub(crate) fn labels(&self) -> Option<labels::Options> {
        let tolerance = self.read(&parameter::LABELS_TOLERANCE);
        (self.read(&parameter::SEGMENTATION) == Source::Topic).then(|| labels::Options {
            rule: match self.read(&parameter::LABELS_MATCH) {
                Match::Exact => Rule::Exact,
                Match::Nearest => Rule::Nearest(tolerance),
                Match::Arrival => Rule::Arrival(tolerance),
            },
            fit: self.read(&parameter::LABELS_FIT),
            coding: self.read(&parameter::LABELS_CODING),
            channel: self.read(&parameter::LABELS_CHANNEL),
            names: self.read(&parameter::LABELS_NAMES),
            most_unknown: self.read(&parameter::LABELS_MAX_UNKNOWN) as f32,
            timeout: self.read(&parameter::LABELS_TIMEOUT),
        })
    }

    /// File of the pixels of a camera that count.
    pub(crate) fn valid_mask(&self, camera: &Camera) -> Option<String> {
        self.read_of(camera.name(), &parameter::VALID_MASK)
    }

    /// Those of them that may change while the node runs, as they are for a camera.
    pub(crate) fn live_of(&self, camera: &Camera) -> Live {
        let camera = camera.name();
        Live {
            source_timeout: self.read_of(camera, &parameter::SOURCE_TIMEOUT),
            patience: Patience {
                trigger: self.read_of(camera, &parameter::TRIGGER_FRAMES),
                release: self.read_of(camera, &parameter::RELEASE_FRAMES),
            },
            thresholds: Overrides {
                caution: self.read_of(camera, &parameter::THRESHOLD_CAUTION),
                failure: self.read_of(camera, &parameter::THRESHOLD_FAILURE),
                error: self.read_of(camera, &parameter::THRESHOLD_ERROR),
                anomaly: self.read_of(camera, &parameter::THRESHOLD_ANOMALY),
                anomaly_area: self.read_of(camera, &parameter::THRESHOLD_ANOMALY_AREA),
            },
            degraded_deadline: self.read_of(camera, &parameter::DEGRADED_DEADLINE),
            max_processing_time: self.read_of(camera, &parameter::MAX_PROCESSING_TIME),
            max_consecutive_delay: self.read_of(camera, &parameter::MAX_CONSECUTIVE_DELAY),
            report_timeout: self.read_of(camera, &parameter::REPORT_TIMEOUT),
            report_period: self.read_of(camera, &parameter::REPORT_PERIOD),
            max_image_age: self.read_of(camera, &parameter::MAX_IMAGE_AGE),
            max_repeat_time: self.read_of(camera, &parameter::MAX_REPEAT_TIME),
            labels_timeout: self.labels().map(|labels| labels.timeout),
        }
    }
}
