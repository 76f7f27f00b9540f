//! Optimizers whose state can be saved, so that a resumed training goes on as if never stopped.

use std::collections::BTreeMap;

use tch::Tensor;
use tch::nn::VarStore;

use crate::checkpoint::weights::Tensors;

/// Adam with decoupled weight decay (Loshchilov, Hutter, 2019). Parameters that learn alike lie in one row, so that a
/// step is some dozen operations and not that many for each of some hundred parameters.
#[derive(Debug)]
pub struct Adam {
    rows: Vec<Row>,
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

/// Parameters that learn alike, one after the other.
#[derive(Debug)]
struct Row {
    /// Views of `all`, in the order of their names.
    parameters: Vec<(String, Tensor)>,
    all: Tensor,
    mean: Tensor,
    square: Tensor,
    /// What they learn of the rate.
    share: f64,
    /// What they decay in a step, in units of their rate.
    decay: f64,
}

impl Row {
    fn new(mut parameters: Vec<(String, Tensor)>, share: f64, decay: f64) -> Self {
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        let all = flat(parameters.iter().map(|(_, value)| value.detach()));
        let parts = parts(&all, &parameters);
        for ((_, value), part) in parameters.iter_mut().zip(&parts) {
            value.set_data(part);
        }
        let (mean, square) = (all.zeros_like(), all.zeros_like());
        Self { parameters, all, mean, square, share, decay }
    }

    /// What the state holds, by name: a view of it.
    fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let named = |(kind, row): (&str, &Tensor)| {
            let name = |(name, part)| (format!("{prefix}{kind}/{name}"), part);
            let names = self.parameters.iter().map(|(name, _)| name);
            names.zip(parts(row, &self.parameters)).map(name).collect::<Vec<_>>()
        };
        [("mean", &self.mean), ("square", &self.square)].into_iter().flat_map(named).collect()
    }
}

/// Tensors as one row.
fn flat(tensors: impl Iterator<Item = Tensor>) -> Tensor {
    Tensor::cat(&tensors.map(|tensor| tensor.flatten(0, -1)).collect::<Vec<_>>(), 0)
}

/// The parts of a row that belong to these parameters.
fn parts(row: &Tensor, parameters: &[(String, Tensor)]) -> Vec<Tensor> {
    let lengths: Vec<i64> = parameters.iter().map(|(_, value)| value.numel() as i64).collect();
    let parts = row.split_with_sizes(lengths, 0);
    parts.iter().zip(parameters).map(|(part, (_, value))| part.view_as(value)).collect()
}

/// What parameters of slow names learn of the rate.
const SLOW: f64 = 0.25;
/// A rate that changes no fp32 number, and that can be divided by.
const LEAST_RATE: f64 = 1e-12;

impl Adam {
    /// For every trainable parameter of `vs`. They are moved: what `vs` holds are views of the optimizer's rows from
    /// here on.
    pub fn new(vs: &VarStore, options: AdamOptions) -> Self {
        let is_slow = |name: &str| options.slow.is_some_and(|prefix| name.starts_with(prefix));
        let mut alike = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in vs.variables().into_iter().filter(|(_, value)| value.requires_grad()) {
            alike.entry((is_slow(&name), value.dim() > 1)).or_default().push((name, value));
        }
        let row = |((is_slow, decays), parameters)| {
            let share = if is_slow { SLOW } else { 1. };
            Row::new(parameters, share, if decays { options.weight_decay } else { 0. })
        };
        Self { rows: tch::no_grad(|| alike.into_iter().map(row).collect()), options, steps: 0 }
    }

    /// Computes the gradients of `loss` for these parameters and takes one step of rate `rate`.
    pub fn step(&mut self, loss: &Tensor, rate: f64) {
        let values = self.rows.iter().flat_map(|row| &row.parameters).map(|(_, value)| value);
        let gradients = Tensor::run_backward(&[loss], &values.collect::<Vec<_>>(), false, false);
        let mut gradients = gradients.into_iter();
        self.steps += 1;
        let AdamOptions { beta1, beta2, .. } = self.options;
        let correction1 = 1. - beta1.powi(self.steps);
        let correction2 = 1. - beta2.powi(self.steps);
        tch::no_grad(|| {
            for row in &mut self.rows {
                let rate = (rate * row.share).max(LEAST_RATE);
                let found = |((_, value), gradient): (&(String, Tensor), Tensor)| match gradient.defined() {
                    true => gradient,
                    false => value.zeros_like(),
                };
                let gradient = flat(row.parameters.iter().zip(&mut gradients).map(found));
                let _ = row.mean.lerp_(&gradient, 1. - beta1);
                let _ = row.square.g_mul_scalar_(beta2).addcmul_(&gradient, &gradient);
                if row.decay > 0. {
                    let _ = row.all.g_mul_scalar_(1. - rate * row.decay);
                }
                // square holds sum(beta2^k g^2): scaled by 1 - beta2 here rather than at each sum. What the whole
                // step is multiplied with stands in the denominator.
                let scale = ((1. - beta2) / correction2).sqrt();
                let over = -correction1 / rate;
                let denominator = row.square.sqrt().g_mul_scalar_(scale * over).g_add_scalar_(1e-8 * over);
                let _ = row.all.addcdiv_(&row.mean, &denominator);
            }
        });
    }

    /// The state, under `prefix`.
    pub(crate) fn state(&self, prefix: &str) -> Tensors {
        let mut tensors: Tensors = self.rows.iter().flat_map(|row| row.state(prefix)).collect();
        tensors.insert(format!("{prefix}steps"), Tensor::from(i64::from(self.steps)));
        tensors
    }

    /// Restores what [`Adam::state`] gave; `None` names the first tensor that is missing.
    pub(crate) fn restore(&mut self, prefix: &str, tensors: &Tensors) -> Result<(), String> {
        let get = |name: String| tensors.get(&name).ok_or(name);
        for (name, mut part) in self.rows.iter().flat_map(|row| row.state(prefix)) {
            part.copy_(get(name)?);
        }
        self.steps = get(format!("{prefix}steps"))?.int64_value(&[]) as i32;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::Init;
    use tch::{Device, Kind, Reduction};

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
