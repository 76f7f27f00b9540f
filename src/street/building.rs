//! Houses.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

use super::material::{Class, Color, Facade, Material, Surface, varied};
use super::mesh::Mesh;
use super::style::{District, Style};

fn of(class: Class, color: Color, stain: f32) -> Material {
    Material::new(class, Surface::Stained { color, stain })
}

fn pick<T: Copy>(from: &[T], rng: &mut ChaCha8Rng) -> T {
    from[rng.random_range(0..from.len())]
}

/// A house on the lot `stretch`, on one side of the road.
pub(crate) fn house(mesh: &mut Mesh, stretch: Range<f32>, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let seed: u32 = rng.random();
    let width = stretch.end - stretch.start;
    let floors = rng.random_range(style.floors.0..=style.floors.1);
    let floor = rng.random_range(2.8..3.6);
    let height = floors as f32 * floor + rng.random_range(0.3..1.2);
    let bay = width / (width / rng.random_range(2.2..4.2)).round().max(1.);
    let front = style.house_line() + rng.random_range(0.0..0.8);
    let depth = rng.random_range(8.0..14.0);
    let trim = pick(style.trims, rng);
    let facade = Facade {
        wall: varied(pick(style.walls, rng), 0.15, seed),
        trim,
        brick: rng.random_bool(f64::from(style.brick)),
        floor,
        bay,
        window: [rng.random_range(0.3..0.65), rng.random_range(0.42..0.68)],
        shop: style.district == District::Centre && rng.random_bool(0.55),
        seed,
    };
    let wall = Material::new(Class::Building, Surface::Facade(facade));
    let (low, high) = (side * front, side * (front + depth));
    let (x0, x1) = (low.min(high), low.max(high));
    mesh.cuboid([x0, 0., stretch.start], [x1, height, stretch.end], wall);
    roof(mesh, (x0, x1), &stretch, height, style, rng);
    // A ledge under the eaves, and balconies.
    let ledge = of(Class::Building, trim, 0.3);
    let out = |metres: f32| if side > 0. { (x0 - metres, x0) } else { (x1, x1 + metres) };
    let (a, b) = out(0.25);
    mesh.cuboid([a, height - 0.3, stretch.start], [b, height, stretch.end], ledge);
    if rng.random_bool(0.35) {
        let (a, b) = out(rng.random_range(0.7..1.2));
        let column = (rng.random_range(0.0..width / bay)).floor() * bay + stretch.start;
        for level in 1..floors {
            let y = level as f32 * floor;
            mesh.cuboid([a, y, column + 0.2], [b, y + 0.12, column + bay - 0.2], ledge);
            mesh.cuboid([a, y + 0.12, column + 0.2], [a + 0.08, y + 0.95, column + bay - 0.2], ledge);
        }
    }
    if facade.shop && rng.random_bool(0.6) {
        let (a, b) = out(rng.random_range(0.8..1.4));
        let awning =
            Material::new(Class::Building, Surface::Cloth([rng.random(), rng.random_range(30..120), 60]));
        let (near, far) = (stretch.start + 0.6, stretch.end - 0.6);
        mesh.tapered([a, 2.5, near], [b, 3.1, far], [0.4, 1.], [side * 0.3 * (b - a), 0.], awning);
    }
}

fn roof(
    mesh: &mut Mesh,
    (x0, x1): (f32, f32),
    stretch: &Range<f32>,
    height: f32,
    style: &Style,
    rng: &mut ChaCha8Rng,
) {
    let tiles = of(Class::Building, varied(pick(style.roofs, rng), 0.2, rng.random()), 0.5);
    if rng.random_bool(if style.district == District::Works { 0.2 } else { 0.6 }) {
        let rise = rng.random_range(1.5..3.5);
        let (low, high) = ([x0 - 0.4, height, stretch.start], [x1 + 0.4, height + rise, stretch.end]);
        mesh.tapered(low, high, [0.1, 1.], [0., 0.], tiles);
    }
    for _ in 0..rng.random_range(0..3) {
        let (x, z) =
            (rng.random_range(x0 + 1.0..x1 - 1.), rng.random_range(stretch.start + 0.5..stretch.end - 1.));
        let stack = Material::new(Class::Building, Surface::Brick([132, 84, 70]));
        mesh.cuboid([x, height, z], [x + 0.6, height + rng.random_range(1.0..4.5), z + 0.6], stack);
    }
}

/// A wall along the pavement.
pub(crate) fn wall(mesh: &mut Mesh, stretch: Range<f32>, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let height = rng.random_range(1.1..2.6);
    let surface = match rng.random_bool(0.5) {
        true => Surface::Brick(varied([150, 92, 74], 0.25, rng.random())),
        false => Surface::Stained { color: varied([168, 164, 158], 0.2, rng.random()), stain: 0.6 },
    };
    let x = side * (style.lot_line() + 0.3);
    let material = Material::new(Class::Wall, surface);
    mesh.cuboid([x - 0.13, 0., stretch.start], [x + 0.13, height, stretch.end], material);
    let cap = of(Class::Wall, [172, 168, 160], 0.3);
    mesh.cuboid([x - 0.2, height, stretch.start], [x + 0.2, height + 0.1, stretch.end], cap);
}

/// A fence along the pavement: boards, bars or mesh.
pub(crate) fn fence(mesh: &mut Mesh, stretch: Range<f32>, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let height = rng.random_range(1.0..1.9);
    let x = side * (style.lot_line() + 0.25);
    let wood = rng.random_bool(0.5);
    let color = if wood { varied([142, 112, 82], 0.3, rng.random()) } else { [62, 66, 66] };
    let material = Material::new(Class::Fence, Surface::Stained { color, stain: 0.5 });
    let (pitch, thick) = if wood { (0.24, 0.2) } else { (0.16, 0.035) };
    for rail in [0.25, height - 0.15] {
        mesh.cuboid([x - 0.02, rail, stretch.start], [x + 0.02, rail + 0.08, stretch.end], material);
    }
    let count = ((stretch.end - stretch.start) / pitch) as usize;
    for i in 0..count {
        let z = stretch.start + i as f32 * pitch;
        let tall = height * if wood { 1. - 0.06 * ((i * 7) % 3) as f32 } else { 1. };
        // Seen from the road a board is a face: two triangles for each side of it.
        let face = |dx: f32, flip: bool| {
            let (a, b) = if flip { (z + thick, z) } else { (z, z + thick) };
            [(a, 0.05), (b, 0.05), (b, tall), (a, tall)].map(|(z, y)| vek::Vec3::new(x + dx, y, z))
        };
        mesh.quad(face(-side * 0.03, side < 0.), [z, 0.], material);
    }
}
