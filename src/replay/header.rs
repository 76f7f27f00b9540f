//! What a result was made of: whoever has the same again gets the same again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err::File;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{ReplayError, Selection};
use crate::bag::reader;
use crate::model::bundle::sha256;
use crate::model::compute::machine::cpu_name;
use crate::monitor::pipeline::Monitor;
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
    /// What assessed it.
    pub bundle: BundleFacts,
    /// How.
    pub configuration: BTreeMap<String, Json>,
    /// SHA-256 of the configuration as it stands here, without spaces.
    pub configuration_sha256: String,
}

/// A recording.
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
    pub(super) fn of(selection: &Selection, monitor: &Monitor, topic: &str) -> Result<Self, ReplayError> {
        let recordings = selection.bags.iter().map(|bag| {
            let files: Result<Vec<_>, ReplayError> =
                reader::files(bag)?.par_iter().map(|file| FileFacts::of(file)).collect();
            Ok(Recording { path: bag.clone(), files: files? })
        });
        let recordings = recordings.collect::<Result<_, ReplayError>>()?;
        let configuration = configuration(selection, topic)?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            recordings,
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

fn configuration(selection: &Selection, topic: &str) -> Result<BTreeMap<String, Json>, ReplayError> {
    let Selection { start, duration, every, parameters, .. } = selection;
    let mut all = BTreeMap::from([
        ("topic".to_owned(), topic.into()),
        ("start".to_owned(), start.as_secs_f64().into()),
        ("duration".to_owned(), duration.map(|duration| duration.as_secs_f64()).into()),
        ("every".to_owned(), (*every).into()),
    ]);
    let parameter = |(name, value): (&str, &Value)| (format!("parameter.{name}"), json(value));
    all.extend(parameters.values().map(parameter));
    if let Some(mask) = mask(parameters) {
        all.insert("valid_mask.sha256".to_owned(), FileFacts::of(&mask)?.sha256.into());
    }
    Ok(all)
}

/// The file of the valid mask.
pub(super) fn mask(parameters: &Parameters) -> Option<PathBuf> {
    parameters.settings().valid_mask.map(PathBuf::from)
}

fn json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Double(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
        Value::Other(name) => (*name).into(),
    }
}
