//! Synthesize, then compare: a monitor for semantic segmentation.
//!
//! ```text
//! image x --M--> labels y --G--> synthesized x' --F--> error probability of each pixel
//!    |                              |             '--> IoU of each class, failure score of the frame
//!    '------ features of M ---------'----------------> anomaly score of each pixel
//! ```
//!
//! A segmenter M labels the image. A generator G synthesizes an image from those labels alone. If the labels are
//! right, that image looks like the camera's; where they are wrong, or an object has no class, it does not, and
//! the comparator F says where and how much. The segmenter's own confidence is not trusted to tell. The method is
//! SynthCP (Xia et al., "Synthesize then Compare", ECCV 2020).
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use synthcp_monitor::{Frame, Monitor, MonitorOptions, Wanted};
//!
//! let monitor = Monitor::load("models/street".as_ref(), &MonitorOptions::default())?;
//! let frame = Frame::new(image::open("street.jpg")?.into_rgb8());
//! let assessment = monitor.process(&frame, Wanted { error_mask: true, ..Wanted::default() })?;
//! println!("failure score {:.2}", assessment.report.failure_score);
//! # Ok(())
//! # }
//! ```
//!
//! The modules follow the data: an image becomes a [`Frame`], the networks of a [`Bundle`] take it through one
//! [`Inference`], a [`Monitor`] makes an [`Assessment`] of that, and a stream of those becomes debounced levels and
//! alarms in [`watch`]. No module but `node` (feature `ros`) knows ROS, and what decides a verdict is given its
//! clock. ARCHITECTURE.md draws the way of a frame and says where to add what.

// A smaller build leaves parts without the only ones who use them; the whole one is held to use all.
#![cfg_attr(
    not(all(feature = "plots", feature = "ros", feature = "street", feature = "train")),
    allow(dead_code)
)]

#[cfg(feature = "bag")]
pub mod bag;
#[cfg(feature = "train")]
pub mod bench;
pub mod checkpoint;
#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "plots")]
pub mod drive;
#[cfg(feature = "plots")]
pub mod evaluate;
pub mod frame;
#[cfg(feature = "replay")]
pub mod judge;
pub mod labels;
#[cfg(feature = "data")]
pub mod metric;
#[cfg(feature = "replay")]
pub mod mine;
pub mod model;
pub mod monitor;
pub mod network;
#[cfg(feature = "ros")]
pub mod node;
pub mod picture;
#[cfg(feature = "train")]
pub mod protocol;
mod quote;
#[cfg(feature = "replay")]
pub mod replay;
pub mod score;
#[cfg(feature = "street")]
pub mod street;
#[cfg(feature = "train")]
pub mod train;
pub mod watch;
pub mod whole_file;

pub use frame::{CameraImage, Frame, Stamp};
pub use labels::LabelSet;
pub use model::bundle::{Bundle, BundleError, Thresholds};
pub use model::inference::Inference;
pub use monitor::assessment::{Assessment, Maps, Region, Report, Wanted};
pub use monitor::pipeline::{Monitor, MonitorError, MonitorOptions};
pub use watch::debounce::Level;
pub use watch::validity::Validity;
