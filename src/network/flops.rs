//! Counts floating-point operations as the layers do them.
//!
//! A count follows what ran, not a formula of the network: memoised layers do as much as the label map
//! makes them. One addition and one multiplication are two operations; what is bound by memory
//! (activations, norms, resizing) is left out, as is usual.

use std::cell::Cell;

thread_local! {
    static DONE: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` and counts the operations that this thread's layers did in it.
pub fn count<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = DONE.get();
    let result = work();
    (result, DONE.get() - before)
}

/// Notes `outputs` numbers that are sums of `terms` products each.
pub(crate) fn note(outputs: usize, terms: i64) {
    DONE.set(DONE.get() + 2 * outputs as u64 * terms as u64);
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use crate::network::layers::{Conv2d, ConvOptions};

    #[test]
    fn a_convolution_is_counted_by_hand() {
        let weight = Tensor::zeros([8, 2, 3, 3], (Kind::Float, Device::Cpu));
        let conv = Conv2d::of(weight, None, ConvOptions::same(3).stride(2).groups(2));
        let x = Tensor::zeros([5, 4, 6, 10], (Kind::Float, Device::Cpu));
        let (y, flops) = super::count(|| conv.forward(&x));
        assert_eq!(y.size(), [5, 8, 3, 5]);
        assert_eq!(flops, 2 * (5 * 8 * 3 * 5) * (2 * 3 * 3));
    }
}
