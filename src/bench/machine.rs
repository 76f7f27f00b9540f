//! The best rates of the machine.

use std::time::Duration;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::timed;
use crate::network::flops;
use crate::network::layers::{Conv2d, ConvOptions, channels_last};

/// Rates that no stage can exceed for long.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Machine {
    /// Of a big convolution (256 channels, 3x3, 64x128) in the precision of the networks.
    pub gflop_per_s: f64,
    /// Of a big copy (256 MB), reading and writing counted.
    pub gbyte_per_s: f64,
    /// Threads of libtorch.
    pub threads: i32,
}

const CHANNELS: i64 = 256;
const COPIED: i64 = 64 << 20;
const TURNS: usize = 20;

impl Machine {
    /// Measures, and takes the fastest of several turns: a turn that other work slows down is not the
    /// machine's best.
    pub fn measure(device: Device, kind: Kind) -> Self {
        let x = channels_last(&Tensor::rand([1, CHANNELS, 64, 128], (Kind::Float, device)).to_kind(kind));
        let weight = Tensor::rand([CHANNELS, CHANNELS, 3, 3], (Kind::Float, device)).to_kind(kind);
        let conv = Conv2d::of(weight, None, ConvOptions::same(3)).fold(kind);
        let from = Tensor::zeros([COPIED], (Kind::Float, device));
        let mut to = from.zeros_like();
        let (mut convolution, mut copy, mut done) = (Duration::MAX, Duration::MAX, 0);
        for _ in 0..TURNS {
            let ((_, flops), time) = timed(|| flops::count(|| finished(conv.forward(&x))));
            convolution = convolution.min(time);
            done = flops;
            let copied = || {
                to.copy_(&from);
                wait(device);
            };
            copy = copy.min(timed(copied).1);
        }
        Self {
            gflop_per_s: done as f64 / convolution.as_secs_f64() / 1e9,
            gbyte_per_s: (2 * 4 * COPIED) as f64 / copy.as_secs_f64() / 1e9,
            threads: tch::get_num_threads(),
        }
    }
}

/// A tensor once it is computed.
pub(crate) fn finished(tensor: Tensor) -> Tensor {
    wait(tensor.device());
    tensor
}

/// Waits until a GPU has done all that it was told to do.
fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}
