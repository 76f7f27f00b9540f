//! `synthcp monitor`: images in, a JSON line and a picture per image out.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err::File;
use serde_json::json;
use synthcp_monitor::data::npy;
use synthcp_monitor::frame::{self, Frame};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::monitor::assessment::{Maps, Report, Wanted};
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::picture::strip::frame_strip;

use super::Outcome;

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

/// Assesses every image; an unreadable one is an error that names it.
pub fn run(args: &Args) -> Outcome {
    let options = MonitorOptions {
        device: args.device,
        precision: args.precision,
        threads: args.threads,
        ..MonitorOptions::default()
    };
    let monitor = Monitor::load(&args.bundle, &options)?;
    eprintln!("{}", monitor.description());
    fs_err::create_dir_all(&args.out)?;
    let mut lines = BufWriter::new(File::create(args.out.join("report.jsonl"))?);
    for path in &args.images {
        let image = frame::open(path)?.into_rgb8();
        let frame = Frame { camera: path.display().to_string(), ..Frame::new(image) };
        let assessment = monitor.process(&frame, Wanted::ALL)?;
        let line = to_json(&frame.camera, &assessment.report);
        writeln!(lines, "{line}")?;
        println!("{line}");
        let picture = frame_strip(&frame.image, &assessment, (monitor.labels(), monitor.thresholds()), PANEL);
        let name = path.file_stem().map_or_else(|| "frame".into(), |s| s.to_string_lossy().into_owned());
        picture.save(args.out.join(format!("{name}.png")))?;
        if args.maps {
            write_maps(&args.out, &name, &assessment.maps)?;
        }
    }
    lines.flush()?;
    Ok(())
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
    let masks =
        [("error_mask", &maps.error_mask), ("anomaly_mask", &maps.anomaly_mask), ("labels", &maps.labels)];
    for (map, mask) in masks {
        if let Some(mask) = mask {
            mask.save(path(map, "png"))?;
        }
    }
    if let Some(synthesized) = &maps.reconstruction {
        synthesized.save(path("reconstruction", "png"))?;
    }
    Ok(())
}

/// Width of one panel of the pictures, in pixels.
const PANEL: u32 = 384;

/// One frame as JSON; what has no value is null.
fn to_json(image: &str, report: &Report) -> serde_json::Value {
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    let l = &report.latency;
    json!({
        "image": image,
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
