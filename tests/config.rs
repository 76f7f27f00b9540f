//! config/monitor.yaml holds every parameter, equal to the default in the code.

use std::collections::BTreeMap;

use serde_norway::Value as Yaml;
use synthcp_monitor::watch::parameters::{Parameters, TABLE, Value};

/// Flattens nested maps to names with dots.
fn flatten(prefix: &str, yaml: &Yaml, into: &mut BTreeMap<String, Value>) {
    let value = match yaml {
        Yaml::Mapping(map) => {
            for (key, value) in map {
                let key = key.as_str().expect("a name");
                let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                flatten(&name, value, into);
            }
            return;
        }
        Yaml::Bool(value) => Value::Bool(*value),
        Yaml::Number(number) if number.is_f64() => Value::Double(number.as_f64().expect("a float")),
        Yaml::Number(number) => Value::Integer(number.as_i64().expect("an integer")),
        Yaml::String(text) => Value::Text(text.clone()),
        other => panic!("{prefix}: {other:?}"),
    };
    into.insert(prefix.to_owned(), value);
}

#[test]
fn the_file_holds_every_parameter_at_its_default() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/monitor.yaml")).unwrap();
    let yaml: Yaml = serde_norway::from_str(&text).unwrap();
    let mut file = BTreeMap::new();
    flatten("", &yaml["/**"]["ros__parameters"], &mut file);
    let defaults = Parameters::default();
    let code: BTreeMap<String, Value> =
        TABLE.iter().map(|row| (row.name.to_owned(), defaults.get(row.name).unwrap().clone())).collect();
    assert_eq!(file, code);
}

#[test]
fn the_file_says_of_every_live_parameter_that_it_is() {
    let text = include_str!("../config/monitor.yaml");
    let marked = text.matches("[live]").count() - 1; // one explains the mark
    // Thresholds stand under one comment.
    let thresholds = TABLE.iter().filter(|row| row.name.starts_with("threshold.")).count();
    assert_eq!(marked + thresholds - 1, TABLE.iter().filter(|row| row.changeable).count());
}
