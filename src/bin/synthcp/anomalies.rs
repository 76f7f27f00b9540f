//! `synthcp anomalies`: how well a bundle finds unknown things.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use synthcp_monitor::data::anomaly;
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::report::anomaly::{AnomalyEvaluation, AnomalyTable};

use super::Outcome;

/// Arguments of `synthcp anomalies`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of the bundle.
    #[arg(long, default_value = "models/street")]
    bundle: PathBuf,
    /// Folder of the data set (RoadAnomaly or StreetHazards layout).
    #[arg(long)]
    data: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    /// auto, fp32, bf16 or fp16.
    #[arg(long, default_value = "auto")]
    precision: String,
}

/// Prints the table.
pub fn run(args: &Args) -> Outcome {
    let options = MonitorOptions {
        device: args.device.clone(),
        precision: args.precision.clone(),
        ..MonitorOptions::default()
    };
    let monitor = Monitor::load(&args.bundle, &options)?;
    eprintln!("{}", monitor.description());
    let (layout, pairs) = anomaly::list(&args.data)?;
    let mut evaluation = AnomalyEvaluation::default();
    for pair in &pairs.pairs {
        evaluation.add(monitor.networks(), &anomaly::load(layout, pair)?)?;
    }
    println!(
        "## {}: {} images, {:.2} % of the pixels strange",
        args.data.display(),
        evaluation.images(),
        100. * evaluation.strange_share()
    );
    print!("{}", AnomalyTable(&evaluation.detectors()?));
    Ok(())
}
