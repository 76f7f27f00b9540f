//! Whatever says where, or how much, M is wrong: one row of a table each.

use tch::{TchError, Tensor};

use crate::monitor::networks::{Networks, SecondLook, Segmentation};

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

/// One way to tell.
pub trait Detector {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Judges a batch.
    fn judge(&self, seen: &Seen) -> Result<Judgement, TchError>;
}
