//! The ROS 2 node `monitor`.

use std::process::ExitCode;

use clap::Parser;
use synthcp_monitor::node::start;

r2r::assert_compiled_with_use_sim_time_support!();

/// Watches a camera's semantic segmentation and says where it is wrong and what it has never seen.
///
/// Everything is set by ROS parameters (config/monitor.yaml lists them with their ranges):
///
///     monitor_node --ros-args -p bundle:=cityscapes -r image:=/front/image_raw
#[derive(Parser)]
#[command(name = "monitor_node", version, verbatim_doc_comment)]
struct Arguments {
    /// Read by ROS itself.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--ros-args ...")]
    _ros: Vec<String>,
}

fn main() -> ExitCode {
    Arguments::parse();
    match start::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("monitor_node: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
