//! `synthcp bag`: recordings of ROS 2 into a live node, for those who have no rosbag2.

#[cfg(feature = "ros")]
mod live;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::Outcome;
use super::replay::seconds;

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// Plays images, camera_info and /clock; takes --ros-args as well.
    Publish(Publish),
}

/// Arguments of `synthcp bag publish`.
#[derive(ClapArgs)]
// Without ROS nobody reads them.
#[cfg_attr(not(feature = "ros"), allow(dead_code))]
pub struct Publish {
    /// Recordings: folders of rosbag2, or single .mcap and .db3 files, compressed or not; several are merged.
    #[arg(required = true)]
    bags: Vec<PathBuf>,
    /// Topic of images, raw or compressed; may be given several times. Without, the only camera's.
    #[arg(long)]
    topic: Vec<String>,
    /// Seconds of the recording that are left out at its beginning.
    #[arg(long, default_value = "0", value_parser = seconds)]
    start: Duration,
    /// Seconds from there on; without, all.
    #[arg(long, value_parser = seconds)]
    duration: Option<Duration>,
    /// Seconds of the recording in a second.
    #[arg(long, default_value_t = 1.0, value_parser = factor)]
    rate: f64,
    /// Each image waits for the report on the one before.
    #[arg(long)]
    lock_step: bool,
    /// Seconds that an image waits for its report in lock-step.
    #[arg(long, default_value = "10", value_parser = seconds, requires = "lock_step")]
    max_delay: Duration,
    /// Topic of the monitor's reports.
    #[arg(long, default_value = "monitor/report")]
    report: String,
    /// Seconds that a subscriber is waited for, and in lock-step a monitor that is ready.
    #[arg(long, default_value = "60", value_parser = seconds)]
    wait: Duration,
    /// Finds the highest rate with at most 5 % of the images lost, by the first images of the recording.
    #[arg(long, conflicts_with_all = ["rate", "lock_step", "start", "duration"])]
    peak: bool,
    /// Images a second between which that rate is looked for, LOWEST..HIGHEST.
    #[arg(long, default_value = "1..100", value_parser = rates, requires = "peak")]
    rates: (f64, f64),
    /// Seconds that each rate is tried, and at least 40 images.
    #[arg(long, default_value = "5", value_parser = seconds, requires = "peak")]
    trial: Duration,
}

/// The highest factor and rate.
const HIGHEST: f64 = 1000.0;

fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value| *value > 0.0 && *value <= HIGHEST)
}

fn factor(text: &str) -> Result<f64, String> {
    positive(text).ok_or_else(|| format!("a factor above 0 and up to {HIGHEST} is needed, such as 0.5"))
}

fn rates(text: &str) -> Result<(f64, f64), String> {
    let rates = text.split_once("..").and_then(|(low, high)| Some((positive(low)?, positive(high)?)));
    rates
        .filter(|(low, high)| low < high)
        .ok_or_else(|| format!("two rates above 0 and up to {HIGHEST} are needed, such as 1..100"))
}

/// The command line without what is for ROS. One that is not UTF-8 has nothing for ROS, which does not take it.
#[cfg(feature = "ros")]
pub fn own_arguments() -> Vec<std::ffi::OsString> {
    let all: Vec<_> = std::env::args_os().collect();
    let text: Option<Vec<_>> = all.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
    match text {
        Some(text) => {
            synthcp_monitor::node::process::own_arguments(text).into_iter().map(Into::into).collect()
        }
        None => all,
    }
}

/// The command line.
#[cfg(not(feature = "ros"))]
pub fn own_arguments() -> std::env::ArgsOs {
    std::env::args_os()
}

/// Carries it out.
#[cfg(feature = "ros")]
pub fn run(action: &Action) -> Outcome {
    let Action::Publish(publish) = action;
    live::publish(publish)
}

/// Says why it cannot be carried out.
#[cfg(not(feature = "ros"))]
pub fn run(_: &Action) -> Outcome {
    let what = "this synthcp was built without ROS 2: cargo build --release --features ros";
    Err(super::output::Ended { code: 2, what: what.to_owned() }.into())
}
