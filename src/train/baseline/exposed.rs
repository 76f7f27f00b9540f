//! Trainer of the classifier that is exposed to outliers: cross entropy on labelled pixels, and on those of things
//! the cross entropy with a flat softmax. M is frozen and in inference mode.

use rand::RngExt;
use tch::nn::VarStore;
use tch::{Kind, Reduction, Tensor};

use super::{Lessons, Options, Train};
use crate::labels::IGNORE;
use crate::model::pixels::to_input;
use crate::network::baseline::exposed::{Classifier, Config};
use crate::network::layers::{resize_bilinear, spatial};
use crate::network::segmentation::Segmenter;
use crate::train::TrainError;
use crate::train::batch::{TensorSet, generator};
use crate::train::checkpoint::{self, Run, Task, Trainee};
use crate::train::optimizer::{Adam, AdamOptions};
use crate::train::outliers::{Exposed, Outliers, mark};
use crate::train::progress::poly;

/// Weight of the outliers' loss: the authors'.
const OUTLIERS: f64 = 0.5;

struct Trainer<'a> {
    vs: VarStore,
    classifier: Classifier,
    optimizer: Adam,
    m: &'a dyn Segmenter,
    set: &'a TensorSet,
    outliers: Outliers,
    options: Options,
}

impl Task for Trainer<'_> {
    fn step(&mut self, step: u64, share: f64) -> Vec<(&'static str, f64)> {
        let o = self.options;
        let mut rng = generator(o.seed, step);
        let exposed: Vec<Exposed> = (0..o.batch)
            .map(|_| {
                let index = rng.random_range(0..self.set.len());
                self.outliers.expose(self.set, index, &mut rng)
            })
            .collect();
        let stack =
            |of: fn(&Exposed) -> &Tensor| Tensor::stack(&exposed.iter().map(of).collect::<Vec<_>>(), 0);
        let images = to_input(&stack(|e| &e.image), o.device, o.kind);
        let labels = stack(|e| &e.labels).to_kind(Kind::Int64).to_device(o.device);
        let things =
            stack(|e| &e.unknown).to_device(o.device).eq(i64::from(mark::UNKNOWN)).to_kind(Kind::Float);
        let features = tch::no_grad(|| self.m.features(&images));
        let logits = self.classifier.forward(&features).to_kind(Kind::Float);
        let log = resize_bilinear(&logits, spatial(&labels), false).log_softmax(1, Kind::Float);
        let known = log.nll_loss_nd(&labels, None::<&Tensor>, Reduction::Mean, i64::from(IGNORE));
        // Cross entropy with a flat softmax: the mean over the classes.
        let flat = -log.mean_dim([1i64].as_slice(), false, Kind::Float);
        let unknown = (flat * &things).sum(Kind::Float) / things.sum(Kind::Float).clamp_min(1.);
        self.optimizer.step(&(&known + &unknown * OUTLIERS), o.rate * poly(share));
        vec![("known", known.double_value(&[])), ("unknown", unknown.double_value(&[]))]
    }

    fn trainees(&mut self) -> Vec<Trainee<'_>> {
        vec![Trainee { name: "exposed", vs: &self.vs, optimizer: &mut self.optimizer }]
    }
}

impl Train for Config {
    /// On the training images of M, things pasted into them as into those of the folds.
    fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError> {
        let outliers = (lessons.outliers)()?.ok_or_else(|| {
            TrainError::Recipe(
                "a classifier that is exposed to outliers needs 'outliers' in the recipe".into(),
            )
        })?;
        let segmenter = (lessons.segmenter)()?;
        let (m, set) = (&*segmenter.network, lessons.set);
        tch::manual_seed(options.seed as i64);
        let one = set.select(&[0]).images;
        let features = tch::no_grad(|| m.features(&to_input(&one, options.device, options.kind)));
        let vs = VarStore::new(options.device);
        let classifier = Classifier::new(&vs.root(), self, features.size()[1], options.classes);
        let optimizer = Adam::new(&vs, AdamOptions::default());
        let mut training = Trainer { vs, classifier, optimizer, m, set, outliers, options };
        checkpoint::run(&mut training, run)?;
        Ok(training.vs)
    }
}
