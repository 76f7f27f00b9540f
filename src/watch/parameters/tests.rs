use std::time::Duration;

use super::*;
use crate::watch::cameras::Camera;
use crate::watch::settings::{Overrides, Settings};

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
fn whatever_a_row_accepts_can_be_read() {
    for row in TABLE {
        let ends = match row.kind {
            Kind::Bool(_) => vec![Value::Bool(false), Value::Bool(true)],
            Kind::Integer(_, least, greatest) => vec![Value::Integer(least), Value::Integer(greatest)],
            Kind::Double(_, least, greatest) => vec![Value::Double(least), Value::Double(greatest)],
            Kind::ShareOrBundle => [-1.0, 0.0, 1.0].map(Value::Double).to_vec(),
            Kind::Text(_) => vec![text(""), text("any")],
            Kind::Word(_, words) => words.iter().map(|word| text(word)).collect(),
            Kind::Device => ["auto", "cpu", "cuda", "cuda:1"].map(text).to_vec(),
            Kind::Cameras => vec![Value::Texts(vec!["front".to_owned()]), Value::Texts(Vec::new())],
        };
        for value in ends {
            // Reading panics where the row's kind and its type do not fit.
            with(row.name, value).unwrap();
        }
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
    assert_eq!(Parameters::default().valid_mask(&Camera::default()), None);
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

#[test]
fn caution_above_failure_is_refused_whoever_set_the_other() {
    let set = |name: &'static str, value| (name, Value::Double(value));
    let both = |caution, failure| {
        Parameters::with_overrides([set("threshold.caution", caution), set("threshold.failure", failure)])
    };
    assert!(both(0.5, 0.5).is_ok() && both(-1.0, 0.1).is_ok());
    assert_eq!(
        both(0.9, 0.4).unwrap_err().to_string(),
        "threshold.caution is 0.9 (set by hand) and threshold.failure 0.4 (set by hand); caution must not be above failure"
    );
    let calibrated = Thresholds { caution: 0.3, failure: 0.6, ..Thresholds::uncalibrated() };
    let mut by_hand = both(0.7, -1.0).unwrap();
    let refused = by_hand.calibrate(&calibrated).unwrap_err().to_string();
    assert!(refused.contains("0.7 (set by hand) and threshold.failure 0.6 (the bundle's)"), "{refused}");

    let mut parameters = Parameters::default();
    parameters.calibrate(&calibrated).unwrap();
    assert!(parameters.set("threshold.failure", &Value::Double(0.2)).is_err());
    parameters.set("threshold.caution", &Value::Double(0.1)).unwrap();
    parameters.set("threshold.failure", &Value::Double(0.2)).unwrap();
    assert!(parameters.set("threshold.caution", &Value::Double(-1.0)).is_err(), "the bundle's is 0.3");

    let both = |caution, failure| {
        [("threshold.caution".to_owned(), caution), ("threshold.failure".to_owned(), failure)]
    };
    let together = parameters.with_all(&both(Value::Double(0.5), Value::Double(0.75))).unwrap();
    assert_eq!(together.get("threshold.failure"), Ok(&Value::Double(0.75)));
    assert!(parameters.with_all(&both(Value::Double(0.1), text("high"))).is_err(), "none or all");
}

#[test]
fn a_bundle_whose_own_thresholds_are_odd_is_not_the_users_fault() {
    let mut parameters = Parameters::default();
    parameters.calibrate(&Thresholds { caution: 0.8, failure: 0.2, ..Thresholds::uncalibrated() }).unwrap();
    parameters.calibrate(&Thresholds::unknown()).unwrap();
    parameters.set("threshold.caution", &Value::Double(0.9)).unwrap();
}

#[test]
fn a_misspelt_name_is_refused_with_the_one_that_is_meant() {
    let refused = with("source_timeuot", Value::Double(1.0)).unwrap_err().to_string();
    assert_eq!(refused, "parameter source_timeuot does not exist; source_timeout does, and is likely meant");
    assert!(matches!(with("frame_id", text("x")), Err(ParameterError::Unknown { .. })));
}

#[test]
fn a_node_that_refuses_its_parameters_keeps_the_cameras_that_can_be() {
    let cameras = |names: &[&str]| {
        let names = Value::Texts(names.iter().map(|&name| name.to_owned()).collect());
        let values = [("trigger_frames", Value::Integer(0)), ("cameras", names)];
        assert!(Parameters::with_overrides(values.clone()).is_err());
        Parameters::of_cameras_in(values).settings().cameras
    };
    assert_eq!(cameras(&["front", "left"]), Camera::all(&["front".to_owned(), "left".to_owned()]));
    assert_eq!(cameras(&["front", "le ft"]), Camera::all(&[]));
}
