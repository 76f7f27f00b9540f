//! SPADE's scale and shift for inference, from the distinct label patches.
//!
//! SPADE (Park et al., 2019, equation 1) multiplies normalized features by 1 + gamma and adds beta, both
//! two 3x3 convolutions away from the label map. With the statistics of the norm fixed, this is one
//! multiply-add of the features themselves, `x * scale + shift`, whose two factors are again linear in
//! the hidden vectors; the norm is folded into that layer's weights.

use half::bf16;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use super::distinct::Distinct;
use super::fused::{Number, Rows};
use super::patches::{Alphabet, Ingredients, Plan};
use super::spade::SpadeNorm;
use crate::network::cpu::{Fresh, Kernel, Plain, has_passes, read, widest};
use crate::network::flops;
use crate::network::layers::{Conv2d, ConvOptions, Rectifier};

/// Patches of one matrix product, largest first; their number is rounded up to the smallest.
///
/// Every frame brings another number of new patches, and libtorch's backend compiles and keeps a kernel
/// for each shape it meets: with these few it soon knows all there are. The largest bounds the memory
/// of a first frame.
const PIECES: [i64; 4] = [4096, 1024, 256, 64];

/// Rows that one thread copies at a time.
const BAND: usize = 1024;
/// How [`Tensor::embedding_bag`] calls a sum.
const SUM: i64 = 0;

/// Most 3x3 patches for each 5x5 patch with which the former are multiplied and summed. Arithmetic alone
/// would have it below 1; but the products are then in fp32, of which a CPU does half as many, and the
/// sums go over memory once more.
const SHARED: f64 = 0.4;

/// Cuts `count` rounded up into sizes of [`PIECES`].
fn pieces(count: i64) -> Vec<i64> {
    let [.., smallest] = PIECES;
    let mut rest = (count + smallest - 1) / smallest * smallest;
    let mut sizes = Vec::new();
    for size in PIECES {
        sizes.extend(std::iter::repeat_n(size, (rest / size) as usize));
        rest %= size;
    }
    sizes
}

/// What `work` makes of the lines of `x`, each by itself, in pieces of [`PIECES`], the last one cut to the lines
/// that there are.
fn in_pieces(x: &Tensor, work: impl Fn(&Tensor) -> Tensor) -> Vec<Tensor> {
    let mut left = x.size()[0];
    let sizes = pieces(left);
    let padded = x.constant_pad_nd([0, 0, 0, sizes.iter().sum::<i64>() - left]);
    let parts = padded.split_with_sizes(sizes, 0);
    let worked = parts.iter().map(|part| {
        let lines = left.min(part.size()[0]);
        left -= lines;
        work(part).narrow(0, 0, lines)
    });
    worked.collect()
}

/// The rows of `table` at `numbers`, a row each. By libtorch's operations every row is a copy with a set-up of its
/// own, which takes longer than copying so few numbers.
fn gathered(table: &Tensor, numbers: &Tensor) -> Tensor {
    match (has_passes(table), table.kind()) {
        (true, Kind::Float) => copied::<f32>(table, numbers),
        (true, Kind::BFloat16) => copied::<bf16>(table, numbers),
        _ => table.index_select(0, numbers),
    }
}

fn copied<T: Plain>(table: &Tensor, numbers: &Tensor) -> Tensor {
    let (count, width) = (numbers.numel(), table.size()[1]);
    let mut out = Fresh::<T>::new(&[count as i64, width]);
    let width = width as usize;
    let numbers = Vec::<i64>::try_from(numbers).expect("a list of numbers");
    let bands = out.numbers().par_chunks_mut(BAND * width).zip(numbers.par_chunks(BAND));
    let work = |[table]: [&[T]; 1]| {
        bands.for_each(|(out, numbers): (&mut [T], _)| {
            for (out, &number) in out.chunks_exact_mut(width).zip(numbers) {
                out.copy_from_slice(&table[number as usize * width..][..width]);
            }
        });
    };
    // Sound: a network's tensors stay with the thread that infers, and the work computes numbers alone.
    #[expect(unsafe_code)]
    unsafe {
        read([table], work)
    };
    out.tensor()
}

/// Of each nine of `numbers`, the sum of those rows of `table`.
fn sums_of_nine(table: &Tensor, numbers: &Tensor) -> Tensor {
    let starts = Tensor::arange(numbers.size()[0] / 9, (Kind::Int64, table.device())) * 9;
    let none = None::<&Tensor>;
    let (sums, ..) = Tensor::embedding_bag(table, numbers, &starts, false, SUM, false, none, false);
    sums
}

/// Hidden vectors of 3x3 patches: relu of the bias and each nine of `numbers` rows of `columns`, and a last row of zeros,
/// which is what the second convolution sees outside the image.
fn hidden(columns: &Tensor, bias: &Tensor, numbers: &Tensor, kind: Kind) -> Tensor {
    match (has_passes(columns), kind) {
        (true, Kind::Float) => hidden_in_one_pass::<f32>(columns, bias, numbers),
        (true, Kind::BFloat16) => hidden_in_one_pass::<bf16>(columns, bias, numbers),
        _ => hidden_by_operations(columns, bias, numbers, kind),
    }
}

fn hidden_by_operations(columns: &Tensor, bias: &Tensor, numbers: &Tensor, kind: Kind) -> Tensor {
    let sums = sums_of_nine(columns, numbers) + bias;
    sums.relu().to_kind(kind).constant_pad_nd([0, 0, 0, 1])
}

fn hidden_in_one_pass<T: Number>(columns: &Tensor, bias: &Tensor, numbers: &Tensor) -> Tensor {
    let (count, width) = (numbers.numel() / 9, columns.size()[1]);
    let mut out = Fresh::<T>::new(&[count as i64 + 1, width]);
    let width = width as usize;
    let (patches, outside) = out.numbers().split_at_mut(count * width);
    outside.fill(T::narrow(0.));
    let numbers = Vec::<i64>::try_from(numbers).expect("a list of numbers");
    let bands = patches.par_chunks_mut(BAND * width).zip(numbers.par_chunks(9 * BAND));
    let work = |[columns, bias]: [&[f32]; 2]| {
        bands.for_each(|(out, numbers)| widest(HiddenVectors { out, numbers, columns, bias }));
    };
    // Sound: a network's tensors stay with the thread that infers, and the work computes numbers alone.
    #[expect(unsafe_code)]
    unsafe {
        read([columns, bias], work)
    };
    out.tensor()
}

/// Some of them, `bias.len()` numbers each.
struct HiddenVectors<'a, T> {
    out: &'a mut [T],
    numbers: &'a [i64],
    columns: &'a [f32],
    bias: &'a [f32],
}

impl<T: Number> Kernel for HiddenVectors<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { out, numbers, columns, bias } = self;
        let width = bias.len();
        let mut sum = vec![0.; width];
        for (out, nine) in out.chunks_exact_mut(width).zip(numbers.chunks_exact(9)) {
            sum.copy_from_slice(bias);
            for &number in nine {
                let column = &columns[number as usize * width..][..width];
                sum.iter_mut().zip(column).for_each(|(sum, column)| *sum += column);
            }
            // What is not a number stays so.
            out.iter_mut()
                .zip(&sum)
                .for_each(|(out, &sum)| *out = T::narrow(if sum < 0. { 0. } else { sum }));
        }
    }
}

/// One SPADE layer, folded.
#[derive(Debug)]
pub struct Modulation {
    /// Columns of the first convolution: a row for each tap and symbol, fp32; zeros where the symbol is
    /// no class.
    columns: Tensor,
    columns_bias: Tensor,
    /// From nine hidden vectors to C scales and C shifts: `2C x 9 hidden`.
    weight: Tensor,
    bias: Tensor,
    /// The two as convolutions of the label map, for maps that repeat too little.
    dense: [Conv2d; 2],
}

/// What [`Modulation::rows`] reads, on the device of the network.
#[derive(Debug)]
pub struct Request {
    columns: Tensor,
    hidden: Tensor,
}

impl Request {
    /// Copies `ingredients`.
    pub fn new(ingredients: &Ingredients, device: Device) -> Self {
        let tensor = |numbers: &[i64]| Tensor::from_slice(numbers).to_device(device);
        Self { columns: tensor(&ingredients.columns), hidden: tensor(&ingredients.hidden) }
    }

    /// Whether the 3x3 patches come back so often that each had better be multiplied once.
    fn repeats(&self) -> bool {
        self.columns.numel() as f64 <= SHARED * self.hidden.numel() as f64
    }
}

impl Modulation {
    /// Folds a trained layer, to compute in `kind`.
    pub fn fold(norm: &SpadeNorm, alphabet: Alphabet, kind: Kind) -> Self {
        let (scale, shift) = norm.norm.scale_shift();
        let (gamma, gamma_bias) = norm.gamma.parameters();
        let (beta, beta_bias) = norm.beta.parameters();
        let one_more = gamma_bias + 1.;
        let weight_of = |factor: &Tensor| &gamma * factor.view([-1, 1, 1, 1]);
        let weight = Tensor::cat(&[weight_of(&scale), weight_of(&shift) + beta], 0).to_kind(kind);
        let bias = Tensor::cat(&[&scale * &one_more, shift * one_more + beta_bias], 0).to_kind(kind);
        // Taps outermost, as the patches list them. A view of the matrix is the convolution's weight.
        let weight = weight.permute([0, 2, 3, 1]).contiguous();
        let [outputs, _, _, hidden] = weight.size()[..] else { unreachable!("a convolution's weight") };
        let second = Conv2d::of(weight.permute([0, 3, 1, 2]), Some(&bias), ConvOptions::same(3));

        let (shared, shared_bias) = norm.shared.parameters();
        let first = Conv2d::of(shared.to_kind(kind), Some(&shared_bias.to_kind(kind)), ConvOptions::same(3));
        // Rounded as the convolution's weight would be, summed in fp32 as the convolution sums.
        let round = |t: &Tensor| t.to_kind(kind).to_kind(Kind::Float);
        let unknown = alphabet.symbols() as i64 - shared.size()[1];
        let columns = round(&shared).permute([2, 3, 1, 0]).constant_pad_nd([0, 0, 0, unknown]);
        Self {
            columns: columns.contiguous().view([-1, hidden]),
            columns_bias: round(&shared_bias),
            weight: weight.view([outputs, 9 * hidden]),
            bias,
            dense: [first, second].map(Conv2d::settled),
        }
    }

    /// Scales and shifts of patches, `patches x 2C`, cut into some pieces.
    pub fn rows(&self, request: &Request) -> Vec<Tensor> {
        let hidden = hidden(&self.columns, &self.columns_bias, &request.columns, self.weight.kind());
        match request.repeats() {
            true => vec![self.summed(&hidden, request)],
            false => self.multiplied(&hidden, request),
        }
    }

    /// Nine hidden vectors of each patch, in one product.
    fn multiplied(&self, hidden: &Tensor, request: &Request) -> Vec<Tensor> {
        let vectors = hidden.size()[1];
        let rows = in_pieces(&request.hidden.view([-1, 9]), |numbers| {
            let nine = gathered(hidden, &numbers.flatten(0, 1)).view([-1, 9 * vectors]);
            nine.linear(&self.weight, Some(&self.bias))
        });
        flops::note(rows.iter().map(Tensor::numel).sum(), 9 * vectors);
        rows
    }

    /// Every hidden vector by all nine taps, and for each patch the sum of its nine results. In fp32: what
    /// is summed must not be rounded.
    fn summed(&self, hidden: &Tensor, request: &Request) -> Tensor {
        let (outputs, vectors) = (self.weight.size()[0], hidden.size()[1]);
        let taps = self.weight.view([outputs, 9, vectors]).transpose(0, 1).to_kind(Kind::Float);
        let taps = taps.reshape([9 * outputs, vectors]);
        let products =
            in_pieces(&hidden.to_kind(Kind::Float), |hidden| hidden.linear(&taps, None::<&Tensor>));
        let products = Tensor::cat(&products, 0);
        flops::note(products.numel(), vectors);
        let tap = Tensor::arange(9, (Kind::Int64, hidden.device()));
        let places = (request.hidden.view([-1, 9]) * 9 + tap).flatten(0, 1);
        let rows = sums_of_nine(&products.view([-1, outputs]), &places);
        (rows + &self.bias).to_kind(self.bias.kind())
    }

    /// Scales and shifts of every pixel of one-hot label maps `N x classes x H x W`, as a dense SPADE
    /// layer computes them: `N H W x 2C`.
    pub fn dense_rows(&self, one_hot: &Tensor) -> Tensor {
        let [first, second] = &self.dense;
        let rows = second.forward(&first.rectified(one_hot, Rectifier::Relu));
        rows.permute([0, 2, 3, 1]).contiguous().view([-1, self.weight.size()[0]])
    }

    /// Scales and shifts of distinct patches, `patches x 2C`, each as if it were a label map of its own.
    pub(super) fn rows_of(&self, distinct: &Distinct) -> Tensor {
        let [first, _] = &self.dense;
        let hidden = first.padded(&distinct.one_hot, 0, Rectifier::Relu) * &distinct.inside;
        let nine = hidden.permute([0, 2, 3, 1]).reshape([hidden.size()[0], -1]);
        flops::note(nine.size()[0] as usize * self.weight.size()[0] as usize, nine.size()[1]);
        nine.linear(&self.weight, Some(&self.bias))
    }

    fn empty(&self) -> Tensor {
        Tensor::empty([0, self.weight.size()[0]], (self.weight.kind(), self.weight.device()))
    }
}

/// The rows of every patch that an index knows, slot by slot. The memory for all that it may ever know is
/// taken, and written to, with the first map of a size: nothing of it is left to be missing, or to grow, later.
#[derive(Debug)]
pub struct Table {
    rows: Tensor,
}

impl Table {
    /// Of no patch.
    pub fn new(modulation: &Modulation) -> Self {
        Self { rows: modulation.empty() }
    }

    /// Follows a plan of an index that then knows `len` patches; `new` are the rows of the plan's new
    /// ones, piece by piece.
    pub(crate) fn update(&mut self, plan: &Plan, len: usize, new: &[Tensor]) {
        if let Some(kept) = &plan.kept {
            let kept = Tensor::from_slice(kept).to_device(self.rows.device());
            let rows = self.rows.index_select(0, &kept);
            self.rows.narrow(0, 0, rows.size()[0]).copy_(&rows);
        }
        let (mut start, capacity) = ((len - plan.new.len()) as i64, self.rows.size()[0]);
        if len as i64 > capacity {
            let size = [plan.room as i64, self.rows.size()[1]];
            let grown = Tensor::zeros(size, (self.rows.kind(), self.rows.device()));
            grown.narrow(0, 0, start).copy_(&self.rows.narrow(0, 0, start));
            self.rows = grown;
        }
        for piece in new {
            let count = piece.size()[0];
            self.rows.narrow(0, start, count).copy_(piece);
            start += count;
        }
    }

    /// The rows at `slots`.
    pub fn at<'a>(&'a self, slots: &'a [u32]) -> Rows<'a> {
        Rows::Shared(&self.rows, slots)
    }
}

#[cfg(test)]
mod tests {
    use super::super::patches::Patch;
    use super::*;

    #[test]
    fn hidden_vectors_are_those_of_the_operations() {
        tch::manual_seed(1);
        let float = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let (columns, bias) = (float(&[40, 19]), float(&[19]));
        // More than one band of patches, and none.
        for count in [2 * BAND as i64 + 5, 0] {
            let numbers = Tensor::randint(40, [9 * count], (Kind::Int64, Device::Cpu));
            for kind in [Kind::Float, Kind::BFloat16] {
                let expected = hidden_by_operations(&columns, &bias, &numbers, kind);
                let found = hidden(&columns, &bias, &numbers, kind);
                assert_eq!((found.size(), found.kind()), (vec![count + 1, 19], kind));
                let apart = (found - &expected).abs().max().to_kind(Kind::Float).double_value(&[]);
                let most = if kind == Kind::Float { 1e-5 } else { 0.05 };
                assert!(apart < most, "{count}, {kind:?}: {apart}");
            }
        }
    }

    #[test]
    fn a_table_takes_its_memory_once_and_keeps_its_rows() {
        let rows =
            |from: i64, count: i64| Tensor::arange_start(from, from + count, (Kind::Float, Device::Cpu));
        let plan = |kept: Option<Vec<i64>>| Plan { slots: Vec::new(), new: Vec::new(), kept, room: 10 };
        let mut table = Table { rows: Tensor::empty([0, 1], (Kind::Float, Device::Cpu)) };
        let mut step = |kept: Option<Vec<i64>>, count: usize, len: usize, from: i64| {
            let new = vec![Patch::default(); count];
            table.update(&Plan { new, ..plan(kept) }, len, &[rows(from, count as i64).view([-1, 1])]);
            assert_eq!(table.rows.size(), [10, 1]);
            let held = table.rows.narrow(0, 0, len as i64).flatten(0, 1);
            (Vec::<f32>::try_from(held).unwrap(), table.rows.data_ptr())
        };
        let (held, at) = step(None, 3, 3, 0);
        assert_eq!(held, [0., 1., 2.]);
        assert_eq!(step(None, 7, 10, 3).0, (0..10).map(|i| i as f32).collect::<Vec<_>>());
        assert_eq!(step(Some(vec![1, 8]), 2, 4, 20), (vec![1., 8., 20., 21.], at));
    }

    #[test]
    fn any_number_of_patches_is_cut_into_few_sizes() {
        assert!(pieces(0).is_empty());
        assert_eq!(pieces(1), [64]);
        assert_eq!(pieces(5000), [4096, 256, 256, 256, 64, 64, 64]);
        for count in 0..9000 {
            let total: i64 = pieces(count).iter().sum();
            assert!((count..count + 64).contains(&total), "{count}: {total}");
        }
    }
}
