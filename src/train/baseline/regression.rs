//! Trainer of a regressor: smooth L1 to the IoU of each class that occurs, as F's own estimate.

use rand::RngExt;
use tch::nn::VarStore;
use tch::{Reduction, Tensor};

use super::Options;
use crate::network::baseline::regressor::Regressor;
use crate::train::TrainError;
use crate::train::batch::generator;
use crate::train::checkpoint::{self, Run, Task, Trainee};
use crate::train::optimizer::{Adam, AdamOptions};
use crate::train::predictions::Predictions;
use crate::train::progress::poly;

struct Trainer<'a> {
    vs: &'a VarStore,
    regressor: &'a Regressor,
    optimizer: Adam,
    features: &'a Tensor,
    predictions: &'a Predictions,
    options: Options,
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let mut rng = generator(o.seed, step);
        let indices: Vec<i64> = (0..o.batch).map(|_| rng.random_range(0..self.predictions.len())).collect();
        let indices = Tensor::from_slice(&indices);
        let pick = |t: &Tensor| t.index_select(0, &indices).to_device(o.device);
        let (iou, present) = (pick(&self.predictions.iou), pick(&self.predictions.present));
        let estimate = self.regressor.forward(&pick(self.features));
        let loss = (estimate * &present).smooth_l1_loss(&(iou * &present), Reduction::Mean, 1.);
        self.optimizer.step(&loss, o.rate * poly(share));
        vec![("iou", loss.double_value(&[]))]
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "regressor", vs: self.vs, optimizer: &mut self.optimizer }]
    }
}

/// Trains `regressor`, whose parameters are in `vs`, to tell the IoUs of `predictions` from `features`,
/// a row of numbers for each; nothing else in `vs` changes.
pub fn train(
    features: &Tensor,
    predictions: &Predictions,
    (vs, regressor): (&VarStore, &Regressor),
    options: Options,
    run: &Run,
) -> Result<(), TrainError> {
    regressor.standardize(&features.to_device(options.device));
    let optimizer = Adam::new(vs, AdamOptions::default());
    let mut training = Trainer { vs, regressor, optimizer, features, predictions, options };
    checkpoint::run(&mut training, run)?;
    Ok(())
}
