//! The one way of numbers from a device into the host's memory in mid-frame.
//!
//! On a GPU each waits until everything before it is computed, so a frame should take it once.

use std::cell::Cell;

use tch::kind::Element;
use tch::{TchError, Tensor};

thread_local! {
    static DOWNLOADS: Cell<u64> = const { Cell::new(0) };
}

/// The numbers of `tensor`, of kind `T`, row by row.
pub(crate) fn download<T: Element>(tensor: &Tensor) -> Result<Vec<T>, TchError>
where
    Vec<T>: TryFrom<Tensor, Error = TchError>,
{
    DOWNLOADS.set(DOWNLOADS.get() + 1);
    Vec::try_from(tensor.f_contiguous()?.f_flatten(0, -1)?)
}

/// How often this thread has asked for numbers.
pub fn downloads() -> u64 {
    DOWNLOADS.get()
}
