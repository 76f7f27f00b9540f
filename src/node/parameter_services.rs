//! The parameter services, by which `ros2 param` and other nodes read and set.
//!
//! r2r's own handler panics where an answer cannot be sent, as when the asker has gone, and from then on
//! answers nobody.

use r2r::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, ListParametersResult, ParameterDescriptor, ParameterType,
    ParameterValue, SetParametersResult,
};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters,
    SetParametersAtomically,
};
use r2r::{Node, WrappedServiceTypeSupport};

use super::log::Log;
use super::questions::Questions;
use crate::quote::without_nul;
use crate::watch::parameters::listing::listed;
use crate::watch::parameters::{Declaration, Kind, ParameterError, Value};
use crate::watch::shared_parameters::SharedParameters;

const NOT_SET: u8 = ParameterType::PARAMETER_NOT_SET as u8;
const BOOL: u8 = ParameterType::PARAMETER_BOOL as u8;
const INTEGER: u8 = ParameterType::PARAMETER_INTEGER as u8;
const DOUBLE: u8 = ParameterType::PARAMETER_DOUBLE as u8;
const STRING: u8 = ParameterType::PARAMETER_STRING as u8;
const STRINGS: u8 = ParameterType::PARAMETER_STRING_ARRAY as u8;

/// The six services of a node with parameters.
pub(crate) struct ParameterServices {
    parameters: SharedParameters,
    services: [Box<dyn Service>; 6],
}

impl ParameterServices {
    /// Offers the services under the node's name.
    pub(crate) fn create(node: &mut Node, parameters: SharedParameters) -> r2r::Result<Self> {
        let services: [Box<dyn Service>; 6] = [
            endpoint::<ListParameters::Service>(node, "list_parameters", list)?,
            endpoint::<GetParameters::Service>(node, "get_parameters", get)?,
            endpoint::<GetParameterTypes::Service>(node, "get_parameter_types", types)?,
            endpoint::<DescribeParameters::Service>(node, "describe_parameters", describe)?,
            endpoint::<SetParameters::Service>(node, "set_parameters", set)?,
            endpoint::<SetParametersAtomically::Service>(node, "set_parameters_atomically", set_atomically)?,
        ];
        Ok(Self { parameters, services })
    }

    /// Answers what has been asked since the last call; gives the values that were set.
    pub(crate) fn answer(&mut self, log: &Log) -> Vec<(String, Value)> {
        let mut asked = Asked { parameters: &self.parameters, changes: Vec::new(), log };
        self.services.iter_mut().for_each(|service| service.answer(&mut asked));
        asked.changes
    }
}

/// What questions are answered from, and what they change.
struct Asked<'a> {
    parameters: &'a SharedParameters,
    changes: Vec<(String, Value)>,
    log: &'a Log,
}

trait Service: Send {
    fn answer(&mut self, asked: &mut Asked);
}

type Answer<S> =
    fn(&mut Asked, <S as WrappedServiceTypeSupport>::Request) -> <S as WrappedServiceTypeSupport>::Response;

/// A service of type `S`.
struct Endpoint<S: WrappedServiceTypeSupport> {
    questions: Questions<S>,
    answer: Answer<S>,
}

fn endpoint<S>(node: &mut Node, name: &'static str, answer: Answer<S>) -> r2r::Result<Box<dyn Service>>
where
    S: WrappedServiceTypeSupport + Send + 'static,
    S::Request: Send,
    S::Response: Send,
{
    Ok(Box::new(Endpoint { questions: Questions::<S>::create(node, name)?, answer }))
}

impl<S> Service for Endpoint<S>
where
    S: WrappedServiceTypeSupport + Send + 'static,
    S::Response: Send,
{
    fn answer(&mut self, asked: &mut Asked) {
        let answer = self.answer;
        self.questions.answer(asked.log, |request| answer(asked, request));
    }
}

fn list(asked: &mut Asked, request: ListParameters::Request) -> ListParameters::Response {
    let names = asked.parameters.lock().names();
    let (names, prefixes) = listed(names, &request.prefixes, request.depth);
    ListParameters::Response { result: ListParametersResult { names, prefixes } }
}

fn get(asked: &mut Asked, request: GetParameters::Request) -> GetParameters::Response {
    let values = asked.parameters.lock();
    let value = |name: &String| values.get(name).map_or_else(|_| ParameterValue::default(), to_ros);
    GetParameters::Response { values: request.names.iter().map(value).collect() }
}

fn types(asked: &mut Asked, request: GetParameterTypes::Request) -> GetParameterTypes::Response {
    let GetParameters::Response { values } = get(asked, GetParameters::Request { names: request.names });
    GetParameterTypes::Response { types: values.into_iter().map(|value| value.type_).collect() }
}

fn describe(asked: &mut Asked, request: DescribeParameters::Request) -> DescribeParameters::Response {
    let values = asked.parameters.lock();
    let descriptor = |name: &String| match values.row(name) {
        Ok(row) => described(without_nul(name), row.declaration),
        Err(_) => ParameterDescriptor { name: without_nul(name), ..ParameterDescriptor::default() },
    };
    DescribeParameters::Response { descriptors: request.names.iter().map(descriptor).collect() }
}

fn set(asked: &mut Asked, request: SetParameters::Request) -> SetParameters::Response {
    let mut results = Vec::new();
    for parameter in request.parameters {
        let change = (parameter.name, from_ros(&parameter.value));
        let outcome = asked.parameters.set(&change.0, &change.1);
        results.push(result(&outcome));
        asked.changes.extend(outcome.is_ok().then_some(change));
    }
    SetParameters::Response { results }
}

fn set_atomically(
    asked: &mut Asked,
    request: SetParametersAtomically::Request,
) -> SetParametersAtomically::Response {
    let changes: Vec<_> = request
        .parameters
        .into_iter()
        .map(|parameter| (parameter.name, from_ros(&parameter.value)))
        .collect();
    let outcome = asked.parameters.set_all(&changes);
    let result = result(&outcome);
    asked.changes.extend(outcome.is_ok().then_some(changes).into_iter().flatten());
    SetParametersAtomically::Response { result }
}

fn result(outcome: &Result<(), ParameterError>) -> SetParametersResult {
    let reason = outcome.as_ref().err().map_or(String::new(), |error| without_nul(&error.to_string()));
    SetParametersResult { successful: outcome.is_ok(), reason }
}

fn described(name: String, row: &Declaration) -> ParameterDescriptor {
    let mut descriptor = ParameterDescriptor {
        name,
        type_: to_ros(&row.kind.default()).type_,
        description: row.description.to_owned(),
        additional_constraints: row.kind.allowed(),
        read_only: !row.changeable,
        ..ParameterDescriptor::default()
    };
    match row.kind {
        Kind::Integer(_, from_value, to_value) => {
            descriptor.integer_range = vec![IntegerRange { from_value, to_value, step: 1 }];
        }
        Kind::Double(_, from_value, to_value) => {
            descriptor.floating_point_range = vec![FloatingPointRange { from_value, to_value, step: 0.0 }];
        }
        Kind::Bool(_)
        | Kind::ShareOrBundle
        | Kind::Text(_)
        | Kind::Word(..)
        | Kind::Device
        | Kind::Cameras => {}
    }
    descriptor
}

fn from_ros(value: &ParameterValue) -> Value {
    match value.type_ {
        BOOL => Value::Bool(value.bool_value),
        INTEGER => Value::Integer(value.integer_value),
        DOUBLE => Value::Double(value.double_value),
        STRING => Value::Text(value.string_value.clone()),
        STRINGS => Value::Texts(value.string_array_value.clone()),
        NOT_SET => Value::Other("not set"),
        _ => Value::Other("an array"),
    }
}

fn to_ros(value: &Value) -> ParameterValue {
    let of = |type_| ParameterValue { type_, ..ParameterValue::default() };
    match value {
        Value::Bool(value) => ParameterValue { bool_value: *value, ..of(BOOL) },
        Value::Integer(value) => ParameterValue { integer_value: *value, ..of(INTEGER) },
        Value::Double(value) => ParameterValue { double_value: *value, ..of(DOUBLE) },
        Value::Text(value) => ParameterValue { string_value: without_nul(value), ..of(STRING) },
        Value::Texts(values) => {
            let string_array_value = values.iter().map(|value| without_nul(value)).collect();
            ParameterValue { string_array_value, ..of(STRINGS) }
        }
        Value::Other(_) => ParameterValue::default(),
    }
}
