//! The CPU's side of tensors: their memory as slices, and the widest registers there are.
//!
//! libtorch's memory can only be had as a raw pointer, and a function for registers that not every CPU
//! has cannot be called safely. Copying numbers out and in through safe calls takes longer than the passes
//! that are made here save (docs/performance.md). All `unsafe` around tensors is here, but for the calls
//! of [`read`]: only who has the tensors can promise what it asks for.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;

use half::bf16;
use tch::{Device, Kind, Tensor};

thread_local! {
    static OPERATIONS_ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Whether passes of our own may be made over the memory of `tensor`.
pub(crate) fn has_passes(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && !OPERATIONS_ALONE.get()
}

/// Does `work` by libtorch's operations alone, as on a device whose memory this program has no way to.
pub fn by_operations_alone<R>(work: impl FnOnce() -> R) -> R {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            OPERATIONS_ALONE.set(self.0);
        }
    }
    let _reset = Reset(OPERATIONS_ALONE.replace(true));
    work()
}

/// A number that is stored as itself: every pattern of its bits is one.
pub trait Plain: Copy + Send + Sync {
    /// What libtorch calls it.
    const KIND: Kind;
}

impl Plain for f32 {
    const KIND: Kind = Kind::Float;
}

impl Plain for bf16 {
    const KIND: Kind = Kind::BFloat16;
}

impl Plain for i64 {
    const KIND: Kind = Kind::Int64;
}

/// A new tensor, contiguous, on the CPU, that nobody else has yet.
#[derive(Debug)]
pub(crate) struct Fresh<T> {
    tensor: Tensor,
    number: PhantomData<T>,
}

impl<T: Plain> Fresh<T> {
    /// With whatever numbers the memory holds.
    pub fn new(size: &[i64]) -> Self {
        Self { tensor: Tensor::empty(size, (T::KIND, Device::Cpu)), number: PhantomData }
    }

    /// Its numbers.
    pub fn numbers(&mut self) -> &mut [T] {
        // Sound: there is no other handle of the tensor, and the slice borrows this one.
        unsafe { std::slice::from_raw_parts_mut(start::<T>(&self.tensor), self.tensor.numel()) }
    }

    /// Gives it away.
    pub fn tensor(self) -> Tensor {
        self.tensor
    }
}

/// Shows `work` the numbers of `inputs`. What may be shared between threads holds no tensor, so `work`
/// has no way to them but by a lock or a static.
///
/// # Safety
/// Until `work` returns nobody may write to the memory of `inputs`: no other thread through a handle of its
/// own, and not `work`.
///
/// # Panics
/// Where an input is not a contiguous one of `T` on the CPU.
pub unsafe fn read<T: Plain, R, const N: usize>(
    inputs: [&Tensor; N],
    work: impl FnOnce([&[T]; N]) -> R + Sync,
) -> R {
    // Sound: the tensors are borrowed until the end, `start` has made sure that there are that many
    // numbers of type T in one piece, and the caller promises that they stay as they are.
    work(inputs.map(|t| unsafe { std::slice::from_raw_parts(start::<T>(t).cast_const(), t.numel()) }))
}

fn start<T: Plain>(tensor: &Tensor) -> *mut T {
    let (device, kind) = (tensor.device(), tensor.kind());
    assert!(device == Device::Cpu && kind == T::KIND, "{kind:?} on {device:?}, not {:?} on the CPU", T::KIND);
    assert!(tensor.is_contiguous() && !tensor.data_ptr().is_null(), "a tensor in one piece");
    tensor.data_ptr().cast::<T>()
}

/// A loop to be compiled for the registers at hand.
pub(crate) trait Kernel {
    /// Runs it; to be inlined, together with all that it calls.
    fn run(self);
}

/// Runs `kernel` in the widest registers there are.
pub(crate) fn widest(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // Sound: the CPU has what the function was compiled for.
        return unsafe { wide(kernel) };
    }
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide(kernel: impl Kernel) {
    kernel.run();
}
