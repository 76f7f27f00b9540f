//! What light reaches the ground: the sun past everything that stands, corners, street lamps.

use euc::buffer::Buffer2d;
use euc::rasterizer::{BackfaceCullingDisabled, Triangles};
use euc::{DepthStrategy, Pipeline, Target};

use super::mesh::Mesh;
use super::weather::Weather;

/// Half the width and the length of the ground that is lit, in metres, and the side of a cell.
const HALF: f32 = 26.;
const LENGTH: f32 = 84.;
const CELL: f32 = 0.25;
const COLUMNS: usize = (2. * HALF / CELL) as usize;
const ROWS: usize = (LENGTH / CELL) as usize;
/// It begins this far behind the camera.
const BEHIND: f32 = 4.;
/// Reach of a street lamp along the road.
const LAMP: f32 = 14.;

/// Maps of the ground ahead of the camera.
pub(crate) struct Ground {
    start: f32,
    shadow: Buffer2d<f32>,
    contact: Vec<f32>,
    lamps: Vec<f32>,
}

/// Throws triangles on the ground along the sun's rays.
struct Throw;

impl Pipeline for Throw {
    type Vertex = [f32; 2];
    type VsOut = ();
    type Pixel = f32;

    fn vert(&self, p: &[f32; 2]) -> ([f32; 4], ()) {
        ([p[0], p[1], 0., 1.], ())
    }

    fn frag(&self, (): &()) -> f32 {
        0.
    }

    fn get_depth_strategy(&self) -> DepthStrategy {
        DepthStrategy::None
    }
}

impl Ground {
    /// Unlit ground.
    pub fn new() -> Self {
        Self {
            start: 0.,
            shadow: Buffer2d::new([COLUMNS, ROWS], 1.),
            contact: vec![1.; COLUMNS * ROWS],
            lamps: vec![0.; ROWS],
        }
    }

    /// Lights the ground for a camera at `along`.
    pub fn light(&mut self, meshes: &[&Mesh], lamps: &[f32], weather: &Weather, along: f32) {
        self.start = along - BEHIND;
        self.shadow.clear(1.);
        self.contact.fill(1.);
        if weather.sunlight[0] > 0.2 {
            let lean = [weather.sun.x / weather.sun.y, weather.sun.z / weather.sun.y];
            let mut thrown = Vec::new();
            for triangle in meshes.iter().flat_map(|m| &m.triangles).filter(|t| t.shadow) {
                let corners = triangle.corners.map(|c| {
                    let (x, z) = (c.at.x - lean[0] * c.at.y, c.at.z - lean[1] * c.at.y - self.start);
                    [x / HALF, 1. - 2. * z / LENGTH]
                });
                let outside = |axis: usize, sign: f32| corners.iter().all(|c| c[axis] * sign > 1.);
                if ![(0, 1.), (0, -1.), (1, 1.), (1, -1.)].iter().any(|&(a, s)| outside(a, s)) {
                    thrown.extend(corners);
                }
            }
            Throw.draw::<Triangles<'_, Buffer2d<f32>, BackfaceCullingDisabled>, _>(
                &thrown,
                &mut self.shadow,
                None,
            );
        }
        for (middle, half) in meshes.iter().flat_map(|m| &m.contacts) {
            self.darken((middle.x, middle.y), (half.x.max(0.15), half.y.max(0.15)));
        }
        self.lamps.fill(0.);
        for (row, light) in self.lamps.iter_mut().enumerate() {
            let z = self.start + row as f32 * CELL;
            *light = lamps.iter().map(|lamp| (1. - ((z - lamp) / LAMP).abs()).max(0.).powi(2)).sum();
        }
    }

    /// Darkens an ellipse, softly at its rim.
    fn darken(&mut self, (x, z): (f32, f32), half: (f32, f32)) {
        const SOFT: f32 = 1.45;
        let cell = |t: f32, most: usize| (t / CELL).clamp(0., most as f32) as usize;
        let z = z - self.start;
        for row in cell(z - half.1 * SOFT, ROWS)..cell(z + half.1 * SOFT + CELL, ROWS) {
            for column in
                cell(x + HALF - half.0 * SOFT, COLUMNS)..cell(x + HALF + half.0 * SOFT + CELL, COLUMNS)
            {
                let dx = (column as f32 * CELL - HALF - x) / half.0;
                let dz = (row as f32 * CELL - z) / half.1;
                let out = (dx * dx + dz * dz).sqrt();
                let dark = ((SOFT - out) / (SOFT - 0.8)).clamp(0., 1.);
                self.contact[row * COLUMNS + column] *= 1. - 0.72 * dark;
            }
        }
    }

    fn smooth(&self, cells: &[f32], x: f32, z: f32) -> f32 {
        let (u, v) = ((x + HALF) / CELL - 0.5, (z - self.start) / CELL - 0.5);
        if u < 0. || v < 0. || u >= (COLUMNS - 1) as f32 || v >= (ROWS - 1) as f32 {
            return 1.;
        }
        let (column, row) = (u as usize, v as usize);
        let (du, dv) = (u - column as f32, v - row as f32);
        let at = |r: usize| {
            let i = r * COLUMNS + column;
            cells[i] * (1. - du) + cells[i + 1] * du
        };
        at(row) * (1. - dv) + at(row + 1) * dv
    }

    /// Share of the sun that reaches the ground at (x, z).
    pub(crate) fn sun(&self, x: f32, z: f32) -> f32 {
        self.smooth(self.shadow.as_ref(), x, z)
    }

    /// Share of the sky that is seen from the ground at (x, z).
    pub(crate) fn sky(&self, x: f32, z: f32) -> f32 {
        self.smooth(&self.contact, x, z)
    }

    /// Light of street lamps at `z`.
    pub(crate) fn lamps(&self, z: f32) -> f32 {
        let row = (z - self.start) / CELL;
        self.lamps.get(row.max(0.) as usize).copied().unwrap_or(0.3)
    }
}
