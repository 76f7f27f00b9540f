//! F: networks that compare x with x' and say where, and how much, the labels are wrong.

pub mod confidence;
mod correction;
pub mod direct;
pub mod disagreement;
pub(crate) mod evidence;
pub mod fused;
pub mod iou;
pub mod joint;
pub mod prior;
pub(crate) mod resnet18;
pub(crate) mod trunk;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use tch::nn::Path;
use tch::{TchError, Tensor};

use super::range::{OutOfRange, within};
use super::softmax::Softmax;

/// What F says of a batch.
#[derive(Debug, Default)]
pub struct Compared {
    /// `N x 1 x H x W`: logit of "this pixel's label is right"; of a network that scores pixels.
    pub confidence: Option<Tensor>,
    /// `N x classes`: estimate of each class's IoU, not clamped; of a network that scores the image.
    pub iou: Option<Tensor>,
    /// `N x classes`: logit of "this class is in view", segmented or not; of a network with
    /// `prior::Prior`.
    pub presence: Option<Tensor>,
    /// `N x classes x H x W`: what the network believes instead of M's softmax; of one that
    /// corrects it, when it trains.
    pub posterior: Option<Tensor>,
    /// `N x 1 x H x W`: logit of "this pixel belongs to nothing that the label set knows"; of a network that has
    /// learned the unknown.
    pub unknown: Option<Tensor>,
}

impl Compared {
    /// Probability that a pixel's label is wrong, `N x 1 x H x W`. A network that does not score
    /// pixels leaves it to `msp`, M's largest softmax.
    pub fn error(&self, msp: &Tensor) -> Result<Tensor, TchError> {
        match &self.confidence {
            Some(logit) => logit.f_neg()?.f_sigmoid(),
            None => msp.f_neg()?.f_add_scalar(1.),
        }
    }
}

/// A network that compares.
pub trait Comparator: Send {
    /// Compares a batch.
    fn forward(&self, input: &ComparatorInput, train: bool) -> Compared;

    /// Folds norms into the convolutions before them, once the weights are final.
    fn fold(&mut self) {}
}

/// Which network F is, and its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
pub enum ComparatorConfig {
    /// Both tasks in one network: the paper's SynthCP-joint.
    Joint(joint::Config),
    /// Both tasks from x alone: the baseline Direct Prediction.
    Direct(joint::Config),
    /// The IoU of each class alone: the paper's SynthCP-separate, image level.
    IouOnly(iou::Config),
    /// The confidence of each pixel alone: the paper's SynthCP-separate, pixel level.
    ConfidenceOnly(joint::Config),
    /// Both tasks by a correction of M's softmax: SynthCP-fused.
    Fused(fused::Config),
}

impl ComparatorConfig {
    /// Builds the network for `classes` classes, its parameters under `p`.
    pub fn build(&self, p: &Path, classes: i64) -> Box<dyn Comparator> {
        match self {
            Self::Joint(config) => Box::new(joint::Joint::new(p, config, classes)),
            Self::Direct(config) => Box::new(direct::new(p, config, classes)),
            Self::IouOnly(config) => Box::new(iou::IouOnly::new(p, config, classes)),
            Self::ConfidenceOnly(config) => Box::new(confidence::new(p, config, classes)),
            Self::Fused(config) => Box::new(fused::Fused::new(p, config, classes)),
        }
    }

    /// Says which number is beyond its range; only what is within is built.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::Joint(config) | Self::Direct(config) | Self::ConfidenceOnly(config) => {
                within("width", config.width, 1..=256)?;
                within("squeeze", config.squeeze, 1..=512)
            }
            Self::IouOnly(config) => within("width", config.width, 1..=256),
            Self::Fused(config) => {
                within("width", config.width, 1..=1024)?;
                within("shrink", config.shrink.get(), 1..=16)
            }
        }
    }

    /// The architecture's name, as in bundle.yaml.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Its name for people.
    pub fn title(&self) -> String {
        let name = match self {
            Self::Joint(_) => "SynthCP joint",
            Self::Direct(_) => "Direct Prediction",
            Self::IouOnly(_) => "SynthCP separate, IoU",
            Self::ConfidenceOnly(_) => "SynthCP separate, pixels",
            Self::Fused(config) => match config.of_synth {
                fused::OfSynth::Everything => "SynthCP fused, seeing x'",
                fused::OfSynth::Disagreement => "SynthCP fused",
                fused::OfSynth::Nothing => "corrected softmax, without x'",
            },
        };
        let of_paper = !matches!(self, Self::Fused(_));
        let is_small = matches!(self, Self::Fused(config) if config.shrink.get() > 1);
        let remarks = [
            (of_paper && self.takes_pretrained(), " from ImageNet"),
            (of_paper && self.has_prior(), ", M's softmax as prior"),
            (is_small, ", smaller"),
        ];
        remarks.iter().filter(|(holds, _)| *holds).fold(name.to_owned(), |name, (_, remark)| name + remark)
    }

    /// Whether its confidence is also scored together with M's largest softmax, as the released code has it:
    /// of a network that scores pixels and does not start from that softmax.
    pub(crate) fn is_scored_with_msp(&self) -> bool {
        !self.has_prior() && !matches!(self, Self::IouOnly(_))
    }

    /// Whether the network starts from what M's softmax says ([`prior::Prior`]).
    pub(crate) fn has_prior(&self) -> bool {
        match self {
            Self::Joint(config) | Self::Direct(config) | Self::ConfidenceOnly(config) => config.prior,
            Self::IouOnly(_) => false,
            Self::Fused(_) => true,
        }
    }

    /// Whether it has an output for what no class knows.
    pub fn sees_unknown(&self) -> bool {
        matches!(self, Self::Fused(config) if config.unknown)
    }

    /// Whether it asks what M makes of x'.
    pub(crate) fn segments_again(&self) -> bool {
        matches!(self, Self::Fused(config) if config.of_synth != fused::OfSynth::Nothing)
    }

    /// Whether its encoders may begin from EfficientNet-lite0's ImageNet weights.
    pub fn takes_pretrained(&self) -> bool {
        !self.pretrained_encoders().is_empty()
    }

    /// How the names of the parameters begin of each encoder that may.
    pub fn pretrained_encoders(&self) -> &'static [&'static str] {
        let lite0 = trunk::Encoder::EfficientnetLite0;
        match self {
            Self::Joint(config) | Self::ConfidenceOnly(config) if config.encoder == lite0 => {
                &["encoder.siamese1.", "encoder.siamese2."]
            }
            Self::Direct(config) if config.encoder == lite0 => &["encoder.siamese."],
            Self::Fused(_) => &["encoder."],
            _ => &[],
        }
    }
}

/// What F sees; every tensor has the same N, H, W.
pub struct ComparatorInput<'a> {
    /// x: `N x 3 x H x W`, RGB in \[0, 1\].
    pub image: &'a Tensor,
    /// x': the same, synthesized, asked for by a network that sees it.
    pub synthesized: &'a dyn Fn() -> Tensor,
    /// M's.
    pub softmax: &'a Softmax,
    /// How M disagrees with itself about x' ([`disagreement::disagreement`]), asked for by a network that
    /// sees it: it takes another pass of M.
    pub disagreement: &'a dyn Fn() -> Tensor,
}
