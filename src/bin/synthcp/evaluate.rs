//! `synthcp evaluate`: a bundle, and other detectors on its M, against labelled images.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use serde_json::json;
use synthcp_monitor::data::Slice;
use synthcp_monitor::monitor::pipeline::Monitor;
use synthcp_monitor::report::dossier::Dossier;
use synthcp_monitor::report::evaluation::{At, Evaluation, Options};
use synthcp_monitor::report::plot;
use synthcp_monitor::report::sanity::Sanity;

use super::Outcome;
use super::detectors::{Measured, command};

/// Arguments of `synthcp evaluate`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    measured: Measured,
    /// Folder of the data set (Cityscapes, CamVid or StreetHazards layout).
    #[arg(long)]
    data: PathBuf,
    /// Samples: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..")]
    slice: Slice,
    /// Size at which pixels are scored: labels (their own) or working (the networks', the paper's way).
    #[arg(long, default_value = "labels")]
    at: At,
}

/// Prints the figures, and writes them.
pub fn run(args: &Args) -> Outcome {
    let monitor = args.measured.monitor()?;
    // The draws of dropout.
    tch::manual_seed(1);
    let detectors = args.measured.detectors(&monitor, &args.data)?;
    let options = Options {
        slice: args.slice.clone(),
        at: args.at,
        memory: args.measured.memory(),
        worst: args.measured.worst(),
    };
    let bar = ProgressBar::new(0);
    let each = |count: usize| {
        bar.set_length(count as u64);
        bar.inc(1);
    };
    let evaluation = Evaluation::of(&monitor, &detectors, &args.data, &options, each)?;
    bar.finish_and_clear();
    print!("{evaluation}");
    let sanity = Sanity::of(&monitor, evaluation.median_failure(), &args.data, &args.slice)?;
    print!("\n{sanity}");
    if let Some(out) = &args.measured.out {
        dossier(&monitor, evaluation, &sanity)?.write(out)?;
        eprintln!("{}", out.join("report.html").display());
    }
    Ok(())
}

fn dossier(
    monitor: &Monitor,
    evaluation: Evaluation,
    sanity: &Sanity,
) -> Result<Dossier, Box<dyn std::error::Error>> {
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
        command: command(),
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
        frames_title: "Frames with the lowest true mIoU".into(),
        detail: json!({ "errors": evaluation.errors, "images": evaluation.images }),
        frames: evaluation.worst,
    })
}
