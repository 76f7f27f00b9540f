//! The SPADE generator (Park et al., "Semantic Image Synthesis with Spatially-Adaptive
//! Normalization", CVPR 2019), from the label map alone or from a style as well, at any width.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Generator, Synthesized, style_encoder};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, Linear, SpectralConv2d, channels_last, leaky_relu, one_hot, spatial,
};
use crate::network::range::{OutOfRange, within};

/// How many times the start grid is doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Five times.
    Normal,
    /// Six times.
    More,
    /// Seven times, with one more block.
    Most,
}

/// Sizes; the defaults are the reference network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the last block; the first has sixteen times as many.
    pub ngf: i64,
    /// Channels between the label map and its gamma and beta.
    pub hidden: i64,
    /// Doublings of the start grid.
    pub upsampling: Upsampling,
    /// The style that the generator starts from; without it, from the label map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<style_encoder::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self { ngf: 64, hidden: 128, upsampling: Upsampling::More, style: None }
    }
}

impl Config {
    /// Says which number is beyond its range.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        within("ngf", self.ngf, 1..=128)?;
        within("hidden", self.hidden, 1..=512)?;
        self.style.as_ref().map_or(Ok(()), |style| style.check()).map_err(|e| e.under("style"))
    }

    /// log2 of the image size over the start grid's.
    pub fn doublings(&self) -> u32 {
        match self.upsampling {
            Upsampling::Normal => 5,
            Upsampling::More => 6,
            Upsampling::Most => 7,
        }
    }
}

/// One-hot label maps at every scale that a forward pass asks for, each made once. A pixel without
/// label (255) is all zeros.
pub struct LabelPyramid<'a> {
    labels: &'a Tensor,
    classes: i64,
    kind: Kind,
    scales: BTreeMap<(i64, i64), Tensor>,
}

impl<'a> LabelPyramid<'a> {
    /// Of `N x H x W` ids, to be read in `kind`.
    pub fn new(labels: &'a Tensor, classes: i64, kind: Kind) -> Self {
        Self { labels, classes, kind, scales: BTreeMap::new() }
    }

    /// The map at a height and width, `N x classes x h x w`, channels last.
    pub fn at(&mut self, size: (i64, i64)) -> &Tensor {
        let (labels, classes, kind) = (self.labels, self.classes, self.kind);
        self.scales.entry(size).or_insert_with(|| one_hot(&resized(labels, size), classes, kind))
    }

    /// The ids at a height and width, `N x h x w`.
    pub(super) fn labels_at(&self, size: (i64, i64)) -> Tensor {
        resized(self.labels, size)
    }
}

/// Ids at another height and width, nearest as PyTorch defines it: source = floor(target * scale).
fn resized(labels: &Tensor, size: (i64, i64)) -> Tensor {
    let (h, w) = spatial(labels);
    let index = |full: i64, part: i64| {
        (Tensor::arange(part, (Kind::Int64, labels.device())) * full).floor_divide_scalar(part)
    };
    labels.index_select(1, &index(h, size.0)).index_select(2, &index(w, size.1))
}

/// Spatially-adaptive normalization: batch norm whose scale and shift come from the label map.
#[derive(Debug)]
pub struct SpadeNorm {
    pub(super) norm: BatchNorm2d,
    pub(super) shared: Conv2d,
    pub(super) gamma: Conv2d,
    pub(super) beta: Conv2d,
}

impl SpadeNorm {
    /// For features of `channels` channels.
    pub fn new(p: &Path, channels: i64, classes: i64, hidden: i64) -> Self {
        let three = ConvOptions::same(3);
        Self {
            norm: BatchNorm2d::with(p / "param_free_norm", channels, false, 1e-5, 0.1),
            shared: Conv2d::new(p / "mlp_shared" / 0, classes, hidden, three),
            gamma: Conv2d::new(p / "mlp_gamma", hidden, channels, three),
            beta: Conv2d::new(p / "mlp_beta", hidden, channels, three),
        }
    }

    fn forward(&self, x: &Tensor, labels: &mut LabelPyramid, train: bool) -> Tensor {
        let hidden = self.shared.forward(labels.at(spatial(x))).relu();
        let normalized = self.norm.forward(x, train);
        &normalized * (self.gamma.forward(&hidden) + 1.) + self.beta.forward(&hidden)
    }
}

/// A residual block with SPADE before each convolution.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) norms: [SpadeNorm; 2],
    pub(super) convs: [SpectralConv2d; 2],
    pub(super) shortcut: Option<(SpadeNorm, SpectralConv2d)>,
}

impl Block {
    fn new(p: &Path, inputs: i64, outputs: i64, classes: i64, hidden: i64) -> Self {
        let middle = inputs.min(outputs);
        let norm = |name: &str, channels| SpadeNorm::new(&(p / name), channels, classes, hidden);
        let three = ConvOptions::same(3);
        Self {
            norms: [norm("norm_0", inputs), norm("norm_1", middle)],
            convs: [
                SpectralConv2d::new(p / "conv_0", inputs, middle, three),
                SpectralConv2d::new(p / "conv_1", middle, outputs, three),
            ],
            shortcut: (inputs != outputs).then(|| {
                let one = ConvOptions::same(1).no_bias();
                (norm("norm_s", inputs), SpectralConv2d::new(p / "conv_s", inputs, outputs, one))
            }),
        }
    }

    fn forward(&self, input: &Tensor, labels: &mut LabelPyramid, train: bool) -> Tensor {
        let mut x = input.shallow_clone();
        for (norm, conv) in self.norms.iter().zip(&self.convs) {
            x = conv.forward(&leaky_relu(&norm.forward(&x, labels, train)), train);
        }
        match &self.shortcut {
            Some((norm, conv)) => x + conv.forward(&norm.forward(input, labels, train), train),
            None => x + input,
        }
    }
}

/// What makes the first features.
#[derive(Debug)]
pub(super) enum Start {
    /// The label map, on the start grid.
    Labels(Conv2d),
    /// A style, for a start grid of this height and width.
    Style(Linear, [i64; 2]),
}

impl Start {
    /// The features on the start grid of height and width `size`, channels last; without `style`, of the
    /// mean one.
    pub(super) fn forward(
        &self,
        labels: &mut LabelPyramid,
        size: (i64, i64),
        style: Option<&Tensor>,
    ) -> Tensor {
        match self {
            Self::Labels(fc) => fc.forward(labels.at(size)),
            Self::Style(fc, [h, w]) => {
                let batch = labels.labels.size()[0];
                let mean = || Tensor::zeros([batch, fc.inputs()], (Kind::Float, labels.labels.device()));
                let features = fc.forward(&style.map_or_else(mean, Tensor::shallow_clone));
                channels_last(&features.to_kind(labels.kind).view([batch, -1, *h, *w]))
            }
        }
    }

    /// The same layer apart from any training, to compute in `kind`.
    pub(super) fn fold(&self, kind: Kind) -> Self {
        match self {
            Self::Labels(fc) => Self::Labels(fc.fold(kind)),
            Self::Style(fc, grid) => Self::Style(fc.fold(), *grid),
        }
    }
}

/// The generator.
#[derive(Debug)]
pub struct Spade {
    pub(super) start: Start,
    /// Blocks, and whether the grid is doubled before each.
    pub(super) blocks: Vec<(bool, Block)>,
    pub(super) conv_img: Conv2d,
    pub(super) classes: i64,
    doublings: u32,
}

impl Spade {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        use Upsampling::{More, Most, Normal};
        let n = config.ngf;
        let mut plan = vec![
            ("head_0", false, 16, 16),
            ("G_middle_0", true, 16, 16),
            ("G_middle_1", matches!(config.upsampling, More | Most), 16, 16),
            ("up_0", true, 16, 8),
            ("up_1", true, 8, 4),
            ("up_2", true, 4, 2),
            ("up_3", true, 2, 1),
        ];
        // "Most" ends at half of ngf.
        let last = if config.upsampling == Most { n / 2 } else { n };
        if config.upsampling == Most {
            plan.push(("up_4", true, 1, 0));
        }
        debug_assert!(config.upsampling != Normal || plan.iter().filter(|b| b.1).count() == 5);
        let width = |factor: i64| if factor == 0 { n / 2 } else { factor * n };
        let blocks = plan
            .iter()
            .map(|&(name, double, inputs, outputs)| {
                (double, Block::new(&(p / name), width(inputs), width(outputs), classes, config.hidden))
            })
            .collect();
        let start = match &config.style {
            None => Start::Labels(Conv2d::new(p / "fc", classes, 16 * n, ConvOptions::same(3))),
            Some(s) => Start::Style(Linear::new(p / "fc", s.latent, 16 * n * s.grid[0] * s.grid[1]), s.grid),
        };
        Self {
            start,
            blocks,
            conv_img: Conv2d::new(p / "conv_img", last, 3, ConvOptions::same(3)),
            classes,
            doublings: config.doublings(),
        }
    }

    /// Synthesizes an image from `N x H x W` labels (ids; 255 = none) as `N x 3 x H x W` RGB in \[0, 1\], computing in
    /// `kind`. H and W must be multiples of the number of doublings' power of two. A generator with a
    /// style takes the mean one.
    pub fn forward(&self, labels: &Tensor, kind: Kind, train: bool) -> Tensor {
        self.run(labels, None, kind, train)
    }

    /// The same from `style`, `N x latent`; a generator without style does not see it.
    pub(crate) fn with_style(&self, labels: &Tensor, style: &Tensor, kind: Kind, train: bool) -> Tensor {
        self.run(labels, Some(style), kind, train)
    }

    fn run(&self, labels: &Tensor, style: Option<&Tensor>, kind: Kind, train: bool) -> Tensor {
        let (h, w) = spatial(labels);
        let mut pyramid = LabelPyramid::new(labels, self.classes, kind);
        let size = (h >> self.doublings, w >> self.doublings);
        let mut x = self.start.forward(&mut pyramid, size, style);
        for (double, block) in &self.blocks {
            if *double {
                let (h, w) = spatial(&x);
                x = x.upsample_nearest2d([2 * h, 2 * w], None, None);
            }
            x = block.forward(&x, &mut pyramid, train);
        }
        to_rgb(&self.conv_img.forward(&leaky_relu(&x)))
    }
}

/// What the last layer gives as RGB in \[0, 1\], fp32.
pub(super) fn to_rgb(x: &Tensor) -> Tensor {
    (x.to_kind(Kind::Float).tanh() + 1.) * 0.5
}

impl Generator for Spade {
    fn synthesize(&self, labels: &Tensor, _style: &Tensor, kind: Kind, train: bool) -> Synthesized {
        Synthesized { image: self.forward(labels, kind, train), divergence: None }
    }

    fn as_spade(&self) -> Option<&Spade> {
        Some(self)
    }
}
