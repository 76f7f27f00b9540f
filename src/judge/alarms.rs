//! Alarms after events, and alarms without one.
//!
//! An alarm begins with the report whose level is at or above the asked one, after one whose level was below.
//! The first report of a drive begins none: what was before it is not known.

use super::limits::{MILLISECOND, nanos};
use super::scenario::{Alarm, Event, FalseAlarms};
use super::verdict::{Ruling, Scope};
use crate::judge::evidence::{Evidence, Sighting};
use crate::watch::debounce::Level;

/// Places of the reports with which an alarm begins.
pub(super) fn beginnings(evidence: &Evidence, level: Level) -> impl Iterator<Item = (usize, &Sighting)> {
    let pairs = evidence.sightings.windows(2).zip(1..);
    pairs.filter_map(move |(pair, place)| {
        (pair[0].level < level && pair[1].level >= level).then_some((place, &pair[1]))
    })
}

/// Whether, and when, an alarm follows the event.
pub(super) fn judge(asked: &Alarm, event: &Event, scope: &Scope) -> Ruling {
    let at = nanos(event.at);
    let last = at.saturating_add((asked.within_ms * MILLISECOND).round() as i64);
    let is_due = |sighting: &Sighting| (at..=last).contains(&sighting.said);
    if !scope.sightings().any(|(_, sighting)| is_due(sighting)) {
        return Ruling::no_data(format!("no report from {} s on for {} ms", event.at, asked.within_ms));
    }
    let since = |sighting: &Sighting| (sighting.said - at) as f64 / MILLISECOND;
    let standing = scope.sightings().find(|(_, sighting)| is_due(sighting) && sighting.level >= asked.level);
    let mut begun = beginnings(scope.evidence, asked.level)
        .filter(|(_, sighting)| sighting.said >= at && scope.has(sighting));
    let first = begun.next();
    let mut ruling = Ruling::default();
    match (first.filter(|(_, sighting)| is_due(sighting)), standing.filter(|_| asked.standing)) {
        (Some((place, sighting)), _) => {
            ruling.passed = true;
            ruling.seen = format!("an alarm {:.0} ms after it", since(sighting));
            ruling.figures = [("alarm_ms", since(sighting))].into();
            ruling.decide(place, "the alarm begins".to_owned());
        }
        (None, Some((place, sighting))) => {
            ruling.passed = true;
            ruling.seen = "an alarm that was raised before it stands".to_owned();
            ruling.figures = [("alarm_ms", since(sighting))].into();
            ruling.decide(place, "the alarm stands".to_owned());
        }
        (None, None) => {
            ruling.seen = match (standing, first) {
                (Some(_), _) => "an alarm that was raised before it, and none of its own".to_owned(),
                (None, Some((_, late))) => {
                    format!("no alarm in time; the next one {:.0} ms after it", since(late))
                }
                (None, None) => "no alarm after it".to_owned(),
            };
            if let Some((place, late)) = first {
                ruling.figures = [("alarm_ms", since(late))].into();
                ruling.decide(place, "the next alarm begins".to_owned());
            }
        }
    }
    ruling
}

/// How many alarms there are that belong to no event.
pub(super) fn judge_false(asked: &FalseAlarms, scope: &Scope) -> Ruling {
    let minutes = minutes(scope);
    if minutes <= 0.0 {
        return Ruling::no_data("no time passes between reports".to_owned());
    }
    let spans: Vec<_> = scope.scenario.events.iter().map(|event| span(event, asked, scope)).collect();
    let mut ruling = Ruling::default();
    for (place, sighting) in beginnings(scope.evidence, asked.level) {
        let is_own = |span: &std::ops::RangeInclusive<i64>| {
            span.contains(&sighting.time) || span.contains(&sighting.said)
        };
        if scope.has(sighting) && !spans.iter().any(is_own) {
            ruling.decide(place, format!("an alarm begins, {}", sighting.level.name()));
        }
    }
    let count = ruling.decided.len();
    let rate = count as f64 / minutes;
    ruling.passed = rate <= asked.per_minute;
    ruling.seen = format!("{count} in {minutes:.2} minutes, {rate:.2} a minute");
    ruling.figures = [("false_alarms", count as f64), ("minutes", minutes), ("per_minute", rate)].into();
    ruling
}

/// When an alarm is the event's own: to its end and the grace, and as long as a criterion lets it take.
fn span(event: &Event, asked: &FalseAlarms, scope: &Scope) -> std::ops::RangeInclusive<i64> {
    let alarms = scope.scenario.criteria.iter().filter_map(|criterion| criterion.alarm.as_ref());
    let allowed =
        alarms.filter(|alarm| alarm.event == event.name).map(|alarm| alarm.within_ms).fold(0.0, f64::max);
    let end = nanos(event.until.unwrap_or(event.at)).saturating_add((asked.grace_ms * MILLISECOND) as i64);
    let at = nanos(event.at);
    at..=end.max(at.saturating_add((allowed * MILLISECOND).round() as i64))
}

/// Time between reports that follow each other and count.
fn minutes(scope: &Scope) -> f64 {
    let pairs = scope.evidence.sightings.windows(2);
    let counted = pairs.filter(|pair| scope.has(&pair[0]) && scope.has(&pair[1]));
    counted.map(|pair| (pair[1].time - pair[0].time).max(0) as f64).sum::<f64>() / 60e9
}

fn or_above(level: Level) -> &'static str {
    match level {
        Level::Failure => "FAILURE",
        Level::Nominal | Level::Caution => "CAUTION or FAILURE",
    }
}

/// In words.
pub(super) fn sentence(asked: &Alarm, event: &Event) -> String {
    let standing = if asked.standing { "; one that stands already counts" } else { "" };
    format!(
        "{} within {} ms after {} at {} s{standing}",
        or_above(asked.level),
        asked.within_ms,
        event.name,
        event.at
    )
}

/// In words.
pub(super) fn sentence_false(asked: &FalseAlarms) -> String {
    format!("at most {} a minute, to {}, without an event", asked.per_minute, or_above(asked.level))
}
