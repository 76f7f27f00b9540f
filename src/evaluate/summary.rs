//! The pages of evaluations: main figures first, then tables, curves and the worst frames.

use std::path::Path;

use serde_json::json;

use super::anomaly::{self, AnomalyEvaluation};
use super::dossier::Dossier;
use super::error::EvaluationError;
use super::evaluation::Evaluation;
use super::objects::ObjectReview;
use super::plot;
use super::sanity::Sanity;
use super::scoreboard::Scored;
use crate::data::{self, Slice};
use crate::metric::MetricError;
use crate::monitor::pipeline::Monitor;
use crate::score::catalogue::{self, Boxed, Parts};
use crate::score::statistics::Statistics;

/// Frames shown on a page.
pub const WORST: usize = 6;

/// Every detector that works with `monitor`'s bundle, and those in `trained`. Detectors with statistics
/// take them from the samples of `folder` in `calibration`.
pub fn detectors(
    monitor: &Monitor,
    trained: Vec<Boxed>,
    folder: &Path,
    calibration: &Slice,
) -> Result<Vec<Boxed>, EvaluationError> {
    let networks = monitor.networks();
    let images = data::images(folder, calibration)?.map(|image| Ok(image?));
    let statistics = Statistics::gather::<EvaluationError>(networks, images)?;
    let parts = Parts { statistics: Some(statistics), ..Parts::of(networks) };
    Ok(catalogue::choose(&[], &parts)?.into_iter().chain(trained).collect())
}

/// The results of `command` for `monitor`'s bundle, ready to be written.
pub fn dossier(
    monitor: &Monitor,
    evaluation: Evaluation,
    sanity: &Sanity,
    command: String,
) -> Result<Dossier, MetricError> {
    let percent = |v: Option<f64>| v.map_or("n/a".into(), |v| format!("{:.1} %", 100. * v));
    let fit = evaluation.miou_fit()?;
    let best = evaluation
        .errors
        .iter()
        .filter_map(|scored| Some((scored.pooled.positive.average_precision?, &scored.name)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let mut figures = vec![plot::precision_recall(&evaluation.errors), plot::roc(&evaluation.errors)];
    figures.extend(plot::reliability(&evaluation.errors));
    figures.push(plot::failure_histogram(&evaluation.images, monitor.thresholds()));
    if let Some((name, estimates)) = evaluation.estimates.first() {
        figures.push(plot::iou_scatter(name, &evaluation.labels, estimates));
    }
    Ok(Dossier {
        title: format!("{} on {}", monitor.bundle_name(), evaluation.data),
        subtitle: monitor.description(),
        command,
        tiles: vec![
            ("images", evaluation.images.len().to_string()),
            ("M's mIoU", percent(evaluation.confusion.mean_iou())),
            ("M's pixel accuracy", percent(evaluation.confusion.accuracy())),
            ("wrong pixels", percent(Some(evaluation.wrong))),
            ("best AP-Err", best.map_or("n/a".into(), |(ap, _)| percent(Some(ap)))),
            ("predicted mIoU, Pearson", fit.pearson.map_or("n/a".into(), |v| format!("{v:.2}"))),
            ("predicted mIoU, mean error", percent(fit.mae)),
            ("upside down above median", percent(Some(sanity.flipped_above))),
        ],
        tables: evaluation.tables()?,
        figures,
        detail: json!({ "errors": evaluation.errors, "images": evaluation.images }),
        galleries: vec![("Frames with the lowest true mIoU".into(), evaluation.worst)],
    })
}

/// The results of `command` for `monitor`'s bundle on images of data set `name` with anomaly objects.
pub fn anomaly_dossier(
    monitor: &Monitor,
    evaluation: AnomalyEvaluation,
    objects: ObjectReview,
    name: &str,
    command: String,
) -> Result<Dossier, EvaluationError> {
    let scored = evaluation.scored()?;
    let pixels: Vec<Scored> = scored.iter().map(|scored| scored.pixels.clone()).collect();
    let best = pixels.iter().filter_map(|scored| scored.pooled.positive.average_precision).fold(0., f64::max);
    let (images, anomalous) = (evaluation.images(), evaluation.anomalous_share());
    let objects_found = objects.table(name);
    let worst = ("Images with the lowest AP".to_owned(), evaluation.into_worst());
    let galleries = objects.into_galleries().into_iter().chain([worst]).collect();
    Ok(Dossier {
        title: format!("{} on {name}", monitor.bundle_name()),
        subtitle: monitor.description(),
        command,
        tiles: vec![
            ("images", images.to_string()),
            ("anomalous pixels", format!("{:.2} %", 100. * anomalous)),
            ("best AP", format!("{:.1} %", 100. * best)),
        ],
        tables: anomaly::tables(name, &scored).into_iter().chain(objects_found).collect(),
        figures: vec![plot::precision_recall(&pixels), plot::roc(&pixels)],
        detail: json!({ "anomalies": scored }),
        galleries,
    })
}
