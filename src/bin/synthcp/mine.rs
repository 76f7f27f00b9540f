//! `synthcp mine`: what to label next.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use synthcp_monitor::data::Slice;
use synthcp_monitor::mine::{LIST, Limits, PAGE, Replayed, Source, mine};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::{Monitor, MonitorOptions};

use super::{Outcome, output};

/// Arguments of `synthcp mine`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folders of results of `synthcp replay`, whose recordings are still where they were.
    #[arg(required_unless_present = "data", conflicts_with = "data")]
    results: Vec<PathBuf>,
    /// Folder of a data set instead (Cityscapes, CamVid or StreetHazards layout); its labels are not looked at.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which of its samples: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..", requires = "data")]
    slice: Slice,
    /// Folder of the bundle.
    #[arg(long, default_value = "models/street")]
    bundle: PathBuf,
    /// Most frames that are taken.
    #[arg(long, default_value_t = 200)]
    most: usize,
    /// Least time between two frames of one drive: seconds of a recording, places in a data set.
    #[arg(long, default_value_t = 1.)]
    gap: f64,
    /// Folder of its own for the export.
    #[arg(long)]
    out: PathBuf,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// auto, fp32, bf16 or fp16.
    #[arg(long, default_value_t)]
    precision: Precision,
}

/// Chooses, and writes.
pub fn run(args: &Args) -> Outcome {
    if !args.gap.is_finite() || args.gap < 0. {
        return Err(format!("--gap is {}; expected 0 or more", args.gap).into());
    }
    let inputs = args.results.iter().chain(&args.data).map(PathBuf::as_path);
    output::apart(&args.out, inputs, LIST)?;
    let limits = Limits { most: args.most, gap: args.gap };
    let source = match &args.data {
        Some(folder) => Source::Data { folder: folder.clone(), slice: args.slice.clone() },
        None => {
            let results = args.results.iter().map(|result| Replayed::open(result, limits));
            Source::of_results(results.collect::<Result<_, _>>()?)
        }
    };
    let options =
        MonitorOptions { device: args.device, precision: args.precision, ..MonitorOptions::default() };
    let monitor = Monitor::load(&args.bundle, &options)?;
    note!("{}", monitor.description());
    let bar = ProgressBar::new(source.count()? as u64);
    let selection = mine(&monitor, &source, limits, &args.out, || bar.inc(1))?;
    bar.finish_and_clear();
    for (place, frame) in (1..).zip(&selection.frames) {
        let (image, lesson) = (&frame.image, frame.lesson);
        say!("{place:>4} {lesson:.2} {image}");
    }
    note!(
        "{} of {} frames, in {}",
        selection.frames.len(),
        selection.looked_at,
        args.out.join(PAGE).display()
    );
    Ok(())
}
