//! A ResNet-18 trunk (He et al., 2016) that gives the features of its four stages.

use tch::Tensor;
use tch::nn::Path;

use crate::network::layers::{BatchNorm2d, Conv2d, ConvOptions};

#[derive(Debug)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl BasicBlock {
    fn new(p: &Path, inputs: i64, outputs: i64, stride: i64) -> Self {
        let three = ConvOptions::same(3).no_bias();
        Self {
            conv1: Conv2d::new(p / "conv1", inputs, outputs, three.stride(stride)),
            bn1: BatchNorm2d::new(p / "bn1", outputs),
            conv2: Conv2d::new(p / "conv2", outputs, outputs, three),
            bn2: BatchNorm2d::new(p / "bn2", outputs),
            downsample: (stride != 1 || inputs != outputs).then(|| {
                let q = p / "downsample";
                let one = ConvOptions::same(1).stride(stride).no_bias();
                (Conv2d::new(&q / 0, inputs, outputs, one), BatchNorm2d::new(&q / 1, outputs))
            }),
        }
    }

    fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        let x = self.bn1.rectified(&self.conv1, input, train);
        let mut x = self.bn2.forward(&self.conv2.forward(&x), train);
        x += match &self.downsample {
            Some((conv, bn)) => bn.forward(&conv.forward(input), train),
            None => input.shallow_clone(),
        };
        x.relu_()
    }

    fn fold(&mut self) {
        self.bn1.fold_into(&mut self.conv1);
        self.bn2.fold_into(&mut self.conv2);
        if let Some((conv, norm)) = &mut self.downsample {
            norm.fold_into(conv);
        }
    }
}

/// The trunk; parameters as torchvision names them.
#[derive(Debug)]
pub(crate) struct ResNet18 {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layers: Vec<[BasicBlock; 2]>,
}

impl ResNet18 {
    /// `width` channels in the first stage (64 as published), doubled at each next one.
    pub fn new(p: &Path, inputs: i64, width: i64) -> Self {
        let mut channels = width;
        let layers = (0..4)
            .map(|stage| {
                let q = p / format!("layer{}", stage + 1);
                let outputs = width << stage;
                let stride = if stage == 0 { 1 } else { 2 };
                let blocks = [
                    BasicBlock::new(&(&q / 0), channels, outputs, stride),
                    BasicBlock::new(&(&q / 1), outputs, outputs, 1),
                ];
                channels = outputs;
                blocks
            })
            .collect();
        let stem = ConvOptions::same(7).stride(2).no_bias();
        Self {
            conv1: Conv2d::new(p / "conv1", inputs, width, stem),
            bn1: BatchNorm2d::new(p / "bn1", width),
            layers,
        }
    }

    /// Folds every norm into the convolution before it.
    pub fn fold(&mut self) {
        self.bn1.fold_into(&mut self.conv1);
        self.layers.iter_mut().flatten().for_each(BasicBlock::fold);
    }

    /// Features at strides 4, 8, 16 and 32.
    pub fn forward(&self, x: &Tensor, train: bool) -> Vec<Tensor> {
        let x = self.bn1.rectified(&self.conv1, x, train);
        let mut x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        self.layers
            .iter()
            .map(|blocks| {
                for block in blocks {
                    x = block.forward(&x, train);
                }
                x.shallow_clone()
            })
            .collect()
    }
}
