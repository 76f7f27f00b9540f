//! A stream of images in time, without ROS: from an arrival to a verdict.

pub(crate) mod deadline;
pub mod debounce;
pub(crate) mod decoding;
pub(crate) mod diagnostics;
pub(crate) mod duplicates;
pub mod events;
pub(crate) mod freshness;
pub mod labels;
pub(crate) mod latch;
pub(crate) mod mailbox;
pub mod parameters;
pub(crate) mod publishers;
pub(crate) mod rerun;
pub(crate) mod schedule;
pub(crate) mod settings;
pub mod shared;
pub mod stream;
pub(crate) mod time_base;
pub(crate) mod topic_names;
pub(crate) mod tracks;
pub(crate) mod transports;
pub mod validity;
pub mod verdict;
pub(crate) mod vigil;
pub(crate) mod watchdog;
pub(crate) mod workers;
