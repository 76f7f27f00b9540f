//! What makes a training this one and no other: data, slice, recipe, seed. A checkpoint of another is not
//! gone on with, and not packed under this one's name.
//!
//! How long is no part of it: a training that was cut short goes on for longer.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_norway::Value;
use tch::Tensor;

use super::TrainError;
use super::batch::TensorSet;
use crate::checkpoint::weights::{self, Metadata};
use crate::data::Pair;
use crate::model::bundle::sha256;

/// Each fact with its value; kept in the metadata of what was trained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(BTreeMap<String, String>);

const PREFIX: &str = "identity.";
/// The value of a fact that is not there.
pub(crate) const NOTHING: &str = "nothing";
/// Facts that tell the samples apart for people.
const SAMPLES: [&str; 3] = ["the number of samples", "the first sample", "the last sample"];
/// Facts that only whoever has read the samples can tell.
const CONTENTS: [&str; 3] =
    ["what the images hold", "what the labels hold", "what the labels of another segmenter hold"];

/// SHA-256 of tensors of any kind, by their names.
pub(crate) fn hash_of<'a>(tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) -> String {
    let line = |(name, tensor): (&String, &Tensor)| {
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        format!("{name} {}\n", sha256(&bytes))
    };
    sha256(tensors.map(line).collect::<String>().as_bytes())
}

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
        self.with(SAMPLES[0], pairs.len())
            .with(SAMPLES[1], ends[0])
            .with(SAMPLES[2], ends[1])
            .with("the list of samples", sha256(names.as_bytes()))
    }

    /// The samples of the training whose checkpoint lies at `path`, in words: how many, the first and the last.
    /// `None` of any other file.
    pub fn samples_of(path: &Path) -> Option<String> {
        let facts = Self::parse(&weights::metadata(path).ok()?)?;
        let [count, first, last] = SAMPLES.map(|fact| facts.0.get(fact));
        Some(format!("{} samples, {} to {}", count?, first?, last?))
    }

    /// With what the samples hold.
    pub(crate) fn of_contents(self, set: &TensorSet) -> Self {
        self.with(CONTENTS[0], hash(&set.images)).with(CONTENTS[1], hash(&set.labels))
    }

    /// With another segmenter's labels, `N x H x W` bytes.
    pub(crate) fn of_given(self, labels: &Tensor) -> Self {
        self.with(CONTENTS[2], hash(labels))
    }

    /// Without what only whoever has read the samples can tell.
    pub(crate) fn without_contents(mut self) -> Self {
        self.0.retain(|field, _| !CONTENTS.contains(&field.as_str()));
        self
    }

    /// With the facts of another.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.clone());
        self
    }

    /// The first fact that is another in `found`, or that one of the two lacks: its name, its value there and here.
    pub(crate) fn differs<'a>(&'a self, found: &'a Self) -> Option<(&'a str, &'a str, &'a str)> {
        let value = |facts: &'a Self, field: &str| facts.0.get(field).map_or(NOTHING, String::as_str);
        let all = self.0.keys().chain(found.0.keys());
        let mut told = all.map(|field| (field.as_str(), value(found, field), value(self, field)));
        told.find(|(_, found, expected)| found != expected)
    }

    /// Fails with that fact, if there is one; `found` is kept at `path`.
    pub(crate) fn check(&self, found: &Self, path: &Path) -> Result<(), TrainError> {
        match self.differs(found) {
            None => Ok(()),
            Some((field, found, expected)) => {
                let [field, found, expected] = [field, found, expected].map(str::to_owned);
                Err(TrainError::OtherTraining { path: path.to_owned(), field, found, expected })
            }
        }
    }

    /// As it is kept beside tensors.
    pub(crate) fn metadata(&self) -> Metadata {
        self.metadata_under(PREFIX)
    }

    /// The same for facts of another sort, whose names begin with `prefix` there.
    pub(crate) fn metadata_under(&self, prefix: &str) -> Metadata {
        self.0.iter().map(|(field, value)| (format!("{prefix}{field}"), value.clone())).collect()
    }

    /// What is kept in `metadata`; `None` where nothing is.
    pub(crate) fn parse(metadata: &Metadata) -> Option<Self> {
        Self::parse_under(PREFIX, metadata)
    }

    /// What [`Identity::metadata_under`] gave.
    pub(crate) fn parse_under(prefix: &str, metadata: &Metadata) -> Option<Self> {
        let own = |(field, value): (&String, &String)| {
            Some((field.strip_prefix(prefix)?.to_owned(), value.clone()))
        };
        let facts: BTreeMap<_, _> = metadata.iter().filter_map(own).collect();
        (!facts.is_empty()).then_some(Self(facts))
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::network::comparison::ComparatorConfig;

    fn refused(expected: &Identity, found: &Identity) -> String {
        expected.check(found, Path::new("file")).unwrap_err().to_string()
    }

    #[test]
    fn a_fact_that_is_there_no_more_is_as_good_as_another() {
        let with = |color: Option<f64>| {
            let seed = Identity::default().with("seed", 1);
            seed.with_any("comparison_color", color)
        };
        assert!(with(Some(0.3)).check(&with(Some(0.3)), Path::new("file")).is_ok());
        let said = refused(&with(None), &with(Some(0.3)));
        assert!(said.contains("file: comparison_color was 0.3 and is now nothing"), "{said}");
        let said = refused(&with(Some(0.3)), &with(None));
        assert!(said.contains("comparison_color was nothing and is now 0.3"), "{said}");
    }

    #[test]
    fn a_smaller_network_is_not_packed_as_a_larger_one_of_the_same_tensors() {
        let of = |text: &str| {
            let network: ComparatorConfig = serde_norway::from_str(text).unwrap();
            Identity::default().with("comparison", network)
        };
        let small = of("{architecture: fused, width: 8, shrink: 2}");
        let said = refused(&of("{architecture: fused, width: 8}"), &small);
        assert!(said.contains("comparison.shrink was 2 and is now nothing"), "{said}");
        assert!(of("{architecture: fused, width: 8, shrink: 2}").check(&small, Path::new("file")).is_ok());
    }

    #[test]
    fn what_the_samples_hold_is_compared_by_those_who_read_them() {
        let bytes = |value: i64| Tensor::full([2, 3, 4], value, (Kind::Uint8, Device::Cpu));
        let set = |value| TensorSet { images: bytes(value), labels: bytes(0) };
        let named = Identity::default().with("seed", 1);
        let read = |value| named.clone().of_contents(&set(value)).of_given(&bytes(7));
        let said = refused(&read(1), &read(2));
        assert!(said.contains("what the images hold was "), "{said}");
        assert!(named.check(&read(1).without_contents(), Path::new("file")).is_ok());
        assert!(named.check(&read(1), Path::new("file")).is_err());
    }
}
