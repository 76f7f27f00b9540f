//! EfficientNet-lite0 (Tan, Le: "EfficientNet", ICML 2019, in its variant without squeeze and
//! excitation and with ReLU6) as an encoder. Tensor names are those of the public PyTorch port;
//! its batch norms are folded into the convolutions before them ([`fold`]), which halves the memory
//! traffic of a step. Where it begins from ImageNet, the layers down to stride 4 and every depthwise
//! filter stay as they are ([`stays`]): edges and textures are the same everywhere, and their backward
//! pass would cost more than all the rest. From random weights, all of them learn.

use tch::Tensor;
use tch::nn::Path;

use crate::network::Tensors;
use crate::network::layers::{Conv2d, ConvOptions, Rectifier, spatial};

/// One row of Table 1: blocks, kernel, stride, expansion, output channels.
const STAGES: [(i64, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];
const STEM: i64 = 32;
const MEAN: f64 = 0.498;
const STD: f64 = 0.502;

/// Channels of the features at strides 2, 4, 8, 16 and 16; half of that where the stem's stride is 1.
pub(crate) const CHANNELS: [i64; 5] = [16, 24, 40, 112, 320];

/// Stages down to stride 4.
const FINE_STAGES: usize = 2;

/// Whether the parameter of this name is one that stays as ImageNet left it.
pub fn stays(name: &str) -> bool {
    let fine: i64 = STAGES[..FINE_STAGES].iter().map(|(blocks, ..)| blocks).sum();
    let block = name.strip_prefix("_blocks.").and_then(|rest| rest.split('.').next()?.parse::<i64>().ok());
    name.starts_with("_conv_stem.")
        || name.contains("._depthwise_conv.")
        || block.is_some_and(|block| block < fine)
}

/// A convolution padded as TensorFlow's "SAME": one output for each begun stride, and where the zeros
/// do not come in pairs, one side gets one more.
#[derive(Debug)]
struct SameConv {
    conv: Conv2d,
    /// Kernel and stride, where zeros may not come in pairs.
    strided: Option<(i64, i64)>,
    /// For one more zero behind, once the weights are final.
    begun: Option<Conv2d>,
}

impl SameConv {
    fn new(p: Path, inputs: i64, outputs: i64, options: ConvOptions) -> Self {
        if options.stride == 1 {
            let taps = options.dilation * (options.kernel - 1);
            let conv = Conv2d::new(p, inputs, outputs, options.padding(taps / 2));
            return Self { conv, strided: None, begun: None };
        }
        let strided = Some((options.kernel, options.stride));
        Self { conv: Conv2d::new(p, inputs, outputs, options.padding(0)), strided, begun: None }
    }

    fn settle(&mut self) {
        self.conv.settle();
        self.begun = self.strided.map(|_| self.conv.begun_with_zeros());
        self.begun.iter_mut().for_each(Conv2d::settle);
    }

    fn forward(&self, x: &Tensor, rectifier: Rectifier) -> Tensor {
        let Some((kernel, stride)) = self.strided else { return self.conv.rectified(x, rectifier) };
        let zeros = |side: i64| (kernel - 1 - (side - 1) % stride).max(0);
        let (h, w) = spatial(x);
        let ([top, left], [bottom, right]) =
            ([zeros(h) / 2, zeros(w) / 2], [h, w].map(|side| (zeros(side) + 1) / 2));
        // One more behind than before on either axis: so it is wherever the stride divides the sides.
        match (&self.begun, [bottom - top, right - left]) {
            (Some(begun), [1, 1]) if top == left => begun.padded(x, bottom, rectifier),
            _ => self.conv.rectified(&x.constant_pad_nd([left, right, top, bottom]), rectifier),
        }
    }
}

/// Expand, filter depthwise, project.
#[derive(Debug)]
struct Block {
    expand: Option<SameConv>,
    depthwise: SameConv,
    project: SameConv,
    residual: bool,
}

impl Block {
    fn forward(&self, input: &Tensor) -> Tensor {
        let x = match &self.expand {
            Some(expand) => {
                self.depthwise.forward(&expand.forward(input, Rectifier::Relu6), Rectifier::Relu6)
            }
            None => self.depthwise.forward(input, Rectifier::Relu6),
        };
        let mut x = self.project.forward(&x, Rectifier::Linear);
        if self.residual {
            x += input;
        }
        x
    }
}

/// The encoder.
#[derive(Debug)]
pub struct EfficientNetLite0 {
    stem: SameConv,
    stages: Vec<Vec<Block>>,
}

impl EfficientNetLite0 {
    /// `stem_stride` 2 as published, 1 to look at small images at twice the resolution. The last of the
    /// published strides is left out.
    pub fn new(p: &Path, stem_stride: i64) -> Self {
        let mut inputs = STEM;
        let mut index = 0;
        let stages = STAGES
            .iter()
            .enumerate()
            .map(|(stage, &(blocks, kernel, stride, expansion, outputs))| {
                let stride = if stage == 5 { 1 } else { stride };
                (0..blocks)
                    .map(|i| {
                        let q = p / "_blocks" / index;
                        index += 1;
                        let stride = if i == 0 { stride } else { 1 };
                        let hidden = inputs * expansion;
                        let one = ConvOptions::same(1);
                        let spatial = ConvOptions::same(kernel).stride(stride).groups(hidden);
                        let block = Block {
                            expand: (expansion > 1)
                                .then(|| SameConv::new(&q / "_expand_conv", inputs, hidden, one)),
                            depthwise: SameConv::new(&q / "_depthwise_conv", hidden, hidden, spatial),
                            project: SameConv::new(&q / "_project_conv", hidden, outputs, one),
                            residual: stride == 1 && inputs == outputs,
                        };
                        inputs = outputs;
                        block
                    })
                    .collect()
            })
            .collect();
        let stem = ConvOptions::same(3).stride(stem_stride);
        Self { stem: SameConv::new(p / "_conv_stem", 3, STEM, stem), stages }
    }

    /// The weights are final; norms they have none.
    pub fn fold(&mut self) {
        self.stem.settle();
        for block in self.stages.iter_mut().flatten() {
            let Block { expand, depthwise, project, residual: _ } = block;
            expand.iter_mut().chain([depthwise, project]).for_each(SameConv::settle);
        }
    }

    /// Features at the five scales of `CHANNELS`, fine to coarse, of RGB in \[0, 1\].
    pub fn forward(&self, image: &Tensor) -> [Tensor; 5] {
        let run = |x: &Tensor, stages: &[Vec<Block>]| {
            stages.iter().flatten().fold(x.shallow_clone(), |x, block| block.forward(&x))
        };
        let s = &self.stages;
        let stem = self.stem.forward(&((image - MEAN) / STD), Rectifier::Relu6);
        let two = run(&stem, &s[..1]);
        let four = run(&two, &s[1..FINE_STAGES]);
        let eight = run(&four, &s[FINE_STAGES..3]);
        let sixteen = run(&eight, &s[3..5]);
        let last = run(&sixteen, &s[5..]);
        [two, four, eight, sixteen, last]
    }
}

/// Turns a published checkpoint into this network's tensors: `w / sqrt(var + eps) * scale` and
/// `bias - mean * scale / sqrt(var + eps)`. Names the first tensor that is missing.
pub fn fold(published: &Tensors) -> Result<Tensors, String> {
    const EPS: f64 = 1e-3;
    let get = |name: String| published.get(&name).ok_or(name);
    let mut folded = Tensors::new();
    let mut add = |conv: String, norm: String| -> Result<(), String> {
        let scale = get(format!("{norm}.weight"))? / (get(format!("{norm}.running_var"))? + EPS).sqrt();
        let bias = get(format!("{norm}.bias"))? - get(format!("{norm}.running_mean"))? * &scale;
        let weight = get(format!("{conv}.weight"))? * scale.view([-1, 1, 1, 1]);
        folded.insert(format!("{conv}.weight"), weight);
        folded.insert(format!("{conv}.bias"), bias);
        Ok(())
    };
    add("_conv_stem".into(), "_bn0".into())?;
    let mut index = 0;
    for (blocks, _, _, expansion, _) in STAGES {
        for _ in 0..blocks {
            let block = format!("_blocks.{index}");
            if expansion > 1 {
                add(format!("{block}._expand_conv"), format!("{block}._bn0"))?;
            }
            add(format!("{block}._depthwise_conv"), format!("{block}._bn1"))?;
            add(format!("{block}._project_conv"), format!("{block}._bn2"))?;
            index += 1;
        }
    }
    Ok(folded)
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn zeros_before_the_kernel_are_as_good_as_zeros_around_the_features() {
        tch::manual_seed(1);
        let sizes = [(6, 8), (7, 5), (6, 5), (2, 2), (1, 1)];
        for (kernel, (h, w)) in [3, 5].into_iter().flat_map(|kernel| sizes.map(|size| (kernel, size))) {
            let vs = VarStore::new(Device::Cpu);
            let options = ConvOptions::same(kernel).stride(2).groups(4);
            let mut layer = SameConv::new(vs.root() / "filter", 4, 4, options);
            let x = Tensor::randn([2, 4, h, w], (Kind::Float, Device::Cpu));
            // TensorFlow's definition: (outputs - 1) * stride + kernel - inputs, the odd one behind.
            let zeros = |side: i64| ((side + 1) / 2 * 2 - 2 + kernel - side).max(0);
            let (before, behind) = (|side| zeros(side) / 2, |side| (zeros(side) + 1) / 2);
            let padded = x.constant_pad_nd([before(w), behind(w), before(h), behind(h)]);
            let expected = layer.conv.forward(&padded);
            for settled in [false, true] {
                if settled {
                    layer.settle();
                }
                let found = tch::no_grad(|| layer.forward(&x, Rectifier::Linear));
                assert_eq!(found.size(), [2, 4, (h + 1) / 2, (w + 1) / 2]);
                assert_eq!(found.size(), expected.size());
                let apart = (found - &expected).abs().max().double_value(&[]);
                assert!(apart < 1e-5, "{kernel} on {h}x{w}, settled: {settled}: {apart}");
            }
        }
    }
}
