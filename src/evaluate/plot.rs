//! Figures of an evaluation, as SVG.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::evaluation::ImageFigures;
use super::scoreboard::Scored;
use crate::labels::LabelSet;
use crate::metric::estimate::Estimates;
use crate::metric::ranking::CurvePoint;
use crate::model::bundle::Thresholds;

/// Stand-ins that the page's style sheet repaints: an SVG does not know what it lies on.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);

/// Size of a figure with one chart, and the width of the chart in it; names stand beside it.
const SHEET: (u32, u32) = (680, 400);
const CHART: i32 = 420;

const LOW: RGBColor = RGBColor(214, 60, 70);
const HIGH: RGBColor = RGBColor(70, 130, 220);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Fault<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;
type Outcome<'a> = Result<(), Fault<'a>>;

/// A figure and what it shows.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of its file.
    pub name: &'static str,
    /// What it shows, in a line.
    pub caption: String,
    /// The drawing, to lie on whatever the reader has.
    pub svg: String,
}

impl Figure {
    /// The drawing alone, dark on white.
    pub(crate) fn standalone(&self) -> String {
        let colored = self.svg.replace("#010101", "#1c2128").replace("#020202", "#d5dae1");
        colored.replacen("<svg ", "<svg style=\"background:#fff\" ", 1)
    }
}

/// Draws on a sheet of this size. Only a string is written, so nothing fails.
fn draw(size: (u32, u32), draw: impl for<'a> FnOnce(&Area<'a>) -> Outcome<'a>) -> String {
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&root).and_then(|()| root.present())
    };
    if drawn.is_err() { String::new() } else { svg }
}

/// A colour for each of up to ten curves, readable on light and on dark.
fn color(place: usize) -> RGBColor {
    let [r, g, b] = colorous::TABLEAU10[place % colorous::TABLEAU10.len()].into_array();
    RGBColor(r, g, b)
}

/// Precision against recall, a curve per detector.
pub(crate) fn precision_recall(scored: &[Scored]) -> Figure {
    let point = |p: &CurvePoint| (p.recall, p.precision);
    let caption =
        "Precision against recall, pixels pooled. Up and to the right is better; the area is the AP.";
    curves("precision_recall", caption, ["recall", "precision"], scored, point)
}

/// Recall against false positive rate, a curve per detector.
pub fn roc(scored: &[Scored]) -> Figure {
    let point = |p: &CurvePoint| (p.fpr, p.recall);
    let caption = "Recall against false positive rate (ROC), pixels pooled. Up and to the left is better; dashed: chance.";
    curves("roc", caption, ["false positive rate", "recall"], scored, point)
}

fn curves(
    name: &'static str,
    caption: &str,
    axes: [&str; 2],
    scored: &[Scored],
    point: impl Fn(&CurvePoint) -> (f64, f64),
) -> Figure {
    let svg = draw(SHEET, |root| {
        let (left, right) = root.split_horizontally(CHART);
        let mut chart = square(&left, axes)?;
        if name == "roc" {
            chart.draw_series(DashedLineSeries::new([(0., 0.), (1., 1.)], 5, 5, GRID.stroke_width(2)))?;
        }
        for (place, scored) in scored.iter().enumerate() {
            let start = (name == "roc").then_some((0., 0.));
            let points = start.into_iter().chain(scored.curve.iter().map(&point));
            chart.draw_series(LineSeries::new(points, color(place).stroke_width(2)))?;
        }
        legend(&right, scored.iter().map(|scored| scored.name.as_str()).enumerate())
    });
    Figure { name, caption: caption.to_owned(), svg }
}

/// Share of wrong pixels against the predicted probability.
pub fn reliability(scored: &[Scored]) -> Option<Figure> {
    let given: Vec<_> =
        scored.iter().enumerate().filter_map(|(i, s)| Some((i, s, s.reliability.as_ref()?))).collect();
    if given.is_empty() {
        return None;
    }
    let svg = draw(SHEET, |root| {
        let (left, right) = root.split_horizontally(CHART);
        let mut chart = square(&left, ["probability given", "share of wrong pixels"])?;
        chart.draw_series(DashedLineSeries::new([(0., 0.), (1., 1.)], 5, 5, GRID.stroke_width(2)))?;
        for (place, _, reliability) in &given {
            let points: Vec<(f64, f64)> = reliability.bins().iter().filter_map(|bin| bin.means()).collect();
            chart.draw_series(LineSeries::new(points.iter().copied(), color(*place).stroke_width(2)))?;
            chart.draw_series(points.iter().map(|p| Circle::new(*p, 3, color(*place).filled())))?;
        }
        legend(&right, given.iter().map(|(place, scored, _)| (*place, scored.name.as_str())))
    });
    let caption = "Reliability: on the dashed line, a probability is what it says. Below it, the detector cries wolf; above, it hides errors.";
    Some(Figure { name: "reliability", caption: caption.to_owned(), svg })
}

/// Estimated against true IoU, a chart per class; classes without images are left out.
pub(crate) fn iou_scatter(detector: &str, labels: &LabelSet, estimates: &Estimates) -> Figure {
    const COLUMNS: usize = 5;
    const CELL: (u32, u32) = (176, 186);
    let shown: Vec<_> = labels
        .classes
        .iter()
        .zip(estimates.pairs())
        .filter(|(_, (estimates, _))| !estimates.is_empty())
        .collect();
    let rows = shown.len().div_ceil(COLUMNS).max(1);
    let size = (COLUMNS as u32 * CELL.0, rows as u32 * CELL.1);
    let svg = draw(size, |root| {
        for (area, (class, (estimates, truths))) in root.split_evenly((rows, COLUMNS)).iter().zip(&shown) {
            let title = format!("{} ({})", class.name, estimates.len());
            let mut chart = ChartBuilder::on(area)
                .margin(6)
                .caption(title, ("sans-serif", 14).into_font().color(&INK))
                .set_label_area_size(LabelAreaPosition::Left, 26)
                .set_label_area_size(LabelAreaPosition::Bottom, 20)
                .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(GRID)
                .axis_style(GRID)
                .label_style(("sans-serif", 11).into_font().color(&INK))
                .x_labels(3)
                .y_labels(3)
                .draw()?;
            chart.draw_series(DashedLineSeries::new([(0., 0.), (1., 1.)], 4, 4, GRID.stroke_width(2)))?;
            let points = estimates.iter().zip(*truths).map(|(estimate, truth)| (*truth, *estimate));
            chart.draw_series(points.map(|p| Circle::new(p, 2, HIGH.mix(0.55).filled())))?;
        }
        Ok(())
    });
    let caption = format!(
        "IoU that {detector} estimates (up) against the true one (across), a dot per image in which the class is labelled."
    );
    Figure { name: "iou_scatter", caption, svg }
}

/// Histogram of the failure score: images on which the segmenter M did worse than on the median image,
/// and the others. Limits in force are dashed.
pub(crate) fn failure_histogram(images: &[ImageFigures], limits: &Thresholds) -> Figure {
    const BINS: usize = 40;
    let mut sorted: Vec<f64> = images.iter().map(|image| image.true_miou).collect();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.);
    let mut counts = [[0_u32; 2]; BINS];
    for image in images.iter().filter(|image| image.failure.is_finite()) {
        let bin = ((f64::from(image.failure) * BINS as f64) as usize).min(BINS - 1);
        counts[bin][usize::from(image.true_miou < median)] += 1;
    }
    let highest = counts.iter().map(|[good, bad]| good + bad).max().unwrap_or(0);
    let svg = draw(SHEET, |root| {
        let (left, right) = root.split_horizontally(CHART);
        let top = f64::from(highest.max(1)) * 1.08;
        let mut chart = framed(&left, 1., top, ["failure score", "images"])?;
        for (bin, [good, bad]) in counts.iter().enumerate() {
            let span = (bin as f64 / BINS as f64, (bin + 1) as f64 / BINS as f64);
            let (low, all) = (f64::from(*bad), f64::from(good + bad));
            let bars = [(0., low, LOW), (low, all, HIGH)];
            let bars = bars.into_iter().filter(|(from, to, _)| to > from);
            chart.draw_series(bars.map(|(from, to, color)| {
                Rectangle::new([(span.0, from), (span.1, to)], color.mix(0.85).filled())
            }))?;
        }
        for limit in
            [limits.caution, limits.failure].map(f64::from).into_iter().filter(|limit| limit.is_finite())
        {
            let line = [(limit, 0.), (limit, top)];
            chart.draw_series(DashedLineSeries::new(line, 6, 5, INK.stroke_width(1)))?;
        }
        let lines = [(LOW, "true mIoU below median"), (HIGH, "true mIoU above it")];
        swatches(&right, lines.into_iter())
    });
    let caption = format!(
        "Failure score of {} images. Red should lie to the right of blue. Dashed: CAUTION at {:.2}, FAILURE at {:.2}.",
        images.len(),
        limits.caution,
        limits.failure
    );
    Figure { name: "failure_score", caption, svg }
}

/// A chart of the unit square.
fn square<'a, 'b>(area: &'a Area<'b>, axes: [&str; 2]) -> Result<Chart<'a, 'b>, Fault<'b>> {
    framed(area, 1., 1., axes)
}

/// Axes and grid, from 0 on.
fn framed<'a, 'b>(
    area: &'a Area<'b>,
    right: f64,
    top: f64,
    [x, y]: [&str; 2],
) -> Result<Chart<'a, 'b>, Fault<'b>> {
    let text = ("sans-serif", 16).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(14)
        .set_label_area_size(LabelAreaPosition::Left, 58)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc(x)
        .y_desc(y)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|x| format!("{}", (x * 100.).round() / 100.))
        .y_label_formatter(&|y| format!("{}", (y * 100.).round() / 100.))
        .draw()?;
    Ok(chart)
}

/// Names beside the colours of their curves.
fn legend<'a, 'n>(area: &Area<'a>, names: impl Iterator<Item = (usize, &'n str)>) -> Outcome<'a> {
    swatches(area, names.map(|(place, name)| (color(place), name)))
}

fn swatches<'a, 'n>(area: &Area<'a>, names: impl Iterator<Item = (RGBColor, &'n str)>) -> Outcome<'a> {
    let font = ("sans-serif", 15).into_font().color(&INK);
    for (line, (color, name)) in names.enumerate() {
        let y = 20 + 24 * line as i32;
        area.draw(&Rectangle::new([(8, y), (26, y + 5)], color.filled()))?;
        area.draw(&Text::new(name.to_owned(), (34, y - 4), font.clone()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::scoreboard::{Memory, Scoreboard};

    fn scored() -> Vec<Scored> {
        let mut board = Scoreboard::new([("one".into(), true), ("two & three".into(), false)], Memory::Exact);
        let truth = [true, false, false, true];
        board.add(&[vec![0.9, 0.2, 0.1, 0.8], vec![-3., 7., f32::INFINITY, 2.]], &truth).unwrap();
        board.scored().unwrap()
    }

    fn whole(figure: &Figure) {
        let svg = &figure.svg;
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!figure.standalone().contains("#010101"));
    }

    #[test]
    fn every_detector_has_its_curve() {
        let figures = [precision_recall(&scored()), roc(&scored()), reliability(&scored()).unwrap()];
        figures.iter().for_each(whole);
        assert!(figures[0].svg.contains("two &amp; three"));
        assert!(!figures[2].svg.contains("two"), "it gives no probabilities");
        assert!(reliability(&scored()[1..]).is_none());
        whole(&roc(&[]));
    }

    #[test]
    fn classes_without_images_have_no_chart() {
        let labels = LabelSet::by_name("camvid").unwrap();
        let mut estimates = Estimates::new(labels.len());
        estimates.add(0, 0.5, 0.6);
        estimates.add(8, 0.2, 0.1);
        let figure = iou_scatter("one", &labels, &estimates);
        whole(&figure);
        assert!(figure.svg.contains("sky (1)") && !figure.svg.contains("fence"));
        whole(&iou_scatter("one", &labels, &Estimates::new(labels.len())));
    }

    #[test]
    fn failure_scores_are_counted_whatever_they_are() {
        let limits = Thresholds::uncalibrated();
        let image = |failure, true_miou| ImageFigures {
            name: String::new(),
            true_miou,
            predicted_miou: 0.5,
            failure,
        };
        whole(&failure_histogram(&[image(0.2, 0.7), image(1., 0.1), image(f32::NAN, 0.3)], &limits));
        whole(&failure_histogram(&[], &limits));
    }
}
