//! Parameters that take one of a few words.

use crate::model::compute::Precision;

/// What stands for one of a few words.
pub(crate) trait Word: Sized {
    /// The words.
    const WORDS: &[&str];
    /// What `word` stands for, if it is one of them.
    fn of(word: &str) -> Option<Self>;
}

/// Which image topics are listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Both.
    Auto,
    /// `image`.
    Raw,
    /// `image/compressed`.
    Compressed,
}

impl Word for Transport {
    const WORDS: &[&str] = &["auto", "raw", "compressed"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "raw" => Some(Self::Raw),
            "compressed" => Some(Self::Compressed),
            _ => None,
        }
    }
}

/// Quality of service of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Best effort.
    SensorData,
    /// Reliable.
    Default,
}

impl Word for Qos {
    const WORDS: &[&str] = &["sensor_data", "default"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "sensor_data" => Some(Self::SensorData),
            "default" => Some(Self::Default),
            _ => None,
        }
    }
}

impl Word for Precision {
    const WORDS: &[&str] = Precision::WORDS;

    fn of(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}
