//! `synthcp street`: labelled road video rendered without any data, and a bundle tested in it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Subcommand;
use indicatif::ProgressBar;
use synthcp_monitor::evaluate::street::{Plan, Trial};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::street::{DriveOptions, Town, bag, export};
use synthcp_monitor::watch::debounce::Patience;

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
        /// Frames per drive.
        #[arg(long, default_value_t = 50)]
        frames: usize,
        /// Number of drives, each with its own street and weather.
        #[arg(long, default_value_t = 1)]
        drives: u64,
        /// Frames per second of the drives' own time.
        #[arg(long, default_value_t = 5.)]
        rate: f32,
        /// Size of a frame, WIDTHxHEIGHT.
        #[arg(long, default_value = "512x256", value_parser = size)]
        size: (u32, u32),
        /// Puts anomaly objects on and beside the road.
        #[arg(long)]
        anomalies: bool,
        /// cityscapes128, camvid or streethazards.
        #[arg(long, default_value = "cityscapes128")]
        layout: export::Layout,
        /// Folder for images, labels and masks.
        #[arg(long, required_unless_present = "bag")]
        out: Option<PathBuf>,
        /// Bag (MCAP) for the first drive: /image, /labels and /anomaly.
        #[arg(long)]
        bag: Option<PathBuf>,
    },
    /// Tests a bundle in the test town: anomaly scores, time to CAUTION, false alarms, failures.
    Measure {
        /// Folder of the bundle.
        #[arg(long, default_value = "models/street")]
        bundle: PathBuf,
        /// Seed of the first drive.
        #[arg(long, default_value_t = 1000)]
        seed: u64,
        /// Frames with anomaly objects whose pixels are scored.
        #[arg(long, default_value = "200")]
        frames: NonZeroUsize,
        /// Drives with anomaly objects whose alarms are counted, at least.
        #[arg(long, default_value = "20")]
        drives: NonZeroU64,
        /// Objects that these have to meet: more drives follow till there are so many.
        #[arg(long, default_value_t = 0)]
        things: usize,
        /// Minutes of drives without, whose false alarms are counted: as long as the drives by default.
        #[arg(long)]
        minutes: Option<f64>,
        /// Frames per second of both.
        #[arg(long, default_value_t = 5.)]
        rate: f32,
        /// Frames of each of these drives.
        #[arg(long, default_value = "60")]
        drive_frames: NonZeroUsize,
        /// Images that are degraded.
        #[arg(long, default_value = "12")]
        degraded: NonZeroUsize,
        /// auto, cpu, cuda or cuda:N.
        #[arg(long, default_value_t)]
        device: DeviceChoice,
        /// auto, fp32, bf16 or fp16.
        #[arg(long, default_value_t)]
        precision: Precision,
    },
}

/// Parses WIDTHxHEIGHT.
fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match sides {
        Some((w, h)) if (16..=4096).contains(&w) && (16..=4096).contains(&h) => Ok((w, h)),
        _ => Err(format!(
            "'{text}' is not a size; expected WIDTHxHEIGHT with sides of 16 to 4096, such as 512x256"
        )),
    }
}

/// Carries it out.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Render { town, seed, frames, drives, rate, size, anomalies, layout, out, bag } => {
            let (width, height) = *size;
            let drive =
                |seed| DriveOptions { town: *town, seed, width, height, rate: *rate, anomalies: *anomalies };
            let bar = ProgressBar::new(drives * *frames as u64);
            if let Some(out) = out {
                for seed in *seed..seed + drives {
                    export::write(out, *layout, &drive(seed), *frames, || bar.inc(1))?;
                }
                say!("{} frames of {town} in {}", drives * *frames as u64, out.display());
            }
            if let Some(path) = bag {
                bag::write(path, &drive(*seed), *frames, || bar.inc(1))?;
                say!("{frames} frames of {town} in {}", path.display());
            }
            bar.finish_and_clear();
        }
        Action::Measure {
            bundle,
            seed,
            frames,
            drives,
            things,
            minutes,
            rate,
            drive_frames,
            degraded,
            device,
            precision,
        } => {
            if !(rate.is_finite() && *rate > 0.) {
                return Err(format!("--rate is {rate}; frames per second above 0 are needed").into());
            }
            let (drives, drive_frames) = (drives.get(), drive_frames.get());
            let minutes = minutes.unwrap_or(drives as f64 * drive_frames as f64 / f64::from(*rate) / 60.);
            if !(0. ..=1e5).contains(&minutes) {
                return Err(format!("--minutes is {minutes}; 0 to 100000 are measured").into());
            }
            let options =
                MonitorOptions { device: *device, precision: *precision, ..MonitorOptions::default() };
            let monitor = Monitor::load(bundle, &options)?;
            note!("{}", monitor.description());
            let plan = Plan {
                seed: *seed,
                frames: frames.get(),
                drives,
                things: *things,
                minutes,
                drive_frames,
                rate: *rate,
                degraded: degraded.get(),
                patience: Patience::DEFAULT,
            };
            let bar = ProgressBar::new_spinner();
            let trial = Trial::of(&monitor, &plan, || bar.inc(1))?;
            bar.finish_and_clear();
            say_as_is!("{trial}");
        }
    }
    Ok(())
}
