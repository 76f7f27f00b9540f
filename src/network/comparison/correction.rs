//! M's softmax, corrected by a network: how probable its label still is, and what that means for the classes.
//!
//! The corrections are of logits, on a grid of their own. On a CPU one pass over the pixels resizes them, corrects and
//! sums up; the corrected softmax itself, which only training needs, is then never written.

use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::prior::{LEAST, Prior, Sums};
use crate::network::cpu::{Fresh, Kernel, has_passes, read, widest};
use crate::network::layers::{channels_last, resize_bilinear, spatial};
use crate::network::softmax::{HIGHEST, LOWEST, Softmax, Tap, exp, taps};

/// Probabilities nearer to 0 or 1 than this are not told apart.
const SURE: f64 = 1e-5;

/// A corrected softmax.
#[derive(Debug)]
pub(crate) struct Corrected {
    /// Logit of M's label being right, `N x 1 x H x W`, fp32.
    pub confidence: Tensor,
    /// What the classes may expect, `N x classes` each: IoU, and logit of presence.
    pub expected: (Tensor, Tensor),
    /// The corrected softmax, `N x classes x H x W`, fp32, where gradients go through it.
    pub posterior: Option<Tensor>,
}

impl Corrected {
    /// By `corrections` of each class's logit and, last, of the confidence: `N x (classes + 1) x h x w`.
    pub fn of(softmax: &Softmax, corrections: &Tensor, prior: &Prior, train: bool) -> Self {
        let corrections = corrections.to_kind(Kind::Float);
        match has_passes(&softmax.probabilities) && !train {
            true => in_one_pass(softmax, &corrections, prior),
            false => by_operations(softmax, &corrections, prior),
        }
    }
}

fn confidence(of_label: &Tensor, doubt: &Tensor) -> Tensor {
    of_label.clamp(SURE, 1. - SURE).logit(None) + doubt
}

fn by_operations(softmax: &Softmax, corrections: &Tensor, prior: &Prior) -> Corrected {
    let (classes, size) = (corrections.size()[1] - 1, spatial(&softmax.probabilities));
    let resize =
        |from, channels| resize_bilinear(&channels_last(&corrections.narrow(1, from, channels)), size, false);
    let corrected = softmax.probabilities.clamp_min(SURE) * resize(0, classes).exp();
    let posterior = &corrected / corrected.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    let of_label = posterior.gather(1, &softmax.labels.unsqueeze(1), false);
    let confidence = confidence(&of_label, &resize(classes, 1));
    // The pixels answer to their own losses alone.
    let corrected = Softmax {
        probabilities: posterior.detach(),
        largest: of_label.detach(),
        second: softmax.second.shallow_clone(),
        labels: softmax.labels.shallow_clone(),
        entropy: softmax.entropy.shallow_clone(),
    };
    let expected = prior.classes(&corrected, &confidence.sigmoid().detach());
    Corrected { confidence, expected, posterior: Some(posterior) }
}

fn in_one_pass(softmax: &Softmax, corrections: &Tensor, prior: &Prior) -> Corrected {
    let [n, classes, height, width] = softmax.probabilities.size()[..] else { panic!("N x C x H x W") };
    let [_, maps, h, w] = corrections.size()[..] else { panic!("N x (C + 1) x h x w") };
    assert_eq!(maps, classes + 1, "a correction of each class and one of the confidence");
    let [rows, columns] = [(h, height), (w, width)].map(|(from, to)| taps(from as usize, to as usize, false));
    let pixels_first = |t: &Tensor| t.permute([0, 2, 3, 1]).contiguous();
    let (grid, probabilities) = (pixels_first(corrections), pixels_first(&softmax.probabilities));
    let labels = Vec::<i64>::try_from(softmax.labels.flatten(0, -1)).expect("ids");
    let [mut of_label, mut doubt] = [(); 2].map(|()| Fresh::<f32>::new(&[n, 1, height, width]));
    let (c, h, w, width) = (classes as usize, h as usize, w as usize, width as usize);
    let lines =
        of_label.numbers().par_chunks_exact_mut(width).zip(doubt.numbers().par_chunks_exact_mut(width));
    let work = |[grid, probabilities]: [&[f32]; 2]| {
        let sum_up = |scratch: &mut Scratch, (line, (of_label, doubt)): (usize, (&mut [f32], &mut [f32]))| {
            let (image, row) = (line / rows.len(), rows[line % rows.len()]);
            let mut sums = LineSums::new(c);
            widest(Line {
                sources: row.sources.map(|y| &grid[(image * h + y) * w * (c + 1)..][..w * (c + 1)]),
                share: row.share,
                columns: &columns,
                probabilities: &probabilities[line * width * c..][..width * c],
                labels: &labels[line * width..][..width],
                scratch,
                of_label,
                doubt,
                sums: &mut sums,
            });
            sums
        };
        lines.enumerate().map_init(|| Scratch::new(c, w, width), sum_up).collect()
    };
    // Sound: a frame's tensors stay with the thread that infers, and the work computes numbers alone.
    #[expect(unsafe_code)]
    let lines: Vec<LineSums> = unsafe { read([&grid, &probabilities], work) };
    // In the order of the lines, so that the same frame gives the same sums.
    let mut totals = vec![0f64; 5 * n as usize * c];
    for (line, sums) in lines.iter().enumerate() {
        let image = line / height as usize;
        for (i, of_line) in
            [&sums.area, &sums.hit, &sums.right, &sums.others, &sums.missed].iter().enumerate()
        {
            let totals = &mut totals[(i * n as usize + image) * c..][..c];
            totals.iter_mut().zip(*of_line).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
    let totals = Tensor::from_slice(&totals).to_kind(Kind::Float).view([5, n, classes]);
    let [area, hit, right, others, missed] = [0, 1, 2, 3, 4].map(|i| totals.get(i));
    let sums = Sums { area, hit, right, others, missed, pixels: height * width as i64 };
    Corrected {
        confidence: confidence(&of_label.tensor(), &doubt.tensor()),
        expected: prior.expect(&sums),
        posterior: None,
    }
}

/// [`Sums`] of one line of pixels.
struct LineSums {
    area: Vec<f32>,
    hit: Vec<f32>,
    right: Vec<f32>,
    others: Vec<f32>,
    missed: Vec<f32>,
}

impl LineSums {
    fn new(classes: usize) -> Self {
        let [area, hit, right, others, missed] = [(); 5].map(|()| vec![0.; classes]);
        Self { area, hit, right, others, missed }
    }
}

/// What a line needs on the way.
struct Scratch {
    /// A line of the grid.
    narrow: Vec<f32>,
    /// A line of the image, class by class for each pixel.
    wide: Vec<f32>,
    /// e to the power of minus each pixel's doubt.
    against: Vec<f32>,
}

impl Scratch {
    fn new(classes: usize, from: usize, to: usize) -> Self {
        Self { narrow: vec![0.; from * (classes + 1)], wide: vec![0.; to * classes], against: vec![0.; to] }
    }
}

/// One line of pixels.
struct Line<'a> {
    /// Lines of the grid above and below, and the share of the second.
    sources: [&'a [f32]; 2],
    share: f32,
    columns: &'a [Tap],
    probabilities: &'a [f32],
    labels: &'a [i64],
    scratch: &'a mut Scratch,
    of_label: &'a mut [f32],
    doubt: &'a mut [f32],
    sums: &'a mut LineSums,
}

/// e to the power of the nearest number to `x` that [`exp`] takes; NaN stays NaN.
#[inline(always)]
fn bounded_exp(x: f32) -> f32 {
    /// Some hundreds of such powers can still be summed up.
    const MOST: f32 = HIGHEST - 8.;
    let x = if x < LOWEST { LOWEST } else { x };
    exp(if x > MOST { MOST } else { x })
}

/// The sum, in as many parts as a wide register holds.
#[inline(always)]
fn sum(numbers: &[f32]) -> f32 {
    let mut lanes = [0.; 8];
    let mut eights = numbers.chunks_exact(8);
    for eight in &mut eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, number)| *lane += number);
    }
    lanes.iter().chain(eights.remainder()).sum()
}

impl Kernel for Line<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { sources: [above, below], share, columns, probabilities, labels, scratch, .. } = self;
        let Self { of_label, doubt, sums, .. } = self;
        let Scratch { narrow, wide, against } = scratch;
        let classes = sums.area.len();
        for ((narrow, above), below) in narrow.iter_mut().zip(above).zip(below) {
            *narrow = above * (1. - share) + below * share;
        }
        for ((wide, doubt), tap) in wide.chunks_exact_mut(classes).zip(&mut *doubt).zip(columns) {
            let [left, right] = tap.sources.map(|x| &narrow[x * (classes + 1)..][..classes + 1]);
            let between = |left: f32, right: f32| left * (1. - tap.share) + right * tap.share;
            for ((wide, &left), &right) in wide.iter_mut().zip(left).zip(right) {
                *wide = between(left, right);
            }
            *doubt = between(left[classes], right[classes]);
        }
        for (wide, &probability) in wide.iter_mut().zip(probabilities) {
            let probability = if probability < SURE as f32 { SURE as f32 } else { probability };
            *wide = probability * bounded_exp(*wide);
        }
        for (against, &doubt) in against.iter_mut().zip(&*doubt) {
            *against = bounded_exp(-doubt);
        }
        for (x, pixel) in wide.chunks_exact_mut(classes).enumerate() {
            let label = labels[x] as usize;
            let inverse = 1. / sum(pixel);
            let own = pixel[label] * inverse;
            of_label[x] = own;
            let own_within = own.clamp(SURE as f32, 1. - SURE as f32);
            let right = 1. / (1. + (1. - own_within) / own_within * against[x]);
            let wrong = (1. - right) / (1. - own).max(LEAST as f32);
            pixel[label] = 0.;
            for ((others, missed), value) in sums.others.iter_mut().zip(&mut sums.missed).zip(&*pixel) {
                let probability = value * inverse;
                *others += probability;
                *missed += probability * wrong;
            }
            sums.area[label] += 1.;
            sums.hit[label] += own;
            sums.right[label] += right;
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn one_pass_gives_what_the_operations_give() {
        tch::manual_seed(1);
        for (n, classes, from, to) in
            [(2, 19, (6, 12), (24, 48)), (1, 2, (5, 7), (5, 7)), (1, 150, (9, 4), (7, 33))]
        {
            let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
            let logits = random(&[n, classes, to.0, to.1]) * 4.;
            let softmax = Softmax::of_logits(&logits, to, false);
            let corrections = random(&[n, classes + 1, from.0, from.1]) * 3.;
            let prior = Prior::new(&VarStore::new(Device::Cpu).root(), classes);
            let (found, expected) = tch::no_grad(|| {
                (in_one_pass(&softmax, &corrections, &prior), by_operations(&softmax, &corrections, &prior))
            });
            let apart = |a: &Tensor, b: &Tensor| {
                assert_eq!((a.size(), a.kind()), (b.size(), b.kind()));
                (a - b).abs().max().double_value(&[])
            };
            // A logit of a probability near 1 shows its rounding enlarged.
            let probabilities = [&found, &expected].map(|corrected| corrected.confidence.sigmoid());
            let differences = [
                apart(&probabilities[0], &probabilities[1]),
                apart(&found.expected.0, &expected.expected.0),
                apart(&found.expected.1, &expected.expected.1),
            ];
            assert!(differences.iter().all(|&d| d < 2e-5), "{classes}: {differences:?}");
        }
    }

    #[test]
    fn the_extremes_are_borne() {
        let probabilities = Tensor::from_slice(&[0.6f32, 0.4]).view([1, 2, 1, 1]);
        let prior = Prior::new(&VarStore::new(Device::Cpu).root(), 2);
        let error = |corrections: [f32; 3]| {
            let corrections = Tensor::from_slice(&corrections).view([1, 3, 1, 1]);
            let softmax = Softmax::of(probabilities.copy());
            let found = tch::no_grad(|| in_one_pass(&softmax, &corrections, &prior));
            assert_eq!(
                found.expected.0.isnan().any().int64_value(&[]) == 1,
                corrections.isnan().any().int64_value(&[]) == 1
            );
            1. - found.confidence.sigmoid().double_value(&[0, 0, 0, 0])
        };
        assert!((error([0., 0., 0.]) - 0.4).abs() < 1e-6);
        assert!(error([1e30, -1e30, 0.]) < 1e-4);
        assert!(error([-1e30, 1e30, 0.]) > 0.999);
        assert!(error([0., 0., -1e30]) > 0.999 && error([0., 0., 1e30]) < 1e-4);
        // A NaN is not hidden.
        assert!(error([f32::NAN, 0., 0.]).is_nan() && error([0., 0., f32::NAN]).is_nan());
    }
}
