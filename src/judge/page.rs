//! A result as one HTML file: verdict, timeline, alarms with pictures, figures, and what it was made of.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use super::alarms::beginnings;
use super::evidence::{Evidence, PICTURED, Rise, Sighting};
use super::latency::quantile;
use super::misses::{counted, longest};
use super::scenario::Event;
use super::timeline::{timeline, validity_color};
use super::verdict::{Finding, Verdict};
use crate::drive::markup::{
    data_uri, document, drawing, level, levels, limits, moment, number, percent, tiles,
};
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;
use crate::whole_file;

/// The name of the page.
pub const PAGE: &str = "report.html";
/// Rows of the table of alarms.
const ROWS: usize = 300;
/// Rows of what the result was made of.
const FACTS: usize = 300;
/// Deciding frames named below a criterion.
const DECIDING: usize = 6;
/// What of a summary stands elsewhere on the page.
const ELSEWHERE: [&str; 12] = [
    "topic",
    "begin",
    "met",
    "frames",
    "doubtful",
    "validity",
    "level",
    "failures_begun",
    "lost",
    "latency_ms",
    "misses",
    "complete",
];

/// Writes the page into the folder.
pub fn write(
    folder: &Path,
    evidence: &Evidence,
    verdict: Option<&Verdict>,
    events: &[Event],
) -> std::io::Result<()> {
    whole_file::write(&folder.join(PAGE), render(evidence, verdict, events))
}

/// The whole page.
pub fn render(evidence: &Evidence, verdict: Option<&Verdict>, events: &[Event]) -> String {
    let title = match verdict {
        Some(verdict) if !verdict.scenario.is_empty() => verdict.scenario.clone(),
        _ => format!("Replay of {}", moment(evidence.begin.max(0).unsigned_abs())),
    };
    let body = html! {
        h1 { (title) @if let Some(verdict) = verdict { (word(verdict.passed)) } }
        (made_by(evidence))
        @if !evidence.complete {
            p.failed { "The replay was stopped before the end of the recording." }
        }
        @if evidence.lost > 0 {
            p.failed { (evidence.lost) " parts of the recording could not be read." }
        }
        @if let Some(verdict) = verdict { (criteria(verdict)) }
        @if evidence.frames() == 0 {
            p { "No frame was assessed." }
        } @else {
            h2 { "The drive" }
            (tiles(summary(evidence)))
            (levels(&by_level(evidence)))
        }
        @if !evidence.sightings.is_empty() { (over_time(evidence, events)) }
        (alarms(evidence))
        (table(evidence))
        @if let Some(last) = evidence.last.as_ref().filter(|last| !last.bundle.is_empty()) { (limits(last)) }
        (facts(&evidence.summary))
    };
    document(&title, include_str!("page.css"), &body)
}

fn word(passed: bool) -> Markup {
    match passed {
        true => html! { strong.passed { "PASSED" } },
        false => html! { strong.failed { "FAILED" } },
    }
}

fn made_by(evidence: &Evidence) -> Markup {
    html! {
        @if let Some(last) = &evidence.last {
            p.soft {
                "Recorded " (moment(evidence.begin.max(0).unsigned_abs())) ". Assessed by bundle " strong { (last.bundle) }
                ", " code { (last.bundle_hash) } "; camera " code { (last.header.frame_id) }
                @if let Some(topic) = evidence.summary["topic"].as_str() { " on " code { (topic) } }
            }
        }
    }
}

fn criteria(verdict: &Verdict) -> Markup {
    html! {
        h2 { "Verdict" }
        ul.verdict {
            @for finding in &verdict.criteria { (criterion(finding)) }
        }
        @if verdict.criteria.iter().any(|finding| finding.deciding > DECIDING) {
            p.soft { "verdict.json names up to a hundred of the frames that decided." }
        }
    }
}

fn criterion(finding: &Finding) -> Markup {
    let more = finding.deciding.saturating_sub(DECIDING);
    html! {
        li {
            (word(finding.passed)) " " b { (finding.name) } ": " (finding.asked)
            div { "Seen: " (finding.seen) }
            @if !finding.deciding_frames.is_empty() {
                ul {
                    @for frame in finding.deciding_frames.iter().take(DECIDING) {
                        li { "frame " (frame.frame) ", " (format!("{:.2}", frame.seconds)) " s: " (frame.why) }
                    }
                    @if more > 0 { li { "and " (more) " more" } }
                }
            }
        }
    }
}

fn summary(evidence: &Evidence) -> Vec<(&'static str, String)> {
    let sightings = &evidence.sightings;
    let most = |value: fn(&Sighting) -> f32| sightings.iter().map(value).fold(f32::NAN, f32::max);
    let mut sorted: Vec<f32> =
        sightings.iter().map(|sighting| sighting.latency_ms).filter(|ms| !ms.is_nan()).collect();
    sorted.sort_by(f32::total_cmp);
    let millis = |share| quantile(&sorted, share).map_or("none".to_owned(), |ms| format!("{ms:.0} ms"));
    let begin = sightings.first().map_or(0.0, Sighting::seconds);
    let seconds = sightings.last().map_or(0.0, Sighting::seconds) - begin;
    let [alarms, failures] =
        [Level::Caution, Level::Failure].map(|level| beginnings(evidence, level).count());
    let misses = longest(sightings.iter().enumerate(), evidence.span).unwrap_or_default();
    let dropped: u64 = sightings.iter().map(|sighting| sighting.dropped).sum();
    vec![
        ("frames", evidence.frames().to_string()),
        ("duration", format!("{seconds:.1} s")),
        ("rises from NOMINAL", alarms.to_string()),
        (
            "those a minute",
            if seconds > 0.0 { format!("{:.1}", 60.0 * alarms as f64 / seconds) } else { "none".into() },
        ),
        ("rises to FAILURE", failures.to_string()),
        ("highest failure score", number(most(|seen| seen.failure_score), 2)),
        ("largest error area", percent(most(|seen| seen.error_area))),
        ("largest anomalous area", percent(most(|seen| seen.anomaly_area))),
        ("dropped, or without labels", dropped.to_string()),
        ("longest run of misses", counted(misses.frames.0)),
        ("longest without scores", format!("{:.2} s", misses.seconds.0)),
        ("latency, p50", millis(0.5)),
        ("latency, p95", millis(0.95)),
        ("latency, p99", millis(0.99)),
        ("latency, longest", millis(1.0)),
    ]
}

fn by_level(evidence: &Evidence) -> [(Level, usize); 3] {
    let frames = || evidence.sightings.iter().filter(|sighting| sighting.validity.is_on_an_image());
    [Level::Nominal, Level::Caution, Level::Failure]
        .map(|level| (level, frames().filter(|sighting| sighting.level == level).count()))
}

fn over_time(evidence: &Evidence, events: &[Event]) -> Markup {
    let mut validities: BTreeMap<Validity, usize> = BTreeMap::new();
    for sighting in &evidence.sightings {
        *validities.entry(sighting.validity).or_default() += 1;
    }
    html! {
        h2 { "Over time" }
        figure {
            (drawing(&timeline(evidence, events), "Validity, level, failure score and areas over time"))
            ul.swatches {
                @for (validity, count) in &validities {
                    @let color = validity_color(*validity);
                    li {
                        i style=(format!("background:rgb({},{},{})", color.0, color.1, color.2)) {}
                        (validity.name()) " " (count)
                    }
                }
            }
            figcaption {
                "Strip: validity of the reports, counted above. Blue: failure score, 1 is certain failure, in front of "
                "the level after debouncing. Orange: share of the image that is probably wrong. Purple: share that is "
                "anomalous, unlike what the labels say. Dashed: limits."
                @if !events.is_empty() { " Grey: events of the scenario." }
                " Seconds from the beginning of the recording."
            }
        }
    }
}

fn alarms(evidence: &Evidence) -> Markup {
    let shown: Vec<&Rise> =
        evidence.rises.iter().filter(|rise| rise.image.is_some() || rise.overlay.is_some()).collect();
    let left_out = evidence.rises.len().saturating_sub(PICTURED);
    html! {
        @if !shown.is_empty() {
            h2 { "Where the level rises" }
            div.alarms {
                @for rise in shown { (alarm(rise, evidence)) }
            }
            p.soft {
                "Red: the label is probably wrong. Yellow box: anomalous, with the "
                "class that it was taken for."
                @if left_out > 0 { " Of the last " (left_out) " there are no pictures." }
            }
        }
    }
}

fn alarm(rise: &Rise, evidence: &Evidence) -> Markup {
    let sighting = &evidence.sightings[rise.place];
    html! {
        figure {
            div.pair {
                @if let Some(image) = &rise.image {
                    img alt=(format!("Frame {}", sighting.number)) src=(data_uri(image));
                }
                @if let Some(overlay) = &rise.overlay {
                    img alt=(format!("Overlay of frame {}", sighting.number)) src=(data_uri(overlay));
                }
            }
            figcaption {
                "Frame " (sighting.number) ", " (format!("{:.2}", sighting.seconds())) " s: " (level(sighting.level))
                ", failure " (number(sighting.failure_score, 2)) ", errors " (percent(sighting.error_area))
                ", anomaly " (percent(sighting.anomaly_area))
            }
        }
    }
}

fn table(evidence: &Evidence) -> Markup {
    let rises = &evidence.rises;
    html! {
        h2 { "Rises of the level" }
        @if rises.is_empty() { p { "None." } } @else {
            div.wide {
                table {
                    thead {
                        tr {
                            th.n { "frame" } th.n { "second" } th { "level" } th.n { "failure" } th.n { "errors" }
                            th.n { "anomaly" } th { "taken for" } th { "validity" } th { "why" }
                        }
                    }
                    tbody { @for rise in rises.iter().take(ROWS) { (row(&evidence.sightings[rise.place])) } }
                }
            }
            @if rises.len() > ROWS { p.soft { "The first " (ROWS) " of " (rises.len()) "." } }
        }
    }
}

fn row(sighting: &Sighting) -> Markup {
    html! {
        tr {
            td.n { (sighting.number) }
            td.n { (format!("{:.2}", sighting.seconds())) }
            td { (level(sighting.level)) }
            td.n { (number(sighting.failure_score, 3)) }
            td.n { (percent(sighting.error_area)) }
            td.n { (percent(sighting.anomaly_area)) }
            td { (sighting.taken_for) }
            td { (sighting.validity.name()) }
            td.why { (sighting.reason) }
        }
    }
}

/// What the summary says that stands nowhere else: figures, host, hashes.
fn facts(summary: &Value) -> Markup {
    let mut rows = Vec::new();
    if let Value::Object(all) = summary {
        for (name, value) in all.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())) {
            flatten(name, value, &mut rows);
        }
    }
    let more = rows.len().saturating_sub(FACTS);
    html! {
        @if !rows.is_empty() {
            h2 { "The result in detail" }
            table.facts {
                @for (name, value) in rows.iter().take(FACTS) { tr { td { (name) } td { (value) } } }
            }
            @if more > 0 { p.soft { "And " (more) " more in summary.json." } }
        }
    }
}

/// `host.cpu` and its value, for every value within.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(all) => {
            all.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, rows))
        }
        Value::Array(all) if all.iter().any(|value| value.is_object() || value.is_array()) => {
            all.iter().zip(1..).for_each(|(value, place)| flatten(&format!("{name}.{place}"), value, rows));
        }
        Value::Array(all) if all.is_empty() => {}
        Value::Array(all) => {
            rows.push((name.to_owned(), all.iter().map(plain).collect::<Vec<_>>().join(", ")));
        }
        Value::Null => {}
        value => rows.push((name.to_owned(), plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or(String::new(), |number| format!("{:.4}", number))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::evidence::tests::drive;
    use crate::judge::scenario::Scenario;
    use serde_json::json;

    fn evidence() -> Evidence {
        let mut frames = vec![(Level::Nominal, 0.2); 20];
        frames[10..13].fill((Level::Caution, 0.7));
        frames[15].1 = f32::NAN;
        let mut evidence = drive(&frames);
        let picture = Some(vec![0xff, 0xd8]);
        evidence.rises = vec![Rise { place: 10, image: picture.clone(), overlay: picture }];
        evidence.summary = json!({
            "topic": "/front/image", "frames": 20, "host": {"cpu": "<b>fast</b>", "cores": 2},
            "header": {"recordings": [{"path": "drive", "sha256": "ab12"}]}, "jitter_ms": null, "losses": [],
        });
        evidence
    }

    fn judged(evidence: &Evidence) -> String {
        let scenario: Scenario = serde_norway::from_str(
            "{name: a & b, events: [{name: dog, at: 0.8, until: 1.2}], criteria: [{frames: {level: [NOMINAL]}}]}",
        )
        .unwrap();
        render(evidence, Some(&Verdict::of(&scenario, evidence)), &scenario.events)
    }

    #[test]
    fn the_page_needs_nothing_but_itself_and_shows_text_as_text() {
        let page = judged(&evidence());
        for reference in ["http:", "https:", "//", "src=\"/", "<script", "<link", "@import", "url("] {
            // The namespace of SVG is not an address that is visited.
            let without_name = page.replace("http://www.w3.org/2000/svg", "");
            let without_pictures = without_name.replace("base64,/9g=", "");
            assert!(!without_pictures.contains(reference), "{reference}");
        }
        assert!(page.contains("&lt;b&gt;fast") && page.contains("a &amp; b") && !page.contains("NaN"));
    }

    #[test]
    fn verdict_alarms_and_origin_are_told() {
        let page = judged(&evidence());
        assert!(page.contains("FAILED") && page.contains("17 of 20 frames pass"), "{page}");
        assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 2);
        for said in
            ["host.cpu", "header.recordings.1.sha256", "ab12", "/front/image", "Grey: events", "1 frame<"]
        {
            assert!(page.contains(said), "{said}");
        }
        assert!(!page.contains("jitter_ms"));
    }

    #[test]
    fn a_drive_that_begins_in_an_alarm_has_its_rises_counted_all_the_same() {
        let page = render(&drive(&[(Level::Caution, 0.5), (Level::Failure, 0.9)]), None, &[]);
        let tile =
            |name: &str| page.split_once(name).map(|(_, rest)| rest.chars().take(40).collect::<String>());
        assert!(tile("rises from NOMINAL").is_some_and(|rest| rest.contains(">0<")), "{page}");
        assert!(tile("rises to FAILURE").is_some_and(|rest| rest.contains(">1<")), "{page}");
    }

    #[test]
    fn a_result_without_frames_or_scores_has_a_page_too() {
        let page = render(&drive(&[]), None, &[]);
        assert!(page.contains("No frame was assessed") && page.contains("Replay of 2023-11-14"));
        let page = render(&drive(&[(Level::Failure, f32::NAN); 3]), None, &[]);
        assert!(
            page.contains("<svg role=\"img\"") && !page.contains("NaN") && !page.contains("inf"),
            "{page}"
        );
        assert!(render(&drive(&[(Level::Nominal, 0.1)]), None, &[]).contains("</svg>"));
    }
}
