//! Trainer of the auto-encoder: the mean square of the colours that were lost.

use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::{Lessons, Options, Train};
use crate::model::pixels::{to_bytes, to_input};
use crate::network::baseline::autoencoder::{Autoencoder, Config};
use crate::network::layers::channels_last;
use crate::train::TrainError;
use crate::train::batch::{Augmentation, TensorSet, draw, generator};
use crate::train::checkpoint::{self, Run, Task, Trainee};
use crate::train::optimizer::{Adam, AdamOptions};
use crate::train::progress::poly;

const AUGMENTATION: Augmentation = Augmentation { zoom: (1., 1.25), color: 0., crop: None };
/// Samples in the preview.
const PREVIEW: i64 = 6;

struct Trainer<'a> {
    vs: VarStore,
    network: Autoencoder,
    optimizer: Adam,
    set: &'a TensorSet,
    options: Options,
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let (images, _) = draw(self.set, o.batch, AUGMENTATION, &mut generator(o.seed, step));
        let images = channels_last(&images.to_device(o.device)).to_kind(o.kind);
        let loss = self.network.error(&images, true).mean(Kind::Float);
        self.optimizer.step(&loss, o.rate * poly(share));
        vec![("square", loss.double_value(&[]))]
    }

    fn preview(&self) -> Option<Tensor> {
        let some: Vec<i64> = (0..self.set.len().min(PREVIEW)).collect();
        let images = self.set.select(&some).images;
        let input = to_input(&images, self.options.device, self.options.kind);
        let told = tch::no_grad(|| to_bytes(&self.network.forward(&input, false)));
        Some(Tensor::cat(&[images, told.to_device(tch::Device::Cpu)], 3))
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "autoencoder", vs: &self.vs, optimizer: &mut self.optimizer }]
    }
}

impl Train for Config {
    /// On the images of the set.
    fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError> {
        tch::manual_seed(options.seed as i64);
        let vs = VarStore::new(options.device);
        let network = Autoencoder::new(&vs.root(), self);
        let optimizer = Adam::new(&vs, AdamOptions::default());
        let mut training = Trainer { vs, network, optimizer, set: lessons.set, options };
        checkpoint::run(&mut training, run)?;
        Ok(training.vs)
    }
}
