//! The five calls of the picture: resize, segment, synthesize, compare, score.

use std::path::Path;

use image::GrayImage;

use super::bundle::{BundleError, Thresholds};
use super::report::{Assessment, Wanted};
use crate::frame::Frame;
use crate::labels::LabelSet;

/// Where and how the networks run.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorOptions {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// `auto`, `fp32`, `bf16` or `fp16`.
    pub precision: String,
    /// Threads for tensor operations; 0 leaves the default.
    pub threads: usize,
    /// Whether the second pass of M and the anomaly score are computed.
    pub anomaly: bool,
    /// Smallest region that is reported, as a share of the valid image.
    pub min_region_area: f32,
    /// Most regions reported a frame.
    pub max_regions: usize,
}

/// What can go wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// libtorch refused an operation.
    #[error("inference failed: {0}")]
    Inference(#[from] tch::TchError),
    /// A score came out as NaN or infinite.
    #[error("inference gave {value} for {what}; expected a finite number")]
    NotFinite {
        /// Which score.
        what: &'static str,
        /// Its value.
        value: f32,
    },
    /// The mask of valid pixels does not fit the image.
    #[error("the valid mask is {mask_width}x{mask_height} and the image {width}x{height}; both must have the same size")]
    MaskSize {
        /// Mask columns.
        mask_width: u32,
        /// Mask rows.
        mask_height: u32,
        /// Image columns.
        width: u32,
        /// Image rows.
        height: u32,
    },
}

/// A loaded bundle, ready for frames. A pure function of the frame: nothing is kept between calls.
pub struct Monitor {}

impl Monitor {
    /// Loads and checks the bundle in folder `dir`.
    pub fn load(dir: &Path, options: &MonitorOptions) -> Result<Self, BundleError> {
        let _ = (dir, options);
        todo!()
    }

    /// Thresholds in force: the bundle's calibration unless replaced.
    pub fn thresholds(&self) -> &Thresholds {
        todo!()
    }

    /// Replaces the thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        let _ = thresholds;
        todo!()
    }

    /// Pixels outside the mask (0) are left out of every score and area: the vehicle's own bonnet,
    /// say. `None` makes the whole image valid.
    pub fn set_valid_mask(&mut self, mask: Option<GrayImage>) {
        let _ = mask;
        todo!()
    }

    /// The bundle's label set.
    pub fn labels(&self) -> &LabelSet {
        todo!()
    }

    /// The bundle's name.
    pub fn bundle_name(&self) -> &str {
        todo!()
    }

    /// SHA-256 of bundle.yaml (which holds the hashes of the weights), in hex.
    pub fn bundle_hash(&self) -> &str {
        todo!()
    }

    /// One line for people: the networks, their precision and where they run.
    pub fn description(&self) -> String {
        todo!()
    }

    /// Assesses one frame by the whole method.
    pub fn process(&self, frame: &Frame, wanted: Wanted) -> Result<Assessment, MonitorError> {
        let _ = (frame, wanted);
        todo!()
    }

    /// Assesses one frame from M's logits alone: the fallback when synthesis is too slow. Error
    /// probability and anomaly score are then one minus the largest softmax.
    pub fn process_logits_only(&self, frame: &Frame, wanted: Wanted) -> Result<Assessment, MonitorError> {
        let _ = (frame, wanted);
        todo!()
    }
}
