//! One frame to its assessment: a pure function.

pub mod assessment;
pub(crate) mod pictures;
pub mod pipeline;
pub mod regions;
mod scores;
