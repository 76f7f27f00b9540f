//! Parameters without a ROS client library: from the node's own params file, or from one that holds the values
//! alone, and from single settings.

use std::path::{Path, PathBuf};

use serde_norway::Value as Yaml;

use super::files::{collect, flatten, told};
use super::value::Value;
use super::{ParameterError, Parameters};
use crate::whole_file;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Why parameters cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It holds no parameters.
    #[error("{}: {reason}; a params file of the node, or its parameters alone, is needed", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: String,
    },
    /// It is for other nodes.
    #[error("{} says nothing to the node {node}; its keys are {keys}", path.display())]
    Node {
        /// The file.
        path: PathBuf,
        /// Whose parameters are wanted.
        node: String,
        /// Whose there are.
        keys: String,
    },
    /// A setting that is none.
    #[error("{text:?} sets nothing; expected NAME=VALUE, such as trigger_frames=5")]
    Setting {
        /// The text.
        text: String,
    },
    /// A value that is not allowed.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

impl Parameters {
    /// The values that `file` says to `node`, a whole name such as `/front/monitor`, and in their place those
    /// in `settings`, each `NAME=VALUE`. Names that no parameter has come back as well: the file may be
    /// shared with other nodes.
    pub fn offline(
        file: Option<&Path>,
        node: &str,
        settings: &[String],
    ) -> Result<(Self, Vec<String>), OfflineError> {
        let mut values = file.map_or(Ok(Vec::new()), |file| of_file(file, node))?;
        let (_, unknown) =
            Self::with_those_known(values.iter().map(|(name, value)| (name.as_str(), value.clone())))?;
        values.retain(|(name, _)| !unknown.contains(name));
        for text in settings {
            let wrong = || OfflineError::Setting { text: text.clone() };
            let (name, value) = text.split_once('=').ok_or_else(wrong)?;
            let value: Yaml = serde_norway::from_str(value).map_err(|_| wrong())?;
            flatten(name.trim(), &value, &mut values);
        }
        let values = values.iter().map(|(name, value)| (name.as_str(), value.clone()));
        Ok((Self::with_overrides(values)?, unknown))
    }
}

fn of_file(path: &Path, node: &str) -> Result<Vec<(String, Value)>, OfflineError> {
    let bytes = whole_file::read(path, LARGEST)?;
    let wrong = |reason: String| OfflineError::Yaml { path: path.to_owned(), reason };
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let yaml: Yaml = serde_norway::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let mut keys = Vec::new();
    collect(&yaml, "", &mut keys);
    if keys.is_empty() {
        let Yaml::Mapping(_) = yaml else { return Err(wrong("it is no mapping".to_owned())) };
        let mut values = Vec::new();
        flatten("", &yaml, &mut values);
        return Ok(values);
    }
    let told = told([(path.to_string_lossy().as_ref(), text.clone())], node);
    match told.warnings.is_empty() {
        true => Ok(told.values),
        false => {
            let keys: Vec<_> = keys.iter().map(|(key, _)| key.as_str()).take(5).collect();
            let (path, node, keys) = (path.to_owned(), node.to_owned(), keys.join(", "));
            Err(OfflineError::Node { path, node, keys })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, settings: &[&str]) -> Result<(Parameters, Vec<String>), OfflineError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my.yaml");
        std::fs::write(&file, text).unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        Parameters::offline(Some(&file), "/monitor", &settings)
    }

    #[test]
    fn the_nodes_file_and_one_of_values_alone_mean_the_same() {
        let values = "{trigger_frames: 2, threshold: {caution: 0.25}, gain: 3}";
        for text in [format!("/**:\n  ros__parameters: {values}\n"), values.to_owned()] {
            let (parameters, unknown) = read(&text, &["source_timeout=2", "trigger_frames = 4"]).unwrap();
            let value = |name| parameters.get(name).unwrap().clone();
            assert_eq!(value("threshold.caution"), Value::Double(0.25));
            assert_eq!(
                (value("trigger_frames"), value("source_timeout")),
                (Value::Integer(4), Value::Double(2.0))
            );
            assert_eq!(unknown, ["gain"]);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, settings, what) in [
            ("/front/monitr:\n  ros__parameters: {anomaly: false}\n", &[][..], "/front/monitr"),
            ("trigger_frame: 2", &[], "trigger_frames does, and is likely meant"),
            ("trigger_frames: 0", &[], "trigger_frames is 0"),
            ("- 1", &[], "no mapping"),
            ("{}", &["trigger_frames"], "NAME=VALUE"),
            ("{}", &["gain=3"], "gain does not exist"),
        ] {
            let error = read(text, settings).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
