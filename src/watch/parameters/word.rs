//! Parameters that take one of a few words.

use crate::model::compute::Precision;
use crate::watch::debounce::Level;
use crate::watch::labels::fit::Fit;
use crate::watch::labels::meaning::{Channel, Coding};

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

/// Whose labels are assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Those of the bundle's segmenter.
    Inside,
    /// Those that another node publishes.
    Topic,
}

impl Word for Source {
    const WORDS: &[&str] = &["inside", "topic"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "inside" => Some(Self::Inside),
            "topic" => Some(Self::Topic),
            _ => None,
        }
    }
}

/// How labels find their image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// By the same stamp.
    Exact,
    /// By the nearest stamp.
    Nearest,
    /// By when they arrive.
    Arrival,
}

impl Word for Match {
    const WORDS: &[&str] = &["exact", "nearest", "arrival"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "exact" => Some(Self::Exact),
            "nearest" => Some(Self::Nearest),
            "arrival" => Some(Self::Arrival),
            _ => None,
        }
    }
}

/// The lowest level that is held.
impl Word for Option<Level> {
    const WORDS: &[&str] = &["none", "caution", "failure"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "none" => Some(None),
            "caution" => Some(Some(Level::Caution)),
            "failure" => Some(Some(Level::Failure)),
            _ => None,
        }
    }
}

impl Word for Fit {
    const WORDS: &[&str] = &["stretch", "crop", "letterbox"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "stretch" => Some(Self::Stretch),
            "crop" => Some(Self::Crop),
            "letterbox" => Some(Self::Letterbox),
            _ => None,
        }
    }
}

impl Word for Coding {
    const WORDS: &[&str] = &["class_ids", "raw_ids"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "class_ids" => Some(Self::ClassIds),
            "raw_ids" => Some(Self::RawIds),
            _ => None,
        }
    }
}

impl Word for Channel {
    const WORDS: &[&str] = &["none", "red", "green", "blue"];

    fn of(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "red" => Some(Self::Red),
            "green" => Some(Self::Green),
            "blue" => Some(Self::Blue),
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
