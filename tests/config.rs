//! config/monitor.yaml holds every parameter, equal to the default in the code; config/foxglove.json shows fields
//! that reports have.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::Value as Json;
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
        Yaml::Sequence(texts) => {
            Value::Texts(texts.iter().map(|text| text.as_str().expect("a text").to_owned()).collect())
        }
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

fn foxglove() -> Json {
    serde_json::from_str(include_str!("../config/foxglove.json")).unwrap()
}

/// The panels that are seen at this place of the layout, those behind tabs too.
fn panels_at(place: &Json, panels: &Json) -> Vec<String> {
    let Some(id) = place.as_str() else {
        return ["first", "second"].iter().flat_map(|half| panels_at(&place[half], panels)).collect();
    };
    let tabs = panels[id]["tabs"].as_array().into_iter().flatten();
    std::iter::once(id.to_owned()).chain(tabs.flat_map(|tab| panels_at(&tab["layout"], panels))).collect()
}

/// Names and constants of a message, in order.
fn names_in(definition: &str) -> Vec<&str> {
    let lines = definition.lines().map(|line| line.split('#').next().unwrap());
    lines.filter_map(|line| line.split_whitespace().nth(1)).collect()
}

#[test]
fn every_panel_of_the_foxglove_layout_is_seen_once() {
    let layout = foxglove();
    let mut seen = panels_at(&layout["layout"], &layout["configById"]);
    seen.sort();
    let mut panels: Vec<String> = layout["configById"].as_object().unwrap().keys().cloned().collect();
    panels.sort();
    assert_eq!(seen, panels);
}

#[test]
fn the_foxglove_layout_draws_fields_that_reports_have() {
    let report = names_in(include_str!("../msg/MonitorReport.msg"));
    let region = names_in(include_str!("../msg/AnomalyRegion.msg"));
    let layout = foxglove();
    let panels = layout["configById"].as_object().unwrap().values();
    let paths: Vec<&Json> =
        panels.flat_map(|panel| panel["paths"].as_array().into_iter().flatten()).collect();
    assert!(paths.len() > 10, "{}", paths.len());
    for path in paths {
        let text = path["value"].as_str().unwrap();
        let field = text.strip_prefix("/monitor/report.").expect(text);
        let known = match field.strip_prefix("regions[:].") {
            Some(field) => region.contains(&field),
            None => report.contains(&field),
        };
        assert!(known, "{text}");
        for state in path["customStates"]["states"].as_array().into_iter().flatten() {
            let (label, value) = (state["label"].as_str().unwrap(), state["value"].as_str().unwrap());
            let constant = format!("{}_{label}={value}", field.to_uppercase());
            assert!(report.contains(&constant.as_str()), "{constant}");
        }
    }
}
