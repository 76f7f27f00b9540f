//! Layers that keep fp32 parameters and compute in the precision of their input.
//!
//! libtorch has no automatic mixed precision on the CPU, so a convolution casts its weight to the
//! input's kind (a no-op at run time, when [`crate::checkpoint::weights::cast`] has done so once), and batch
//! norm keeps fp32 statistics whatever passes through it.

mod conv;
mod convolution;
mod enlargement;
mod prepared;

use std::borrow::Borrow;

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

pub use self::conv::Conv2d;
pub use self::convolution::{ConvOptions, Rectifier, convolve};
pub(crate) use self::enlargement::Enlargement;
use super::flops;

/// Rearranges the memory of an `N x C x H x W` tensor so that channels lie next to each other; the
/// shape stays. Convolutions keep this order from input to output.
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Bilinear resize with half-pixel centres (`align_corners` false) or aligned corners.
pub(crate) fn resize_bilinear(x: &Tensor, size: (i64, i64), align_corners: bool) -> Tensor {
    let (h, w) = spatial(x);
    if (h, w) == size {
        x.shallow_clone()
    } else {
        x.upsample_bilinear2d([size.0, size.1], align_corners, None, None)
    }
}

/// Slope of every leaky ReLU for negative values.
pub(crate) const SLOPE: f64 = 0.2;

/// Leaky ReLU, from two operations whose gradients are cheap.
pub(crate) fn leaky_relu(x: &Tensor) -> Tensor {
    x * SLOPE + x.relu() * (1. - SLOPE)
}

/// Each channel of each image to mean 0 and variance 1, without parameters.
pub(crate) fn instance_norm(x: &Tensor) -> Tensor {
    let none: Option<&Tensor> = None;
    Tensor::instance_norm(x, none, none, none, none, true, 0.1, 1e-5, false)
}

/// Labels `N x H x W` as `N x classes x H x W` of ones and zeros, channels last; a pixel without
/// label (255) is all zeros.
pub(crate) fn one_hot(labels: &Tensor, classes: i64, kind: Kind) -> Tensor {
    let ids = Tensor::arange(classes, (labels.kind(), labels.device())).view([1, 1, 1, -1]);
    labels.unsqueeze(-1).eq_tensor(&ids).to_kind(kind).permute([0, 3, 1, 2])
}

/// A constant a channel, as a row that broadcasts over `x`.
fn row(values: [f64; 3], x: &Tensor) -> Tensor {
    Tensor::from_slice(&values).to_kind(x.kind()).view([1, 3, 1, 1]).to_device(x.device())
}

/// RGB in \[0, 1\] less `mean`, over `std`, channel by channel, in the kind of `x`.
pub(crate) fn normalize(x: &Tensor, mean: [f64; 3], std: [f64; 3]) -> Tensor {
    (x - row(mean, x)) / row(std, x)
}

/// Parts and standard deviations of ImageNet's channels, as torchvision's networks expect them.
pub(crate) const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Height and width.
pub fn spatial(x: &Tensor) -> (i64, i64) {
    let size = x.size();
    (size[size.len() - 2], size[size.len() - 1])
}

/// Batch normalization over N, H, W.
#[derive(Debug)]
pub(crate) struct BatchNorm2d {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running_mean: Tensor,
    running_var: Tensor,
    eps: f64,
    momentum: f64,
    /// Whether the convolution before has taken the norm over.
    folded: bool,
}

impl BatchNorm2d {
    /// With scale and shift, `eps` 1e-5 and `momentum` 0.1.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, channels: i64) -> Self {
        Self::with(p, channels, true, 1e-5, 0.1)
    }

    /// `affine` adds `weight` and `bias`; `momentum` is the share of a new batch in the statistics.
    pub fn with<'a>(p: impl Borrow<Path<'a>>, channels: i64, affine: bool, eps: f64, momentum: f64) -> Self {
        let p = p.borrow();
        Self {
            weight: affine.then(|| p.var("weight", &[channels], Init::Const(1.))),
            bias: affine.then(|| p.var("bias", &[channels], Init::Const(0.))),
            running_mean: p.zeros_no_train("running_mean", &[channels]),
            running_var: p.ones_no_train("running_var", &[channels]),
            eps,
            momentum,
            folded: false,
        }
    }

    /// The statistics, weight and bias as `x * scale + shift` for each channel, fp32.
    pub(crate) fn scale_shift(&self) -> (Tensor, Tensor) {
        let scale = (&self.running_var + self.eps).rsqrt();
        let scale =
            self.weight.as_ref().map_or_else(|| scale.shallow_clone(), |weight| weight.detach() * &scale);
        let shift = -&self.running_mean * &scale;
        let shift = self.bias.as_ref().map_or_else(|| shift.shallow_clone(), |bias| bias.detach() + &shift);
        (scale, shift)
    }

    /// Has `conv`, whose output this normalizes, do it by its weights from now on: for inference with
    /// statistics that are final. One pass over memory less.
    pub(crate) fn fold_into(&mut self, conv: &mut Conv2d) {
        let (scale, shift) = self.scale_shift();
        conv.scale(&scale, &shift);
        conv.settle();
        self.folded = true;
    }

    /// ReLU of the norm of `conv` of `x`, in one pass where the convolution has taken the norm over.
    pub fn rectified(&self, conv: &Conv2d, x: &Tensor, train: bool) -> Tensor {
        match self.folded {
            true => conv.rectified(x, Rectifier::Relu),
            false => self.forward(&conv.forward(x), train).relu_(),
        }
    }

    /// Normalizes by the batch when training (and learns the statistics), by the statistics otherwise.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        if self.folded {
            assert!(!train, "a folded norm has no statistics to learn");
            return x.shallow_clone();
        }
        Tensor::batch_norm(
            x,
            self.weight.as_ref(),
            self.bias.as_ref(),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            self.momentum,
            self.eps,
            false,
        )
    }
}

/// A linear layer.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Parameters `weight` (`outputs x inputs`) and `bias`.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, inputs: i64, outputs: i64) -> Self {
        let p = p.borrow();
        Self {
            weight: p.var("weight", &[outputs, inputs], tch::nn::init::DEFAULT_KAIMING_UNIFORM),
            bias: p.var("bias", &[outputs], Init::Const(0.)),
        }
    }

    /// The same layer apart from any training.
    pub fn fold(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach() }
    }

    /// How many numbers it takes.
    pub fn inputs(&self) -> i64 {
        self.weight.size()[1]
    }

    /// `N x inputs` to `N x outputs`, always in fp32.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.to_kind(Kind::Float).linear(&self.weight.to_kind(Kind::Float), Some(&self.bias))
    }
}

/// A convolution under spectral normalization (Miyato et al., 2018): the weight is divided by its
/// largest singular value, estimated by one power iteration a training step.
#[derive(Debug)]
pub(crate) struct SpectralConv2d {
    weight_orig: Tensor,
    weight_u: Tensor,
    weight_v: Tensor,
    bias: Option<Tensor>,
    options: ConvOptions,
}

impl SpectralConv2d {
    /// Parameters `weight_orig`, `weight_u` (outputs), `weight_v` (inputs k k) and, where asked for, `bias`.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, inputs: i64, outputs: i64, options: ConvOptions) -> Self {
        let p = p.borrow();
        let k = options.kernel;
        let columns = inputs / options.groups * k * k;
        let bias = options.bias.then(|| p.var("bias", &[outputs], Init::Const(0.)));
        Self {
            weight_orig: p.var(
                "weight_orig",
                &[outputs, inputs / options.groups, k, k],
                tch::nn::init::DEFAULT_KAIMING_UNIFORM,
            ),
            weight_u: p.add("weight_u", direction(p, outputs), false),
            weight_v: p.add("weight_v", direction(p, columns), false),
            bias,
            options,
        }
    }

    /// `N x inputs x H x W` to `N x outputs x H' x W'`; `train` refines the estimate of the norm.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let matrix = self.weight_orig.to_kind(Kind::Float).flatten(1, -1);
        let sigma = spectral_norm(&matrix, &self.weight_u, &self.weight_v, train);
        convolve(x, &(&self.weight_orig / sigma), self.bias.as_ref(), self.options)
    }

    /// The layer with its weight divided once and for all, in `kind`.
    pub fn fold(&self, kind: Kind) -> Conv2d {
        let weight = self.weight_orig.detach().to_kind(Kind::Float);
        let sigma = self.weight_u.dot(&weight.flatten(1, -1).mv(&self.weight_v));
        Conv2d::of(weight / sigma, self.bias.as_ref(), self.options).fold(kind)
    }
}

/// Largest singular value of `matrix` along the directions `u` and `v`, which `train` refines.
fn spectral_norm(matrix: &Tensor, u: &Tensor, v: &Tensor, train: bool) -> Tensor {
    if train {
        tch::no_grad(|| {
            let normalized = |t: Tensor| &t / (t.norm() + 1e-12);
            v.shallow_clone().copy_(&normalized(matrix.tr().mv(u)));
            u.shallow_clone().copy_(&normalized(matrix.mv(v)));
        });
    }
    // Copies, so that a later forward in the same step may refine u and v under autograd's eyes.
    u.copy().dot(&matrix.mv(&v.copy()))
}

/// A transposed 3x3 convolution without bias that doubles the size, under spectral normalization.
#[derive(Debug)]
pub(crate) struct SpectralDoubling {
    weight_orig: Tensor,
    weight_u: Tensor,
    weight_v: Tensor,
}

impl SpectralDoubling {
    /// Parameters `weight_orig` (`inputs x outputs x 3 x 3`), `weight_u` (outputs), `weight_v` (9 inputs).
    pub fn new<'a>(p: impl Borrow<Path<'a>>, inputs: i64, outputs: i64) -> Self {
        let p = p.borrow();
        let shape = [inputs, outputs, 3, 3];
        Self {
            weight_orig: p.var("weight_orig", &shape, tch::nn::init::DEFAULT_KAIMING_UNIFORM),
            weight_u: p.add("weight_u", direction(p, outputs), false),
            weight_v: p.add("weight_v", direction(p, 9 * inputs), false),
        }
    }

    /// `N x inputs x H x W` to `N x outputs x 2H x 2W`; `train` refines the estimate of the norm.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        // The norm is that of the matrix with a row for each output.
        let matrix = self.weight_orig.to_kind(Kind::Float).transpose(0, 1).flatten(1, -1);
        let sigma = spectral_norm(&matrix, &self.weight_u, &self.weight_v, train);
        let weight = (&self.weight_orig / sigma).to_kind(x.kind());
        flops::note(x.numel(), weight.size()[1..].iter().product());
        x.conv_transpose2d(&weight, None::<&Tensor>, [2, 2], [1, 1], [1, 1], 1, [1, 1])
    }
}

/// A random direction in `n` dimensions.
fn direction(p: &Path, n: i64) -> Tensor {
    let t = Tensor::randn([n], (Kind::Float, p.device()));
    &t / t.norm()
}
