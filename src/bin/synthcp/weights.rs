//! `synthcp weights`: published weights and networks.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Subcommand;
use synthcp_monitor::checkpoint::architecture::{self, Architecture};
use synthcp_monitor::checkpoint::parity::{FIXTURES, TOLERANCE};
use synthcp_monitor::checkpoint::weights::{self, Tensors};
use synthcp_monitor::checkpoint::{published, pytorch};
use synthcp_monitor::model::bundle::{Bundle, Entry, check_size, sha256};
use synthcp_monitor::network::segmentation::SegmenterConfig;
use synthcp_monitor::network::segmentation::torchscript::TorchScript;
use synthcp_monitor::whole_file;
use tch::Device;
use tch::nn::VarStore;

use super::Outcome;

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// Runs the networks at reference size against golden outputs of the public code.
    Verify {
        /// Folder of the fixtures.
        #[arg(long)]
        fixtures: PathBuf,
        /// Seed of the formula that fills the weights.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Reads a published checkpoint (PyTorch's zip or legacy format, or safetensors), checks it against
    /// the network and writes it as safetensors.
    Import {
        #[arg(long, help = networks())]
        arch: Architecture,
        /// Classes of the label set; of a bundle, those of its own.
        #[arg(long, default_value_t = 19)]
        classes: i64,
        /// The checkpoint; if it comes in several files, each, with what its names begin with in the
        /// network: --from encoder.=enc.pth --from decoder.=dec.pth.
        #[arg(long, required = true)]
        from: Vec<Source>,
        /// Safetensors file to write, or the folder of a bundle, whose network is replaced.
        #[arg(long)]
        to: PathBuf,
    },
}

fn networks() -> String {
    let names = architecture::names().collect::<Vec<_>>().join(", ");
    format!(
        "The network: one of {names}, at reference size, or a configuration as in bundle.yaml: \
         '{{architecture: spade, ngf: 16}}'"
    )
}

/// A file, and what goes before its tensors' names.
#[derive(Clone, Debug)]
pub struct Source {
    prefix: String,
    path: PathBuf,
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (prefix, path) = match text.split_once(".=") {
            Some((prefix, path)) => (format!("{prefix}."), path),
            None => (String::new(), text),
        };
        Ok(Self { prefix, path: path.into() })
    }
}

/// Does it.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Verify { fixtures, seed } => verify(fixtures, *seed),
        Action::Import { arch, from, to, .. } if to.is_dir() => import_into(Bundle::open(to)?, arch, from),
        Action::Import { arch, classes, from, to } => {
            Ok(weights::write(&checkpoint(arch, *classes, from)?, to, None)?)
        }
    }
}

/// A line a fixture; an error if one fails.
fn verify(folder: &Path, seed: u64) -> Outcome {
    let mut failed = 0;
    for fixture in &FIXTURES {
        // Asked this way round, a NaN fails as well.
        let (figure, verdict) = match fixture.difference(folder, seed) {
            Ok(difference) if difference <= TOLERANCE => (format!("{difference:.1e}"), "pass".into()),
            Ok(difference) => (format!("{difference:.1e}"), "FAIL".into()),
            Err(error) => ("-".into(), format!("FAIL: {error}")),
        };
        println!("{:<20} {figure:>8} {verdict}", fixture.name);
        failed += usize::from(verdict != "pass");
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} fixtures fail; {TOLERANCE:e} is accepted", FIXTURES.len()).into()),
    }
}

/// The tensors of a network, from its checkpoint. Whatever does not fit is printed, a line a tensor.
fn checkpoint(arch: &Architecture, classes: i64, from: &[Source]) -> Result<Tensors, Box<dyn Error>> {
    let vs = VarStore::new(Device::Cpu);
    arch.build(&vs, classes)?;
    let mut tensors = Tensors::new();
    for Source { prefix, path } in from {
        let read = published::prepare(pytorch::read(path)?);
        tensors.extend(read.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }
    let mismatches = weights::mismatches(&vs, &tensors, &from[0].path);
    for mismatch in &mismatches {
        eprintln!("{mismatch}");
    }
    match mismatches.len() {
        0 => Ok(tensors),
        n => Err(format!("{n} tensors do not fit the network; nothing is written").into()),
    }
}

/// Puts a network into a bundle in place of the one that is there.
fn import_into(bundle: Bundle, arch: &Architecture, from: &[Source]) -> Outcome {
    let Bundle { dir, labels, mut description, .. } = bundle;
    let classes = labels.len() as i64;
    if let Architecture::Synthesis(network) = arch {
        check_size(network, description.working_size)?;
    }
    let (role, file) = match arch {
        Architecture::Segmentation(SegmenterConfig::Torchscript(_)) => ("segmentation", "segmentation.pt"),
        Architecture::Segmentation(_) => ("segmentation", "segmentation.safetensors"),
        Architecture::Synthesis(_) => ("synthesis", "synthesis.safetensors"),
        Architecture::Comparison(_) => ("comparison", "comparison.safetensors"),
    };
    let path = dir.join(file);
    if let Architecture::Segmentation(SegmenterConfig::Torchscript(config)) = arch {
        let bytes = whole_file::read(&from[0].path, weights::MOST)?;
        let [height, width] = description.working_size.map(i64::from);
        TorchScript::load(&bytes, config, classes, (height, width), Device::Cpu)
            .map_err(|e| format!("{}: {e}", from[0].path.display()))?;
        whole_file::write(&path, bytes)?;
    } else {
        weights::write(&checkpoint(arch, classes, from)?, &path, None)?;
    }
    let hash = sha256(&fs_err::read(&path)?);
    let origin = from.iter().map(|source| source.path.display().to_string()).collect::<Vec<_>>().join(", ");
    fn entry<C: Clone>(network: &C, file: &str, sha256: String, origin: String) -> Entry<C> {
        let (trained_on, command) = (format!("not known: {origin}"), "synthcp weights import".into());
        Entry { network: network.clone(), weights: file.into(), sha256, trained_on, command }
    }
    match arch {
        Architecture::Segmentation(c) => description.segmentation = entry(c, file, hash, origin),
        Architecture::Synthesis(c) => description.synthesis = entry(c, file, hash, origin),
        Architecture::Comparison(c) => description.comparison = entry(c, file, hash, origin),
    }
    description.forget_promises();
    description.write(&dir)?;
    eprintln!(
        "{}: {role} replaced; the bundle is not calibrated any more, and no frame is NOMINAL by it until \
         synthcp bundle calibrate",
        dir.display()
    );
    Ok(())
}
