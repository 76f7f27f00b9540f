//! From a labelled data set to trained networks: M, G, M on folds, F, baselines.
//!
//! Each stage leaves its result in the work folder, so that a recipe that was interrupted goes on
//! where it was.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::TrainError;
use super::baseline::{self, Lessons, Train};
use super::batch::TensorSet;
use super::checkpoint::{self, Run};
use super::foreign::Foreign;
use super::identity::{Identity, NOTHING, hash_of};
use super::outliers::{self, Cutouts, Outliers};
use super::predictions::{self, Predictions};
use super::progress::{self, Budget};
use super::recipe::Recipe;
use super::start::{Beginning, Start};
use super::{comparison, segmentation, synthesis};
use crate::checkpoint::weights;
use crate::data::folds::{self, Along, Fold, drive};
use crate::data::given::GivenAt;
use crate::data::{self, Dataset, Reading, Slice};
use crate::labels::{LabelSet, resize_labels};
use crate::model::pixels::grey_to_tensor;
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::Generator;

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
const PREDICTIONS: &str = "predictions";
/// Folder of the baselines' checkpoints.
pub(crate) const BASELINES: &str = "baselines";
/// Folder of the trained detectors, in the work folder or in a bundle's.
pub const DETECTORS: &str = "detectors";

/// What [`Workspace::trained_on`] says where M went on from another.
pub(super) const GOES_ON: &str = "M went on from";

/// Whether a stage has the M in it that may go on from another, and not the folds'.
fn goes_on(stage: &str) -> bool {
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
    fn identity(&self, recipe: &Recipe, stage: &str) -> Result<Identity, TrainError> {
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
    fn weights_of(&self, stage: &str, prefix: &str) -> Result<Option<String>, TrainError> {
        let path = self.checkpoint(stage);
        if !path.exists() {
            return Ok(None);
        }
        let tensors = weights::read(&path)?;
        Ok(Some(hash_of(tensors.iter().filter(|(name, _)| name.starts_with(prefix)))))
    }

    /// The folder of cut-outs, where the recipe pastes any in.
    fn pasted(&self, recipe: &Recipe) -> Option<&Path> {
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
    fn given_labels(&self, recipe: &Recipe, labels: &LabelSet) -> Result<Option<Tensor>, TrainError> {
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
    fn build_segmenter(
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

/// A recipe being carried out.
pub struct Training {
    recipe: Recipe,
    workspace: Workspace,
    set: TensorSet,
    given: Option<Tensor>,
    folds: Vec<Fold>,
    classes: i64,
    labels: LabelSet,
    contents: Identity,
}

impl Training {
    /// Loads the data. Whatever of the recipe cannot be carried out is refused here, before the first step.
    pub fn begin(recipe: Recipe, workspace: Workspace) -> Result<Self, TrainError> {
        let [height, width] = recipe.working_size;
        recipe.check().map_err(TrainError::Recipe)?;
        if let Some(minutes) = workspace.minutes.filter(|minutes| !(*minutes > 0. && minutes.is_finite())) {
            return Err(TrainError::Recipe(format!("minutes is {minutes}, it must be above 0")));
        }
        fs_err::create_dir_all(&workspace.work)?;
        let options = data::Options {
            size: Some((width, height)),
            slice: workspace.slice.clone(),
            reading: workspace.reading.clone(),
            ..Default::default()
        };
        let dataset: Dataset = data::load(&workspace.data, &options)?;
        let set = TensorSet::new(&dataset);
        let classes = dataset.labels.len() as i64;
        let folds = match recipe.folds_along {
            // An M that has seen none of the samples has seen none of any fold.
            _ if workspace.segmenter.is_some() => vec![Fold::all(dataset.samples.len())],
            None => folds::contiguous(dataset.samples.len(), recipe.folds, 0)?,
            Some(Along::Drives) => {
                let drives: Vec<&str> = dataset.samples.iter().map(|sample| drive(&sample.name)).collect();
                folds::along(&drives, recipe.folds)?
            }
        };
        let given = workspace.given_labels(&recipe, &dataset.labels)?;
        let contents = Identity::default().of_contents(&set);
        match (&recipe.segmentation, workspace.foreign()?) {
            (SegmenterConfig::Torchscript(config), Some(foreign)) => {
                foreign.try_feeding(config, &set, classes, workspace.device)?;
            }
            (SegmenterConfig::Torchscript(_), None) => return Err(TrainError::NoSegmenter),
            _ => workspace.check_start(&recipe, classes)?,
        }
        let (count, name) = (dataset.samples.len(), &dataset.labels.name);
        progress::say(&format!(
            "{}: {count} samples ({}), {classes} classes of {name}",
            workspace.data.display(),
            workspace.slice
        ));
        Ok(Self { recipe, workspace, set, given, folds, classes, labels: dataset.labels, contents })
    }

    fn identity(&self, stage: &str) -> Result<Identity, TrainError> {
        let identity = self.workspace.identity(&self.recipe, stage)?.and(&self.contents);
        let is_before_f = [SEGMENTATION, SYNTHESIS].contains(&stage) || stage.starts_with(FOLD);
        Ok(match &self.given {
            Some(given) if !is_before_f => identity.of_given(given),
            _ => identity,
        })
    }

    fn run(&self, stage: &str, steps: u64) -> Result<Run, TrainError> {
        Ok(Run {
            title: stage.to_owned(),
            path: self.workspace.checkpoint(stage),
            budget: Budget { steps: Some(steps), minutes: self.workspace.minutes },
            identity: self.identity(stage)?,
            resume: self.workspace.resume,
            save_every: checkpoint::EVERY,
            pause_at: self.workspace.pause_at,
        })
    }

    /// The encoder's weights, for a network that takes them.
    fn pretrained(&self, takes: bool) -> Option<PathBuf> {
        self.workspace.pretrained.clone().filter(|_| takes)
    }

    fn m_options(&self, stage: &str, seed: u64) -> segmentation::Options {
        let pretrained = self.pretrained(self.recipe.segmentation.takes_pretrained());
        let start = self.workspace.start.clone().filter(|_| goes_on(stage));
        segmentation::Options {
            network: self.recipe.segmentation.clone(),
            beginning: match start {
                Some(start) => Beginning::Weights(start),
                None => pretrained.map_or(Beginning::Random, Beginning::Encoder),
            },
            batch: self.recipe.batch[0],
            crop: self.recipe.segmentation_crop.map(|[height, width]| (height.into(), width.into())),
            rate: self.recipe.rate[0],
            seed,
            device: self.workspace.device,
            kind: self.workspace.kind,
        }
    }

    /// Trains M on all of the samples; takes somebody's own as it is.
    pub fn segmentation(&self) -> Result<segmentation::Trained, TrainError> {
        let options = self.m_options(SEGMENTATION, self.recipe.seed);
        if self.workspace.segmenter.is_some() {
            return self.build_segmenter(&options);
        }
        let run = self.run(SEGMENTATION, self.recipe.segmentation_steps)?;
        segmentation::train(&self.set, self.classes, &options, &run)
    }

    /// M as [`Training::segmentation`] left it in the work folder.
    pub fn trained_segmentation(&self) -> Result<segmentation::Trained, TrainError> {
        let trained = self.build_segmenter(&self.m_options(SEGMENTATION, self.recipe.seed))?;
        if self.workspace.segmenter.is_none() {
            self.workspace.fill(&self.recipe, SEGMENTATION, "m/", &trained.vs)?;
        }
        Ok(trained)
    }

    fn build_segmenter(&self, options: &segmentation::Options) -> Result<segmentation::Trained, TrainError> {
        self.workspace.build_segmenter(options, self.classes, self.recipe.working_size)
    }

    /// G as [`Training::synthesis`] left it in the work folder.
    pub fn trained_synthesis(&self) -> Result<(VarStore, Box<dyn Generator>), TrainError> {
        let vs = VarStore::new(self.workspace.device);
        let network = self.recipe.synthesis.build(&vs.root(), self.classes);
        self.workspace.fill(&self.recipe, SYNTHESIS, "g/", &vs)?;
        Ok((vs, network))
    }

    /// Trains G on the ground truth, in sight of M.
    pub fn synthesis(&self, m: &segmentation::Trained) -> Result<(VarStore, Box<dyn Generator>), TrainError> {
        let options = synthesis::Options {
            network: self.recipe.synthesis.clone(),
            discriminator_width: self.recipe.discriminator_width,
            batch: self.recipe.batch[1],
            rate: self.recipe.rate[1],
            seed: self.recipe.seed,
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        for (_, variable) in m.vs.variables() {
            let _ = variable.set_requires_grad(false);
        }
        let run = self.run(SYNTHESIS, self.recipe.synthesis_steps)?;
        synthesis::train(&self.set, self.classes, &*m.network, &options, &run)
    }

    /// The folds' predictions as [`Training::predictions`] left them in the work folder.
    pub(crate) fn stored_predictions(&self) -> Result<Predictions, TrainError> {
        let identity = self.identity(PREDICTIONS)?;
        let parts: Result<Vec<_>, _> = (0..self.folds.len())
            .map(|k| Predictions::read(&self.workspace.predictions(k), &identity))
            .collect();
        Ok(Predictions::concat(parts?))
    }

    /// What the folds' images are shown with besides.
    fn outliers(&self) -> Result<Option<Outliers>, TrainError> {
        let Some(config) = &self.recipe.outliers else { return Ok(None) };
        let cutouts = self.workspace.pasted(&self.recipe).map(Cutouts::read).transpose()?.unwrap_or_default();
        Ok(Some(Outliers::new(config, cutouts, &self.labels)))
    }

    /// Trains M without each fold and shows it that fold.
    pub fn predictions(&self, g: &dyn Generator) -> Result<Predictions, TrainError> {
        (0..self.folds.len()).try_for_each(|k| self.predict(k, g))?;
        self.stored_predictions()
    }

    /// Trains M without fold `k`.
    pub fn fold(&self, k: usize) -> Result<segmentation::Trained, TrainError> {
        let fold = self.folds.get(k).ok_or_else(|| self.no_fold(k))?;
        let stage = format!("{FOLD}{k}");
        let options = self.m_options(&stage, self.fold_seed(k));
        if self.workspace.segmenter.is_some() {
            return self.build_segmenter(&options);
        }
        let run = self.run(&stage, self.recipe.fold_steps)?;
        segmentation::train(&self.at(&mut fold.train()), self.classes, &options, &run)
    }

    /// How far the networks have come that predict fold `k`, by what they left in the work folder. Predictions of
    /// other ones are none of these, though the training is the same.
    fn networks(&self, k: usize) -> Result<Identity, TrainError> {
        let of_m = self.workspace.weights_of(&format!("{FOLD}{k}"), "m/")?;
        let steps = self.workspace.segmenter.is_none().then_some(self.recipe.fold_steps);
        Ok(Identity::default()
            .with_any("the number of steps of M without the fold", steps)
            .with_any("the weights of M without the fold", of_m)
            .with_any("the weights of G", self.workspace.weights_of(SYNTHESIS, "g/")?)
            .with("the number of passes with dropout", self.recipe.dropout_passes()))
    }

    /// Trains M without fold `k`, shows it that fold and G what it made of it, and leaves the predictions
    /// in the work folder. Where some are there of the same M and G, they stay.
    pub fn predict(&self, k: usize, g: &dyn Generator) -> Result<(), TrainError> {
        let fold = self.folds.get(k).ok_or_else(|| self.no_fold(k))?;
        let path = self.workspace.predictions(k);
        let identity = self.identity(PREDICTIONS)?;
        if self.workspace.resume && path.exists() {
            Predictions::check(&path, &identity)?;
            match Predictions::outdated(&path, &self.networks(k)?)? {
                None => return Ok(()),
                Some(why) => progress::note(&format!("{}: {why}; made anew", path.display())),
            }
        }
        let m = self.fold(k)?;
        let how = predictions::Options {
            classes: self.classes,
            degraded: self.recipe.degraded,
            outliers: self.outliers()?,
            passes: self.recipe.dropout_passes(),
            seed: self.fold_seed(k),
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        let held_out = self.at(&mut fold.held_out.clone());
        let places: Vec<i64> = fold.held_out.clone().map(|place| place as i64).collect();
        let given = self.given.as_ref().map(|given| given.index_select(0, &Tensor::from_slice(&places)));
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let predictions = predictions::predict(&*m.network, g, &held_out, given.as_ref(), &how);
        predictions.write(&path, &identity, &self.networks(k)?)
    }

    fn fold_seed(&self, k: usize) -> u64 {
        self.recipe.seed + 1 + k as u64
    }

    fn at(&self, indices: &mut dyn Iterator<Item = usize>) -> TensorSet {
        self.set.select(&indices.map(|i| i as i64).collect::<Vec<_>>())
    }

    fn no_fold(&self, k: usize) -> TrainError {
        let folds = self.folds.len();
        TrainError::Recipe(format!("fold {k} is asked for; this recipe has {folds} on these samples, from 0"))
    }

    /// Trains F on the folds' predictions.
    pub fn comparison(&self, predictions: &Predictions) -> Result<VarStore, TrainError> {
        let run = self.run(COMPARISON, self.recipe.comparison_steps)?;
        let network = &self.recipe.comparison;
        let options = comparison::Options {
            network: network.clone(),
            pretrained: self.pretrained(network.takes_pretrained()),
            align_corners: self.recipe.segmentation.align_corners(),
            sees_own_vehicle: self.recipe.sees_own_vehicle,
            color: self.recipe.comparison_color,
            batch: self.recipe.batch[2],
            rate: self.recipe.rate[2],
            seed: self.recipe.seed,
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        Ok(comparison::train(predictions, self.classes, &options, &run)?.0)
    }

    /// Trains the recipe's baseline `name` and leaves it with the other detectors in the work folder.
    /// Needs what it learns from to be there: M, the folds' predictions. Returns the path of its
    /// description, in which `command` is kept.
    pub fn baseline(&self, name: &str, command: &str) -> Result<PathBuf, TrainError> {
        let plan = self.recipe.baselines.get(name).ok_or_else(|| TrainError::NoBaseline {
            name: name.into(),
            known: self.recipe.baselines.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })?;
        let options = baseline::Options {
            classes: self.classes,
            batch: plan.batch,
            rate: plan.rate,
            seed: plan.seed.unwrap_or(self.recipe.seed),
            device: self.workspace.device,
            kind: self.workspace.kind,
        };
        let stage = format!("{BASELINES}/{name}");
        let run = self.run(&stage, plan.steps)?;
        let run = Run { identity: run.identity.clone().with("seed", options.seed), ..run };
        let lessons = Lessons {
            set: &self.set,
            degraded: self.recipe.degraded,
            segmenter: &|| self.trained_segmentation(),
            outliers: &|| self.outliers(),
            predictions: &|| self.stored_predictions(),
            align_corners: self.recipe.segmentation.align_corners(),
            sees_own_vehicle: self.recipe.sees_own_vehicle,
            color: self.recipe.comparison_color,
            pretrained: self.workspace.pretrained.as_deref(),
        };
        let vs = plan.network.train(&lessons, options, &run)?;
        let folder = self.workspace.work.join(DETECTORS);
        let trained_on = self.workspace.trained_on(&[(name, plan.network.takes_pretrained())])?;
        baseline::export(&folder, name, &plan.network, &vs, (&trained_on, command))
    }
}
