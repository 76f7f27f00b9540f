//! Parity with the public reference networks.
//!
//! A fixture is a reference network's input and output on weights that follow from a formula of the
//! tensors' names and shapes, so that no weights need to be shipped. Its list of names stands for a
//! published checkpoint: filled by the formula it is loaded, strictly, into the network built here, which
//! is run on the same input. This shows both that published checkpoints load and that they mean the same.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::published::{self, without_bookkeeping};
use super::weights::{self, Tensors, WeightsError};
use crate::network::comparison::disagreement::MAPS;
use crate::network::comparison::trunk::Encoder;
use crate::network::comparison::{ComparatorConfig, ComparatorInput, iou, joint};
use crate::network::layers::{IMAGENET, channels_last, spatial};
use crate::network::segmentation::pspnet::{self, PspNet};
use crate::network::segmentation::{Segmenter, deeplab, fcn8s};
use crate::network::softmax::Softmax;
use crate::network::synthesis::Generator;
use crate::network::synthesis::folded::{CACHE, FoldedSpade};
use crate::network::synthesis::pix2pixhd::{self, GlobalGenerator};
use crate::network::synthesis::spade::{self, Spade, Upsampling};
use crate::network::synthesis::style_encoder::{self, StyleEncoder};

/// Largest difference that is accepted in fp32, in units of the output's largest absolute value.
pub const TOLERANCE: f64 = 1e-4;

/// The same in `kind`. In fewer bits the rounding of a hundred layers is what is left, and random weights do
/// nothing against it: this tells a wrong network from a rounded one, not one kind from a better one.
pub fn tolerance(kind: Kind) -> f64 {
    match kind {
        Kind::Half => 0.02,
        Kind::BFloat16 => 0.15,
        _ => TOLERANCE,
    }
}

/// How a fixture's network computes.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Seed of the formula.
    pub seed: u64,
    /// Where.
    pub device: Device,
    /// In which precision; fp32 is what the fixtures were made in.
    pub kind: Kind,
}

/// Runs a network on a fixture's inputs; gives outputs by their names there. All give theirs twice: as trained
/// (fp32 alone), and folded and memoised as the monitor runs them.
type Run = Box<dyn FnMut(&Inputs) -> Result<Vec<(&'static str, Tensor)>, WeightsError>>;

/// One reference network.
pub struct Fixture {
    /// Stem of its files.
    pub name: &'static str,
    /// Gain of the formula.
    gain: f64,
    /// Builds the network in a store.
    build: fn(&VarStore) -> Run,
}

/// Every fixture.
pub const FIXTURES: [Fixture; 12] = [
    fixture("comparison_direct", 0.55, |vs| comparer(vs, ComparatorConfig::Direct(JOINT))),
    fixture("comparison_iou_only", 0.55, |vs| comparer(vs, ComparatorConfig::IouOnly(IOU_ONLY))),
    fixture("comparison_joint", 0.55, |vs| comparer(vs, ComparatorConfig::Joint(JOINT))),
    fixture("deeplab_resnet101", 0.55, |vs| {
        caffe(deeplab::DeepLab::new(&vs.root(), &deeplab::Config::default(), CITYSCAPES))
    }),
    fixture("fcn8s_vgg16", 1.3, |vs| {
        caffe(fcn8s::Fcn8s::new(&vs.root(), &fcn8s::Config::default(), CITYSCAPES))
    }),
    fixture("pix2pixhd_global", 0.5, pix2pixhd),
    fixture("pspnet_resnet50", 0.6, pspnet),
    fixture("spade_more", 0.5, |vs| spade(vs, Upsampling::More)),
    fixture("spade_most", 0.5, |vs| spade(vs, Upsampling::Most)),
    fixture("spade_normal", 0.5, |vs| spade(vs, Upsampling::Normal)),
    fixture("spade_vae_generator", 0.5, styled_spade),
    fixture("style_encoder_256", 0.5, style_encoder),
];

const fn fixture(name: &'static str, gain: f64, build: fn(&VarStore) -> Run) -> Fixture {
    Fixture { name, gain, build }
}

/// Classes of the fixtures on Cityscapes, on StreetHazards, and of the small generators.
const CITYSCAPES: i64 = 19;
const STREET_HAZARDS: i64 = 13;
const FEW: i64 = 7;
/// The comparison networks of the reference code.
const JOINT: joint::Config =
    joint::Config { encoder: Encoder::Resnet18, width: 64, squeeze: 64, prior: false };
const IOU_ONLY: iou::Config = iou::Config { width: 64 };

impl Fixture {
    /// Largest difference of any output from the fixture's in `folder`, over the largest absolute value
    /// that the output has there.
    pub fn difference(&self, folder: &Path, how: How) -> Result<f64, WeightsError> {
        let keys = folder.join(format!("{}.keys.txt", self.name));
        let path = folder.join(format!("{}.safetensors", self.name));
        let tensors = weights::read(&path)?;
        tch::no_grad(|| {
            let vs = VarStore::new(how.device);
            let inputs = Inputs { tensors, path, how, parameters: &vs };
            let mut run = (self.build)(&vs);
            let mut checkpoint = without_bookkeeping(fill(&read_keys(&keys)?, how.seed, self.gain));
            keep_constructed(&mut checkpoint, &vs.variables());
            weights::load(&vs, &checkpoint, &keys)?;
            drop(checkpoint);
            let mut largest: f64 = 0.;
            for (output, value) in run(&inputs)? {
                let difference = inputs.difference(output, &value)?;
                // A NaN, once there, stays.
                if difference.is_nan() || largest < difference {
                    largest = difference;
                }
            }
            Ok(largest)
        })
    }
}

/// A fixture's tensors, and how they are to be computed with.
struct Inputs<'a> {
    tensors: Tensors,
    path: PathBuf,
    how: How,
    parameters: &'a VarStore,
}

impl Inputs<'_> {
    fn get(&self, name: &str) -> Result<Tensor, WeightsError> {
        let reason = || format!("tensor '{name}' is missing");
        let tensor = self.tensors.get(name).map(|tensor| tensor.to_device(self.how.device));
        tensor.ok_or_else(|| WeightsError::Format { path: self.path.clone(), reason: reason() })
    }

    /// Whether networks run as trained too: in fp32.
    fn as_trained(&self) -> bool {
        self.how.kind == Kind::Float
    }

    /// Casts what the monitor casts, once the network is folded.
    fn cast(&self) {
        if !self.as_trained() {
            weights::cast(self.parameters, self.how.kind);
        }
    }

    /// A picture as the monitor gives it to networks.
    fn picture(&self, image: &Tensor) -> Tensor {
        match self.as_trained() {
            true => image.shallow_clone(),
            false => channels_last(image).to_kind(self.how.kind),
        }
    }

    fn difference(&self, output: &str, value: &Tensor) -> Result<f64, WeightsError> {
        let name = format!("out.{output}");
        let reference = self.get(&name)?;
        let (found, expected) = (reference.size(), value.size());
        if found != expected {
            return Err(WeightsError::Shape { path: self.path.clone(), name, found, expected });
        }
        let value = value.to_kind(Kind::Float);
        Ok(((value - &reference).abs().max() / reference.abs().max()).double_value(&[]))
    }
}

/// A segmenter whose reference takes images from 0 to 255 less a mean; ours take \[0, 1\].
fn caffe(mut network: impl Segmenter + 'static) -> Run {
    Box::new(move |inputs| {
        let image = inputs.get("in.image")?;
        let image = inputs.picture(&((&image / 255.) + row([0.485, 0.458, 0.408], &image)));
        let run = |network: &dyn Segmenter| {
            let logits = network.forward(&image, false).logits.to_kind(Kind::Float);
            ("logits", network.resize_logits(&logits, spatial(&image)))
        };
        let as_trained = inputs.as_trained().then(|| run(&network));
        Ok(as_trained.into_iter().chain([run(ready(&mut network, inputs))]).collect())
    })
}

/// A segmenter as the monitor runs it.
fn ready<'n>(network: &'n mut dyn Segmenter, inputs: &Inputs) -> &'n dyn Segmenter {
    network.fold();
    network.memoise();
    inputs.cast();
    network
}

fn pspnet(vs: &VarStore) -> Run {
    let mut network = PspNet::new(&vs.root(), &pspnet::Config::default(), STREET_HAZARDS);
    Box::new(move |inputs| {
        let image = inputs.picture(&imagenet(&inputs.get("in.image")?));
        let run = |network: &dyn Segmenter| {
            let out = network.forward(&image, false);
            let logits = out.logits.to_kind(Kind::Float);
            let probabilities = network.resize_logits(&logits, spatial(&image)).softmax(1, Kind::Float);
            [
                ("probabilities", probabilities),
                // Whatever the name says, these are 64 channels, 64 apart.
                ("ppm_features_first64", out.features.slice(1, None::<i64>, None::<i64>, 64)),
                ("ppm_features_mean", out.features.mean_dim([2i64, 3].as_slice(), false, Kind::Float)),
            ]
        };
        let as_trained = inputs.as_trained().then(|| run(&network));
        Ok(as_trained.into_iter().flatten().chain(run(ready(&mut network, inputs))).collect())
    })
}

fn comparer(vs: &VarStore, config: ComparatorConfig) -> Run {
    let mut network = config.build(&vs.root(), CITYSCAPES);
    Box::new(move |inputs| {
        let image = inputs.picture(&imagenet(&inputs.get("in.image")?));
        // Whoever does not see x' or at M's softmax has none in its fixture.
        let synth = match config {
            ComparatorConfig::Direct(_) => image.zeros_like(),
            _ => inputs.picture(&imagenet(&inputs.get("in.synth")?)),
        };
        let probabilities = match config {
            ComparatorConfig::IouOnly(_) => image.zeros_like(),
            _ => inputs.get("in.logits")?.softmax(1, Kind::Float),
        };
        // No network of the reference sees M's view of x'.
        let disagreement = || Tensor::zeros([1, MAPS, 1, 1], (Kind::Float, image.device()));
        let softmax = Softmax::of(probabilities);
        let comparison = ComparatorInput {
            image: &image,
            synthesized: &|| synth.shallow_clone(),
            softmax: &softmax,
            disagreement: &disagreement,
        };
        let as_trained = inputs.as_trained().then(|| network.forward(&comparison, false));
        network.fold();
        inputs.cast();
        let as_run = network.forward(&comparison, false);
        let outputs = as_trained.into_iter().chain([as_run]).flat_map(|compared| {
            let confidence = compared.confidence.map(|logit| ("confidence", logit.sigmoid()));
            compared.iou.map(|iou| ("iou", iou)).into_iter().chain(confidence)
        });
        Ok(outputs.collect())
    })
}

fn spade(vs: &VarStore, upsampling: Upsampling) -> Run {
    let config = spade::Config { ngf: 4, upsampling, ..spade::Config::default() };
    generator(Spade::new(&vs.root(), &config, FEW))
}

fn pix2pixhd(vs: &VarStore) -> Run {
    let config = pix2pixhd::Config { ngf: 8, downsamplings: 3, blocks: 2 };
    generator(GlobalGenerator::new(&vs.root(), &config, FEW))
}

/// A generator whose reference gives images in \[-1, 1\]; ours gives them in \[0, 1\].
fn generator(network: impl Generator + 'static) -> Run {
    Box::new(move |inputs| {
        let labels = inputs.get("in.labels")?.unsqueeze(0);
        let as_trained = network.synthesize(&labels, &labels, inputs.how.kind, false).image;
        // Every patch anew, and each distinct one once.
        let folded = [0, CACHE].into_iter().filter_map(|limit| {
            let spade = FoldedSpade::fold(network.as_spade()?, inputs.how.kind, limit)?;
            Some(spade.synthesize(&labels, &labels))
        });
        let images = std::iter::once(as_trained).chain(folded);
        Ok(images.map(|image| ("image", image * 2. - 1.)).collect())
    })
}

fn styled_spade(vs: &VarStore) -> Run {
    let style = style_encoder::Config { width: 4, latent: 16, grid: [1, 2] };
    let upsampling = Upsampling::Normal;
    let config = spade::Config { ngf: 4, upsampling, style: Some(style), ..spade::Config::default() };
    let network = Spade::new(&vs.root(), &config, FEW);
    Box::new(move |inputs| {
        let (labels, style) = (inputs.get("in.labels")?.unsqueeze(0), inputs.get("in.z")?);
        let image = network.with_style(&labels, &style, inputs.how.kind, false);
        Ok(vec![("image", image * 2. - 1.)])
    })
}

fn style_encoder(vs: &VarStore) -> Run {
    let config = style_encoder::Config { width: 4, ..style_encoder::Config::default() };
    let network = StyleEncoder::new(&vs.root(), &config);
    Box::new(move |inputs| {
        let image = inputs.picture(&((inputs.get("in.image")? + 1.) * 0.5));
        let [mean, log_variance] = network.forward(&image, false);
        Ok(vec![("mu", mean), ("logvar", log_variance)])
    })
}

fn row(values: [f64; 3], like: &Tensor) -> Tensor {
    Tensor::from_slice(&values).to_kind(Kind::Float).view([1, 3, 1, 1]).to_device(like.device())
}

/// Undoes the normalization of the references, for the networks here normalize by themselves.
fn imagenet(x: &Tensor) -> Tensor {
    let (mean, std) = IMAGENET;
    x * row(std, x) + row(mean, x)
}

/// Names and shapes: a line `name [n, n]` a tensor.
fn read_keys(path: &Path) -> Result<Vec<(String, Vec<i64>)>, WeightsError> {
    let text = fs_err::read_to_string(path)?;
    text.lines()
        .map(|line| {
            let key = line.split_once(' ').and_then(|(name, shape)| {
                let sides = shape.trim().strip_prefix('[')?.strip_suffix(']')?;
                let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
                Some((name.to_owned(), sides.map(|side| side.parse().ok()).collect::<Option<_>>()?))
            });
            let reason = || format!("'{line}' is not a name and a shape in brackets");
            key.ok_or_else(|| WeightsError::Format { path: path.into(), reason: reason() })
        })
        .collect()
}

/// Fills every parameter of a network by the formula, but for those of known value.
pub(crate) fn fill_network(vs: &VarStore, seed: u64, gain: f64) {
    let variables = vs.variables();
    let keys: Vec<_> = variables.iter().map(|(name, t)| (name.clone(), t.size())).collect();
    let mut checkpoint = fill(&keys, seed, gain);
    keep_constructed(&mut checkpoint, &variables);
    tch::no_grad(|| checkpoint.iter().for_each(|(name, t)| variables[name].shallow_clone().copy_(t)));
}

/// FCN-8s' bilinear kernels keep their constructed values.
fn keep_constructed(checkpoint: &mut Tensors, constructed: &HashMap<String, Tensor>) {
    for (name, tensor) in checkpoint.iter_mut().filter(|(name, _)| name.ends_with(".w")) {
        if let Some(kernel) = constructed.get(name).filter(|k| k.size() == tensor.size()) {
            *tensor = kernel.copy();
        }
    }
}

/// A checkpoint by the formula.
fn fill(keys: &[(String, Vec<i64>)], seed: u64, gain: f64) -> Tensors {
    let checkpoint: Tensors =
        keys.iter().map(|(name, size)| (name.clone(), value(name, size, seed, gain))).collect();
    for (name, u) in &checkpoint {
        if let Some(stem) = name.strip_suffix("weight_u") {
            let part = |name: &str| checkpoint.get(&format!("{stem}{name}"));
            if let (Some(weight), Some(v)) = (part("weight_orig"), part("weight_v")) {
                iterate(weight, u, v);
            }
        }
    }
    checkpoint
}

fn value(name: &str, size: &[i64], seed: u64, gain: f64) -> Tensor {
    let n: i64 = size.iter().product();
    let phase = f64::from(crc32fast::hash(name.as_bytes()) % 100_003) / 100_003. * TAU + seed as f64;
    let sine = |i: i64| (phase + (i % 1_000_003) as f64 * 0.754_877_666_246_692_7 * TAU).sin();
    let (shift, scale) = match name {
        _ if name.ends_with("running_var") => (1., 0.5),
        _ if name.ends_with("running_mean") => (0., 0.1),
        _ if name.ends_with("_u") || name.ends_with("_v") => {
            (0., 1. / (0..n).map(|i| sine(i).powi(2)).sum::<f64>().sqrt())
        }
        _ if size.len() > 1 => (0., 2f64.sqrt() * gain / (n as f64 / size[0] as f64).sqrt()),
        _ if name.ends_with("weight") => (1., 0.2),
        _ => (0., 0.1),
    };
    let values: Vec<f32> = (0..n).into_par_iter().map(|i| (shift + sine(i) * scale) as f32).collect();
    Tensor::from_slice(&values).view(size)
}

/// Five power iterations, as a trained spectral norm would have seen.
fn iterate(weight: &Tensor, u: &Tensor, v: &Tensor) {
    let Some(matrix) = published::matrix(weight, u) else { return };
    let matrix = matrix.to_kind(Kind::Double);
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
