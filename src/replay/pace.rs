//! How fast a replay takes frames up: every one, or as a computer of a certain speed would.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::monitor::assessment::Mode;

/// Which frames are assessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Every one; no time passes meanwhile.
    #[default]
    EveryFrame,
    /// The newest whenever the one before is done, by the time that this computer takes.
    Measured,
    /// The same by a stated time, of the whole method and of a DEGRADED report.
    Stated {
        /// Of the whole method.
        whole: Duration,
        /// Of M alone.
        degraded: Duration,
    },
}

impl Pace {
    /// How long a frame takes that took `measured` here.
    pub(super) fn total(self, mode: Mode, measured: Duration) -> Duration {
        match (self, mode) {
            (Self::EveryFrame | Self::Measured, _) => measured,
            (Self::Stated { whole, .. }, Mode::Full) => whole,
            (Self::Stated { degraded, .. }, Mode::LogitsOnly) => degraded,
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryFrame => f.write_str("every frame"),
            Self::Measured => f.write_str("measured"),
            Self::Stated { whole, degraded } => write!(f, "{whole:?},{degraded:?}"),
        }
    }
}

/// Text that is not a latency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no latency; expected a time such as 80ms or 0.08s, or two: of the whole method and of a DEGRADED report"
)]
pub struct UnknownLatency(String);

impl FromStr for Pace {
    type Err = UnknownLatency;

    fn from_str(text: &str) -> Result<Self, UnknownLatency> {
        let of = |text: &str| {
            let (number, factor) = match text.strip_suffix("ms") {
                Some(number) => (number, 1e-3),
                None => (text.strip_suffix('s')?, 1.0),
            };
            let seconds = number.trim().parse::<f64>().ok()? * factor;
            Duration::try_from_secs_f64(seconds).ok().filter(|latency| !latency.is_zero())
        };
        let (whole, degraded) = text.split_once(',').unwrap_or((text, text));
        match (of(whole.trim()), of(degraded.trim())) {
            (Some(whole), Some(degraded)) => Ok(Self::Stated { whole, degraded }),
            _ => Err(UnknownLatency(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_with_their_unit() {
        let stated = |whole, degraded| {
            let [whole, degraded] = [whole, degraded].map(Duration::from_millis);
            Ok(Pace::Stated { whole, degraded })
        };
        assert_eq!("80ms".parse(), stated(80, 80));
        assert_eq!("0.25s, 30 ms".parse(), stated(250, 30));
        for text in ["80", "0ms", "-1s", "fast", "80ms,", "NaNs"] {
            assert!(text.parse::<Pace>().unwrap_err().to_string().contains(text), "{text}");
        }
    }
}
