//! Weights on their way in and out: safetensors, checkpoints of PyTorch, and the public reference
//! code that both are held to.
//!
//! ```text
//! theirs.pth --pytorch (pickle)--> tensors --published--> tensors as here --weights--> g.safetensors
//! golden outputs of the public code --parity--> does every network compute the same?
//! ```

pub mod architecture;
#[cfg(feature = "train")]
pub mod average;
#[cfg(feature = "train")]
mod contents;
#[cfg(feature = "train")]
pub mod parity;
#[cfg(feature = "train")]
pub mod pickle;
pub mod published;
#[cfg(feature = "train")]
pub mod pytorch;
pub mod weights;
