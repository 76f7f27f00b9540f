//! Trainer of the confidence branch: M is frozen and in inference mode; the branch learns the softmax
//! that M gives the true class of each pixel, by the mean square.

use rand::RngExt;
use tch::nn::VarStore;
use tch::{IndexOp, Kind, Tensor};

use super::{Lessons, Options, Train};
use crate::labels::IGNORE;
use crate::model::pixels::to_input;
use crate::network::baseline::tcp::{Config, Tcp, true_class_probability};
use crate::network::layers::spatial;
use crate::network::segmentation::Segmenter;
use crate::train::TrainError;
use crate::train::batch::{TensorSet, generator};
use crate::train::checkpoint::{self, Run, Task, Trainee};
use crate::train::degrade::degrade;
use crate::train::optimizer::{Adam, AdamOptions};
use crate::train::progress::poly;

/// Share of degraded images, that of F's examples.
const DEGRADED: f64 = 1. / 3.;

struct Trainer<'a> {
    vs: VarStore,
    branch: Tcp,
    optimizer: Adam,
    m: &'a dyn Segmenter,
    set: &'a TensorSet,
    degraded: bool,
    options: Options,
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let mut rng = generator(o.seed, step);
        let (mut images, mut labels) = (Vec::with_capacity(o.batch), Vec::with_capacity(o.batch));
        for _ in 0..o.batch {
            let index = rng.random_range(0..self.set.len());
            let (mut image, mut label) = (self.set.images.i(index), self.set.labels.i(index));
            if self.degraded && rng.random_bool(DEGRADED) {
                (image, label) = degrade(&image, &label, &mut rng);
            }
            if rng.random_bool(0.5) {
                (image, label) = (image.flip([-1]), label.flip([-1]));
            }
            images.push(image);
            labels.push(label);
        }
        let images = to_input(&Tensor::stack(&images, 0), o.device, o.kind);
        let labels = Tensor::stack(&labels, 0).to_kind(Kind::Int64).to_device(o.device);
        let size = spatial(&images);
        let (features, target) = tch::no_grad(|| {
            let segmented = self.m.forward(&images, false);
            let logits = self.m.resize_logits(&segmented.logits.to_kind(Kind::Float), size);
            (segmented.features, true_class_probability(&logits.softmax(1, Kind::Float), &labels))
        });
        let estimate = self.branch.forward(&features, size).squeeze_dim(1);
        let labelled = labels.ne(i64::from(IGNORE)).to_kind(Kind::Float);
        let squares = (estimate - target).square() * &labelled;
        let loss = squares.sum(Kind::Float) / labelled.sum(Kind::Float).clamp_min(1.);
        self.optimizer.step(&loss, o.rate * poly(share));
        vec![("square", loss.double_value(&[]))]
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "tcp", vs: &self.vs, optimizer: &mut self.optimizer }]
    }
}

impl Train for Config {
    /// On what M makes of the set, degraded for a part.
    fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError> {
        let segmenter = (lessons.segmenter)()?;
        let (m, set, degraded) = (&*segmenter.network, lessons.set, lessons.degraded);
        tch::manual_seed(options.seed as i64);
        let one = set.select(&[0]).images;
        let features = tch::no_grad(|| m.features(&to_input(&one, options.device, options.kind)));
        let vs = VarStore::new(options.device);
        let branch = Tcp::new(&vs.root(), self, features.size()[1]);
        let optimizer = Adam::new(&vs, AdamOptions::default());
        let mut training = Trainer { vs, branch, optimizer, m, set, degraded, options };
        checkpoint::run(&mut training, run)?;
        Ok(training.vs)
    }
}
