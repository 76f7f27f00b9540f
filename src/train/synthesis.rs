//! Trainer of G on ground-truth labels: hinge GAN, feature matching, and a perceptual distance in
//! the features of M, for it is M's features that the monitor compares later.

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::TrainError;
use super::ahead::Batches;
use super::batch::{Augmentation, TensorSet, generator};
use super::checkpoint::{self, Run, Task, Trainee};
use super::discriminator::{Discriminator, discriminator_loss, feature_loss, generator_loss};
use super::optimizer::{Adam, AdamOptions};
use crate::model::pixels::{to_bytes, to_input};
use crate::network::layers::{channels_last, one_hot, spatial};
use crate::network::segmentation::Segmenter;
use crate::network::synthesis::{Generator, GeneratorConfig, Synthesized};

/// What to train and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: GeneratorConfig,
    /// Channels of the discriminator's first layer.
    pub discriminator_width: i64,
    /// Images a step.
    pub batch: usize,
    /// Learning rate.
    pub rate: f64,
    /// Seed of all that is random.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// In which precision; parameters stay fp32.
    pub kind: Kind,
}

/// Weights of the losses: as SPADE's, and a plain distance of colours that settles them early.
const FEATURES: f64 = 10.;
const PERCEPTUAL: f64 = 10.;
const COLORS: f64 = 5.;
const DIVERGENCE: f64 = 0.05;
const WHOLE: Augmentation = Augmentation { zoom: (1., 1.25), color: 0., crop: None };
/// Share of the training that is done on crops, a quarter of the picture at the same scale: four times the steps
/// in the time. The rest, on whole pictures, teaches the layout.
const ON_CROPS: f64 = 0.75;
/// Samples in the preview.
const PREVIEW: i64 = 6;

struct Trainer<'a> {
    vs: VarStore,
    network: Box<dyn Generator>,
    optimizer: Adam,
    discriminator_vs: VarStore,
    discriminator: Discriminator,
    discriminator_optimizer: Adam,
    m: &'a dyn Segmenter,
    classes: i64,
    set: &'a TensorSet,
    batches: Batches,
    options: &'a Options,
}

/// Distance between M's features of two images, each depth by the mean size of its features.
fn perceptual_loss(m: &dyn Segmenter, real: &Tensor, synthesized: &Tensor) -> Tensor {
    let real = tch::no_grad(|| m.perceptual(real));
    let terms: Vec<Tensor> = real
        .iter()
        .zip(m.perceptual(synthesized))
        .map(|(r, p)| (r - p).abs().mean(Kind::Float) / (r.abs().mean(Kind::Float) + 1e-6))
        .collect();
    Tensor::stack(&terms, 0).mean(Kind::Float)
}

impl Trainer<'_> {
    fn discriminator_trains(&self, yes: bool) {
        for variable in self.discriminator_vs.trainable_variables() {
            let _ = variable.set_requires_grad(yes);
        }
    }
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let _ = generator(o.seed, step);
        let whole_only = o.network.fixed_size().is_some() || self.m.has_fixed_size();
        let (images, labels) = if share < ON_CROPS && !whole_only {
            let (h, w) = spatial(&self.set.labels);
            self.batches.take(step, o.batch, Augmentation { crop: Some((h / 2, w / 2)), ..WHOLE })
        } else {
            self.batches.take(step, (o.batch / 4).max(2), WHOLE)
        };
        let real = channels_last(&images.to_device(o.device)).to_kind(o.kind);
        let labels = labels.to_device(o.device);
        let one_hot = one_hot(&labels, self.classes, o.kind);

        let Synthesized { image: synthesized, divergence } =
            self.network.synthesize(&labels, &real, o.kind, true);
        let low = channels_last(&synthesized).to_kind(o.kind);
        // The generator's step needs gradients through the discriminator, not of it.
        self.discriminator_trains(false);
        let to_real = tch::no_grad(|| self.discriminator.forward(&real, &one_hot, false));
        let to_synthesized = self.discriminator.forward(&low, &one_hot, false);
        let adversarial = generator_loss(&to_synthesized);
        let features = feature_loss(&to_real, &to_synthesized);
        let perceptual = perceptual_loss(self.m, &real, &low);
        let colors = (&synthesized - real.to_kind(Kind::Float)).abs().mean(Kind::Float);
        let mut loss = &adversarial + &features * FEATURES + &perceptual * PERCEPTUAL + &colors * COLORS;
        if let Some(divergence) = &divergence {
            loss += divergence * DIVERGENCE;
        }
        // The rate stays for the first half and falls to zero in the second, as SPADE's.
        let rate = o.rate * (2. * (1. - share)).min(1.);
        self.optimizer.step(&loss, rate);
        self.discriminator_trains(true);

        let synthesized = low.detach();
        let discriminating = discriminator_loss(
            &self.discriminator.forward(&real, &one_hot, true),
            &self.discriminator.forward(&synthesized, &one_hot, true),
        );
        self.discriminator_optimizer.step(&discriminating, rate);
        let value = |t: &Tensor| t.double_value(&[]);
        let mut losses = vec![
            ("perceptual", value(&perceptual)),
            ("colors", value(&colors)),
            ("features", value(&features)),
            ("generator", value(&adversarial)),
            ("discriminator", value(&discriminating)),
        ];
        losses.extend(divergence.map(|divergence| ("divergence", value(&divergence))));
        losses
    }

    fn preview(&self) -> Option<Tensor> {
        let o = self.options;
        // Spread over the set, which may be in the order of a drive.
        let stride = (self.set.len() / PREVIEW).max(1);
        let some: Vec<i64> = (0..self.set.len()).step_by(stride as usize).take(PREVIEW as usize).collect();
        let set = self.set.select(&some);
        let labels = set.labels.to_kind(Kind::Int64).to_device(o.device);
        let style = to_input(&set.images, o.device, o.kind);
        let synthesized = tch::no_grad(|| self.network.synthesize(&labels, &style, o.kind, false).image);
        let synthesized = to_bytes(&synthesized);
        Some(Tensor::cat(&[set.images, synthesized.to_device(Device::Cpu)], 3))
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![
            Trainee { name: "g", vs: &self.vs, optimizer: &mut self.optimizer },
            Trainee { name: "d", vs: &self.discriminator_vs, optimizer: &mut self.discriminator_optimizer },
        ]
    }
}

/// Trains G on `set`, in sight of the frozen `m`. Returns G's parameters and the network.
pub fn train(
    set: &TensorSet,
    classes: i64,
    m: &dyn Segmenter,
    options: &Options,
    run: &Run,
) -> Result<(VarStore, Box<dyn Generator>), TrainError> {
    tch::manual_seed(options.seed as i64);
    let vs = VarStore::new(options.device);
    let network = options.network.build(&vs.root(), classes);
    let discriminator_vs = VarStore::new(options.device);
    let discriminator = Discriminator::new(&discriminator_vs.root(), classes, options.discriminator_width);
    let adam = AdamOptions { beta1: 0.5, ..AdamOptions::default() };
    let (optimizer, discriminator_optimizer) = (Adam::new(&vs, adam), Adam::new(&discriminator_vs, adam));
    let mut training = Trainer {
        vs,
        network,
        optimizer,
        discriminator_vs,
        discriminator,
        discriminator_optimizer,
        m,
        classes,
        set,
        batches: Batches::new(set, options.seed, options.device),
        options,
    };
    checkpoint::run(&mut training, run)?;
    Ok((training.vs, training.network))
}
