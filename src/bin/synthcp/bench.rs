//! `synthcp bench`: what a frame costs on this machine.

use std::error::Error;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use synthcp_monitor::bench::against::{self, Way};
use synthcp_monitor::bench::soak::Soak;
use synthcp_monitor::bench::subject::{Subject, reference};
use synthcp_monitor::bench::{stages, sweep};
use synthcp_monitor::data::{self, Sample, Slice};
use synthcp_monitor::model::bundle::Bundle;
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::model::networks::Arithmetic;
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::street::{Drive, DriveOptions, Rendered, Town};

use super::Outcome;

/// Arguments of `synthcp bench`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of the bundle.
    #[arg(long, default_value = "models/street")]
    bundle: PathBuf,
    /// Measure networks of the paper's size with random weights instead of a bundle.
    #[arg(long)]
    reference: bool,
    /// Height and width of the reference networks.
    #[arg(long, num_args = 2, default_values_t = [256, 512], requires = "reference")]
    size: Vec<i64>,
    /// Classes of the reference networks.
    #[arg(long, default_value_t = 19, requires = "reference")]
    classes: i64,
    /// Folder of a data set in Cityscapes or CamVid layout; frames are in the order of their names. Without it,
    /// a drive through the procedural street is rendered.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Samples: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..", requires = "data")]
    slice: Slice,
    /// Resize the frames to this width and height first, as a camera would send them.
    #[arg(long, num_args = 2)]
    camera: Option<Vec<u32>>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// auto, fp32, bf16 or fp16.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Run this many frames in a row through the bundle and report the memory.
    #[arg(long, conflicts_with_all = ["reference", "sweep"])]
    soak: Option<usize>,
    /// Measure over image sizes, classes and cameras; 1 for reference size, 4 for a quarter of the channels.
    #[arg(long, value_name = "SHRINK")]
    sweep: Option<i64>,
    /// Measure the reference networks in Python as well: an interpreter that finds torch and safetensors
    /// (and, for ONNX Runtime, onnx and onnxruntime).
    #[arg(long, value_name = "PYTHON", requires = "reference", conflicts_with = "sweep")]
    against: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub fn run(args: &Args) -> Outcome {
    let samples = samples(args)?;
    if let Some(frames) = args.soak {
        return soak(args, &samples, frames);
    }
    let device = args.device.resolve()?;
    let kind = args.precision.resolve(device)?;
    let arithmetic = Arithmetic { device, kind, memoise: true };
    if let Some(shrink) = args.sweep {
        return sweep(args, arithmetic, &samples, shrink);
    }
    let subject = match args.reference {
        true => Subject::Random(Box::new(reference(args.classes, (args.size[0], args.size[1])))),
        false => Subject::Bundle(Box::new(Bundle::open(&args.bundle)?)),
    };
    let benchmark = stages::measure(&subject, arithmetic, &samples)?;
    let ways = match &args.against {
        Some(python) => against::measure(python, &subject, arithmetic, &samples[0])?,
        None => Vec::new(),
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&json!({"benchmark": benchmark, "against": ways}))?);
        return Ok(());
    }
    say_as_is!("{benchmark}");
    if !ways.is_empty() {
        compare(&ways, benchmark.frame_millis())?;
    }
    Ok(())
}

/// The frames: those of the data set, or rendered.
fn samples(args: &Args) -> Result<Vec<Sample>, Box<dyn Error>> {
    let size = args.camera.as_ref().map(|size| (size[0], size[1]));
    if let Some(data) = &args.data {
        let options =
            data::Options { size, slice: args.slice.clone(), allow_unpaired: true, ..Default::default() };
        return Ok(data::load(data, &options)?.samples);
    }
    let (width, height) = size.unwrap_or((512, 256));
    if width < SMALLEST || height < SMALLEST {
        return Err(format!("--camera is {width} {height}; sides of at least {SMALLEST} are rendered").into());
    }
    let drive = DriveOptions { town: Town::Test, seed: 1, width, height, rate: 5., anomalies: false };
    note!("no --data: {RENDERED} frames of a drive through the procedural street");
    // An endless drive; its frames are made as they are asked for.
    let mut drive = Drive::new(&drive);
    let mut rendered = |number: usize| {
        let Rendered { image, labels, .. } = drive.frame();
        Sample { name: format!("rendered {number}"), image, labels }
    };
    Ok((0..RENDERED).map(&mut rendered).collect())
}

/// Smallest side of a frame that is rendered.
const SMALLEST: u32 = 16;

/// Frames that are rendered where none are given.
const RENDERED: usize = 20;

/// Prints the times of `ways` in milliseconds, and that of a frame as a multiple of `ours`.
fn compare(ways: &[Way], ours: f64) -> Outcome {
    say!("\na frame with anomaly takes {ours:.0} ms here; in Python:");
    say!("{:<26} {:>9} {:>9} {:>9} {:>9} {:>7}   difference", "", "M ms", "G ms", "F ms", "frame", "times");
    for way in ways {
        let ([m, g, f], frame) = (way.millis, way.frame());
        let worst = way.difference.iter().fold(0f64, |a, &b| a.max(b));
        say!(
            "{:<26} {m:>9.0} {g:>9.0} {f:>9.0} {frame:>9.0} {:>6.2}x   {worst:.1e} of the range",
            way.way,
            frame / ours
        );
    }
    Ok(())
}

fn soak(args: &Args, samples: &[Sample], frames: usize) -> Outcome {
    let (device, precision) = (args.device, args.precision);
    let monitor =
        Monitor::load(&args.bundle, &MonitorOptions { device, precision, ..MonitorOptions::default() })?;
    let soak =
        Soak::run(&monitor, samples, frames)?.ok_or("the memory of the process cannot be read here")?;
    let growth = soak.growth();
    match args.json {
        true => say!("{}", json!({"soak": soak, "growth": growth})),
        false => say!(
            "{} frames, {:.1} ms each; memory {:.1?} MB, growth {growth:.1} MB",
            soak.frames,
            soak.millis,
            soak.memory
        ),
    }
    Ok(())
}

fn sweep(args: &Args, arithmetic: Arithmetic, samples: &[Sample], shrink: i64) -> Outcome {
    let points = sweep::measure(arithmetic, samples, shrink)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&points)?);
        return Ok(());
    }
    say!(
        "{:>10} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "size",
        "classes",
        "cameras",
        "M ms",
        "G ms",
        "F ms",
        "ns/pixel"
    );
    for point in points {
        let sweep::Point { size: (h, w), classes, cameras, segment, synthesize, compare } = point;
        let size = format!("{w}x{h}");
        let each = point.nanos_per_pixel();
        say!(
            "{size:>10} {classes:>7} {cameras:>7} {segment:>9.1} {synthesize:>9.1} {compare:>9.1} {each:>9.0}"
        );
    }
    Ok(())
}
