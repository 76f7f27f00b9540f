//! People, on foot and on two wheels.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::material::{Class, Color, Material, Surface};
use super::mesh::Mesh;

const CLOTHES: [Color; 12] = [
    [36, 40, 52],
    [52, 58, 72],
    [30, 30, 32],
    [84, 40, 44],
    [62, 78, 110],
    [120, 112, 100],
    [158, 150, 138],
    [74, 84, 62],
    [140, 60, 44],
    [196, 190, 182],
    [48, 72, 86],
    [96, 72, 56],
];
const SKIN: [Color; 5] = [[226, 184, 154], [204, 156, 124], [164, 116, 84], [112, 76, 56], [78, 54, 42]];
const HAIR: [Color; 5] = [[36, 28, 24], [82, 58, 40], [150, 118, 76], [120, 116, 112], [24, 22, 22]];

struct Looks {
    top: Material,
    bottom: Material,
    skin: Material,
    hair: Material,
    shoe: Material,
}

impl Looks {
    fn draw(class: Class, rng: &mut ChaCha8Rng) -> Self {
        let mut cloth = |colors: &[Color]| {
            Material::new(class, Surface::Cloth(colors[rng.random_range(0..colors.len())]))
        };
        Self {
            top: cloth(&CLOTHES),
            bottom: cloth(&CLOTHES[..7]),
            skin: cloth(&SKIN),
            hair: cloth(&HAIR),
            shoe: cloth(&[[34, 30, 28], [190, 188, 186]]),
        }
    }
}

/// Somebody on foot, facing along z. `phase` is where in a step they are, in radians; 0 with
/// `stride` 0 is standing.
pub(crate) fn pedestrian(mesh: &mut Mesh, seed: u32, phase: f32, stride: f32) {
    let rng = &mut ChaCha8Rng::seed_from_u64(u64::from(seed));
    let looks = Looks::draw(Class::Person, rng);
    let h = if rng.random_bool(0.12) { rng.random_range(1.1..1.4) } else { rng.random_range(1.55..1.9f32) };
    let broad = rng.random_range(0.9..1.15);
    let swing = stride * phase.sin();
    let (hip, shoulder) = (0.5 * h, 0.8 * h);
    for side in [-1., 1.] {
        let s = side * swing;
        let x = side * 0.055 * h;
        let knee = [x, 0.27 * h, 0.14 * h * s + 0.02];
        let foot = [x, 0.05 * h, 0.24 * h * s - 0.05 * h * (side * phase.cos()).max(0.) * stride];
        mesh.bar([x, hip, 0.], knee, [0.052 * h * broad, 0.042 * h], 6, looks.bottom);
        mesh.bar(knee, foot, [0.042 * h, 0.03 * h], 6, looks.bottom);
        let (low, high) = ([foot[0] - 0.045, 0., foot[2] - 0.07], [foot[0] + 0.045, 0.07, foot[2] + 0.17]);
        mesh.cuboid(low, high, looks.shoe);
        let arm = side * (0.115 * h * broad);
        let elbow = [arm * 1.12, 0.62 * h, -0.1 * h * s];
        let hand = [arm * 1.15, 0.47 * h, -0.16 * h * s + 0.05];
        mesh.bar([arm, shoulder, 0.], elbow, [0.035 * h, 0.03 * h], 6, looks.top);
        mesh.bar(elbow, hand, [0.03 * h, 0.022 * h], 6, looks.top);
        mesh.egg(hand, [0.035, 0.05, 0.035], 3, (0., 0), looks.skin);
    }
    if rng.random_bool(0.2) {
        // A skirt or a long coat.
        mesh.bar([0., 0.28 * h, 0.], [0., hip + 0.02, 0.], [0.15 * h, 0.1 * h], 8, looks.top);
    }
    mesh.egg([0., 0.66 * h, 0.], [0.115 * h * broad, 0.185 * h, 0.075 * h * broad], 6, (0., 0), looks.top);
    mesh.bar([0., 0.8 * h, 0.], [0., 0.86 * h, 0.01], [0.035 * h, 0.03 * h], 6, looks.skin);
    head(mesh, 0.92 * h, 0.01, h, &looks);
    if rng.random_bool(0.25) {
        // A bag on the back.
        let (low, high) = ([-0.14, 0.6 * h, -0.28], [0.14, 0.8 * h, -0.1]);
        mesh.cuboid(low, high, looks.bottom);
    }
    mesh.contact(0., 0., 0.3, 0.3);
}

fn head(mesh: &mut Mesh, y: f32, z: f32, h: f32, looks: &Looks) {
    mesh.egg([0., y, z], [0.047 * h, 0.066 * h, 0.056 * h], 6, (0., 0), looks.skin);
    mesh.egg([0., y + 0.022 * h, z - 0.014 * h], [0.051 * h, 0.055 * h, 0.054 * h], 5, (0.05, 1), looks.hair);
}

/// Somebody who sits on something with a saddle at height `saddle`.
pub(crate) fn rider(mesh: &mut Mesh, saddle: f32, rng: &mut ChaCha8Rng) {
    let looks = Looks::draw(Class::Rider, rng);
    let h = rng.random_range(1.6..1.85f32);
    let (shoulder, neck) = ([0., saddle + 0.5, 0.12], [0., saddle + 0.58, 0.16]);
    for side in [-1., 1.] {
        let x = side * 0.1;
        let knee = [x * 1.3, saddle - 0.22 + 0.12 * side, 0.18];
        mesh.bar([x, saddle, -0.18], knee, [0.085, 0.065], 6, looks.bottom);
        mesh.bar(knee, [x * 1.2, saddle - 0.62 + 0.1 * side, 0.], [0.065, 0.045], 6, looks.bottom);
        let elbow = [side * 0.26, saddle + 0.26, 0.26];
        mesh.bar([side * 0.19, shoulder[1], shoulder[2]], elbow, [0.06, 0.05], 6, looks.top);
        mesh.bar(elbow, [side * 0.24, saddle + 0.1, 0.44], [0.05, 0.035], 6, looks.top);
    }
    mesh.bar([0., saddle - 0.02, -0.2], shoulder, [0.16, 0.19], 8, looks.top);
    mesh.egg(shoulder, [0.2, 0.1, 0.12], 5, (0., 0), looks.top);
    head(mesh, neck[1] + 0.14, neck[2], h, &looks);
    if rng.random_bool(0.6) {
        let color = [[220, 220, 216], [30, 30, 34], [170, 40, 40], [240, 210, 60]][rng.random_range(0..4)];
        let helmet = Material::new(Class::Rider, Surface::Paint { color, gloss: 0.5 });
        mesh.egg([0., neck[1] + 0.2, neck[2] - 0.01], [0.11, 0.1, 0.14], 5, (0., 0), helmet);
    }
}
