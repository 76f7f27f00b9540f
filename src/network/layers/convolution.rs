//! What a convolution computes: its shape, and the operation itself, layer or not.

use tch::Tensor;

use super::flops;

/// The shape of a convolution beyond its channel counts.
#[derive(Clone, Copy, Debug)]
pub struct ConvOptions {
    /// Side of the square kernel.
    pub kernel: i64,
    /// Step between outputs.
    pub stride: i64,
    /// Zeros added on each side.
    pub padding: i64,
    /// Step between taps.
    pub dilation: i64,
    /// Groups; equal to the channels for a depthwise convolution.
    pub groups: i64,
    /// Whether a bias is added.
    pub bias: bool,
}

impl ConvOptions {
    /// A kernel that keeps the size: odd side, stride 1.
    pub const fn same(kernel: i64) -> Self {
        Self { kernel, stride: 1, padding: kernel / 2, dilation: 1, groups: 1, bias: true }
    }

    /// With another stride.
    pub const fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// With another padding.
    pub const fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    /// With dilated taps, padded so that the size stays.
    pub(crate) const fn dilated(self, dilation: i64) -> Self {
        Self { dilation, padding: dilation * (self.kernel / 2), ..self }
    }

    /// With `groups` groups.
    pub const fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// Without bias, as before a norm.
    pub(crate) const fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

/// What follows a convolution, pixel by pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectifier {
    /// Nothing.
    Linear,
    /// What is negative becomes 0.
    Relu,
    /// And what is above 6 becomes 6.
    Relu6,
}

impl Rectifier {
    /// In place, where nothing else needs `x`.
    pub(super) fn apply(self, mut x: Tensor) -> Tensor {
        match self {
            Self::Linear => x,
            Self::Relu => x.relu_(),
            Self::Relu6 => x.relu6_(),
        }
    }
}

/// Convolves in the kind of `x`.
pub fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, o: ConvOptions) -> Tensor {
    let kind = x.kind();
    let pair = |v| [v, v];
    let y = x.conv2d(
        &weight.to_kind(kind),
        bias.map(|b| b.to_kind(kind)),
        pair(o.stride),
        pair(o.padding),
        pair(o.dilation),
        o.groups,
    );
    flops::note(y.numel(), weight.size()[1..].iter().product());
    y
}
