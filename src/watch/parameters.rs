//! The values of the node's parameters.
//!
//! [`TABLE`] is the single source of names, defaults and ranges; config/monitor.yaml repeats it
//! for people and a test holds the two together.

pub(crate) mod files;
pub(crate) mod listing;
mod offline;
mod shape;
mod spelling;
pub(super) mod table;
mod value;
mod word;

use std::collections::BTreeMap;

use crate::model::bundle::Thresholds;

pub use offline::OfflineError;
pub use table::{Declaration, Parameter, TABLE};
pub use value::{Kind, Value};
pub use word::{Match, Qos, Source, Transport};

/// A parameter that cannot be what it was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No such parameter.
    #[error("parameter {name} does not exist; `ros2 param list` names those that do")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// No such parameter, but one of nearly that name.
    #[error("parameter {name} does not exist; {meant} does, and is likely meant")]
    Misspelt {
        /// The name asked for.
        name: String,
        /// The name that there is.
        meant: &'static str,
    },
    /// The level would be FAILURE before it is CAUTION.
    #[error(
        "threshold.caution is {caution} ({caution_by}) and threshold.failure {failure} ({failure_by}); caution must not be above failure"
    )]
    Order {
        /// The one.
        caution: String,
        /// Who set it.
        caution_by: &'static str,
        /// The other.
        failure: String,
        /// Who set it.
        failure_by: &'static str,
    },
    /// The value has the wrong type or is out of range.
    #[error("parameter {name} is {value} ({type_name}); allowed is {allowed}")]
    NotAllowed {
        /// Parameter.
        name: &'static str,
        /// The value asked for.
        value: String,
        /// Its type.
        type_name: &'static str,
        /// What is allowed.
        allowed: String,
    },
    /// It is read once, at the start.
    #[error("parameter {name} is read at the start only; it stays {value} until the node is restarted")]
    Fixed {
        /// Parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

/// The values in force.
#[derive(Clone, Debug)]
pub struct Parameters {
    values: BTreeMap<&'static str, Value>,
    /// The bundle's limits for CAUTION and FAILURE, once it is loaded.
    calibrated: Option<(f32, f32)>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { values: TABLE.iter().map(|row| (row.name, row.kind.default())).collect(), calibrated: None }
    }
}

impl Parameters {
    /// The values at the start: defaults, and what launch file and command line override.
    pub(crate) fn with_overrides<'a>(
        overrides: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (name, value) in overrides {
            let row = declaration(name)?;
            parameters.values.insert(row.name, checked(row, &value)?);
        }
        parameters.ordered()?;
        Ok(parameters)
    }

    /// The error of a `name` that does not exist and is nearly one that does.
    pub(crate) fn misspelt(name: &str) -> Option<ParameterError> {
        declaration(name).err().filter(|error| matches!(error, ParameterError::Misspelt { .. }))
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Result<&Value, ParameterError> {
        self.values.get(name).ok_or_else(|| ParameterError::Unknown { name: name.to_owned() })
    }

    /// Gives `name` a new value while the node runs.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), ParameterError> {
        *self = self.with_all(&[(name.to_owned(), value.clone())])?;
        Ok(())
    }

    /// These values with `changes`. Limits that are in order only once all have changed are in order.
    pub(crate) fn with_all(&self, changes: &[(String, Value)]) -> Result<Self, ParameterError> {
        let mut changed = self.clone();
        for (name, value) in changes {
            let (name, value) = changed.allowed_change(name, value)?;
            changed.values.insert(name, value);
        }
        changed.ordered()?;
        Ok(changed)
    }

    fn allowed_change(&self, name: &str, value: &Value) -> Result<(&'static str, Value), ParameterError> {
        let row = declaration(name)?;
        let value = checked(row, value)?;
        let current = self.get(name)?;
        if !row.changeable && value != *current {
            return Err(ParameterError::Fixed { name: row.name, value: current.to_string() });
        }
        Ok((row.name, value))
    }

    /// Takes the bundle's thresholds in for those that nobody sets by hand.
    pub(crate) fn calibrate(&mut self, calibrated: &Thresholds) -> Result<(), ParameterError> {
        self.calibrated = Some((calibrated.caution, calibrated.failure));
        self.ordered()
    }

    /// Whether the limits for CAUTION and FAILURE are in order, as far as both are known and one is set by hand.
    fn ordered(&self) -> Result<(), ParameterError> {
        let by_hand = [self.read(&table::THRESHOLD_CAUTION), self.read(&table::THRESHOLD_FAILURE)];
        let bundles = self.calibrated.map_or([None; 2], |(caution, failure)| [Some(caution), Some(failure)]);
        let [Some(caution), Some(failure)] = [0, 1].map(|i| by_hand[i].or(bundles[i])) else { return Ok(()) };
        if by_hand == [None; 2] || caution <= failure || caution.is_nan() || failure.is_nan() {
            return Ok(());
        }
        let [caution_by, failure_by] =
            by_hand.map(|set| if set.is_some() { "set by hand" } else { "the bundle's" });
        Err(ParameterError::Order {
            caution: caution.to_string(),
            caution_by,
            failure: failure.to_string(),
            failure_by,
        })
    }

    /// The value of `parameter` in its own type.
    pub(super) fn read<T>(&self, parameter: &Parameter<T>) -> T {
        let value = self.values.get(parameter.declaration.name);
        value.and_then(parameter.read).expect("a value that its row accepted")
    }
}

/// The row of `name`.
fn declaration(name: &str) -> Result<&'static Declaration, ParameterError> {
    TABLE.iter().find(|row| row.name == name).ok_or_else(|| match spelling::meant(name) {
        Some(meant) => ParameterError::Misspelt { name: name.to_owned(), meant },
        None => ParameterError::Unknown { name: name.to_owned() },
    })
}

fn checked(row: &Declaration, value: &Value) -> Result<Value, ParameterError> {
    row.kind.accept(value).ok_or_else(|| ParameterError::NotAllowed {
        name: row.name,
        value: value.to_string(),
        type_name: value.type_name(),
        allowed: row.kind.allowed(),
    })
}

#[cfg(test)]
mod tests;
