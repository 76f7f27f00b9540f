//! The command line: trains, packs, runs and measures bundles. No ROS needed.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, or nobody reads on;
//! 1 failed, or a verdict that is not passed, whoever reads it; 2 wrong arguments, a device or precision that this
//! machine does not have among them; 3 done, but part of the input was lost; 130 stopped by Ctrl-C, what is written
//! being whole.

/// Prints a line of the results; what cannot be printed ends the command.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*)))? };
}

/// The same without an end of line.
macro_rules! say_as_is {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*))? };
}

/// The same of a command that has a verdict to end with: it ends with that, whether or not anybody reads on.
macro_rules! say_if_read {
    ($($text:tt)*) => { $crate::output::print_if_read(format_args!($($text)*))? };
}

/// Says something beside the results, in a line.
macro_rules! note {
    ($($text:tt)*) => { $crate::output::note(format_args!($($text)*)) };
}

mod anomalies;
mod bag;
mod bench;
mod bundle;
mod compare;
mod detectors;
mod devices;
mod evaluate;
mod given;
mod health;
mod interrupt;
mod judging;
mod metrics;
mod mine;
mod monitor;
mod output;
mod reading;
mod replay;
mod reproduce;
mod scenario;
mod street;
mod train;
mod training;
mod trial;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use synthcp_monitor::watch::events;

/// Synthesize then compare: watches a semantic segmentation for failures.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Assesses images: a JSON line and a picture per image.
    Monitor(monitor::Args),
    /// Trains networks.
    #[command(subcommand)]
    Train(train::Stage),
    /// Carries out the paper's protocol, or resumes it.
    Reproduce(reproduce::Args),
    /// Makes bundles.
    #[command(subcommand)]
    Bundle(bundle::Action),
    /// Checks networks against the public ones, and imports published weights.
    #[command(subcommand)]
    Weights(weights::Action),
    /// Measures a bundle on labelled images.
    Evaluate(evaluate::Args),
    /// Measures a bundle on images with anomaly objects.
    Anomalies(anomalies::Args),
    /// Replays recordings of ROS 2 through the monitor, as the node would have seen them.
    Replay(replay::Args),
    /// Compares two results of a replay on the same frames.
    Compare(compare::Args),
    /// Plays recordings of ROS 2 into a live node.
    #[command(subcommand)]
    Bag(bag::Action),
    /// Makes scenarios: what a replayed drive must show.
    #[command(subcommand)]
    Scenario(scenario::Action),
    /// Chooses the frames of replayed recordings, or of a data set, that are worth labelling next.
    Mine(mine::Args),
    /// Measures the monitors of the camera's picture on graded degradations.
    Health(health::Args),
    /// Measures scores against labels, both in .npy files.
    Metrics(metrics::Args),
    /// Measures what a frame costs, stage by stage.
    Bench(bench::Args),
    /// Says what this machine has to compute with, and what device and precision auto would take.
    Devices(devices::Args),
    /// Renders the procedural street.
    #[command(subcommand)]
    Street(street::Action),
}

/// An error that ends the program with one line.
type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let cli = Cli::parse_from(bag::own_arguments());
    events::to_stderr();
    let outcome = match cli.command {
        Command::Monitor(args) => monitor::run(&args),
        Command::Train(stage) => train::run(&stage),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Bundle(action) => bundle::run(&action),
        Command::Weights(action) => weights::run(&action),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Anomalies(args) => anomalies::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Bag(action) => bag::run(&action),
        Command::Scenario(action) => scenario::run(&action),
        Command::Mine(args) => mine::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Metrics(args) => metrics::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Street(action) => street::run(&action),
    };
    output::end(outcome)
}
