//! The record of a drive: a bag, a film and a report.
//!
//! ```text
//! messages --> recording --> demo.mcap
//!                 |--> film --> overlay.gif
//!                 '--> journal --> line (terminal), timeline --> page --> report.html
//! ```

pub(crate) mod chart;
pub mod film;
pub mod journal;
pub mod line;
pub(crate) mod markup;
pub mod page;
pub mod recording;
pub(crate) mod timeline;
