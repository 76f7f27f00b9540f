//! A bundle in memory, and one inference with it.
//!
//! ```text
//! bundle.yaml, weights --bundle--> networks M, G, F --inference--> labels, x', comparison, anomaly score
//! ```

pub mod anomaly;
pub mod bundle;
pub mod compute;
pub mod evidence;
pub mod fovea;
pub(crate) mod given;
pub mod inference;
pub mod networks;
pub mod pixels;
pub mod reference;
pub mod self_test;
pub mod things;
