//! The ROS 2 node `monitor`.

use std::process::ExitCode;

use synthcp_monitor::node::start;

r2r::assert_compiled_with_use_sim_time_support!();

fn main() -> ExitCode {
    match start::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("monitor_node: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
