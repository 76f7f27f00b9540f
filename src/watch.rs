//! A stream of images in time, without ROS: from an arrival to a verdict.

pub mod deadline;
pub mod debounce;
pub mod decoding;
pub mod diagnostics;
pub mod duplicates;
pub mod events;
pub mod mailbox;
pub mod parameters;
pub mod schedule;
pub mod settings;
pub mod shared;
pub mod stream;
pub mod validity;
pub mod verdict;
pub mod watchdog;
pub mod workers;
