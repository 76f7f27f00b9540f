//! `synthcp bundle`: packs trained networks, or random ones for tests.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::ProgressBar;
use synthcp_monitor::LabelSet;
use synthcp_monitor::data::Slice;
use synthcp_monitor::frame;
use synthcp_monitor::model::bundle::Bundle;
use synthcp_monitor::model::evidence::Unit;
use synthcp_monitor::model::reference::Reference;
use synthcp_monitor::model::self_test::SelfTest;
use synthcp_monitor::monitor::self_test;
use synthcp_monitor::train::calibration;
use synthcp_monitor::train::guarantee::{self, Aim, ReferenceOptions, Terms};
use synthcp_monitor::train::outcomes::{Outcomes, Worse};
use synthcp_monitor::train::packing::{self, Origin};
use synthcp_monitor::train::recipe::Recipe;
use synthcp_monitor::train::splits::Trial;
use synthcp_monitor::train::things::Drives;
use tch::Device;
use tch::nn::VarStore;

use super::Outcome;
use super::given::Given;
use super::reading::Reading;
use super::training::{Common, pack, prepare};

/// What to do.
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
    /// Sets the thresholds of a bundle anew: for another camera or place, or after an import or an edit of
    /// bundle.yaml. At least 100 images that trained none of its networks are needed.
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
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        given: Given,
        /// Folder with frames of drives on which nothing unknown is in view, at least four minutes, in the order
        /// of their names; what stands before the last _ of a name tells drives apart. The level goes by things
        /// on the road from then on, with at most one false CAUTION for them in two minutes of these drives.
        #[arg(long, requires = "rate", conflicts_with = "predictions")]
        clean: Option<PathBuf>,
        /// Frames per second of the clean drives.
        #[arg(long, requires = "clean")]
        rate: Option<f64>,
        /// Data set with marked anomalies, from which is learned what regions are things. Without, larger regions
        /// that score higher come first.
        #[arg(long, requires = "clean")]
        marked: Option<PathBuf>,
    },
    /// Gives a bundle a self-test: a picture that it knows, and its scores and those of the picture upside down. The
    /// node makes it at its start and on ~/self_test.
    SelfTest {
        /// Folder of the bundle, whose bundle.yaml is rewritten.
        #[arg(long)]
        bundle: PathBuf,
        /// A picture like those that the networks were trained on; it becomes part of the bundle.
        #[arg(long)]
        picture: PathBuf,
        /// By how much a score may differ on another machine or in another precision.
        #[arg(long, default_value_t = 0.05)]
        tolerance: f32,
    },
    /// Sets limits of a calibrated bundle for a stated risk, by conformal risk control over drives: for instance
    /// --target missed-frames=0.1. A rate that the drives are too few for is refused.
    Promise {
        /// Folder of the bundle, whose bundle.yaml is rewritten.
        #[arg(long)]
        bundle: PathBuf,
        /// Scores of labelled frames that no network has seen, by bundle scores.
        #[arg(long)]
        scores: PathBuf,
        /// NAME=RATE: missed-frames (failing frames below CAUTION), missed-pixels (a frame's wrong pixels outside
        /// the error mask), missed-pixels-p90 (the same of all but one in ten frames), false-alarms (good frames
        /// at FAILURE) or drivable-margin (of the pixels falsely labelled drivable, those deep inside).
        #[arg(long = "target", required = true)]
        targets: Vec<Aim>,
        /// A frame has failed whose labels have a mean IoU below this.
        #[arg(long, default_value_t = 0.5, value_name = "IOU")]
        below_miou: f64,
        /// What is exchangeable: drive (names agree before the last _) or place (before the first _).
        #[arg(long, default_value = "drive")]
        unit: Unit,
        /// Seconds from frame to frame of the drives: the bundle keeps what they look like, and the node says
        /// whether another drive is like them.
        #[arg(long)]
        every: Option<f64>,
        /// Frames of a window by which drives are compared.
        #[arg(long, default_value_t = 6)]
        window: usize,
        /// Drives like these that may be taken for others.
        #[arg(long, default_value_t = 0.1)]
        unlike: f64,
        /// Writes nothing: at N random halves of the drives, what one half chooses is judged on the other.
        #[arg(long, value_name = "N")]
        check_splits: Option<usize>,
        /// Scores of other drives that --check-splits looks for.
        #[arg(long, requires = "check_splits")]
        shifted: Vec<PathBuf>,
    },
    /// Writes what a bundle says of labelled frames beside the truth, for bundle promise; of --images, what it says
    /// alone.
    Scores {
        /// Folder of the bundle.
        #[arg(long)]
        bundle: PathBuf,
        /// Folder of the data set.
        #[arg(long, required_unless_present = "images", conflicts_with = "images")]
        data: Option<PathBuf>,
        /// Samples: PART, START..END or PART:START..END.
        #[arg(long, default_value = "..")]
        slice: Slice,
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        given: Given,
        /// Folder with frames of drives, without labels.
        #[arg(long)]
        images: Option<PathBuf>,
        /// NAME=STRENGTH: makes these worse, as fog=0.5.
        #[arg(long, requires = "images")]
        worse: Option<Worse>,
        /// File for the scores.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes a tiny bundle with random weights: its scores are noise, but it runs. It is not calibrated, so
    /// that no frame is NOMINAL by it.
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
            let (recipe, _) = prepare(common)?;
            pack(out, &recipe, common, calibration)
        }
        Action::Calibrate { bundle, data, slice, reading, given, clean, rate, marked } => {
            let drives = clean.clone().zip(*rate);
            let drives = drives.map(|(clean, rate)| Drives { clean, rate, marked: marked.clone() });
            let mut description = Bundle::open(bundle)?.description;
            let (reading, given) = (reading.of_data(), given.at());
            let thresholds =
                calibration::calibrate(bundle, data, slice, &reading, given.as_ref(), drives.as_ref())?;
            let guarantee = thresholds.guarantee.clone();
            description.calibration = Some(thresholds);
            description.write(bundle)?;
            say!("{guarantee}");
            Ok(())
        }
        Action::SelfTest { bundle, picture, tolerance } => {
            let picture = frame::open(picture)?.into_rgb8();
            let SelfTest { good, bad, .. } = self_test::create(bundle, &picture, *tolerance)?;
            let (good, bad) = (good.failure_score, bad.failure_score);
            say!("failure score {good:.3} of the picture, {bad:.3} of it upside down");
            Ok(())
        }
        Action::Promise {
            bundle,
            scores,
            targets,
            below_miou,
            unit,
            every,
            window,
            unlike,
            check_splits,
            shifted,
        } => {
            if !(*unlike > 0. && *unlike < 1.) {
                return Err(format!("--unlike is {unlike}; a rate above 0 and below 1 is needed").into());
            }
            let reference = every.map(|every| ReferenceOptions { every, window: *window, rate: *unlike });
            let terms = Terms { aims: targets.clone(), below_miou: *below_miou, unit: *unit, reference };
            let outcomes = Outcomes::read(scores, bundle)?;
            match check_splits {
                Some(splits) => {
                    let shifted: Vec<Outcomes> =
                        shifted.iter().map(|file| Outcomes::read(file, bundle)).collect::<Result<_, _>>()?;
                    say_as_is!("{}", Trial::of(&outcomes, &shifted, &terms, *splits)?);
                    Ok(())
                }
                None => promise(bundle, &outcomes, &terms),
            }
        }
        Action::Scores { bundle, data, slice, reading, given, images, worse, out } => {
            let bar = ProgressBar::new(0);
            let each = |count: usize| {
                bar.set_length(count as u64);
                bar.inc(1);
            };
            let outcomes = match (data, images) {
                (Some(data), _) => {
                    let samples = (data.as_path(), slice, &reading.of_data());
                    Outcomes::of(bundle, samples, given.at().as_ref(), each)?
                }
                (None, Some(images)) => Outcomes::unlabelled(bundle, images, *worse, each)?,
                (None, None) => return Err("--data or --images is needed".into()),
            };
            bar.finish_and_clear();
            outcomes.write(out)?;
            say!("{} frames of {} in {}", outcomes.frames.len(), outcomes.data, out.display());
            Ok(())
        }
        Action::Random { recipe, out, seed } => random(recipe.as_deref(), out, *seed),
    }
}

/// Rewrites the bundle with limits that keep `terms`.
fn promise(bundle: &Path, outcomes: &Outcomes, terms: &Terms) -> Outcome {
    let mut description = Bundle::open(bundle)?.description;
    let limits = description.calibration.as_ref().ok_or_else(|| {
        format!(
            "{} is not calibrated; limits that no target names come from bundle calibrate",
            bundle.display()
        )
    })?;
    let limits = guarantee::promise(limits, outcomes, terms)?;
    let sentence = limits.guarantee.clone();
    let is_known = limits.evidence.as_ref().is_some_and(|evidence| evidence.reference.is_some());
    description.calibration = Some(limits);
    description.write(bundle)?;
    say!("{sentence}");
    if let (Some(reference), false) = (terms.reference, is_known) {
        note!(
            "the drives are too few or too short to tell others from them: {} of {} frames are needed",
            Reference::needed(reference.rate),
            reference.window
        );
    }
    Ok(())
}

const RANDOM: &str = "
working_size: [64, 128]
segmentation: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}
segmentation_steps: 0
folds: 2
fold_steps: 0
degraded: false
synthesis: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}
discriminator_width: 4
synthesis_steps: 0
comparison: {architecture: joint, width: 4, squeeze: 4, prior: true}
comparison_steps: 0
batch: [1, 1, 1]
rate: [0.001, 0.001, 0.001]
seed: 1
";

fn random(recipe: Option<&Path>, out: &Path, seed: i64) -> Outcome {
    let recipe: Recipe = recipe.map_or_else(
        || Ok(serde_norway::from_str(RANDOM)?),
        |path| Ok::<_, Box<dyn Error>>(Recipe::read(path)?),
    )?;
    tch::manual_seed(seed);
    let vs = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let labels = LabelSet::by_name("cityscapes")?;
    packing::build(&recipe, &vs, labels.len() as i64)?;
    let origin =
        Origin { trained_on: "nothing".into(), command: format!("synthcp bundle random --seed {seed}") };
    // Nothing is known of what they score, and there is nothing to calibrate.
    Ok(packing::write(out, &recipe, &vs, &labels, &origin, None)?)
}
