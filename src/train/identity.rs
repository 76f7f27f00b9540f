//! What makes a training this one and no other: data, slice, recipe, seed. A checkpoint of another is not
//! gone on with, and not packed under this one's name.
//!
//! How long is no part of it: a training that was cut short goes on for longer.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_norway::Value;
use tch::Tensor;

use super::TrainError;
use super::batch::TensorSet;
use crate::checkpoint::weights::Metadata;
use crate::data::Pair;
use crate::model::bundle::sha256;

/// Each fact with its value; kept in the metadata of what was trained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity(BTreeMap<String, String>);

const PREFIX: &str = "identity.";
/// The value of a fact that is not there.
pub(crate) const NOTHING: &str = "nothing";

/// SHA-256 of a tensor of bytes, row by row.
fn hash(tensor: &Tensor) -> String {
    let rows = (0..tensor.size()[0]).map(|i| {
        let row = tensor.get(i);
        let mut bytes = vec![0; row.numel()];
        row.copy_data_u8(&mut bytes, row.numel());
        sha256(&bytes)
    });
    sha256(rows.collect::<String>().as_bytes())
}

impl From<&str> for Identity {
    fn from(text: &str) -> Self {
        Self([("the training".to_owned(), text.to_owned())].into())
    }
}

impl Identity {
    /// With one more fact, each of its fields by itself.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        // What is written into a recipe can be written here.
        self.add(name, &serde_norway::to_value(value).unwrap_or_default());
        self
    }

    /// The same for a fact that not every training has.
    pub(crate) fn with_any(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn add(&mut self, name: &str, value: &Value) {
        let text = match value {
            Value::Mapping(fields) => {
                for (field, value) in fields {
                    self.add(&format!("{name}.{}", field.as_str().unwrap_or_default()), value);
                }
                return;
            }
            Value::String(text) => text.clone(),
            other => serde_norway::to_string(other).unwrap_or_default().trim().replace('\n', " "),
        };
        self.0.insert(name.to_owned(), text);
    }

    /// With the names of the samples of `pairs`, which are cheap to list.
    pub(crate) fn of_names(self, pairs: &[Pair]) -> Self {
        let names: String = pairs.iter().map(|pair| format!("{}\n", pair.name)).collect();
        let ends = [pairs.first(), pairs.last()].map(|pair| pair.map_or("none", |pair| &pair.name));
        self.with("the number of samples", pairs.len())
            .with("the first sample", ends[0])
            .with("the last sample", ends[1])
            .with("the list of samples", sha256(names.as_bytes()))
    }

    /// With what the samples hold.
    pub(crate) fn of_contents(self, set: &TensorSet) -> Self {
        self.with("what the images hold", hash(&set.images)).with("what the labels hold", hash(&set.labels))
    }

    /// With another segmenter's labels, `N x H x W` bytes.
    pub(crate) fn of_given(self, labels: &Tensor) -> Self {
        self.with("what the labels of another segmenter hold", hash(labels))
    }

    /// With the facts of another.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.clone());
        self
    }

    /// Fails with the first fact of this one that is another in `found`, which is kept at `path`.
    pub(crate) fn check(&self, found: &Self, path: &std::path::Path) -> Result<(), TrainError> {
        for (field, expected) in &self.0 {
            let found = found.0.get(field).map_or(NOTHING, String::as_str);
            if found != expected {
                let (path, field) = (path.to_owned(), field.clone());
                let (found, expected) = (found.to_owned(), expected.clone());
                return Err(TrainError::OtherTraining { path, field, found, expected });
            }
        }
        Ok(())
    }

    /// As it is kept beside tensors.
    pub(crate) fn metadata(&self) -> Metadata {
        self.0.iter().map(|(field, value)| (format!("{PREFIX}{field}"), value.clone())).collect()
    }

    /// What is kept in `metadata`; `None` where nothing is.
    pub(crate) fn parse(metadata: &Metadata) -> Option<Self> {
        let own = |(field, value): (&String, &String)| {
            Some((field.strip_prefix(PREFIX)?.to_owned(), value.clone()))
        };
        let facts: BTreeMap<_, _> = metadata.iter().filter_map(own).collect();
        (!facts.is_empty()).then_some(Self(facts))
    }
}
