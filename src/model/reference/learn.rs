//! What a reference is learned from: drives, each one observation.

use super::{FrameSignals, Reference, Scale, Signals, mean_features};
use crate::metric::conformal::{needed, upper_limit};

/// Drives without which a spread means nothing.
const FEWEST: usize = 8;
/// Smallest spread of each signal, of [`Signals`]' order: a difference below that is none.
const LEAST: [f32; 4] = [0.01, 0.002, 0.01, 0.05];
/// Smallest spread of a feature, in that of all features.
const LEAST_FEATURE: f32 = 1e-3;

impl Reference {
    /// Drives that are needed for a rate.
    pub fn needed(rate: f64) -> usize {
        2 * needed(rate).max(FEWEST)
    }

    /// Of drives in random order, whose frames are `every` seconds apart. `None` where they are too few for the rate,
    /// or too short for a window.
    pub fn learn(drives: &[Vec<FrameSignals>], every: f64, window: usize, rate: f64) -> Option<Self> {
        let length = drives.iter().map(Vec::len).min()?;
        if drives.len() < Self::needed(rate) || window == 0 || length < window {
            return None;
        }
        let cut = |parity: usize| drives.iter().skip(parity).step_by(2).map(|drive| &drive[..length]);
        let means: Vec<Vec<f32>> = cut(0).map(mean_features).collect();
        let channels = means.iter().map(Vec::len).min()?;
        let scales: Vec<Scale> = (0..channels).map(|c| scale(means.iter().map(|mean| mean[c]), 0.)).collect();
        let widest = scales.iter().map(|scale| scale.spread).fold(0., f32::max);
        let mut reference = Self {
            every,
            window,
            drive: length,
            rate,
            limit: f32::MAX,
            drives: cut(1).count(),
            signals: {
                let one = Scale { mean: 0., spread: 1. };
                Signals { failure_score: one, anomaly_area: one, brightness: one, features: one }
            },
            feature_means: scales.iter().map(|scale| scale.mean).collect(),
            feature_spreads: scales.iter().map(|s| s.spread.max(LEAST_FEATURE * widest).max(1e-6)).collect(),
        };
        let windows: Vec<[f32; 4]> = cut(0)
            .flat_map(|drive| drive.chunks_exact(window))
            .map(|frames| reference.values(frames))
            .collect();
        let of = |i: usize| scale(windows.iter().map(|values| values[i]), LEAST[i]);
        reference.signals =
            Signals { failure_score: of(0), anomaly_area: of(1), brightness: of(2), features: of(3) };
        let farthest =
            |drive: &[FrameSignals]| reference.shifts(drive).map(|shift| shift.size).fold(0., f32::max);
        let farthest: Vec<f32> = cut(1).map(farthest).collect();
        reference.limit = upper_limit(&farthest, rate)?;
        Some(reference)
    }
}

fn scale(values: impl Iterator<Item = f32> + Clone, least: f32) -> Scale {
    let count = values.clone().count().max(1) as f32;
    let mean = values.clone().sum::<f32>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f32>() / (count - 1.).max(1.);
    Scale { mean, spread: variance.sqrt().max(least) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A number in \[0, 1) after the other (splitmix64).
    fn dice(state: &mut u64) -> f32 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1 << 24) as f32
    }

    /// Drives that each lie somewhere, with frames that hardly differ: the worst case of dependence.
    pub(crate) fn drives(count: usize, seed: u64) -> Vec<Vec<FrameSignals>> {
        let mut state = seed << 20;
        let mut drive = || {
            let at: [f32; 4] = std::array::from_fn(|_| 0.2 + 0.4 * dice(&mut state));
            let frame = |_| {
                let [failure_score, anomaly, brightness, feature] =
                    at.map(|v| v + 0.02 * (dice(&mut state) - 0.5));
                FrameSignals {
                    failure_score,
                    anomaly_area: anomaly * 0.1,
                    brightness,
                    features: vec![feature; 3],
                }
            };
            (0..12).map(frame).collect()
        };
        (0..count).map(|_| drive()).collect()
    }

    #[test]
    fn drives_like_those_exceed_the_limit_no_oftener_than_the_rate_however_alike_their_frames_are() {
        let (mut alarms, mut all) = (0, 0);
        for seed in 0..40 {
            let reference = Reference::learn(&drives(40, seed), 0.5, 4, 0.1).unwrap();
            for drive in drives(20, 1000 + seed) {
                alarms += usize::from(reference.shifts(&drive).any(|shift| shift.size > reference.limit));
                all += 1;
            }
        }
        // 800 drives at 0.1 or a little less.
        assert!((24..=100).contains(&alarms), "{alarms} of {all}");
    }

    #[test]
    fn a_scene_of_another_light_or_other_features_is_far_and_named() {
        let reference = Reference::learn(&drives(40, 1), 0.5, 4, 0.1).unwrap();
        let shifted = |change: fn(&mut FrameSignals)| {
            let mut drive = drives(1, 77).remove(0);
            drive.iter_mut().for_each(change);
            reference.shift(&drive[..4])
        };
        let dark = shifted(|frame| frame.brightness = -2.);
        assert!(dark.size > reference.limit && dark.signal == "brightness", "{dark:?}");
        let unlike = shifted(|frame| frame.features = vec![5., -5., 5.]);
        assert!(unlike.size > reference.limit && unlike.signal == "features", "{unlike:?}");
    }

    #[test]
    fn too_few_drives_or_too_short_ones_give_no_reference() {
        assert_eq!(Reference::needed(0.1), 18);
        assert_eq!(Reference::learn(&drives(17, 1), 0.5, 4, 0.1), None);
        assert_eq!(Reference::learn(&drives(40, 1), 0.5, 13, 0.1), None);
        assert!(Reference::learn(&drives(18, 1), 0.5, 12, 0.1).unwrap().check().is_ok());
    }
}
