//! The shape model of Liu et al. ("An Alarm System for Segmentation Algorithm Based on Shape Model", ICCV
//! 2019): a variational auto-encoder that knows the label maps of the ground truth. A label map that it
//! cannot repeat is not one of theirs; how badly it repeats each class tells the IoU of each class.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::Baseline;
use super::regressor::Regressor;
use crate::network::layers::{BatchNorm2d, Conv2d, ConvOptions, Linear, channels_last, one_hot};
use crate::network::range::{OutOfRange, within};

/// Sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Height and width at which label maps are looked at; multiples of 16.
    pub grid: [i64; 2],
    /// Channels after the first convolution, doubled at each next one.
    pub width: i64,
    /// Numbers that a label map is told in.
    pub latent: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { grid: [64, 128], width: 32, latent: 128 }
    }
}

impl Baseline for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        match self.grid.iter().find(|&&side| !(16..=1024).contains(&side) || side % 16 != 0) {
            Some(side) => return Err(OutOfRange::new("grid", side, "a multiple of 16 in [16, 1024]")),
            None => within("width", self.width, 1..=256)?,
        }
        within("latent", self.latent, 1..=4096)
    }

    fn title(&self) -> String {
        "VAE alarm".into()
    }
}

/// Convolutions that halve, and those that double again.
const SCALES: i64 = 4;

/// A label map told again.
#[derive(Debug)]
pub(crate) struct Told {
    /// `N x classes x h x w`: softmax over the classes.
    pub map: Tensor,
    /// Kullback-Leibler divergence of each code from the normal distribution, a number a dimension of the
    /// code, `N`.
    pub divergence: Tensor,
}

/// The shape model, and the layer that reads IoUs from its loss.
#[derive(Debug)]
pub(crate) struct VaeAlarm {
    config: Config,
    classes: i64,
    encoder: Vec<(Conv2d, BatchNorm2d)>,
    code: Linear,
    spread: Linear,
    decoder: Vec<(Conv2d, BatchNorm2d)>,
    map: Conv2d,
    regressor: Regressor,
}

impl VaeAlarm {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let three = ConvOptions::same(3).no_bias();
        let width = |scale: i64| config.width << scale;
        let layer = |q: Path, inputs, outputs, options| {
            (Conv2d::new(&q / 0, inputs, outputs, options), BatchNorm2d::new(&q / 1, outputs))
        };
        let encoder = |i: i64| {
            let inputs = if i == 0 { classes } else { width(i - 1) };
            layer(p / "encoder" / i, inputs, width(i), three.stride(2))
        };
        let decoder = |i: i64| {
            let outputs = width((SCALES - 2 - i).max(0));
            layer(p / "decoder" / i, width(SCALES - 1 - i), outputs, three)
        };
        let [h, w] = config.grid.map(|side| side >> SCALES);
        let flat = width(SCALES - 1) * h * w;
        Self {
            config: config.clone(),
            classes,
            encoder: (0..SCALES).map(encoder).collect(),
            code: Linear::new(p / "code", flat, 2 * config.latent),
            spread: Linear::new(p / "spread", config.latent, flat),
            decoder: (0..SCALES).map(decoder).collect(),
            map: Conv2d::new(p / "map", width(0), classes, ConvOptions::same(3)),
            regressor: Regressor::new(&(p / "regressor"), classes + 1, classes),
        }
    }

    /// Labels `N x H x W` (ids; 255 = none) as the share that each class has of each cell of the grid,
    /// `N x classes x h x w`, fp32.
    pub fn shapes(&self, labels: &Tensor) -> Tensor {
        one_hot(labels, self.classes, Kind::Float).adaptive_avg_pool2d(self.config.grid)
    }

    /// Tells `N x classes x h x w` shapes again. When it trains, the code is drawn; else it is the mean.
    pub fn tell(&self, shapes: &Tensor, train: bool) -> Told {
        let through =
            |x: Tensor, (conv, norm): &(Conv2d, BatchNorm2d)| norm.forward(&conv.forward(&x), train).relu();
        let x = self.encoder.iter().fold(channels_last(shapes), through);
        let code = self.code.forward(&x.contiguous().flatten(1, -1));
        let (mean, log_variance) =
            (code.narrow(1, 0, self.config.latent), code.narrow(1, self.config.latent, self.config.latent));
        let log_variance = log_variance.clamp(-10., 10.);
        let divergence: Tensor = (mean.square() + log_variance.exp() - 1. - &log_variance) * 0.5;
        let code = match train {
            true => &mean + (log_variance * 0.5).exp() * mean.randn_like(),
            false => mean,
        };
        let [h, w] = self.config.grid.map(|side| side >> SCALES);
        let x = self.spread.forward(&code).relu().view([-1, self.config.width << (SCALES - 1), h, w]);
        let twice = |x: Tensor, layer: &(Conv2d, BatchNorm2d)| {
            let size = x.size();
            through(x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None), layer)
        };
        let x = self.decoder.iter().fold(channels_last(&x), twice);
        let map = self.map.forward(&x).softmax(1, Kind::Float);
        Told { map, divergence: divergence.mean_dim([1i64].as_slice(), false, Kind::Float) }
    }

    /// The shape model's loss of each label map in its parts: one number for each class and, last, the
    /// divergence of the code. `N x (classes + 1)`.
    pub fn features(&self, labels: &Tensor) -> Tensor {
        let shapes = self.shapes(labels);
        let told = self.tell(&shapes, false);
        Tensor::cat(&[dice_loss(&told.map, &shapes), told.divergence.unsqueeze(1)], 1)
    }

    /// The layer from [`VaeAlarm::features`] to the IoU of each class.
    pub(crate) fn regressor(&self) -> &Regressor {
        &self.regressor
    }
}

/// One less the Dice coefficient of each class, `N x classes` in \[0, 1\]; 0 of a class in neither map.
pub(crate) fn dice_loss(map: &Tensor, shapes: &Tensor) -> Tensor {
    /// A hundredth of a cell.
    const LEAST: f64 = 0.01;
    let sum = |t: Tensor| t.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Float);
    let both = sum(map * shapes) * 2. + LEAST;
    1. - both / (sum(map.square()) + sum(shapes.square()) + LEAST)
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn a_label_map_is_told_again_on_the_grid() {
        let vs = VarStore::new(Device::Cpu);
        let config = Config { grid: [16, 32], width: 2, latent: 4 };
        let vae = VaeAlarm::new(&vs.root(), &config, 3);
        let labels = Tensor::zeros([2, 32, 64], (Kind::Int64, Device::Cpu));
        let told = vae.tell(&vae.shapes(&labels), false);
        assert_eq!((told.map.size(), told.divergence.size()), (vec![2, 3, 16, 32], vec![2]));
        let features = vae.features(&labels);
        assert_eq!(features.size(), [2, 4]);
        assert_eq!(features, vae.features(&labels));
        assert_eq!(vae.regressor().forward(&features).size(), [2, 3]);
    }

    #[test]
    fn the_loss_is_none_of_a_map_that_is_repeated_and_all_of_one_that_is_not() {
        let shapes = one_hot(&Tensor::zeros([1, 4, 4], (Kind::Int64, Device::Cpu)), 3, Kind::Float);
        let loss = |map: &Tensor| Vec::<f32>::try_from(dice_loss(map, &shapes).flatten(0, -1)).unwrap();
        assert!(loss(&shapes).iter().all(|&l| l.abs() < 1e-6));
        let swapped = loss(&shapes.flip([1]));
        assert!(swapped[0] > 0.99 && swapped[1].abs() < 1e-6 && swapped[2] > 0.99, "{swapped:?}");
    }
}
