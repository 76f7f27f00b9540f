//! What bags hold: a line a message, and what could not be read.
//!
//! ```text
//! cargo run --release --example read_bag -- recording/ another.mcap
//! ```
//!
//! The exit code is 3 where something was lost.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use sha2::{Digest, Sha256};
use synthcp_monitor::bag::camera::{camera_image, is_image};
use synthcp_monitor::bag::reader::{Reader, Wish};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let bags: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut reader = Reader::open(&bags, &Wish::default())?;
    let short = |bytes: &[u8]| {
        Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    for message in reader.by_ref() {
        let shown = match is_image(&message.kind) {
            false => "-".to_owned(),
            true => match camera_image(&message.kind, &message.data)?.decode() {
                Ok(image) => format!("{}x{} {}", image.width(), image.height(), short(image.as_raw())),
                Err(error) => error.to_string(),
            },
        };
        println!("{} {} {} {shown}", message.topic, message.stamp, short(&message.data));
    }
    for loss in reader.losses().named() {
        eprintln!("lost: {loss}");
    }
    Ok(if reader.losses().count() == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
