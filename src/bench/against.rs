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
    /// What it needs could not be laid out.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The interpreter could not be run.
    #[error("{}: {reason}", python.display())]
    Interpreter {
        /// The interpreter.
        python: PathBuf,
        /// Why.
        reason: io::Error,
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
    Result(serde_json::Error),
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
    let folder = tempfile::Builder::new().prefix("synthcp_bench_").tempdir()?;
    let file = |name: &str| folder.path().join(name);
    for (name, tensors) in ["m", "g", "f"].iter().zip(&parameters) {
        weights::write(tensors, &file(&format!("{name}.safetensors")), None)?;
    }
    weights::write(&frame(subject, arithmetic, sample)?, &file("frame.safetensors"), None)?;
    let script = file("bench_python.py");
    fs_err::write(&script, SCRIPT)?;
    let output = Command::new(python)
        .arg(&script)
        .arg(folder.path())
        .args(["--threads", &tch::get_num_threads().to_string()])
        .args(["--device", if arithmetic.device.is_cuda() { "cuda" } else { "cpu" }])
        // It has libraries of its own.
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("PYTHONPATH")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|reason| AgainstError::Interpreter { python: python.to_owned(), reason })?;
    if !output.status.success() {
        return Err(AgainstError::Failed { python: python.to_owned(), status: output.status });
    }
    serde_json::from_slice(&output.stdout).map_err(AgainstError::Result)
}

/// The inputs and outputs of the networks, in fp32.
fn frame(subject: &Subject, arithmetic: Arithmetic, sample: &Sample) -> Result<Tensors, BenchError> {
    let networks = subject.networks(Arithmetic { kind: Kind::Float, ..arithmetic })?;
    let labels = label_batch(&[sample], subject.size(), arithmetic.device).to_kind(Kind::Int64);
    tch::no_grad(|| {
        let inference =
            Inference::of_image(&networks, &sample.image)?.with_labels_for_g(labels.shallow_clone());
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
