//! Trainer of M: cross entropy, rare classes weighted up.

use std::path::Path;

use tch::nn::VarStore;
use tch::{Device, Kind, Reduction, Tensor};

use super::TrainError;
use super::ahead::Batches;
use super::batch::{Augmentation, TensorSet, generator};
use super::checkpoint::{self, Run, Task, Trainee};
use super::optimizer::{Adam, AdamOptions};
use super::progress::poly;
use super::start::{Beginning, Start};
use crate::checkpoint::pytorch;
use crate::checkpoint::weights;
use crate::labels::IGNORE;
use crate::network::layers::{channels_last, spatial};
use crate::network::segmentation::{Segmenter, SegmenterConfig, efficientnet};

/// What to train and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: SegmenterConfig,
    /// What it begins from.
    pub beginning: Beginning,
    /// Images a step.
    pub batch: usize,
    /// Height and width of the part of each image that a step sees; without, all of it.
    pub crop: Option<(i64, i64)>,
    /// Peak learning rate.
    pub rate: f64,
    /// Seed of all that is random.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// In which precision; parameters stay fp32.
    pub kind: Kind,
}

/// A network and its parameters.
pub struct Trained {
    /// Parameters and statistics.
    pub vs: VarStore,
    /// The network.
    pub network: Box<dyn Segmenter>,
}

/// Weights of the classes in the loss: `1 / ln(c + share)` as in ENet (Paszke et al., 2016), with a
/// larger `c`, so that the rarest class weighs four times the most frequent one.
fn class_weights(shares: &[f64]) -> Vec<f32> {
    shares.iter().map(|share| (1. / (1.1 + share).ln()) as f32 / 4.).collect()
}

struct Trainer<'a> {
    model: Trained,
    optimizer: Adam,
    batches: Batches,
    weights: Tensor,
    options: &'a Options,
}

/// Weight of the loss of logits from an earlier layer, as PSPNet's authors have it.
const AUXILIARY: f64 = 0.4;
const AUGMENTATION: Augmentation = Augmentation { zoom: (0.75, 1.75), color: 0.3, crop: None };

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let _ = generator(o.seed, step);
        let augmentation = Augmentation { crop: o.crop, ..AUGMENTATION };
        let (images, labels) = self.batches.take(step, o.batch, augmentation);
        let input = channels_last(&images.to_device(o.device)).to_kind(o.kind);
        let segmented = self.model.network.forward(&input, true);
        let size = spatial(&labels);
        let labels = labels.to_device(o.device);
        let cross_entropy = |logits: &Tensor| {
            let logits = self.model.network.resize_logits(&logits.to_kind(Kind::Float), size);
            let weights = Some(&self.weights);
            logits.cross_entropy_loss(&labels, weights, Reduction::Mean, i64::from(IGNORE), 0.)
        };
        let mut loss = cross_entropy(&segmented.logits);
        if let Some(auxiliary) = &segmented.auxiliary {
            loss += cross_entropy(auxiliary) * AUXILIARY;
        }
        self.optimizer.step(&loss, o.rate * poly(share));
        vec![("loss", loss.double_value(&[]))]
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "m", vs: &self.model.vs, optimizer: &mut self.optimizer }]
    }
}

/// How the names of the parameters of M's encoder begin.
const ENCODER: [&str; 1] = ["encoder."];

/// Builds the network as it begins. Of an encoder that has learned, the first layers stay as they are.
pub fn build(options: &Options, classes: i64) -> Result<Trained, TrainError> {
    tch::manual_seed(options.seed as i64);
    let vs = VarStore::new(options.device);
    let network = options.network.build(&vs.root(), classes)?;
    match &options.beginning {
        Beginning::Random => {}
        Beginning::Encoder(path) => load_encoders(&vs, &ENCODER, path)?,
        Beginning::Weights(path) => {
            Start::read(path)?.load(&vs, &options.network, classes)?;
            if options.network.takes_pretrained() {
                freeze(&vs, &ENCODER);
            }
        }
    }
    Ok(Trained { vs, network })
}

/// Begins encoders of a network, named by how their parameters' names begin, from EfficientNet-lite0's
/// ImageNet weights, some of which stay.
pub(crate) fn load_encoders(vs: &VarStore, encoders: &[&str], path: &Path) -> Result<(), TrainError> {
    let tensors = efficientnet::fold(&pytorch::read(path)?).map_err(|name| TrainError::Format {
        path: path.to_owned(),
        reason: format!("tensor '{name}' of EfficientNet-lite0 is missing"),
    })?;
    for encoder in encoders {
        weights::load_under(vs, encoder, &tensors, path)?;
    }
    freeze(vs, encoders);
    Ok(())
}

/// Has encoders of EfficientNet-lite0 that have learned keep what need not be learned again.
fn freeze(vs: &VarStore, encoders: &[&str]) {
    for (name, parameter) in vs.variables() {
        let inner = encoders.iter().find_map(|encoder| name.strip_prefix(*encoder));
        if inner.is_some_and(efficientnet::stays) {
            let _ = parameter.set_requires_grad(false);
        }
    }
}

/// Trains M on `set`.
pub fn train(set: &TensorSet, classes: i64, options: &Options, run: &Run) -> Result<Trained, TrainError> {
    let model = build(options, classes)?;
    let optimizer = Adam::new(
        &model.vs,
        AdamOptions { weight_decay: 0.02, slow: Some("encoder."), ..AdamOptions::default() },
    );
    let weights = Tensor::from_slice(&class_weights(&set.class_shares(classes))).to_device(options.device);
    let batches = Batches::new(set, options.seed, options.device);
    let mut training = Trainer { model, optimizer, batches, weights, options };
    checkpoint::run(&mut training, run)?;
    Ok(training.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(beginning: Beginning) -> Options {
        let network = "{architecture: deeplab, encoder: {name: efficientnet_lite0, stem_stride: 2}, pyramid: 8, \
                       rates: [1, 2, 3], decoder: 8}";
        Options {
            network: serde_norway::from_str(network).unwrap(),
            beginning,
            batch: 1,
            crop: None,
            rate: 0.001,
            seed: 1,
            device: Device::Cpu,
            kind: Kind::Float,
        }
    }

    /// The names of what is learned, as the optimizer and so a checkpoint have them.
    fn learned(model: &Trained) -> Vec<String> {
        let state = Adam::new(&model.vs, AdamOptions::default()).state("");
        state.into_keys().filter_map(|name| Some(name.strip_prefix("mean/")?.to_owned())).collect()
    }

    #[test]
    fn all_of_an_encoder_learns_that_knows_nothing_and_its_first_layers_stay_in_one_that_does() {
        let random = build(&options(Beginning::Random), 3).unwrap();
        let all = learned(&random);
        for name in ["_conv_stem", "_blocks.0._project_conv", "_blocks.9._depthwise_conv"] {
            assert!(all.contains(&format!("encoder.{name}.weight")), "{name}: {all:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        weights::write(&weights::tensors(&random.vs), &path, None).unwrap();
        let some = learned(&build(&options(Beginning::Weights(path)), 3).unwrap());
        // The stem, the depthwise filters of all sixteen blocks, and all of the three blocks down to stride 4, of
        // which the first expands nothing; a weight and a bias each.
        let stays = |name: &&String| !some.contains(name);
        let kept: Vec<&String> = all.iter().filter(stays).collect();
        let of = |part: &str| kept.iter().filter(|name| name.contains(part)).count();
        assert_eq!(
            (of("_conv_stem."), of("_depthwise_conv."), of("_expand_conv."), of("_project_conv.")),
            (2, 32, 4, 6)
        );
        assert_eq!(kept.len(), 44);
        assert!(some.contains(&"encoder._blocks.3._expand_conv.weight".to_owned()));
        assert!(some.iter().all(|name| all.contains(name)));
    }
}
