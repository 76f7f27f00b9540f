//! The monitor's scores of frames that no camera should send.

use std::fmt;
use std::path::Path;

use image::{Rgb, RgbImage, imageops};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::error::EvaluationError;
use crate::data::{self, Slice};
use crate::frame::Frame;
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::{Monitor, MonitorError};

/// Failure scores of normal frames and of nonsense ones.
#[derive(Clone, Debug)]
pub struct Sanity {
    /// Median failure score of the normal frames.
    pub median: f32,
    /// Name and failure score.
    pub frames: Vec<(String, f32)>,
    /// Share of the frames that score above the median when turned upside down.
    pub flipped_above: f64,
}

/// Frames that are turned upside down.
const FLIPPED: usize = 50;

impl Sanity {
    /// Shows `monitor` a black frame, noise, and frames of the data set upside down. `median` is the failure
    /// score of the normal ones.
    pub fn of(monitor: &Monitor, median: f32, folder: &Path, slice: &Slice) -> Result<Self, EvaluationError> {
        let (_, pairs) = data::list(folder, slice, false)?;
        let score = |image: RgbImage| -> Result<f32, MonitorError> {
            Ok(monitor.process(&Frame::new(image), Wanted::default())?.report.failure_score)
        };
        let (mut frames, mut above, mut count) = (Vec::new(), 0, 0);
        for pair in pairs.pairs.into_iter().take(FLIPPED) {
            let image = data::open_image(&pair.image)?;
            let flipped = score(imageops::flip_vertical(&image))?;
            if frames.is_empty() {
                let (width, height) = image.dimensions();
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                let noise = RgbImage::from_fn(width, height, |_, _| Rgb(rng.random()));
                frames.push(("all black".to_owned(), score(RgbImage::new(width, height))?));
                frames.push(("random noise".to_owned(), score(noise)?));
                frames.push((format!("{} upside down", pair.name), flipped));
            }
            above += usize::from(flipped > median);
            count += 1;
        }
        Ok(Self { median, frames, flipped_above: above as f64 / count.max(1) as f64 })
    }
}

impl fmt::Display for Sanity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "failure score: median of normal frames {:.3}", self.median)?;
        for (name, score) in &self.frames {
            let verdict = if *score > self.median { "above" } else { "NOT above" };
            writeln!(f, "  {name}: {score:.3}, {verdict} the median")?;
        }
        writeln!(f, "  upside down: {:.0} % of frames above the median", 100. * self.flipped_above)
    }
}
