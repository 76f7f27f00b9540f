//! What a status on /diagnostics says.

use super::scenario::{Diagnostics, Severity};
use super::verdict::{Ruling, Scope, percent};

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "OK",
        Severity::Warn => "WARN",
        Severity::Error => "ERROR",
        Severity::Stale => "STALE",
    }
}

pub(super) fn judge(asked: &Diagnostics, scope: &Scope) -> Ruling {
    let evidence = scope.evidence;
    let (mut met, mut kept) = (0u64, 0u64);
    let mut ruling = Ruling::default();
    for status in &evidence.statuses {
        if status.name != asked.status || !scope.has_time(status.time) {
            continue;
        }
        met += 1;
        if asked.levels.contains(&status.severity) {
            kept += 1;
            continue;
        }
        // The report before it.
        let place = evidence.sightings.partition_point(|sighting| sighting.time <= status.time);
        let why = format!("{}: {}", name(status.severity), status.message);
        ruling.decide(place.saturating_sub(1), why);
    }
    if met == 0 {
        let names: Vec<&str> = evidence.status_names.iter().map(String::as_str).take(20).collect();
        let there = if names.is_empty() { "no status".to_owned() } else { names.join(", ") };
        return Ruling::no_data(format!("no status {:?} in that time; the result has {there}", asked.status));
    }
    let rate = 100.0 * kept as f64 / met as f64;
    ruling.passed = rate >= asked.pass_rate;
    ruling.seen = format!("{kept} of {met} messages pass, {}", percent(rate));
    ruling.figures = [("messages", met as f64), ("passed", kept as f64), ("pass_rate", rate)].into();
    ruling
}

/// In words.
pub(super) fn sentence(asked: &Diagnostics) -> String {
    let levels: Vec<&str> = asked.levels.iter().map(|&level| name(level)).collect();
    format!(
        "{} of the messages of status {:?}: {}",
        percent(asked.pass_rate),
        asked.status,
        levels.join(" or ")
    )
}
