//! What M's own softmax says of its errors, as F's starting point.
//!
//! The paper's network sees the softmax through one channel and learns from scratch what a view of
//! it tells; with the few thousand images of one fleet it never gets there. Here a handful of
//! weights read it directly, and the trunks learn what has to be added.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::network::softmax::Softmax;

/// Softmax statistics of a class in an image.
const STATISTICS: i64 = 5;

/// Smallest share of an image, or of a softmax, that is told from none.
pub(super) const LEAST: f64 = 1e-5;

/// The weights.
#[derive(Debug)]
pub(crate) struct Prior {
    /// Of the logit of the largest softmax, and of the entropy.
    pixel: Tensor,
    /// Of a class's statistics, towards its IoU and its presence: `2 x classes x STATISTICS`.
    class: Tensor,
    /// `2 x classes`.
    bias: Tensor,
}

impl Prior {
    /// Starts by believing the softmax.
    pub fn new(p: &Path, classes: i64) -> Self {
        let row = |values: [f32; STATISTICS as usize]| Tensor::from_slice(&values).repeat([classes, 1]);
        // IoU: the mean of both expectations. Presence: even odds at a quarter of a percent.
        let class = Tensor::stack(&[row([0.5, 0.5, 0., 0., 0.]), row([0., 0., 0., 0., 1.])], 0);
        let bias = Tensor::from_slice(&[0f32, 6.]).view([2, 1]).repeat([1, classes]);
        Self {
            pixel: p.var_copy("pixel", &Tensor::from_slice(&[1f32, 0.])),
            class: p.var_copy("class", &class),
            bias: p.var_copy("bias", &bias),
        }
    }

    /// Logit that a pixel's label is right, `N x 1 x H x W`, fp32.
    pub fn confidence(&self, softmax: &Softmax) -> Tensor {
        let largest = softmax.largest.clamp(LEAST, 1. - LEAST);
        let weights = self.pixel.to_kind(Kind::Float);
        (&largest / (-&largest + 1.)).log() * weights.get(0) + &softmax.entropy * weights.get(1)
    }

    /// IoU and logit of presence, each `N x classes`, from the softmax and from `right`, the
    /// probability that a pixel's label is right, `N x 1 x H x W`.
    pub fn classes(&self, softmax: &Softmax, right: &Tensor) -> (Tensor, Tensor) {
        self.expect(&Sums::of(softmax, right))
    }

    /// The same from the sums of both.
    pub fn expect(&self, sums: &Sums) -> (Tensor, Tensor) {
        let statistics = sums.statistics().unsqueeze(0);
        let weight = self.class.to_kind(Kind::Float).unsqueeze(1);
        let bias = self.bias.to_kind(Kind::Float).unsqueeze(1);
        let out = (statistics * weight).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float) + bias;
        (out.get(0), out.get(1))
    }
}

/// Sums over the pixels of each image for each class, `N x classes`, fp32.
#[derive(Debug)]
pub(crate) struct Sums {
    /// Pixels with its label,
    pub area: Tensor,
    /// the softmax of that label,
    pub hit: Tensor,
    /// and the probability that it is right.
    pub right: Tensor,
    /// Softmax of the class where the label is another,
    pub others: Tensor,
    /// and what of it is left when the label's probability is the one of being right: where a label is wrong, the other
    /// classes share the pixel as they share the rest of the softmax.
    pub missed: Tensor,
    /// Pixels of an image.
    pub pixels: i64,
}

impl Sums {
    fn of(softmax: &Softmax, right: &Tensor) -> Self {
        let [n, classes, height, width] = softmax.probabilities.size()[..] else { panic!("N x C x H x W") };
        let pixels = height * width;
        let flat = |x: &Tensor| x.to_kind(Kind::Float).reshape([n, 1, pixels]);
        let (largest, right) = (flat(&softmax.largest), flat(right));
        let wrong = (-&right + 1.) / (-&largest + 1.).clamp_min(LEAST);
        let labels = softmax.labels.reshape([n, pixels]);
        // A difference of sums over all pixels and over its own would be mostly rounding.
        let each = softmax.probabilities.permute([0, 2, 3, 1]).reshape([n, pixels, classes]);
        let others = each.scatter_value(2, &labels.unsqueeze(-1), 0.);
        let of_others = Tensor::cat(&[&largest.ones_like(), &wrong], 1).bmm(&others);
        let of_own = |x: &Tensor| {
            let sums = Tensor::zeros([n, classes], (Kind::Double, x.device()));
            sums.scatter_add(1, &labels, &x.to_kind(Kind::Double).squeeze_dim(1)).to_kind(Kind::Float)
        };
        Self {
            area: of_own(&largest.ones_like()),
            hit: of_own(&largest),
            right: of_own(&right),
            others: of_others.select(1, 0),
            missed: of_others.select(1, 1),
            pixels,
        }
    }

    /// Of each class in each image, `N x classes x STATISTICS`: its expected IoU by the softmax; by the probability
    /// of being right; the root of its share of the pixels; the logarithm of that share; and of its share of
    /// the softmax.
    fn statistics(&self) -> Tensor {
        let Self { area, hit, right, others, missed, pixels } = self;
        let (mass, pixels) = (others + hit, *pixels as f64);
        let by_softmax = hit / (area + &mass - hit).clamp_min(1.);
        let by_confidence = right / (area + missed).clamp_min(1.);
        let share = area / pixels;
        let log = |x: &Tensor| (x + LEAST).log();
        Tensor::stack(&[by_softmax, by_confidence, share.sqrt(), log(&share), log(&(mass / pixels))], -1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;
    use tch::{Device, IndexOp};

    /// Two classes in 2 x 2 pixels: three of the first (0.8 sure), one of the second (0.6 sure).
    fn softmax() -> Softmax {
        let first = Tensor::from_slice(&[0.8f32, 0.8, 0.8, 0.4]).view([1, 1, 2, 2]);
        Softmax::of(Tensor::cat(&[&first, &(-&first + 1.)], 1))
    }

    #[test]
    fn expectations_are_counted_by_hand() {
        let right = Tensor::from_slice(&[0.9f32, 0.9, 0.9, 0.5]).view([1, 1, 2, 2]);
        let found = Sums::of(&softmax(), &right).statistics();
        let value = |class: i64, which: i64| found.double_value(&[0, class, which]);
        assert!((value(0, 0) - 2.4 / (3. + 2.8 - 2.4)).abs() < 1e-5);
        assert!((value(0, 1) - 2.7 / (3. + 0.5)).abs() < 1e-5);
        assert!((value(1, 1) - 0.5 / (1. + 0.3)).abs() < 1e-5);
        assert!((value(1, 2) - 0.5).abs() < 1e-5);
        assert!((value(0, 4) - 0.7f64.ln()).abs() < 1e-3);
    }

    #[test]
    fn it_starts_by_believing_the_softmax() {
        let vs = VarStore::new(Device::Cpu);
        let prior = Prior::new(&vs.root(), 2);
        let right = prior.confidence(&softmax()).sigmoid();
        assert!((right.i((0, 0, 0, 0)).double_value(&[]) - 0.8).abs() < 1e-4);
        let (iou, presence) = prior.classes(&softmax(), &right);
        assert_eq!((iou.size(), presence.size()), (vec![1, 2], vec![1, 2]));
        assert!(iou.double_value(&[0, 0]) > iou.double_value(&[0, 1]));
        assert!(presence.double_value(&[0, 0]) > 0.);
    }
}
