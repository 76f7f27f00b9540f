//! Tiles of noise, made once: what makes plaster, asphalt and leaves uneven.

use std::sync::LazyLock;

use noise::utils::{NoiseMapBuilder, PlaneMapBuilder};
use noise::{Fbm, MultiFractal, NoiseFn, Perlin, Worley};

/// Side of a tile; a power of two.
const SIDE: usize = 256;

/// A square of noise in \[0, 1\] that repeats without a seam.
pub(crate) struct Tile(Vec<f32>);

impl Tile {
    fn new(source: impl NoiseFn<f64, 3>, extent: f64) -> Self {
        let map = PlaneMapBuilder::new(source)
            .set_size(SIDE, SIDE)
            .set_is_seamless(true)
            .set_x_bounds(0., extent)
            .set_y_bounds(0., extent)
            .build();
        let values: Vec<f64> = (0..SIDE * SIDE).map(|i| map.get_value(i % SIDE, i / SIDE)).collect();
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &v| (a.min(v), b.max(v)));
        Self(values.iter().map(|v| ((v - least) / (most - least)) as f32).collect())
    }

    /// The value at a point, in tiles: 1 is a whole side.
    #[inline]
    pub fn at(&self, u: f32, v: f32) -> f32 {
        // Wrapping by the mask holds for negative numbers as well.
        let place = |t: f32| floor(t * SIDE as f32) as usize & (SIDE - 1);
        self.0[place(v) * SIDE + place(u)]
    }

    /// The value at a point, blended between its four neighbours.
    #[inline]
    pub(crate) fn smooth(&self, u: f32, v: f32) -> f32 {
        let (u, v) = (u * SIDE as f32, v * SIDE as f32);
        let (left, top) = (floor(u), floor(v));
        let (du, dv) = (u - left as f32, v - top as f32);
        let (x0, y0) = (left as usize & (SIDE - 1), top as usize & (SIDE - 1));
        let (x1, y1) = ((x0 + 1) & (SIDE - 1), (y0 + 1) & (SIDE - 1));
        let row = |y: usize| self.0[y * SIDE + x0] * (1. - du) + self.0[y * SIDE + x1] * du;
        row(y0) * (1. - dv) + row(y1) * dv
    }
}

/// Clouds of every size: stains, sky, terrain.
pub(crate) static CLOUDS: LazyLock<Tile> =
    LazyLock::new(|| Tile::new(Fbm::<Perlin>::new(11).set_octaves(6).set_persistence(0.55), 4.));
/// Fine grain: asphalt, plaster, cloth.
pub(crate) static GRAIN: LazyLock<Tile> =
    LazyLock::new(|| Tile::new(Fbm::<Perlin>::new(23).set_octaves(4).set_persistence(0.8), 48.));
/// Cells: leaves, cobbles, cracks.
pub(crate) static CELLS: LazyLock<Tile> = LazyLock::new(|| Tile::new(Worley::new(37), 24.));

/// The largest whole number that is not above `t`; unlike `f32::floor` never a call.
#[inline]
pub(crate) fn floor(t: f32) -> i32 {
    let whole = t as i32;
    whole - i32::from(t < whole as f32)
}

/// A number in \[0, 1) that appears random, from three that do not.
#[inline]
pub fn hash(a: i32, b: i32, seed: u32) -> f32 {
    let mut h = (a as u32).wrapping_mul(0x85eb_ca6b) ^ (b as u32).wrapping_mul(0xc2b2_ae35) ^ seed;
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^= h >> 15;
    (h >> 8) as f32 / (1 << 24) as f32
}
