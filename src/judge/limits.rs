//! What a scenario limits things by: spans of time, ranges of frames, ranges of values.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// In nanoseconds.
pub(super) const MILLISECOND: f64 = 1e6;

/// Nanoseconds of so many seconds.
pub(super) fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

/// A span of the recording, in seconds from its beginning; both ends belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Window {
    /// Where it begins.
    pub from: f64,
    /// Where it ends; without, with the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
}

impl Window {
    pub(super) fn has(&self, time: i64) -> bool {
        nanos(self.from) <= time && self.to.is_none_or(|to| time <= nanos(to))
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<(&'static str, f64, String)> {
        if !(self.from.is_finite() && self.from >= 0.0) {
            return Some(("from", self.from, "seconds from 0 on are needed".to_owned()));
        }
        let to = self.to.filter(|to| !(to.is_finite() && *to > self.from))?;
        Some(("to", to, format!("seconds after {} are needed", self.from)))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "from {} to {to} s", self.from),
            None => write!(f, "from {} s on", self.from),
        }
    }
}

/// Frames by their numbers, `7` or `10-20`; the first frame is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRange {
    first: u64,
    last: u64,
}

impl FrameRange {
    /// From one to the other, both within.
    pub(super) fn new(first: u64, last: u64) -> Self {
        Self { first, last }
    }

    pub(super) fn has(self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

impl fmt::Display for FrameRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Serialize for FrameRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Range;
        impl Visitor<'_> for Range {
            type Value = FrameRange;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("frames such as 7 or 10-20, counted from 1")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<FrameRange, E> {
                match number {
                    0 => Err(E::invalid_value(de::Unexpected::Unsigned(0), &self)),
                    _ => Ok(FrameRange::new(number, number)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FrameRange, E> {
                let number = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0);
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                match (number(first), number(last)) {
                    (Some(first), Some(last)) if first <= last => Ok(FrameRange::new(first, last)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Range)
    }
}

/// A range of values; both ends belong to it, and NaN to none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Within {
    /// The least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Within {
    /// Compared as reports have it: 0.6 of a file is the 0.6 of a report.
    pub(super) fn has(self, value: f32) -> bool {
        !value.is_nan()
            && self.min.is_none_or(|min| value >= min as f32)
            && self.max.is_none_or(|max| value <= max as f32)
    }

    /// What is wrong with it.
    pub(super) fn fault(self) -> Option<String> {
        let said = [self.min, self.max];
        if said.iter().flatten().any(|value| !value.is_finite()) {
            return Some(format!("is {self}, numbers are needed"));
        }
        match said {
            [None, None] => Some("limits nothing; it takes min, max or both".to_owned()),
            [Some(min), Some(max)] if min > max => {
                Some(format!("has min {min} and max {max}; min is the smaller one"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "from {min} to {max}"),
            (Some(min), None) => write!(f, "at least {min}"),
            (None, Some(max)) => write!(f, "at most {max}"),
            (None, None) => f.write_str("any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_at_its_end_whatever_the_precision_and_never_for_nan() {
        let at_most = Within { min: None, max: Some(0.6) };
        assert!(at_most.has(0.6) && !at_most.has(0.600_001) && !at_most.has(f32::NAN));
        let between = Within { min: Some(0.1), max: Some(0.3) };
        assert!(between.has(0.1) && between.has(0.3) && !between.has(0.099));
        assert!(!Within::default().has(f32::NAN));
    }

    #[test]
    fn windows_have_both_their_ends() {
        let window = Window { from: 1.1, to: Some(2.3) };
        assert!(window.has(1_100_000_000) && window.has(2_300_000_000));
        assert!(!window.has(1_099_999_999) && !window.has(2_300_000_001));
        assert!(Window::default().has(i64::MAX) && !Window::default().has(-1));
    }

    #[test]
    fn frames_are_numbers_or_ranges_and_nothing_else() {
        let read = |text: &str| serde_norway::from_str::<Vec<FrameRange>>(text);
        assert_eq!(
            read("[7, 10-20, '3']").unwrap(),
            [(7, 7), (10, 20), (3, 3)].map(|(a, b)| FrameRange::new(a, b))
        );
        for wrong in ["[0]", "[5-3]", "[a-b]", "[1-]", "[-3]", "[1.5]", "[0-4]"] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.contains("7 or 10-20"), "{wrong}: {said}");
        }
    }
}
