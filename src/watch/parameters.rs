//! The node's parameters: one table, and the typed settings parsed from it.
//!
//! [`TABLE`] is the single source of names, defaults and ranges; config/monitor.yaml repeats it
//! for people and a test holds the two together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::compute::{DeviceChoice, Precision};
use crate::monitor::pipeline::MonitorOptions;
use crate::watch::debounce::Patience;

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// true or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Double(f64),
    /// Text.
    Text(String),
    /// Any type that no parameter here has, by its name.
    Other(&'static str),
}

impl Value {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Double(_) => "a real number",
            Self::Text(_) => "a string",
            Self::Other(name) => name,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Type, default and allowed values of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// true or false.
    Bool(bool),
    /// Default, least and greatest.
    Integer(i64, i64, i64),
    /// Default, least and greatest.
    Double(f64, f64, f64),
    /// A share in \[0, 1\]; the default -1.0 leaves it to the bundle.
    ShareOrBundle,
    /// Any text.
    Text(&'static str),
    /// The default, then every allowed word, the default among them.
    Word(&'static str, &'static [&'static str]),
    /// Text that a [`DeviceChoice`] is read from.
    Device,
}

impl Kind {
    fn default(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value, ..) => Value::Integer(value),
            Self::Double(value, ..) => Value::Double(value),
            Self::ShareOrBundle => Value::Double(FROM_BUNDLE),
            Self::Text(value) | Self::Word(value, _) => Value::Text(value.to_owned()),
            Self::Device => Value::Text("auto".to_owned()),
        }
    }

    /// What is allowed, in words.
    fn allowed(self) -> String {
        match self {
            Self::Bool(_) => "true or false".to_owned(),
            Self::Integer(_, least, greatest) => format!("an integer in [{least}, {greatest}]"),
            Self::Double(_, least, greatest) => format!("a real number in [{least:?}, {greatest:?}]"),
            Self::ShareOrBundle => "a real number in [0.0, 1.0], or -1.0 for the bundle's".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::Word(_, words) => format!("one of {}", words.join(", ")),
            Self::Device => DeviceChoice::ACCEPTED.to_owned(),
        }
    }

    /// The value in the parameter's own type, or `None` if it is not allowed.
    fn accept(self, value: &Value) -> Option<Value> {
        let ok = match (self, value) {
            // Whole numbers are what people write for real ones: `source_timeout:=1`.
            (Self::Double(..) | Self::ShareOrBundle, Value::Integer(whole)) => {
                return self.accept(&Value::Double(*whole as f64));
            }
            (Self::Bool(_), Value::Bool(_)) | (Self::Text(_), Value::Text(_)) => true,
            (Self::Integer(_, least, greatest), Value::Integer(v)) => (least..=greatest).contains(v),
            (Self::Double(_, least, greatest), Value::Double(v)) => (least..=greatest).contains(v),
            (Self::ShareOrBundle, Value::Double(v)) => *v == FROM_BUNDLE || (0.0..=1.0).contains(v),
            (Self::Word(_, words), Value::Text(v)) => words.contains(&v.as_str()),
            (Self::Device, Value::Text(v)) => v.parse::<DeviceChoice>().is_ok(),
            _ => false,
        };
        ok.then(|| value.clone())
    }
}

const FROM_BUNDLE: f64 = -1.0;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Name, nested by dots.
    pub name: &'static str,
    /// Type, default and allowed values.
    pub kind: Kind,
    /// Whether it may change while the node runs.
    pub changeable: bool,
    /// What it does, with its unit; shown by `ros2 param describe`.
    pub description: &'static str,
}

const fn fixed(name: &'static str, kind: Kind, description: &'static str) -> Declaration {
    Declaration { name, kind, changeable: false, description }
}

const fn live(name: &'static str, kind: Kind, description: &'static str) -> Declaration {
    Declaration { name, kind, changeable: true, description }
}

const QOS: &[&str] = &["sensor_data", "default"];

/// Every parameter.
pub const TABLE: &[Declaration] = &[
    fixed("bundle", Kind::Text("street"), "Model bundle: a name under models/ or the path of a folder."),
    fixed("device", Kind::Device, "Where the networks run: auto, cpu, cuda or cuda:N."),
    fixed(
        "precision",
        Kind::Word("auto", Precision::WORDS),
        "Arithmetic of the networks: auto, fp32, bf16 or fp16.",
    ),
    fixed(
        "threads",
        Kind::Integer(0, 0, 1024),
        "Threads for the networks on a CPU; 0 leaves it to libtorch.",
    ),
    fixed("anomaly", Kind::Bool(true), "Whether the anomaly score is computed."),
    fixed(
        "memoise",
        Kind::Bool(true),
        "Whether what comes back unchanged is computed once: the same, sooner.",
    ),
    fixed(
        "image_transport",
        Kind::Word("auto", &["auto", "raw", "compressed"]),
        "Topics to listen to: raw (image), compressed (image/compressed) or auto (both).",
    ),
    fixed(
        "input_qos",
        Kind::Word("sensor_data", QOS),
        "QoS of the inputs: sensor_data (best effort, hears every camera) or default (reliable).",
    ),
    fixed(
        "output_qos",
        Kind::Word("default", QOS),
        "QoS of the outputs: default (reliable, what RViz asks for) or sensor_data (best effort).",
    ),
    live(
        "source_timeout",
        Kind::Double(0.5, 0.0, 3600.0),
        "Seconds without an image after which the report is STALE, in [0, 3600]; 0 never.",
    ),
    live(
        "trigger_frames",
        Kind::Integer(Patience::DEFAULT.trigger as i64, 1, 1000),
        "Frames in a row above a threshold before the level rises, in [1, 1000].",
    ),
    live(
        "release_frames",
        Kind::Integer(Patience::DEFAULT.release as i64, 1, 1000),
        "Frames in a row below a threshold before the level falls, in [1, 1000].",
    ),
    live(
        "threshold.caution",
        Kind::ShareOrBundle,
        "Failure score from which a frame counts towards CAUTION, in [0, 1]; -1 takes the bundle's.",
    ),
    live(
        "threshold.failure",
        Kind::ShareOrBundle,
        "Failure score from which a frame counts towards FAILURE, in [0, 1]; -1 takes the bundle's.",
    ),
    live(
        "threshold.error",
        Kind::ShareOrBundle,
        "Error probability from which a pixel is in the error mask, in [0, 1]; -1 takes the bundle's.",
    ),
    live(
        "threshold.anomaly",
        Kind::ShareOrBundle,
        "Anomaly score from which a pixel is in the anomaly mask, in [0, 1]; -1 takes the bundle's.",
    ),
    live(
        "threshold.anomaly_area",
        Kind::ShareOrBundle,
        "Share of the image in the anomaly mask from which a frame counts towards CAUTION, in [0, 1]; -1 takes the bundle's.",
    ),
    fixed(
        "min_region_area",
        Kind::Double(0.0005, 0.0, 1.0),
        "Smallest anomalous region reported, as a share of the valid image in [0, 1].",
    ),
    fixed(
        "max_regions",
        Kind::Integer(32, 0, 1000),
        "Most anomalous regions reported a frame, in [0, 1000].",
    ),
    fixed(
        "valid_mask",
        Kind::Text(""),
        "PNG of the camera's size; pixels that are 0 are never scored. Empty: all are.",
    ),
    live(
        "degraded.deadline",
        Kind::Double(0.0, 0.0, 3600.0),
        "Seconds a frame may take before the monitor falls back to the segmenter's own confidence, in [0, 3600]; 0 never.",
    ),
    live(
        "max_processing_time",
        Kind::Double(0.2, 0.0, 3600.0),
        "Seconds a frame may take before diagnostics warn, in [0, 3600]; 0 never.",
    ),
    live(
        "max_consecutive_delay",
        Kind::Double(1.0, 0.0, 3600.0),
        "Seconds over max_processing_time without a break before the warning is an error, in [0, 3600].",
    ),
    fixed(
        "diagnostics.period",
        Kind::Double(0.5, 0.05, 60.0),
        "Seconds between messages on /diagnostics, in [0.05, 60].",
    ),
    fixed("use_sim_time", Kind::Bool(false), "Take the time from /clock."),
];

/// A parameter that cannot be what it was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No such parameter.
    #[error("parameter {name} does not exist; `ros2 param list` names those that do")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The value has the wrong type or is out of range.
    #[error("parameter {name} is {value} ({type_name}); allowed is {allowed}")]
    NotAllowed {
        /// Parameter.
        name: &'static str,
        /// The value asked for.
        value: String,
        /// Its type.
        type_name: &'static str,
        /// What is allowed.
        allowed: String,
    },
    /// It is read once, at the start.
    #[error("parameter {name} is read at the start only; it stays {value} until the node is restarted")]
    Fixed {
        /// Parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

/// The values in force.
#[derive(Clone, Debug)]
pub struct Parameters {
    values: BTreeMap<&'static str, Value>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { values: TABLE.iter().map(|row| (row.name, row.kind.default())).collect() }
    }
}

impl Parameters {
    /// The values at the start: defaults, and what launch file and command line override.
    pub fn with_overrides<'a>(
        overrides: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (name, value) in overrides {
            let row = declaration(name)?;
            parameters.values.insert(row.name, checked(row, &value)?);
        }
        Ok(parameters)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Result<&Value, ParameterError> {
        self.values.get(name).ok_or_else(|| ParameterError::Unknown { name: name.to_owned() })
    }

    /// Whether `name` may take `value` while the node runs.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), ParameterError> {
        self.checked_change(name, value).map(|_| ())
    }

    /// Gives `name` a new value while the node runs.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), ParameterError> {
        let (name, value) = self.checked_change(name, value)?;
        self.values.insert(name, value);
        Ok(())
    }

    fn checked_change(&self, name: &str, value: &Value) -> Result<(&'static str, Value), ParameterError> {
        let row = declaration(name)?;
        let value = checked(row, value)?;
        let current = self.get(name)?;
        if !row.changeable && value != *current {
            return Err(ParameterError::Fixed { name: row.name, value: current.to_string() });
        }
        Ok((row.name, value))
    }

    /// The settings that these values mean.
    pub fn settings(&self) -> Settings {
        Settings {
            bundle: self.text("bundle"),
            monitor: MonitorOptions {
                device: self.text("device").parse().unwrap_or_default(),
                precision: self.text("precision").parse().unwrap_or_default(),
                threads: self.count("threads"),
                anomaly: self.flag("anomaly"),
                memoise: self.flag("memoise"),
                min_region_area: self.number("min_region_area") as f32,
                max_regions: self.count("max_regions"),
            },
            valid_mask: Some(self.text("valid_mask")).filter(|path| !path.is_empty()),
            transport: match self.text("image_transport").as_str() {
                "raw" => Transport::Raw,
                "compressed" => Transport::Compressed,
                _ => Transport::Auto,
            },
            reliable_input: self.text("input_qos") == "default",
            reliable_output: self.text("output_qos") == "default",
            diagnostics_period: Duration::from_secs_f64(self.number("diagnostics.period")),
            use_sim_time: self.flag("use_sim_time"),
            live: Live {
                source_timeout: self.seconds_or_off("source_timeout"),
                patience: Patience {
                    trigger: self.count("trigger_frames") as u32,
                    release: self.count("release_frames") as u32,
                },
                thresholds: Overrides {
                    caution: self.share("threshold.caution"),
                    failure: self.share("threshold.failure"),
                    error: self.share("threshold.error"),
                    anomaly: self.share("threshold.anomaly"),
                    anomaly_area: self.share("threshold.anomaly_area"),
                },
                degraded_deadline: self.seconds_or_off("degraded.deadline"),
                max_processing_time: self.seconds_or_off("max_processing_time"),
                max_consecutive_delay: Duration::from_secs_f64(self.number("max_consecutive_delay")),
            },
        }
    }

    // Every row of the table has a value of its own type, so the other arms are never taken.

    fn text(&self, name: &str) -> String {
        match self.values.get(name) {
            Some(Value::Text(value)) => value.clone(),
            _ => String::new(),
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Bool(true)))
    }

    fn count(&self, name: &str) -> usize {
        match self.values.get(name) {
            Some(Value::Integer(value)) => usize::try_from(*value).unwrap_or_default(),
            _ => 0,
        }
    }

    fn number(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(Value::Double(value)) => *value,
            _ => 0.0,
        }
    }

    fn seconds_or_off(&self, name: &str) -> Option<Duration> {
        Some(self.number(name)).filter(|&seconds| seconds > 0.0).map(Duration::from_secs_f64)
    }

    fn share(&self, name: &str) -> Option<f32> {
        Some(self.number(name)).filter(|&share| share >= 0.0).map(|share| share as f32)
    }
}

/// The row of `name`.
pub fn declaration(name: &str) -> Result<&'static Declaration, ParameterError> {
    TABLE.iter().find(|row| row.name == name).ok_or_else(|| ParameterError::Unknown { name: name.to_owned() })
}

fn checked(row: &Declaration, value: &Value) -> Result<Value, ParameterError> {
    row.kind.accept(value).ok_or_else(|| ParameterError::NotAllowed {
        name: row.name,
        value: value.to_string(),
        type_name: value.type_name(),
        allowed: row.kind.allowed(),
    })
}

/// The values in force, shared by everything that reads them.
#[derive(Clone, Debug)]
pub struct SharedParameters {
    values: Arc<Mutex<Parameters>>,
}

impl SharedParameters {
    /// Shares `values`.
    pub fn new(values: Parameters) -> Self {
        Self { values: Arc::new(Mutex::new(values)) }
    }

    /// The settings that may change while the node runs, as they are now.
    pub fn live(&self) -> Live {
        self.lock().settings().live
    }

    /// Gives `name` a new value.
    pub fn set(&self, name: &str, value: &Value) -> Result<(), ParameterError> {
        self.lock().set(name, value)
    }

    /// Access to the values, never for longer than it takes to read or write them.
    pub fn lock(&self) -> MutexGuard<'_, Parameters> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which image topics are listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Both.
    Auto,
    /// `image`.
    Raw,
    /// `image/compressed`.
    Compressed,
}

/// The node's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Name or path of the bundle.
    pub bundle: String,
    /// Where and how the networks run.
    pub monitor: MonitorOptions,
    /// Picture of the pixels that count.
    pub valid_mask: Option<String>,
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
    /// What may change while the node runs.
    pub live: Live,
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
}

/// Thresholds set by hand; `None` leaves the bundle's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// See [`Thresholds`](crate::model::bundle::Thresholds).
    pub caution: Option<f32>,
    /// See [`Thresholds`](crate::model::bundle::Thresholds).
    pub failure: Option<f32>,
    /// See [`Thresholds`](crate::model::bundle::Thresholds).
    pub error: Option<f32>,
    /// See [`Thresholds`](crate::model::bundle::Thresholds).
    pub anomaly: Option<f32>,
    /// For a frame to be strange.
    pub anomaly_area: Option<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: Value) -> Result<Settings, ParameterError> {
        Parameters::with_overrides([(name, value)]).map(|parameters| parameters.settings())
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn every_default_is_allowed_and_described() {
        for row in TABLE {
            assert_eq!(row.kind.accept(&row.kind.default()), Some(row.kind.default()), "{}", row.name);
            assert!(row.description.ends_with('.'), "{}", row.name);
            assert_eq!(TABLE.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn defaults_mean_what_the_documentation_says() {
        let settings = Parameters::default().settings();
        assert_eq!(settings.bundle, "street");
        assert_eq!(settings.transport, Transport::Auto);
        assert!(!settings.reliable_input && settings.reliable_output);
        assert_eq!(settings.live.source_timeout, Some(Duration::from_millis(500)));
        assert_eq!(settings.live.thresholds, Overrides::default());
        assert_eq!(settings.live.degraded_deadline, None);
        assert_eq!(settings.valid_mask, None);
    }

    #[test]
    fn zero_switches_a_time_out_off_and_whole_numbers_are_real_ones() {
        assert_eq!(with("source_timeout", Value::Integer(0)).unwrap().live.source_timeout, None);
        assert_eq!(
            with("source_timeout", Value::Integer(2)).unwrap().live.source_timeout,
            Some(Duration::from_secs(2))
        );
    }

    #[test]
    fn a_wrong_value_is_refused_with_name_value_and_range() {
        let message = |name, value| with(name, value).unwrap_err().to_string();
        assert_eq!(
            message("source_timeout", Value::Double(-1.0)),
            "parameter source_timeout is -1.0 (a real number); allowed is a real number in [0.0, 3600.0]"
        );
        assert_eq!(
            message("input_qos", text("best")),
            "parameter input_qos is \"best\" (a string); allowed is one of sensor_data, default"
        );
        assert_eq!(
            message("threshold.failure", Value::Double(1.7)),
            "parameter threshold.failure is 1.7 (a real number); allowed is a real number in [0.0, 1.0], or -1.0 for the bundle's"
        );
        assert!(with("threshold.failure", Value::Double(-0.5)).is_err());
        assert!(with("source_timeout", Value::Double(f64::NAN)).is_err());
        assert!(with("trigger_frames", Value::Integer(0)).is_err());
        assert!(with("trigger_frames", Value::Double(3.0)).is_err());
        assert!(with("anomaly", text("true")).is_err());
        assert!(with("device", text("cuda:x")).is_err());
        assert!(with("device", text("cuda:1")).is_ok());
        assert!(with("bundel", text("street")).unwrap_err().to_string().contains("bundel"));
    }

    #[test]
    fn only_live_parameters_change_while_the_node_runs() {
        let mut parameters = Parameters::default();
        parameters.set("threshold.caution", &Value::Double(0.25)).unwrap();
        assert_eq!(parameters.settings().live.thresholds.caution, Some(0.25));
        let refused = parameters.set("bundle", &text("other")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "parameter bundle is read at the start only; it stays \"street\" until the node is restarted"
        );
        assert!(parameters.set("bundle", &text("street")).is_ok(), "no change, no refusal");
        assert!(parameters.set("threshold.caution", &Value::Double(1.5)).is_err());
        assert_eq!(parameters.settings().live.thresholds.caution, Some(0.25));
    }
}
