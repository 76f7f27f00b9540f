//! Trees, hedges, bushes.

use std::f32::consts::TAU;
use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vek::{Vec2, Vec3};

use super::material::{Class, Color, Material, Surface, varied};
use super::mesh::{Corner, Mesh};
use super::road::KERB;
use super::style::Style;

fn leaves(style: &Style, rng: &mut ChaCha8Rng) -> Material {
    let color: Color = style.leaves[rng.random_range(0..style.leaves.len())];
    Material::new(Class::Vegetation, Surface::Leaves(varied(color, 0.25, rng.random())))
}

/// Twigs that stick out of a crown, so that its outline is not that of an egg.
fn twigs(
    mesh: &mut Mesh,
    middle: [f32; 3],
    radii: [f32; 3],
    count: usize,
    m: Material,
    rng: &mut ChaCha8Rng,
) {
    for _ in 0..count {
        let (angle, rise): (f32, f32) = (rng.random_range(0.0..TAU), rng.random_range(-0.7..1.0));
        let flat = (1. - rise * rise).sqrt();
        let out = Vec3::new(flat * angle.cos(), rise, flat * angle.sin());
        let foot = Vec3::from(middle) + out * Vec3::from(radii) * 0.95;
        let size = rng.random_range(0.15..0.4) * radii[0].min(1.2);
        let side = Vec3::new(-angle.sin(), 0.3, angle.cos()) * size;
        let corner = |at: Vec3<f32>| Corner { at, normal: out, uv: Vec2::new(at.x + at.z, at.y + at.z) };
        let tip = foot + out * size + Vec3::new(0., rng.random_range(-0.3..0.3), 0.);
        mesh.triangle([corner(foot - side), corner(foot + side), corner(tip)], m);
    }
}

/// A tree; slim ones are tall and narrow.
pub(crate) fn tree(mesh: &mut Mesh, x: f32, z: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let slim = rng.random_bool(f64::from(style.slim));
    let height: f32 = if slim { rng.random_range(6.0..11.0) } else { rng.random_range(4.5..9.0) };
    let trunk = height * if slim { 0.12 } else { rng.random_range(0.25..0.42) };
    let lean = rng.random_range(-0.25..0.25);
    let wood = varied([92, 76, 60], 0.3, rng.random());
    let bark = Material::new(Class::Vegetation, Surface::Stained { color: wood, stain: 0.8 });
    let thick = 0.05 + 0.022 * height;
    mesh.bar([x, KERB, z], [x + lean, trunk + height * 0.25, z], [thick, thick * 0.6], 7, bark);
    mesh.contact(x, z, 0.7, 0.7);
    let crown = leaves(style, rng);
    let blobs = if slim { 2 } else { rng.random_range(4..7) };
    let width = if slim { height * 0.13 } else { height * rng.random_range(0.24..0.34) };
    for i in 0..blobs {
        let share = i as f32 / blobs as f32;
        let angle = TAU * (share + rng.random_range(0.0..0.2));
        let away = if slim { 0. } else { width * rng.random_range(0.3..0.75) };
        let middle = [
            x + lean + away * angle.cos(),
            if slim {
                trunk + (height - trunk) * (0.35 + 0.38 * share)
            } else {
                trunk + (height - trunk) * rng.random_range(0.3..0.7)
            },
            z + away * angle.sin(),
        ];
        let up = if slim { (height - trunk) * 0.38 } else { width * rng.random_range(0.6..0.95) };
        let radius = if slim { width } else { width * rng.random_range(0.55..0.85) };
        let radii = [radius, up, radius];
        mesh.egg(middle, radii, 6, (0.22, rng.random()), crown);
        twigs(mesh, middle, radii, 34, crown, rng);
    }
}

/// A hedge along the pavement.
pub(crate) fn hedge(mesh: &mut Mesh, stretch: Range<f32>, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let (height, deep) = (rng.random_range(0.8..2.0), rng.random_range(0.35..0.6));
    let x = side * (style.lot_line() + 0.2 + deep);
    let material = leaves(style, rng);
    mesh.cuboid([x - deep, 0., stretch.start], [x + deep, height * 0.92, stretch.end], material);
    let mut z = stretch.start;
    while z < stretch.end {
        let radii = [deep * 1.1, height * 0.55, 0.7];
        let middle = [x, height * 0.5, z + 0.4];
        mesh.egg(middle, radii, 5, (0.15, rng.random()), material);
        twigs(mesh, middle, radii, 6, material, rng);
        z += 0.9;
    }
}

/// A bush.
pub(crate) fn bush(mesh: &mut Mesh, x: f32, z: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let material = leaves(style, rng);
    for _ in 0..rng.random_range(1..4) {
        let size = rng.random_range(0.4..1.0);
        let middle = [x + rng.random_range(-0.7..0.7), size * 0.6, z + rng.random_range(-0.7..0.7)];
        let radii = [size, size * rng.random_range(0.7..1.1), size];
        mesh.egg(middle, radii, 5, (0.25, rng.random()), material);
        twigs(mesh, middle, radii, 14, material, rng);
    }
    mesh.contact(x, z, 1., 1.);
}
