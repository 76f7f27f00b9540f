//! DeepLab: an encoder with dilation, atrous spatial pyramid pooling (Chen et al., "Rethinking
//! Atrous Convolution", 2017) and, for small images, a decoder that brings fine features back in
//! (Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018).

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::efficientnet::{CHANNELS, EfficientNetLite0};
use super::resnet::{self, ResNet, Variant};
use super::{Architecture, NotBuilt, Sampler, Segmented, Segmenter};
use crate::network::layers::{BatchNorm2d, Conv2d, ConvOptions, spatial};
use crate::network::range::{OutOfRange, all_within, within};

/// The encoder under the pyramid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Encoder {
    /// As the reference code: ResNet at output stride 8.
    Resnet(resnet::Config),
    /// EfficientNet-lite0; stem stride 2 as published or 1 for small images.
    EfficientnetLite0 {
        /// Stride of the first convolution.
        stem_stride: i64,
    },
}

/// Sizes; the defaults are the reference network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The encoder.
    pub encoder: Encoder,
    /// Channels of each pyramid branch.
    pub pyramid: i64,
    /// Dilations of the three 3x3 branches.
    pub rates: [i64; 3],
    /// Channels of the decoder; 0 classifies the pyramid's output directly, as the reference does.
    /// Only [`Encoder::EfficientnetLite0`] has the fine features that a decoder needs.
    pub decoder: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            encoder: Encoder::Resnet(resnet::Config::default()),
            pyramid: 256,
            rates: [6, 12, 18],
            decoder: 0,
        }
    }
}

impl Architecture for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        let decoders = match &self.encoder {
            Encoder::Resnet(config) => {
                config.check().map_err(|e| e.under("encoder"))?;
                0..=0
            }
            Encoder::EfficientnetLite0 { stem_stride } => {
                within("encoder.stem_stride", *stem_stride, 1..=2)?;
                0..=1024
            }
        };
        within("pyramid", self.pyramid, 1..=1024)?;
        all_within("rates", &self.rates, 1..=128)?;
        within("decoder", self.decoder, decoders)
    }

    fn build(&self, p: &Path, classes: i64) -> Result<Box<dyn Segmenter>, NotBuilt> {
        Ok(Box::new(DeepLab::new(p, self, classes)))
    }

    fn align_corners(&self) -> bool {
        matches!(self.encoder, Encoder::Resnet(_))
    }

    fn takes_pretrained(&self) -> bool {
        matches!(self.encoder, Encoder::EfficientnetLite0 { .. })
    }
}

/// The reference code passes its momentum where batch norm takes eps.
const PYRAMID_EPS: f64 = 3e-4;
/// ImageNet means as the reference code subtracts them, from values of 0 to 255.
const MEAN: [f64; 3] = [0.485 * 255., 0.458 * 255., 0.408 * 255.];
/// Share of the features that training leaves out before the classifier.
const DROPOUT: f64 = 0.1;
/// Channels to which the decoder squeezes each finer feature map.
const SKIP: i64 = 32;

fn conv_bn(
    p: &Path,
    names: (&str, &str),
    inputs: i64,
    outputs: i64,
    options: ConvOptions,
    eps: f64,
) -> ConvBn {
    ConvBn {
        conv: Conv2d::new(p / names.0, inputs, outputs, options.no_bias()),
        bn: BatchNorm2d::with(p / names.1, outputs, true, eps, 0.1),
    }
}

#[derive(Debug)]
struct ConvBn {
    conv: Conv2d,
    bn: BatchNorm2d,
}

impl ConvBn {
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.bn.rectified(&self.conv, x, train)
    }

    fn fold(&mut self) {
        self.bn.fold_into(&mut self.conv);
    }
}

/// Atrous spatial pyramid pooling: five branches side by side, then one convolution.
#[derive(Debug)]
struct Pyramid {
    branches: [ConvBn; 4],
    pooled: ConvBn,
    merge: ConvBn,
}

impl Pyramid {
    fn new(p: &Path, inputs: i64, channels: i64, rates: [i64; 3]) -> Self {
        let branch = |i: i64, options| {
            let names = (format!("aspp{i}"), format!("aspp{i}_bn"));
            conv_bn(p, (&names.0, &names.1), inputs, channels, options, PYRAMID_EPS)
        };
        let one = ConvOptions::same(1);
        let three = |i: usize| ConvOptions::same(3).dilated(rates[i]);
        Self {
            branches: [branch(1, one), branch(2, three(0)), branch(3, three(1)), branch(4, three(2))],
            pooled: branch(5, one),
            merge: conv_bn(p, ("conv2", "bn2"), 5 * channels, channels, one, PYRAMID_EPS),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let pooled = self.pooled.forward(&x.mean_dim([2i64, 3].as_slice(), true, None::<Kind>), train);
        let (h, w) = spatial(x);
        let mut branches: Vec<Tensor> = self.branches.iter().map(|b| b.forward(x, train)).collect();
        branches.push(pooled.expand([-1, -1, h, w], false));
        self.merge.forward(&Tensor::cat(&branches, 1), train)
    }
}

/// One step of the decoder: squeeze the finer features, join, mix.
#[derive(Debug)]
struct Refine {
    squeeze: ConvBn,
    mix: ConvBn,
}

#[derive(Debug)]
enum Trunk {
    Resnet(ResNet),
    Efficient(EfficientNetLite0),
}

/// The network.
#[derive(Debug)]
pub(crate) struct DeepLab {
    trunk: Trunk,
    pyramid: Pyramid,
    /// From coarse to fine.
    decoder: Vec<Refine>,
    classify: Conv2d,
}

impl DeepLab {
    /// Builds the network for `classes` classes.
    pub fn new(p: &Path, config: &Config, classes: i64) -> Self {
        let (trunk, channels) = match &config.encoder {
            Encoder::Resnet(resnet) => {
                let resnet = ResNet::new(p, resnet, Variant::Caffe);
                let channels = resnet.channels;
                (Trunk::Resnet(resnet), channels)
            }
            Encoder::EfficientnetLite0 { stem_stride } => {
                let encoder = EfficientNetLite0::new(&(p / "encoder"), *stem_stride);
                (Trunk::Efficient(encoder), CHANNELS[4])
            }
        };
        let aspp = p / "aspp";
        let scales = if config.decoder > 0 && matches!(trunk, Trunk::Efficient(_)) { 2 } else { 0 };
        let mut inputs = config.pyramid;
        let decoder = (0..scales)
            .map(|i| {
                let q = p / "decoder" / i;
                let squeeze = conv_bn(
                    &q,
                    ("squeeze", "squeeze_bn"),
                    CHANNELS[2 - i as usize],
                    SKIP,
                    ConvOptions::same(1),
                    1e-5,
                );
                let mix =
                    conv_bn(&q, ("mix", "mix_bn"), inputs + SKIP, config.decoder, ConvOptions::same(3), 1e-5);
                inputs = config.decoder;
                Refine { squeeze, mix }
            })
            .collect();
        Self {
            trunk,
            pyramid: Pyramid::new(&aspp, channels, config.pyramid, config.rates),
            decoder,
            classify: Conv2d::new(&aspp / "conv3", inputs, classes, ConvOptions::same(1)),
        }
    }

    /// The encoder's features, fine to coarse.
    fn encode(&self, image: &Tensor, train: bool) -> Vec<Tensor> {
        match &self.trunk {
            Trunk::Resnet(resnet) => {
                let mean = MEAN.map(|m| m as f32);
                let mean = Tensor::from_slice(&mean).view([1, 3, 1, 1]).to_device(image.device());
                let x = (image.to_kind(Kind::Float) * 255. - mean).to_kind(image.kind());
                let [.., last] = resnet.forward(&x, train);
                vec![last]
            }
            Trunk::Efficient(encoder) => encoder.forward(image).into(),
        }
    }

    fn decode(&self, scales: &[Tensor], train: bool) -> Tensor {
        let (coarsest, finer) = scales.split_last().expect("an encoder gives at least one map");
        let mut x = self.pyramid.forward(coarsest, train);
        for (step, fine) in self.decoder.iter().zip(finer.iter().rev().skip(1)) {
            let skip = step.squeeze.forward(fine, train);
            let (h, w) = spatial(&skip);
            let x_up = x.upsample_nearest2d([h, w], None, None);
            x = step.mix.forward(&Tensor::cat(&[x_up, skip], 1), train);
        }
        x
    }
}

impl Segmenter for DeepLab {
    fn forward(&self, image: &Tensor, train: bool) -> Segmented {
        let features = self.decode(&self.encode(image, train), train);
        let logits = self.classify.forward(&features.dropout(DROPOUT, train));
        Segmented { logits, features, auxiliary: None }
    }

    fn sampler(&self, image: &Tensor) -> Option<Sampler<'_>> {
        let features = self.features(image);
        Some(Box::new(move || self.classify.forward(&features.dropout(DROPOUT, true))))
    }

    fn features(&self, image: &Tensor) -> Tensor {
        self.decode(&self.encode(image, false), false)
    }

    fn fold(&mut self) {
        match &mut self.trunk {
            Trunk::Resnet(resnet) => resnet.fold(),
            Trunk::Efficient(encoder) => encoder.fold(),
        }
        self.classify.settle();
        let Pyramid { branches, pooled, merge } = &mut self.pyramid;
        let decoder = self.decoder.iter_mut().flat_map(|step| [&mut step.squeeze, &mut step.mix]);
        branches.iter_mut().chain([pooled, merge]).chain(decoder).for_each(ConvBn::fold);
    }

    fn perceptual(&self, image: &Tensor) -> Vec<Tensor> {
        let mut scales = self.encode(image, false);
        scales.push(self.decode(&scales, false));
        scales
    }

    fn align_corners(&self) -> bool {
        matches!(self.trunk, Trunk::Resnet(_))
    }
}
