//! How fast the images of a bag are read and decoded; `scripts/bench_bags` runs it beside rosbags.
//!
//! ```text
//! cargo run --release --example read_speed -- recording/
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use synthcp_monitor::bag::camera::{camera_image, is_image};
use synthcp_monitor::bag::reader::{Reader, Wish};

fn main() -> Result<(), Box<dyn Error>> {
    let bags: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let start = Instant::now();
    let mut reader = Reader::open(&bags, &Wish::default())?;
    let (mut frames, mut sum, mut memory) = (0u64, 0u64, Vec::new());
    for message in reader.by_ref().filter(|message| is_image(&message.kind)) {
        let picture = camera_image(&message.kind, &message.data)?.decode_into(memory)?;
        memory = picture.into_raw();
        // A few pixels, to be compared with those of the other reader.
        sum += memory.iter().step_by(9973).map(|&value| u64::from(value)).sum::<u64>();
        frames += 1;
    }
    println!("{frames} {sum} {}", start.elapsed().as_secs_f64());
    Ok(())
}
