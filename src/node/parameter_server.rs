//! Ties the parameter table to the node's parameter services.

use std::sync::{Arc, Mutex};

use r2r::indexmap::IndexMap;
use r2r::{Parameter, ParameterValue, RosParams};

use crate::watch::parameters::{ParameterError, Parameters, TABLE, Value};
use crate::watch::shared::SharedParameters;

/// Overrides for parameters that do not exist.
pub(crate) type Unknown = Vec<String>;

/// Parses the overrides of launch file and command line. Names nobody knows are handed back:
/// a misspelt safety parameter must be loud, but a file shared with other nodes is no error.
pub(crate) fn from_overrides(
    overrides: &IndexMap<String, Parameter>,
) -> Result<(SharedParameters, Unknown), ParameterError> {
    let (known, unknown): (Vec<_>, Vec<_>) =
        overrides.iter().partition(|(name, _)| TABLE.iter().any(|row| row.name == name.as_str()));
    let known = known.into_iter().map(|(name, parameter)| (name.as_str(), from_ros(&parameter.value)));
    let values = Parameters::with_overrides(known)?;
    let unknown = unknown.into_iter().map(|(name, _)| name.clone()).collect();
    Ok((SharedParameters::new(values), unknown))
}

/// What the parameter services work on.
pub(crate) fn handler(parameters: &SharedParameters) -> Arc<Mutex<dyn RosParams + Send>> {
    Arc::new(Mutex::new(Handler { parameters: parameters.clone() }))
}

/// Answers the parameter services.
struct Handler {
    parameters: SharedParameters,
}

impl RosParams for Handler {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _param: Option<Parameter>,
        registered: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        // Overrides were parsed before; what is listed is what exists.
        registered.clear();
        for row in TABLE {
            let value = self.get_parameter(row.name)?;
            registered.insert(row.name.to_owned(), Parameter { value, description: row.description });
        }
        Ok(())
    }

    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        let values = self.parameters.lock();
        values.get(name).map(to_ros).map_err(|error| to_ros_error(name, &error))
    }

    fn set_parameter(&mut self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        self.parameters.set(name, &from_ros(value)).map_err(|error| to_ros_error(name, &error))
    }

    fn check_parameter(&self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        self.parameters.lock().check(name, &from_ros(value)).map_err(|error| to_ros_error(name, &error))
    }
}

fn from_ros(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::Bool(value) => Value::Bool(*value),
        ParameterValue::Integer(value) => Value::Integer(*value),
        ParameterValue::Double(value) => Value::Double(*value),
        ParameterValue::String(value) => Value::Text(value.clone()),
        other => Value::Other(other.type_name()),
    }
}

fn to_ros(value: &Value) -> ParameterValue {
    match value {
        Value::Bool(value) => ParameterValue::Bool(*value),
        Value::Integer(value) => ParameterValue::Integer(*value),
        Value::Double(value) => ParameterValue::Double(*value),
        Value::Text(value) => ParameterValue::String(value.clone()),
        Value::Other(_) => ParameterValue::NotSet,
    }
}

fn to_ros_error(name: &str, error: &ParameterError) -> r2r::Error {
    r2r::Error::ParameterValueConv { name: name.to_owned(), msg: error.to_string() }
}
