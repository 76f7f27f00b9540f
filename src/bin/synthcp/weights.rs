//! `synthcp weights`: published weights and networks.

use std::path::PathBuf;

use clap::Subcommand;
use synthcp_monitor::network::parity::{TOLERANCE, verify};

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

/// A line an output; an error if one differs too much.
pub fn run(action: &Action) -> Outcome {
    let Action::Verify { fixtures, seed } = action;
    let outputs = verify(fixtures, *seed)?;
    for output in &outputs {
        let verdict = if output.difference <= TOLERANCE { "pass" } else { "FAIL" };
        println!("{:<34} {:.1e} {verdict}", output.name, output.difference);
    }
    // Counted this way round, a NaN fails as well.
    let failed = outputs.len() - outputs.iter().filter(|o| o.difference <= TOLERANCE).count();
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{failed} outputs differ by more than {TOLERANCE:e}").into())
    }
}
