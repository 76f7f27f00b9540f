//! Values of parameters, and which of them a parameter takes.

use crate::model::compute::DeviceChoice;
use crate::watch::cameras;

/// What stands where a file names a parameter and no value.
pub(crate) const NOT_SET: &str = "not set";

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// true or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Double(f64),
    /// Text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Any type that no parameter here has, by its name.
    Other(&'static str),
}

impl Value {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Double(_) => "a real number",
            Self::Text(_) => "a string",
            Self::Texts(_) => "a list of strings",
            Self::Other(name) => name,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Texts(values) => write!(f, "{values:?}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Type, default and allowed values of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// true or false.
    Bool(bool),
    /// Default, least and greatest.
    Integer(i64, i64, i64),
    /// Default, least and greatest.
    Double(f64, f64, f64),
    /// A share in \[0, 1\]; the default -1.0 leaves it to the bundle.
    ShareOrBundle,
    /// Any text.
    Text(&'static str),
    /// The default, then every allowed word, the default among them.
    Word(&'static str, &'static [&'static str]),
    /// Text that a [`DeviceChoice`] is read from.
    Device,
    /// Names of cameras; none is the default.
    Cameras,
}

impl Kind {
    pub(crate) fn default(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value, ..) => Value::Integer(value),
            Self::Double(value, ..) => Value::Double(value),
            Self::ShareOrBundle => Value::Double(FROM_BUNDLE),
            Self::Text(value) | Self::Word(value, _) => Value::Text(value.to_owned()),
            Self::Device => Value::Text("auto".to_owned()),
            Self::Cameras => Value::Texts(Vec::new()),
        }
    }

    /// What is allowed, in words.
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Bool(_) => "true or false".to_owned(),
            Self::Integer(_, least, greatest) => format!("an integer in [{least}, {greatest}]"),
            Self::Double(_, least, greatest) => format!("a real number in [{least:?}, {greatest:?}]"),
            Self::ShareOrBundle => "a real number in [0.0, 1.0], or -1.0 for the bundle's".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::Word(_, words) => format!("one of {}", words.join(", ")),
            Self::Device => DeviceChoice::ACCEPTED.to_owned(),
            Self::Cameras => format!(
                "a list of at most {} different names, each of letters, digits and single underscores, beginning with a letter",
                cameras::MOST
            ),
        }
    }

    /// The value in the parameter's own type, or `None` if it is not allowed.
    pub(super) fn accept(self, value: &Value) -> Option<Value> {
        let ok = match (self, value) {
            // Whole numbers are what people write for real ones: `source_timeout:=1`.
            (Self::Double(..) | Self::ShareOrBundle, Value::Integer(whole)) => {
                return self.accept(&Value::Double(*whole as f64));
            }
            (Self::Bool(_), Value::Bool(_)) | (Self::Text(_), Value::Text(_)) => true,
            (Self::Integer(_, least, greatest), Value::Integer(v)) => (least..=greatest).contains(v),
            (Self::Double(_, least, greatest), Value::Double(v)) => (least..=greatest).contains(v),
            (Self::ShareOrBundle, Value::Double(v)) => *v == FROM_BUNDLE || (0.0..=1.0).contains(v),
            (Self::Word(_, words), Value::Text(v)) => words.contains(&v.as_str()),
            (Self::Device, Value::Text(v)) => v.parse::<DeviceChoice>().is_ok(),
            (Self::Cameras, Value::Texts(names)) => cameras::are_names(names),
            // The client library knows no empty list.
            (Self::Cameras, Value::Other(NOT_SET)) => return Some(Value::Texts(Vec::new())),
            _ => false,
        };
        ok.then(|| value.clone())
    }
}

/// Stands for the bundle's own value.
const FROM_BUNDLE: f64 = -1.0;
