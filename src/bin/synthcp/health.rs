//! `synthcp health`: what the monitors of pictures find of graded degradations.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use synthcp_monitor::data::{self, Slice};
use synthcp_monitor::evaluate::health::HealthTable;

use super::Outcome;

/// Arguments of `synthcp health`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of a data set, whose frames count as good.
    #[arg(long)]
    data: PathBuf,
    /// Samples: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..")]
    slice: Slice,
    /// Of these every Nth.
    #[arg(long, default_value = "1")]
    every: std::num::NonZeroUsize,
}

/// Prints the table.
pub fn run(args: &Args) -> Outcome {
    let images = data::images(&args.data, &args.slice)?.step_by(args.every.get());
    say_as_is!("{}", HealthTable::of(images)?);
    Ok(())
}
