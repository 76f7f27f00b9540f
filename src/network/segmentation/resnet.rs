//! The ResNet encoder of the reference DeepLab (He et al., 2016): bottleneck blocks, stride on the
//! first 1x1 convolution, max-pool that rounds up, dilation instead of the last strides.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::network::layers::{BatchNorm2d, Conv2d, ConvOptions};

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

/// Output channels of a bottleneck, in multiples of its inner ones.
const EXPANSION: i64 = 4;

#[derive(Debug)]
struct Bottleneck {
    convs: [(Conv2d, BatchNorm2d); 3],
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl Bottleneck {
    fn new(p: &Path, inputs: i64, planes: i64, stride: i64, dilation: i64) -> Self {
        let outputs = planes * EXPANSION;
        let one = ConvOptions::same(1).no_bias();
        let three = ConvOptions::same(3).dilated(dilation).no_bias();
        let layer = |i: i64, a, b, options| {
            (Conv2d::new(p / format!("conv{i}"), a, b, options), BatchNorm2d::new(p / format!("bn{i}"), b))
        };
        Self {
            convs: [
                layer(1, inputs, planes, one.stride(stride)),
                layer(2, planes, planes, three),
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
        let [a, b, c] = &self.convs;
        let x = apply(c, &apply(b, &apply(a, input).relu_()).relu_());
        let skip = self.downsample.as_ref().map_or_else(|| input.shallow_clone(), |d| apply(d, input));
        (x + skip).relu_()
    }
}

/// The encoder, at output stride 8.
#[derive(Debug)]
pub struct ResNet {
    stem: (Conv2d, BatchNorm2d),
    stages: Vec<Vec<Bottleneck>>,
    /// Channels of the last features.
    pub channels: i64,
}

impl ResNet {
    /// Parameters as torchvision names them: `conv1`, `bn1`, `layer1` to `layer4`.
    pub fn new(p: &Path, config: &Config) -> Self {
        let stem = ConvOptions::same(7).stride(2).no_bias();
        let mut inputs = config.width;
        let stages = config
            .blocks
            .iter()
            .zip([(1, 1), (2, 1), (1, 2), (1, 4)])
            .enumerate()
            .map(|(stage, (&blocks, (stride, dilation)))| {
                let q = p / format!("layer{}", stage + 1);
                let planes = config.width << stage;
                (0..blocks)
                    .map(|i| {
                        let stride = if i == 0 { stride } else { 1 };
                        let block = Bottleneck::new(&(&q / i), inputs, planes, stride, dilation);
                        inputs = planes * EXPANSION;
                        block
                    })
                    .collect()
            })
            .collect();
        Self {
            stem: (
                Conv2d::new(p / "conv1", 3, config.width, stem),
                BatchNorm2d::new(p / "bn1", config.width),
            ),
            stages,
            channels: inputs,
        }
    }

    /// Folds every norm into the convolution before it.
    pub fn fold(&mut self) {
        let blocks = self.stages.iter_mut().flatten();
        let in_blocks = blocks.flat_map(|block| block.convs.iter_mut().chain(&mut block.downsample));
        in_blocks.chain([&mut self.stem]).for_each(|(conv, norm)| norm.fold_into(conv));
    }

    /// Features of a normalized image, at an eighth of its size.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let x = self.stem.1.forward(&self.stem.0.forward(x), train).relu_();
        let mut x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], true);
        for block in self.stages.iter().flatten() {
            x = block.forward(&x, train);
        }
        x
    }
}
