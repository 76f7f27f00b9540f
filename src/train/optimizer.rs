//! Optimizers whose state can be saved, so that a resumed training goes on as if never stopped.

use tch::Tensor;
use tch::nn::VarStore;

use crate::checkpoint::weights::Tensors;

/// Adam with decoupled weight decay (Loshchilov, Hutter, 2019).
#[derive(Debug)]
pub struct Adam {
    parameters: Vec<Parameter>,
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

#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    mean: Tensor,
    square: Tensor,
    share: f64,
}

impl Adam {
    /// For every trainable parameter of `vs`, in the order of their names.
    pub fn new(vs: &VarStore, options: AdamOptions) -> Self {
        let mut parameters: Vec<Parameter> = vs
            .variables()
            .into_iter()
            .filter(|(_, value)| value.requires_grad())
            .map(|(name, value)| {
                let (mean, square) = (value.zeros_like(), value.zeros_like());
                let slow = options.slow.is_some_and(|prefix| name.starts_with(prefix));
                let share = if slow { 0.25 } else { 1. };
                Parameter { name, mean: mean.detach(), square: square.detach(), value, share }
            })
            .collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        Self { parameters, options, steps: 0 }
    }

    /// Computes the gradients of `loss` for these parameters and takes one step of rate `rate`.
    pub fn step(&mut self, loss: &Tensor, rate: f64) {
        for p in &mut self.parameters {
            p.value.zero_grad();
        }
        loss.backward();
        self.steps += 1;
        let AdamOptions { beta1, beta2, weight_decay, .. } = self.options;
        let correction1 = 1. - beta1.powi(self.steps);
        let correction2 = 1. - beta2.powi(self.steps);
        tch::no_grad(|| {
            for p in &mut self.parameters {
                let rate = rate * p.share;
                let gradient = p.value.grad();
                if !gradient.defined() {
                    continue;
                }
                let _ = p.mean.lerp_(&gradient, 1. - beta1);
                let _ = p.square.g_mul_scalar_(beta2).addcmul_(&gradient, &gradient);
                if weight_decay > 0. && p.value.dim() > 1 {
                    let _ = p.value.g_mul_scalar_(1. - rate * weight_decay);
                }
                // square holds sum(beta2^k g^2): scaled by 1 - beta2 here rather than at each sum.
                let scale = ((1. - beta2) / correction2).sqrt();
                let denominator = p.square.sqrt().g_mul_scalar_(scale).g_add_scalar_(1e-8);
                let _ = p.value.g_add_(&(&p.mean / denominator * (-rate / correction1)));
            }
        });
    }

    /// The state, under `prefix`.
    pub(crate) fn state(&self, prefix: &str) -> Tensors {
        let mut tensors = Tensors::new();
        for p in &self.parameters {
            tensors.insert(format!("{prefix}mean/{}", p.name), p.mean.shallow_clone());
            tensors.insert(format!("{prefix}square/{}", p.name), p.square.shallow_clone());
        }
        tensors.insert(format!("{prefix}steps"), Tensor::from(i64::from(self.steps)));
        tensors
    }

    /// Restores what [`Adam::state`] gave; `None` names the first tensor that is missing.
    pub(crate) fn restore(&mut self, prefix: &str, tensors: &Tensors) -> Result<(), String> {
        let get = |name: String| tensors.get(&name).ok_or(name);
        for p in &mut self.parameters {
            p.mean.copy_(get(format!("{prefix}mean/{}", p.name))?);
            p.square.copy_(get(format!("{prefix}square/{}", p.name))?);
        }
        self.steps = get(format!("{prefix}steps"))?.int64_value(&[]) as i32;
        Ok(())
    }
}
