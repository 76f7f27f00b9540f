//! What every ROS program here needs around its node: the command line, the context, the signals.

use std::panic::catch_unwind;

use r2r::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The command line without what is for ROS (`--ros-args ... --`).
pub fn own_arguments(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut own = Vec::new();
    let mut for_ros = false;
    for argument in arguments {
        match (argument.as_str(), for_ros) {
            ("--ros-args", _) => for_ros = true,
            ("--", true) => for_ros = false,
            (_, true) => {}
            (_, false) => own.push(argument),
        }
    }
    own
}

/// The ROS context, or why there is none. rcl's complaints about the command line reach us as
/// panics.
pub fn context() -> Result<Context, ContextError> {
    if let Some(argument) = std::env::args_os().find(|argument| argument.to_str().is_none()) {
        let argument = argument.to_string_lossy();
        return Err(ContextError::Arguments(format!("argument {argument:?} is not UTF-8")));
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let created = catch_unwind(Context::create);
    std::panic::set_hook(hook);
    match created {
        Ok(context) => Ok(context?),
        Err(panic) => {
            let reason = panic.downcast_ref::<String>().map_or("unknown", String::as_str);
            let reason = reason.lines().next().unwrap_or_default();
            Err(ContextError::Arguments(format!("ROS does not understand the command line: {reason}")))
        }
    }
}

/// Why there is no ROS context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The command line is not one that ROS understands.
    #[error("{0}")]
    Arguments(String),
    /// ROS refused.
    #[error("ROS: {0}")]
    Ros(#[from] r2r::Error),
}

/// The signals that end a program. From its making on, inside a tokio runtime, none of them kills
/// the process.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// SIGINT, SIGTERM, and SIGHUP unless it is to be ignored, as under nohup.
    pub fn new() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = (!ignores_hangup(&status)).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    /// Until one of them comes.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// Whether a process with this `/proc/self/status` ignores SIGHUP, which is the first signal.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_that_is_to_be_ignored_is() {
        assert!(ignores_hangup("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }

    #[test]
    fn what_is_for_ros_is_taken_out() {
        let own = |line: &str| own_arguments(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(own("camera --rate 5"), "camera --rate 5");
        assert_eq!(own("camera --ros-args -r __ns:=/front -- --rate 5"), "camera --rate 5");
        assert_eq!(own("camera --rate 5 --ros-args -p a:=1"), "camera --rate 5");
    }
}
