//! `synthcp bundle`: packs trained networks, or random ones for tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use synthcp_monitor::data::{self, Slice};
use synthcp_monitor::monitor::bundle::{Bundle, Description, Entry, FORMAT, Thresholds, sha256};
use synthcp_monitor::network::weights;
use synthcp_monitor::train::calibration;
use synthcp_monitor::train::recipe::{Recipe, write_weights};
use tch::Device;
use tch::nn::VarStore;

use super::Outcome;
use super::train::Common;

/// What to make.
#[derive(Subcommand)]
pub enum Action {
    /// Packs the networks in a work folder and calibrates their thresholds.
    Pack {
        #[command(flatten)]
        common: Box<Common>,
        /// Samples that set the thresholds; none of the networks may have seen them.
        #[arg(long)]
        calibration: Slice,
        /// Folder of the bundle.
        #[arg(long)]
        out: PathBuf,
    },
    /// Sets the thresholds of a bundle anew: for another camera or place, or after an edit of bundle.yaml.
    Calibrate {
        /// Folder of the bundle, whose bundle.yaml is rewritten.
        #[arg(long)]
        bundle: PathBuf,
        /// Folder of the data set.
        #[arg(long)]
        data: PathBuf,
        /// Samples: PART, START..END or PART:START..END; none of the networks may have seen them.
        #[arg(long, default_value = "..")]
        slice: Slice,
    },
    /// A tiny bundle with random weights: whatever it says is noise, but it runs.
    Random {
        /// Networks and working size, instead of the tiniest.
        #[arg(long)]
        recipe: Option<PathBuf>,
        /// Folder of the bundle.
        #[arg(long)]
        out: PathBuf,
        /// Seed of the weights.
        #[arg(long, default_value_t = 1)]
        seed: i64,
    },
}

/// Makes a bundle.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Pack { common, calibration, out } => {
            let text = std::fs::read_to_string(&common.recipe)?;
            pack(out, &serde_norway::from_str(&text)?, common, calibration)
        }
        Action::Calibrate { bundle, data, slice } => {
            let mut description = Bundle::open(bundle)?.description;
            description.calibration = calibration::calibrate(bundle, data, slice)?;
            println!("{}", description.calibration.guarantee);
            Ok(description.write(bundle)?)
        }
        Action::Random { recipe, out, seed } => random(recipe.as_deref(), out, *seed),
    }
}

const RANDOM: &str = "
working_size: [64, 128]
segmentation: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}
segmentation_steps: 0
folds: 2
fold_steps: 0
degraded: false
synthesis: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}
judge_width: 4
synthesis_steps: 0
comparison: {architecture: joint, width: 4, squeeze: 4, prior: true}
comparison_steps: 0
batch: [1, 1, 1]
rate: [0.001, 0.001, 0.001]
seed: 1
";

fn random(recipe: Option<&Path>, out: &Path, seed: i64) -> Outcome {
    let text = recipe.map_or_else(|| Ok(RANDOM.into()), std::fs::read_to_string)?;
    let recipe: Recipe = serde_norway::from_str(&text)?;
    tch::manual_seed(seed);
    let vs = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let classes = 19;
    recipe.segmentation.build(&vs[0].root(), classes)?;
    recipe.synthesis.build(&vs[1].root(), classes);
    recipe.comparison.build(&vs[2].root(), classes);
    let command = format!("synthcp bundle random --seed {seed}");
    let thresholds = Thresholds {
        caution: 0.5,
        failure: 0.8,
        error: 0.5,
        anomaly: 0.5,
        anomaly_area: 1.,
        guarantee: "none: random weights".into(),
    };
    write(out, &recipe, &vs, "cityscapes", ("nothing", &command), thresholds)
}

/// Packs the networks of a work folder; thresholds from the samples in `slice`.
pub fn pack(out: &Path, recipe: &Recipe, common: &Common, slice: &Slice) -> Outcome {
    let vs = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let layout = data::detect(&common.data)?;
    let classes = synthcp_monitor::labels::LabelSet::by_name(layout.label_set())?.len() as i64;
    recipe.segmentation.build(&vs[0].root(), classes)?;
    recipe.synthesis.build(&vs[1].root(), classes);
    recipe.comparison.build(&vs[2].root(), classes);
    for (vs, (stage, prefix)) in
        vs.iter().zip([("segmentation", "m/"), ("synthesis", "g/"), ("comparison", "f/")])
    {
        let path = common.work.join(stage).join("checkpoint.safetensors");
        let tensors = weights::read(&path)?;
        let own = tensors
            .into_iter()
            .filter_map(|(name, t)| name.strip_prefix(prefix).map(|n| (n.to_owned(), t)))
            .collect();
        weights::load(vs, &own, &path)?;
    }
    let data_name = common.data.file_name().map_or_else(|| "?".into(), |n| n.to_string_lossy().into_owned());
    let trained_on = match &common.pretrained {
        Some(_) => {
            format!("{data_name} {}; M's encoder began from ImageNet (EfficientNet-lite0)", common.slice)
        }
        None => format!("{data_name} {}", common.slice),
    };
    let command = format!(
        "synthcp train all --recipe {} --data {data_name} --slice {} --calibration {slice} --seed {}",
        common.recipe.display(),
        common.slice,
        recipe.seed
    );
    let open = Thresholds {
        caution: 1.,
        failure: 1.,
        error: 1.,
        anomaly: 1.,
        anomaly_area: 1.,
        guarantee: String::new(),
    };
    write(out, recipe, &vs, layout.label_set(), (&trained_on, &command), open)?;
    let thresholds = calibration::calibrate(out, &common.data, slice)?;
    write(out, recipe, &vs, layout.label_set(), (&trained_on, &command), thresholds)
}

fn write(
    out: &Path,
    recipe: &Recipe,
    vs: &[VarStore; 3],
    labels: &str,
    (trained_on, command): (&str, &str),
    calibration: Thresholds,
) -> Outcome {
    std::fs::create_dir_all(out)?;
    let mut hashes = Vec::new();
    for (vs, stage) in vs.iter().zip(["segmentation", "synthesis", "comparison"]) {
        let file = format!("{stage}.safetensors");
        write_weights(vs, &out.join(&file))?;
        hashes.push((sha256(&std::fs::read(out.join(&file))?), file));
    }
    let entry = |i: usize| (hashes[i].1.clone(), hashes[i].0.clone());
    fn make<C>(network: C, (weights, sha256): (String, String), trained_on: &str, command: &str) -> Entry<C> {
        Entry { network, weights, sha256, trained_on: trained_on.into(), command: command.into() }
    }
    let description = Description {
        format: FORMAT,
        labels: labels.into(),
        working_size: recipe.working_size,
        data: recipe.data.clone(),
        segmentation: make(recipe.segmentation.clone(), entry(0), trained_on, command),
        synthesis: make(recipe.synthesis.clone(), entry(1), trained_on, command),
        comparison: make(recipe.comparison.clone(), entry(2), trained_on, command),
        anomaly: recipe.anomaly,
        calibration,
        metrics: BTreeMap::new(),
    };
    Ok(description.write(out)?)
}
