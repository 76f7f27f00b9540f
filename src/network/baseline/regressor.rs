//! From a few numbers about an image to the IoU of each class: a linear layer on standardized inputs.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::network::layers::Linear;

/// Least deviation that an input is divided by.
const LEAST: f64 = 1e-6;

/// The layer, with the mean and deviation of its inputs.
#[derive(Debug)]
pub struct Regressor {
    mean: Tensor,
    deviation: Tensor,
    linear: Linear,
}

impl Regressor {
    /// From `inputs` numbers to `outputs`.
    pub fn new(p: &Path, inputs: i64, outputs: i64) -> Self {
        Self {
            mean: p.zeros_no_train("mean", &[inputs]),
            deviation: p.ones_no_train("deviation", &[inputs]),
            linear: Linear::new(p / "linear", inputs, outputs),
        }
    }

    /// Takes mean and deviation from `N x inputs` examples.
    pub(crate) fn standardize(&self, examples: &Tensor) {
        let examples = examples.to_kind(Kind::Float);
        tch::no_grad(|| {
            self.mean.shallow_clone().copy_(&examples.mean_dim([0i64].as_slice(), false, Kind::Float));
            let deviation = examples.std_dim([0i64].as_slice(), false, false).clamp_min(LEAST);
            self.deviation.shallow_clone().copy_(&deviation);
        });
    }

    /// `N x inputs` to `N x outputs`, fp32.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.linear.forward(&((x.to_kind(Kind::Float) - &self.mean) / &self.deviation))
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn the_scale_of_an_input_does_not_matter() {
        let vs = VarStore::new(Device::Cpu);
        let regressor = Regressor::new(&vs.root(), 2, 3);
        let x = Tensor::from_slice(&[1f32, 5., 2., 5., 4., 5.]).view([3, 2]);
        regressor.standardize(&x);
        let before = regressor.forward(&x);
        assert_eq!(before.size(), [3, 3]);
        let scaled = &x * 1000.;
        regressor.standardize(&scaled);
        // The second input never varies, and is not divided by nothing.
        assert!((regressor.forward(&scaled) - before).abs().max().double_value(&[]) < 1e-4);
    }
}
