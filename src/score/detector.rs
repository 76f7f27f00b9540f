//! Whatever says where, or how much, M is wrong: one row of a table each.

use image::RgbImage;
use tch::{TchError, Tensor};

use crate::monitor::networks::{Networks, Segmentation};
use crate::network::comparison::Compared;

/// What a detector may look at: a batch of images and what the bundle's networks made of it. What
/// several detectors need is computed once.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// M, G and F, for detectors that take another look.
    pub networks: &'a Networks,
    /// x: `N x 3 x H x W`, RGB in \[0, 1\], in the networks' precision.
    pub image: &'a Tensor,
    /// M on x.
    pub segmented: &'a Segmentation,
    /// x' = G on M's labels: `N x 3 x H x W`, RGB in \[0, 1\], fp32.
    pub synth: &'a Tensor,
    /// F on x and x'.
    pub compared: &'a Compared,
}

/// The same, owned: what the networks made of one image.
#[derive(Debug)]
pub struct Look {
    /// x at the working size.
    pub image: Tensor,
    /// M on x.
    pub segmented: Segmentation,
    /// x'.
    pub synth: Tensor,
    /// F on both.
    pub compared: Compared,
}

impl Look {
    /// Segments, synthesizes and compares, without gradients.
    pub fn at(networks: &Networks, image: &RgbImage) -> Result<Self, TchError> {
        tch::no_grad(|| {
            let image = networks.input(image)?;
            let segmented = networks.segment(&image)?;
            let synth = networks.synthesize(&segmented.labels, &image)?;
            let compared = networks.compare(&image, &synth, &segmented.probabilities)?;
            Ok(Self { image, segmented, synth, compared })
        })
    }

    /// For detectors.
    pub fn seen<'a>(&'a self, networks: &'a Networks) -> Seen<'a> {
        let Self { image, segmented, synth, compared } = self;
        Seen { networks, image, segmented, synth, compared }
    }
}

/// What a detector says of a batch; `None` of what it does not look at.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Higher where the label is more likely wrong: `N x 1 x H x W`, fp32, of any range.
    pub error: Option<Tensor>,
    /// Estimate of each class's IoU: `N x classes`, fp32.
    pub iou: Option<Tensor>,
    /// Higher where something unknown is more likely: `N x 1 x H x W`, fp32, of any range.
    pub anomaly: Option<Tensor>,
}

impl Judgement {
    /// Of a score that stands for both: what is doubtful may be wrong, and may be unknown.
    pub fn of_doubt(score: Tensor) -> Self {
        Self { error: Some(score.shallow_clone()), iou: None, anomaly: Some(score) }
    }
}

/// One way to tell.
pub trait Detector {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Whether its error score is meant as the probability of an error.
    fn is_probability(&self) -> bool {
        false
    }

    /// Judges a batch.
    fn judge(&self, seen: &Seen) -> Result<Judgement, TchError>;
}
