//! Where a recipe is carried out, and what makes each of its stages this one and no other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::TrainError;
use super::checkpoint;
use super::foreign::Foreign;
use super::identity::{Identity, NOTHING, hash_of};
use super::outliers;
use super::progress;
use super::recipe::Recipe;
use super::segmentation;
use super::start::Start;
use crate::checkpoint::weights;
use crate::data::given::GivenAt;
use crate::data::{self, Reading, Slice};
use crate::labels::{LabelSet, resize_labels};
use crate::model::pixels::grey_to_tensor;
use crate::network::segmentation::SegmenterConfig;

/// Where and on what a recipe is carried out.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Folder of the data set.
    pub data: PathBuf,
    /// Samples to train on.
    pub slice: Slice,
    /// How their labels are read.
    pub reading: Reading,
    /// Folder of checkpoints and intermediate results.
    pub work: PathBuf,
    /// Folder of M and of the folds' Ms, where several Gs share them; else it is `work`.
    pub segmenters: Option<PathBuf>,
    /// Folder of G, where several systems share it; else it is `work`.
    pub synthesizers: Option<PathBuf>,
    /// ImageNet weights for the encoders of M and F, of networks that take them.
    pub pretrained: Option<PathBuf>,
    /// An M that M goes on from: a bundle's, or a checkpoint. The folds' Ms do not: they must have seen nothing.
    pub start: Option<PathBuf>,
    /// Somebody's own M, a TorchScript file: it is taken as it is, and must not have learned from the samples.
    pub segmenter: Option<PathBuf>,
    /// Labels of the samples by another segmenter, which must not have learned from them: F learns to judge those in
    /// place of M's.
    pub given: Option<GivenAt>,
    /// Folder of pictures of things of no class, cut out, for a recipe with outliers.
    pub cutouts: Option<PathBuf>,
    /// Where to compute.
    pub device: Device,
    /// In which precision.
    pub kind: Kind,
    /// Whether checkpoints are gone on with.
    pub resume: bool,
    /// Minutes after which a stage ends, if its steps do not end it before.
    pub minutes: Option<f64>,
    /// When to stop in the middle of a stage, to go on another time.
    pub pause_at: Option<Instant>,
}

/// Stage of M, whose folder several Gs may share.
pub(crate) const SEGMENTATION: &str = "segmentation";
/// Beginning of the names of the folds' stages, whose folders are shared as well.
pub(crate) const FOLD: &str = "fold-";
/// Stage of G, whose folder several systems may share.
pub(crate) const SYNTHESIS: &str = "synthesis";
/// Stage of F.
pub(crate) const COMPARISON: &str = "comparison";
/// What the folds' Ms leave for F.
pub(super) const PREDICTIONS: &str = "predictions";
/// Folder of the baselines' checkpoints.
pub(crate) const BASELINES: &str = "baselines";
/// Folder of the trained detectors, in the work folder or in a bundle's.
pub const DETECTORS: &str = "detectors";

/// What [`Workspace::trained_on`] says where M went on from another.
pub(super) const GOES_ON: &str = "M went on from";

/// Whether a stage has the M in it that may go on from another, and not the folds'.
pub(super) fn goes_on(stage: &str) -> bool {
    ![COMPARISON, PREDICTIONS].contains(&stage) && !stage.starts_with(FOLD)
}

impl Workspace {
    /// The checkpoint of a stage.
    pub fn checkpoint(&self, stage: &str) -> PathBuf {
        let shared = match stage {
            SYNTHESIS => &self.synthesizers,
            stage if stage == SEGMENTATION || stage.starts_with(FOLD) => &self.segmenters,
            _ => &None,
        };
        shared.as_ref().unwrap_or(&self.work).join(stage).join("checkpoint.safetensors")
    }

    /// The predictions of a fold.
    pub fn predictions(&self, fold: usize) -> PathBuf {
        self.work.join(format!("{FOLD}{fold}")).join("predictions.safetensors")
    }

    /// The classes of its data.
    pub(crate) fn labels(&self) -> Result<LabelSet, data::DataError> {
        self.reading.label_set(&self.data, data::detect(&self.data)?)
    }

    /// What makes `stage` of `recipe`, of those facts that cost nothing to find out. How long it trains is
    /// none of them, and of the other networks only those that it learns from and shares its folder with.
    pub(super) fn identity(&self, recipe: &Recipe, stage: &str) -> Result<Identity, TrainError> {
        let pairs = data::list(&self.data, &self.slice, false)?.1.pairs;
        let began = |takes: bool| match self.pretrained.is_some() && takes {
            true => "weights of ImageNet",
            false => "random weights",
        };
        let Recipe { batch, rate, .. } = recipe;
        let named = Identity::default()
            .of_names(&pairs)
            .with("labels", self.labels()?)
            .with("working_size", recipe.working_size);
        let foreign = self.foreign()?.map(|foreign| foreign.sha256());
        let start = self.start()?.map(|start| start.name());
        let start_of_m = match start.as_deref().filter(|_| goes_on(stage)) {
            Some(start) => start,
            None => began(recipe.segmentation.takes_pretrained()),
        };
        let of_m = |identity: Identity| {
            let identity = identity.with_any("segmenter", foreign.as_ref());
            identity
                .with("segmentation", &recipe.segmentation)
                .with("segmentation.batch", batch[0])
                .with("segmentation.rate", rate[0])
                .with("the start of M", start_of_m)
                .with_any("segmentation_crop", recipe.segmentation_crop)
        };
        let of_g = |identity: Identity| identity.with("synthesis", &recipe.synthesis);
        let of_folds =
            |identity| of_m(identity).with("folds", recipe.folds).with_any("folds_along", recipe.folds_along);
        let pasted = self.pasted(recipe).map(outliers::fingerprint).transpose()?;
        let of_predictions = |identity| {
            of_g(of_folds(identity))
                .with("degraded", recipe.degraded)
                .with_any("outliers", recipe.outliers.as_ref())
                .with_any("cutouts", pasted.as_ref())
                .with("labels that F judges", self.given.as_ref().map_or(NOTHING.to_owned(), GivenAt::name))
        };
        let color = Some(recipe.comparison_color).filter(|&color| color > 0.);
        let identity = match stage {
            SEGMENTATION => of_m(named),
            SYNTHESIS => of_g(named)
                .with_any("segmenter", foreign.as_ref())
                .with("discriminator_width", recipe.discriminator_width)
                .with("synthesis.batch", batch[1])
                .with("synthesis.rate", rate[1]),
            COMPARISON => of_predictions(named)
                .with("comparison", &recipe.comparison)
                .with_any("sees_own_vehicle", recipe.sees_own_vehicle.then_some(true))
                .with_any("comparison_color", color)
                .with("comparison.batch", batch[2])
                .with("comparison.rate", rate[2])
                .with("the start of F", began(recipe.comparison.takes_pretrained())),
            PREDICTIONS => of_predictions(named),
            fold if fold.starts_with(FOLD) => of_folds(named),
            baseline => {
                match recipe.baselines.get(baseline.trim_start_matches(BASELINES).trim_matches('/')) {
                    Some(plan) => of_predictions(named)
                        .with("network", &plan.network)
                        .with("batch", plan.batch)
                        .with("rate", plan.rate)
                        .with("the start of the network", began(plan.network.takes_pretrained()))
                        .with_any("sees_own_vehicle", recipe.sees_own_vehicle.then_some(true))
                        .with_any("comparison_color", color),
                    None => named,
                }
            }
        };
        Ok(identity.with("seed", recipe.seed))
    }

    /// Loads what the checkpoint of a stage holds under `prefix`, if it is of this recipe and these samples.
    pub(crate) fn fill(
        &self,
        recipe: &Recipe,
        stage: &str,
        prefix: &str,
        vs: &VarStore,
    ) -> Result<(), TrainError> {
        let path = self.checkpoint(stage);
        checkpoint::check(&path, &self.identity(recipe, stage)?)?;
        let tensors = weights::read(&path)?;
        let own =
            |(name, tensor): (String, Tensor)| name.strip_prefix(prefix).map(|n| (n.to_owned(), tensor));
        Ok(weights::load(vs, &tensors.into_iter().filter_map(own).collect(), &path)?)
    }

    /// SHA-256 of what the checkpoint of a stage holds under `prefix`; `None` where there is no checkpoint.
    pub(super) fn weights_of(&self, stage: &str, prefix: &str) -> Result<Option<String>, TrainError> {
        let path = self.checkpoint(stage);
        if !path.exists() {
            return Ok(None);
        }
        let tensors = weights::read(&path)?;
        Ok(Some(hash_of(tensors.iter().filter(|(name, _)| name.starts_with(prefix)))))
    }

    /// The folder of cut-outs, where the recipe pastes any in.
    pub(super) fn pasted(&self, recipe: &Recipe) -> Option<&Path> {
        self.cutouts.as_deref().filter(|_| recipe.outliers.is_some())
    }

    /// Somebody's own M, if there is one.
    pub(crate) fn foreign(&self) -> Result<Option<Foreign>, TrainError> {
        self.segmenter.as_deref().map(Foreign::read).transpose()
    }

    /// The M that M goes on from, if there is one.
    pub(crate) fn start(&self) -> Result<Option<Start>, TrainError> {
        self.start.as_deref().map(Start::read).transpose()
    }

    /// Fails if M cannot go on from what is to be its start.
    pub(crate) fn check_start(&self, recipe: &Recipe, classes: i64) -> Result<(), TrainError> {
        let Some(path) = &self.start else { return Ok(()) };
        let own = self.checkpoint(SEGMENTATION);
        if path.canonicalize().is_ok_and(|path| own.canonicalize().is_ok_and(|own| own == path)) {
            return Err(TrainError::Format {
                path: path.clone(),
                reason:
                    "the start of M is the checkpoint that this training writes; name another work folder"
                        .into(),
            });
        }
        Start::read(path)?.check(&recipe.segmentation, classes)
    }

    /// Another segmenter's labels of the samples at the working size, `N x H x W` bytes, where F judges those.
    pub(super) fn given_labels(
        &self,
        recipe: &Recipe,
        labels: &LabelSet,
    ) -> Result<Option<Tensor>, TrainError> {
        let Some(at) = &self.given else { return Ok(None) };
        if recipe.degraded || recipe.outliers.is_some() {
            return Err(TrainError::Recipe(format!(
                "{}: nobody knows what that segmenter says of images that are changed; degraded must be false, and \
                 outliers must not be in the recipe",
                at.folder.display()
            )));
        }
        let pairs = data::list(&self.data, &self.slice, false)?.1.pairs;
        let folder = at.open(&self.data, &pairs, labels)?;
        if folder.is_sure() {
            progress::say(&format!(
                "{}: labels alone are learned from, not its .npy files",
                at.folder.display()
            ));
        }
        let [height, width] = recipe.working_size;
        let read = |place: usize| -> Result<Tensor, TrainError> {
            Ok(grey_to_tensor(&resize_labels(folder.read(place)?.labels, (width, height))))
        };
        let all: Vec<Tensor> = (0..pairs.len()).map(read).collect::<Result<_, _>>()?;
        Ok(Some(Tensor::stack(&all, 0)))
    }

    /// M of the recipe without its parameters: somebody's own as its file has it, ours as it begins.
    pub(super) fn build_segmenter(
        &self,
        options: &segmentation::Options,
        classes: i64,
        [height, width]: [u32; 2],
    ) -> Result<segmentation::Trained, TrainError> {
        match (&options.network, self.foreign()?) {
            (SegmenterConfig::Torchscript(config), Some(foreign)) => {
                let size = (height.into(), width.into());
                let network = Box::new(foreign.load(config, classes, size, options.device)?);
                Ok(segmentation::Trained { vs: VarStore::new(options.device), network })
            }
            (SegmenterConfig::Torchscript(_), None) => Err(TrainError::NoSegmenter),
            _ => segmentation::build(options, classes),
        }
    }

    /// The samples to train on, in words, and where the encoders of the networks named began, `takes` saying
    /// whether each takes ImageNet's weights.
    pub fn trained_on(&self, networks: &[(&str, bool)]) -> Result<String, TrainError> {
        let data = self.data.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy());
        let mut text = format!("{data} {}", self.slice);
        if let Some(name) = self.segmenter.as_deref().and_then(Path::file_name) {
            text += &format!("; M is {}, as it was given", name.to_string_lossy());
        }
        if let Some(given) = &self.given {
            text += &format!("; F learned from the labels of {}", given.name());
        }
        if let Some(name) = self.cutouts.as_deref().and_then(Path::file_name) {
            text += &format!("; things of {} were pasted in for F", name.to_string_lossy());
        }
        let start = self.start()?;
        if let Some(start) = &start {
            text += &format!("; {GOES_ON} {}", start.name());
        }
        let began = |(network, takes): &&(&str, bool)| {
            *takes && self.pretrained.is_some() && (*network != "M" || start.is_none())
        };
        for (network, _) in networks.iter().filter(began) {
            text += &format!("; the encoder of {network} began from ImageNet (EfficientNet-lite0)");
        }
        Ok(text)
    }
}
