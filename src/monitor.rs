//! One frame to its assessment: a pure function.

pub mod assessment;
pub(crate) mod pictures;
pub mod pipeline;
mod readout;
pub mod regions;
mod scores;
