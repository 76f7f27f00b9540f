//! What to label next: of the frames of a data set or of replayed recordings those that teach most, exported for
//! annotation tools.
//!
//! ```text
//! frames --look: M, G, F once--> candidates --choose--> at most N --show: masks--> export, page
//! ```

mod choose;
mod export;
mod frames;
mod page;
mod run_lengths;

use std::path::{Path, PathBuf};

use image::{GrayImage, Rgb, RgbImage};
use serde::Serialize;
use tch::Kind;

use crate::bag::BagError;
use crate::data::DataError;
use crate::frame::{Frame, FrameError};
use crate::model::inference::Inference;
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::{Monitor, MonitorError};
use crate::picture::canvas::tint;
use crate::whole_file;
pub use choose::{Candidate, choose};
use export::Export;
pub use frames::{Replayed, Source};
pub use page::PAGE;

/// Why nothing can be mined.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A recording.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// A frame of a recording.
    #[error("{name}: {error}")]
    Frame {
        /// Which.
        name: String,
        /// Why it cannot be read.
        error: FrameError,
    },
    /// The networks.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// A result that does not say what is needed.
    #[error("{}: {reason}", path.display())]
    Result {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A picture cannot be written.
    #[error("{}: {error}", path.display())]
    Picture {
        /// Where.
        path: PathBuf,
        /// Why.
        error: image::ImageError,
    },
    /// There is nothing to choose from.
    #[error("no frames to choose from")]
    Nothing,
}

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most frames.
    pub most: usize,
    /// Least time between two of one drive: seconds of a recording, places in a data set.
    pub gap: f64,
}

/// A frame that was chosen.
#[derive(Clone, Debug, Serialize)]
pub struct Mined {
    /// Where its image is, below the export's folder.
    pub image: String,
    /// Its name where it came from.
    pub name: String,
    /// The drive that it is of.
    pub drive: String,
    /// How much it has to teach beside the other candidates, in \[0, 1\].
    pub lesson: f32,
    /// The failure score.
    pub failure: f32,
    /// The share of the image that is likely unknown.
    pub unknown: f32,
    /// How much M disagrees with itself about x' and x.
    pub disagreement: f32,
}

/// What was chosen, of all frames looked at, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Selection {
    /// Frames looked at by the networks.
    pub looked_at: usize,
    /// The best first.
    pub frames: Vec<Mined>,
}

/// A file of what was chosen.
pub const LIST: &str = "mined.json";

/// Mines `source` into the folder `out`; `each` is called after each frame that was looked at.
pub fn mine(
    monitor: &Monitor,
    source: &Source,
    limits: Limits,
    out: &Path,
    mut each: impl FnMut(),
) -> Result<Selection, MineError> {
    let mut candidates = Vec::new();
    source.each(
        |_, _| true,
        |frame| {
            candidates.push(look(monitor, frame)?);
            each();
            Ok(())
        },
    )?;
    if candidates.is_empty() {
        return Err(MineError::Nothing);
    }
    let lessons = choose::lessons(&candidates);
    let chosen = choose(&candidates, limits.most, limits.gap);
    let mut export = Export::new(out, monitor.labels())?;
    let mut page = page::Page::default();
    let mut frames: Vec<Option<Mined>> = vec![None; chosen.len()];
    let place_of = |drive: &str, name: &str| {
        chosen.iter().position(|&i| candidates[i].drive == drive && candidates[i].name == name)
    };
    source.each(
        |drive, name| place_of(drive, name).is_some(),
        |frame| {
            let Some(place) = place_of(&frame.drive, &frame.name) else { return Ok(()) };
            let candidate = &candidates[chosen[place]];
            let [failure, unknown, disagreement] = candidate.evidence;
            let shown = show(monitor, &frame)?;
            let image = export.add(&export::Frame {
                name: &frame.name,
                drive: &frame.drive,
                image: &frame.image,
                labels: &shown.labels,
                wrong: &shown.wrong,
                unknown: &shown.unknown,
            })?;
            let lesson = lessons[chosen[place]];
            let (name, drive) = (frame.name.clone(), frame.drive.clone());
            let mined = Mined { image, name, drive, lesson, failure, unknown, disagreement };
            page.add(place, &mined, &frame.image, &shown.overlay(monitor, &frame.image))?;
            frames[place] = Some(mined);
            Ok(())
        },
    )?;
    export.finish()?;
    let selection = Selection { looked_at: candidates.len(), frames: frames.into_iter().flatten().collect() };
    whole_file::write(&out.join(PAGE), page.html(&selection))?;
    let list = serde_json::to_vec_pretty(&selection).map_err(std::io::Error::from)?;
    whole_file::write(&out.join(LIST), list)?;
    Ok(selection)
}

/// What the networks make of a frame.
fn look(monitor: &Monitor, frame: frames::Taken) -> Result<Candidate, MineError> {
    let frames::Taken { name, drive, time, image } = frame;
    let inference = Inference::of_image(monitor.networks(), &image).map_err(MonitorError::from)?;
    tch::no_grad(|| {
        let report = monitor.assess_inference(&image, &inference, Wanted::default())?.report;
        let config = monitor.networks().anomaly_config();
        let anomaly = inference.anomaly(config).map_err(MonitorError::from)?;
        let unknown = anomaly.ge(f64::from(monitor.thresholds().anomaly)).to_kind(Kind::Float);
        let unknown = unknown.mean(Kind::Float).double_value(&[]) as f32;
        let disagreement = inference.disagreement().mean(Kind::Float).double_value(&[]) as f32;
        let pooled = inference.segmentation().features.to_kind(Kind::Float);
        let pooled = pooled.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float);
        let features = Vec::<f32>::try_from(pooled).map_err(MonitorError::from)?;
        let evidence = [report.failure_score, unknown, disagreement];
        Ok(Candidate { name, drive, time, evidence, features })
    })
}

/// The maps of a frame that was chosen.
struct Shown {
    labels: GrayImage,
    wrong: GrayImage,
    unknown: GrayImage,
}

fn show(monitor: &Monitor, frame: &frames::Taken) -> Result<Shown, MineError> {
    let wanted = Wanted { labels: true, error_mask: true, anomaly_mask: true, ..Wanted::default() };
    let maps = monitor.process(&Frame::new(frame.image.clone()), wanted)?.maps;
    let (width, height) = frame.image.dimensions();
    // An F that does not score, and an anomaly score that is switched off, mark nothing.
    let or_none = |map: Option<GrayImage>| map.unwrap_or_else(|| GrayImage::new(width, height));
    Ok(Shown {
        labels: or_none(maps.labels),
        wrong: or_none(maps.error_mask),
        unknown: or_none(maps.anomaly_mask),
    })
}

impl Shown {
    /// M's colours over the image, what is likely wrong in red, and unknown in magenta.
    fn overlay(&self, monitor: &Monitor, image: &RgbImage) -> RgbImage {
        let mut picture = image.clone();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let class = monitor.labels().classes.get(usize::from(self.labels.get_pixel(x, y).0[0]));
            let mut color = class.map_or([0; 3], |class| class.color);
            if self.wrong.get_pixel(x, y).0[0] > 0 {
                color = [255, 0, 0];
            }
            if self.unknown.get_pixel(x, y).0[0] > 0 {
                color = [255, 0, 255];
            }
            tint(pixel, Rgb(color));
        }
        picture
    }
}
