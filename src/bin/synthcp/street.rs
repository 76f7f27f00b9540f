//! `synthcp street`: labelled road video without any data, and a bundle tried in it.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::ProgressBar;
use synthcp_monitor::data::street::{DriveOptions, Town, export};
use synthcp_monitor::monitor::debounce::Patience;
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::report::street::{Plan, Trial};

use super::Outcome;

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// Writes images, labels and anomaly masks.
    Render {
        /// train, val or test.
        #[arg(long, default_value = "train")]
        town: Town,
        /// Seed of the first drive; the next has the next seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Frames of a drive.
        #[arg(long, default_value_t = 50)]
        frames: usize,
        /// Drives, each with its own street and weather.
        #[arg(long, default_value_t = 1)]
        drives: u64,
        /// Frames a second of the drives' own time.
        #[arg(long, default_value_t = 5.)]
        rate: f32,
        /// Size of a frame, WIDTHxHEIGHT.
        #[arg(long, default_value = "512x256", value_parser = size)]
        size: (u32, u32),
        /// Puts strange things on and beside the road.
        #[arg(long)]
        anomalies: bool,
        /// cityscapes128, camvid or streethazards.
        #[arg(long, default_value = "cityscapes128")]
        layout: export::Layout,
        /// Folder.
        #[arg(long)]
        out: PathBuf,
    },
    /// Tries a bundle in the test town: anomaly scores, time to CAUTION, false alarms, failures.
    Measure {
        /// Folder of the bundle.
        #[arg(long, default_value = "models/street")]
        bundle: PathBuf,
        /// Seed of the first drive.
        #[arg(long, default_value_t = 1000)]
        seed: u64,
        /// Frames with strange things whose pixels are scored.
        #[arg(long, default_value_t = 200)]
        frames: usize,
        /// Drives with strange things, and as many without, whose alarms are counted.
        #[arg(long, default_value_t = 20)]
        drives: u64,
        /// Frames of each of these drives, five a second.
        #[arg(long, default_value_t = 60)]
        drive_frames: usize,
        /// Images that are degraded.
        #[arg(long, default_value_t = 12)]
        degraded: usize,
        /// auto, cpu or cuda:N.
        #[arg(long, default_value = "auto")]
        device: String,
        /// auto, fp32, bf16 or fp16.
        #[arg(long, default_value = "auto")]
        precision: String,
    },
}

/// Parses WIDTHxHEIGHT.
fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match sides {
        Some((w, h)) if (16..=4096).contains(&w) && (16..=4096).contains(&h) => Ok((w, h)),
        _ => Err(format!(
            "'{text}' is no size; expected WIDTHxHEIGHT with sides of 16 to 4096, such as 512x256"
        )),
    }
}

/// Carries it out.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Render {
            town,
            seed,
            frames,
            drives,
            rate,
            size: (width, height),
            anomalies,
            layout,
            out,
        } => {
            let bar = ProgressBar::new(drives * *frames as u64);
            for drive in 0..*drives {
                let options = DriveOptions {
                    town: *town,
                    seed: seed + drive,
                    width: *width,
                    height: *height,
                    rate: *rate,
                    anomalies: *anomalies,
                };
                export::write(out, *layout, &options, *frames, || bar.inc(1))?;
            }
            bar.finish();
            println!("{} frames of {town} in {}", drives * *frames as u64, out.display());
        }
        Action::Measure { bundle, seed, frames, drives, drive_frames, degraded, device, precision } => {
            let options = MonitorOptions {
                device: device.clone(),
                precision: precision.clone(),
                ..MonitorOptions::default()
            };
            let monitor = Monitor::load(bundle, &options)?;
            eprintln!("{}", monitor.description());
            let plan = Plan {
                seed: *seed,
                frames: *frames,
                drives: *drives,
                drive_frames: *drive_frames,
                degraded: *degraded,
                patience: PATIENCE,
            };
            let bar = ProgressBar::new_spinner();
            let trial = Trial::of(&monitor, &plan, || bar.inc(1))?;
            bar.finish_and_clear();
            print!("{trial}");
        }
    }
    Ok(())
}

/// The node's defaults.
const PATIENCE: Patience = Patience { trigger: 3, release: 5 };
