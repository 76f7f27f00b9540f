//! Metrics, each with its definition, exact and equal to those of the common Python tools.
//!
//! `None` means that the definition gives no value (a class that is absent, no positives, no
//! spread), never 0. NaN in the input is an error that names its place.

pub mod component;
pub mod conformal;
pub(crate) mod correlation;
pub mod estimate;
pub mod histogram;
pub mod pixel;
pub mod ranking;
pub mod reliability;
pub mod risk;
pub mod segmentation;

/// Input a metric is not defined on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Two sequences that belong together differ in length.
    #[error("{left} {what} against {right}; both must be equally many")]
    Length {
        /// What is counted.
        what: &'static str,
        /// One.
        left: usize,
        /// The other.
        right: usize,
    },
    /// Not a number.
    #[error("{what} {index} is NaN")]
    Nan {
        /// Which sequence.
        what: &'static str,
        /// Its first NaN.
        index: usize,
    },
    /// An id beyond the classes that is not `IGNORE`.
    #[error("{what} {id} at pixel {index}; with {classes} classes, ids are below that or 255")]
    Id {
        /// Label or prediction.
        what: &'static str,
        /// The id.
        id: u8,
        /// Where.
        index: usize,
        /// Number of classes.
        classes: usize,
    },
}

fn same_length(what: &'static str, left: usize, right: usize) -> Result<(), MetricError> {
    if left == right { Ok(()) } else { Err(MetricError::Length { what, left, right }) }
}
