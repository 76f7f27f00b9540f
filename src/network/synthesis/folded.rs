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
use super::trial::Trial;
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
struct Memory {
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
    /// Distinct patches against the whole map, where nothing is remembered.
    trial: Trial,
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
                trial: Trial::default(),
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

    fn run(&self, labels: &Tensor, style: Option<&Tensor>) -> Tensor {
        if !self.memoises() || has_passes(labels) {
            return self.run_by(if self.memoises() { Way::Remembered } else { Way::Dense }, labels, style);
        }
        let (chosen, asked) = self.trial.next();
        let picture = || self.run_by([Way::Distinct, Way::Dense][chosen], labels, style);
        if !asked {
            return picture();
        }
        let start = finished(self.device);
        let picture = picture();
        if let Some(quicker) = self.trial.took(chosen, finished(self.device) - start) {
            let way = ["each distinct label patch once", "every layer from the whole label map"][quicker];
            tracing::info!("synthesis is quicker here with {way}");
        }
        picture
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

/// Now, everything that was asked of `device` being computed.
fn finished(device: Device) -> Instant {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
    Instant::now()
}
