//! Judges a result by a scenario: what a drive must show, criterion by criterion, and what it did show.
//!
//! ```text
//! result.mcap, or any recording of reports --evidence--> sightings, statuses --.
//! scenario.yaml ------------------------------scenario--> criteria ------------+--judge--> Verdict
//!                                                                                    |--> verdict.json
//!                                                                                    '--junit--> verdict.xml
//! ```
//!
//! No networks are needed: a result is judged anew, by another scenario, in a moment. What has no data fails.

mod alarms;
mod check;
mod diagnostics;
pub mod draft;
pub mod evidence;
mod frames;
mod junit;
mod latency;
mod limits;
mod misses;
pub mod page;
pub mod scenario;
mod timeline;
pub mod verdict;

pub use evidence::{Evidence, EvidenceError};
pub use scenario::{Scenario, ScenarioError};
pub use verdict::{Finding, Verdict};

use std::path::Path;

use crate::whole_file;

/// The files of a verdict.
pub const VERDICT: [&str; 2] = [JSON, XML];
const JSON: &str = "verdict.json";
const XML: &str = "verdict.xml";

/// Writes the files of `verdict` into the folder.
pub fn write(verdict: &Verdict, folder: &Path) -> std::io::Result<()> {
    let json = serde_json::to_vec_pretty(verdict)?;
    whole_file::write(&folder.join(JSON), json)?;
    whole_file::write(&folder.join(XML), junit::xml(verdict)?)
}
