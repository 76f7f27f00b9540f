//! Failure score and anomalous area of a drive over time, as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::journal::{Entry, Journal};
use crate::watch::debounce::Level;

const SIZE: (u32, u32) = (900, 400);
/// Stand-ins that the page's style sheet repaints: an SVG does not know what it lies on.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);

/// Colour of a level, readable on light and on dark.
pub(crate) fn color(level: Level) -> RGBColor {
    match level {
        Level::Nominal => RGBColor(46, 160, 90),
        Level::Caution => RGBColor(224, 160, 30),
        Level::Failure => RGBColor(214, 60, 70),
    }
}

const FAILURE: RGBColor = RGBColor(70, 130, 220);
const ANOMALY: RGBColor = RGBColor(200, 80, 190);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Outcome<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

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
    for (level, span) in spans(entries) {
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
    draw_curve(&mut chart, entries, FAILURE, |entry| f64::from(entry.failure_score))
}

fn anomaly_chart<'a>(area: &Area<'a>, journal: &Journal) -> Outcome<'a> {
    let entries = journal.entries();
    let percent = |entry: &Entry| 100.0 * f64::from(entry.anomaly_area);
    let limit = 100.0 * f64::from(journal.last().threshold_anomaly_area);
    let highest = entries.iter().map(percent).fold(limit, f64::max);
    let top = if highest > 0.0 { (1.15 * highest).min(100.0) } else { 1.0 };
    let mut chart = frame(area, seconds(entries), top, true, "anomalous area, %", &|y| format!("{y}"))?;
    draw_limit(&mut chart, limit, color(Level::Caution))?;
    draw_curve(&mut chart, entries, ANOMALY, percent)
}

/// Axes and grid.
fn frame<'a, 'b>(
    area: &'a Area<'b>,
    x: Range<f64>,
    top: f64,
    with_seconds: bool,
    title: &str,
    label: &dyn Fn(&f64) -> String,
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<<SVGBackend<'b> as DrawingBackend>::ErrorType>> {
    let text = ("sans-serif", 15).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin_top(8)
        .margin_right(16)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, if with_seconds { 44 } else { 8 })
        .build_cartesian_2d(x, 0.0..top)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(text.clone())
        .axis_desc_style(text)
        .y_desc(title)
        .y_labels(5)
        .y_label_formatter(label)
        .x_label_formatter(&|x| format!("{x}"));
    if with_seconds {
        mesh.x_desc("seconds").x_labels(8);
    } else {
        mesh.x_labels(0);
    }
    mesh.draw()?;
    Ok(chart)
}

fn draw_limit<'b>(chart: &mut Chart<'_, 'b>, limit: f64, color: RGBColor) -> Outcome<'b> {
    let (x, y) = (chart.x_range(), chart.y_range());
    if !y.contains(&limit) {
        return Ok(()); // not known, or beyond the chart
    }
    let line = [(x.start, limit), (x.end, limit)];
    chart.draw_series(DashedLineSeries::new(line, 6, 5, color.stroke_width(2)))?;
    Ok(())
}

/// The values over time; the curve is interrupted where there is none.
fn draw_curve<'b>(
    chart: &mut Chart<'_, 'b>,
    entries: &[Entry],
    color: RGBColor,
    value: impl Fn(&Entry) -> f64,
) -> Outcome<'b> {
    let points: Vec<(f64, f64)> = entries.iter().map(|entry| (entry.secs, value(entry))).collect();
    for run in points.split(|(_, y)| y.is_nan()).filter(|run| !run.is_empty()) {
        chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?;
        // A point alone makes no line.
        if let [point] = run {
            chart.draw_series([Circle::new(*point, 2, color.filled())])?;
        }
    }
    Ok(())
}

fn seconds(entries: &[Entry]) -> Range<f64> {
    0.0..entries.last().map_or(0.0, |entry| entry.secs).max(0.1)
}

/// Stretches of one level, each up to the beginning of the next.
fn spans(entries: &[Entry]) -> Vec<(Level, Range<f64>)> {
    let end = seconds(entries).end;
    let mut spans: Vec<(Level, Range<f64>)> = Vec::new();
    for entry in entries {
        match spans.last_mut() {
            Some((level, _)) if *level == entry.level => {}
            last => {
                if let Some((_, span)) = last {
                    span.end = entry.secs;
                }
                spans.push((entry.level, entry.secs..end));
            }
        }
    }
    spans
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
        let spans = spans(journal.entries());
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
