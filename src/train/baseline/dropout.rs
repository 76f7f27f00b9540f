//! Training of the regressor on M's dropout: on the class entropies that the folds' predictions hold.

use tch::nn::VarStore;

use super::{Lessons, Options, Train, regression};
use crate::network::baseline::dropout::Config;
use crate::train::TrainError;
use crate::train::checkpoint::Run;

impl Train for Config {
    fn train(&self, lessons: &Lessons, options: Options, run: &Run) -> Result<VarStore, TrainError> {
        let predictions = (lessons.predictions)()?;
        let features = &predictions.dropout;
        if bool::try_from(features.isnan().any()).unwrap_or(true) {
            return Err(TrainError::NoDropout);
        }
        tch::manual_seed(options.seed as i64);
        let vs = VarStore::new(options.device);
        let regressor = self.build(&vs.root(), options.classes);
        regression::train(features, &predictions, (&vs, &regressor), options, run)?;
        Ok(vs)
    }
}
