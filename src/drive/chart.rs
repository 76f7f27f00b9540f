//! What charts over time are made of: axes, curves, stretches of one state.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::watch::debounce::Level;

/// Stand-ins that the page's style sheet repaints: an SVG does not know what it lies on.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
/// Points of a curve; of more, only the lowest and the highest of each neighbourhood are drawn.
const POINTS: usize = 1600;

/// Of the failure score.
pub(crate) const FAILURE: RGBColor = RGBColor(70, 130, 220);
/// Of anomalous areas.
pub(crate) const ANOMALY: RGBColor = RGBColor(200, 80, 190);

/// Colour of a level, readable on light and on dark.
pub(crate) fn color(level: Level) -> RGBColor {
    match level {
        Level::Nominal => RGBColor(46, 160, 90),
        Level::Caution => RGBColor(224, 160, 30),
        Level::Failure => RGBColor(214, 60, 70),
    }
}

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
pub(crate) type Failed<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;
pub(crate) type Outcome<'a> = Result<(), Failed<'a>>;

/// Axes and grid.
pub(crate) fn frame<'a, 'b>(
    area: &'a Area<'b>,
    x: Range<f64>,
    top: f64,
    with_seconds: bool,
    title: &str,
    label: &dyn Fn(&f64) -> String,
) -> Result<Chart<'a, 'b>, Failed<'b>> {
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

pub(crate) fn draw_limit<'b>(chart: &mut Chart<'_, 'b>, limit: f64, color: RGBColor) -> Outcome<'b> {
    let (x, y) = (chart.x_range(), chart.y_range());
    if !y.contains(&limit) {
        return Ok(()); // not known, or beyond the chart
    }
    let line = [(x.start, limit), (x.end, limit)];
    chart.draw_series(DashedLineSeries::new(line, 6, 5, color.stroke_width(2)))?;
    Ok(())
}

/// The values over time; the curve is interrupted where there is none.
pub(crate) fn draw_curve<'b>(
    chart: &mut Chart<'_, 'b>,
    points: &[(f64, f64)],
    color: RGBColor,
) -> Outcome<'b> {
    let points = thinned(points);
    for run in points.split(|(_, y)| y.is_nan()).filter(|run| !run.is_empty()) {
        chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?;
        // A point alone makes no line.
        if let [point] = run {
            chart.draw_series([Circle::new(*point, 2, color.filled())])?;
        }
    }
    Ok(())
}

/// No more points than a chart can show: no peak and no gap is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(POINTS + 3);
    for part in points.chunks(points.len().div_ceil(POINTS / 3)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let values = || part.iter().filter(|(_, y)| !y.is_nan());
        let gap = part.iter().find(|(_, y)| y.is_nan());
        let mut of_part: Vec<(f64, f64)> = [values().min_by(by_value), values().max_by(by_value), gap]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        of_part.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept.extend(of_part);
    }
    kept
}

/// Stretches of one state, each up to the beginning of the next.
pub(crate) fn spans<T: PartialEq>(
    states: impl IntoIterator<Item = (f64, T)>,
    end: f64,
) -> Vec<(T, Range<f64>)> {
    let mut spans: Vec<(T, Range<f64>)> = Vec::new();
    for (at, state) in states {
        match spans.last_mut() {
            Some((last, _)) if *last == state => {}
            last => {
                if let Some((_, span)) = last {
                    span.end = at;
                }
                spans.push((state, at..end));
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_peaks_and_its_gaps() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|at| (f64::from(at), 0.5)).collect();
        points[55_555].1 = 0.9;
        points[77_777].1 = 0.1;
        points[33_333].1 = f64::NAN;
        let kept = thinned(&points);
        assert!(kept.len() <= POINTS + 3, "{}", kept.len());
        assert!(kept.contains(&points[55_555]) && kept.contains(&points[77_777]));
        assert_eq!(kept.iter().filter(|(_, y)| y.is_nan()).count(), 1);
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
        assert_eq!(thinned(&points[..POINTS]).len(), POINTS);
    }
}
