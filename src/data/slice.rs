//! Naming a contiguous part of a data set.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;

use super::DataError;

/// Which samples of a data set: all, a named part, a range of positions (from 0, the end left out),
/// or a range within a part.
///
/// ```
/// use synthcp_monitor::data::Slice;
///
/// let slice: Slice = "2600..2974".parse()?;
/// assert_eq!(slice.range(2974)?, 2600..2974);
/// let slice: Slice = "val:..50".parse()?;
/// assert_eq!((slice.part(), slice.range(101)?), (Some("val"), 0..50));
/// # Ok::<(), synthcp_monitor::data::DataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Slice {
    part: Option<String>,
    start: usize,
    end: Option<usize>,
}

impl Slice {
    /// A part by its name.
    pub fn named(part: impl Into<String>) -> Self {
        Self { part: Some(part.into()), ..Self::default() }
    }

    /// The part, if one is named.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// The positions this means among `count` samples; never empty.
    pub fn range(&self, count: usize) -> Result<Range<usize>, DataError> {
        let (start, end) = (self.start, self.end.unwrap_or(count));
        if start < end && end <= count {
            Ok(start..end)
        } else {
            Err(DataError::SliceRange { start, end, count })
        }
    }
}

impl From<Range<usize>> for Slice {
    fn from(range: Range<usize>) -> Self {
        Self { part: None, start: range.start, end: Some(range.end) }
    }
}

impl TryFrom<String> for Slice {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl FromStr for Slice {
    type Err = DataError;

    /// Reads `PART`, `START..END` or `PART:START..END`; either end of the range may be left out.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong = || DataError::SliceText { text: text.to_owned() };
        let (part, range) = match text.split_once(':') {
            Some((part, range)) => (Some(part), Some(range)),
            None if text.contains("..") => (None, Some(text)),
            None => (Some(text), None),
        };
        if part.is_some_and(|part| part.is_empty() || part.contains("..")) {
            return Err(wrong());
        }
        let part = part.map(str::to_owned);
        let Some(range) = range else {
            return Ok(Self { part, ..Self::default() });
        };
        let (start, end) = range.split_once("..").ok_or_else(wrong)?;
        let number = |digits: &str| digits.parse::<usize>().map_err(|_| wrong());
        Ok(Self {
            part,
            start: if start.is_empty() { 0 } else { number(start)? },
            end: if end.is_empty() { None } else { Some(number(end)?) },
        })
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.start == 0 && self.end.is_none();
        match &self.part {
            Some(part) if whole => return f.write_str(part),
            Some(part) => write!(f, "{part}:")?,
            None => {}
        }
        write!(f, "{}..", self.start)?;
        self.end.map_or(Ok(()), |end| write!(f, "{end}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str, count: usize) -> Result<Range<usize>, DataError> {
        text.parse::<Slice>()?.range(count)
    }

    #[test]
    fn ends_may_be_left_out() {
        assert_eq!(range("2600..2974", 2974).unwrap(), 2600..2974);
        assert_eq!(range("..3", 5).unwrap(), 0..3);
        assert_eq!(range("3..", 5).unwrap(), 3..5);
        assert_eq!(range("..", 5).unwrap(), 0..5);
        assert_eq!(range("val", 5).unwrap(), 0..5);
        assert_eq!(Slice::default().range(5).unwrap(), 0..5);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_count() {
        for text in ["2..9", "3..3", "4..2", "5.."] {
            let message = range(text, 5).unwrap_err().to_string();
            assert!(message.contains("5 samples"), "{message}");
        }
        assert!(Slice::default().range(0).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ":", ":1..2", "val:", "val:3", "a..b", "-1..2", "1..2:3..4", "1...3"] {
            assert!(matches!(text.parse::<Slice>(), Err(DataError::SliceText { .. })), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn shown_slices_are_read_back(part in prop::option::of("[a-z]{1,8}"), start in 0usize..9999, end in prop::option::of(0usize..9999)) {
            let slice = Slice { part, start, end };
            prop_assert_eq!(slice.to_string().parse::<Slice>().unwrap(), slice);
        }
    }
}
