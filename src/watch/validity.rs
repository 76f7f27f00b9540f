//! Whether a report may be used.

use serde::{Deserialize, Serialize};

/// The numbers are those of MonitorReport.msg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum Validity {
    /// Scores by the whole method.
    Ok = 0,
    /// Scores from the segmenter's own confidence.
    Degraded = 1,
    /// An error inside.
    Failed = 2,
    /// The camera is silent.
    Stale = 3,
    /// The image cannot be read.
    InvalidInput = 4,
    /// No image has come yet, or the node does not assess any: its lifecycle is not active.
    Starting = 5,
    /// Images come, and another segmenter's labels for them, which are to be assessed, do not.
    Unlabelled = 6,
    /// The image repeats, or is too old: it says nothing about now.
    Outdated = 7,
    /// The next report is on its way for longer than one should be.
    Pending = 8,
}

impl Validity {
    /// The one with this number in a message; a number that has no meaning promises nothing.
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Degraded,
            3 => Self::Stale,
            4 => Self::InvalidInput,
            5 => Self::Starting,
            6 => Self::Unlabelled,
            7 => Self::Outdated,
            8 => Self::Pending,
            _ => Self::Failed,
        }
    }

    /// The name in MonitorReport.msg, without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Degraded => "DEGRADED",
            Self::Failed => "FAILED",
            Self::Stale => "STALE",
            Self::InvalidInput => "INVALID_INPUT",
            Self::Starting => "STARTING",
            Self::Unlabelled => "UNLABELLED",
            Self::Outdated => "OUTDATED",
            Self::Pending => "PENDING",
        }
    }

    /// Whether the report is on an image, rather than on there being none.
    pub(crate) fn is_on_an_image(self) -> bool {
        !matches!(self, Self::Stale | Self::Starting | Self::Unlabelled | Self::Pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_the_message() {
        let definition = include_str!("../../msg/MonitorReport.msg");
        for number in 0..9 {
            let validity = Validity::from_number(number);
            assert_eq!(validity as u8, number);
            assert!(definition.contains(&format!("VALIDITY_{}={number} ", validity.name())), "{validity:?}");
        }
        assert_eq!(Validity::from_number(200), Validity::Failed);
    }
}
