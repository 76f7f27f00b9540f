//! The results of a test, kept at full precision for the tables.

use std::path::Path;

use fs_err as fs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::ProtocolError;
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::scoreboard::Scored;
use crate::metric::MetricError;
use crate::metric::estimate::Fit;
use crate::metric::pixel::{PerImageFigures, TwoSided};
use crate::whole_file;

/// The results of a test on images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The data set.
    pub data: String,
    /// Images.
    pub images: u64,
    /// Share of the counted pixels that are wrong, or anomalous.
    pub positive: f64,
    /// Mean IoU of the segmenter M, where classes are labelled.
    pub mean_iou: Option<f64>,
    /// The classes.
    pub classes: Vec<String>,
    /// Pixel level, one per detector.
    pub pixels: Vec<PixelLevel>,
    /// Image level, one per detector.
    pub ious: Vec<ImageLevel>,
}

/// The figures of a detector's scores of pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelLevel {
    /// The detector.
    pub name: String,
    /// All pixels as one.
    pub pooled: TwoSided,
    /// How far the pooled figures may be off if scores were counted in bins; 0 if they are exact.
    pub error_bound: f64,
    /// Means over the images.
    pub per_image: PerImageFigures,
}

/// The figures of a detector's estimates of IoUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageLevel {
    /// The detector.
    pub name: String,
    /// Mean of the classes.
    pub mean: Fit,
    /// Each class.
    pub classes: Vec<Fit>,
}

/// The cost of a detector, in multiples of M's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The detector, or a part of it.
    pub name: String,
    /// Time, M's own included.
    pub time: f64,
    /// Multiply-adds of convolutions, M's own included.
    pub arithmetic: f64,
}

impl PixelLevel {
    /// Of each detector.
    pub fn of(scored: &[Scored]) -> Vec<Self> {
        let level = |s: &Scored| Self {
            name: s.name.clone(),
            pooled: s.pooled,
            error_bound: s.error_bound,
            per_image: s.per_image,
        };
        scored.iter().map(level).collect()
    }
}

impl Outcome {
    /// Of an evaluation on labelled images.
    pub fn of(evaluation: &Evaluation) -> Result<Self, MetricError> {
        let ious = evaluation.estimates.iter().map(|(name, estimates)| {
            Ok(ImageLevel { name: name.clone(), mean: estimates.mean()?, classes: estimates.fits()? })
        });
        Ok(Self {
            data: evaluation.data.clone(),
            images: evaluation.images.len() as u64,
            positive: evaluation.wrong,
            mean_iou: evaluation.confusion.mean_iou(),
            classes: evaluation.labels.classes.iter().map(|class| class.name.clone()).collect(),
            pixels: PixelLevel::of(&evaluation.errors),
            ious: ious.collect::<Result<_, MetricError>>()?,
        })
    }
}

/// Writes what was measured to `path`; it is there whole, or not at all.
pub fn write<T: Serialize>(measured: &T, path: &Path) -> Result<(), ProtocolError> {
    let wrong = |reason: String| ProtocolError::Outcome { path: path.to_owned(), reason };
    let text = serde_json::to_string_pretty(measured).map_err(|e| wrong(e.to_string()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(whole_file::write(path, text)?)
}

/// Reads what [`write()`] wrote; `None` where nothing was measured yet.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ProtocolError> {
    let wrong = |reason: String| ProtocolError::Outcome { path: path.to_owned(), reason };
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path)?;
    serde_json::from_str(&text).map(Some).map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("system/cost.json");
        assert_eq!(read::<Vec<Cost>>(&path).expect("nothing yet"), None);
        // Numbers come back to the last digit, or an outcome that was copied would not equal its origin.
        let cost =
            |i: u32| Cost { name: "M".into(), time: 1. / f64::from(i), arithmetic: f64::from(i).sqrt() };
        let costs: Vec<Cost> = (1..2000).map(cost).collect();
        write(&costs, &path).expect("written");
        assert_eq!(read::<Vec<Cost>>(&path).expect("whole"), Some(costs));
        std::fs::write(&path, "[{").expect("broken");
        let error = read::<Vec<Cost>>(&path).expect_err("broken").to_string();
        assert!(error.contains("system/cost.json"), "{error}");
    }
}
