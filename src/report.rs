//! What people look at: pictures of single frames, tables, and what is kept of a drive.
//!
//! ```text
//! messages --> recording --> demo.mcap
//!                 |--> film --> overlay.gif
//!                 '--> journal --> line (terminal), timeline --> page --> report.html
//! ```

pub mod anomaly;
pub mod canvas;
pub mod evaluation;
pub mod film;
pub mod heat;
pub mod journal;
pub mod line;
pub mod overlay;
pub mod page;
pub mod recording;
pub mod street;
pub mod strip;
pub mod timeline;
