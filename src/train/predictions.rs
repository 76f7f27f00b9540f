//! What F learns from: for every training image, what an M that never saw it makes of it, and what G
//! makes of that.

use std::path::Path;

use tch::{Device, IndexOp, Kind, Tensor};

use super::TrainError;
use super::batch::{TensorSet, generator, nearest};
use super::degrade::degrade;
use super::identity::Identity;
use super::outliers::{Exposed, Outliers, as_exposed, marks_of};
use crate::checkpoint::weights::{self, Tensors};
use crate::model::compute::KeptMemory;
use crate::model::given::Given;
use crate::model::inference::{Inference, Segmentation};
use crate::model::networks::Trio;
use crate::model::pixels::{to_bytes, to_input};
use crate::network::layers::{resize_bilinear, spatial};
use crate::network::segmentation::Segmenter;
use crate::network::synthesis::{Generator, Synthesize};
use crate::score::mc_dropout::{class_entropy, mean_softmax};

/// Images with M's logits and G's pictures of M's labels.
#[derive(Debug)]
pub struct Predictions {
    /// x: `N x 3 x H x W` bytes.
    pub images: Tensor,
    /// x': the same.
    pub synths: Tensor,
    /// M's logits, `N x classes x h x w`, fp16, on its own grid or on one of a quarter of the image's size
    /// each way, whichever is coarser.
    pub logits: Tensor,
    /// How M disagrees with itself about x', on the same grid, fp16.
    pub disagreement: Tensor,
    /// `class_entropy` of M with dropout at work, `N x classes`; NaN of an M without dropout.
    pub dropout: Tensor,
    /// Ground truth, `N x H x W` bytes.
    pub labels: Tensor,
    /// Another segmenter's labels, where F learns to judge those: the same, 255 where it gave none.
    pub given: Option<Tensor>,
    /// Where something of no class is, `N x H x W` bytes of [`mark`](super::outliers).
    pub unknown: Tensor,
    /// IoU of each class, `N x classes`; 0 for a class that M made up.
    pub iou: Tensor,
    /// 1 where the class is in the ground truth or in the prediction.
    pub present: Tensor,
}

const BATCH: i64 = 8;
/// Logits on a finer grid than this share of the image would fill the memory and tell nothing more: every
/// network makes them finer by interpolation.
const GRID: i64 = 4;

/// How M and G are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Classes of the label set.
    pub classes: i64,
    /// Whether every second image is shown to M once more, degraded.
    pub degraded: bool,
    /// What every image is shown once more with, if anything.
    pub outliers: Option<Outliers>,
    /// Passes of M with dropout at work; 0 for none.
    pub passes: usize,
    /// Seed of all that is random.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// In which precision.
    pub kind: Kind,
}

/// Whoever looks into a batch sees these of it.
struct Seen<'a> {
    images: &'a Tensor,
    labels: &'a Tensor,
    unknown: &'a Tensor,
    given: Option<Tensor>,
}

/// Shows M every image of `set` as it is and, where they are wanted, every second one once more degraded and every
/// one with things of no class in it. Where the labels of another segmenter are `given`, `N x H x W` bytes, those are
/// judged in place of M's.
pub fn predict(
    m: &dyn Segmenter,
    g: &dyn Generator,
    set: &TensorSet,
    given: Option<&Tensor>,
    options: &Options,
) -> Predictions {
    // What a batch frees the next one takes; what is kept lies in blocks that are there from the beginning.
    let _kept = KeptMemory::begin();
    let mut gathered = Gathered::of(count(set.len(), options));
    for start in (0..set.len()).step_by(BATCH as usize) {
        let end = (start + BATCH).min(set.len());
        let (images, labels) = (set.images.i(start..end), set.labels.i(start..end));
        // What dropout leaves out follows from the seed and the place alone.
        tch::manual_seed((options.seed as i64) << 32 | start);
        let unknown = marks_of(&labels);
        let images = match &options.outliers {
            Some(_) => as_exposed(&images, start, options.seed ^ SENSOR),
            None => images,
        };
        let given = given.map(|given| given.i(start..end));
        let seen = Seen { images: &images, labels: &labels, unknown: &unknown, given };
        gathered.add(predict_batch(m, g, seen, options));
        if options.degraded {
            let degraded: Vec<(Tensor, Tensor)> = (start..end)
                .step_by(2)
                .map(|i| degrade(&set.images.i(i), &set.labels.i(i), &mut generator(options.seed, i as u64)))
                .collect();
            let images = Tensor::stack(&degraded.iter().map(|d| &d.0).collect::<Vec<_>>(), 0);
            let labels = Tensor::stack(&degraded.iter().map(|d| &d.1).collect::<Vec<_>>(), 0);
            let unknown = marks_of(&labels);
            let seen = Seen { images: &images, labels: &labels, unknown: &unknown, given: None };
            gathered.add(predict_batch(m, g, seen, options));
        }
        if let Some(outliers) = &options.outliers {
            for copy in 0..outliers.copies() {
                let exposed = outliers.expose_all(set, start..end, options.seed ^ OUTLIERS, copy);
                let stack = |of: fn(&Exposed) -> &Tensor| {
                    Tensor::stack(&exposed.iter().map(of).collect::<Vec<_>>(), 0)
                };
                let [images, labels, unknown] =
                    [stack(|e| &e.image), stack(|e| &e.labels), stack(|e| &e.unknown)];
                let seen = Seen { images: &images, labels: &labels, unknown: &unknown, given: None };
                gathered.add(predict_batch(m, g, seen, options));
            }
        }
    }
    assert_eq!(gathered.filled, gathered.count, "images predicted of those counted");
    gathered.all
}

/// How many images M is shown of so many.
fn count(images: i64, options: &Options) -> i64 {
    // Every second one, from the first on: a batch is of an even number.
    let degraded = if options.degraded { (images + 1) / 2 } else { 0 };
    let copies = options.outliers.as_ref().map_or(0, |outliers| i64::from(outliers.copies()));
    images * (1 + copies) + degraded
}

/// Predictions, batch by batch, in memory that is asked for once.
struct Gathered {
    all: Predictions,
    filled: i64,
    count: i64,
}

impl Gathered {
    fn of(count: i64) -> Self {
        Self { all: Predictions::none(), filled: 0, count }
    }

    fn add(&mut self, part: Predictions) {
        let images = part.len();
        let put = |all: &mut Tensor, part: &Tensor| {
            if self.filled == 0 {
                let size: Vec<i64> =
                    std::iter::once(self.count).chain(part.size()[1..].iter().copied()).collect();
                *all = Tensor::empty(size, (part.kind(), part.device()));
            }
            all.narrow(0, self.filled, images).copy_(part);
        };
        for (all, (_, part)) in self.all.fields_mut().into_iter().zip(part.fields()) {
            put(all, part);
        }
        self.all.given = match (self.all.given.take(), part.given) {
            (Some(mut all), Some(part)) => {
                put(&mut all, &part);
                Some(all)
            }
            (None, Some(part)) if self.filled == 0 => {
                let mut all = Tensor::new();
                put(&mut all, &part);
                Some(all)
            }
            _ => None,
        };
        self.filled += images;
    }
}

/// How the names of facts about the networks begin in a file's metadata.
const NETWORKS: &str = "networks.";
/// Told apart from the seeds of all else.
const OUTLIERS: u64 = 0x6f75_746c_6965_7273;
const SENSOR: u64 = 0x0073_656e_736f_7273;

/// G whose pictures are stored as bytes, and seen by M and F as they come out of there.
struct Stored<'a> {
    network: &'a dyn Generator,
    kind: Kind,
}

impl Synthesize for Stored<'_> {
    fn synthesize(&self, labels: &Tensor, style: &Tensor) -> Tensor {
        let synthesized = self.network.synthesize(labels, style, self.kind, false).image;
        to_bytes(&synthesized).to_kind(Kind::Float) / 255.
    }
}

fn predict_batch(
    m: &dyn Segmenter,
    g: &dyn Generator,
    Seen { images, labels, unknown, given }: Seen,
    &Options { classes, passes, device, kind, .. }: &Options,
) -> Predictions {
    tch::no_grad(|| {
        let generator = Stored { network: g, kind };
        let trio = Trio { segmenter: m, generator: &generator, comparator: None, segments_again: true, kind };
        let inference = Inference::of_batch(trio, to_input(images, device, kind));
        let inference = match &given {
            Some(given) => {
                inference.with_given_labels(Given::labels_alone(given.to_kind(Kind::Int64).to_device(device)))
            }
            None => inference,
        };
        let Segmentation { softmax, grid_logits, .. } = inference.segmentation();
        let synths = to_bytes(inference.synthesized()).to_device(Device::Cpu);
        let disagreement = inference.disagreement();
        let (h, w) = spatial(images);
        let none = || Tensor::full([images.size()[0], classes], f64::NAN, (Kind::Float, device));
        let sampled = if passes > 0 { mean_softmax(m, inference.image(), passes) } else { None };
        let dropout = sampled.map_or_else(none, |mean| class_entropy(&mean));
        let (iou, present) = class_iou(&softmax.labels, &labels.to_device(device), classes);
        let (own_h, own_w) = spatial(grid_logits);
        let grid = (own_h.min(h / GRID), own_w.min(w / GRID));
        let stored = |maps: &Tensor| {
            let maps = m.resize_logits(&maps.to_kind(Kind::Float), grid);
            maps.to_kind(Kind::Half).to_device(Device::Cpu)
        };
        Predictions {
            images: images.shallow_clone(),
            synths,
            logits: stored(grid_logits),
            disagreement: stored(&disagreement),
            dropout: dropout.to_device(Device::Cpu),
            labels: labels.shallow_clone(),
            given,
            unknown: unknown.shallow_clone(),
            iou: iou.to_device(Device::Cpu),
            present: present.to_device(Device::Cpu),
        }
    })
}

/// IoU of each class in each image over the labelled pixels, and where the class occurs at all.
pub(crate) fn class_iou(predicted: &Tensor, labels: &Tensor, classes: i64) -> (Tensor, Tensor) {
    let ids = Tensor::arange(classes, (Kind::Int64, labels.device())).view([1, -1, 1, 1]);
    let labels = labels.to_kind(Kind::Int64).unsqueeze(1);
    let labelled = labels.lt(classes);
    let truth = labels.eq_tensor(&ids);
    let guess = predicted.unsqueeze(1).eq_tensor(&ids).logical_and(&labelled);
    let count = |t: Tensor| t.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Float);
    let intersection = count(truth.logical_and(&guess));
    let union = count(truth.logical_or(&guess));
    (&intersection / union.clamp_min(1.), union.gt(0.).to_kind(Kind::Float))
}

impl Predictions {
    fn none() -> Self {
        Self {
            images: Tensor::new(),
            synths: Tensor::new(),
            logits: Tensor::new(),
            disagreement: Tensor::new(),
            dropout: Tensor::new(),
            labels: Tensor::new(),
            given: None,
            unknown: Tensor::new(),
            iou: Tensor::new(),
            present: Tensor::new(),
        }
    }

    /// All but `given`, by their names in a file.
    fn fields(&self) -> [(&'static str, &Tensor); 9] {
        let Self { images, synths, logits, disagreement, dropout, labels, given: _, unknown, iou, present } =
            self;
        [
            ("images", images),
            ("synths", synths),
            ("logits", logits),
            ("disagreement", disagreement),
            ("dropout", dropout),
            ("labels", labels),
            ("unknown", unknown),
            ("iou", iou),
            ("present", present),
        ]
    }

    /// The same, in the same order.
    fn fields_mut(&mut self) -> [&mut Tensor; 9] {
        let Self { images, synths, logits, disagreement, dropout, labels, given: _, unknown, iou, present } =
            self;
        [images, synths, logits, disagreement, dropout, labels, unknown, iou, present]
    }

    /// All parts, one after the other. Each part's memory is free as soon as it is copied.
    pub fn concat(mut parts: Vec<Self>) -> Self {
        let given: Option<Vec<Tensor>> = parts.iter_mut().map(|part| part.given.take()).collect();
        let mut cat = |of: fn(&mut Self) -> &mut Tensor| {
            let taken: Vec<Tensor> =
                parts.iter_mut().map(|part| std::mem::replace(of(part), Tensor::new())).collect();
            Tensor::cat(&taken, 0)
        };
        Self {
            images: cat(|p| &mut p.images),
            synths: cat(|p| &mut p.synths),
            logits: cat(|p| &mut p.logits),
            disagreement: cat(|p| &mut p.disagreement),
            dropout: cat(|p| &mut p.dropout),
            labels: cat(|p| &mut p.labels),
            given: given.map(|given| Tensor::cat(&given, 0)),
            unknown: cat(|p| &mut p.unknown),
            iou: cat(|p| &mut p.iou),
            present: cat(|p| &mut p.present),
        }
    }

    /// The same where a training on `device` has it nearest.
    pub(super) fn near(&self, device: Device) -> Self {
        let Self { images, synths, logits, disagreement, dropout, labels, given, unknown, iou, present } =
            self;
        let device = nearest(&[images, synths, logits, disagreement, labels, unknown], device);
        let [images, synths, logits, disagreement, dropout, labels, unknown, iou, present] =
            [images, synths, logits, disagreement, dropout, labels, unknown, iou, present]
                .map(|tensor| tensor.to_device(device));
        let given = given.as_ref().map(|given| given.to_device(device));
        Self { images, synths, logits, disagreement, dropout, labels, given, unknown, iou, present }
    }

    /// How many.
    pub fn len(&self) -> i64 {
        self.images.size()[0]
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Softmax at full size and labels of some samples: `N x classes x H x W`, `N x H x W`.
    pub fn softmax(logits: &Tensor, size: (i64, i64), align_corners: bool) -> Tensor {
        resize_bilinear(&logits.to_kind(Kind::Float), size, align_corners).softmax(1, Kind::Float)
    }

    /// Writes everything to a safetensors file, and what it was made by: a training, and of that the networks as far
    /// as they had come.
    pub fn write(&self, path: &Path, identity: &Identity, networks: &Identity) -> Result<(), TrainError> {
        let mut tensors: Tensors = self.fields().map(|(name, t)| (name.to_owned(), t.shallow_clone())).into();
        tensors.extend(self.given.iter().map(|given| ("given".to_owned(), given.shallow_clone())));
        let metadata = identity.metadata().into_iter().chain(networks.metadata_under(NETWORKS)).collect();
        Ok(weights::write_with(&tensors, Some(metadata), path, None)?)
    }

    /// What of `networks` has become another since those at `path` were made, in words, if anything has.
    pub(crate) fn outdated(path: &Path, networks: &Identity) -> Result<Option<String>, TrainError> {
        let found = Identity::parse_under(NETWORKS, &weights::metadata(path)?).unwrap_or_default();
        let told = networks.differs(&found);
        Ok(told.map(|(field, found, expected)| format!("{field} was {found:.16} and is now {expected:.16}")))
    }

    /// Fails if those at `path` were made by something else than `identity`.
    pub(crate) fn check(path: &Path, identity: &Identity) -> Result<(), TrainError> {
        let found = Identity::parse(&weights::metadata(path)?).ok_or_else(|| TrainError::Format {
            path: path.into(),
            reason: "it does not say what made it (an earlier version, perhaps); remove it".into(),
        })?;
        identity.check(&found, path)
    }

    /// Reads what [`Predictions::write`] wrote, if `identity` made it.
    pub fn read(path: &Path, identity: &Identity) -> Result<Self, TrainError> {
        Self::check(path, identity)?;
        let mut tensors = weights::read(path)?;
        let given = tensors.remove("given");
        let mut take = |name: &str| {
            let reason = format!("tensor '{name}' is missing");
            tensors.remove(name).ok_or(TrainError::Format { path: path.into(), reason })
        };
        Ok(Self {
            images: take("images")?,
            synths: take("synths")?,
            logits: take("logits")?,
            disagreement: take("disagreement")?,
            dropout: take("dropout")?,
            labels: take("labels")?,
            given,
            unknown: take("unknown")?,
            iou: take("iou")?,
            present: take("present")?,
        })
    }
}
