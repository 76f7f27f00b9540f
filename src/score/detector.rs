//! Whatever says where, or how much, M is wrong: one row of a table each.

use std::cell::OnceCell;

use image::RgbImage;
use tch::{TchError, Tensor};

use crate::model::networks::{Networks, SecondLook, Segmentation};
use crate::network::comparison::Compared;

/// What a detector may look at: a batch of images and what the bundle's networks make of it. What several
/// detectors need is computed once, and what none needs not at all.
pub struct Look<'a> {
    /// The networks.
    pub networks: &'a Networks,
    /// x at the working size: `N x 3 x H x W`, RGB in \[0, 1\], in the networks' precision.
    pub image: Tensor,
    /// M on x.
    pub segmented: Segmentation,
    painted: OnceCell<(Tensor, SecondLook<'a>)>,
    compared: OnceCell<Compared>,
}

impl<'a> Look<'a> {
    /// Segments an image, without gradients.
    pub fn at(networks: &'a Networks, image: &RgbImage) -> Result<Self, TchError> {
        tch::no_grad(|| Self::on(networks, networks.input(image)?))
    }

    /// Segments a batch at the working size, `N x 3 x H x W`.
    pub fn on(networks: &'a Networks, image: Tensor) -> Result<Self, TchError> {
        let segmented = networks.segment(&image)?;
        Ok(Self { networks, image, segmented, painted: OnceCell::new(), compared: OnceCell::new() })
    }

    fn painted(&self) -> &(Tensor, SecondLook<'a>) {
        self.painted.get_or_init(|| {
            let synth = self.networks.synthesize(&self.segmented.softmax.labels, &self.image);
            let second = self.networks.look_again(&synth);
            (synth, second)
        })
    }

    /// x' = G on M's labels: `N x 3 x H x W`, RGB in \[0, 1\], fp32.
    pub fn synth(&self) -> &Tensor {
        &self.painted().0
    }

    /// x' again, and M on it when asked.
    pub fn second(&self) -> &SecondLook<'a> {
        &self.painted().1
    }

    /// F on x and x'.
    pub fn compared(&self) -> &Compared {
        self.compared.get_or_init(|| self.networks.compare(&self.image, &self.segmented, self.second()))
    }

    /// M's logits at the working size, `N x classes x H x W`, fp32.
    pub fn logits(&self) -> Tensor {
        self.networks.full_logits(&self.segmented)
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
    fn judge(&self, look: &Look) -> Result<Judgement, TchError>;
}
