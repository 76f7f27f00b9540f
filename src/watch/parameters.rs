//! The values of the node's parameters.
//!
//! [`TABLE`] is the single source of names, defaults and ranges; config/monitor.yaml repeats it
//! for people and a test holds the two together.

pub(crate) mod files;
pub(crate) mod listing;
mod offline;
mod own;
mod shape;
mod spelling;
pub(super) mod table;
mod value;
mod word;

use std::collections::BTreeMap;

use crate::model::bundle::Thresholds;

pub use offline::OfflineError;
use own::Row;
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
        meant: String,
    },
    /// Something that no camera has for itself.
    #[error("parameter {name} does not exist: {row} is the same for all cameras")]
    Common {
        /// The name asked for.
        name: String,
        /// What it would be one camera's of.
        row: &'static str,
    },
    /// A value for a camera that there is not.
    #[error("parameter {name} does not exist: cameras is {cameras}, without {camera}")]
    Camera {
        /// The name asked for.
        name: String,
        /// Whose it would be.
        camera: String,
        /// The cameras, as they are named.
        cameras: String,
    },
    /// The level would be FAILURE before it is CAUTION.
    #[error(
        "{whose}threshold.caution is {caution} ({caution_by}) and {whose}threshold.failure {failure} ({failure_by}); caution must not be above failure"
    )]
    Order {
        /// The camera and a dot, where there are several.
        whose: String,
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
        name: String,
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
        name: String,
        /// Its value.
        value: String,
    },
}

/// The values in force.
#[derive(Clone, Debug)]
pub struct Parameters {
    values: BTreeMap<&'static str, Value>,
    /// What cameras have for themselves, by camera and row.
    own: BTreeMap<(String, &'static str), Value>,
    /// The bundle's limits for CAUTION and FAILURE, once it is loaded.
    calibrated: Option<(f32, f32)>,
}

impl Default for Parameters {
    fn default() -> Self {
        let values = TABLE.iter().map(|row| (row.name, row.kind.default())).collect();
        Self { values, own: BTreeMap::new(), calibrated: None }
    }
}

impl Parameters {
    /// The values at the start: defaults, and what launch file and command line override.
    pub(crate) fn with_overrides<'a>(
        overrides: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Self, ParameterError> {
        let (parameters, unknown) = Self::with_those_known(overrides)?;
        match unknown.into_iter().next() {
            Some(name) => Err(ParameterError::Unknown { name }),
            None => Ok(parameters),
        }
    }

    /// The same of overrides that may be for others as well: the names that nobody knows come back. One that is
    /// nearly one of ours is an error: a misspelt limit must not stay at its default.
    pub(crate) fn with_those_known<'a>(
        overrides: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<(Self, Vec<String>), ParameterError> {
        let (mut parameters, mut unknown) = (Self::default(), Vec::new());
        let mut overrides: Vec<_> = overrides.into_iter().collect();
        // Which names there are depends on the cameras.
        overrides.sort_by_key(|(name, _)| *name != table::CAMERAS.declaration.name);
        for (name, value) in overrides {
            match parameters.row(name) {
                Ok(row) => {
                    let value = row.checked(&value)?;
                    parameters.insert(row, value);
                }
                Err(ParameterError::Unknown { name }) => unknown.push(name),
                Err(error) => return Err(error),
            }
        }
        parameters.ordered()?;
        Ok((parameters, unknown))
    }

    /// The defaults, for the cameras that these overrides name where they can be cameras: whoever reads of one of them
    /// is to read what is wrong with the others.
    pub(crate) fn of_cameras_in<'a>(overrides: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let cameras = overrides.into_iter().filter(|(name, _)| *name == table::CAMERAS.declaration.name);
        Self::with_overrides(cameras).unwrap_or_default()
    }

    /// The value of `name`; a camera that has none of its own has that of all.
    pub fn get(&self, name: &str) -> Result<&Value, ParameterError> {
        let row = self.row(name)?;
        Ok(self.value(row.camera, row.declaration.name))
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
            let row = self.row(name)?;
            let value = row.checked(value)?;
            let current = changed.value(row.camera, row.declaration.name);
            match row.declaration.changeable {
                true => changed.insert(row, value),
                false if value == *current => {}
                false => {
                    return Err(ParameterError::Fixed { name: row.to_string(), value: current.to_string() });
                }
            }
        }
        changed.ordered()?;
        Ok(changed)
    }

    /// Takes the bundle's thresholds in for those that nobody sets by hand.
    pub(crate) fn calibrate(&mut self, calibrated: &Thresholds) -> Result<(), ParameterError> {
        self.calibrated = Some((calibrated.caution, calibrated.failure));
        self.ordered()
    }

    /// Whether the limits for CAUTION and FAILURE are in order, as far as both are known and one is set by hand.
    fn ordered(&self) -> Result<(), ParameterError> {
        let cameras = self.read(&table::CAMERAS);
        let mut cameras = cameras.iter().map(|camera| Some(camera.as_str()));
        self.ordered_of(None).and_then(|()| cameras.try_for_each(|camera| self.ordered_of(camera)))
    }

    fn ordered_of(&self, camera: Option<&str>) -> Result<(), ParameterError> {
        let by_hand =
            [&table::THRESHOLD_CAUTION, &table::THRESHOLD_FAILURE].map(|row| self.read_of(camera, row));
        let bundles = self.calibrated.map_or([None; 2], |(caution, failure)| [Some(caution), Some(failure)]);
        let [Some(caution), Some(failure)] = [0, 1].map(|i| by_hand[i].or(bundles[i])) else { return Ok(()) };
        if by_hand == [None; 2] || caution <= failure || caution.is_nan() || failure.is_nan() {
            return Ok(());
        }
        let [caution_by, failure_by] =
            by_hand.map(|set| if set.is_some() { "set by hand" } else { "the bundle's" });
        Err(ParameterError::Order {
            whose: camera.map_or(String::new(), |camera| format!("{camera}.")),
            caution: caution.to_string(),
            caution_by,
            failure: failure.to_string(),
            failure_by,
        })
    }

    /// The value of `parameter` in its own type.
    pub(super) fn read<T>(&self, parameter: &Parameter<T>) -> T {
        self.read_of(None, parameter)
    }

    /// The same of one camera; one that has no value of its own has that of all.
    pub(super) fn read_of<T>(&self, camera: Option<&str>, parameter: &Parameter<T>) -> T {
        let value = self.value(camera, parameter.declaration.name);
        (parameter.read)(value).expect("a value that its row accepted")
    }

    /// The value of a row, as it is for `camera`.
    fn value(&self, camera: Option<&str>, row: &'static str) -> &Value {
        let own = camera.and_then(|camera| self.own.get(&(camera.to_owned(), row)));
        own.or_else(|| self.values.get(row)).expect("a value for each row of the table")
    }

    fn insert(&mut self, Row { camera, declaration }: Row, value: Value) {
        match camera {
            Some(camera) => self.own.insert((camera.to_owned(), declaration.name), value),
            None => self.values.insert(declaration.name, value),
        };
    }
}

#[cfg(test)]
mod tests;
