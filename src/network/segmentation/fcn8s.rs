//! FCN-8s on VGG16 (Long, Shelhamer, Darrell: "Fully Convolutional Networks for Semantic
//! Segmentation", CVPR 2015), at any width.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::surround::{self, Surround};
use super::{Architecture, NotBuilt, Sampler, Segmented, Segmenter};
use crate::network::layers::{
    BatchNorm2d, Conv2d, ConvOptions, Enlargement, IMAGENET, Rectifier, normalize, spatial,
};
use crate::network::range::{OutOfRange, all_within, within};

/// Channel counts, VGG16's unless said otherwise, and form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the five VGG stages.
    pub widths: [i64; 5],
    /// Channels of the two fully convolutional layers on top.
    pub head: i64,
    /// What the layers stand on.
    pub form: Form,
}

/// What the layers stand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The public checkpoints': colours of 0 to 255 less Caffe's means, a border of 100 pixels so that the
    /// 7x7 head always fits, skips scaled down, no norms. It begins well from ImageNet's VGG16 alone.
    #[default]
    Published,
    /// Made to learn from nothing: colours normalized, batch norms (torchvision's VGG16-bn), paddings that
    /// keep the size, skips as they are.
    Fresh,
}

impl Default for Config {
    fn default() -> Self {
        Self { widths: [64, 128, 256, 512, 512], head: 4096, form: Form::Published }
    }
}

impl Architecture for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        all_within("widths", &self.widths, 1..=1024)?;
        within("head", self.head, 1..=4096)
    }

    fn build(&self, p: &Path, classes: i64) -> Result<Box<dyn Segmenter>, NotBuilt> {
        Ok(Box::new(Fcn8s::new(p, self, classes)))
    }
}

/// Convolutions a stage, and the indices that torchvision gives them in VGG16.
const STAGES: [&[i64]; 5] = [&[0, 2], &[5, 7], &[10, 12, 14], &[17, 19, 21], &[24, 26, 28]];
/// ImageNet means as the public code subtracts them, from values of 0 to 255.
const MEAN: [f64; 3] = [0.485 * 255., 0.458 * 255., 0.408 * 255.];
/// The public code scales the skip connections down, so that they start small.
const POOL4_SCALE: f64 = 0.01;
const POOL3_SCALE: f64 = 0.0001;
/// Padding of the first convolution, as published.
const BORDER: i64 = 99;
/// Where, under that border, the grids of the upsampled scores begin in those of the fourth and of the third
/// pool and of the image.
const OFFSETS: [i64; 3] = [5, 9, 31];

/// The network.
#[derive(Debug)]
pub struct Fcn8s {
    form: Form,
    stages: Vec<Vec<(Conv2d, Option<BatchNorm2d>)>>,
    head: [Conv2d; 3],
    score_pool4: Conv2d,
    score_pool3: Conv2d,
    upscore2: Enlargement,
    upscore_pool4: Enlargement,
    upscore8: Enlargement,
    /// What the border gives for images of the shape last seen, once [`Segmenter::memoise`] is called.
    surround: Option<RefCell<Option<Surround>>>,
}

/// The kernel of a transposed convolution that upsamples each class bilinearly by itself.
fn bilinear_kernel(classes: i64, kernel: i64) -> Tensor {
    let factor = ((kernel + 1) / 2) as f64;
    let center = if kernel % 2 == 1 { factor - 1. } else { factor - 0.5 };
    let ramp: Vec<f32> = (0..kernel).map(|i| (1. - (i as f64 - center).abs() / factor) as f32).collect();
    let ramp = Tensor::from_slice(&ramp);
    let plane = ramp.outer(&ramp);
    let eye = Tensor::eye(classes, (Kind::Float, tch::Device::Cpu));
    eye.unsqueeze(-1).unsqueeze(-1) * plane
}

impl Fcn8s {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let fresh = config.form == Form::Fresh;
        let mut inputs = 3;
        let stages = STAGES
            .iter()
            .zip(config.widths)
            .map(|(indices, width)| {
                indices
                    .iter()
                    .map(|&i| {
                        let padding = if i == 0 && !fresh { BORDER } else { 1 };
                        let options = ConvOptions::same(3).padding(padding);
                        let conv = Conv2d::new(p / "vgg" / i, inputs, width, options);
                        inputs = width;
                        (conv, fresh.then(|| BatchNorm2d::new(p / "vgg_norm" / i, width)))
                    })
                    .collect()
            })
            .collect();
        let head = p / "vgg_head";
        let one = ConvOptions::same(1);
        let fc6 = if fresh { ConvOptions::same(7) } else { ConvOptions::same(7).padding(0) };
        // Fresh, so that grid lies on grid.
        let enlargement = |name: &str, stride: i64| {
            let kernel = bilinear_kernel(classes, 2 * stride).to_device(p.device());
            Enlargement::new((p / name).add("w", kernel, false), if fresh { stride / 2 } else { 0 })
        };
        Self {
            form: config.form,
            stages,
            head: [
                Conv2d::new(&head / 0, config.widths[4], config.head, fc6),
                Conv2d::new(&head / 3, config.head, config.head, one),
                Conv2d::new(&head / 6, config.head, classes, one),
            ],
            score_pool4: Conv2d::new(p / "score_pool4", config.widths[3], classes, one),
            score_pool3: Conv2d::new(p / "score_pool3", config.widths[2], classes, one),
            upscore2: enlargement("upscore2", 2),
            upscore_pool4: enlargement("upscore_pool4", 2),
            upscore8: enlargement("upscore8", 8),
            surround: None,
        }
    }

    /// Upsampled scores and those of a skip, where both are.
    fn join(&self, x: &Tensor, skip: &Tensor, offset: i64) -> Tensor {
        match self.form {
            Form::Published => crop(skip, offset, spatial(x)) + x,
            Form::Fresh => crop(x, 0, spatial(skip)) + skip,
        }
    }
}

/// Cuts a window of the size of `like` out of `x`, `offset` pixels from its upper left corner.
fn crop(x: &Tensor, offset: i64, (h, w): (i64, i64)) -> Tensor {
    x.narrow(2, offset, h).narrow(3, offset, w)
}

impl Fcn8s {
    /// Features after each of the five pools.
    fn pools(&self, image: &Tensor, train: bool) -> Vec<Tensor> {
        let mut x = match self.form {
            Form::Published => {
                let mean = Tensor::from_slice(&MEAN.map(|m| m as f32)).view([1, 3, 1, 1]);
                (image.to_kind(Kind::Float) * 255. - mean.to_device(image.device())).to_kind(image.kind())
            }
            Form::Fresh => normalize(image, IMAGENET.0, IMAGENET.1),
        };
        if let Some(surround) = self.surround.as_ref().filter(|_| !train) {
            return self.surrounded(&mut surround.borrow_mut(), &x);
        }
        let mut pools = Vec::with_capacity(5);
        for stage in &self.stages {
            for (conv, norm) in stage {
                x = match norm {
                    Some(norm) => norm.rectified(conv, &x, train),
                    None => conv.rectified(&x, Rectifier::Relu),
                };
            }
            x = surround::pool(&x);
            pools.push(x.shallow_clone());
        }
        pools
    }

    /// The same from a normalized image, with what its border gives.
    fn surrounded(&self, known: &mut Option<Surround>, x: &Tensor) -> Vec<Tensor> {
        let stages: Vec<Vec<&Conv2d>> =
            self.stages.iter().map(|stage| stage.iter().map(|(conv, _)| conv).collect()).collect();
        let known = match known.take() {
            Some(surround) if surround.is_of(x) => known.insert(surround),
            _ => known.insert(Surround::new(&stages, BORDER, x)),
        };
        known.pools(&stages, x)
    }

    /// The layers from the last pool on, for an image of `size`; `dropout` leaves half of the features
    /// out.
    fn head(&self, pools: &[Tensor], size: (i64, i64), dropout: bool) -> Segmented {
        let [fc6, fc7, score] = &self.head;
        let x = fc6.rectified(&pools[4], Rectifier::Relu).dropout(0.5, dropout);
        let features = fc7.rectified(&x, Rectifier::Relu).dropout(0.5, dropout);
        let scales = if self.form == Form::Fresh { [1., 1.] } else { [POOL4_SCALE, POOL3_SCALE] };
        let offsets = if self.form == Form::Fresh { [0; 3] } else { OFFSETS };
        let x = self.upscore2.forward(&score.forward(&features));
        let x = self.join(&x, &self.score_pool4.forward(&(&pools[3] * scales[0])), offsets[0]);
        let x = self.upscore_pool4.forward(&x);
        let x = self.join(&x, &self.score_pool3.forward(&(&pools[2] * scales[1])), offsets[1]);
        let x = self.upscore8.forward(&x);
        Segmented { logits: crop(&x, offsets[2], size).contiguous(), features, auxiliary: None }
    }
}

impl Segmenter for Fcn8s {
    fn forward(&self, image: &Tensor, train: bool) -> Segmented {
        self.head(&self.pools(image, train), spatial(image), train)
    }

    fn sampler(&self, image: &Tensor) -> Option<Sampler<'_>> {
        let (pools, size) = (self.pools(image, false), spatial(image));
        Some(Box::new(move || self.head(&pools, size, true).logits))
    }

    fn fold(&mut self) {
        for (conv, norm) in self.stages.iter_mut().flatten() {
            match norm {
                Some(norm) => norm.fold_into(conv),
                None => conv.settle(),
            }
        }
        let others = self.head.iter_mut().chain([&mut self.score_pool4, &mut self.score_pool3]);
        others.for_each(Conv2d::settle);
        [&mut self.upscore2, &mut self.upscore_pool4, &mut self.upscore8]
            .into_iter()
            .for_each(Enlargement::fold);
    }

    fn memoise(&mut self) {
        self.surround = (self.form == Form::Published).then(RefCell::default);
    }
}
