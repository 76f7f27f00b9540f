//! A result over time, as SVG: what was said, and what it rests on.

use std::ops::Range;

use plotters::prelude::*;

use super::evidence::{Evidence, Sighting};
use super::scenario::Event;
use crate::drive::chart::{ANOMALY, Area, FAILURE, Outcome, color, draw_curve, draw_limit, frame, spans};
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;

const SIZE: (u32, u32) = (900, 520);
/// Of error areas.
const ERROR: RGBColor = RGBColor(222, 120, 50);
/// Of events.
const EVENT: RGBColor = RGBColor(120, 120, 130);

/// Colour of a validity.
pub(super) fn validity_color(validity: Validity) -> RGBColor {
    match validity {
        Validity::Ok => RGBColor(46, 160, 90),
        Validity::Degraded => RGBColor(224, 160, 30),
        Validity::Failed => RGBColor(214, 60, 70),
        Validity::Stale => RGBColor(110, 80, 160),
        Validity::InvalidInput => RGBColor(200, 100, 150),
        Validity::Starting => RGBColor(130, 140, 150),
        Validity::Unlabelled => RGBColor(60, 130, 200),
        Validity::Outdated => RGBColor(150, 110, 70),
        Validity::Pending => RGBColor(190, 190, 120),
    }
}

/// The failure score in front of the level and the events, with the validity as a strip above it; error area and
/// anomalous area below. Empty without reports.
pub(super) fn timeline(evidence: &Evidence, events: &[Event]) -> String {
    let mut svg = String::new();
    if evidence.sightings.is_empty() {
        return svg;
    }
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let (above, below) = root.split_vertically(240);
        let (errors, anomalies) = below.split_vertically(118);
        failure_chart(&above, evidence, events)
            .and_then(|()| area_chart(&errors, evidence, Share::Error))
            .and_then(|()| area_chart(&anomalies, evidence, Share::Anomaly))
            .and_then(|()| root.present())
    };
    // Nothing is written to but a string.
    if drawn.is_err() { String::new() } else { svg }
}

/// The top of the chart, with room for the strip.
const TOP: f64 = 1.14;
const STRIP: Range<f64> = 1.05..TOP;

fn failure_chart<'a>(area: &Area<'a>, evidence: &Evidence, events: &[Event]) -> Outcome<'a> {
    let sightings = &evidence.sightings;
    let span = seconds(sightings);
    let label = |y: &f64| if *y > 1.0 { String::new() } else { format!("{y:.1}") };
    let mut chart = frame(area, span.clone(), TOP, false, "failure score", &label)?;
    for (level, part) in spans(sightings.iter().map(|seen| (seen.seconds(), seen.level)), span.end) {
        let fill = color(level).mix(0.22).filled();
        chart.draw_series([Rectangle::new([(part.start, 0.0), (part.end, 1.0)], fill)])?;
    }
    for (validity, part) in spans(sightings.iter().map(|seen| (seen.seconds(), seen.validity)), span.end) {
        let fill = validity_color(validity).filled();
        chart.draw_series([Rectangle::new([(part.start, STRIP.start), (part.end, STRIP.end)], fill)])?;
    }
    for event in events {
        let end = event.until.unwrap_or(event.at).clamp(span.start, span.end);
        let begin = event.at.clamp(span.start, span.end);
        let line = EVENT.stroke_width(2);
        chart.draw_series([Rectangle::new([(begin, 0.0), (end, 1.0)], EVENT.mix(0.25).filled())])?;
        chart.draw_series([begin, end].map(|at| PathElement::new([(at, 0.0), (at, 1.0)], line)))?;
    }
    if let Some(last) = &evidence.last {
        for (limit, level) in
            [(last.threshold_caution, Level::Caution), (last.threshold_failure, Level::Failure)]
        {
            draw_limit(&mut chart, f64::from(limit), color(level))?;
        }
    }
    draw_curve(&mut chart, &points(sightings, |seen| seen.failure_score), FAILURE)
}

#[derive(Clone, Copy, PartialEq)]
enum Share {
    Error,
    Anomaly,
}

fn area_chart<'a>(area: &Area<'a>, evidence: &Evidence, share: Share) -> Outcome<'a> {
    let (title, color_of, limit) = match share {
        Share::Error => ("errors, %", ERROR, f32::NAN),
        Share::Anomaly => {
            let limit = evidence.last.as_ref().map_or(f32::NAN, |last| last.threshold_anomaly_area);
            ("anomaly, %", ANOMALY, limit)
        }
    };
    let points = points(&evidence.sightings, |seen| {
        100.0 * if share == Share::Error { seen.error_area } else { seen.anomaly_area }
    });
    let limit = 100.0 * f64::from(limit);
    let highest = points.iter().map(|(_, y)| *y).fold(limit, f64::max);
    let top = if highest > 0.0 { (1.15 * highest).min(100.0) } else { 1.0 };
    let is_last = share == Share::Anomaly;
    let mut chart = frame(area, seconds(&evidence.sightings), top, is_last, title, &|y| format!("{y}"))?;
    draw_limit(&mut chart, limit, color(Level::Caution))?;
    draw_curve(&mut chart, &points, color_of)
}

fn points(sightings: &[Sighting], value: impl Fn(&Sighting) -> f32) -> Vec<(f64, f64)> {
    // A report that there is no frame interrupts the curve.
    sightings.iter().map(|seen| (seen.seconds(), f64::from(value(seen)))).collect()
}

fn seconds(sightings: &[Sighting]) -> Range<f64> {
    let of = |sighting: Option<&Sighting>| sighting.map_or(0.0, Sighting::seconds);
    let start = of(sightings.first());
    start..of(sightings.last()).max(start + 0.1)
}
