//! The anomaly score of SynthCP (Section 3.3): how unlike M's features of x and of x' are, where M is
//! not certain.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::fovea::Fovea;
use crate::network::comparison::disagreement::cosine;
use crate::network::layers::{resize_bilinear, spatial};
use crate::network::softmax::entropy;
use crate::network::synthesis::GeneratorConfig;

/// Above this softmax M is believed and the features are not consulted (the paper's t).
pub(crate) const SWITCH: f64 = 0.999;

/// Which features of x and x' are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Those that M classifies: the paper's.
    #[default]
    Last,
    /// M's logits: what it makes of those.
    Logits,
}

/// How M's own certainty enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// A switch at every pixel, as in the paper: above `SWITCH` the largest softmax is the confidence,
    /// below it the cosine.
    #[default]
    Switch,
    /// The geometric mean of the cosine distance and the entropy of the softmax, on the grid of M's
    /// logits: the same thought without a step. Both must be high.
    Entropy,
}

/// What the unknown does that F has learned, where it has ([`Compared::unknown`]).
///
/// [`Compared::unknown`]: crate::network::comparison::Compared::unknown
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Nothing: the score is the paper's, what synthesis brings alone.
    #[default]
    Ignored,
    /// It is the score.
    Alone,
    /// Both: `1 - (1 - u) (1 - w s)`, of F's probability u, the synthesis' score s and its weight w from 0 to 1.
    Joined(f32),
}

impl Unknown {
    /// Says what is wrong with it for an F that has or has not learned the unknown.
    pub(crate) fn check(self, is_learned: bool) -> Result<(), String> {
        match self {
            Self::Joined(weight) if !(0. ..=1.).contains(&weight) => {
                Err(format!("anomaly.unknown.joined is {weight}; expected a weight from 0 to 1"))
            }
            Self::Alone | Self::Joined(_) if !is_learned => {
                Err("anomaly.unknown asks for what F has not learned; expected 'ignored', or a comparison network \
                     with 'unknown: true'"
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// The score, of F's `unknown` and of what synthesis brings.
    pub(super) fn score(self, unknown: Option<Tensor>, synthesis: impl FnOnce() -> Tensor) -> Tensor {
        match (self, unknown) {
            (Self::Alone, Some(unknown)) => unknown,
            (Self::Joined(weight), Some(unknown)) => {
                let neither = (1. - unknown) * (1. - synthesis() * f64::from(weight));
                1. - neither
            }
            _ => synthesis(),
        }
    }
}

/// How the score is made; the default is the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is compared.
    pub features: Features,
    /// What M's certainty does.
    pub certainty: Certainty,
    /// Side, in cells, of the square over which the score is averaged; odd, and 1 leaves it alone.
    /// Outlines of ordinary objects are thin, anomalous objects are not.
    pub smoothing: Smoothing,
    /// What the unknown does that F has learned.
    pub unknown: Unknown,
    /// The band where the drivable ground ends, assessed once more, enlarged; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fovea: Option<Fovea>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            features: Features::Last,
            certainty: Certainty::Switch,
            smoothing: Smoothing(1),
            unknown: Unknown::Ignored,
            fovea: None,
        }
    }
}

impl Config {
    /// Says what is wrong with the enlarged band, if there is one.
    pub(crate) fn check_fovea(
        &self,
        working_size: [u32; 2],
        generator: &GeneratorConfig,
    ) -> Result<(), String> {
        self.fovea.map_or(Ok(()), |fovea| fovea.check(working_size, generator))
    }
}

/// An odd number of cells, from 1 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Smoothing(u8);

impl TryFrom<u8> for Smoothing {
    type Error = String;

    fn try_from(side: u8) -> Result<Self, String> {
        if side % 2 == 1 && side < 32 {
            return Ok(Self(side));
        }
        Err(format!("smoothing: {side}; expected an odd number from 1 to 31"))
    }
}

impl From<Smoothing> for u8 {
    fn from(smoothing: Smoothing) -> Self {
        smoothing.0
    }
}

impl Smoothing {
    fn apply(self, score: &Tensor) -> Tensor {
        let side = i64::from(self.0);
        match side {
            1 => score.shallow_clone(),
            _ => score.avg_pool2d([side, side], [1, 1], [side / 2, side / 2], false, false, None),
        }
    }
}

/// What is compared and weighed.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// Features of x: `N x F x h x w`.
    pub real: &'a Tensor,
    /// The same features of x'.
    pub synthetic: &'a Tensor,
    /// M's logits of x on their own grid.
    pub logits: &'a Tensor,
    /// M's largest softmax of x at full size: `N x 1 x H x W`.
    pub msp: &'a Tensor,
}

/// Anomaly score `N x 1 x H x W` in \[0, 1\], fp32. Everything but the paper's switch happens on the
/// networks' own grid; only the score is resized.
pub fn anomaly_score(config: Config, views: &Views) -> Tensor {
    let [real, synthetic, logits] =
        [views.real, views.synthetic, views.logits].map(|t| t.to_kind(Kind::Float));
    let cosine = cosine(&real, &synthetic);
    let full = spatial(views.msp);
    let distance = |size| 1. - resize_bilinear(&cosine, size, false).clamp(0., 1.);
    let score = match config.certainty {
        Certainty::Switch => {
            let doubt: Tensor = 1. - views.msp;
            doubt.where_self(&doubt.lt(1. - SWITCH), &distance(full))
        }
        Certainty::Entropy => (distance(spatial(&logits)) * entropy(&logits)).clamp(0., 1.).sqrt(),
    };
    resize_bilinear(&config.smoothing.apply(&score), full, false)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn config(certainty: Certainty, smoothing: u8) -> Config {
        Config { certainty, smoothing: smoothing.try_into().unwrap(), ..Config::default() }
    }

    /// The score of pixels with these features, of an M that tells two classes apart by `margin`.
    fn score(config: Config, real: &Tensor, synthetic: &Tensor, margin: f64) -> Tensor {
        let (_, _, h, w) = real.size4().unwrap();
        let logits = Tensor::zeros([1, 2, h, w], (Kind::Float, Device::Cpu));
        let _ = logits.select(1, 0).fill_(margin);
        let msp = logits.softmax(1, Kind::Float).amax([1i64].as_slice(), true);
        anomaly_score(config, &Views { real, synthetic, logits: &logits, msp: &msp })
    }

    #[test]
    fn like_features_are_no_anomaly_and_opposite_ones_are() {
        let real = Tensor::from_slice(&[1f32, 0., 0., 1.]).view([1, 2, 1, 2]);
        let synthetic = Tensor::from_slice(&[2f32, 0., 0., -1.]).view([1, 2, 1, 2]);
        for certainty in [Certainty::Switch, Certainty::Entropy] {
            let score = score(config(certainty, 1), &real, &synthetic, 0.);
            assert_eq!(score.double_value(&[0, 0, 0, 0]), 0., "{certainty:?}");
            assert!((score.double_value(&[0, 0, 0, 1]) - 1.).abs() < 1e-6, "{certainty:?}");
        }
    }

    #[test]
    fn a_certain_segmenter_is_believed() {
        let real = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu));
        for (certainty, most) in [(Certainty::Switch, 1e-3), (Certainty::Entropy, 0.05)] {
            let score = score(config(certainty, 1), &real, &(-&real), 9.);
            assert!(score.double_value(&[0, 0, 0, 0]) < most, "{certainty:?}");
        }
    }

    #[test]
    fn smoothing_lowers_what_is_thin_and_keeps_what_is_wide() {
        let real = Tensor::ones([1, 1, 9, 9], (Kind::Float, Device::Cpu));
        let (thin, wide) = (real.copy(), real.copy());
        let _ = thin.narrow(3, 4, 1).fill_(-1.);
        let _ = wide.narrow(3, 2, 5).fill_(-1.);
        let at = |synthetic: &Tensor| {
            score(config(Certainty::Entropy, 3), &real, synthetic, 0.).double_value(&[0, 0, 4, 4])
        };
        assert!((at(&thin) - 1. / 3.).abs() < 1e-6);
        assert!((at(&wide) - 1.).abs() < 1e-6);
    }

    #[test]
    fn either_evidence_is_enough_where_both_are_joined() {
        let map = |value: f32| Tensor::from(value).view([1, 1, 1, 1]);
        let score = |form: Unknown, unknown: f32, synthesis: f32| {
            form.score(Some(map(unknown)), || map(synthesis)).double_value(&[0, 0, 0, 0])
        };
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        near(score(Unknown::Ignored, 0.9, 0.2), 0.2);
        near(score(Unknown::Alone, 0.9, 0.2), 0.9);
        near(score(Unknown::Joined(0.5), 0.9, 0.2), 1. - 0.1 * 0.9);
        near(score(Unknown::Joined(0.5), 0., 0.8), 0.4);
        near(Unknown::Alone.score(None, || map(0.3)).double_value(&[0, 0, 0, 0]), 0.3);
    }

    #[test]
    fn a_form_that_f_cannot_serve_is_refused_and_said() {
        assert!(Unknown::Ignored.check(false).is_ok() && Unknown::Joined(0.5).check(true).is_ok());
        assert!(Unknown::Alone.check(false).unwrap_err().contains("has not learned"));
        for weight in [-0.1, 1.5, f32::NAN] {
            let message = Unknown::Joined(weight).check(true).unwrap_err();
            assert!(message.contains(&format!("is {weight}; expected a weight from 0 to 1")), "{message}");
        }
        let parse = |text: &str| serde_norway::from_str::<Config>(text).unwrap().unknown;
        assert_eq!(parse("unknown: alone"), Unknown::Alone);
        assert_eq!(parse("unknown: !joined 0.5"), Unknown::Joined(0.5));
    }

    #[test]
    fn an_even_side_is_refused_and_said() {
        let parse = |side: u8| serde_norway::from_str::<Config>(&format!("smoothing: {side}"));
        assert_eq!(parse(5).unwrap().smoothing, Smoothing(5));
        assert_eq!(parse(1).unwrap(), Config::default());
        for side in [0, 4, 33] {
            let error = parse(side).unwrap_err().to_string();
            assert!(error.contains(&format!("smoothing: {side}; expected an odd number")), "{error}");
        }
    }
}
