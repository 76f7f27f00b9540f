//! One frame to its assessment: a pure function.

pub mod assessment;
mod classes;
mod ground;
pub(crate) mod margin;
pub(crate) mod pictures;
pub mod pipeline;
mod readout;
pub mod regions;
mod scores;
pub mod self_test;
