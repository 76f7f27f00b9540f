//! Batches that are made while the one before is learned from.

use std::thread::JoinHandle;

use tch::{Device, Tensor};

use super::batch::{Augmentation, TensorSet, draw, draws};

/// Which batch: its step, how many samples, and how they are varied.
type Which = (u64, usize, Augmentation);

/// The batches of a training, step by step.
pub(super) struct Batches {
    set: TensorSet,
    seed: u64,
    /// Whether the next one is made on a thread of its own. On a CPU that thread would take from the training what
    /// it gives.
    ahead: bool,
    next: Option<(Which, JoinHandle<(Tensor, Tensor)>)>,
}

impl Batches {
    /// Of `set`, for a training on `device`.
    pub fn new(set: &TensorSet, seed: u64, device: Device) -> Self {
        let set = set.near(device);
        Self { set, seed, ahead: device != Device::Cpu, next: None }
    }

    /// The batch of `step`, as [`draw`] gives it: a function of seed, step and what is asked for alone.
    pub fn take(&mut self, step: u64, count: usize, augmentation: Augmentation) -> (Tensor, Tensor) {
        let which = (step, count, augmentation);
        let made = match self.next.take() {
            Some((expected, thread)) if expected == which => thread.join().ok(),
            _ => None,
        };
        let batch = made.unwrap_or_else(|| draw(&self.set, count, augmentation, &mut draws(self.seed, step)));
        if self.ahead {
            let (set, seed, step) = (self.set.shallow_clone(), self.seed, step + 1);
            let make = move || draw(&set, count, augmentation, &mut draws(seed, step));
            self.next = Some(((step, count, augmentation), std::thread::spawn(make)));
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn ahead_or_not_the_batches_are_the_same() {
        let bytes = |size: &[i64]| Tensor::randint(19, size, (Kind::Uint8, Device::Cpu));
        let set = TensorSet { images: bytes(&[4, 3, 16, 24]), labels: bytes(&[4, 16, 24]) };
        let mut ahead = Batches { ahead: true, ..Batches::new(&set, 7, Device::Cpu) };
        let mut plain = Batches::new(&set, 7, Device::Cpu);
        let [crops, whole] =
            [Some((8, 12)), None].map(|crop| Augmentation { zoom: (0.75, 1.5), color: 0.3, crop });
        // A training that changes its mind, and one that goes on elsewhere.
        for (step, count, augmentation) in
            [(0, 2, crops), (1, 2, crops), (2, 2, whole), (3, 1, whole), (9, 1, whole)]
        {
            assert_eq!(
                ahead.take(step, count, augmentation),
                plain.take(step, count, augmentation),
                "{step}"
            );
        }
        assert!(ahead.next.is_some() && plain.next.is_none());
    }
}
