//! A bundle in memory: its networks, and where they compute.

pub mod anomaly;
pub mod bundle;
pub mod compute;
pub mod networks;
