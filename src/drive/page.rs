//! A drive as one HTML file: no script, no network, light or dark as the reader has it.

use maud::{Markup, html};

use super::journal::{Entry, Journal};
use super::markup::{data_uri, document, drawing, level, levels, limits, moment, number, percent, tiles};
use super::timeline::timeline;
use crate::bag::message::MonitorReport;
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;

/// Most rows of the table; the bag has all frames.
const ROWS: usize = 500;

/// The whole page.
pub fn render(journal: &Journal) -> String {
    let title = format!("Drive of {}", moment(journal.start()));
    let body = html! {
        @if journal.entries().is_empty() {
            h1 { "A drive without frames" }
            p { "No image was assessed." }
            (silences(journal))
        } @else {
            h1 { (title) }
            (assessed_by(journal.last()))
            (summary(journal))
            (levels(&journal.by_level()))
            (silences(journal))
            h2 { "Over time" }
            figure {
                (drawing(&timeline(journal), "Failure score and anomalous area over time"))
                figcaption {
                    "Blue: failure score, 1 is certain failure, in front of the level after debouncing. "
                    "Purple: share of the image that is anomalous, unlike what the labels say. Dashed: limits."
                }
            }
            (moments(journal))
            (table(journal))
            (limits(journal.last()))
        }
    };
    document(&title, "", &body)
}

fn assessed_by(report: &MonitorReport) -> Markup {
    html! {
        p.soft {
            "Assessed by bundle " strong { (report.bundle) } ", " code { (report.bundle_hash) } "; camera "
            code { (report.header.frame_id) }
        }
    }
}

fn summary(journal: &Journal) -> Markup {
    let (last, entries) = (journal.last(), journal.entries());
    let millis = |quantile| journal.latency(quantile).map_or("none".to_owned(), |ms| format!("{ms:.0} ms"));
    let worst = entries.iter().map(|entry| entry.failure_score).fold(f32::NAN, f32::max);
    let most_anomalous = entries.iter().map(|entry| entry.anomaly_area).fold(f32::NAN, f32::max);
    let summary = [
        ("frames assessed", entries.len().to_string()),
        ("duration", format!("{:.1} s", entries.last().map_or(0.0, |entry| entry.secs))),
        ("highest failure score", number(worst, 2)),
        ("largest anomalous area", percent(most_anomalous)),
        ("latency, median", millis(0.5)),
        ("latency, 95 %", millis(0.95)),
        ("images received", last.frames_received.to_string()),
        ("processed", last.frames_processed.to_string()),
        ("dropped for a newer one", last.frames_dropped.to_string()),
        ("unreadable", last.frames_invalid.to_string()),
    ];
    tiles(summary)
}

/// Counts of reports without a full assessment, if there were any.
fn silences(journal: &Journal) -> Markup {
    let told: Vec<String> = journal
        .by_validity()
        .iter()
        .filter(|(validity, _)| **validity != Validity::Ok)
        .map(|(validity, count)| format!("{count} {}", validity.name()))
        .collect();
    html! {
        @if !told.is_empty() { p.soft { "Reports that were not OK: " (told.join(", ")) } }
    }
}

fn moments(journal: &Journal) -> Markup {
    html! {
        @if !journal.moments().is_empty() {
            h2 { "Worst moments" }
            div.moments {
                @for moment in journal.moments() {
                    @let entry = &journal.entries()[moment.place];
                    figure {
                        img alt=(format!("Overlay of frame {}", entry.number)) src=(data_uri(&moment.jpeg));
                        figcaption {
                            "Frame " (entry.number) ", " (format!("{:.1}", entry.secs)) " s: " (level(entry.level))
                            ", failure " (number(entry.failure_score, 2)) ", anomaly " (percent(entry.anomaly_area))
                        }
                    }
                }
            }
            p.soft { "Red: the label is probably wrong. Yellow box: anomalous, unlike what the labels say, with the class that it was taken for." }
        }
    }
}

fn table(journal: &Journal) -> Markup {
    let raised: Vec<&Entry> = journal.entries().iter().filter(|entry| entry.level > Level::Nominal).collect();
    html! {
        h2 { "Frames at CAUTION or above" }
        @if raised.is_empty() { p { "None." } } @else {
            div.wide {
                table {
                    thead {
                        tr {
                            th.n { "frame" } th.n { "second" } th { "level" } th.n { "failure" } th.n { "mIoU" }
                            th.n { "errors" } th.n { "anomaly" } th { "taken for" } th { "stamp" }
                        }
                    }
                    tbody { @for entry in raised.iter().take(ROWS) { (row(entry)) } }
                }
            }
            @if raised.len() > ROWS {
                p.soft { "The first " (ROWS) " of " (raised.len()) "; demo.mcap has them all." }
            }
        }
    }
}

fn row(entry: &Entry) -> Markup {
    let stamp = entry.stamp;
    html! {
        tr {
            td.n { (entry.number) }
            td.n { (format!("{:.1}", entry.secs)) }
            td { (level(entry.level)) @if entry.validity != Validity::Ok { " " (entry.validity.name()) } }
            td.n { (number(entry.failure_score, 3)) }
            td.n { (number(entry.predicted_miou, 3)) }
            td.n { (percent(entry.error_area)) }
            td.n { (percent(entry.anomaly_area)) }
            td { (entry.rendered_as) (entry.reason) }
            td { (stamp.sec) "." (format!("{:09}", stamp.nanosec)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::{AnomalyRegion, Header, Time};

    fn drive() -> Journal {
        let mut journal = Journal::default();
        for sec in 0..12 {
            let stamp = Time { sec, nanosec: 0 };
            let region = AnomalyRegion { class_name: "<b>car</b>".to_owned(), ..AnomalyRegion::default() };
            let report = MonitorReport {
                header: Header { stamp, frame_id: "front & centre".to_owned() },
                level: u8::from(sec >= 8),
                failure_score: if sec == 3 { f32::NAN } else { 0.25 },
                threshold_caution: 0.5,
                regions: vec![region],
                frames_received: 14,
                guarantee: "half of the frames".to_owned(),
                ..MonitorReport::default()
            };
            journal.add(1_764_000_000_000_000_000 + 200_000_000 * sec as u64, report);
            journal.picture(stamp, &[0xff, 0xd8]);
        }
        journal
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = render(&drive());
        for reference in ["http:", "https:", "//", "src=\"/", "<script", "<link", "@import", "url("] {
            // The namespace of SVG is not an address that is visited.
            let without_name = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!without_name.contains(reference), "{reference}");
        }
        assert!(page.contains("src=\"data:image/jpeg;base64,/9g=\""));
        assert!(page.contains("<svg role=\"img\""));
    }

    #[test]
    fn what_came_over_the_wire_is_text() {
        let page = render(&drive());
        assert!(page.contains("&lt;b&gt;car&lt;/b&gt;") && page.contains("front &amp; centre"));
        assert!(!page.contains("<b>car"));
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn frames_levels_and_limits_are_told() {
        let page = render(&drive());
        assert_eq!(
            page.matches("<td class=\"n\">").count(),
            4 * 6 + 5,
            "four frames at CAUTION, five limits"
        );
        assert!(page.contains("Drive of 2025-11-24 16:00:00 UTC"));
        assert!(page.contains("CAUTION 4 (33.3 %)") && page.contains("half of the frames"));
    }

    #[test]
    fn a_drive_without_frames_has_a_page_too() {
        let mut journal = Journal::default();
        journal.add(1, MonitorReport { validity: Validity::Stale as u8, ..MonitorReport::default() });
        let page = render(&journal);
        assert!(page.contains("No image was assessed") && page.contains("1 STALE"));
    }
}
