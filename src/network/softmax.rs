//! What M's softmax says of every pixel: probabilities, the class, how sure, how torn.
//!
//! All of it is needed at full size, and M's logits come on a coarser grid. On a CPU one pass over the
//! pixels resizes, exponentiates and sums up; by tensor operations it takes some twenty passes.

use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::cpu::{Fresh, Kernel, has_passes, widest};
use super::layers::resize_bilinear;

/// Below this a probability adds nothing to the entropy.
const LEAST: f64 = 1e-12;

/// The softmax of a batch.
#[derive(Debug)]
pub struct Softmax {
    /// `N x classes x H x W`, fp32; channels last where it was computed from logits on the CPU.
    pub probabilities: Tensor,
    /// The largest of them (MSP), `N x 1 x H x W`, fp32.
    pub largest: Tensor,
    /// The second largest, `N x 1 x H x W`, fp32; 0 where there is one class.
    pub second: Tensor,
    /// The largest's class, `N x H x W` ids, int64.
    pub labels: Tensor,
    /// Entropy as a share of the largest possible one, `N x 1 x H x W` in \[0, 1\], fp32.
    pub entropy: Tensor,
}

impl Softmax {
    /// From probabilities, `N x classes x H x W`, fp32.
    pub fn of(probabilities: Tensor) -> Self {
        let classes = probabilities.size()[1];
        let (top, places) = probabilities.topk(2.min(classes), 1, true, true);
        let [largest, labels] = [&top, &places].map(|t| t.narrow(1, 0, 1));
        let second = if classes > 1 { top.narrow(1, 1, 1) } else { largest.zeros_like() };
        let terms = &probabilities * probabilities.clamp_min(LEAST).log();
        let entropy = terms.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        let entropy = entropy / -most(classes);
        Self { probabilities, largest, second, labels: labels.squeeze_dim(1), entropy }
    }

    /// The same probabilities beside labels that come from elsewhere, `N x H x W` ids, each below `classes`: where
    /// those differ from the softmax's own, `largest` is the probability of the label and `second` that of the
    /// softmax's own.
    fn of_labels(self, labels: Tensor) -> Self {
        let is_own = labels.eq_tensor(&self.labels).unsqueeze(1);
        let largest = self.probabilities.gather(1, &labels.unsqueeze(1), false);
        let second = self.second.where_self(&is_own, &self.largest);
        Self { largest, second, labels, ..self }
    }

    /// The same beside labels that may be of no class, in whose place the softmax's own stand.
    pub(crate) fn of_given(self, labels: &Tensor) -> Self {
        let is_class = labels.lt(self.probabilities.size()[1]);
        let labels = labels.where_self(&is_class, &self.labels);
        self.of_labels(labels)
    }

    /// From logits, `N x classes x h x w`, brought to `size` (height, width) bilinearly.
    pub(crate) fn of_logits(logits: &Tensor, size: (i64, i64), align_corners: bool) -> Self {
        let logits = logits.to_kind(Kind::Float);
        match has_passes(&logits) {
            true => in_one_pass(&logits, size, align_corners),
            false => Self::of(resize_bilinear(&logits, size, align_corners).softmax(1, Kind::Float)),
        }
    }
}

/// Entropy of the softmax as a share of the largest possible one. `N x C x H x W` to `N x 1 x H x W` in
/// \[0, 1\].
pub fn entropy(logits: &Tensor) -> Tensor {
    let log = logits.log_softmax(1, Kind::Float);
    let entropy = -(log.exp() * &log).sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    entropy / most(logits.size()[1])
}

/// The largest entropy of so many classes.
fn most(classes: i64) -> f64 {
    (classes.max(2) as f64).ln()
}

/// Where a bilinear resize reads, for one place: two sources, and the share of the second.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub(super) sources: [usize; 2],
    pub(super) share: f32,
}

/// The taps of `to` places in a line of `from`, as PyTorch defines them.
pub(super) fn taps(from: usize, to: usize, align_corners: bool) -> Vec<Tap> {
    let scale = match align_corners {
        true => (from - 1) as f32 / (to.max(2) - 1) as f32,
        false => from as f32 / to as f32,
    };
    let tap = |place: usize| {
        let at = match align_corners {
            true => place as f32 * scale,
            false => ((place as f32 + 0.5) * scale - 0.5).max(0.),
        };
        let first = (at as usize).min(from - 1);
        Tap { sources: [first, (first + 1).min(from - 1)], share: at - first as f32 }
    };
    (0..to).map(tap).collect()
}

fn in_one_pass(logits: &Tensor, (height, width): (i64, i64), align_corners: bool) -> Softmax {
    let [n, classes, h, w] = logits.size()[..] else { panic!("{} dimensions, not 4", logits.dim()) };
    let [rows, columns] =
        [(h, height), (w, width)].map(|(from, to)| taps(from as usize, to as usize, align_corners));
    // Small: a line of each class after the other, so that neighbours lie side by side.
    let grid = logits.permute([0, 2, 1, 3]).contiguous().flatten(0, -1);
    let grid = Vec::<f32>::try_from(grid).expect("fp32 in one piece");
    let (c, w) = (classes as usize, w as usize);
    let line_at = |line: usize| {
        let (image, row) = (line / rows.len(), rows[line % rows.len()]);
        let sources = row.sources.map(|y| &grid[(image * h as usize + y) * c * w..][..c * w]);
        (sources, row.share)
    };
    let mut probabilities = Fresh::<f32>::new(&[n, height, width, classes]);
    let [mut largest, mut second, mut entropy] = [(); 3].map(|()| Fresh::<f32>::new(&[n, 1, height, width]));
    let mut labels = Fresh::<i64>::new(&[n, height, width]);
    let width = columns.len();
    let lines = probabilities
        .numbers()
        .par_chunks_exact_mut(width * c)
        .zip(largest.numbers().par_chunks_exact_mut(width))
        .zip(second.numbers().par_chunks_exact_mut(width))
        .zip(labels.numbers().par_chunks_exact_mut(width))
        .zip(entropy.numbers().par_chunks_exact_mut(width));
    lines.enumerate().for_each_init(
        || Scratch::new(c, w, width),
        |scratch, (line, ((((probabilities, largest), second), labels), entropy))| {
            let ((sources, share), columns) = (line_at(line), &columns);
            widest(Line {
                sources,
                share,
                columns,
                scratch,
                probabilities,
                largest,
                second,
                labels,
                entropy,
            });
        },
    );
    Softmax {
        probabilities: probabilities.tensor().permute([0, 3, 1, 2]),
        largest: largest.tensor(),
        second: second.tensor(),
        labels: labels.tensor(),
        entropy: entropy.tensor(),
    }
}

/// What a line needs on the way.
struct Scratch {
    /// A line of the grid, of one class.
    narrow: Vec<f32>,
    /// A line of the image for each class.
    wide: Vec<f32>,
    /// A line of the image each.
    top: Vec<f32>,
    next: Vec<f32>,
    best: Vec<i32>,
    sum: Vec<f32>,
    mean: Vec<f32>,
}

impl Scratch {
    fn new(classes: usize, from: usize, to: usize) -> Self {
        Self {
            narrow: vec![0.; from],
            wide: vec![0.; classes * to],
            top: vec![0.; to],
            next: vec![0.; to],
            best: vec![0; to],
            sum: vec![0.; to],
            mean: vec![0.; to],
        }
    }
}

/// One line of pixels.
struct Line<'a> {
    /// Lines of the grid above and below, class by class, and the share of the second.
    sources: [&'a [f32]; 2],
    share: f32,
    columns: &'a [Tap],
    scratch: &'a mut Scratch,
    probabilities: &'a mut [f32],
    largest: &'a mut [f32],
    second: &'a mut [f32],
    labels: &'a mut [i64],
    entropy: &'a mut [f32],
}

impl Kernel for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { sources: [above, below], share, columns, scratch, .. } = self;
        let Scratch { narrow, wide, top, next, best, sum, mean } = scratch;
        let (from, to) = (narrow.len(), columns.len());
        let classes = above.len() / from;
        top.fill(f32::NEG_INFINITY);
        next.fill(f32::NEG_INFINITY);
        best.fill(0);
        for (class, wide) in wide.chunks_exact_mut(to).enumerate() {
            let (above, below) = (&above[class * from..][..from], &below[class * from..][..from]);
            for ((narrow, above), below) in narrow.iter_mut().zip(above).zip(below) {
                *narrow = above * (1. - share) + below * share;
            }
            for (wide, tap) in wide.iter_mut().zip(columns) {
                let [left, right] = tap.sources.map(|x| narrow[x]);
                *wide = left * (1. - tap.share) + right * tap.share;
            }
            for (((&wide, top), next), best) in wide.iter().zip(&mut *top).zip(&mut *next).zip(&mut *best) {
                let more = wide > *top;
                let lower = if more { *top } else { wide };
                *next = if lower > *next { lower } else { *next };
                *top = if more { wide } else { *top };
                *best = if more { class as i32 } else { *best };
            }
        }
        sum.fill(0.);
        mean.fill(0.);
        for wide in wide.chunks_exact_mut(to) {
            for (((wide, &top), sum), mean) in wide.iter_mut().zip(&*top).zip(&mut *sum).zip(&mut *mean) {
                let below = *wide - top;
                // Less would no longer be a normal number, and is nothing beside the largest.
                let below = if below < LOWEST { LOWEST } else { below };
                let power = exp(below);
                *sum += power;
                *mean += power * below;
                *wide = power;
            }
        }
        let most = most(classes as i64) as f32;
        for (x, pixel) in self.probabilities.chunks_exact_mut(classes).enumerate() {
            let inverse = 1. / sum[x];
            for (class, probability) in pixel.iter_mut().enumerate() {
                *probability = wide[class * to + x] * inverse;
            }
            self.largest[x] = inverse;
            let below = next[x] - top[x];
            self.second[x] = if below > LOWEST { exp(below) * inverse } else { 0. };
            self.labels[x] = i64::from(best[x]);
            // -sum of p ln p, where ln p = below - ln sum; rounding may leave a little less than nothing.
            let entropy = (sum[x].ln() - mean[x] * inverse) / most;
            self.entropy[x] = if entropy < 0. { 0. } else { entropy };
        }
    }
}

/// The lowest and the highest power of e that is computed.
pub(super) const LOWEST: f32 = -87.;
pub(super) const HIGHEST: f32 = 88.;

/// e to the power of `x`, from [`LOWEST`] to [`HIGHEST`], to 2e-7 of it: by powers of two and a polynomial on what
/// is left, without a branch, so that a loop of it runs in wide registers. NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.;
    // Rounded to an integer by adding what leaves no bits for a fraction.
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let whole = shifted - MAGIC;
    // ln 2 in two pieces, the first of them exact in a product with `whole`.
    let rest = (x - whole * 0.693_359_4) - whole * -2.121_944_4e-4;
    let series = 1. / 5040.;
    let series = series * rest + 1. / 720.;
    let series = series * rest + 1. / 120.;
    let series = series * rest + 1. / 24.;
    let series = series * rest + 1. / 6.;
    let series = series * rest + 0.5;
    let series = series * rest + 1.;
    let series = series * rest + 1.;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits()));
    series * power
}

#[cfg(test)]
mod tests {
    use tch::{Device, IndexOp};

    use super::*;

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn one_pass_gives_what_the_operations_give() {
        tch::manual_seed(1);
        for (classes, from, to) in [(19, (6, 12), (24, 48)), (2, (5, 7), (5, 7)), (150, (9, 4), (7, 33))] {
            let size = [2, classes, from.0, from.1];
            let logits = Tensor::randn(size, (Kind::Float, Device::Cpu)) * 8.;
            for align_corners in [false, true] {
                let found = Softmax::of_logits(&logits, to, align_corners);
                let resized = resize_bilinear(&logits, to, align_corners);
                let expected = Softmax::of(resized.softmax(1, Kind::Float));
                assert_eq!(found.probabilities.size(), [2, classes, to.0, to.1]);
                // Logits of 30 have roundings of 2e-6.
                let differences = [
                    difference(&found.probabilities, &expected.probabilities),
                    difference(&found.largest, &expected.largest),
                    difference(&found.second, &expected.second),
                    difference(&found.entropy, &expected.entropy),
                ];
                assert!(differences.iter().all(|&d| d < 1e-5), "{classes}, {align_corners}: {differences:?}");
                assert_eq!(found.labels, resized.argmax(1, false));
            }
        }
    }

    #[test]
    fn the_extremes_are_borne() {
        let logits = Tensor::from_slice(&[1e30f32, 0., f32::NAN, -1e30, 0.1, 0.]).view([1, 2, 1, 3]);
        let found = Softmax::of_logits(&logits, (1, 3), false);
        let value = |t: &Tensor, x| t.double_value(&[0, 0, 0, x]);
        assert!(value(&found.largest, 0) == 1. && value(&found.entropy, 0) < 1e-30);
        assert_eq!(Vec::<i64>::try_from(found.labels.i((0, 0, ..2))).unwrap(), [0, 1]);
        // A NaN is not hidden.
        for map in [&found.largest, &found.probabilities, &found.entropy] {
            assert!(value(map, 2).is_nan());
        }
    }

    #[test]
    fn powers_are_those_of_the_library() {
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.).abs() < 2e-7, "{x}: {found} {expected}");
        }
        assert_eq!(exp(0.), 1.);
        assert!(exp(LOWEST) < 1e-37 && exp(f32::NAN).is_nan());
    }
}
