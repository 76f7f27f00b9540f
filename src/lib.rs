//! Synthesize then compare: a monitor for semantic segmentation.
//!
//! ```text
//! image x --> M segments --> label map y --> G synthesizes x' from y alone --> F compares x with x'
//!                                                                              |-> IoU of each class, failure score   (the frame)
//!                                                                              |-> error probability                  (a pixel)
//!                                                                              '-> anomaly score: features of M on x against x'
//! ```
//!
//! If `y` is right, `x'` looks like `x`. Where `y` is wrong, or the object has no class, it does
//! not. The segmenter's own confidence is not trusted to tell. The method is SynthCP (Xia et al.,
//! "Synthesize then Compare", ECCV 2020).
//!
//! The modules follow the data: a camera image becomes a [`frame::Frame`], the networks of a
//! [bundle](monitor::bundle) segment, synthesize and compare it ([`monitor::pipeline`]), and the
//! result is a [`monitor::report::Assessment`]. Nothing here knows ROS or reads a clock except the
//! latency stop-watch; `node` (feature `ros`) is a thin shell around it.

pub mod bag;
pub mod bench;
pub mod checkpoint;
pub mod data;
pub mod drive;
pub mod evaluate;
pub mod frame;
pub mod labels;
pub mod metric;
pub mod model;
pub mod monitor;
pub mod network;
pub mod picture;
pub mod protocol;
pub mod score;
pub mod street;
pub mod train;
pub mod watch;

#[cfg(feature = "ros")]
pub mod node;
