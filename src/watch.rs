//! A stream of images in time: from an arrival to a verdict.

pub mod deadline;
pub mod debounce;
#[cfg(feature = "ros")]
pub mod decoding;
#[cfg(feature = "ros")]
pub mod diagnostics;
#[cfg(feature = "ros")]
pub mod mailbox;
#[cfg(feature = "ros")]
pub mod parameters;
#[cfg(feature = "ros")]
pub mod shared;
#[cfg(feature = "ros")]
pub mod stream;
pub mod validity;
#[cfg(feature = "ros")]
pub mod verdict;
pub mod watchdog;
