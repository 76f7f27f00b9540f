//! The ResNet encoders (He et al., 2016) of the reference DeepLab and PSPNet: bottleneck blocks, with
//! dilation instead of the last strides.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::network::layers::{BatchNorm2d, Conv2d, ConvOptions};
use crate::network::range::{OutOfRange, all_within, within};

/// Size; the defaults are ResNet-101's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Channels of the first stage's inner convolutions; 64 as published.
    pub width: i64,
    /// Blocks a stage.
    pub blocks: [i64; 4],
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, blocks: [3, 4, 23, 3] }
    }
}

impl Config {
    /// Says which number is beyond its range.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        within("width", self.width, 1..=128)?;
        all_within("blocks", &self.blocks, 1..=48)
    }
}

/// In what the two public encoders differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// DeepLab's: one 7x7 convolution first, stride on a block's first 1x1 convolution, max-pool that
    /// rounds up.
    Caffe,
    /// PSPNet's: three 3x3 convolutions first, stride on a block's 3x3 convolution, max-pool that
    /// rounds down; the block that would have had a stride keeps the dilation of those before it.
    DeepStem,
}

/// Output channels of a bottleneck, in multiples of its inner ones.
const EXPANSION: i64 = 4;

#[derive(Debug)]
struct Bottleneck {
    convs: [(Conv2d, BatchNorm2d); 3],
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl Bottleneck {
    /// `strides` of the first 1x1 and of the 3x3 convolution.
    fn new(p: &Path, inputs: i64, planes: i64, strides: [i64; 2], dilation: i64) -> Self {
        let outputs = planes * EXPANSION;
        let stride = strides[0] * strides[1];
        let one = ConvOptions::same(1).no_bias();
        let three = ConvOptions::same(3).dilated(dilation).no_bias();
        let layer = |i: i64, a, b, options| {
            (Conv2d::new(p / format!("conv{i}"), a, b, options), BatchNorm2d::new(p / format!("bn{i}"), b))
        };
        Self {
            convs: [
                layer(1, inputs, planes, one.stride(strides[0])),
                layer(2, planes, planes, three.stride(strides[1])),
                layer(3, planes, outputs, one),
            ],
            downsample: (stride != 1 || inputs != outputs).then(|| {
                let q = p / "downsample";
                (Conv2d::new(&q / 0, inputs, outputs, one.stride(stride)), BatchNorm2d::new(&q / 1, outputs))
            }),
        }
    }

    fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        let apply = |(conv, bn): &(Conv2d, BatchNorm2d), x: &Tensor| bn.forward(&conv.forward(x), train);
        let rectified = |(conv, bn): &(Conv2d, BatchNorm2d), x: &Tensor| bn.rectified(conv, x, train);
        let [a, b, c] = &self.convs;
        let x = apply(c, &rectified(b, &rectified(a, input)));
        let skip = self.downsample.as_ref().map_or_else(|| input.shallow_clone(), |d| apply(d, input));
        (x + skip).relu_()
    }
}

/// The encoder, at output stride 8.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: Vec<(Conv2d, BatchNorm2d)>,
    round_up: bool,
    stages: [Vec<Bottleneck>; 4],
    /// Channels of the last features.
    pub channels: i64,
}

impl ResNet {
    /// Parameters as torchvision names them: `conv1`, `bn1` (and on), `layer1` to `layer4`.
    pub fn new(p: &Path, config: &Config, variant: Variant) -> Self {
        let (three, w) = (ConvOptions::same(3), config.width);
        let stem = match variant {
            Variant::Caffe => vec![(3, w, ConvOptions::same(7).stride(2))],
            Variant::DeepStem => vec![(3, w, three.stride(2)), (w, w, three), (w, 2 * w, three)],
        };
        let mut inputs = stem[stem.len() - 1].1;
        let stem = (1..)
            .zip(stem)
            .map(|(i, (inputs, outputs, options))| {
                let conv = Conv2d::new(p / format!("conv{i}"), inputs, outputs, options.no_bias());
                (conv, BatchNorm2d::new(p / format!("bn{i}"), outputs))
            })
            .collect();
        let stages = [(1, 1), (2, 1), (1, 2), (1, 4)];
        let stages = std::array::from_fn(|stage| {
            let (stride, dilation) = stages[stage];
            let q = p / format!("layer{}", stage + 1);
            let planes = config.width << stage;
            (0..config.blocks[stage])
                .map(|i| {
                    let stride = if i == 0 { stride } else { 1 };
                    let (strides, dilation) = match variant {
                        Variant::Caffe => ([stride, 1], dilation),
                        Variant::DeepStem if i == 0 => ([1, stride], (dilation / 2).max(1)),
                        Variant::DeepStem => ([1, stride], dilation),
                    };
                    let block = Bottleneck::new(&(&q / i), inputs, planes, strides, dilation);
                    inputs = planes * EXPANSION;
                    block
                })
                .collect()
        });
        Self { stem, round_up: variant == Variant::Caffe, stages, channels: inputs }
    }

    /// Folds every norm into the convolution before it.
    pub fn fold(&mut self) {
        let blocks = self.stages.iter_mut().flatten();
        let in_blocks = blocks.flat_map(|block| block.convs.iter_mut().chain(&mut block.downsample));
        in_blocks.chain(&mut self.stem).for_each(|(conv, norm)| norm.fold_into(conv));
    }

    /// Features of a normalized image after each stage: at a quarter of its size, then at an eighth.
    pub fn forward(&self, x: &Tensor, train: bool) -> [Tensor; 4] {
        let stem = |x: Tensor, (conv, bn): &(Conv2d, BatchNorm2d)| bn.rectified(conv, &x, train);
        let x = self.stem.iter().fold(x.shallow_clone(), stem);
        let mut x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], self.round_up);
        self.stages.each_ref().map(|stage| {
            x = stage.iter().fold(x.shallow_clone(), |x, block| block.forward(&x, train));
            x.shallow_clone()
        })
    }
}
