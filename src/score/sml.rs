//! Standardized max-logit (Jung et al., "Standardized Max Logits: A Simple yet Effective Approach for
//! Identifying Unexpected Road Obstacles", ICCV 2021): a class whose logits are always low must not count
//! as anomalous for it, nor one whose logits are always high as familiar. The largest logit is therefore measured
//! against those of its class in training; then boundaries, where every segmenter is torn, take the score
//! of their surroundings, and what is left is smoothed.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::class_statistics::ClassStatistics;
use super::detector::{Detection, Detector};
use super::entry::{Entry, made};
use crate::model::inference::Inference;

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[Entry {
    id: "sml",
    needs: "a calibration slice",
    make: |parts| {
        let statistics = parts.statistics.as_ref()?.logits.clone();
        made(StandardizedMaxLogit::new(statistics, parts.networks.size().0))
    },
}];

/// How a score is refined; the defaults are the authors', for images of 1024 x 2048.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Refinement {
    /// By how many pixels the boundaries are widened, round by round.
    pub widths: Vec<u32>,
    /// Pixels between the taps of the Gaussian that smooths.
    pub spacing: i64,
}

impl Default for Refinement {
    fn default() -> Self {
        Self { widths: vec![3, 2, 1, 0], spacing: 6 }
    }
}

impl Refinement {
    /// Refines scores `N x 1 x H x W` of pixels labelled `N x H x W`.
    pub(crate) fn apply(&self, score: &Tensor, labels: &Tensor) -> Tensor {
        smooth(&suppress_boundaries(score, labels, &self.widths), self.spacing)
    }
}

impl Refinement {
    /// The authors' for images of `height` rows: at their half, half as far.
    pub(crate) fn for_height(height: i64) -> Self {
        let Self { widths, spacing } = Self::default();
        let scaled = |pixels: i64| (pixels * height + AUTHORS_HEIGHT / 2) / AUTHORS_HEIGHT;
        let mut widths: Vec<u32> = widths.iter().map(|&width| scaled(i64::from(width)) as u32).collect();
        widths.dedup();
        Self { widths, spacing: scaled(spacing).max(1) }
    }
}

/// Rows of the images that the authors refined.
const AUTHORS_HEIGHT: i64 = 1024;

/// The refined score as a detector.
pub(crate) struct StandardizedMaxLogit {
    statistics: ClassStatistics,
    refinement: Refinement,
}

impl StandardizedMaxLogit {
    /// With the statistics of calibration images, for a working size of `height` rows.
    pub fn new(statistics: ClassStatistics, height: i64) -> Self {
        Self { statistics, refinement: Refinement::for_height(height) }
    }
}

impl Detector for StandardizedMaxLogit {
    fn name(&self) -> &str {
        "standardized max logit"
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let score = self.statistics.score(&inference.logits());
        Ok(Detection::of_doubt(self.refinement.apply(&score, &inference.segmentation().softmax.labels)))
    }
}

/// 1 where a pixel has a neighbour, of eight, of another label: `N x H x W` to `N x 1 x H x W`. (The
/// released code looks for a larger label among four neighbours and for a smaller among eight; this rule
/// does not depend on how classes are numbered.)
fn boundaries(labels: &Tensor) -> Tensor {
    let labels = labels.unsqueeze(1).to_kind(Kind::Float);
    let largest = |x: &Tensor| x.max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false);
    largest(&labels).ne_tensor(&-largest(&-&labels)).to_kind(Kind::Float)
}

/// Widens what is 1 by a pixel up, down, left and right.
fn widen(mask: &Tensor) -> Tensor {
    let column = mask.max_pool2d([3, 1], [1, 1], [1, 0], [1, 1], false);
    column.maximum(&mask.max_pool2d([1, 3], [1, 1], [0, 1], [1, 1], false))
}

/// In rounds of falling `widths`, gives every pixel of a widened boundary the mean of those of its eight
/// neighbours that are outside, if there are any: the score of the surroundings walks in.
fn suppress_boundaries(score: &Tensor, labels: &Tensor, widths: &[u32]) -> Tensor {
    let boundaries = boundaries(labels);
    let sum = |x: &Tensor| {
        let ones = Tensor::ones([1, 1, 3, 3], (Kind::Float, x.device()));
        x.replication_pad2d([1, 1, 1, 1]).conv2d(&ones, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)
    };
    widths.iter().fold(score.to_kind(Kind::Float), |score, &width| {
        let inside = (0..width).fold(boundaries.shallow_clone(), |mask, _| widen(&mask));
        let outside = 1. - &inside;
        let near = sum(&outside);
        let mean = sum(&(&score * &outside)) / near.clamp_min(1.);
        mean.where_self(&inside.gt(0.).logical_and(&near.gt(0.)), &score)
    })
}

/// Taps of the Gaussian, and its standard deviation in taps.
const TAPS: i64 = 7;
const SIGMA: f64 = 1.;

/// Smooths by a Gaussian whose taps are `spacing` pixels apart; at the border the outermost pixels are
/// repeated.
fn smooth(score: &Tensor, spacing: i64) -> Tensor {
    let reach = TAPS / 2;
    let taps: Vec<f32> =
        (-reach..=reach).map(|i| (-((i * i) as f64) / (2. * SIGMA * SIGMA)).exp() as f32).collect();
    let row = Tensor::from_slice(&taps).to_device(score.device());
    let row = &row / row.sum(Kind::Float);
    let border = reach * spacing;
    // The two-dimensional Gaussian is one along the rows and then one along the columns.
    let along = |x: &Tensor, shape: [i64; 4], pad: [i64; 4], dilation: [i64; 2]| {
        let padded = x.replication_pad2d(pad);
        padded.conv2d(&row.view(shape), None::<&Tensor>, [1, 1], [0, 0], dilation, 1)
    };
    let x = along(score, [1, 1, 1, TAPS], [border, border, 0, 0], [1, spacing]);
    along(&x, [1, 1, TAPS, 1], [0, 0, border, border], [spacing, 1])
}

#[cfg(test)]
mod tests {
    use tch::{Device, IndexOp};

    use super::*;
    use crate::network::layers::spatial;

    fn values(t: &Tensor) -> Vec<f32> {
        Vec::try_from(t.flatten(0, -1)).unwrap()
    }

    #[test]
    fn boundaries_lie_on_both_sides_and_widen_in_a_diamond() {
        let labels = Tensor::from_slice(&[4i64, 4, 9, 9]).view([1, 1, 4]);
        assert_eq!(values(&boundaries(&labels)), [0., 1., 1., 0.]);
        let point = Tensor::zeros([1, 1, 5, 5], (Kind::Float, Device::Cpu));
        let _ = point.i((0, 0, 2, 2)).fill_(1.);
        assert_eq!(widen(&widen(&point)).sum(Kind::Float).double_value(&[]), 13.);
        assert_eq!(widen(&point).i((0, 0, 1, 1)).double_value(&[]), 0.);
    }

    #[test]
    fn boundaries_take_the_score_of_their_surroundings() {
        let labels = Tensor::from_slice(&[0i64, 0, 0, 0, 1, 1, 1, 1]).view([1, 1, 8]);
        let score = Tensor::from_slice(&[1f32, 1., 1., 9., 9., 3., 3., 3.]).view([1, 1, 1, 8]);
        // Width 1: pixels 2 to 5 are inside; 2 takes 1 from the left and 5 takes 3 from the right, the
        // boundary itself has nobody outside near. Width 0: now 3 and 4 take from 2 and 5.
        let refined = suppress_boundaries(&score, &labels, &[1, 0]);
        assert_eq!(values(&refined), [1., 1., 1., 1., 3., 3., 3., 3.]);
        // Where there is one label, nothing happens.
        assert_eq!(suppress_boundaries(&score, &labels.zeros_like(), &[1, 0]), score);
    }

    #[test]
    fn smaller_images_are_refined_less_far() {
        assert_eq!(Refinement::for_height(1024), Refinement::default());
        assert_eq!(Refinement::for_height(512), Refinement { widths: vec![2, 1, 0], spacing: 3 });
        assert_eq!(Refinement::for_height(128), Refinement { widths: vec![0], spacing: 1 });
    }

    #[test]
    fn smoothing_is_a_gaussian_with_gaps() {
        let point = Tensor::zeros([1, 1, 41, 41], (Kind::Float, Device::Cpu));
        let _ = point.i((0, 0, 20, 20)).fill_(1.);
        let smoothed = smooth(&point, 6);
        let value = |y, x| smoothed.double_value(&[0, 0, y, x]);
        let total: f64 = (-3..=3).map(|i| (-f64::from(i * i) / 2.).exp()).sum();
        assert!((value(20, 20) - 1. / (total * total)).abs() < 1e-6);
        assert!((value(26, 8) - (-0.5f64 - 2.).exp() / (total * total)).abs() < 1e-6);
        assert_eq!(value(20, 21), 0.);
        assert!((smoothed.sum(Kind::Double).double_value(&[]) - 1.).abs() < 1e-5);
        let flat = point.full_like(3.);
        assert!((smooth(&flat, 6) - 3.).abs().max().double_value(&[]) < 1e-5);
        assert_eq!(spatial(&Refinement::default().apply(&flat, &flat.squeeze_dim(1))), (41, 41));
    }
}
