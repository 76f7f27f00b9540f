//! What F learns from: for every training image, what an M that never saw it makes of it, and what G
//! makes of that.

use std::path::Path;

use tch::{Device, IndexOp, Kind, Tensor};

use super::TrainError;
use super::batch::{TensorSet, generator, to_bytes, to_input};
use super::degrade::degrade;
use crate::network::layers::{resize_bilinear, spatial};
use crate::network::segmentation::Segmenter;
use crate::network::synthesis::Synthesizer;
use crate::network::weights::{self, Tensors};

/// Images with M's logits and G's pictures of M's labels.
#[derive(Debug)]
pub struct Predictions {
    /// x: `N x 3 x H x W` bytes.
    pub images: Tensor,
    /// x': the same.
    pub synths: Tensor,
    /// M's logits on its own grid, `N x classes x h x w`, fp16.
    pub logits: Tensor,
    /// Ground truth, `N x H x W` bytes.
    pub labels: Tensor,
    /// IoU of each class, `N x classes`; 0 for a class that M made up.
    pub iou: Tensor,
    /// 1 where the class is in the ground truth or in the prediction.
    pub present: Tensor,
}

const BATCH: i64 = 8;

/// Shows M every image of `set` as it is and, `degraded`, every second one once more made worse.
pub fn predict(
    m: &dyn Segmenter,
    g: &dyn Synthesizer,
    set: &TensorSet,
    classes: i64,
    degraded: bool,
    (seed, device, kind): (u64, Device, Kind),
) -> Predictions {
    let mut parts = Vec::new();
    for start in (0..set.len()).step_by(BATCH as usize) {
        let end = (start + BATCH).min(set.len());
        let (images, labels) = (set.images.i(start..end), set.labels.i(start..end));
        parts.push(predict_batch(m, g, &images, &labels, classes, (device, kind)));
        if degraded {
            let worse: Vec<(Tensor, Tensor)> = (start..end)
                .step_by(2)
                .map(|i| degrade(&set.images.i(i), &set.labels.i(i), &mut generator(seed, i as u64)))
                .collect();
            let images = Tensor::stack(&worse.iter().map(|w| &w.0).collect::<Vec<_>>(), 0);
            let labels = Tensor::stack(&worse.iter().map(|w| &w.1).collect::<Vec<_>>(), 0);
            parts.push(predict_batch(m, g, &images, &labels, classes, (device, kind)));
        }
    }
    Predictions::concat(&parts)
}

fn predict_batch(
    m: &dyn Segmenter,
    g: &dyn Synthesizer,
    images: &Tensor,
    labels: &Tensor,
    classes: i64,
    (device, kind): (Device, Kind),
) -> Predictions {
    tch::no_grad(|| {
        let input = to_input(images, device, kind);
        let logits = m.forward(&input, false).logits.to_kind(Kind::Float);
        let predicted = m.resize_logits(&logits, spatial(images)).argmax(1, false);
        let synths = to_bytes(&g.paint(&predicted, &input, kind, false).image).to_device(Device::Cpu);
        let (iou, present) = class_iou(&predicted.to_device(Device::Cpu), labels, classes);
        Predictions {
            images: images.shallow_clone(),
            synths,
            logits: logits.to_kind(Kind::Half).to_device(Device::Cpu),
            labels: labels.shallow_clone(),
            iou,
            present,
        }
    })
}

/// IoU of each class in each image over the labelled pixels, and where the class occurs at all.
pub fn class_iou(predicted: &Tensor, labels: &Tensor, classes: i64) -> (Tensor, Tensor) {
    let ids = Tensor::arange(classes, (Kind::Int64, Device::Cpu)).view([1, -1, 1, 1]);
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
    /// All parts, one after the other.
    pub fn concat(parts: &[Self]) -> Self {
        let cat = |f: fn(&Self) -> &Tensor| Tensor::cat(&parts.iter().map(f).collect::<Vec<_>>(), 0);
        Self {
            images: cat(|p| &p.images),
            synths: cat(|p| &p.synths),
            logits: cat(|p| &p.logits),
            labels: cat(|p| &p.labels),
            iou: cat(|p| &p.iou),
            present: cat(|p| &p.present),
        }
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

    /// Writes everything to a safetensors file.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let fields = [
            ("images", &self.images),
            ("synths", &self.synths),
            ("logits", &self.logits),
            ("labels", &self.labels),
            ("iou", &self.iou),
            ("present", &self.present),
        ];
        let tensors: Tensors = fields.map(|(name, t)| (name.to_owned(), t.shallow_clone())).into();
        Ok(weights::write(&tensors, path, None)?)
    }

    /// Reads what [`Predictions::write`] wrote.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let mut tensors = weights::read(path)?;
        let mut take = |name: &str| {
            let reason = format!("tensor '{name}' is missing");
            tensors.remove(name).ok_or(TrainError::Format { path: path.into(), reason })
        };
        Ok(Self {
            images: take("images")?,
            synths: take("synths")?,
            logits: take("logits")?,
            labels: take("labels")?,
            iou: take("iou")?,
            present: take("present")?,
        })
    }
}
