//! What a replay takes besides the monitor.

use std::fmt;
use std::time::Duration;

/// Times by the clock on the wall, from the first message to the last.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// All of it: reading, decoding, the monitor, judging, writing.
    pub whole: Duration,
    /// In [`Monitor::process`](crate::monitor::pipeline::Monitor::process).
    pub monitor: Duration,
}

impl Cost {
    /// What comes to the monitor's time, as a share of that.
    pub fn overhead(&self) -> f64 {
        let monitor = self.monitor.as_secs_f64();
        (self.whole.as_secs_f64() - monitor).max(0.) / monitor.max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, monitor } = self;
        let (whole, monitor, more) = (whole.as_secs_f64(), monitor.as_secs_f64(), 100. * self.overhead());
        write!(f, "{whole:.2} s, {monitor:.2} s of it in the monitor: the replay adds {more:.1} % to that")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_a_share_of_the_monitors_time() {
        let cost = Cost { whole: Duration::from_millis(10_300), monitor: Duration::from_secs(10) };
        assert_eq!(cost.to_string(), "10.30 s, 10.00 s of it in the monitor: the replay adds 3.0 % to that");
        assert_eq!(Cost { whole: Duration::ZERO, monitor: Duration::ZERO }.overhead(), 0.);
    }
}
