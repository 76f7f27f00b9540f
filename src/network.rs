//! The networks: M ([`segmentation`]), G ([`synthesis`]) and F ([`comparison`]).
//!
//! Tensors are `N x C x H x W`. Images enter every network as RGB in \[0, 1\]; each network applies
//! the normalization it was trained with. Parameters are named as in the public reference code, so
//! that published checkpoints load by name.

pub mod baseline;
pub mod comparison;
pub mod cpu;
pub mod download;
pub mod fault;
pub(crate) mod flops;
pub mod layers;
pub(crate) mod range;
pub mod segmentation;
pub mod softmax;
pub mod synthesis;

use std::collections::BTreeMap;

use tch::Tensor;

/// Parameters, or whatever else a file holds, by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Shapes of tensors, by name.
pub type Shapes = BTreeMap<String, Vec<i64>>;
