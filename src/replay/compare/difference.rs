//! Two results bit for bit, but for latencies and what names versions and computers.

use std::io::{BufRead, BufReader};
use std::path::Path;

use fs_err::File;
use serde_json::Value;

use super::{CompareError, FIGURES, LARGEST, LINES, SUMMARY};
use crate::whole_file;

/// What may differ, wherever it is.
fn may_differ(name: &str) -> bool {
    name.starts_with("latency_") || ["jitter_ms", "host", "version"].contains(&name)
}

/// The first place where the results in folders `a` and `b` differ, in words.
pub fn first_difference(a: &Path, b: &Path) -> Result<Option<String>, CompareError> {
    for name in [LINES, FIGURES] {
        let [ours, theirs] = [a.join(name), b.join(name)];
        if name == FIGURES && !ours.exists() && !theirs.exists() {
            continue;
        }
        let mut ours = BufReader::new(File::open(&ours)?).lines();
        let mut theirs = BufReader::new(File::open(&theirs)?).lines();
        for number in 1.. {
            let pair = (ours.next().transpose()?, theirs.next().transpose()?);
            let (one, other) = match pair {
                (None, None) => break,
                (Some(one), Some(other)) => (one, other),
                (Some(_), None) => return Ok(Some(format!("{name} line {number} is only in A"))),
                (None, Some(_)) => return Ok(Some(format!("{name} line {number} is only in B"))),
            };
            if one == other {
                continue;
            }
            let read = |folder: &Path, text: &str| {
                let wrong = |reason| CompareError::Line { path: folder.join(name), line: number, reason };
                serde_json::from_str::<Value>(text).map_err(wrong)
            };
            if let Some(what) = differ("", &read(a, &one)?, &read(b, &other)?) {
                return Ok(Some(format!("{name} line {number}: {what}")));
            }
        }
    }
    let read = |folder: &Path| -> Result<Value, CompareError> {
        let path = folder.join(SUMMARY);
        let text = whole_file::read(&path, LARGEST)?;
        serde_json::from_slice(&text).map_err(|reason| CompareError::Line { path, line: 1, reason })
    };
    Ok(differ("", &read(a)?, &read(b)?).map(|what| format!("{SUMMARY}: {what}")))
}

/// The first difference below `path`.
fn differ(path: &str, a: &Value, b: &Value) -> Option<String> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            names.filter(|name| !may_differ(name)).find_map(|name| {
                let [one, other] = [a, b].map(|object| object.get(name).unwrap_or(&Value::Null));
                differ(&below(name), one, other)
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(place, (a, b))| differ(&below(&place.to_string()), a, b))
        }
        (Value::Array(a), Value::Array(b)) => Some(format!("{path} has {} and {} entries", a.len(), b.len())),
        (a, b) => (a != b).then(|| format!("{path} is {a} and {b}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_way_and_latencies_are_none() {
        let a = json!({ "report": { "latency_total_ms": 3, "classes": [{ "presence": 0.5 }], "level": 1 } });
        let mut b = a.clone();
        b["report"]["latency_total_ms"] = json!(4);
        assert_eq!(differ("", &a, &b), None);
        b["report"]["classes"][0]["presence"] = json!(0.25);
        assert_eq!(differ("", &a, &b).unwrap(), "report.classes.0.presence is 0.5 and 0.25");
        b["report"]["classes"] = json!([]);
        assert_eq!(differ("", &a, &b).unwrap(), "report.classes has 1 and 0 entries");
        assert_eq!(differ("", &json!({}), &json!({ "x": 1 })).unwrap(), "x is null and 1");
    }
}
