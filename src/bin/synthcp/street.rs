//! `synthcp street`: labelled road video without any data.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::ProgressBar;
use synthcp_monitor::data::street::{DriveOptions, Town, export};

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

/// Renders.
pub fn run(action: &Action) -> Outcome {
    let Action::Render { town, seed, frames, drives, rate, size: (width, height), anomalies, layout, out } =
        action;
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
    Ok(())
}
