//! Convolutions, as they are trained and, once their weights are final, prepared for the CPU.

use std::borrow::Borrow;
use std::cell::RefCell;

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::convolution::{ConvOptions, Rectifier, convolve};
use super::prepared::Prepared;
use super::{channels_last, flops};

/// A two-dimensional convolution.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    options: ConvOptions,
    /// Whether the weights are final.
    settled: bool,
    /// The layer for the inputs last seen, once they are.
    prepared: RefCell<Option<Box<Prepared>>>,
}

impl Conv2d {
    /// Parameters `weight` (`outputs x inputs/groups x k x k`) and, where asked for, `bias`.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, inputs: i64, outputs: i64, options: ConvOptions) -> Self {
        let p = p.borrow();
        let k = options.kernel;
        let weight = p.var(
            "weight",
            &[outputs, inputs / options.groups, k, k],
            tch::nn::init::DEFAULT_KAIMING_UNIFORM,
        );
        let bias = options.bias.then(|| p.var("bias", &[outputs], Init::Const(0.)));
        Self { weight, bias, options, settled: false, prepared: RefCell::default() }
    }

    /// Of parameters that belong to no [`tch::nn::VarStore`].
    pub fn of(weight: Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Self {
        let bias = bias.map(Tensor::shallow_clone);
        Self { weight, bias, options, settled: false, prepared: RefCell::default() }
    }

    /// `N x inputs x H x W` to `N x outputs x H' x W'`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.rectified(x, Rectifier::Linear)
    }

    /// The same, and what follows it in one pass where that can be.
    pub fn rectified(&self, x: &Tensor, rectifier: Rectifier) -> Tensor {
        self.padded(x, self.options.padding, rectifier)
    }

    /// The same with another padding than the layer's own.
    pub(crate) fn padded(&self, x: &Tensor, padding: i64, rectifier: Rectifier) -> Tensor {
        let options = self.options.padding(padding);
        if !self.settled || x.requires_grad() {
            return rectifier.apply(convolve(x, &self.weight, self.bias.as_ref(), options));
        }
        let mut prepared = self.prepared.borrow_mut();
        if !prepared.as_ref().is_some_and(|prepared| prepared.is_for(x, padding)) {
            *prepared = Prepared::new(&self.weight, self.bias.as_ref(), options, x).map(Box::new);
        }
        match &*prepared {
            Some(prepared) => {
                let y = prepared.run(x, rectifier);
                flops::note(y.numel(), self.weight.size()[1..].iter().product());
                y
            }
            None => rectifier.apply(convolve(x, &self.weight, self.bias.as_ref(), options)),
        }
    }

    /// The weights are final: from now on the layer keeps them in the order that the CPU likes, and gradients do
    /// not reach them.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
        self.prepared.take();
    }

    /// The layer with weights that are final.
    pub(crate) fn settled(mut self) -> Self {
        self.settle();
        self
    }

    /// Multiplies each output by `scale` and adds `shift`, by other weights.
    pub(super) fn scale(&mut self, scale: &Tensor, shift: &Tensor) {
        let (weight, bias) = self.parameters();
        tch::no_grad(|| self.weight.copy_(&(weight * scale.view([-1, 1, 1, 1]))));
        self.bias = Some(bias * scale + shift);
    }

    /// The same with a row and a column of zeros before the kernel, apart from any training: with `n` zeros around `x`, it
    /// gives what this layer gives with `n` behind and `n - 1` before. They cost less than a copy of `x` with zeros.
    pub(crate) fn begun_with_zeros(&self) -> Self {
        let weight = self.weight.detach().constant_pad_nd([1, 0, 1, 0]);
        let bias = self.bias.as_ref().map(Tensor::detach);
        Self::of(weight, bias.as_ref(), ConvOptions { kernel: self.options.kernel + 1, ..self.options })
    }

    /// Weight and bias (zeros where there is none) in fp32, apart from any training.
    pub fn parameters(&self) -> (Tensor, Tensor) {
        let weight = self.weight.detach().to_kind(Kind::Float);
        let bias = match &self.bias {
            Some(bias) => bias.detach().to_kind(Kind::Float),
            None => Tensor::zeros([weight.size()[0]], (Kind::Float, weight.device())),
        };
        (weight, bias)
    }

    /// Starts the training of this layer from an output of zero.
    pub(crate) fn silence(&self) {
        tch::no_grad(|| drop(self.weight.shallow_clone().zero_()));
    }

    /// The same layer apart from any training, its parameters in `kind`, and the weight channels last, once
    /// and for all.
    pub fn fold(&self, kind: Kind) -> Self {
        let cast = |t: &Tensor| t.detach().to_kind(kind);
        let weight = channels_last(&cast(&self.weight));
        Self::of(weight, self.bias.as_ref().map(cast).as_ref(), self.options).settled()
    }

    /// Where the parameters are.
    pub fn device(&self) -> tch::Device {
        self.weight.device()
    }
}

impl Conv2d {
    /// The layer as a sum of `parts` layers, each over an equal share of the input channels; the
    /// bias goes to the first.
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let weights = self.weight.chunk(parts as i64, 1);
        let mut bias = self.bias.as_ref().map(Tensor::shallow_clone);
        weights.into_iter().map(|weight| Self::of(weight, bias.take().as_ref(), self.options)).collect()
    }
}
