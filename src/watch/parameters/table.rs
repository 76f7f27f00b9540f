//! The table of the parameters: a row each, with the type that its value is read as.

use std::time::Duration;

use super::shape::{
    Shape, cameras, count, device, flag, number, optional_text, seconds, seconds_or_off, share_or_bundle,
    text, word,
};
use super::value::{Kind, Value};
use super::word::{Match, Qos, Source, Transport};
use crate::model::compute::{DeviceChoice, Precision};
use crate::watch::debounce::{Level, Patience};
use crate::watch::labels::fit::Fit;
use crate::watch::labels::meaning::{Channel, Coding};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Name, nested by dots.
    pub name: &'static str,
    /// Type, default and allowed values.
    pub kind: Kind,
    /// Whether it may change while the node runs.
    pub changeable: bool,
    /// Whether a camera among several may have its own value, as CAMERA.NAME.
    pub each_camera: bool,
    /// What it does, with its unit; shown by `ros2 param describe`.
    pub description: &'static str,
}

/// A row of the table whose value is read as a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<T> {
    pub(super) declaration: Declaration,
    pub(super) read: fn(&Value) -> Option<T>,
}

const fn fixed<T>(name: &'static str, shape: Shape<T>, description: &'static str) -> Parameter<T> {
    declared(name, shape, [false, false], description)
}

/// Fixed, and of one camera where there are several.
const fn cameras_own<T>(name: &'static str, shape: Shape<T>, description: &'static str) -> Parameter<T> {
    declared(name, shape, [false, true], description)
}

const fn live<T>(name: &'static str, shape: Shape<T>, description: &'static str) -> Parameter<T> {
    declared(name, shape, [true, true], description)
}

const fn declared<T>(
    name: &'static str,
    shape: Shape<T>,
    [changeable, each_camera]: [bool; 2],
    description: &'static str,
) -> Parameter<T> {
    let declaration = Declaration { name, kind: shape.kind, changeable, each_camera, description };
    Parameter { declaration, read: shape.read }
}

/// Declares every parameter once: a name of its own, which the settings are read by, and a row.
macro_rules! table {
    ($($parameter:ident: $type:ty = $row:expr;)*) => {
        $(pub(in crate::watch) const $parameter: Parameter<$type> = $row;)*

        /// Every parameter.
        pub const TABLE: &[Declaration] = &[$($parameter.declaration),*];
    };
}

table! {
    BUNDLE: String = fixed(
        "bundle",
        text("street"),
        "Model bundle: a name under models/ or the path of a folder.",
    );
    AUTOSTART: bool = fixed(
        "autostart",
        flag(true),
        "Whether the node loads its bundle and becomes active by itself. If not, it is unconfigured until somebody asks for more by ~/change_state.",
    );
    DEVICE: DeviceChoice = fixed(
        "device",
        device(),
        "Where the networks run: auto, cpu, cuda or cuda:N.",
    );
    PRECISION: Precision = fixed(
        "precision",
        word("auto"),
        "Arithmetic of the networks: auto, fp32, bf16 or fp16.",
    );
    THREADS: usize = fixed(
        "threads",
        count(0, 0, 1024),
        "Threads for the networks on a CPU; 0 leaves it to libtorch.",
    );
    ANOMALY: bool = fixed(
        "anomaly",
        flag(true),
        "Whether the anomaly score is computed.",
    );
    MEMOISE: bool = fixed(
        "memoise",
        flag(true),
        "Whether what comes back unchanged is computed once: the same, sooner.",
    );
    SEGMENTATION: Source = fixed(
        "segmentation",
        word("inside"),
        "Whose labels are assessed: inside (the bundle's segmenter) or topic (another node's, on labels or labels/compressed).",
    );
    LABELS_MATCH: Match = fixed(
        "labels.match",
        word("exact"),
        "To which image labels belong: exact (same stamp), nearest (within labels.tolerance) or arrival (the one image that came within labels.tolerance before them).",
    );
    LABELS_TOLERANCE: Duration = fixed(
        "labels.tolerance",
        seconds(0.03, 0.0, 60.0),
        "Seconds by which stamps may differ, less than half the time between images; for arrival the longest that the segmenter takes, less than the time between images. In [0, 60].",
    );
    LABELS_TIMEOUT: Duration = fixed(
        "labels.timeout",
        seconds(1.0, 0.05, 60.0),
        "Seconds for which an image waits for its labels, and without matching labels after which the report is UNLABELLED, in [0.05, 60].",
    );
    LABELS_FIT: Fit = fixed(
        "labels.fit",
        word("stretch"),
        "What the segmenter did to the image: stretch (resized it), crop (cut its middle out) or letterbox (padded it).",
    );
    LABELS_NAMES: Option<String> = fixed(
        "labels.names",
        optional_text(),
        "File of the segmenter's label set (labels.yaml), or the name of a built-in one. Empty: the bundle's own.",
    );
    LABELS_CODING: Coding = fixed(
        "labels.coding",
        word("class_ids"),
        "What numbers are: class_ids (places in the label set, from 0) or raw_ids (the ids that it lists).",
    );
    LABELS_CHANNEL: Channel = fixed(
        "labels.channel",
        word("none"),
        "Which channel of a colour image holds the number: none (its colours are the label set's), red, green or blue.",
    );
    LABELS_MAX_UNKNOWN: f64 = fixed(
        "labels.max_unknown",
        number(0.5, 0.0, 1.0),
        "Share of a label image that may mean no class, ids that say so included, before it is INVALID_INPUT, in [0, 1].",
    );
    CAMERAS: Vec<String> = fixed(
        "cameras",
        cameras(),
        "Names of several cameras in one process: NAME/image comes in, ~/NAME/report goes out, and so on. Empty: one camera, without a name.",
    );
    IMAGE_TRANSPORT: Transport = fixed(
        "image_transport",
        word("auto"),
        "Topics to listen to: raw (image), compressed (image/compressed) or auto (both).",
    );
    INPUT_QOS: Qos = fixed(
        "input_qos",
        word("sensor_data"),
        "QoS of the inputs: sensor_data (best effort, hears every camera) or default (reliable).",
    );
    OUTPUT_QOS: Qos = fixed(
        "output_qos",
        word("default"),
        "QoS of the outputs: default (reliable, what RViz asks for) or sensor_data (best effort).",
    );
    SOURCE_TIMEOUT: Option<Duration> = live(
        "source_timeout",
        seconds_or_off(0.5, 3600.0),
        "Seconds without an image after which the report is STALE, in [0, 3600]; 0 never.",
    );
    MAX_IMAGE_AGE: Option<Duration> = live(
        "max_image_age",
        seconds_or_off(2.0, 3600.0),
        "Seconds by its stamp after which an image says nothing about now, and its report is OUTDATED, in [0, 3600]; 0 never. Ages of an hour and more mean that clocks disagree, and count for nothing.",
    );
    MAX_REPEAT_TIME: Option<Duration> = live(
        "max_repeat_time",
        seconds_or_off(1.0, 3600.0),
        "Seconds for which images may be the same in every pixel before their reports are OUTDATED, in [0, 3600]; 0 for ever, as of a simulated camera that stands still.",
    );
    TRIGGER_FRAMES: u32 = live(
        "trigger_frames",
        count(Patience::DEFAULT.trigger as i64, 1, 1000),
        "Frames in a row above a threshold before the level rises, in [1, 1000].",
    );
    RELEASE_FRAMES: u32 = live(
        "release_frames",
        count(Patience::DEFAULT.release as i64, 1, 1000),
        "Frames in a row below a threshold before the level falls, in [1, 1000].",
    );
    LATCH_LEVEL: Option<Level> = fixed(
        "latch_level",
        word("none"),
        "Lowest level that latched_level holds until ~/acknowledge: caution, failure, or none, which holds nothing. With one, the node starts with FAILURE held.",
    );
    THRESHOLD_CAUTION: Option<f32> = live(
        "threshold.caution",
        share_or_bundle(),
        "Failure score from which a frame counts towards CAUTION, in [0, 1]; -1 takes the bundle's.",
    );
    THRESHOLD_FAILURE: Option<f32> = live(
        "threshold.failure",
        share_or_bundle(),
        "Failure score from which a frame counts towards FAILURE, in [0, 1]; -1 takes the bundle's.",
    );
    THRESHOLD_ERROR: Option<f32> = live(
        "threshold.error",
        share_or_bundle(),
        "Error probability from which a pixel is in the error mask, in [0, 1]; -1 takes the bundle's.",
    );
    THRESHOLD_ANOMALY: Option<f32> = live(
        "threshold.anomaly",
        share_or_bundle(),
        "Anomaly score from which a pixel is in the anomaly mask, in [0, 1]; -1 takes the bundle's.",
    );
    THRESHOLD_ANOMALY_AREA: Option<f32> = live(
        "threshold.anomaly_area",
        share_or_bundle(),
        "Share of the image in the anomaly mask from which a frame counts towards CAUTION, in [0, 1]; -1 takes the bundle's.",
    );
    MIN_REGION_AREA: f64 = fixed(
        "min_region_area",
        number(0.0005, 0.0, 1.0),
        "Smallest anomalous region reported, as a share of the valid image in [0, 1]; one that raises the level is reported whatever its size.",
    );
    MAX_REGIONS: usize = fixed(
        "max_regions",
        count(32, 0, 1000),
        "Most anomalous regions reported a frame, in [0, 1000]; those that raise the level are reported besides.",
    );
    VALID_MASK: Option<String> = cameras_own(
        "valid_mask",
        optional_text(),
        "PNG of the camera's size; pixels that are 0 are never scored. Empty: all are.",
    );
    DEGRADED_DEADLINE: Option<Duration> = live(
        "degraded.deadline",
        seconds_or_off(0.0, 3600.0),
        "Seconds a frame may take before the monitor falls back to the segmenter's own confidence, by which the level is FAILURE, in [0, 3600]; 0 never.",
    );
    MAX_PROCESSING_TIME: Option<Duration> = live(
        "max_processing_time",
        seconds_or_off(0.2, 3600.0),
        "Seconds a frame may take before diagnostics warn, in [0, 3600]; 0 never.",
    );
    MAX_CONSECUTIVE_DELAY: Duration = live(
        "max_consecutive_delay",
        seconds(1.0, 0.0, 3600.0),
        "Seconds over max_processing_time without a break before the warning is an error, in [0, 3600].",
    );
    REPORT_PERIOD: Duration = fixed(
        "report_period",
        seconds(0.5, 0.1, 60.0),
        "Seconds without a report after which one says PENDING, in [0.1, 60]: a report comes at least so often, whatever hangs. Twice that is the deadline and the lease of ~/report.",
    );
    REPORT_TIMEOUT: Duration = live(
        "report_timeout",
        seconds(5.0, 0.1, 3600.0),
        "Seconds that the report on an image may be due before FAILED says that inference does not return, in [0.1, 3600]; it cannot be switched off.",
    );
    DIAGNOSTICS_PERIOD: Duration = fixed(
        "diagnostics.period",
        seconds(0.5, 0.05, 60.0),
        "Seconds between messages on /diagnostics, in [0.05, 60].",
    );
    RECORD_DIR: Option<String> = fixed(
        "record.dir",
        optional_text(),
        "Folder for a recording (MCAP) of each rise of the level: images, labels and reports. Empty: none.",
    );
    RECORD_SECONDS: Duration = fixed(
        "record.seconds",
        seconds(5.0, 0.5, 300.0),
        "Seconds before a rise of the level, and after it, that its recording holds, in [0.5, 300].",
    );
    RECORD_MAX_BYTES: u64 = fixed(
        "record.max_bytes",
        count(256 << 20, 1 << 20, 1 << 36),
        "Most bytes of one recording, in memory and on the disk, at most half of them from before the rise; as much may wait to be recorded. In [1048576, 68719476736].",
    );
    RECORD_MAX_EVENTS: usize = fixed(
        "record.max_events",
        count(20, 1, 100_000),
        "Most recordings kept, in [1, 100000]; the oldest go first.",
    );
    USE_SIM_TIME: bool = fixed(
        "use_sim_time",
        flag(false),
        "Take the time from /clock.",
    );
}
