//! Optimizers whose state can be saved, so that a resumed training goes on as if never stopped.

use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::checkpoint::weights::Tensors;

/// Adam with decoupled weight decay (Loshchilov, Hutter, 2019). All parameters lie in one row, so that a step is a
/// dozen operations and not a dozen for each of some hundred parameters: on a GPU, starting them would take longer
/// than the network.
#[derive(Debug)]
pub struct Adam {
    /// Views of `all`, in the order of their names.
    parameters: Vec<(String, Tensor)>,
    all: Tensor,
    mean: Tensor,
    square: Tensor,
    /// What each learns of the rate, and of that how much it decays.
    share: Tensor,
    decay: Tensor,
    options: AdamOptions,
    steps: i32,
}

/// Settings of [`Adam`].
#[derive(Clone, Copy, Debug)]
pub struct AdamOptions {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Parameters whose names begin like this learn at a quarter of the rate: a pretrained encoder.
    pub slow: Option<&'static str>,
    /// Weight decay a step, in units of the learning rate; weights of two dimensions and more only.
    pub weight_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, slow: None, weight_decay: 0. }
    }
}

impl Adam {
    /// For every trainable parameter of `vs`, in the order of their names. They are moved: what `vs` holds are views of
    /// the optimizer's row from here on.
    pub fn new(vs: &VarStore, options: AdamOptions) -> Self {
        let mut parameters: Vec<(String, Tensor)> =
            vs.variables().into_iter().filter(|(_, value)| value.requires_grad()).collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        let device = vs.device();
        tch::no_grad(|| {
            let row = |of: &dyn Fn(&str, &Tensor) -> Tensor| {
                let parts = parameters.iter().map(|(name, value)| of(name, value).flatten(0, -1));
                let parts: Vec<Tensor> = parts.chain([Tensor::zeros([0], (Kind::Float, device))]).collect();
                Tensor::cat(&parts, 0)
            };
            let all = row(&|_, value| value.detach());
            let share = row(&|name, value| {
                let is_slow = options.slow.is_some_and(|prefix| name.starts_with(prefix));
                value.full_like(if is_slow { 0.25 } else { 1. })
            });
            let decay = row(&|_, value| value.full_like(if value.dim() > 1 { 1. } else { 0. }))
                * &share
                * options.weight_decay;
            let parts = views(&all, &sizes_of(&parameters));
            for ((_, value), part) in parameters.iter_mut().zip(&parts) {
                value.set_data(part);
            }
            let (mean, square) = (all.zeros_like(), all.zeros_like());
            Self { parameters, all, mean, square, share, decay, options, steps: 0 }
        })
    }

    /// Computes the gradients of `loss` for these parameters and takes one step of rate `rate`.
    pub fn step(&mut self, loss: &Tensor, rate: f64) {
        let values: Vec<&Tensor> = self.parameters.iter().map(|(_, value)| value).collect();
        if values.is_empty() {
            return;
        }
        let gradients = Tensor::run_backward(&[loss], &values, false, false);
        self.steps += 1;
        let AdamOptions { beta1, beta2, weight_decay, .. } = self.options;
        let correction1 = 1. - beta1.powi(self.steps);
        let correction2 = 1. - beta2.powi(self.steps);
        tch::no_grad(|| {
            let part = |(gradient, value): (&Tensor, &&Tensor)| match gradient.defined() {
                true => gradient.flatten(0, -1),
                false => value.zeros_like().flatten(0, -1),
            };
            let parts: Vec<Tensor> = gradients.iter().zip(&values).map(part).collect();
            let gradient = Tensor::cat(&parts, 0);
            let _ = self.mean.lerp_(&gradient, 1. - beta1);
            let _ = self.square.g_mul_scalar_(beta2).addcmul_(&gradient, &gradient);
            if weight_decay > 0. {
                let _ = self.all.g_mul_(&(1. - &self.decay * rate));
            }
            // square holds sum(beta2^k g^2): scaled by 1 - beta2 here rather than at each sum. What the whole step is
            // multiplied with stands in the denominator.
            let scale = ((1. - beta2) / correction2).sqrt();
            let over = -correction1 / rate.max(LEAST_RATE);
            let denominator = self.square.sqrt().g_mul_scalar_(scale * over).g_add_scalar_(1e-8 * over);
            let _ = self.all.addcdiv_(&(&self.mean * &self.share), &denominator);
        });
    }

    /// The state, under `prefix`.
    pub(crate) fn state(&self, prefix: &str) -> Tensors {
        let mut tensors = Tensors::new();
        let sizes = sizes_of(&self.parameters);
        for (kind, row) in [("mean", &self.mean), ("square", &self.square)] {
            for ((name, _), part) in self.parameters.iter().zip(views(row, &sizes)) {
                tensors.insert(format!("{prefix}{kind}/{name}"), part);
            }
        }
        tensors.insert(format!("{prefix}steps"), Tensor::from(i64::from(self.steps)));
        tensors
    }

    /// Restores what [`Adam::state`] gave; `None` names the first tensor that is missing.
    pub(crate) fn restore(&mut self, prefix: &str, tensors: &Tensors) -> Result<(), String> {
        let get = |name: String| tensors.get(&name).ok_or(name);
        let sizes = sizes_of(&self.parameters);
        for (kind, row) in [("mean", &self.mean), ("square", &self.square)] {
            for ((name, _), mut part) in self.parameters.iter().zip(views(row, &sizes)) {
                part.copy_(get(format!("{prefix}{kind}/{name}"))?);
            }
        }
        self.steps = get(format!("{prefix}steps"))?.int64_value(&[]) as i32;
        Ok(())
    }
}

/// A rate that changes no fp32 number, and that can be divided by.
const LEAST_RATE: f64 = 1e-12;

/// The parts of a row, of these sizes one after the other.
fn views(row: &Tensor, sizes: &[Vec<i64>]) -> Vec<Tensor> {
    let mut start = 0;
    let part = |size: &Vec<i64>| {
        let length = size.iter().product();
        start += length;
        row.narrow(0, start - length, length).view(size.as_slice())
    };
    sizes.iter().map(part).collect()
}

fn sizes_of(parameters: &[(String, Tensor)]) -> Vec<Vec<i64>> {
    parameters.iter().map(|(_, value)| value.size()).collect()
}

#[cfg(test)]
mod tests {
    use tch::nn::Init;
    use tch::{Device, Reduction};

    use super::*;

    #[test]
    fn a_step_is_adam_with_decoupled_decay() {
        let vs = VarStore::new(Device::Cpu);
        let ones = Init::Const(1.);
        let slow = vs.root().sub("encoder").var("w", &[2, 1], ones);
        let plain = vs.root().var("w", &[1, 2], ones);
        let bias = vs.root().var("bias", &[2], ones);
        let unused = vs.root().var("unused", &[3], ones);
        let options = AdamOptions { weight_decay: 0.1, slow: Some("encoder."), ..AdamOptions::default() };
        let mut adam = Adam::new(&vs, options);
        for _ in 0..2 {
            let loss = (&slow * 2. + plain.transpose(0, 1) * -3. + bias.view([2, 1]) * 4.).sum(Kind::Float);
            adam.step(&loss, 0.01);
        }
        // Gradients that stay the same make every step as long as the rate, against their sign.
        let expected = |share: f64, sign: f64, decays: f64| {
            (0..2).fold(1., |value, _| value * (1. - 0.01 * share * 0.1 * decays) - 0.01 * share * sign)
        };
        let near = |value: &Tensor, expected: f64| {
            let apart = (value - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-6, "{value} for {expected}");
        };
        near(&slow, expected(0.25, 1., 1.));
        near(&plain, expected(1., -1., 1.));
        near(&bias, expected(1., 1., 0.));
        near(&unused, 1.);
        assert_eq!(vs.variables()["w"], plain, "what the store holds is what was trained");
    }

    #[test]
    fn its_state_goes_on_elsewhere() {
        let network = |start: f64| {
            let vs = VarStore::new(Device::Cpu);
            let w = vs.root().var("w", &[3], Init::Const(start));
            (Adam::new(&vs, AdamOptions::default()), vs, w)
        };
        let loss = |w: &Tensor| w.mse_loss(&Tensor::from_slice(&[1f32, -2., 3.]), Reduction::Mean);
        let (mut adam, _vs, w) = network(0.5);
        adam.step(&loss(&w), 0.1);
        let state = adam.state("f/");
        let (mut other, _other_vs, mut there) = network(0.);
        assert_eq!(other.restore("g/", &state), Err("g/mean/w".into()));
        other.restore("f/", &state).unwrap();
        tch::no_grad(|| there.copy_(&w));
        adam.step(&loss(&w), 0.1);
        other.step(&loss(&there), 0.1);
        assert_eq!(w, there);
    }
}
