//! Trainer of the VAE alarm: the shape model on ground-truth label maps, then the regressor on how well
//! it repeats the folds' predictions.

use rand::RngExt;
use tch::nn::VarStore;
use tch::{IndexOp, Kind, Tensor};

use super::{Lessons, Options, Train, regression};
use crate::network::baseline::vae::{Config, VaeAlarm, dice_loss};
use crate::network::layers::spatial;
use crate::train::TrainError;
use crate::train::batch::{TensorSet, generator};
use crate::train::checkpoint::{self, Run, Task, Trainee};
use crate::train::optimizer::{Adam, AdamOptions};
use crate::train::predictions::Predictions;
use crate::train::progress::poly;

/// Weight of the divergence, a mean over the code, beside losses that are means over the map.
const DIVERGENCE: f64 = 0.01;
/// Predictions shown to the shape model at once.
const BATCH: i64 = 16;

struct Trainer<'a> {
    vs: &'a VarStore,
    network: &'a VaeAlarm,
    optimizer: Adam,
    set: &'a TensorSet,
    options: Options,
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let mut rng = generator(o.seed, step);
        let indices: Vec<i64> = (0..o.batch).map(|_| rng.random_range(0..self.set.len())).collect();
        let labels = self.set.labels.index_select(0, &Tensor::from_slice(&indices));
        let labels = if rng.random_bool(0.5) { labels.flip([-1]) } else { labels };
        let shapes = self.network.shapes(&labels.to_kind(Kind::Int64).to_device(o.device));
        let told = self.network.tell(&shapes, true);
        // Cells without label have no share of any class and ask for nothing.
        let entropy = -(&shapes * told.map.clamp_min(1e-6).log()).sum(Kind::Float) / shapes.sum(Kind::Float);
        let dice = dice_loss(&told.map, &shapes).mean(Kind::Float);
        let divergence = told.divergence.mean(Kind::Float);
        self.optimizer.step(&(&entropy + &dice + &divergence * DIVERGENCE), o.rate * poly(share));
        let value = |t: &Tensor| t.double_value(&[]);
        vec![("entropy", value(&entropy)), ("dice", value(&dice)), ("divergence", value(&divergence))]
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "vae", vs: self.vs, optimizer: &mut self.optimizer }]
    }
}

impl Train for Config {
    /// The shape model on the set's labels, then the regressor on the predictions.
    fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError> {
        let predictions = (lessons.predictions)()?;
        let alarm = Run { path: run.path.with_file_name("regressor.safetensors"), ..run.clone() };
        tch::manual_seed(options.seed as i64);
        let vs = VarStore::new(options.device);
        let network = VaeAlarm::new(&vs.root(), self, options.classes);
        let optimizer = Adam::new(&vs, AdamOptions::default());
        let mut training = Trainer { vs: &vs, network: &network, optimizer, set: lessons.set, options };
        checkpoint::run(&mut training, run)?;
        let features = features(&network, &predictions, lessons.align_corners, options);
        regression::train(&features, &predictions, (&vs, network.regressor()), options, &alarm)?;
        Ok(vs)
    }
}

/// What the shape model makes of every label map that M predicted.
fn features(network: &VaeAlarm, p: &Predictions, align_corners: bool, options: Options) -> Tensor {
    let size = spatial(&p.images);
    let batches = (0..p.len()).step_by(BATCH as usize).map(|start| {
        let logits = p.logits.i(start..(start + BATCH).min(p.len())).to_device(options.device);
        tch::no_grad(|| {
            network.features(&Predictions::softmax(&logits, size, align_corners).argmax(1, false))
        })
    });
    Tensor::cat(&batches.collect::<Vec<_>>(), 0)
}
