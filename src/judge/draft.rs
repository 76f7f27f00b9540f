//! A scenario to begin with, with comments: from a recording alone, or from a result, which it passes.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::alarms::beginnings;
use super::evidence::Evidence;
use super::latency::quantile;
use super::scenario::Scenario;
use super::verdict::Verdict;
use crate::bag::BagError;
use crate::bag::reader::{Reader, Wish};
use crate::watch::debounce::Level;

/// Alarms that are proposed as events.
const PROPOSED: usize = 20;
/// Statuses that are proposed.
const STATUSES: usize = 12;

const HEAD: &str = "\
# What a drive must show, for synthcp replay --scenario. docs/replay.md explains every key.
# Times are seconds from the beginning of the recording, frames are counted from 1, areas are shares of the
# image, pass_rate is per cent. Every criterion must be met; one that finds no data is not.
";

const SPANS: &str = "\
# Only what lies in this span counts, ...
during: {from: 0}
";

const ALARM: &str = "  # An alarm soon after something that happens. Needs an entry in events.
  # - {name: the dog is seen, alarm: {event: dog, within_ms: 1000, level: CAUTION}}
";

/// Frames of a topic, and the seconds from the first to the last.
fn extent(bag: &[PathBuf], topic: &str) -> Result<(u64, f64), BagError> {
    let mut reader = Reader::open(bag, &Wish { topics: vec![topic.to_owned()], kinds: Vec::new() })?;
    let (mut count, mut first, mut last) = (0, None, 0);
    for message in reader.by_ref() {
        count += 1;
        first.get_or_insert(message.stamp);
        last = message.stamp;
    }
    Ok((count, (last - first.unwrap_or(last)) as f64 / 1e9))
}

/// From a recording that nobody has replayed yet.
pub fn of_recording(name: &str, bag: &[PathBuf], topic: &str) -> Result<String, BagError> {
    let (frames, seconds) = extent(bag, topic)?;
    let deadline = if frames > 1 && seconds > 0.0 { 1e3 * seconds / (frames - 1) as f64 } else { 100.0 };
    let mut text = HEAD.to_owned();
    let _ = write!(
        text,
        "# {topic} has {frames} frames in {seconds:.1} s. Nothing is replayed yet: what is asked here is a guess;\n\
         # made from the result of a replay, a scenario asks for what was seen.\n\
         name: {}\n\n{SPANS}\
         # ... without these. The level begins with FAILURE, until some good frames have come.\n\
         ignore: {{frames: [1-5], seconds: []}}\n\n\
         # What happens on the drive: with a name, from when to when.\n\
         events: []\n# - {{name: dog, at: 12.4, until: 15}}\n\n\
         criteria:\n\
         \x20 # Frames can be read and are assessed by the whole method.\n\
         \x20 - {{name: valid, frames: {{pass_rate: 99, validity: [OK]}}}}\n\
         \x20 # The segmentation can be relied on.\n\
         \x20 - {{name: no failure, frames: {{pass_rate: 95, level: [NOMINAL, CAUTION]}}}}\n\
         \x20 # Few alarms without an event.\n\
         \x20 - {{name: few false alarms, false_alarms: {{per_minute: 1, level: CAUTION, grace_ms: 1000}}}}\n\
         {ALARM}\
         \x20 # No frame after another without scores, and no second.\n\
         \x20 - {{name: no silence, misses: {{frames: 1, seconds: 1}}}}\n\
         \x20 # As quick as the camera, on the computer that replays.\n\
         \x20 - {{name: quick, latency: {{p95_ms: {:.0}}}}}\n",
        quoted(name),
        deadline.max(1.0)
    );
    Ok(text)
}

/// From a result: it is passed by what was seen.
pub fn of_result(name: &str, evidence: &Evidence) -> String {
    let begin = evidence.sightings.iter().find(|sighting| sighting.level < Level::Failure);
    // Of a level that never falls, no frame is the last one of the beginning.
    let unknown = begin.map_or(0, |sighting| sighting.number.saturating_sub(1));
    let ignored = match unknown {
        0 => "[]".to_owned(),
        last => format!("[1-{last}]"),
    };
    let head = format!("ignore: {{frames: {ignored}, seconds: []}}\n");
    let seen = |criterion: &str, figure: &str| figure_of(&head, criterion, figure, evidence);
    let mut text = HEAD.to_owned();
    let _ = write!(
        text,
        "# Every limit here is what was seen in this result. Make them what the drive must show.\n\
         name: {}\n\n{SPANS}\
         # ... without these. The level begins with FAILURE, until some good frames have come.\n\
         {head}\n\
         # What happens on the drive: with a name, from when to when.\n\
         events: []\n# - {{name: dog, at: 12.4, until: 15}}\n",
        quoted(name)
    );
    text += &alarms(evidence, unknown);
    text += "\ncriteria:\n";
    let mut frames = |comment: &str, name: &str, limit: String| {
        let rate = seen(&format!("{{frames: {{pass_rate: 0, {limit}}}}}"), "pass_rate").unwrap_or(0.0);
        let rate = (rate * 100.0).floor() / 100.0;
        let _ = writeln!(text, "  # {comment}\n  - {{name: {name}, frames: {{pass_rate: {rate}, {limit}}}}}");
    };
    frames("Frames can be read and are assessed by the whole method.", "valid", "validity: [OK]".to_owned());
    frames("The segmentation can be relied on.", "no failure", "level: [NOMINAL, CAUTION]".to_owned());
    for (comment, name, key, values) in [
        ("How likely the segmentation has failed.", "failure score", "failure_score", 0),
        ("Probably wrong pixels.", "errors", "error_area", 1),
        ("Pixels unlike what the labels say.", "anomalies", "anomaly_area", 2),
    ] {
        let values = evidence
            .sightings
            .iter()
            .map(|sighting| [sighting.failure_score, sighting.error_area, sighting.anomaly_area][values]);
        if let Some(most) = at_most(values.collect()) {
            frames(comment, name, format!("{key}: {{max: {most}}}"));
        }
    }
    if let Some(rate) = seen("{false_alarms: {per_minute: 0, grace_ms: 1000}}", "per_minute") {
        let rate = (rate * 100.0).ceil() / 100.0;
        let _ = writeln!(
            text,
            "  # Few alarms without an event; as long as there are no events, all of them.\n  - {{name: few false \
             alarms, false_alarms: {{per_minute: {rate}, level: CAUTION, grace_ms: 1000}}}}"
        );
    }
    text += ALARM;
    let longest = (seen("{misses: {frames: 0}}", "frames"), seen("{misses: {frames: 0}}", "seconds"));
    if let (Some(frames), Some(seconds)) = longest {
        let seconds = ((seconds * 100.0).ceil() / 100.0).max(0.01);
        let _ = writeln!(
            text,
            "  # Frames in a row without scores, and the longest time from one with scores to the next.\n  - {{name: \
             no silence, misses: {{frames: {frames}, seconds: {seconds}}}}}"
        );
    }
    if let Some(p95) = seen("{latency: {p95_ms: 1}}", "p95_ms") {
        let _ = writeln!(
            text,
            "  # Half as long again as was seen: a latency is that of the computer.\n  - {{name: quick, latency: \
             {{p95_ms: {}}}}}",
            (1.5 * p95).ceil().max(1.0)
        );
    }
    if !evidence.status_names.is_empty() {
        text += "  # Statuses on /diagnostics.\n";
        for status in evidence.status_names.iter().take(STATUSES) {
            let _ =
                writeln!(text, "  # - {{diagnostics: {{status: {}, levels: [OK, WARN]}}}}", quoted(status));
        }
    }
    text
}

/// Text of others in one line of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What judging by a criterion sees.
fn figure_of(head: &str, criterion: &str, figure: &str, evidence: &Evidence) -> Option<f64> {
    let scenario: Scenario = serde_norway::from_str(&format!("{head}criteria: [{criterion}]")).ok()?;
    Verdict::of(&scenario, evidence).criteria.get(1)?.figures.get(figure).copied()
}

/// What 95 % of the values do not exceed, rounded up; nothing without values.
fn at_most(mut values: Vec<f32>) -> Option<String> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f32::total_cmp);
    let most = quantile(&values, 0.95)?;
    Some(format!("{:.3}", (f64::from(most) * 1000.0).ceil() / 1000.0))
}

/// The alarms that were met, as events that may be wanted.
fn alarms(evidence: &Evidence, ignored: u64) -> String {
    let met = || beginnings(evidence, Level::Caution).filter(|(_, sighting)| sighting.number > ignored);
    let mut text = String::new();
    if met().next().is_some() {
        text +=
            "# The alarms of this result. Those that have a cause are events: say when it came in view.\n";
    }
    for (number, (place, sighting)) in met().take(PROPOSED).enumerate() {
        let after = &evidence.sightings[place..];
        let end = after.iter().find(|later| later.level < Level::Caution).or(after.last());
        let until = end.map_or(sighting.seconds(), |end| end.seconds());
        let _ = writeln!(
            text,
            "# - {{name: alarm {}, at: {:.2}, until: {:.2}}}",
            number + 1,
            sighting.seconds(),
            until.max(sighting.seconds())
        );
    }
    let more = met().skip(PROPOSED).count();
    if more > 0 {
        let _ = writeln!(text, "# And {more} more.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::evidence::tests::drive;

    fn passes(text: &str, evidence: &Evidence) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("draft.yaml");
        std::fs::write(&path, text).unwrap();
        let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Verdict::of(&scenario, evidence)
    }

    #[test]
    fn a_result_passes_the_draft_that_is_made_of_it_and_a_worse_one_does_not() {
        let mut frames = vec![(Level::Nominal, 0.211); 60];
        frames[..4].fill((Level::Failure, 0.8));
        frames[30..33].fill((Level::Caution, 0.61));
        frames[40].1 = f32::NAN;
        let evidence = drive(&frames);
        let text = of_result("it's: a \"drive\"", &evidence);
        let verdict = passes(&text, &evidence);
        assert!(verdict.passed, "{verdict}\n{text}");
        assert_eq!((verdict.scenario.as_str(), verdict.criteria.len()), ("it's: a \"drive\"", 9));
        assert!(
            text.contains("frames: [1-4]") && text.contains("# - {name: alarm 1, at: 3.00, until: 3.30}"),
            "{text}"
        );
        frames[50..].fill((Level::Failure, 0.9));
        let verdict = passes(&text, &drive(&frames));
        let failed: Vec<&str> = verdict
            .criteria
            .iter()
            .filter(|finding| !finding.passed)
            .map(|finding| finding.name.as_str())
            .collect();
        assert_eq!(failed, ["no failure", "failure score", "few false alarms"], "{verdict}");
    }

    #[test]
    fn a_drive_that_fails_throughout_or_has_no_scores_has_a_draft_too() {
        for frames in [[(Level::Failure, 0.9); 20], [(Level::Failure, f32::NAN); 20]] {
            let evidence = drive(&frames);
            let text = of_result("drive", &evidence);
            let verdict = passes(&text, &evidence);
            assert!(verdict.passed && text.contains("frames: []"), "{verdict}\n{text}");
        }
    }
}
