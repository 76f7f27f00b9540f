//! What a parameter takes, together with the type that it is read as.

use std::time::Duration;

use super::value::{Kind, Value};
use super::word::Word;
use crate::model::compute::DeviceChoice;

/// The values of a parameter, and how one of them becomes a `T`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<T> {
    pub(super) kind: Kind,
    /// A `T` of every value that `kind` accepts.
    pub(super) read: fn(&Value) -> Option<T>,
}

/// true or false.
pub(crate) const fn flag(default: bool) -> Shape<bool> {
    let read = |value: &Value| match value {
        Value::Bool(value) => Some(*value),
        _ => None,
    };
    Shape { kind: Kind::Bool(default), read }
}

/// A whole number.
pub const fn count<T: TryFrom<i64>>(default: i64, least: i64, greatest: i64) -> Shape<T> {
    let read = |value: &Value| match value {
        Value::Integer(value) => T::try_from(*value).ok(),
        _ => None,
    };
    Shape { kind: Kind::Integer(default, least, greatest), read }
}

/// A real number.
pub const fn number(default: f64, least: f64, greatest: f64) -> Shape<f64> {
    Shape { kind: Kind::Double(default, least, greatest), read: double }
}

/// A time in seconds.
pub const fn seconds(default: f64, least: f64, greatest: f64) -> Shape<Duration> {
    let read = |value: &Value| double(value).map(Duration::from_secs_f64);
    Shape { kind: Kind::Double(default, least, greatest), read }
}

/// A time in seconds; 0 is none.
pub(crate) const fn seconds_or_off(default: f64, greatest: f64) -> Shape<Option<Duration>> {
    let read = |value: &Value| double(value).map(|secs| (secs > 0.0).then(|| Duration::from_secs_f64(secs)));
    Shape { kind: Kind::Double(default, 0.0, greatest), read }
}

/// A share in \[0, 1\]; none leaves it to the bundle, which is the default.
pub(crate) const fn share_or_bundle() -> Shape<Option<f32>> {
    let read = |value: &Value| double(value).map(|share| (share >= 0.0).then_some(share as f32));
    Shape { kind: Kind::ShareOrBundle, read }
}

/// Any text.
pub const fn text(default: &'static str) -> Shape<String> {
    let read = |value: &Value| string(value).map(str::to_owned);
    Shape { kind: Kind::Text(default), read }
}

/// Any text; empty is none, which is the default.
pub(crate) const fn optional_text() -> Shape<Option<String>> {
    let read = |value: &Value| string(value).map(|text| (!text.is_empty()).then(|| text.to_owned()));
    Shape { kind: Kind::Text(""), read }
}

/// One of a few words.
pub const fn word<T: Word>(default: &'static str) -> Shape<T> {
    Shape { kind: Kind::Word(default, T::WORDS), read: |value| string(value).and_then(T::of) }
}

/// Names of cameras; none is the default.
pub(crate) const fn cameras() -> Shape<Vec<String>> {
    let read = |value: &Value| match value {
        Value::Texts(names) => Some(names.clone()),
        _ => None,
    };
    Shape { kind: Kind::Cameras, read }
}

/// Where the networks run.
pub const fn device() -> Shape<DeviceChoice> {
    Shape { kind: Kind::Device, read: |value| string(value)?.parse().ok() }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        _ => None,
    }
}

fn string(value: &Value) -> Option<&str> {
    match value {
        Value::Text(value) => Some(value),
        _ => None,
    }
}
