//! The range of a configuration's number: checked before anything is built of it.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A number beyond its range.
#[derive(Debug, thiserror::Error)]
#[error("{field} is {value}, it must be {range}")]
pub struct OutOfRange {
    field: String,
    value: String,
    range: String,
}

impl OutOfRange {
    /// The field, its value and what it must be.
    pub(crate) fn new(field: &str, value: impl Display, range: impl Display) -> Self {
        Self { field: field.into(), value: value.to_string(), range: range.to_string() }
    }

    /// The same, of a field of the field `parent`.
    pub(crate) fn under(self, parent: &str) -> Self {
        Self { field: format!("{parent}.{}", self.field), ..self }
    }
}

/// Whether `value` lies in `range`; NaN lies in none.
pub(crate) fn within<T: PartialOrd + Display>(
    field: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), OutOfRange> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(OutOfRange::new(field, value, format!("in [{}, {}]", range.start(), range.end()))),
    }
}

/// The same, of each of `values`.
pub(crate) fn all_within<T: PartialOrd + Display + Copy>(
    field: &str,
    values: &[T],
    range: RangeInclusive<T>,
) -> Result<(), OutOfRange> {
    let each = |(i, &value)| within(&format!("{field}[{i}]"), value, range.clone());
    values.iter().enumerate().try_for_each(each)
}
