//! G: generators, networks that synthesize an image from a label map.

mod distinct;
pub mod folded;
pub mod fused;
pub mod modulation;
pub mod patches;
pub mod pix2pixhd;
pub mod spade;
pub mod style_encoder;
pub(crate) mod styled_spade;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::range::OutOfRange;
use folded::FoldedSpade;
use spade::Spade;
use style_encoder::StyleEncoder;

/// What G synthesized.
#[derive(Debug)]
pub struct Synthesized {
    /// `N x 3 x H x W`, RGB in \[0, 1\], fp32.
    pub image: Tensor,
    /// How far the styles seen are from a normal distribution (Kullback-Leibler, mean over the batch):
    /// a loss of a G with style encoder, when it trains.
    pub divergence: Option<Tensor>,
}

/// A network that synthesizes images from label maps.
pub trait Generator: Send {
    /// Synthesizes an image from `N x H x W` labels (ids; 255 = none), computing in `kind`. A G with style encoder takes
    /// light and weather from `style`, `N x 3 x h x w` RGB in \[0, 1\]; any other does not see it.
    fn synthesize(&self, labels: &Tensor, style: &Tensor, kind: Kind, train: bool) -> Synthesized;

    /// The SPADE inside, each of whose pixels follows from the labels around it alone, so that it can be
    /// memoised. `None` of a network whose norms see the whole image.
    fn as_spade(&self) -> Option<&Spade> {
        None
    }

    /// What sees the style, of a network that has one.
    fn into_style_encoder(self: Box<Self>) -> Option<StyleEncoder> {
        None
    }
}

/// Which network G is, and its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
pub enum GeneratorConfig {
    /// SPADE (Park et al., 2019), with or without style encoder.
    Spade(spade::Config),
    /// The global generator of pix2pixHD (Wang et al., 2018).
    Pix2pixhd(pix2pixhd::Config),
}

impl GeneratorConfig {
    /// Builds the network for `classes` classes, its parameters under `p`.
    pub fn build(&self, p: &Path, classes: i64) -> Box<dyn Generator> {
        match self {
            Self::Spade(config) => match &config.style {
                None => Box::new(spade::Spade::new(p, config, classes)),
                Some(style) => Box::new(styled_spade::StyledSpade::new(p, config, style, classes)),
            },
            Self::Pix2pixhd(config) => Box::new(pix2pixhd::GlobalGenerator::new(p, config, classes)),
        }
    }

    /// Says which number is beyond its range; only what is within is built.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::Spade(config) => config.check(),
            Self::Pix2pixhd(config) => config.check(),
        }
    }

    /// The architecture's name, as in bundle.yaml, and what else tells it apart.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Spade(spade::Config { style: Some(_), .. }) => "spade with style encoder",
            _ => self.into(),
        }
    }

    /// Sides of an image must be multiples of this.
    pub fn granularity(&self) -> i64 {
        match self {
            Self::Spade(config) => 1 << config.doublings(),
            Self::Pix2pixhd(config) => 1 << config.downsamplings,
        }
    }

    /// The only size (height, width) that the network synthesizes, if there is but one.
    pub fn fixed_size(&self) -> Option<[i64; 2]> {
        match self {
            Self::Spade(config) => {
                config.style.as_ref().map(|style| style.grid.map(|side| side << config.doublings()))
            }
            Self::Pix2pixhd(_) => None,
        }
    }

    /// Says what is wrong with an image size (height, width), if G cannot synthesize it.
    pub fn check_size(&self, size: [u32; 2]) -> Result<(), String> {
        let (size, granularity) = (size.map(i64::from), self.granularity());
        if let Some(side) = size.iter().find(|&&side| side == 0 || side % granularity != 0) {
            return Err(format!("has {side}, a positive multiple of {granularity} is needed"));
        }
        match self.fixed_size() {
            Some(fixed) if fixed != size => {
                Err(format!("is {size:?}, the grid of synthesis.network.style makes it {fixed:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// G as the monitor runs it, for inference alone.
pub enum ReadyGenerator {
    /// Layer by layer, as it was trained.
    AsTrained(Box<dyn Generator>, Kind),
    /// SPADE with its norms folded; the same picture.
    Folded(Box<FoldedSpade>),
}

/// G as an inference asks it.
pub trait Synthesize {
    /// Synthesizes `N x H x W` labels (ids; 255 = none) as `N x 3 x H x W` RGB in \[0, 1\], fp32. A G
    /// with style encoder takes light and weather from `style`, `N x 3 x h x w` RGB in \[0, 1\].
    fn synthesize(&self, labels: &Tensor, style: &Tensor) -> Tensor;
}

impl ReadyGenerator {
    /// Makes a loaded generator ready to compute in `kind`, each distinct label patch once if it is to `memoise`.
    /// Nothing of a SPADE is kept.
    pub fn new(network: Box<dyn Generator>, kind: Kind, memoise: bool) -> Self {
        let limit = if memoise { folded::CACHE } else { 0 };
        match network.as_spade().and_then(|spade| FoldedSpade::fold(spade, kind, limit)) {
            Some(folded) => Self::Folded(Box::new(folded.styled(network.into_style_encoder()))),
            None => Self::AsTrained(network, kind),
        }
    }

    /// Does `work` in a memory of its own: what is remembered of label patches is afterwards as it was.
    pub(crate) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        let Self::Folded(folded) = self else { return work() };
        let kept = folded.exchange(None);
        let done = work();
        folded.exchange(kept);
        done
    }
}

impl Synthesize for ReadyGenerator {
    fn synthesize(&self, labels: &Tensor, style: &Tensor) -> Tensor {
        match self {
            Self::AsTrained(network, kind) => network.synthesize(labels, style, *kind, false).image,
            Self::Folded(folded) => folded.synthesize(labels, style),
        }
    }
}
