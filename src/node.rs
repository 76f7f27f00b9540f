//! The ROS 2 node: topics in, the monitor in the middle, topics out.
//!
//! ```text
//! spin thread                  decoding thread   inference thread      publishing thread   main thread
//! topics --> drain --> mailbox --> decode ------> assess, debounce --> report, images      steady timers: watchdog,
//!                     (newest                                                              diagnostics, signals
//!                       wins)                                                              '--> STALE and STARTING
//! ```
//!
//! The next image is decoded while the one in hand is assessed and the one before it is published.
//! [`start::run`] lays the threads out in this order.
//!
//! Nothing here knows how a frame is assessed, and nothing outside knows ROS.

pub(crate) mod assessing;
pub(crate) mod bundle_folder;
pub mod error;
pub(crate) mod lifecycle;
pub(crate) mod loading;
pub(crate) mod log;
pub(crate) mod managed;
pub mod messages;
pub mod output;
pub(crate) mod overrides;
pub(crate) mod parameter_services;
#[cfg(feature = "replay")]
pub mod play;
pub mod process;
pub(crate) mod questions;
pub(crate) mod recording;
pub(crate) mod self_test_service;
pub(crate) mod spin;
pub mod start;
pub(crate) mod station;
pub(crate) mod timer;
