//! `synthcp weights`: published weights and networks.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use synthcp_monitor::checkpoint::architecture::{self, Architecture};
use synthcp_monitor::checkpoint::average;
use synthcp_monitor::checkpoint::parity::{self, FIXTURES, How};
use synthcp_monitor::checkpoint::published;
use synthcp_monitor::checkpoint::pytorch::Checkpoint;
use synthcp_monitor::checkpoint::weights::{self, Shapes, Tensors, WeightsError};
use synthcp_monitor::model::bundle::{Bundle, Entry, check_size, sha256};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::network::fault::one_line;
use synthcp_monitor::network::segmentation::torchscript::{self, TorchScript};
use synthcp_monitor::network::segmentation::{Segmenter, SegmenterConfig};
use synthcp_monitor::train::foreign;
use synthcp_monitor::train::identity::Identity;
use synthcp_monitor::whole_file;
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::{Outcome, output, trial};

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
        /// auto, cpu, cuda or cuda:N.
        #[arg(long, default_value_t = DeviceChoice::Cpu)]
        device: DeviceChoice,
        /// fp32, in which the golden outputs were computed, bf16 or fp16; several are run one after the other.
        #[arg(long, default_value = "fp32")]
        precision: Vec<Precision>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reads a published checkpoint (PyTorch's zip or legacy format, or safetensors), checks it against
    /// the network and writes it as safetensors.
    Import(Import),
    /// Writes the mean of the weights of trainings that went on from one another: it costs what one of them does, and
    /// is often better than each. `weights import` puts it into a bundle.
    Average {
        /// Safetensors of one network: comparison.safetensors of a bundle. Each training's, two at least.
        #[arg(long, required = true)]
        from: Vec<PathBuf>,
        /// Safetensors file to write.
        #[arg(long)]
        to: PathBuf,
    },
}

/// What to import, and where to.
#[derive(ClapArgs)]
pub struct Import {
    #[arg(long, help = networks())]
    arch: Architecture,
    /// Classes of the label set; of a bundle, those of its own.
    #[arg(long, default_value_t = 19)]
    classes: i64,
    /// The checkpoint: published, or WORK/segmentation/checkpoint.safetensors of a training here. If it comes in
    /// several files, each, with what its names begin with in the network: --from encoder.=enc.pth --from
    /// decoder.=dec.pth.
    #[arg(long, required = true)]
    from: Vec<Source>,
    /// Safetensors file to write, or the folder of a bundle, whose network is replaced.
    #[arg(long)]
    to: PathBuf,
    /// Which of several networks in the checkpoint: its key, or keys with dots between them, such as ema.
    #[arg(long)]
    entry: Option<String>,
    /// Labelled images (Cityscapes, CamVid or StreetHazards layout) on which the imported segmenter is tried:
    /// prints its accuracy on the first 100, and what it is fed. A TorchScript file is fed in the usual ways as
    /// well, and refused where one of them is clearly better. For a bundle.
    #[arg(long, value_name = "DATA")]
    check: Option<PathBuf>,
    /// Loads a TorchScript file whatever its code does; otherwise one that does anything but compute is
    /// refused. The bundle says so, and runs the code wherever it is loaded.
    #[arg(long)]
    trust_code: bool,
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
        Action::Verify { fixtures, seed, device, precision, json } => {
            let device = device.resolve()?;
            let kinds: Result<Vec<Kind>, _> = precision.iter().map(|p| p.resolve(device)).collect();
            verify(fixtures, kinds?.into_iter().map(|kind| How { seed: *seed, device, kind }), *json)
        }
        Action::Average { from, .. } if from.len() < 2 => {
            Err(format!("{}: a mean is of two files at least: --from A --from B", from[0].display()).into())
        }
        Action::Average { from, to } => {
            output::spare(from, [to.clone()])?;
            let tensors = average::mean(from)?;
            weights::write(&tensors, to, None)?;
            note!("{}: the mean of {} files, {} tensors", to.display(), from.len(), tensors.len());
            Ok(())
        }
        Action::Import(import) if import.to.is_dir() => import_into(Bundle::open(&import.to)?, import),
        Action::Import(Import { check: Some(_), .. }) => {
            Err("--check tries a segmenter in a bundle: --to is the folder of one".into())
        }
        Action::Import(import) => {
            let inputs: Vec<PathBuf> = import.from.iter().map(|source| source.path.clone()).collect();
            output::spare(&inputs, [import.to.clone()])?;
            let tensors = checkpoint(import, import.classes)?;
            weights::write(&tensors, &import.to, None)?;
            note!("{}: {} tensors written", import.to.display(), tensors.len());
            Ok(())
        }
    }
}

/// A line a fixture and precision; an error if one fails.
fn verify(folder: &Path, ways: impl Iterator<Item = How>, json: bool) -> Outcome {
    let (mut failed, mut run) = (0, 0);
    for how in ways {
        let (kind, most) = (how.kind, parity::tolerance(how.kind));
        for fixture in &FIXTURES {
            let difference = fixture.difference(folder, how).map_err(|error| one_line(&error.to_string()));
            // Asked this way round, a NaN fails as well.
            let passes = difference.as_ref().is_ok_and(|&difference| difference <= most);
            let name = fixture.name;
            if json {
                let (figure, reason) = (difference.as_ref().ok(), difference.as_ref().err());
                let kind = format!("{kind:?}");
                say!(
                    "{}",
                    json!({
                        "fixture": name, "kind": kind, "difference": figure, "most": most, "passes": passes, "reason": reason,
                    })
                );
            } else {
                let figure = difference.as_ref().map_or("-".into(), |difference| format!("{difference:.1e}"));
                let verdict = match &difference {
                    _ if passes => "pass".into(),
                    Ok(_) => "FAIL".into(),
                    Err(reason) => format!("FAIL: {reason}"),
                };
                let kind = if kind == Kind::Float { String::new() } else { format!("{kind:?} ") };
                say!("{name:<20} {kind}{figure:>8} {verdict}");
            }
            run += 1;
            failed += usize::from(!passes);
        }
    }
    match failed {
        0 => Ok(()),
        _ => {
            Err(format!("{failed} of {run} fixtures fail; {:e} is accepted in fp32", parity::TOLERANCE)
                .into())
        }
    }
}

/// The tensors of a network, from its checkpoint. Names and shapes are compared before any tensor is made.
fn checkpoint(import: &Import, classes: i64) -> Result<Tensors, Box<dyn Error>> {
    let (arch, from) = (&import.arch, &import.from);
    let vs = VarStore::new(Device::Cpu);
    arch.build(&vs, classes)?;
    let network = weights::shapes_of(&weights::tensors(&vs));
    let (mut shapes, mut opened) = (Shapes::new(), Vec::new());
    for Source { prefix, path } in from {
        let checkpoint = Checkpoint::open(path, import.entry.as_deref())?;
        tell(&checkpoint, path);
        // By the name in the network, that in the file.
        let named = checkpoint.shapes().keys().map(|name| (name.clone(), name.clone())).collect();
        if let Some(theirs) = published::trained(&named).filter(|theirs| *theirs != arch.symbol()) {
            let [theirs, ours] = [theirs, arch.symbol()].map(str::to_uppercase);
            return Err(format!("{}: a training of {theirs}; --arch is of {ours}", path.display()).into());
        }
        let own = published::renamed(published::without_training(named));
        let (names, taken_off) = published::fitted(own, &network, prefix);
        if !taken_off.is_empty() {
            note!("{}: '{taken_off}' taken off every name", path.display());
        }
        let own = names.iter().map(|(name, source)| (name.clone(), checkpoint.shapes()[source].clone()));
        let own = published::prepared_shapes(&own.collect());
        shapes.extend(own.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)));
        opened.push((checkpoint, names, prefix));
    }
    let mismatches = weights::mismatches(&vs, &shapes, &from[0].path);
    if !mismatches.is_empty() {
        let checkpoints: Vec<&Checkpoint> = opened.iter().map(|(checkpoint, ..)| checkpoint).collect();
        return Err(misfit(import, classes, &shapes, &mismatches, &checkpoints).into());
    }
    let mut tensors = Tensors::new();
    for (checkpoint, names, prefix) in &opened {
        let mut made = checkpoint.tensors(names.values().map(String::as_str))?;
        let named = names.iter().filter_map(|(name, source)| Some((name.clone(), made.remove(source)?)));
        let prepared = published::prepare(named.collect());
        tensors.extend(prepared.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }
    weights::check_finite(&tensors, &from[0].path)?;
    Ok(tensors)
}

/// Says what of a checkpoint is taken and what is passed over.
fn tell(checkpoint: &Checkpoint, path: &Path) {
    if let Some((taken, others)) = checkpoint.choice() {
        let others = others.join(", ");
        note!("{}: took '{taken}'; a network is in {others} as well: --entry chooses", path.display());
    }
    let passed_over: Vec<&str> = checkpoint.passed_over().collect();
    if !passed_over.is_empty() {
        note!("{}: passed over, and not run: {}", path.display(), passed_over.join(", "));
    }
}

/// Lines of one kind that are printed.
const SHOWN: usize = 10;

/// Prints what does not fit, a line a tensor, and says it in a sentence.
fn misfit(
    import: &Import,
    classes: i64,
    shapes: &Shapes,
    mismatches: &[WeightsError],
    checkpoints: &[&Checkpoint],
) -> String {
    if let Some(theirs) = classes_of(import, classes, shapes, mismatches) {
        let ours = if import.to.is_dir() { "the bundle's label set has" } else { "--classes is" };
        return format!("the checkpoint is of {theirs} classes, {ours} {classes}; nothing is written");
    }
    let path = import.from[0].path.display();
    let kinds: [fn(&WeightsError) -> bool; 3] = [
        |e| matches!(e, WeightsError::Missing { .. }),
        |e| matches!(e, WeightsError::Shape { .. }),
        |e| matches!(e, WeightsError::Extra { .. }),
    ];
    for is_of in kinds {
        let all: Vec<&WeightsError> = mismatches.iter().filter(|e| is_of(e)).collect();
        for mismatch in all.iter().take(SHOWN) {
            match mismatch {
                WeightsError::Missing { name, .. }
                    if let Some(what) = checkpoints.iter().find_map(|c| c.opaque(name)) =>
                {
                    note!("{path}: tensor '{name}' is a '{what}', which would have to be run");
                }
                mismatch => note!("{mismatch}"),
            }
        }
        if all.len() > SHOWN {
            note!("{path}: and {} more", all.len() - SHOWN);
        }
    }
    let count = mismatches.len();
    match behind(mismatches) {
        Some(prefix) => format!(
            "{count} tensors do not fit the network, whose names are there behind '{prefix}', beside others; nothing is written"
        ),
        None => format!("{count} tensors do not fit the network; nothing is written"),
    }
}

/// What stands before the network's names in the checkpoint, if one and the same does.
fn behind(mismatches: &[WeightsError]) -> Option<&str> {
    let missing = mismatches.iter().find_map(|e| match e {
        WeightsError::Missing { name, .. } => Some(name.as_str()),
        _ => None,
    })?;
    mismatches.iter().find_map(|e| match e {
        WeightsError::Extra { name, .. } => name.strip_suffix(missing).filter(|before| before.ends_with('.')),
        _ => None,
    })
}

/// Classes of which the checkpoint is, if that alone is what does not fit.
fn classes_of(import: &Import, classes: i64, shapes: &Shapes, mismatches: &[WeightsError]) -> Option<i64> {
    const MOST: i64 = 1000;
    let apart = mismatches.iter().find_map(|e| match e {
        WeightsError::Shape { found, expected, .. } if found.len() == expected.len() => {
            found.iter().zip(expected).find(|(f, e)| f != e).map(|(f, e)| (*f, *e))
        }
        _ => None,
    })?;
    let candidates = [apart.0, classes.saturating_add(apart.0.saturating_sub(apart.1))];
    candidates.into_iter().filter(|n| (1..=MOST).contains(n) && *n != classes).find(|&n| {
        let vs = VarStore::new(Device::Cpu);
        let fits = || weights::mismatches(&vs, shapes, &import.from[0].path).is_empty();
        import.arch.build(&vs, n).is_ok() && fits()
    })
}

/// How an image goes into somebody's network, and how to have it otherwise: whoever normalizes inside the
/// network must not have it done before.
fn fed(config: &torchscript::Config, working_size: [u32; 2]) -> String {
    let [height, width] = config.size.unwrap_or(working_size);
    let order = if config.bgr { "blue, green, red" } else { "red, green, blue" };
    let (mean, std) = (config.mean, config.std);
    format!(
        "it will be fed 1 x 3 x {height} x {width}: {order} in [0, 1], minus mean {mean:?}, over std {std:?}; if it \
         wants them otherwise, say so: --arch '{{architecture: torchscript, mean: [0, 0, 0], std: [1, 1, 1], bgr: \
         false}}'"
    )
}

/// What the weights of a file have learned from, as far as it says.
fn origin_of(path: &Path) -> String {
    match Identity::samples_of(path) {
        Some(samples) => format!("{samples} ({})", path.display()),
        None => format!("not known: {}", path.display()),
    }
}

/// Puts a network into a bundle in place of the one that is there.
fn import_into(bundle: Bundle, import: &Import) -> Outcome {
    let (mut arch, from) = (import.arch.clone(), &import.from);
    let Bundle { dir, labels, mut description, .. } = bundle;
    let classes = labels.len() as i64;
    match &mut arch {
        Architecture::Segmentation(SegmenterConfig::Torchscript(config)) => {
            config.trust_code |= import.trust_code
        }
        _ if import.trust_code => {
            return Err("--trust-code is for a torchscript network; nothing else has code".into());
        }
        _ => {}
    }
    let arch = &arch;
    if let Architecture::Synthesis(network) = arch {
        check_size(network, description.working_size)?;
    }
    let (role, file) = match arch {
        Architecture::Segmentation(SegmenterConfig::Torchscript(_)) => ("segmentation", "segmentation.pt"),
        Architecture::Segmentation(_) => ("segmentation", "segmentation.safetensors"),
        Architecture::Synthesis(_) => ("synthesis", "synthesis.safetensors"),
        Architecture::Comparison(_) => ("comparison", "comparison.safetensors"),
    };
    let inputs: Vec<PathBuf> = from.iter().map(|source| source.path.clone()).collect();
    output::spare(&inputs, [dir.join(file)])?;
    let before = match role {
        "segmentation" => &description.segmentation.weights,
        "synthesis" => &description.synthesis.weights,
        _ => &description.comparison.weights,
    };
    // Beside the weights that bundle.yaml names: until it names the new ones, the bundle stays as it was.
    let before = before.clone();
    let second = file.replace('.', ".2.");
    let file = if before == file { second.as_str() } else { file };
    let path = dir.join(file);
    output::spare(&inputs, [path.clone()])?;
    let mut has_one_size = false;
    if let Architecture::Segmentation(SegmenterConfig::Torchscript(config)) = arch {
        let bytes = whole_file::read(&from[0].path, weights::MOST)?;
        let [height, width] = description.working_size.map(i64::from);
        let theirs = from[0].path.display();
        let network = TorchScript::import(&bytes, config, classes, (height, width), Device::Cpu)
            .map_err(|e| format!("{theirs}: {e}"))?;
        has_one_size = network.has_fixed_size();
        note!("{theirs}: {}", network.found());
        note!("{theirs}: {}", fed(config, description.working_size));
        if let Some(data) = &import.check
            && !foreign::try_on(&from[0].path, config, data, &labels, description.working_size)?
        {
            let data = data.display();
            note!("{data}: its classes are not the bundle's; no other way of feeding {theirs} was tried");
        }
        if config.trust_code {
            note!("{}: its code is trusted, and runs wherever the bundle is loaded", dir.display());
        }
        whole_file::write(&path, bytes)?;
    } else {
        weights::write(&checkpoint(import, classes)?, &path, None)?;
    }
    let hash = sha256(&fs_err::read(&path)?);
    let origin = from.iter().map(|source| origin_of(&source.path)).collect::<Vec<_>>().join(", ");
    fn entry<C: Clone>(network: &C, file: &str, sha256: String, trained_on: String) -> Entry<C> {
        Entry {
            network: network.clone(),
            weights: file.into(),
            sha256,
            trained_on,
            command: "synthcp weights import".into(),
        }
    }
    match arch {
        Architecture::Segmentation(c) => description.segmentation = entry(c, file, hash, origin),
        Architecture::Synthesis(c) => description.synthesis = entry(c, file, hash, origin),
        Architecture::Comparison(c) => description.comparison = entry(c, file, hash, origin),
    }
    if has_one_size && description.anomaly.fovea.take().is_some() {
        note!("{}: anomaly.fovea is left out; a segmenter of one size takes no enlarged band", dir.display());
    }
    description.forget_promises();
    description.write(&dir)?;
    if before.split('.').next() == Some(role) && output::spare(&inputs, [dir.join(&before)]).is_ok() {
        fs_err::remove_file(dir.join(&before))?;
    }
    note!(
        "{}: {role} replaced; the bundle is not calibrated any more, and no frame is NOMINAL by it until \
         synthcp bundle calibrate",
        dir.display()
    );
    match (&import.check, arch) {
        (Some(data), Architecture::Segmentation(network)) => {
            trial::run(&dir, data, network, description.working_size)
        }
        _ => Ok(()),
    }
}
