//! Enlargement by a transposed convolution whose kernel is twice its stride wide, never trained.
//!
//! Each output lies under two inputs a side, so the operation is also an ordinary 2x2 convolution that gives
//! the `stride x stride` outputs of a place as channels. CPUs and GPUs have a fast way for that one with few
//! channels as well, while a transposed convolution of 19 channels took up to a third of M (docs/performance.md).

use tch::Tensor;

use super::{Conv2d, ConvOptions, flops, spatial};

/// The layer.
#[derive(Debug)]
pub(crate) struct Enlargement {
    /// `inputs x outputs x 2 stride x 2 stride`.
    kernel: Tensor,
    stride: i64,
    /// What is cut off each side of the output.
    padding: i64,
    /// The same as an ordinary convolution, once the kernel is final.
    folded: Option<Conv2d>,
}

impl Enlargement {
    /// Of a kernel that belongs to a [`tch::nn::VarStore`] and may still be loaded.
    ///
    /// # Panics
    /// Where the kernel is not twice as wide as an even stride, or `padding` is beyond the stride.
    pub fn new(kernel: Tensor, padding: i64) -> Self {
        let (rows, columns) = spatial(&kernel);
        let stride = rows / 2;
        assert!(
            rows == columns && rows == 2 * stride && padding <= stride,
            "{rows}x{columns}, padding {padding}"
        );
        Self { kernel, stride, padding, folded: None }
    }

    /// The kernel is final.
    pub fn fold(&mut self) {
        let [inputs, outputs, ..] = self.kernel.size()[..] else {
            unreachable!("a kernel has four dimensions")
        };
        let s = self.stride;
        // The first input of a place is the earlier one, which the later half of the kernel reaches.
        let taps = self.kernel.detach().view([inputs, outputs, 2, s, 2, s]).flip([2, 4]);
        let weight = taps.permute([1, 3, 5, 0, 2, 4]).reshape([outputs * s * s, inputs, 2, 2]);
        let options = ConvOptions { kernel: 2, ..ConvOptions::same(1) }.padding(1).no_bias();
        self.folded = Some(Conv2d::of(weight, None, options).settled());
    }

    /// `N x inputs x h x w` to `N x outputs x H x W`, H being `(h + 1) stride` less twice the padding.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (stride, padding) = (self.stride, self.padding);
        match &self.folded {
            Some(conv) => {
                let y = conv.forward(x).pixel_shuffle(stride);
                let (h, w) = spatial(&y);
                y.narrow(2, padding, h - 2 * padding).narrow(3, padding, w - 2 * padding)
            }
            None => {
                let (kernel, none) = (self.kernel.to_kind(x.kind()), None::<&Tensor>);
                flops::note(x.numel(), self.kernel.size()[1..].iter().product());
                x.conv_transpose2d(&kernel, none, [stride; 2], [padding; 2], [0, 0], 1, [1, 1])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn folded_it_gives_what_the_transposed_convolution_gives() {
        tch::manual_seed(1);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        for (stride, padding, inputs, outputs) in [(2, 0, 5, 5), (2, 1, 19, 3), (8, 4, 3, 19), (8, 0, 1, 1)] {
            let mut layer = Enlargement::new(random(&[inputs, outputs, 2 * stride, 2 * stride]), padding);
            let x = random(&[2, inputs, 3, 5]);
            let expected = layer.forward(&x);
            layer.fold();
            let found = layer.forward(&x);
            assert_eq!(found.size(), expected.size());
            assert_eq!(found.size()[2], 4 * stride - 2 * padding);
            let apart = (&found - &expected).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "stride {stride}, padding {padding}: {apart}");
        }
    }
}
