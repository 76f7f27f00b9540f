//! Figures of detectors on labelled images, and the pages that show them.
//!
//! ```text
//! labelled images, detectors --> evaluation, anomaly --> scoreboard --> table, plot --.
//!                                         '--> frames --------------------------------+--> dossier
//! ```

pub mod anomaly;
pub(crate) mod bravo;
mod class_map;
pub mod dossier;
pub mod error;
pub mod evaluation;
pub mod frames;
pub mod given;
pub mod health;
mod mean_iou;
pub mod objects;
mod orderings;
pub(crate) mod plot;
pub mod sanity;
pub mod scoreboard;
#[cfg(feature = "street")]
pub mod street;
pub mod summary;
pub mod table;
