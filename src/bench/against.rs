//! The same networks and weights in PyTorch, in the same run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError};

use super::stages::BenchError;
use super::subject::{Subject, label_batch};
use crate::checkpoint::weights::{self, Tensors};
use crate::data::Sample;
use crate::model::inference::Inference;
use crate::model::networks::Arithmetic;

/// The networks once more, in Python.
const SCRIPT: &str = include_str!("../../scripts/bench_python.py");

/// One way to run the networks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Way {
    /// Its name.
    pub way: String,
    /// Median milliseconds of the segmenter M (softmax and labels included), the generator G and the
    /// comparator F.
    pub millis: [f64; 3],
    /// Largest difference of their outputs from those of this crate in fp32, as a share of the range.
    pub difference: [f64; 3],
}

impl Way {
    /// Milliseconds of a frame with the anomaly score: M twice.
    pub fn frame(&self) -> f64 {
        let [m, g, f] = self.millis;
        2. * m + g + f
    }
}

/// Why there is no result from Python.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// The networks could not be built or run here.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A bundle's networks do not exist in Python.
    #[error("only the reference networks exist in Python; add --reference")]
    NotReference,
    /// The weights could not be written.
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
    /// The interpreter could not be run.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or interpreter.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It ended without a result.
    #[error("{} ended with {status}; see above", python.display())]
    Failed {
        /// The interpreter.
        python: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Its result cannot be read.
    #[error("what the script printed is no result: {0}")]
    Result(#[from] serde_json::Error),
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Times the reference networks in `python`, an interpreter that finds torch and safetensors, on
/// `sample`, with as many threads as this process.
pub fn measure(
    python: &Path,
    subject: &Subject,
    arithmetic: Arithmetic,
    sample: &Sample,
) -> Result<Vec<Way>, AgainstError> {
    let Some(parameters) = subject.parameters().map_err(BenchError::from)? else {
        return Err(AgainstError::NotReference);
    };
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| AgainstError::Io { path, source }
    };
    let folder = Folder(std::env::temp_dir().join(format!("synthcp_bench_{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).map_err(io(&folder.0))?;
    let file = |name: &str| folder.0.join(name);
    for (name, tensors) in ["m", "g", "f"].iter().zip(&parameters) {
        weights::write(tensors, &file(&format!("{name}.safetensors")), None)?;
    }
    weights::write(&frame(subject, arithmetic, sample)?, &file("frame.safetensors"), None)?;
    let script = file("bench_python.py");
    std::fs::write(&script, SCRIPT).map_err(io(&script))?;
    let output = Command::new(python)
        .arg(&script)
        .arg(&folder.0)
        .args(["--threads", &tch::get_num_threads().to_string()])
        // It has libraries of its own.
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("PYTHONPATH")
        .stderr(Stdio::inherit())
        .output()
        .map_err(io(python))?;
    if !output.status.success() {
        return Err(AgainstError::Failed { python: python.to_owned(), status: output.status });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The inputs and outputs of the networks, in fp32.
fn frame(subject: &Subject, arithmetic: Arithmetic, sample: &Sample) -> Result<Tensors, BenchError> {
    let networks = subject.networks(Arithmetic { kind: Kind::Float, ..arithmetic })?;
    let labels = label_batch(&[sample], subject.size(), arithmetic.device).to_kind(Kind::Int64);
    tch::no_grad(|| {
        let inference = Inference::of_image(&networks, &sample.image)?.with_labels(labels.shallow_clone());
        let compared = inference.comparison();
        let known = [
            ("image", Some(inference.image())),
            ("labels", Some(&labels)),
            ("probabilities", Some(&inference.segmentation().softmax.probabilities)),
            ("synth", Some(inference.synthesized())),
            ("iou", compared.iou.as_ref()),
            ("confidence", compared.confidence.as_ref()),
        ];
        let named = known.into_iter().filter_map(|(name, t)| Some((name.to_owned(), t?.shallow_clone())));
        Ok::<_, TchError>(named.collect())
    })
    .map_err(BenchError::from)
}
