//! The values of the node's parameters.
//!
//! [`TABLE`] is the single source of names, defaults and ranges; config/monitor.yaml repeats it
//! for people and a test holds the two together.

mod shape;
pub(super) mod table;
mod value;
mod word;

use std::collections::BTreeMap;

pub use table::{Declaration, Parameter, TABLE};
pub use value::{Kind, Value};
pub use word::{Qos, Transport};

/// A parameter that cannot be what it was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No such parameter.
    #[error("parameter {name} does not exist; `ros2 param list` names those that do")]
    Unknown {
        /// The name asked for.
        name: String,
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
}

impl Default for Parameters {
    fn default() -> Self {
        Self { values: TABLE.iter().map(|row| (row.name, row.kind.default())).collect() }
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
        Ok(parameters)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Result<&Value, ParameterError> {
        self.values.get(name).ok_or_else(|| ParameterError::Unknown { name: name.to_owned() })
    }

    /// Whether `name` may take `value` while the node runs.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), ParameterError> {
        self.checked_change(name, value).map(|_| ())
    }

    /// Gives `name` a new value while the node runs.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), ParameterError> {
        let (name, value) = self.checked_change(name, value)?;
        self.values.insert(name, value);
        Ok(())
    }

    fn checked_change(&self, name: &str, value: &Value) -> Result<(&'static str, Value), ParameterError> {
        let row = declaration(name)?;
        let value = checked(row, value)?;
        let current = self.get(name)?;
        if !row.changeable && value != *current {
            return Err(ParameterError::Fixed { name: row.name, value: current.to_string() });
        }
        Ok((row.name, value))
    }

    /// The value of `parameter` in its own type.
    pub(super) fn read<T>(&self, parameter: &Parameter<T>) -> T {
        let value = self.values.get(parameter.declaration.name);
        value.and_then(parameter.read).expect("a value that its row accepted")
    }
}

/// The row of `name`.
fn declaration(name: &str) -> Result<&'static Declaration, ParameterError> {
    TABLE.iter().find(|row| row.name == name).ok_or_else(|| ParameterError::Unknown { name: name.to_owned() })
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
