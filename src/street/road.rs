//! The ground of a lot: carriageway, kerbs, pavements, what lies beside them, crossings.

use std::ops::Range;

use super::material::{Class, Marking, Material, Surface};
use super::mesh::Mesh;
use super::style::Style;

/// Height of the pavement over the road.
pub(crate) const KERB: f32 = 0.13;
/// Width of the kerb stones.
const KERB_WIDTH: f32 = 0.2;
/// Longest piece of ground, so that bends are smooth.
const PIECE: f32 = 3.;
/// How far the ground reaches to the sides.
const FAR: f32 = 70.;
/// Half the width of a crossing street.
pub(crate) const CROSSING_HALF: f32 = 4.;

/// The road's surface.
pub(crate) fn asphalt(marking: Marking) -> Material {
    Material::new(Class::Road, Surface::Asphalt(marking))
}

fn kerb_stone() -> Material {
    Material::new(Class::Sidewalk, Surface::Stained { color: [158, 156, 152], stain: 0.3 })
}

fn pavement(style: &Style) -> Material {
    Material::new(Class::Sidewalk, Surface::Paving { color: style.paving, size: style.slab })
}

fn soil(style: &Style) -> Material {
    Material::new(Class::Terrain, Surface::Ground { color: style.grass, rough: 0.6 })
}

/// Cuts a stretch into pieces of at most [`PIECE`].
fn pieces(stretch: Range<f32>) -> impl Iterator<Item = (f32, f32)> {
    let count = ((stretch.end - stretch.start) / PIECE).ceil().max(1.);
    let length = (stretch.end - stretch.start) / count;
    (0..count as usize).map(move |i| {
        let start = stretch.start + i as f32 * length;
        (start, start + length)
    })
}

/// An ordinary lot.
pub(crate) fn lot(mesh: &mut Mesh, stretch: Range<f32>, style: &Style, solid: bool) {
    let lanes = Marking::Lanes { half: style.half_road, parking: style.parking, solid };
    carriageway(mesh, stretch.clone(), style, lanes);
    for z in pieces(stretch) {
        for side in [-1., 1.] {
            banks(mesh, z, style, side);
        }
    }
}

/// A strip of carriageway.
fn carriageway(mesh: &mut Mesh, stretch: Range<f32>, style: &Style, marking: Marking) {
    for z in pieces(stretch) {
        mesh.floor((-style.half_road, style.half_road), z, 0., asphalt(marking));
    }
}

/// Kerb, pavement and the ground beyond, on one side.
fn banks(mesh: &mut Mesh, z: (f32, f32), style: &Style, side: f32) {
    let across = |a: f32, b: f32| (side * a, side * b);
    let half = style.half_road;
    // In the order that makes it face the road.
    let (from, to) = if side > 0. { z } else { (z.1, z.0) };
    let face =
        [(from, 0.), (to, 0.), (to, KERB), (from, KERB)].map(|(z, y)| vek::Vec3::new(side * half, y, z));
    mesh.quad(face, [0., 0.], kerb_stone());
    mesh.floor(across(half, half + KERB_WIDTH), z, KERB, kerb_stone());
    mesh.floor(across(half + KERB_WIDTH, style.lot_line()), z, KERB, pavement(style));
    mesh.floor(across(style.lot_line(), FAR), z, KERB - 0.02, soil(style));
}

/// A lot where another street crosses; `zebra` adds pedestrian crossings before and behind it.
pub(crate) fn crossing(mesh: &mut Mesh, stretch: Range<f32>, style: &Style, zebra: bool) {
    let middle = (stretch.start + stretch.end) / 2.;
    let (near, far) = (middle - CROSSING_HALF, middle + CROSSING_HALF);
    let depth = 3.;
    for (start, end) in [(stretch.start, near), (far, stretch.end)] {
        for z in pieces(start..end) {
            for side in [-1., 1.] {
                banks(mesh, z, style, side);
            }
        }
    }
    let marking = if zebra { Marking::Zebra } else { Marking::Plain };
    carriageway(mesh, stretch.start..near - depth - 0.6, style, Marking::Plain);
    carriageway(mesh, near - depth - 0.6..near - depth, style, Marking::Stop);
    carriageway(mesh, near - depth..near, style, marking);
    carriageway(mesh, near..far, style, Marking::Plain);
    carriageway(mesh, far..far + depth, style, marking);
    carriageway(mesh, far + depth..stretch.end, style, Marking::Plain);
    for side in [-1., 1.] {
        for x in pieces(style.half_road..FAR) {
            for z in pieces(near..far) {
                mesh.floor((side * x.0, side * x.1), z, 0., asphalt(Marking::Plain));
            }
            for (z, faces_back) in [(near, false), (far, true)] {
                let (from, to) = if (side > 0.) == faces_back { (x.1, x.0) } else { x };
                let face = [(from, 0.), (to, 0.), (to, KERB), (from, KERB)];
                mesh.quad(face.map(|(x, y)| vek::Vec3::new(side * x, y, z)), [0., 0.], kerb_stone());
            }
        }
    }
}
