//! What stands on pavements: lamp posts, signs, traffic lights, bollards, bins.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vek::Vec3;

use super::material::{Class, Color, Material, Surface, varied};
use super::mesh::{Mesh, Pose};
use super::road::KERB;
use super::style::Style;

fn steel(color: Color) -> Material {
    Material::new(Class::Pole, Surface::Paint { color, gloss: 0.2 })
}

/// A lamp post whose arm reaches over the road.
pub(crate) fn lamp_post(mesh: &mut Mesh, z: f32, side: f32, style: &Style) {
    let x = side * (style.half_road + 0.55);
    let (height, reach) = (6.5, side * -1.6);
    let post = steel([112, 116, 116]);
    mesh.bar([x, KERB, z], [x, height, z], [0.09, 0.06], 8, post);
    mesh.bar([x, height, z], [x + reach, height + 0.25, z], [0.05, 0.045], 6, post);
    mesh.cuboid(
        [x + reach - 0.32, height + 0.18, z - 0.13],
        [x + reach + 0.32, height + 0.34, z + 0.13],
        post,
    );
    let lamp = Material::new(Class::Pole, Surface::Lamp { color: [255, 226, 170], strength: 5. });
    let (a, b) = (x + reach - 0.26, x + reach + 0.26);
    let glass = [(a, z - 0.1), (b, z - 0.1), (b, z + 0.1), (a, z + 0.1)];
    mesh.quad(glass.map(|(x, z)| Vec3::new(x, height + 0.17, z)), [0., 0.], lamp);
    mesh.contact(x, z, 0.3, 0.3);
}

/// A wooden or concrete pole, without its wires.
pub(crate) fn mast(mesh: &mut Mesh, z: f32, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let x = side * (style.half_road + 0.7);
    let color = varied([124, 110, 94], 0.25, rng.random());
    let wood = Material::new(Class::Pole, Surface::Stained { color, stain: 0.7 });
    mesh.bar([x, KERB, z], [x, 7.5, z], [0.14, 0.1], 8, wood);
    mesh.cuboid([x - 0.9, 6.9, z - 0.06], [x + 0.9, 7.05, z + 0.06], wood);
    mesh.contact(x, z, 0.4, 0.4);
}

const SIGNS: [[Color; 3]; 6] = [
    // Ground, border, figure.
    [[232, 232, 228], [196, 30, 36], [30, 30, 34]],
    [[30, 78, 160], [236, 236, 236], [240, 240, 240]],
    [[196, 30, 36], [236, 236, 236], [240, 240, 240]],
    [[238, 200, 40], [36, 36, 36], [36, 36, 36]],
    [[24, 104, 62], [232, 232, 232], [232, 232, 232]],
    [[236, 236, 232], [40, 40, 44], [40, 40, 44]],
];

/// A sign on a pole; it faces those who drive on its side.
pub(crate) fn sign(mesh: &mut Mesh, z: f32, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let x = side * (style.half_road + rng.random_range(0.35..0.8));
    let height = rng.random_range(2.2..3.0);
    mesh.bar([x, KERB, z], [x, height, z], [0.04, 0.04], 6, steel([132, 134, 134]));
    let [ground, border, figure] = SIGNS[rng.random_range(0..SIGNS.len())];
    let seed = rng.random();
    let plate = Material::new(Class::TrafficSign, Surface::Sign { ground, border, figure, seed });
    let back = Material::new(Class::TrafficSign, Surface::Paint { color: [128, 130, 132], gloss: 0.2 });
    // Ours are on the right and face us; the others' backs are grey.
    let (front, rear) = if side > 0. { (plate, back) } else { (back, plate) };
    let r = rng.random_range(0.32..0.46);
    let round = rng.random_bool(0.5);
    let corners: Vec<(f32, f32)> = match round {
        true => (0..10).map(|i| (std::f32::consts::TAU * i as f32 / 10.).sin_cos()).collect(),
        false => vec![(-1., -1.), (1., -1.), (1., 1.), (-1., 1.)],
    };
    let at = |(a, b): (f32, f32), dz: f32| Vec3::new(x + r * a, height + r * b, z + dz);
    for (dz, material) in [(-0.06f32, front), (0.06, rear)] {
        let normal = Vec3::new(0., 0., dz.signum());
        let corner =
            |p: (f32, f32)| super::mesh::Corner { at: at(p, dz), normal, uv: vek::Vec2::new(p.0, p.1) };
        for i in 1..corners.len() - 1 {
            mesh.triangle([corner(corners[0]), corner(corners[i]), corner(corners[i + 1])], material);
        }
    }
    mesh.contact(x, z, 0.2, 0.2);
}

/// A traffic light; `lit` is which of red, yellow and green shines.
pub(crate) fn traffic_light(mesh: &mut Mesh, z: f32, side: f32, style: &Style, lit: usize) {
    let x = side * (style.half_road + 0.5);
    mesh.bar([x, KERB, z], [x, 3.4, z], [0.07, 0.07], 7, steel([74, 78, 78]));
    let case = Material::new(Class::TrafficLight, Surface::Paint { color: [34, 38, 36], gloss: 0.2 });
    mesh.cuboid([x - 0.2, 2.4, z - 0.2], [x + 0.2, 3.5, z + 0.02], case);
    let colors: [Color; 3] = [[255, 40, 30], [255, 190, 40], [50, 255, 130]];
    for (i, color) in colors.into_iter().enumerate() {
        let strength = if i == lit { 2.5 } else { 0.05 };
        let lamp = Material::new(Class::TrafficLight, Surface::Lamp { color, strength });
        mesh.egg([x, 3.3 - 0.35 * i as f32, z - 0.2], [0.12, 0.12, 0.05], 4, (0., 0), lamp);
    }
    mesh.contact(x, z, 0.25, 0.25);
}

/// A row of bollards along the kerb.
pub(crate) fn bollards(mesh: &mut Mesh, from: f32, to: f32, side: f32, style: &Style) {
    let x = side * (style.half_road + 0.45);
    let mut z = from;
    while z < to {
        mesh.bar([x, KERB, z], [x, KERB + 0.95, z], [0.06, 0.05], 6, steel([58, 60, 62]));
        mesh.contact(x, z, 0.18, 0.18);
        z += 1.6;
    }
}

/// A box of the electricity works at the back of the pavement, of class building.
pub(crate) fn cabinet(mesh: &mut Mesh, z: f32, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let x = side * (style.lot_line() - 0.5);
    let color = varied([128, 134, 124], 0.3, rng.random());
    let material = Material::new(Class::Building, Surface::Stained { color, stain: 0.4 });
    mesh.posed(Pose::new(x, KERB, z, 0.), |m| {
        m.cuboid([-0.25, 0., -0.5], [0.25, rng.random_range(0.9..1.4), 0.5], material);
        m.contact(0., 0., 0.4, 0.65);
    });
}
