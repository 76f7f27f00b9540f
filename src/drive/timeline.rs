//! Failure score and anomalous area of a drive over time, as SVG.

use std::ops::Range;

use plotters::prelude::*;

use super::chart::{ANOMALY, Area, FAILURE, Outcome, color, draw_curve, draw_limit, frame, spans};
use super::journal::{Entry, Journal};
use crate::watch::debounce::Level;

const SIZE: (u32, u32) = (900, 400);

/// Two charts over one axis of seconds: the failure score above, in front of the level, and the
/// anomalous area below. Limits in force at the end are dashed. Empty for a drive without frames.
pub(crate) fn timeline(journal: &Journal) -> String {
    let mut svg = String::new();
    if journal.entries().is_empty() {
        return svg;
    }
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let (above, below) = root.split_vertically(210);
        failure_chart(&above, journal)
            .and_then(|()| anomaly_chart(&below, journal))
            .and_then(|()| root.present())
    };
    // Nothing is written to but a string.
    if drawn.is_err() { String::new() } else { svg }
}

fn failure_chart<'a>(area: &Area<'a>, journal: &Journal) -> Outcome<'a> {
    let entries = journal.entries();
    let mut chart = frame(area, seconds(entries), 1.0, false, "failure score", &|y| format!("{y:.1}"))?;
    for (level, span) in levels(entries) {
        let fill = color(level).mix(0.22).filled();
        chart.draw_series([Rectangle::new([(span.start, 0.0), (span.end, 1.0)], fill)])?;
    }
    let limits = [
        (journal.last().threshold_caution, Level::Caution),
        (journal.last().threshold_failure, Level::Failure),
    ];
    for (limit, level) in limits {
        draw_limit(&mut chart, f64::from(limit), color(level))?;
    }
    draw_curve(&mut chart, &points(entries, |entry| f64::from(entry.failure_score)), FAILURE)
}

fn anomaly_chart<'a>(area: &Area<'a>, journal: &Journal) -> Outcome<'a> {
    let entries = journal.entries();
    let percent = |entry: &Entry| 100.0 * f64::from(entry.anomaly_area);
    let limit = 100.0 * f64::from(journal.last().threshold_anomaly_area);
    let highest = entries.iter().map(percent).fold(limit, f64::max);
    let top = if highest > 0.0 { (1.15 * highest).min(100.0) } else { 1.0 };
    let mut chart = frame(area, seconds(entries), top, true, "anomalous area, %", &|y| format!("{y}"))?;
    draw_limit(&mut chart, limit, color(Level::Caution))?;
    draw_curve(&mut chart, &points(entries, percent), ANOMALY)
}

fn points(entries: &[Entry], value: impl Fn(&Entry) -> f64) -> Vec<(f64, f64)> {
    entries.iter().map(|entry| (entry.secs, value(entry))).collect()
}

fn seconds(entries: &[Entry]) -> Range<f64> {
    0.0..entries.last().map_or(0.0, |entry| entry.secs).max(0.1)
}

/// Stretches of one level.
fn levels(entries: &[Entry]) -> Vec<(Level, Range<f64>)> {
    spans(entries.iter().map(|entry| (entry.secs, entry.level)), seconds(entries).end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::{Header, MonitorReport, Time};

    fn drive(frames: &[(u8, f32)]) -> Journal {
        let mut journal = Journal::default();
        for (place, &(level, failure_score)) in (0..).zip(frames) {
            let stamp = Time { sec: 0, nanosec: place * 200_000_000 };
            let report = MonitorReport {
                header: Header { stamp, ..Header::default() },
                level,
                failure_score,
                anomaly_area: 0.02,
                threshold_caution: 0.5,
                threshold_failure: f32::NAN,
                threshold_anomaly_area: 0.1,
                ..MonitorReport::default()
            };
            journal.add(0, report);
        }
        journal
    }

    #[test]
    fn levels_are_stretches_without_gaps() {
        let journal = drive(&[(0, 0.1), (0, 0.1), (1, 0.6), (2, 0.9), (2, 0.9), (0, 0.1)]);
        let spans = levels(journal.entries());
        assert_eq!(spans.iter().map(|(level, _)| *level as u8).collect::<Vec<_>>(), [0, 1, 2, 0]);
        assert!(spans.windows(2).all(|pair| pair[0].1.end == pair[1].1.start), "{spans:?}");
        assert_eq!((spans[0].1.start, spans[3].1.end), (0.0, 1.0));
    }

    #[test]
    fn a_frame_without_score_interrupts_the_curve() {
        let lines = |journal: &Journal| timeline(journal).matches("<polyline").count();
        let whole = lines(&drive(&[(0, 0.1); 9]));
        let mut frames = [(0, 0.1); 9];
        frames[4].1 = f32::NAN;
        assert_eq!(lines(&drive(&frames)), whole + 1);
    }

    #[test]
    fn numbers_stay_numbers_whatever_the_drive() {
        assert_eq!(timeline(&Journal::default()), "");
        for frames in [&[(2, f32::NAN)][..], &[(0, 0.3)], &[(0, f32::NAN), (1, 1.0)]] {
            let svg = timeline(&drive(frames));
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
