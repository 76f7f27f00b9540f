//! The discriminator of G's images during training: a PatchGAN at two scales (pix2pixHD, Wang et al., 2018)
//! with spectral and instance normalization, as SPADE trains against.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::network::layers::{Conv2d, ConvOptions, SpectralConv2d, instance_norm, leaky_relu};

/// Feature maps of one scale, the last being the patch scores.
pub(crate) type Response = Vec<Tensor>;

#[derive(Debug)]
struct Patch {
    first: Conv2d,
    middle: Vec<SpectralConv2d>,
    last: Conv2d,
}

impl Patch {
    fn new(p: &Path, inputs: i64, width: i64) -> Self {
        let down = ConvOptions { kernel: 4, padding: 1, ..ConvOptions::same(4) }.stride(2);
        Self {
            first: Conv2d::new(p / 0, inputs, width, down),
            middle: vec![
                SpectralConv2d::new(p / 1, width, 2 * width, down.no_bias()),
                SpectralConv2d::new(p / 2, 2 * width, 4 * width, down.no_bias()),
            ],
            last: Conv2d::new(p / 3, 4 * width, 1, ConvOptions::same(3)),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Response {
        let mut maps = vec![leaky_relu(&self.first.forward(x))];
        for conv in &self.middle {
            let y = conv.forward(&maps[maps.len() - 1], train);
            maps.push(leaky_relu(&instance_norm(&y)));
        }
        maps.push(self.last.forward(&maps[maps.len() - 1]));
        maps
    }
}

/// Both scales.
#[derive(Debug)]
pub(crate) struct Discriminator {
    scales: [Patch; 2],
}

impl Discriminator {
    /// For images of `classes` classes; `width` channels in the first layer.
    pub fn new(p: &Path, classes: i64, width: i64) -> Self {
        let patch = |i: i64| Patch::new(&(p / i), classes + 3, width);
        Self { scales: [patch(0), patch(1)] }
    }

    /// Responses to `images` (`N x 3 x H x W`) against one-hot `labels` (`N x classes x H x W`).
    pub fn forward(&self, images: &Tensor, labels: &Tensor, train: bool) -> Vec<Response> {
        let full = Tensor::cat(&[images, labels], 1);
        let half = full.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
        self.scales.iter().zip([full, half]).map(|(patch, x)| patch.forward(&x, train)).collect()
    }
}

/// Hinge loss of the discriminator: real above 1, synthesized below -1.
pub(crate) fn discriminator_loss(real: &[Response], synthesized: &[Response]) -> Tensor {
    let scale = |real: &Response, synthesized: &Response| {
        let scores = |j: &Response| j[j.len() - 1].to_kind(Kind::Float);
        (scores(real) - 1.).neg().relu().mean(Kind::Float)
            + (scores(synthesized) + 1.).relu().mean(Kind::Float)
    };
    average(real.iter().zip(synthesized).map(|(r, p)| scale(r, p)).collect())
}

/// What the generator wants: a high score.
pub(crate) fn generator_loss(synthesized: &[Response]) -> Tensor {
    average(synthesized.iter().map(|j| -j[j.len() - 1].mean(Kind::Float)).collect())
}

/// Distance between the discriminator's features of the real and of the synthesized image.
pub(crate) fn feature_loss(real: &[Response], synthesized: &[Response]) -> Tensor {
    let pairs =
        real.iter().flat_map(|j| &j[..j.len() - 1]).zip(synthesized.iter().flat_map(|j| &j[..j.len() - 1]));
    average(pairs.map(|(r, p)| (r.detach() - p).abs().mean(Kind::Float)).collect())
}

fn average(terms: Vec<Tensor>) -> Tensor {
    Tensor::stack(&terms, 0).mean(Kind::Float)
}
