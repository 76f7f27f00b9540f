//! `synthcp monitor`: images in, a JSON line and a picture per image out.

use std::collections::HashSet;
use std::io::{BufWriter, Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err::File;
use image::{DynamicImage, ImageFormat};
use serde_json::json;
use synthcp_monitor::data::npy;
use synthcp_monitor::frame::{self, Frame};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::monitor::assessment::{Assessment, Maps, Report, Wanted};
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::network::fault::{self, one_line};
use synthcp_monitor::picture::strip::frame_strip;
use synthcp_monitor::watch::debounce::Level;
use synthcp_monitor::watch::validity::Validity;
use synthcp_monitor::whole_file;

use super::{Outcome, output};

/// Arguments of `synthcp monitor`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of the bundle.
    #[arg(long, default_value = "models/street")]
    bundle: PathBuf,
    /// Folder for report.jsonl and the pictures.
    #[arg(long)]
    out: PathBuf,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// auto, fp32, bf16 or fp16.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Writes every map of every image as well: scores as npy, the others as png.
    #[arg(long)]
    maps: bool,
    /// Threads for the networks; 0 lets libtorch choose.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Images of any size.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

/// Assesses every image. One that cannot be read, or not be assessed, has a line that says so, and makes the
/// whole an error at the end.
pub fn run(args: &Args) -> Outcome {
    let outputs: Vec<Outputs> = outputs(args);
    let report = args.out.join(REPORT);
    let written = || outputs.iter().flat_map(Outputs::files).map(|name| args.out.join(name));
    output::spare(&args.images, written().chain([report.clone()]))?;
    if !report.exists()
        && let Some(foreign) = written().find(|file| file.exists())
    {
        let (foreign, out) = (foreign.display(), args.out.display());
        return Err(format!(
            "{foreign} is there, and {out} has no {REPORT}: it is of no earlier run; choose another folder"
        )
        .into());
    }
    let options = MonitorOptions {
        device: args.device,
        precision: args.precision,
        threads: args.threads,
        ..MonitorOptions::default()
    };
    let monitor = Monitor::load(&args.bundle, &options)?;
    note!("{}", monitor.description());
    fs_err::create_dir_all(&args.out)?;
    let mut lines = BufWriter::new(File::create(&report)?);
    let mut failed = 0;
    for (path, outputs) in args.images.iter().zip(&outputs) {
        let line = match assess(&monitor, path) {
            Ok((frame, assessment)) => {
                let shown = (monitor.labels(), monitor.thresholds());
                let picture = frame_strip(&frame.image, &assessment, shown, PANEL);
                save(picture, &args.out.join(outputs.picture()))?;
                if args.maps {
                    write_maps(&args.out, &outputs.name, &assessment.maps)?;
                }
                to_json(&monitor, &frame.camera, &outputs.picture(), &assessment.report)
            }
            Err((validity, reason)) => {
                failed += 1;
                note!("{}: {reason}", path.display());
                json!({"image": path.display().to_string(), "validity": validity.name(), "reason": reason})
            }
        };
        // Each line at once: what is there when the disk is full is whole.
        writeln!(lines, "{line}")
            .and_then(|()| lines.flush())
            .map_err(|e| format!("{}: {e}", report.display()))?;
        say!("{line}");
    }
    match failed {
        0 => Ok(()),
        n => Err(format!("{n} of {} images have no assessment", args.images.len()).into()),
    }
}

/// File of all lines, in the folder of results.
const REPORT: &str = "report.jsonl";

/// The picture's assessment, or what kept it from one.
fn assess(monitor: &Monitor, path: &Path) -> Result<(Frame, Assessment), (Validity, String)> {
    let invalid = |reason: String| (Validity::InvalidInput, one_line(&reason));
    let image = frame::open(path).map_err(|e| invalid(e.to_string()))?.into_rgb8();
    let frame = Frame { camera: path.display().to_string(), ..Frame::new(image) };
    // As the node does: neither an error nor a panic inside costs more than this image.
    let assessed = catch_unwind(AssertUnwindSafe(|| monitor.process(&frame, Wanted::ALL)));
    let assessed = match assessed {
        Ok(assessed) => assessed.map_err(|e| one_line(&e.to_string())),
        Err(panic) => Err(fault::of_panic(panic.as_ref())),
    };
    let assessment = assessed.map_err(|reason| (Validity::Failed, reason))?;
    Ok((frame, assessment))
}

/// Names of what is written for one image.
struct Outputs {
    /// The image's own without its ending; with a number, where another image has it already.
    name: String,
    maps: bool,
}

/// Endings of the maps' files.
const MAPS: [&str; 8] = [
    "error_probability.npy",
    "anomaly_score.npy",
    "error_mask.png",
    "confidence.png",
    "anomaly_mask.png",
    "labels.png",
    "trusted_labels.png",
    "reconstruction.png",
];

impl Outputs {
    fn picture(&self) -> String {
        format!("{}.png", self.name)
    }

    fn files(&self) -> Vec<String> {
        let maps = if self.maps { &MAPS[..] } else { &[] };
        maps.iter().map(|map| format!("{}.{map}", self.name)).chain([self.picture()]).collect()
    }
}

/// What is written for each image: no two have a file in common.
fn outputs(args: &Args) -> Vec<Outputs> {
    let mut taken = HashSet::new();
    let free = |path: &PathBuf| {
        let stem = path.file_stem().map_or_else(|| "frame".into(), |s| s.to_string_lossy().into_owned());
        let numbered = (2..).map(|number| format!("{stem}.{number}"));
        let named =
            std::iter::once(stem.clone()).chain(numbered).map(|name| Outputs { name, maps: args.maps });
        let mut named = named.skip_while(|outputs| outputs.files().iter().any(|file| taken.contains(file)));
        let outputs = named.next().expect("numbers without end");
        taken.extend(outputs.files());
        outputs
    };
    args.images.iter().map(free).collect()
}

/// Writes a PNG, whole or not at all.
fn save(picture: impl Into<DynamicImage>, path: &Path) -> Outcome {
    let mut bytes = Cursor::new(Vec::new());
    let encoded = picture.into().write_to(&mut bytes, ImageFormat::Png);
    encoded.map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(whole_file::write(path, bytes.into_inner())?)
}

/// Writes every map of image `name` to `folder`.
fn write_maps(folder: &Path, name: &str, maps: &Maps) -> Outcome {
    let path = |map: &str, ending: &str| folder.join(format!("{name}.{map}.{ending}"));
    let scores = [("error_probability", &maps.error_probability), ("anomaly_score", &maps.anomaly_score)];
    for (map, scores) in scores {
        if let Some(scores) = scores {
            npy::write(&path(map, "npy"), [scores.height, scores.width], &scores.data)?;
        }
    }
    let masks = [
        ("error_mask", &maps.error_mask),
        ("confidence", &maps.confidence),
        ("anomaly_mask", &maps.anomaly_mask),
        ("labels", &maps.labels),
        ("trusted_labels", &maps.trusted_labels),
    ];
    for (map, mask) in masks {
        if let Some(mask) = mask {
            save(mask.clone(), &path(map, "png"))?;
        }
    }
    if let Some(synthesized) = &maps.reconstruction {
        save(synthesized.clone(), &path("reconstruction", "png"))?;
    }
    Ok(())
}

/// Width of one panel of the pictures, in pixels.
const PANEL: u32 = 384;

/// One frame as JSON; what has no value is null.
fn to_json(monitor: &Monitor, image: &str, picture: &str, report: &Report) -> serde_json::Value {
    let limits = monitor.thresholds();
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    let l = &report.latency;
    let level = Level::of(report.failure_score, report.anomaly_area, limits);
    json!({
        "image": image,
        "picture": picture,
        "model": monitor.description(),
        "validity": Validity::Ok.name(),
        "level": level.name(),
        "thresholds": {
            "caution": limits.caution, "failure": limits.failure, "error": limits.error,
            "anomaly": limits.anomaly, "anomaly_area": limits.anomaly_area, "guarantee": limits.promise_inside(),
        },
        "mode": report.mode,
        "failure_score": report.failure_score,
        "predicted_miou": report.predicted_miou,
        "error_area": report.error_area,
        "anomaly_area": report.anomaly_area,
        "classes": report.classes.iter().filter(|c| c.present || c.presence >= 0.5).collect::<Vec<_>>(),
        "regions": report.regions,
        "latency_ms": {
            "resize": ms(l.resize), "segment": ms(l.segment), "synthesize": ms(l.synthesize),
            "compare": ms(l.compare), "score": ms(l.score), "total": ms(l.total),
        },
    })
}
