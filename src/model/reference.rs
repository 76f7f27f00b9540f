//! What the drives looked like that a bundle was calibrated on, and how far others are from it.
//!
//! Frames of one drive resemble each other, so that a window of them is one observation and not many: against all
//! calibration frames pooled, a test of single frames (Kolmogorov-Smirnov, say) would reject every window of every
//! drive. Here the drive is the unit. Half of the drives say where a window's means lie and how far drives lie
//! apart; the other half, how far the farthest window of a drive is, and the limit is a conformal quantile of these:
//! a further exchangeable drive of that length exceeds it with at most the stated probability, however its frames
//! depend on each other.

#[cfg(feature = "data")]
pub(crate) mod learn;

use serde::{Deserialize, Serialize};

use crate::network::range::{OutOfRange, all_within, within};

/// The numbers of one frame that tell its scene from others.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameSignals {
    /// The frame's failure score.
    pub failure_score: f32,
    /// Share of the image above the anomaly limit.
    pub anomaly_area: f32,
    /// Mean luma.
    pub brightness: f32,
    /// M's features, each the mean over the image.
    pub features: Vec<f32>,
}

impl FrameSignals {
    /// Whether all of it are numbers.
    pub(crate) fn is_finite(&self) -> bool {
        [self.failure_score, self.anomaly_area, self.brightness]
            .iter()
            .chain(&self.features)
            .all(|v| v.is_finite())
    }
}

/// Mean and spread of a number over drives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Mean.
    pub mean: f32,
    /// Standard deviation, of some size at least.
    pub spread: f32,
}

/// What is compared; M's features by their mean distance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signals<T> {
    /// Of the failure score.
    pub failure_score: T,
    /// Of the anomalous area.
    pub anomaly_area: T,
    /// Of the brightness.
    pub brightness: T,
    /// Of the distance of M's features from their means, in spreads.
    pub features: T,
}

impl<T: Copy> Signals<T> {
    fn values(&self) -> [T; 4] {
        [self.failure_score, self.anomaly_area, self.brightness, self.features]
    }
}

/// Names of the signals, in the order of [`Signals`].
pub(crate) const NAMES: [&str; 4] = ["failure_score", "anomaly_area", "brightness", "features"];

/// What calibration drives look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Seconds between two frames that are looked at.
    pub every: f64,
    /// Frames of a window.
    pub window: usize,
    /// Frames of a drive, for which the rate is stated.
    pub drive: usize,
    /// Probability that a drive like these exceeds the limit anywhere, at most.
    pub rate: f64,
    /// Largest shift of a window, in spreads.
    pub limit: f32,
    /// Drives that the limit was chosen on.
    pub drives: usize,
    /// Where windows lie.
    pub signals: Signals<Scale>,
    /// The means of M's features.
    pub feature_means: Vec<f32>,
    /// Their spreads.
    pub feature_spreads: Vec<f32>,
}

/// The farthest of a window's signals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// How far, in spreads.
    pub size: f32,
    /// Which.
    pub signal: &'static str,
}

impl Reference {
    /// How far each window of a drive is shifted.
    pub fn shifts<'a>(&'a self, drive: &'a [FrameSignals]) -> impl Iterator<Item = Shift> + 'a {
        drive.windows(self.window).map(|frames| self.shift(frames))
    }

    /// How far a window is shifted.
    pub fn shift(&self, frames: &[FrameSignals]) -> Shift {
        let values = self.values(frames);
        let mut farthest = Shift { size: 0., signal: NAMES[0] };
        for ((value, scale), signal) in values.into_iter().zip(self.signals.values()).zip(NAMES) {
            let shift = (value - scale.mean) / scale.spread;
            // Features that lie nearer than usual are no other scene.
            let size = if signal == NAMES[3] { shift.max(0.) } else { shift.abs() };
            if size > farthest.size {
                farthest = Shift { size, signal };
            }
        }
        farthest
    }

    fn values(&self, frames: &[FrameSignals]) -> [f32; 4] {
        let mean =
            |of: fn(&FrameSignals) -> f32| frames.iter().map(of).sum::<f32>() / frames.len().max(1) as f32;
        let features = mean_features(frames);
        let scales = self.feature_means.iter().zip(&self.feature_spreads);
        let away = features.iter().zip(scales).map(|(value, (mean, spread))| (value - mean).abs() / spread);
        let distance = away.sum::<f32>() / features.len().max(1) as f32;
        [
            mean(|frame| frame.failure_score),
            mean(|frame| frame.anomaly_area),
            mean(|frame| frame.brightness),
            distance,
        ]
    }

    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        const MOST: f32 = f32::MAX;
        within("every", self.every, 1e-3..=3600.)?;
        within("window", self.window, 1..=10_000)?;
        within("rate", self.rate, 0. ..=1.)?;
        within("limit", self.limit, 0. ..=MOST)?;
        for Scale { mean, spread } in self.signals.values() {
            within("signals.mean", mean, -MOST..=MOST)?;
            within("signals.spread", spread, f32::MIN_POSITIVE..=MOST)?;
        }
        all_within("feature_means", &self.feature_means, -MOST..=MOST)?;
        all_within("feature_spreads", &self.feature_spreads, f32::MIN_POSITIVE..=MOST)?;
        within(
            "feature_spreads",
            self.feature_spreads.len(),
            self.feature_means.len()..=self.feature_means.len(),
        )
    }
}

fn mean_features(frames: &[FrameSignals]) -> Vec<f32> {
    let channels = frames.iter().map(|frame| frame.features.len()).min().unwrap_or(0);
    let mean = |c: usize| frames.iter().map(|frame| frame.features[c]).sum::<f32>() / frames.len() as f32;
    (0..channels).map(mean).collect()
}
