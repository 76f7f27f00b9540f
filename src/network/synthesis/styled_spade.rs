//! SPADE with style encoder: the layout from the labels, light and weather from an image (Park et al., 2019).

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::spade::{self, Spade};
use super::style_encoder::{self, StyleEncoder};
use super::{Generator, Synthesized};

/// SPADE that starts from the style of a picture.
#[derive(Debug)]
pub(crate) struct StyledSpade {
    encoder: StyleEncoder,
    generator: Spade,
}

impl StyledSpade {
    /// Builds both networks for `classes` classes: the generator's parameters as published, the
    /// encoder's under `style`.
    pub fn new(p: &Path, config: &spade::Config, style: &style_encoder::Config, classes: i64) -> Self {
        Self { encoder: StyleEncoder::new(&(p / "style"), style), generator: Spade::new(p, config, classes) }
    }
}

/// Distance of the normal distributions of `mean` and `log_variance` from the standard one, mean over
/// the batch (Kingma, Welling, 2014, appendix B).
fn divergence(mean: &Tensor, log_variance: &Tensor) -> Tensor {
    let each = (log_variance.exp() + mean.square() - log_variance - 1.) * 0.5;
    each.sum_dim_intlist([1i64].as_slice(), false, Kind::Float).mean(Kind::Float)
}

impl Generator for StyledSpade {
    fn synthesize(&self, labels: &Tensor, style: &Tensor, kind: Kind, train: bool) -> Synthesized {
        let style = style.to_kind(kind);
        if !train {
            let style = self.encoder.style(&style);
            let image = self.generator.with_style(labels, &style, kind, false);
            return Synthesized { image, divergence: None };
        }
        let [mean, log_variance] = self.encoder.forward(&style, true);
        let drawn = &mean + mean.randn_like() * (&log_variance * 0.5).exp();
        Synthesized {
            image: self.generator.with_style(labels, &drawn, kind, true),
            divergence: Some(divergence(&mean, &log_variance)),
        }
    }

    fn as_spade(&self) -> Option<&Spade> {
        Some(&self.generator)
    }

    fn into_style_encoder(self: Box<Self>) -> Option<StyleEncoder> {
        Some(self.encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_is_that_of_the_formula() {
        let mean = Tensor::from_slice(&[0f32, 2., 0., 0.]).view([2, 2]);
        let log_variance = Tensor::from_slice(&[0f32, 0., 0., 4f32.ln()]).view([2, 2]);
        // 0 + 2 in the first, 0 + (4 - ln 4 - 1) / 2 in the second.
        let expected = (2. + (3. - 4f64.ln()) / 2.) / 2.;
        assert!((divergence(&mean, &log_variance).double_value(&[]) - expected).abs() < 1e-6);
    }
}
