//! Training of another F: as the bundle's own.

use tch::nn::VarStore;

use super::{Lessons, Options, Train};
use crate::network::baseline::Baseline;
use crate::network::baseline::compared::Config;
use crate::train::checkpoint::Run;
use crate::train::{TrainError, comparison};

impl Train for Config {
    fn train(&self, lessons: &Lessons, o: Options, run: &Run) -> Result<VarStore, TrainError> {
        let options = comparison::Options {
            network: self.network.clone(),
            pretrained: lessons.pretrained.filter(|_| self.takes_pretrained()).map(Into::into),
            align_corners: lessons.align_corners,
            sees_own_vehicle: lessons.sees_own_vehicle,
            color: lessons.color,
            batch: o.batch,
            rate: o.rate,
            seed: o.seed,
            device: o.device,
            kind: o.kind,
        };
        Ok(comparison::train(&(lessons.predictions)()?, o.classes, &options, run)?.0)
    }
}
