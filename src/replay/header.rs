//! What a result was made of: whoever has the same again gets the same again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err::File;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::figures::Measures;
use super::label_topics::LabelTopics;
use super::truth::Labels;
use super::{ReplayError, Selection};
use crate::bag::reader;
use crate::model::bundle::sha256;
use crate::model::compute::machine::cpu_name;
use crate::monitor::pipeline::Monitor;
use crate::watch::cameras::Camera;
use crate::watch::parameters::{Parameters, Value};

/// Bytes hashed at once.
const BLOCK: usize = 1 << 18;

/// Everything that decides on a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this program.
    pub version: String,
    /// What was replayed.
    pub recordings: Vec<Recording>,
    /// The folder of labels.
    pub labels: Option<Recording>,
    /// What assessed it.
    pub bundle: BundleFacts,
    /// How.
    pub configuration: BTreeMap<String, Json>,
    /// SHA-256 of the configuration as it stands here, without spaces.
    pub configuration_sha256: String,
}

/// Files that were read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// As it was named.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<FileFacts>,
}

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// A bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleFacts {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bundle.yaml, in hex.
    pub sha256: String,
    /// The same of its files of weights.
    pub weights: BTreeMap<String, String>,
    /// The networks, their arithmetic, and the kind of device that they run on.
    pub networks: String,
}

/// The computer that did it. With the latencies, all that may differ between two replays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The CPU's name, where the kernel tells it.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Operating system and kind of CPU.
    pub platform: String,
}

impl Host {
    /// This one.
    pub(super) fn here() -> Self {
        Self {
            cpu: cpu_name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

impl Header {
    /// Of what is about to be replayed. Every file is read once.
    pub(super) fn of(
        selection: &Selection,
        monitor: &Monitor,
        topic: &str,
        label_topics: Option<&LabelTopics>,
        measures: &Measures,
    ) -> Result<Self, ReplayError> {
        let recordings = selection.bags.iter().map(|bag| Recording::of(bag, &reader::files(bag)?));
        let recordings = recordings.collect::<Result<_, ReplayError>>()?;
        let folder = selection.labels.as_ref().map(|labels| &labels.source).filter(|source| source.is_dir());
        let labels = folder.map(|folder| {
            let entries = fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path()));
            let mut files = entries.collect::<Result<Vec<_>, std::io::Error>>()?;
            files.retain(|file| file.is_file());
            files.sort();
            Recording::of(folder, &files)
        });
        let labels = labels.transpose()?;
        let configuration = configuration(selection, topic, label_topics, measures)?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            recordings,
            labels,
            bundle: BundleFacts {
                name: monitor.bundle_name().to_owned(),
                sha256: monitor.bundle_hash().to_owned(),
                weights: monitor.weights().clone(),
                networks: monitor.networks().description(),
            },
            configuration_sha256: sha256(&serde_json::to_vec(&configuration).map_err(std::io::Error::from)?),
            configuration,
        })
    }
}

impl Header {
    /// What is not the same as in `other`, if anything.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let json = |header: &Self| serde_json::to_value(header).ok();
        let (Some(Json::Object(ours)), Some(Json::Object(theirs))) = (json(self), json(other)) else {
            return Some("its form".to_owned());
        };
        let differs = |(name, ours): (&String, &Json)| match (ours, theirs.get(name)) {
            (ours, Some(theirs)) if ours == theirs => None,
            (Json::Object(ours), Some(Json::Object(theirs))) => {
                let one = ours.iter().find(|(key, value)| theirs.get(*key) != Some(value))?;
                let earlier = theirs.get(one.0).unwrap_or(&Json::Null);
                Some(format!("{name} {}, which is {} and was {earlier}", one.0, one.1))
            }
            _ => Some(name.clone()),
        };
        ours.iter().find_map(differs)
    }
}

impl Recording {
    fn of(path: &Path, files: &[PathBuf]) -> Result<Self, ReplayError> {
        let files: Result<Vec<_>, ReplayError> = files.par_iter().map(|file| FileFacts::of(file)).collect();
        Ok(Self { path: path.to_owned(), files: files? })
    }
}

impl FileFacts {
    fn of(path: &Path) -> Result<Self, ReplayError> {
        let mut file = File::open(path)?;
        let (mut hash, mut block, mut bytes) = (Sha256::new(), vec![0; BLOCK], 0);
        loop {
            let read = file.read(&mut block)?;
            if read == 0 {
                break;
            }
            hash.update(&block[..read]);
            bytes += read as u64;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name, bytes, sha256 })
    }
}

fn configuration(
    selection: &Selection,
    topic: &str,
    label_topics: Option<&LabelTopics>,
    measures: &Measures,
) -> Result<BTreeMap<String, Json>, ReplayError> {
    let Selection { start, duration, every, parameters, pace, labels, .. } = selection;
    let mut all = BTreeMap::from([
        ("topic".to_owned(), topic.into()),
        ("start".to_owned(), start.as_secs_f64().into()),
        ("duration".to_owned(), duration.map(|duration| duration.as_secs_f64()).into()),
        ("every".to_owned(), (*every).into()),
        ("pace".to_owned(), pace.to_string().into()),
    ]);
    if let Some(Labels { source, set, coding }) = labels {
        let coding = coding.map(|coding| coding.to_string());
        all.insert("labels".to_owned(), json!([source, set, coding, measures.description()]));
        all.insert("detectors".to_owned(), json!(measures.named()));
    }
    if let Some(label_topics) = label_topics {
        all.insert("segmentation".to_owned(), label_topics.labels.as_str().into());
    }
    let names = parameters.labels().and_then(|labels| labels.names).map(PathBuf::from);
    if let Some(file) = names.filter(|names| names.is_file()) {
        all.insert("labels.names.sha256".to_owned(), FileFacts::of(&file)?.sha256.into());
    }
    let parameter = |(name, value): (String, &Value)| (format!("parameter.{name}"), of_value(value));
    all.extend(parameters.values().map(parameter));
    if let Some(mask) = mask(parameters) {
        all.insert("valid_mask.sha256".to_owned(), FileFacts::of(&mask)?.sha256.into());
    }
    Ok(all)
}

/// The file of the valid mask.
pub(super) fn mask(parameters: &Parameters) -> Option<PathBuf> {
    parameters.valid_mask(&Camera::default()).map(PathBuf::from)
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Double(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
        Value::Texts(values) => values.clone().into(),
        Value::Other(name) => (*name).into(),
    }
}
