//! Whatever says where, or how much, M is wrong: one row of a table each.

use image::RgbImage;
use tch::{TchError, Tensor};

use crate::monitor::networks::{Networks, SecondLook, Segmentation};
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
    /// x' again, and M on it when asked.
    pub second: &'a SecondLook<'a>,
    /// F on x and x'.
    pub compared: &'a Compared,
}

impl Seen<'_> {
    /// M's logits at the working size, `N x classes x H x W`, fp32.
    pub fn logits(&self) -> Tensor {
        self.networks.full_logits(self.segmented)
    }
}

/// The same, owned: what the networks made of one image.
pub struct Look<'a> {
    /// The networks.
    pub networks: &'a Networks,
    /// x at the working size.
    pub image: Tensor,
    /// M on x.
    pub segmented: Segmentation,
    /// x'.
    pub synth: Tensor,
    /// x' again, and M on it when asked.
    pub second: SecondLook<'a>,
    /// F on all of it.
    pub compared: Compared,
}

impl<'a> Look<'a> {
    /// Segments, synthesizes and compares, without gradients.
    pub fn at(networks: &'a Networks, image: &RgbImage) -> Result<Self, TchError> {
        tch::no_grad(|| Self::on(networks, networks.input(image)?))
    }

    /// The same of a batch at the working size, `N x 3 x H x W`.
    pub fn on(networks: &'a Networks, image: Tensor) -> Result<Self, TchError> {
        let segmented = networks.segment(&image)?;
        let synth = networks.synthesize(&segmented.softmax.labels, &image)?;
        let second = networks.look_again(&synth);
        let compared = networks.compare(&image, &segmented, &second)?;
        Ok(Self { networks, image, segmented, synth, second, compared })
    }

    /// For detectors.
    pub fn seen(&self) -> Seen<'_> {
        let Self { networks, image, segmented, synth, second, compared } = self;
        Seen { networks, image, segmented, synth, second, compared }
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
