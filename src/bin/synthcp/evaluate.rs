//! `synthcp evaluate`: a bundle against labelled images.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use synthcp_monitor::data::Slice;
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::report::evaluation::{Evaluation, sanity};

use super::Outcome;

/// Arguments of `synthcp evaluate`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of the bundle.
    #[arg(long, default_value = "models/street")]
    bundle: PathBuf,
    /// Folder of the data set (Cityscapes or CamVid layout).
    #[arg(long)]
    data: PathBuf,
    /// Samples: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..")]
    slice: Slice,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    /// auto, fp32, bf16 or fp16.
    #[arg(long, default_value = "auto")]
    precision: String,
}

/// Prints the figures.
pub fn run(args: &Args) -> Outcome {
    let options = MonitorOptions {
        device: args.device.clone(),
        precision: args.precision.clone(),
        ..MonitorOptions::default()
    };
    let monitor = Monitor::load(&args.bundle, &options)?;
    eprintln!("{}", monitor.description());
    let evaluation = Evaluation::of(&monitor, &args.data, &args.slice)?;
    print!("{evaluation}");
    print!("{}", sanity(&monitor, &evaluation, &args.data, &args.slice)?);
    Ok(())
}
