//! Parity with the public reference networks.
//!
//! A fixture is a reference network's input and output on weights that follow from a formula of the
//! tensors' names and shapes, so that no weights need to be shipped. Building the network here,
//! filling it by the same formula and running it on the same input shows both that published
//! checkpoints load by name and that they mean the same.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::comparison::{ComparerConfig, Comparison, joint};
use super::segmentation::{SegmenterConfig, deeplab, fcn8s};
use super::synthesis::SynthesizerConfig;
use super::synthesis::spade::{self, Upsampling};
use super::weights::{self, Tensors, WeightsError};

/// Largest difference that is accepted, in units of the output's largest absolute value.
pub const TOLERANCE: f64 = 1e-4;

/// One output of one fixture.
#[derive(Clone, Debug)]
pub struct Comparable {
    /// Fixture and output.
    pub name: String,
    /// Largest difference over the reference's largest absolute value.
    pub difference: f64,
}

/// The fixtures whose networks are built here: file stem and gain of the formula.
const FIXTURES: [(&str, f64); 6] = [
    ("spade_normal", 0.5),
    ("spade_more", 0.5),
    ("spade_most", 0.5),
    ("fcn8s_vgg16", 1.3),
    ("deeplab_resnet101", 0.55),
    ("comparison_joint", 0.55),
];

/// Runs every known fixture in `folder` and compares.
pub fn verify(folder: &Path, seed: u64) -> Result<Vec<Comparable>, WeightsError> {
    let mut all = Vec::new();
    for (name, gain) in FIXTURES {
        let fixture = weights::read(&folder.join(format!("{name}.safetensors")))?;
        for (output, value) in tch::no_grad(|| run(name, &fixture, seed, gain)) {
            let reference = &fixture[&format!("out.{output}")];
            let difference = (value - reference).abs().max() / reference.abs().max();
            all.push(Comparable {
                name: format!("{name}.{output}"),
                difference: difference.double_value(&[]),
            });
        }
    }
    Ok(all)
}

fn run(name: &str, fixture: &Tensors, seed: u64, gain: f64) -> Vec<(&'static str, Tensor)> {
    let vs = VarStore::new(Device::Cpu);
    let input = |key: &str| fixture[&format!("in.{key}")].shallow_clone();
    let row = |v: [f64; 3]| Tensor::from_slice(&v).to_kind(Kind::Float).view([1, 3, 1, 1]);
    // The references are fed normalized images; the networks here normalize by themselves.
    let caffe = |x: Tensor| (x / 255.) + row([0.485, 0.458, 0.408]);
    let imagenet = |x: Tensor| x * row([0.229, 0.224, 0.225]) + row([0.485, 0.456, 0.406]);
    match name {
        "fcn8s_vgg16" | "deeplab_resnet101" => {
            let config = match name {
                "fcn8s_vgg16" => SegmenterConfig::Fcn8s(fcn8s::Config::default()),
                _ => SegmenterConfig::Deeplab(deeplab::Config::default()),
            };
            let network = config.build(&vs.root(), 19);
            fill(&vs, seed, gain);
            let image = input("image");
            let size = super::layers::spatial(&image);
            let logits = network.forward(&caffe(image), false).logits;
            vec![("logits", network.resize_logits(&logits, size))]
        }
        "comparison_joint" => {
            let network = ComparerConfig::Joint(joint::Config::default()).build(&vs.root(), 19);
            fill(&vs, seed, gain);
            let (image, synth) = (imagenet(input("image")), imagenet(input("synth")));
            let probabilities = input("logits").softmax(1, Kind::Float);
            let comparison = Comparison { image: &image, synth: &synth, probabilities: &probabilities };
            let compared = network.forward(&comparison, false);
            vec![("confidence", compared.confidence.sigmoid()), ("iou", compared.iou)]
        }
        _ => {
            let upsampling = match name {
                "spade_normal" => Upsampling::Normal,
                "spade_more" => Upsampling::More,
                _ => Upsampling::Most,
            };
            let config = spade::Config { ngf: 4, upsampling, ..spade::Config::default() };
            let network = SynthesizerConfig::Spade(config).build(&vs.root(), 7);
            fill(&vs, seed, gain);
            let image = network.forward(&input("labels").unsqueeze(0), Kind::Float, false);
            vec![("image", image * 2. - 1.)]
        }
    }
}

/// Fills every parameter by the formula.
pub(crate) fn fill(vs: &VarStore, seed: u64, gain: f64) {
    tch::no_grad(|| fill_by_formula(&vs.variables(), seed, gain));
}

fn fill_by_formula(variables: &HashMap<String, Tensor>, seed: u64, gain: f64) {
    for (name, variable) in variables {
        // FCN-8s' bilinear kernels keep their constructed values.
        if !name.ends_with(".w") {
            variable.shallow_clone().copy_(&value(name, &variable.size(), seed, gain));
        }
    }
    for (name, u) in variables {
        if let Some(stem) = name.strip_suffix("weight_u") {
            let (weight, v) =
                (&variables[&format!("{stem}weight_orig")], &variables[&format!("{stem}weight_v")]);
            iterate(weight, u, v);
        }
    }
}

fn value(name: &str, size: &[i64], seed: u64, gain: f64) -> Tensor {
    let n: i64 = size.iter().product();
    let phase = f64::from(crc32fast::hash(name.as_bytes()) % 100_003) / 100_003. * TAU + seed as f64;
    let values: Vec<f64> =
        (0..n).map(|i| (phase + (i % 1_000_003) as f64 * 0.754_877_666_246_692_7 * TAU).sin()).collect();
    let v = Tensor::from_slice(&values).view(size);
    let v = match name {
        _ if name.ends_with("running_var") => 1. + v * 0.5,
        _ if name.ends_with("running_mean") => v * 0.1,
        _ if name.ends_with("_u") || name.ends_with("_v") => &v / v.norm(),
        _ if size.len() > 1 => v * (2f64.sqrt() * gain / (n as f64 / size[0] as f64).sqrt()),
        _ if name.ends_with("weight") => 1. + v * 0.2,
        _ => v * 0.1,
    };
    v.to_kind(Kind::Float)
}

/// Five power iterations, as a trained spectral norm would have seen.
fn iterate(weight: &Tensor, u: &Tensor, v: &Tensor) {
    let matrix = weight.to_kind(Kind::Double).flatten(1, -1);
    let mut a = u.to_kind(Kind::Double);
    let mut b = v.to_kind(Kind::Double);
    for _ in 0..5 {
        b = matrix.tr().mv(&a);
        b = &b / b.norm();
        a = matrix.mv(&b);
        a = &a / a.norm();
    }
    u.shallow_clone().copy_(&a);
    v.shallow_clone().copy_(&b);
}
