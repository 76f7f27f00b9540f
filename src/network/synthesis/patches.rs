//! The distinct 5x5 patches of a label map.
//!
//! What SPADE's two 3x3 convolutions give at a pixel depends on the 5x5 labels around it alone, so
//! equal patches need be computed once. A [`PatchIndex`] numbers patches by content, exactly (their
//! 25 labels are the key), and remembers them from frame to frame up to a limit.

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use tch::{Kind, TchError, Tensor};

/// Most classes whose labels, with two more symbols for "no label" and "outside", fit a byte.
pub(crate) const MAX_CLASSES: i64 = 254;

/// Labels reach this far from a pixel into its scale and shift: one for each 3x3 convolution.
const REACH: usize = 2;
/// A coarse scale remembers no more than so many maps hold pixels: its patches are few and wide.
const FRAMES: usize = 2;
/// A row of five labels, a byte each.
const ROW: u64 = (1 << 40) - 1;

/// Label maps of one size, `batch x height x width` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMaps {
    batch: usize,
    height: usize,
    width: usize,
    symbols: Vec<u8>,
    alphabet: Alphabet,
}

/// The meaning of a byte: a class below `classes`, then "no label", then "outside the image".
///
/// The first convolution sees zeros for either of the last two, but their hidden vectors differ: no
/// label gives relu(bias), and outside the image the second convolution is padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alphabet {
    classes: u8,
}

impl Alphabet {
    /// For at most `MAX_CLASSES` classes.
    pub fn new(classes: i64) -> Option<Self> {
        (0..=MAX_CLASSES).contains(&classes).then_some(Self { classes: classes as u8 })
    }

    /// How many symbols there are.
    pub(crate) fn symbols(self) -> usize {
        usize::from(self.classes) + 2
    }

    fn outside(self) -> u8 {
        self.classes + 1
    }
}

impl LabelMaps {
    /// From `N x H x W` ids on the CPU; what is no class is no label.
    pub fn read(labels: &Tensor, alphabet: Alphabet) -> Result<Self, TchError> {
        let (batch, height, width) = labels.size3()?;
        let ids = labels.f_to_kind(Kind::Int64)?.f_contiguous()?;
        let ids = Vec::<i64>::try_from(ids.f_flatten(0, -1)?)?;
        let symbol = |id: &i64| u8::try_from(*id).map_or(alphabet.classes, |id| id.min(alphabet.classes));
        let symbols = ids.iter().map(symbol).collect();
        let [batch, height, width] = [batch, height, width].map(|n| n as usize);
        Ok(Self { batch, height, width, symbols, alphabet })
    }

    /// Pixels of all maps.
    pub fn pixels(&self) -> usize {
        self.symbols.len()
    }

    /// At another size, nearest as PyTorch defines it: source = floor(target * scale).
    pub(crate) fn resized(&self, height: usize, width: usize) -> Self {
        let columns: Vec<usize> = (0..width).map(|x| x * self.width / width).collect();
        let mut symbols = Vec::with_capacity(self.batch * height * width);
        for map in self.symbols.chunks_exact((self.height * self.width).max(1)) {
            for y in 0..height {
                let source = y * self.height / height * self.width;
                symbols.extend(columns.iter().map(|x| map[source + x]));
            }
        }
        Self { height, width, symbols, ..*self }
    }

    /// The five labels around every pixel in its row, a byte each.
    fn row_codes(&self) -> Vec<u64> {
        let outside = u64::from(self.alphabet.outside());
        let mut codes = Vec::with_capacity(self.symbols.len());
        for row in self.symbols.chunks_exact(self.width.max(1)) {
            let symbol = |x: usize| row.get(x).map_or(outside, |&s| u64::from(s));
            let mut code = (0..REACH).fold(outside << 8 | outside, |code, x| code << 8 | symbol(x));
            for x in 0..self.width {
                code = (code << 8 | symbol(x + REACH)) & ROW;
                codes.push(code);
            }
        }
        codes
    }
}

/// 5x5 labels: three rows and two rows of five bytes, the first label highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Patch(u128, u128);

/// 3x3 labels, nine bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Inner(u128);

impl Patch {
    fn new(rows: [u64; 5]) -> Self {
        let join = |rows: &[u64]| rows.iter().fold(0, |joined, &row| joined << 40 | u128::from(row));
        Self(join(&rows[..3]), join(&rows[3..]))
    }

    /// The 3x3 patch whose upper left label is at (`y`, `x`) of this one.
    fn inner(&self, y: usize, x: usize) -> Inner {
        let line = |y: usize| if y < 3 { self.0 >> (40 * (2 - y)) } else { self.1 >> (40 * (4 - y)) };
        let row = |i: usize| line(y + i) >> (8 * (2 - x)) & 0xff_ffff;
        Inner(row(0) << 48 | row(1) << 24 | row(2))
    }
}

impl Inner {
    /// Its labels, row by row.
    fn labels(self) -> impl Iterator<Item = u8> {
        (0..9).rev().map(move |i| (self.0 >> (8 * i)) as u8)
    }

    fn center(self) -> u8 {
        (self.0 >> 32) as u8
    }
}

/// What has to be computed for a number of 5x5 patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingredients {
    /// Nine rows of the first convolution's table (tap times alphabet plus symbol) for each of the
    /// distinct 3x3 patches.
    pub columns: Vec<i64>,
    /// Nine hidden vectors for each 5x5 patch: the number of a 3x3 patch, or, for a position outside
    /// the image, the count of them.
    pub hidden: Vec<i64>,
}

impl Ingredients {
    /// Of `patches`.
    pub fn of(patches: &[Patch], alphabet: Alphabet) -> Self {
        const OUTSIDE: i64 = -1;
        let mut numbers: FxHashMap<Inner, i64> = FxHashMap::default();
        let mut columns = Vec::new();
        let mut hidden = Vec::with_capacity(9 * patches.len());
        let mut number = |inner: Inner| {
            let next = numbers.len() as i64;
            *numbers.entry(inner).or_insert_with(|| {
                let tap = |(tap, symbol)| (tap * alphabet.symbols() + usize::from(symbol)) as i64;
                columns.extend(inner.labels().enumerate().map(tap));
                next
            })
        };
        // New patches mostly come side by side, and have six of their nine in common.
        let mut left: [Option<(Inner, i64)>; 9] = [None; 9];
        for patch in patches {
            let mut here = [None; 9];
            for (place, known) in here.iter_mut().enumerate() {
                let inner = patch.inner(place / 3, place % 3);
                if inner.center() == alphabet.outside() {
                    hidden.push(OUTSIDE);
                    continue;
                }
                let found = match left.get(place + 1) {
                    Some(&Some((same, found))) if same == inner => found,
                    _ => number(inner),
                };
                *known = Some((inner, found));
                hidden.push(found);
            }
            left = here;
        }
        let count = numbers.len() as i64;
        hidden.iter_mut().filter(|number| **number == OUTSIDE).for_each(|number| *number = count);
        Self { columns, hidden }
    }
}

/// Where each pixel's patch is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The slot of each pixel's patch.
    pub slots: Vec<u32>,
    /// Patches that had no slot, for the highest slots in order.
    pub new: Vec<Patch>,
    /// Where room had to be made: the former slots that stay, in their new order.
    pub kept: Option<Vec<i64>>,
    /// Slots that there are at most for maps of this size.
    pub room: usize,
}

/// How many patches an index has met since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pixels whose patch was looked up.
    pub pixels: u64,
    /// Patches that had to be computed.
    pub computed: u64,
    /// Patches forgotten to make room.
    pub evicted: u64,
    /// Maps that repeated too little to be worth it.
    pub dense: u64,
}

/// Patches and their slots, from frame to frame.
#[derive(Clone, Debug)]
pub struct PatchIndex {
    slots: FxHashMap<Patch, u32>,
    patches: Vec<Patch>,
    limit: usize,
    counts: Counts,
}

impl PatchIndex {
    /// Remembers at most `limit` patches.
    pub fn new(limit: usize) -> Self {
        Self { slots: FxHashMap::default(), patches: Vec::new(), limit, counts: Counts::default() }
    }

    /// Patches remembered.
    pub fn len(&self) -> usize {
        self.patches.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// What it has met so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Finds the patches of `maps`. `None`, and nothing remembered, where more than `most_new` of them
    /// would have to be computed, or more kept at once than the limit or `FRAMES` maps can have.
    ///
    /// Room is made by forgetting every patch that these maps do not have: what a drive shows next is
    /// mostly what it shows now.
    pub fn plan(&mut self, maps: &LabelMaps, most_new: usize) -> Option<Plan> {
        let known = self.patches.len();
        let limit = self.limit.min(FRAMES * maps.pixels());
        // At once, so that the first unusual map is not where memory grows.
        self.slots.reserve((limit + most_new.min(maps.pixels())).saturating_sub(known));
        let slots = self.number(maps, known.saturating_add(most_new));
        self.counts.pixels += maps.pixels() as u64;
        let plan = match slots {
            Some(slots) if self.patches.len() <= limit => {
                Some(Plan { slots, new: self.patches[known..].to_vec(), kept: None, room: limit })
            }
            Some(slots) => self.make_room(slots, known, limit),
            None => None,
        };
        match &plan {
            Some(plan) => self.counts.computed += plan.new.len() as u64,
            None => {
                for patch in self.patches.drain(known..) {
                    self.slots.remove(&patch);
                }
                self.counts.dense += 1;
            }
        }
        plan
    }

    /// The slot of every pixel's patch, unknown ones added; `None` once there would be more than `most`.
    fn number(&mut self, maps: &LabelMaps, most: usize) -> Option<Vec<u32>> {
        let (height, width) = (maps.height, maps.width);
        let codes = maps.row_codes();
        let beyond = vec![u64::from(maps.alphabet.outside()) * 0x01_01_01_01_01; width];
        let mut slots = Vec::with_capacity(codes.len());
        for map in codes.chunks_exact((height * width).max(1)) {
            for y in 0..height {
                let rows: [&[u64]; 5] = std::array::from_fn(|i| match (y + i).checked_sub(REACH) {
                    Some(y) if y < height => &map[y * width..][..width],
                    _ => &beyond,
                });
                // Most pixels lie in the middle of something: their patch is their neighbour's.
                let mut last: Option<(Patch, u32)> = None;
                for x in 0..width {
                    let patch = Patch::new(rows.map(|row| row[x]));
                    let slot = match last {
                        Some((same, slot)) if same == patch => slot,
                        _ => self.slot(patch),
                    };
                    last = Some((patch, slot));
                    slots.push(slot);
                }
                if self.patches.len() > most {
                    return None;
                }
            }
        }
        Some(slots)
    }

    fn slot(&mut self, patch: Patch) -> u32 {
        let next = self.patches.len() as u32;
        *self.slots.entry(patch).or_insert_with(|| {
            self.patches.push(patch);
            next
        })
    }

    /// Drops the patches that `slots` does not name, of those known before.
    fn make_room(&mut self, mut slots: Vec<u32>, known: usize, limit: usize) -> Option<Plan> {
        let mut used = vec![false; self.patches.len()];
        slots.iter().for_each(|&slot| used[slot as usize] = true);
        if used.iter().filter(|&&used| used).count() > limit {
            return None;
        }
        let kept: Vec<i64> = (0..known).filter(|&slot| used[slot]).map(|slot| slot as i64).collect();
        self.counts.evicted += (known - kept.len()) as u64;
        let mut moved = vec![0; used.len()];
        let stay = kept.iter().map(|&slot| slot as usize).chain(known..used.len());
        self.patches = stay
            .enumerate()
            .map(|(to, from)| {
                moved[from] = to as u32;
                self.patches[from]
            })
            .collect();
        self.slots.clear();
        self.slots.extend(self.patches.iter().enumerate().map(|(slot, &patch)| (patch, slot as u32)));
        slots.iter_mut().for_each(|slot| *slot = moved[*slot as usize]);
        let new = self.patches[kept.len()..].to_vec();
        Some(Plan { slots, new, kept: Some(kept), room: limit })
    }
}

/// Plans `maps` at the size of each index, side by side, and says what the new patches are made of. `most_new` is
/// a share of the pixels.
pub(crate) fn plan_all(
    indices: &mut [PatchIndex],
    sizes: &[(usize, usize)],
    maps: &LabelMaps,
    most_new: f64,
) -> Vec<Option<(Plan, Ingredients)>> {
    let jobs = indices.par_iter_mut().zip(sizes).with_max_len(1);
    jobs.map(|(index, &(height, width))| {
        let maps = maps.resized(height, width);
        let most_new = (maps.pixels() as f64 * most_new) as usize;
        let plan = index.plan(&maps, most_new)?;
        let ingredients = Ingredients::of(&plan.new, maps.alphabet);
        Some((plan, ingredients))
    })
    .collect()
}

#[cfg(test)]
#[path = "patches_tests.rs"]
mod tests;
