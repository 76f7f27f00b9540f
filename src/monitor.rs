//! The monitor itself: from a frame to an assessment, and from assessments to an alarm level.

pub mod bundle;
pub mod compute;
pub mod deadline;
pub mod debounce;
pub mod networks;
pub(crate) mod pictures;
pub mod pipeline;
pub mod regions;
pub mod report;
pub mod validity;
pub mod watchdog;
