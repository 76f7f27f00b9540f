//! The SPADE generator as it runs in the monitor: its norms folded, and each distinct label patch modulated
//! once where patches are remembered.
//!
//! Spectral norm goes into the convolutions, batch norm and SPADE's 1 + gamma into one multiply-add
//! ([`super::modulation`]), which is done in one pass with the nearest upsampling before it and the leaky
//! ReLU after it ([`super::fused`]). Exact: for any weights and any label maps the picture is that of
//! [`Spade::forward`] but for rounding.

use std::cell::RefCell;
use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::distinct::Distinct;
use super::fused::{Activation, Rows, modulate};
use super::modulation::{Modulation, Request, Table};
use super::patches::{Alphabet, Counts, Ingredients, LabelMaps, PatchIndex, Plan, plan_all};
use super::spade::{Block, LabelPyramid, Spade, Start, to_rgb};
use super::style_encoder::StyleEncoder;
use crate::network::cpu::has_passes;
use crate::network::layers::{Conv2d, SLOPE, spatial};

/// Patches remembered a scale, unless told otherwise.
pub const CACHE: usize = 32_768;

/// Share of the pixels up to which new patches are computed one by one; beyond it a dense convolution of
/// the whole map is no slower. Measured (docs/performance.md): a patch costs as much as 0.9 to 1.7
/// pixels of a convolution, the gathers included.
const MOST_NEW: f64 = 0.65;

/// A residual block, folded.
#[derive(Debug)]
struct FoldedBlock {
    /// SPADE layers: before either convolution, and before the shortcut's.
    modulations: Vec<Modulation>,
    convs: [Conv2d; 2],
    shortcut: Option<Conv2d>,
}

impl FoldedBlock {
    fn new(block: &Block, alphabet: Alphabet, kind: Kind) -> Self {
        let shortcut = block.shortcut.as_ref();
        let norms = block.norms.iter().chain(shortcut.map(|(norm, _)| norm));
        Self {
            modulations: norms.map(|norm| Modulation::fold(norm, alphabet, kind)).collect(),
            convs: [0, 1].map(|i| block.convs[i].fold(kind)),
            shortcut: shortcut.map(|(_, conv)| conv.fold(kind)),
        }
    }

    fn forward(&self, input: &Tensor, zoom: i64, rows: &[Rows]) -> Tensor {
        let x = self.convs[0].forward(&modulate(input, rows[0], zoom, Activation::Leaky));
        let mut x = self.convs[1].forward(&modulate(&x, rows[1], 1, Activation::Leaky));
        let (h, w) = spatial(&x);
        x += match &self.shortcut {
            Some(conv) => conv.forward(&modulate(input, rows[2], zoom, Activation::Linear)),
            None => input.upsample_nearest2d([h, w], None, None),
        };
        x
    }
}

/// Blocks that work on one grid.
#[derive(Debug)]
struct Stage {
    zoom: i64,
    blocks: Vec<FoldedBlock>,
}

impl Stage {
    fn modulations(&self) -> impl Iterator<Item = &Modulation> {
        self.blocks.iter().flat_map(|block| &block.modulations)
    }

    fn forward(&self, input: &Tensor, rows: &[Rows]) -> Tensor {
        let (mut x, mut zoom, mut rest) = (input.shallow_clone(), self.zoom, rows);
        for block in &self.blocks {
            let (own, others) = rest.split_at(block.modulations.len());
            x = block.forward(&x, zoom, own);
            (zoom, rest) = (1, others);
        }
        x
    }
}

/// What is remembered from frame to frame, for each stage: its patches, and a table for each of its SPADE
/// layers.
#[derive(Debug)]
pub struct Memory {
    indices: Vec<PatchIndex>,
    tables: Vec<Vec<Table>>,
}

/// The generator.
#[derive(Debug)]
pub struct FoldedSpade {
    /// What sees the style that the generator starts from, where it has one.
    encoder: Option<StyleEncoder>,
    start: Start,
    stages: Vec<Stage>,
    conv_img: Conv2d,
    /// Of the last leaky ReLU.
    slope: Tensor,
    classes: i64,
    alphabet: Alphabet,
    kind: Kind,
    device: Device,
    limit: usize,
    memory: RefCell<Option<Memory>>,
    /// The way to take where nothing is remembered.
    elsewhere: Way,
}

impl FoldedSpade {
    /// Folds a trained generator, to compute in `kind` and to remember at most `limit` patches a scale; with 0
    /// every layer is computed from the whole label map. `None` where it has more classes than `super::patches::MAX_CLASSES`. Nothing of `spade` is kept.
    pub fn fold(spade: &Spade, kind: Kind, limit: usize) -> Option<Self> {
        let alphabet = Alphabet::new(spade.classes)?;
        tch::no_grad(|| {
            let mut stages = vec![Stage { zoom: 1, blocks: Vec::new() }];
            for (double, block) in &spade.blocks {
                if *double {
                    stages.push(Stage { zoom: 2, blocks: Vec::new() });
                }
                let stage = stages.last_mut().expect("there is a first one");
                stage.blocks.push(FoldedBlock::new(block, alphabet, kind));
            }
            let conv_img = spade.conv_img.fold(kind);
            let device = conv_img.device();
            Some(Self {
                device,
                encoder: None,
                start: spade.start.fold(kind),
                stages,
                conv_img,
                slope: Tensor::full([1], SLOPE, (kind, device)),
                classes: spade.classes,
                alphabet,
                kind,
                limit,
                memory: RefCell::new(None),
                elsewhere: Way::Distinct,
            })
        })
    }

    /// With what sees its style, of a generator that has one.
    pub(crate) fn styled(self, encoder: Option<StyleEncoder>) -> Self {
        Self { encoder, ..self }
    }

    /// Synthesizes an image from `N x H x W` labels in the light and weather of `image`, `N x 3 x h x w` RGB in \[0, 1\]; a
    /// generator without style does not see it. Otherwise as [`Self::forward`].
    pub fn synthesize(&self, labels: &Tensor, image: &Tensor) -> Tensor {
        let see = |encoder: &StyleEncoder| encoder.style(&image.to_kind(self.kind));
        self.run(labels, self.encoder.as_ref().map(see).as_ref())
    }

    /// Synthesizes an image from `N x H x W` labels (ids; 255 = none) as `N x 3 x H x W` RGB in \[0, 1\], fp32. H and W must
    /// be multiples of the number of doublings' power of two. A generator with a style takes the mean one.
    pub fn forward(&self, labels: &Tensor) -> Tensor {
        self.run(labels, None)
    }

    /// Where the label patches are not the CPU's to remember: looks on maps of height and width `size` whether
    /// finding the distinct ones is quicker here than computing every layer from the whole map.
    pub fn choose_way(&mut self, size: (i64, i64)) {
        let labels = landscape(size, self.classes).to_device(self.device);
        if !self.memoises() || has_passes(&labels) {
            return;
        }
        let [distinct, dense] = [Way::Distinct, Way::Dense].map(|way| {
            let pass = || {
                let start = finished(self.device);
                let _ = tch::no_grad(|| self.run_by(way, &labels, None));
                finished(self.device) - start
            };
            // The first passes set things up.
            (0..6).map(|_| pass()).skip(2).min().unwrap_or_default()
        });
        self.elsewhere = if distinct < dense { Way::Distinct } else { Way::Dense };
        tracing::info!(
            "G takes {:.1} ms here with each distinct label patch once and {:.1} ms without: {:?}",
            1e3 * distinct.as_secs_f64(),
            1e3 * dense.as_secs_f64(),
            self.elsewhere
        );
    }

    fn run(&self, labels: &Tensor, style: Option<&Tensor>) -> Tensor {
        let way = match (self.memoises(), has_passes(labels)) {
            (false, _) => Way::Dense,
            (true, true) => Way::Remembered,
            (true, false) => self.elsewhere,
        };
        self.run_by(way, labels, style)
    }

    fn run_by(&self, way: Way, labels: &Tensor, style: Option<&Tensor>) -> Tensor {
        let (height, width) = spatial(labels);
        let sizes: Vec<(i64, i64)> =
            (0..self.stages.len()).rev().map(|i| (height >> i, width >> i)).collect();
        // Taken out, and put back at the end: should anything in between panic, a memory that is only
        // half brought up to date is forgotten.
        let mut memory = self.memory.take().unwrap_or_else(|| self.empty());
        let mut pyramid = LabelPyramid::new(labels, self.classes, self.kind);
        let plans = match way {
            Way::Remembered => self.plan(&mut memory, labels, &sizes),
            Way::Distinct => sizes.iter().map(|&size| self.distinct(&pyramid.labels_at(size))).collect(),
            Way::Dense => sizes.iter().map(|_| StagePlan::Dense).collect(),
        };
        let mut x = self.start.forward(&mut pyramid, sizes[0], style);
        for ((i, stage), plan) in self.stages.iter().enumerate().zip(&plans) {
            x = match plan {
                StagePlan::Remembered(plan, ingredients) => {
                    let (index, tables) = (&memory.indices[i], &mut memory.tables[i]);
                    let request = (!plan.new.is_empty()).then(|| Request::new(ingredients, self.device));
                    for (table, modulation) in tables.iter_mut().zip(stage.modulations()) {
                        let new = request.as_ref().map(|request| modulation.rows(request));
                        table.update(plan, index.len(), &new.unwrap_or_default());
                    }
                    let rows: Vec<Rows> = tables.iter().map(|table| table.at(&plan.slots)).collect();
                    stage.forward(&x, &rows)
                }
                StagePlan::Distinct(distinct) => {
                    let rows: Vec<Tensor> = stage.modulations().map(|m| m.rows_of(distinct)).collect();
                    let chosen = |rows| Rows::Chosen(rows, &distinct.slots);
                    stage.forward(&x, &rows.iter().map(chosen).collect::<Vec<_>>())
                }
                StagePlan::Dense => {
                    let one_hot = pyramid.at(sizes[i]);
                    let rows: Vec<Tensor> = stage.modulations().map(|m| m.dense_rows(one_hot)).collect();
                    stage.forward(&x, &rows.iter().map(Rows::Own).collect::<Vec<_>>())
                }
            };
        }
        self.memory.replace(Some(memory));
        to_rgb(&self.conv_img.forward(&x.prelu(&self.slope)))
    }

    /// Whether a distinct patch is modulated once.
    pub fn memoises(&self) -> bool {
        self.limit > 0
    }

    /// Goes on with these patches, or with none, in place of those remembered.
    pub fn exchange(&self, memory: Option<Memory>) -> Option<Memory> {
        self.memory.replace(memory)
    }

    /// Forgets every patch.
    pub fn forget(&self) {
        self.memory.replace(None);
    }

    /// Patches remembered and counted at each scale, coarse to fine.
    pub fn counts(&self) -> Vec<(usize, Counts)> {
        let memory = self.memory.borrow();
        memory.iter().flat_map(|memory| &memory.indices).map(|index| (index.len(), index.counts())).collect()
    }

    fn empty(&self) -> Memory {
        Memory {
            indices: self.stages.iter().map(|_| PatchIndex::new(self.limit)).collect(),
            tables: self.stages.iter().map(|stage| stage.modulations().map(Table::new).collect()).collect(),
        }
    }

    fn plan(&self, memory: &mut Memory, labels: &Tensor, sizes: &[(i64, i64)]) -> Vec<StagePlan> {
        let maps = LabelMaps::read(labels, self.alphabet).expect("a batch of label maps");
        let sizes: Vec<(usize, usize)> = sizes.iter().map(|&(h, w)| (h as usize, w as usize)).collect();
        let plans = plan_all(&mut memory.indices, &sizes, &maps, MOST_NEW).into_iter();
        plans
            .map(|plan| match plan {
                Some((plan, ingredients)) => StagePlan::Remembered(plan, ingredients),
                None => StagePlan::Dense,
            })
            .collect()
    }

    fn distinct(&self, labels: &Tensor) -> StagePlan {
        let distinct = Distinct::of(labels, self.classes, self.kind, MOST_NEW);
        distinct.map_or(StagePlan::Dense, StagePlan::Distinct)
    }
}

/// A way to scales and shifts.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From the label patches that a CPU remembers.
    Remembered,
    /// From the distinct label patches of this map.
    Distinct,
    /// From the whole label map.
    Dense,
}

/// What a stage's scales and shifts come from.
enum StagePlan {
    Remembered(Plan, Ingredients),
    Distinct(Distinct),
    Dense,
}

/// A label map like those of streets: bands with uneven borders, and things that stand in them.
fn landscape((height, width): (i64, i64), classes: i64) -> Tensor {
    let uneven = |x: i64, step: i64| (x / step * 37 % 11 - 5) * height / 64;
    let label = |y: i64, x: i64| {
        let band = (4 * (y + uneven(x, 9)) / height).clamp(0, 3);
        let thing = (y / 24 * 7 + x / 16 * 5) % 13 == 0 && (y % 24 - 12).pow(2) + (x % 16 - 8).pow(2) < 40;
        (if thing { 4 + y / 24 + x / 16 } else { band }) % classes.max(1)
    };
    let labels: Vec<i64> = (0..height * width).map(|i| label(i / width, i % width)).collect();
    Tensor::from_slice(&labels).view([1, height, width])
}

/// Now, everything that was asked of `device` being computed.
fn finished(device: Device) -> Instant {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_landscape_repeats_itself_as_streets_do() {
        let labels = landscape((192, 384), 19);
        let distinct = Distinct::of(&labels, 19, Kind::Float, 1.).unwrap();
        let share = distinct.one_hot.size()[0] as f64 / labels.numel() as f64;
        assert!((0.005..0.1).contains(&share), "{share} of the patches differ");
        assert!(labels.max().int64_value(&[]) == 18 && labels.min().int64_value(&[]) == 0);
    }
}
