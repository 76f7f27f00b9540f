//! `synthcp weights`: published weights and networks.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use synthcp_monitor::network::parity::{FIXTURES, TOLERANCE};

use super::Outcome;

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// Runs the networks at reference size against golden outputs of the public code.
    Verify {
        /// Folder of the fixtures.
        #[arg(long)]
        fixtures: PathBuf,
        /// Seed of the formula that fills the weights.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// Does it.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Verify { fixtures, seed } => verify(fixtures, *seed),
    }
}

/// A line a fixture; an error if one fails.
fn verify(folder: &Path, seed: u64) -> Outcome {
    let mut failed = 0;
    for fixture in &FIXTURES {
        // Asked this way round, a NaN fails as well.
        let (figure, verdict) = match fixture.difference(folder, seed) {
            Ok(difference) if difference <= TOLERANCE => (format!("{difference:.1e}"), "pass".into()),
            Ok(difference) => (format!("{difference:.1e}"), "FAIL".into()),
            Err(error) => ("-".into(), format!("FAIL: {error}")),
        };
        println!("{:<20} {figure:>8} {verdict}", fixture.name);
        failed += usize::from(verdict != "pass");
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} fixtures fail; {TOLERANCE:e} is accepted", FIXTURES.len()).into()),
    }
}
