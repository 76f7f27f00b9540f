//! Training of G on ground-truth labels: hinge GAN, feature matching, and a perceptual distance in
//! the features of M, for it is M's features that the monitor compares later.

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::TrainError;
use super::batch::{Augmentation, TensorSet, draw, generator};
use super::checkpoint::{self, Run, Task, Trainee};
use super::discriminator::{Discriminator, feature_loss, judge_loss, painter_loss};
use super::optimizer::{Adam, AdamOptions};
use crate::model::pixels::{to_bytes, to_input};
use crate::network::layers::{channels_last, one_hot};
use crate::network::segmentation::Segmenter;
use crate::network::synthesis::{Generator, GeneratorConfig, Synthesized};

/// What to train and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: GeneratorConfig,
    /// Channels of the discriminator's first layer.
    pub judge_width: i64,
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
const WHOLE: Augmentation = Augmentation { zoom: (1., 1.25), color: 0., shrink: 1 };
/// A quarter of the picture at the same scale: four times the steps in the time.
const CROPS: Augmentation = Augmentation { shrink: 2, ..WHOLE };
/// Share of the training that is done on crops; the rest, on whole pictures, teaches the layout.
const ON_CROPS: f64 = 0.75;
/// Samples in the preview.
const PREVIEW: i64 = 6;

struct Training<'a> {
    vs: VarStore,
    network: Box<dyn Generator>,
    optimizer: Adam,
    judge_vs: VarStore,
    judge: Discriminator,
    judge_optimizer: Adam,
    m: &'a dyn Segmenter,
    classes: i64,
    set: &'a TensorSet,
    options: &'a Options,
}

/// Distance between M's features of two images, each depth by the mean size of its features.
fn perceptual_loss(m: &dyn Segmenter, real: &Tensor, painted: &Tensor) -> Tensor {
    let real = tch::no_grad(|| m.perceptual(real));
    let terms: Vec<Tensor> = real
        .iter()
        .zip(m.perceptual(painted))
        .map(|(r, p)| (r - p).abs().mean(Kind::Float) / (r.abs().mean(Kind::Float) + 1e-6))
        .collect();
    Tensor::stack(&terms, 0).mean(Kind::Float)
}

impl Training<'_> {
    fn judge_trains(&self, yes: bool) {
        for variable in self.judge_vs.trainable_variables() {
            let _ = variable.set_requires_grad(yes);
        }
    }
}

impl Task for Training<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let mut rng = generator(o.seed, step);
        let whole_only = o.network.fixed_size().is_some();
        let (images, labels) = if share < ON_CROPS && !whole_only {
            draw(self.set, o.batch, CROPS, &mut rng)
        } else {
            draw(self.set, (o.batch / 4).max(2), WHOLE, &mut rng)
        };
        let real = channels_last(&images.to_device(o.device)).to_kind(o.kind);
        let labels = labels.to_device(o.device);
        let one_hot = one_hot(&labels, self.classes, o.kind);

        let Synthesized { image: painted, divergence } =
            self.network.synthesize(&labels, &real, o.kind, true);
        let low = channels_last(&painted).to_kind(o.kind);
        // The painter's step needs gradients through the judge, not of it.
        self.judge_trains(false);
        let judged_real = tch::no_grad(|| self.judge.forward(&real, &one_hot, false));
        let judged = self.judge.forward(&low, &one_hot, false);
        let adversarial = painter_loss(&judged);
        let features = feature_loss(&judged_real, &judged);
        let perceptual = perceptual_loss(self.m, &real, &low);
        let colors = (&painted - real.to_kind(Kind::Float)).abs().mean(Kind::Float);
        let mut loss = &adversarial + &features * FEATURES + &perceptual * PERCEPTUAL + &colors * COLORS;
        if let Some(divergence) = &divergence {
            loss += divergence * DIVERGENCE;
        }
        // The rate stays for the first half and falls to zero in the second, as SPADE's.
        let rate = o.rate * (2. * (1. - share)).min(1.);
        self.optimizer.step(&loss, rate);
        self.judge_trains(true);

        let painted = low.detach();
        let judging = judge_loss(
            &self.judge.forward(&real, &one_hot, true),
            &self.judge.forward(&painted, &one_hot, true),
        );
        self.judge_optimizer.step(&judging, rate);
        let value = |t: &Tensor| t.double_value(&[]);
        let mut losses = vec![
            ("perceptual", value(&perceptual)),
            ("colors", value(&colors)),
            ("features", value(&features)),
            ("painter", value(&adversarial)),
            ("judge", value(&judging)),
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
        let painted = tch::no_grad(|| self.network.synthesize(&labels, &style, o.kind, false).image);
        let painted = to_bytes(&painted);
        Some(Tensor::cat(&[set.images, painted.to_device(Device::Cpu)], 3))
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![
            Trainee { name: "g", vs: &self.vs, optimizer: &mut self.optimizer },
            Trainee { name: "d", vs: &self.judge_vs, optimizer: &mut self.judge_optimizer },
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
    let judge_vs = VarStore::new(options.device);
    let judge = Discriminator::new(&judge_vs.root(), classes, options.judge_width);
    let adam = AdamOptions { beta1: 0.5, ..AdamOptions::default() };
    let (optimizer, judge_optimizer) = (Adam::new(&vs, adam), Adam::new(&judge_vs, adam));
    let mut training =
        Training { vs, network, optimizer, judge_vs, judge, judge_optimizer, m, classes, set, options };
    checkpoint::run(&mut training, run)?;
    Ok((training.vs, training.network))
}
