//! A bundle: one folder with everything a monitor is made of.

use serde::{Deserialize, Serialize};

/// Limits between normal and alarming, and what they promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Failure score from which a frame counts towards CAUTION.
    pub caution: f32,
    /// Failure score from which a frame counts towards FAILURE.
    pub failure: f32,
    /// Error probability above which a pixel is in the error mask.
    pub error: f32,
    /// Anomaly score above which a pixel is in the anomaly mask.
    pub anomaly: f32,
    /// What the limits were calibrated for, in words.
    pub guarantee: String,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {}
