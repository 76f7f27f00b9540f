//! One picture through the monitor: is its segmentation to be trusted?
//!
//! ```text
//! cargo run --release --example assess -- models/street street.jpg errors.png
//! ```

use std::error::Error;
use std::path::PathBuf;

use synthcp_monitor::{Frame, Monitor, MonitorOptions, Wanted};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [bundle, picture, mask] = arguments.as_slice() else {
        return Err("expected three arguments: the folder of a bundle, a picture, and where to write the mask of its errors".into());
    };
    if mask.canonicalize().is_ok_and(|mask| picture.canonicalize().is_ok_and(|picture| picture == mask)) {
        return Err(format!("the mask would be written onto the picture, {}", picture.display()).into());
    }
    let monitor = Monitor::load(bundle, &MonitorOptions::default())?;
    let frame = Frame::new(image::open(picture)?.into_rgb8());
    let assessment = monitor.process(&frame, Wanted { error_mask: true, ..Wanted::default() })?;

    let report = &assessment.report;
    println!("failure score {:.2} (FAILURE from {:.2})", report.failure_score, monitor.thresholds().failure);
    println!("{:.1} % of the pixels are probably wrong", 100. * report.error_area);
    for region in &report.regions {
        println!(
            "something unknown, {} x {} pixels at {}, {}",
            region.width, region.height, region.x, region.y
        );
    }
    if let Some(errors) = &assessment.maps.error_mask {
        errors.save(mask)?;
    }
    Ok(())
}
