//! The figures of a result that are compared, each a mean of ratios of sums, so that those of several drives
//! follow from the sums of each.

use serde::Deserialize;

use crate::metric::pixel::TwoSided;

/// A line of figures.jsonl.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Line {
    pub time: i64,
    pub recording: usize,
    true_miou: f64,
    predicted_miou: Option<f64>,
    pixels: u64,
    wrong: u64,
    classes: Vec<[u64; 2]>,
    pub errors: Vec<(String, TwoSided)>,
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
    /// No way is better by itself.
    Neither,
}

/// What it is made of.
#[derive(Clone, Debug)]
enum Part {
    Level(&'static str),
    Usable,
    Failure,
    Accuracy,
    Iou,
    FrameIou,
    Prediction,
    /// Of a detector, by its name: results may name the same ones in another order.
    Error(String, fn(&TwoSided) -> Option<f64>),
}

/// A figure.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub name: String,
    pub better: Better,
    part: Part,
    /// Ratios that it is the mean of.
    ratios: usize,
}

/// Those of a result; with labels of which `example` is one, those that need them too.
pub(super) fn figures(example: Option<&Line>) -> Vec<Figure> {
    let figure = |name: &str, better, part| Figure { name: name.to_owned(), better, part, ratios: 1 };
    let mut all = vec![
        figure("frames with a usable report", Better::Higher, Part::Usable),
        figure("frames at NOMINAL", Better::Neither, Part::Level("NOMINAL")),
        figure("frames at CAUTION", Better::Neither, Part::Level("CAUTION")),
        figure("frames at FAILURE", Better::Neither, Part::Level("FAILURE")),
        figure("failure score, mean", Better::Neither, Part::Failure),
    ];
    let Some(Line { classes, errors, .. }) = example else { return all };
    let miou = figure("M's mIoU", Better::Higher, Part::Iou);
    all.push(Figure { ratios: classes.len(), ..miou });
    all.push(figure("M's pixel accuracy", Better::Higher, Part::Accuracy));
    all.push(figure("true mIoU of a frame, mean", Better::Higher, Part::FrameIou));
    all.push(figure("predicted mIoU of a frame, mean error", Better::Lower, Part::Prediction));
    for (name, _) in errors {
        let mut error = |what: &str, better, of| {
            all.push(figure(&format!("{name}: {what} of a frame"), better, Part::Error(name.clone(), of)));
        };
        error("AP-Err", Better::Higher, |figures| figures.positive.average_precision);
        error("AUROC", Better::Higher, |figures| figures.positive.auroc);
        error("FPR95", Better::Lower, |figures| figures.positive.fpr95_first);
    }
    all
}

/// Numerators and denominators of all figures' ratios.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sums(Vec<[f64; 2]>);

impl Sums {
    /// Nothing summed yet.
    pub(super) fn of(figures: &[Figure]) -> Self {
        Self(vec![[0.; 2]; figures.iter().map(|figure| figure.ratios).sum()])
    }

    /// Adds a frame.
    pub(super) fn add(&mut self, figures: &[Figure], report: &super::Line, labels: Option<&Line>) {
        let mut rest = &mut self.0[..];
        for figure in figures {
            let (own, others) = rest.split_at_mut(figure.ratios);
            rest = others;
            let yes = |yes: bool| [f64::from(u8::from(yes)), 1.];
            let mean = |value: Option<f64>| value.map_or([0.; 2], |value| [value, 1.]);
            let labelled = |of: &dyn Fn(&Line) -> [f64; 2]| labels.map_or([0.; 2], of);
            let sum = match &figure.part {
                Part::Level(level) => yes(report.level == *level),
                Part::Usable => yes(report.validity == "OK" || report.validity == "DEGRADED"),
                Part::Failure => mean(report.report.failure_score),
                Part::Accuracy => labelled(&|line| [(line.pixels - line.wrong) as f64, line.pixels as f64]),
                Part::FrameIou => labelled(&|line| [line.true_miou, 1.]),
                Part::Prediction => {
                    labelled(&|line| mean(line.predicted_miou.map(|miou| (miou - line.true_miou).abs())))
                }
                Part::Error(name, of) => labelled(&|line| {
                    let found = line.errors.iter().find(|(known, _)| known == name);
                    mean(found.and_then(|(_, figures)| of(figures)))
                }),
                Part::Iou => {
                    let classes = labels.map_or(&[][..], |line| &line.classes);
                    for (sum, [both, either]) in own.iter_mut().zip(classes) {
                        *sum = [sum[0] + *both as f64, sum[1] + *either as f64];
                    }
                    continue;
                }
            };
            own[0] = [own[0][0] + sum[0], own[0][1] + sum[1]];
        }
    }

    /// Adds those of another drive.
    pub(super) fn merge(&mut self, other: &Self) {
        for (sum, other) in self.0.iter_mut().zip(&other.0) {
            *sum = [sum[0] + other[0], sum[1] + other[1]];
        }
    }

    /// The figures, in percent.
    pub(super) fn values(&self, figures: &[Figure]) -> Vec<Option<f64>> {
        let mut rest = &self.0[..];
        let value = |figure: &Figure| {
            let (own, others) = rest.split_at(figure.ratios);
            rest = others;
            let ratios: Vec<f64> = own.iter().filter(|[_, of]| *of > 0.).map(|[sum, of]| sum / of).collect();
            (!ratios.is_empty()).then(|| 100. * ratios.iter().sum::<f64>() / ratios.len() as f64)
        };
        figures.iter().map(value).collect()
    }
}
