//! What people look at: pictures of single frames, tables, and what is kept of a drive.
//!
//! ```text
//! messages --> recording --> demo.mcap
//!                 |--> film --> overlay.gif
//!                 '--> journal --> line (terminal), timeline --> page --> report.html
//!
//! labelled images, detectors --> evaluation, anomaly --> scoreboard --> table, plot --.
//!                                         '--> frames --------------------------------+--> dossier
//! ```

pub mod anomaly;
pub mod canvas;
pub mod dossier;
pub mod evaluated;
pub mod evaluation;
pub mod film;
pub mod frames;
pub mod heat;
pub mod journal;
pub mod line;
mod onto;
pub mod overlay;
pub mod page;
pub mod plot;
pub mod recording;
pub mod sanity;
pub mod scoreboard;
pub mod street;
pub mod strip;
pub mod table;
pub mod timeline;
