//! Parameters as launch file, params file and command line set them.

use r2r::indexmap::IndexMap;
use r2r::{Parameter, ParameterValue};

use crate::watch::parameters::{ParameterError, Parameters, Value, files};
use crate::watch::shared_parameters::SharedParameters;

/// What launch file and command line say.
pub(crate) struct Overrides {
    values: Vec<(String, Value)>,
    /// Files that say nothing to this node, in a sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Overrides {
    /// Those that the client library found, and from params files those that it passes over.
    pub(crate) fn of(found: &IndexMap<String, Parameter>, arguments: &[String], node: &str) -> Self {
        let (files, set) = files::named_by(arguments);
        let texts = files.into_iter().filter_map(|file| Some((file, std::fs::read_to_string(file).ok()?)));
        let told = files::told(texts, node);
        let mut values: Vec<_> =
            found.iter().map(|(name, parameter)| (name.clone(), from_ros(&parameter.value))).collect();
        // Without such a pattern the client library has read all there is.
        if told.by_pattern {
            let from_files = told.values.into_iter().filter(|(name, _)| !set.contains(&name.as_str()));
            for (name, value) in from_files {
                values.retain(|(other, _)| *other != name);
                values.push((name, value));
            }
        }
        Self { values, warnings: told.warnings }
    }

    /// The parameters. A name that is nearly one of ours is an error: a misspelt limit must not stay at its
    /// default. Of others that nobody knows there is a warning: a file may be shared with other nodes.
    pub(crate) fn parameters(&mut self) -> Result<SharedParameters, ParameterError> {
        let given = self.values.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let (values, unknown) = Parameters::with_those_known(given)?;
        let ignored = |name| format!("parameter {name} does not exist and is ignored; is it misspelt?");
        self.warnings.extend(unknown.into_iter().map(ignored));
        Ok(SharedParameters::new(values))
    }

    /// The parameters of a node that refuses these: the defaults, said of the cameras that these name.
    pub(crate) fn refused(&self) -> SharedParameters {
        let given = self.values.iter().map(|(name, value)| (name.as_str(), value.clone()));
        SharedParameters::new(Parameters::of_cameras_in(given))
    }
}

fn from_ros(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::Bool(value) => Value::Bool(*value),
        ParameterValue::Integer(value) => Value::Integer(*value),
        ParameterValue::Double(value) => Value::Double(*value),
        ParameterValue::String(value) => Value::Text(value.clone()),
        ParameterValue::StringArray(values) => Value::Texts(values.clone()),
        other => Value::Other(other.type_name()),
    }
}
