//! From the features of an anomalous region to the probability that it is a thing, and from which probability
//! on it raises the level.
//!
//! The weights, the limit and what they stand on come from calibration and lie in `bundle.yaml`. Features of
//! another score's scale are as good: nothing here knows what values a score has.

use serde::{Deserialize, Serialize};

use crate::network::range::{OutOfRange, within};

/// Smallest region of which calibration is told, as a share of the valid image.
pub const LEAST_AREA: f32 = 0.0005;

/// Share of drivable ground around a region from which it stands on it or beside it.
const BESIDE: f32 = 0.05;

/// One number for each feature of a region: its value, or its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Mean anomaly score.
    pub mean_score: f32,
    /// Highest anomaly score.
    pub peak_score: f32,
    /// Natural logarithm of the share of the valid image.
    pub log_area: f32,
    /// Share of the ground around it that is drivable.
    pub on_road: f32,
    /// Natural logarithm of width by height.
    pub log_elongation: f32,
    /// Lower edge, as a share of the image's height: how near it is.
    pub bottom: f32,
}

impl Features {
    /// How many there are.
    pub(crate) const COUNT: usize = 6;

    /// All of them, in the order of their definition.
    pub(crate) fn values(&self) -> [f32; Self::COUNT] {
        let Self { mean_score, peak_score, log_area, on_road, log_elongation, bottom } = *self;
        [mean_score, peak_score, log_area, on_road, log_elongation, bottom]
    }

    /// The other way.
    pub(crate) fn of_values(values: [f32; Self::COUNT]) -> Self {
        let [mean_score, peak_score, log_area, on_road, log_elongation, bottom] = values;
        Self { mean_score, peak_score, log_area, on_road, log_elongation, bottom }
    }
}

/// A logistic model of what regions are things, and the limit of its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Things {
    /// Log odds where every feature is 0.
    pub intercept: f32,
    /// What a unit of each feature adds to them.
    pub weights: Features,
    /// Probability from which a region on or beside drivable ground raises the level.
    pub limit: f32,
    /// Smallest region that counts, as a share of the valid image.
    #[serde(default = "least_area")]
    pub least_area: f32,
    /// What the model and the limit were learned on, in words.
    pub stands_on: String,
}

fn least_area() -> f32 {
    LEAST_AREA
}

impl Things {
    /// Probability that a region with these features is a thing; NaN where one of them is no number.
    pub(crate) fn probability(&self, features: &Features) -> f32 {
        let terms = self.weights.values().into_iter().zip(features.values());
        let sum: f64 = terms.map(|(weight, value)| f64::from(weight) * f64::from(value)).sum();
        (1. / (1. + (-(f64::from(self.intercept) + sum)).exp())) as f32
    }

    /// Whether a region of this area, with this probability and this share of drivable ground, raises the level.
    /// What is not known reassures of nothing.
    pub(crate) fn raise(&self, area: f32, probability: f32, on_road: f32) -> bool {
        let (is_unlikely, is_elsewhere) = (probability < self.limit, on_road < BESIDE);
        !(area < self.least_area || is_unlikely || is_elsewhere)
    }

    /// Says which number is beyond its range.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        // Wide enough for any score, and narrow enough for no sum to be infinite.
        const MOST: f32 = 1e6;
        within("intercept", self.intercept, -MOST..=MOST)?;
        for weight in self.weights.values() {
            within("weights", weight, -MOST..=MOST)?;
        }
        within("least_area", self.least_area, 0. ..=1.)?;
        within("limit", self.limit, 0. ..=1.)
    }
}

#[cfg(test)]
impl Things {
    /// Regions of any size whose probability is even, for tests that look at something else.
    pub(crate) fn example(limit: f32) -> Self {
        Self { intercept: 0., weights: Features::default(), limit, least_area: 0., stands_on: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn things() -> Things {
        let weights = Features { peak_score: 2., log_area: 1., ..Features::default() };
        Things { intercept: -1., weights, limit: 0.5, least_area: 0.01, stands_on: "a test".into() }
    }

    #[test]
    fn the_probability_is_the_logistic_function_of_the_weighted_features() {
        let features = Features { peak_score: 0.75, log_area: 0.25, bottom: 9., ..Features::default() };
        let expected = 1. / (1. + f32::exp(-0.75));
        assert!((things().probability(&features) - expected).abs() < 1e-6);
        assert!(things().probability(&Features { bottom: f32::NAN, ..features }).is_nan());
    }

    #[test]
    fn only_a_likely_thing_on_or_beside_the_road_raises_the_level_and_what_is_not_known_does() {
        let things = things();
        let cases = [
            (0.01, 0.5, 0.05, true),
            (0.009, 1., 1., false),
            (0.1, 0.49, 1., false),
            (0.1, 1., 0.04, false),
            (0.1, f32::NAN, 1., true),
            (0.1, 1., f32::NAN, true),
            (f32::NAN, 1., 1., true),
            (0.1, f32::NAN, 0., false),
        ];
        for (area, probability, on_road, raises) in cases {
            let found = things.raise(area, probability, on_road);
            assert_eq!(found, raises, "{area}, {probability}, {on_road}");
        }
    }

    #[test]
    fn features_keep_their_order() {
        let features = Features::of_values([1., 2., 3., 4., 5., 6.]);
        assert_eq!((features.mean_score, features.on_road, features.bottom), (1., 4., 6.));
        assert_eq!(features.values(), [1., 2., 3., 4., 5., 6.]);
    }
}
