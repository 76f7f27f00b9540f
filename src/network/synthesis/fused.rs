//! `activation(x * scale + shift)` where each pixel has its own scale and shift, gathered from a table:
//! in one pass over memory on a CPU, by tensor operations elsewhere.
//!
//! By tensor operations the gather alone writes, and the multiply-add reads again, twice as much as the
//! features hold, and leaky ReLU goes over them three more times. The pass is bound by memory, so this
//! is where the time of a memoised layer would go.

use half::bf16;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::network::cpu::{Fresh, Kernel, Plain, has_passes, read, widest};
use crate::network::layers::{SLOPE, channels_last, leaky_relu, spatial};

/// What follows the multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// Leaky ReLU.
    Leaky,
}

/// Scales and shifts of pixels with C channels; a row is C scales, then C shifts.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// `R x 2C`, and for each pixel its row.
    Shared(&'a Tensor, &'a [u32]),
    /// The same with the pixels' rows where the table is, int64.
    Chosen(&'a Tensor, &'a Tensor),
    /// `pixels x 2C`: each pixel its own.
    Own(&'a Tensor),
}

impl Rows<'_> {
    fn table(&self) -> &Tensor {
        match self {
            Self::Shared(table, _) | Self::Chosen(table, _) | Self::Own(table) => table,
        }
    }
}

/// Scales and shifts `x` (`N x C x h x w`, channels last) at `N x C x H x W`, H and W being `zoom`
/// times h and w: every pixel of x stands for `zoom x zoom` pixels, as after a nearest upsampling.
///
/// # Panics
/// Where the rows are not those of as many pixels and channels, or of another kind.
pub fn modulate(x: &Tensor, rows: Rows, zoom: i64, activation: Activation) -> Tensor {
    let channels = x.size()[1];
    let (h, w) = spatial(x);
    let pixels = x.size()[0] * h * zoom * w * zoom;
    let table = rows.table();
    assert_eq!((table.kind(), table.size()[1]), (x.kind(), 2 * channels), "scales and shifts of x");
    match rows {
        Rows::Shared(_, slots) => assert_eq!(slots.len() as i64, pixels, "a slot a pixel"),
        Rows::Chosen(_, slots) => assert_eq!(slots.numel() as i64, pixels, "a slot a pixel"),
        Rows::Own(own) => assert_eq!(own.size()[0], pixels, "a row a pixel"),
    }
    match (has_passes(x), x.kind()) {
        (true, Kind::Float) => in_one_pass::<f32>(x, rows, zoom as usize, activation),
        (true, Kind::BFloat16) => in_one_pass::<bf16>(x, rows, zoom as usize, activation),
        _ => by_operations(x, rows, zoom, activation),
    }
}

/// The same from libtorch's operations: where there is no kernel, and for comparison.
pub fn by_operations(x: &Tensor, rows: Rows, zoom: i64, activation: Activation) -> Tensor {
    let (n, channels) = (x.size()[0], x.size()[1]);
    let (height, width) = (spatial(x).0 * zoom, spatial(x).1 * zoom);
    let gathered = match rows {
        Rows::Own(rows) => rows.shallow_clone(),
        Rows::Shared(table, slots) => {
            let slots: Vec<i32> = slots.iter().map(|&slot| slot as i32).collect();
            table.index_select(0, &Tensor::from_slice(&slots).to_device(x.device()))
        }
        Rows::Chosen(table, slots) => table.index_select(0, slots),
    };
    let gathered = gathered.view([n, height, width, 2 * channels]).permute([0, 3, 1, 2]);
    let x = if zoom == 1 { x.shallow_clone() } else { x.upsample_nearest2d([height, width], None, None) };
    let y = x * gathered.narrow(1, 0, channels) + gathered.narrow(1, channels, channels);
    match activation {
        Activation::Linear => y,
        Activation::Leaky => leaky_relu(&y),
    }
}

/// A number that is stored as itself and computed with as f32.
pub(super) trait Number: Plain {
    /// Exact.
    fn widen(self) -> f32;
    /// To nearest.
    fn narrow(value: f32) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// To nearest, ties to even, without a branch: a NaN stays one because its quiet bit survives the
    /// carry of half a unit.
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let bits = value.to_bits() | u32::from(value.is_nan()) << 22;
        let half = 0x7fff + (bits >> 16 & 1);
        let rounded = if value.is_nan() { bits } else { bits.wrapping_add(half) };
        Self::from_bits((rounded >> 16) as u16)
    }
}

fn in_one_pass<T: Number>(x: &Tensor, rows: Rows, zoom: usize, activation: Activation) -> Tensor {
    let [n, channels, h, w] = x.size()[..] else { panic!("x has {} dimensions, not 4", x.dim()) };
    let (height, width) = (h as usize * zoom, w as usize * zoom);
    // Contiguous in the order N, H, W, C; a copy only where x is not channels last already.
    let input = channels_last(x).permute([0, 2, 3, 1]);
    let (table, slots) = match rows {
        Rows::Shared(table, slots) => (table.contiguous(), Some(slots)),
        Rows::Chosen(table, slots) => (table.index_select(0, slots), None),
        Rows::Own(table) => (table.contiguous(), None),
    };
    let (c, w) = (channels as usize, w as usize);
    let mut out = Fresh::<T>::new(&[n, height as i64, width as i64, channels]);
    let lines = out.numbers();
    let work = |[x, table]: [&[T]; 2]| {
        lines.par_chunks_exact_mut((width * c).max(1)).enumerate().for_each(|(y, out)| {
            // Lines of all images in one count: an image of h lines has zoom * h of them here.
            let x = &x[y / zoom * w * c..][..w * c];
            match slots {
                Some(slots) => {
                    let slots = &slots[y * width..][..width];
                    let row_at = |column: usize| slots[column] as usize;
                    widest(Line { out, x, table, c, zoom, activation, row_at });
                }
                None => {
                    let row_at = |column| y * width + column;
                    widest(Line { out, x, table, c, zoom, activation, row_at });
                }
            }
        });
    };
    // Sound: a frame's tensors stay with the thread that infers, and the work computes numbers alone.
    #[expect(unsafe_code)]
    unsafe {
        read([&input, &table], work)
    };
    out.tensor().permute([0, 3, 1, 2])
}

/// One line of an image: pixels of `c` numbers each, and the table's rows of twice as many; `row_at`
/// tells the row of a column.
struct Line<'a, T, F> {
    out: &'a mut [T],
    x: &'a [T],
    table: &'a [T],
    c: usize,
    zoom: usize,
    activation: Activation,
    row_at: F,
}

impl<T: Number, F: Fn(usize) -> usize> Kernel for Line<'_, T, F> {
    #[inline(always)]
    fn run(self) {
        let Self { out, x, table, c, zoom, activation, row_at } = self;
        for (column, out) in out.chunks_exact_mut(c).enumerate() {
            let (scale, shift) = table[2 * c * row_at(column)..][..2 * c].split_at(c);
            let inputs = x[column / zoom * c..][..c].iter().zip(scale).zip(shift);
            let value = |((x, scale), shift): ((&T, &T), &T)| x.widen() * scale.widen() + shift.widen();
            match activation {
                Activation::Linear => {
                    out.iter_mut().zip(inputs).for_each(|(out, input)| *out = T::narrow(value(input)));
                }
                Activation::Leaky => out.iter_mut().zip(inputs).for_each(|(out, input)| {
                    let value = value(input);
                    *out = T::narrow(if value > 0. { value } else { SLOPE as f32 * value });
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn random(size: &[i64], kind: Kind) -> Tensor {
        Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind)
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).abs().max().double_value(&[])
    }

    #[test]
    fn one_pass_gives_what_the_operations_give() {
        // An odd count of channels leaves a rest after whole registers.
        for (kind, zoom, channels) in
            [(Kind::Float, 1, 19), (Kind::Float, 2, 64), (Kind::BFloat16, 1, 19), (Kind::BFloat16, 2, 64)]
        {
            let x = channels_last(&random(&[2, channels, 3, 5], kind));
            let table = random(&[7, 2 * channels], kind);
            let slots: Vec<u32> = (0..2 * 15 * zoom as u32 * zoom as u32).map(|i| i * 5 % 7).collect();
            let own = random(&[slots.len() as i64, 2 * channels], kind);
            let chosen = Tensor::from_slice(&slots.iter().map(|&slot| i64::from(slot)).collect::<Vec<_>>());
            for rows in [Rows::Shared(&table, &slots), Rows::Chosen(&table, &chosen), Rows::Own(&own)] {
                for activation in [Activation::Linear, Activation::Leaky] {
                    let fused = modulate(&x, rows, zoom, activation);
                    let plain = by_operations(&x, rows, zoom, activation);
                    assert_eq!(fused.size(), [2, channels, 3 * zoom, 5 * zoom]);
                    assert_eq!((fused.size(), fused.kind()), (plain.size(), plain.kind()));
                    // bf16 operations round after every step.
                    let most = if kind == Kind::Float { 1e-6 } else { 0.1 };
                    assert!(difference(&fused, &plain) < most, "{kind:?} {zoom} {activation:?}");
                }
            }
        }
    }

    #[test]
    fn bf16_is_rounded_as_the_library_rounds() {
        let mut values = vec![0., -0., 1., f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY];
        values.extend((0..100_000_u32).map(|i| f32::from_bits(i.wrapping_mul(42_949_673))));
        for value in values {
            let (ours, theirs) = (<bf16 as Number>::narrow(value), bf16::from_f32(value));
            assert!(ours.is_nan() && theirs.is_nan() || ours == theirs, "{value:?}");
        }
        assert!(<bf16 as Number>::narrow(f32::from_bits(0x7f80_0001)).is_nan());
    }

    #[test]
    #[should_panic(expected = "a slot a pixel")]
    fn rows_of_other_pixels_are_refused() {
        let x = random(&[1, 4, 2, 2], Kind::Float);
        let _ = modulate(&x, Rows::Shared(&random(&[1, 8], Kind::Float), &[0; 3]), 1, Activation::Linear);
    }
}
