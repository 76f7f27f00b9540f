//! Trainer of F on the folds' predictions (Section 3.2 of the paper).

use std::path::PathBuf;

use rand::RngExt;
use tch::nn::VarStore;
use tch::{Device, Kind, Reduction, Tensor};

use super::TrainError;
use super::batch::generator;
use super::checkpoint::{self, Run, Task, Trainee};
use super::optimizer::{Adam, AdamOptions};
use super::outliers::{mark, with_own_vehicle};
use super::predictions::Predictions;
use super::progress::poly;
use super::segmentation;
use super::tone::recolored;
use crate::labels::IGNORE;
use crate::model::pixels::to_input;
use crate::network::comparison::{Comparator, ComparatorConfig, ComparatorInput, Compared};
use crate::network::layers::spatial;
use crate::network::softmax::Softmax;

/// What to train and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: ComparatorConfig,
    /// ImageNet weights for its encoder, of a network that takes them.
    pub pretrained: Option<PathBuf>,
    /// Whether M's logits are resized with aligned corners.
    pub align_corners: bool,
    /// Whether what is unlabelled from the lower edge upwards is the vehicle itself.
    pub sees_own_vehicle: bool,
    /// By how much the tones of x are changed at most, as F sees it; M's predictions are those of x as it was.
    pub color: f64,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Seed of all that is random.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// In which precision; parameters stay fp32.
    pub kind: Kind,
}

struct Trainer<'a> {
    vs: VarStore,
    network: Box<dyn Comparator>,
    optimizer: Adam,
    predictions: Predictions,
    options: &'a Options,
}

/// Losses of a batch: IoU (smooth L1 over the classes that occur), confidence (cross entropy over
/// labelled pixels), presence (cross entropy over classes) and, of a network that gives it, the posterior
/// (cross entropy over labelled pixels); of one that has learned the unknown, that (cross entropy over marked
/// pixels, things weighing more).
///
/// The reference code weights pixels by the square of M's own confidence: its network is scored
/// together with the softmax and looks after the rest. A network that `has_prior`, the softmax in it,
/// must be right everywhere.
fn losses(
    compared: &Compared,
    has_prior: bool,
    softmax: &Softmax,
    (labels, unknown): (&Tensor, &Tensor),
    (iou, present): (&Tensor, &Tensor),
) -> [Tensor; 5] {
    let none = || Tensor::zeros([], (Kind::Float, labels.device()));
    let confidence = compared.confidence.as_ref().map_or_else(none, |logits| {
        let msp = softmax.largest.squeeze_dim(1);
        let labelled = labels.ne(i64::from(IGNORE)).to_kind(Kind::Float);
        let right = softmax.labels.eq_tensor(labels).to_kind(Kind::Float);
        let logits = logits.squeeze_dim(1).to_kind(Kind::Float);
        let weight = if has_prior { labelled } else { msp.square() * labelled };
        logits.binary_cross_entropy_with_logits(&right, Some(&weight), None::<&Tensor>, Reduction::Mean)
    });
    let iou_loss = compared.iou.as_ref().map_or_else(none, |estimate| {
        (estimate * present).smooth_l1_loss(&(iou * present), Reduction::Mean, 1.)
    });
    let presence = compared.presence.as_ref().map_or_else(none, |logits| {
        let ids = Tensor::arange(logits.size()[1], (Kind::Int64, labels.device())).view([1, -1, 1]);
        let in_view = labels.flatten(1, -1).unsqueeze(1).eq_tensor(&ids).any_dim(-1, false);
        logits.binary_cross_entropy_with_logits(
            &in_view.to_kind(Kind::Float),
            None::<&Tensor>,
            None::<&Tensor>,
            Reduction::Mean,
        )
    });
    let posterior = compared.posterior.as_ref().map_or_else(none, |posterior| {
        posterior.clamp_min(SURE).log().nll_loss_nd(
            labels,
            None::<&Tensor>,
            Reduction::Mean,
            i64::from(IGNORE),
        )
    });
    let unknown = compared.unknown.as_ref().map_or_else(none, |logits| {
        let things = unknown.eq(i64::from(mark::UNKNOWN)).to_kind(Kind::Float);
        let counted = unknown.ne(i64::from(mark::IGNORED)).to_kind(Kind::Float);
        let weight = counted * (&things * (THING_WEIGHT - 1.) + 1.);
        logits.squeeze_dim(1).binary_cross_entropy_with_logits(
            &things,
            Some(&weight),
            None::<&Tensor>,
            Reduction::Mean,
        )
    });
    [iou_loss, confidence, presence, posterior, unknown]
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let (o, p) = (self.options, &self.predictions);
        let mut rng = generator(o.seed, step);
        let indices: Vec<i64> = (0..o.batch).map(|_| rng.random_range(0..p.len())).collect();
        let indices = Tensor::from_slice(&indices).to_device(p.images.device());
        let mirrored = rng.random_bool(0.5);
        let pick = |t: &Tensor| {
            let t = t.index_select(0, &indices);
            if mirrored && t.dim() > 2 { t.flip([-1]) } else { t }
        };
        let images = pick(&p.images);
        let seen = if o.color > 0. { recolored(&images, o.color, &mut rng) } else { images.shallow_clone() };
        let logits = pick(&p.logits).to_device(o.device);
        let softmax = Softmax::of(Predictions::softmax(&logits, spatial(&images), o.align_corners));
        let softmax = match &p.given {
            Some(given) => softmax.of_given(&pick(given).to_kind(Kind::Int64).to_device(o.device)),
            None => softmax,
        };
        let labels = pick(&p.labels).to_kind(Kind::Int64).to_device(o.device);
        let unknown = pick(&p.unknown).to_device(o.device);
        let unknown = if o.sees_own_vehicle { with_own_vehicle(&unknown, &labels) } else { unknown };
        let compared = self.network.forward(
            &ComparatorInput {
                image: &to_input(&seen, o.device, o.kind),
                synthesized: &|| to_input(&pick(&p.synths), o.device, o.kind),
                softmax: &softmax,
                disagreement: &|| pick(&p.disagreement).to_device(o.device),
            },
            true,
        );
        let truth = (&pick(&p.iou).to_device(o.device), &pick(&p.present).to_device(o.device));
        let [iou, confidence, presence, posterior, unknown] =
            losses(&compared, o.network.has_prior(), &softmax, (&labels, &unknown), truth);
        // Smooth L1 is a square near zero: IoU errors of a few points need the weight.
        let loss = &iou * IOU_WEIGHT + &confidence + presence + posterior + &unknown;
        self.optimizer.step(&loss, o.rate * poly(share));
        let mut losses = vec![("iou", iou.double_value(&[])), ("confidence", confidence.double_value(&[]))];
        if o.network.sees_unknown() {
            losses.push(("unknown", unknown.double_value(&[])));
        }
        losses
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "f", vs: &self.vs, optimizer: &mut self.optimizer }]
    }
}

/// Probability below which a loss grows no further.
const SURE: f64 = 1e-6;
const IOU_WEIGHT: f64 = 5.;
/// What a pixel of a thing weighs against one of a known class: there are few.
const THING_WEIGHT: f64 = 5.;

/// Trains F on `predictions`. Returns its parameters and the network.
pub fn train(
    predictions: &Predictions,
    classes: i64,
    options: &Options,
    run: &Run,
) -> Result<(VarStore, Box<dyn Comparator>), TrainError> {
    tch::manual_seed(options.seed as i64);
    let vs = VarStore::new(options.device);
    let network = options.network.build(&vs.root(), classes);
    if let Some(path) = &options.pretrained {
        segmentation::load_encoders(&vs, options.network.pretrained_encoders(), path)?;
    }
    let adam = AdamOptions { weight_decay: 0.01, slow: Some("encoder."), ..AdamOptions::default() };
    let optimizer = Adam::new(&vs, adam);
    let predictions = predictions.near(options.device);
    let mut training = Trainer { vs, network, optimizer, predictions, options };
    checkpoint::run(&mut training, run)?;
    Ok((training.vs, training.network))
}
