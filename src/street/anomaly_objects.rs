//! Anomaly objects: objects of no class, which the monitor must notice, with the pixels that they cover.

use std::f32::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::camera::Camera;
use super::material::{Color, Material, Pattern};
use super::mesh::{Mesh, Pose};
use super::road::KERB;
use super::style::Style;

/// Builds one object out of parts of three materials.
struct Kit<'a> {
    mesh: &'a mut Mesh,
    materials: [Material; 3],
    seed: u32,
}

impl Kit<'_> {
    fn block(&mut self, material: usize, low: [f32; 3], high: [f32; 3]) {
        self.mesh.cuboid(low, high, self.materials[material]);
    }

    fn egg(&mut self, material: usize, middle: [f32; 3], radii: [f32; 3]) {
        self.mesh.egg(middle, radii, 7, (0.04, self.seed), self.materials[material]);
    }

    fn bar(&mut self, material: usize, from: [f32; 3], to: [f32; 3], radius: f32) {
        self.mesh.bar(from, to, [radius, radius * 0.85], 8, self.materials[material]);
    }

    /// Four legs at the corners of a rectangle.
    fn legs(&mut self, material: usize, half: [f32; 2], height: f32, radius: f32) {
        for (x, z) in [(-1., -1.), (1., -1.), (1., 1.), (-1., 1.)] {
            let (x, z) = (x * half[0], z * half[1]);
            self.bar(material, [x, 0., z], [x, height, z], radius);
        }
    }

    /// An animal on four legs: height at the back, length of the trunk, girth, length of the neck.
    fn animal(&mut self, height: f32, length: f32, girth: f32, neck: f32) {
        let trunk = height - girth;
        self.legs(0, [girth * 0.6, length * 0.38], trunk, girth * 0.24);
        self.egg(0, [0., trunk, 0.], [girth, girth, length * 0.55]);
        let (base, head) = (
            [0., trunk + girth * 0.4, length * 0.42],
            [0., trunk + girth * 0.5 + neck, length * 0.55 + neck * 0.5],
        );
        self.bar(0, base, head, girth * 0.45);
        self.egg(0, head, [girth * 0.42, girth * 0.42, girth * 0.75]);
        for side in [-1., 1.] {
            let ear = [side * girth * 0.3, head[1] + girth * 0.45, head[2] - girth * 0.2];
            self.egg(1, ear, [girth * 0.12, girth * 0.3, girth * 0.1]);
        }
        self.bar(
            1,
            [0., trunk + girth * 0.3, -length * 0.5],
            [0., trunk - girth, -length * 0.62],
            girth * 0.12,
        );
    }
}

/// A kind of object.
pub(crate) struct ObjectKind {
    /// Its name.
    #[cfg_attr(not(test), expect(dead_code, reason = "names it for readers and in tests"))]
    pub name: &'static str,
    /// Metres across the ground, the larger of both.
    reach: f32,
    build: fn(&mut Kit),
    patterns: &'static [Pattern],
    colors: &'static [Color],
}

impl ObjectKind {
    /// Metres across the ground, the larger of both.
    #[cfg(test)]
    pub(crate) fn reach(&self) -> f32 {
        self.reach
    }

    /// Corners of the box around it, in metres, standing at the origin.
    #[cfg(test)]
    pub(crate) fn extent(&self) -> (vek::Vec3<f32>, vek::Vec3<f32>) {
        let mut mesh = Mesh::default();
        let materials = [Material::anomalous(Pattern::Plain, [[0; 3]; 2], 1.); 3];
        (self.build)(&mut Kit { mesh: &mut mesh, materials, seed: 1 });
        let corners = mesh.triangles.iter().flat_map(|t| &t.corners).map(|c| c.at);
        corners.fold((vek::Vec3::broadcast(f32::MAX), vek::Vec3::broadcast(f32::MIN)), |(low, high), p| {
            (vek::Vec3::partial_min(low, p), vek::Vec3::partial_max(high, p))
        })
    }
}

const HIDES: &[Color] =
    &[[132, 92, 58], [86, 60, 42], [168, 134, 98], [52, 44, 40], [120, 116, 112], [206, 196, 180]];
const VIVID: &[Color] = &[
    [214, 46, 120],
    [240, 120, 30],
    [86, 190, 60],
    [120, 60, 180],
    [30, 170, 200],
    [250, 220, 60],
    [240, 240, 240],
    [40, 90, 220],
];
const WOOD: &[Color] = &[[164, 118, 72], [196, 152, 100], [112, 74, 44], [142, 96, 60]];
const DULL: &[Color] = &[[120, 118, 112], [84, 84, 82], [150, 140, 124], [182, 176, 166], [60, 62, 66]];

const FUR: &[Pattern] = &[Pattern::Fur, Pattern::Plain];
const HIDE: &[Pattern] = &[Pattern::Patches, Pattern::Fur];
const CLOTH: &[Pattern] = &[Pattern::Checks, Pattern::Bands, Pattern::Dots, Pattern::Plain];
const BOARD: &[Pattern] = &[Pattern::Grain];
const ANY: &[Pattern] = &[Pattern::Plain, Pattern::Bands, Pattern::Checks];

const fn kind(
    name: &'static str,
    reach: f32,
    patterns: &'static [Pattern],
    colors: &'static [Color],
    build: fn(&mut Kit),
) -> ObjectKind {
    ObjectKind { name, reach, build, patterns, colors }
}

/// All kinds.
pub(crate) const OBJECT_KINDS: [ObjectKind; 28] = [
    kind("dog", 0.9, FUR, HIDES, |k| k.animal(0.7, 0.8, 0.16, 0.2)),
    kind("deer", 1.6, FUR, HIDES, |k| {
        k.animal(1.2, 1.3, 0.24, 0.6);
        for side in [-1., 1.] {
            k.bar(2, [side * 0.08, 1.8, 1.0], [side * 0.4, 2.3, 0.8], 0.03);
            k.bar(2, [side * 0.25, 2.05, 0.9], [side * 0.2, 2.4, 1.1], 0.025);
        }
    }),
    kind("cow", 2.2, HIDE, &[[236, 232, 226], [40, 34, 32], [120, 74, 48]], |k| {
        k.animal(1.45, 2.0, 0.4, 0.3)
    }),
    kind("horse", 2.2, FUR, HIDES, |k| k.animal(1.6, 1.9, 0.34, 0.7)),
    kind("elephant", 3.2, FUR, DULL, |k| {
        k.animal(2.6, 2.8, 0.75, 0.4);
        k.bar(0, [0., 2.3, 2.1], [0., 0.5, 2.5], 0.2);
    }),
    kind("boar", 1.1, FUR, HIDES, |k| k.animal(0.75, 1.1, 0.24, 0.05)),
    kind("ostrich", 1.2, FUR, &[[40, 38, 40], [220, 200, 190], [150, 120, 100]], |k| {
        for side in [-1., 1.] {
            k.bar(1, [side * 0.14, 0., 0.05], [side * 0.12, 1., 0.], 0.05);
        }
        k.egg(0, [0., 1.2, 0.], [0.36, 0.36, 0.52]);
        k.bar(1, [0., 1.3, 0.4], [0., 2.2, 0.55], 0.07);
        k.egg(1, [0., 2.25, 0.62], [0.08, 0.09, 0.18]);
    }),
    kind("sofa", 2.0, CLOTH, VIVID, |k| {
        k.block(0, [-1., 0.12, -0.45], [1., 0.48, 0.45]);
        k.block(0, [-1., 0.48, -0.45], [1., 0.95, -0.2]);
        for x in [-1., 0.78] {
            k.block(1, [x, 0.48, -0.45], [x + 0.22, 0.7, 0.45]);
        }
    }),
    kind("armchair", 1.0, CLOTH, VIVID, |k| {
        k.block(0, [-0.45, 0.1, -0.4], [0.45, 0.45, 0.45]);
        k.block(1, [-0.45, 0.45, -0.4], [0.45, 1.1, -0.18]);
        k.block(0, [-0.5, 0.4, -0.4], [-0.32, 0.7, 0.45]);
        k.block(0, [0.32, 0.4, -0.4], [0.5, 0.7, 0.45]);
    }),
    kind("chair", 0.6, BOARD, WOOD, |k| {
        k.legs(0, [0.2, 0.2], 0.46, 0.03);
        k.block(0, [-0.24, 0.45, -0.24], [0.24, 0.5, 0.24]);
        k.block(0, [-0.24, 0.5, -0.24], [0.24, 1., -0.19]);
    }),
    kind("table", 1.6, BOARD, WOOD, |k| {
        k.legs(0, [0.7, 0.35], 0.72, 0.04);
        k.block(1, [-0.8, 0.72, -0.45], [0.8, 0.78, 0.45]);
    }),
    kind("mattress", 2.0, CLOTH, VIVID, |k| k.block(0, [-0.9, 0., -0.95], [0.9, 0.28, 0.95])),
    kind("bathtub", 1.7, &[Pattern::Plain], &[[240, 240, 244], [214, 220, 226], [200, 160, 160]], |k| {
        k.block(0, [-0.4, 0.1, -0.85], [0.4, 0.6, 0.85]);
        k.block(1, [-0.44, 0.56, -0.89], [0.44, 0.62, 0.89]);
        k.bar(2, [0., 0.6, 0.75], [0., 0.9, 0.7], 0.03);
    }),
    kind("refrigerator", 0.8, &[Pattern::Plain], &[[226, 228, 230], [190, 60, 60], [120, 150, 140]], |k| {
        k.block(0, [-0.34, 0., -0.34], [0.34, 1.8, 0.34]);
        k.block(2, [0.2, 0.7, 0.34], [0.26, 1.2, 0.4]);
    }),
    kind("washing machine", 0.7, &[Pattern::Plain], &[[232, 232, 232], [60, 62, 66], [150, 160, 170]], |k| {
        k.block(0, [-0.3, 0., -0.3], [0.3, 0.86, 0.3]);
        for z in [-0.3, 0.3] {
            k.egg(1, [0., 0.42, z], [0.2, 0.2, 0.06]);
        }
    }),
    kind("piano", 1.6, &[Pattern::Plain], &[[30, 26, 26], [240, 236, 226], [70, 36, 26]], |k| {
        k.block(0, [-0.75, 0., -0.3], [0.75, 1.25, 0.1]);
        k.block(0, [-0.75, 0.6, 0.1], [0.75, 0.72, 0.42]);
        k.block(1, [-0.68, 0.72, 0.12], [0.68, 0.75, 0.4]);
    }),
    kind(
        "boxes",
        1.3,
        &[Pattern::Plain, Pattern::Bands],
        &[[184, 142, 96], [160, 118, 76], [206, 168, 120]],
        |k| {
            k.block(0, [-0.6, 0., -0.4], [0.05, 0.55, 0.3]);
            k.block(1, [0.1, 0., -0.3], [0.65, 0.42, 0.35]);
            k.block(2, [-0.35, 0.55, -0.3], [0.15, 0.95, 0.2]);
        },
    ),
    kind("pallets", 1.3, BOARD, WOOD, |k| {
        for i in 0..5 {
            let y = 0.17 * i as f32;
            k.block(i % 2, [-0.6, y + 0.08, -0.4], [0.6, y + 0.14, 0.4]);
            for x in [-0.55, -0.05, 0.45] {
                k.block(0, [x, y, -0.4], [x + 0.1, y + 0.08, 0.4]);
            }
        }
    }),
    kind("barrels", 1.4, &[Pattern::Bands, Pattern::Plain], VIVID, |k| {
        k.bar(0, [-0.4, 0., 0.], [-0.4, 0.9, 0.], 0.3);
        k.bar(1, [0.3, 0., 0.25], [0.3, 0.9, 0.25], 0.3);
        k.bar(2, [-0.3, 0.3, -0.62], [0.6, 0.3, -0.62], 0.3);
    }),
    kind("tyres", 1.2, &[Pattern::Plain], &[[34, 34, 36], [58, 56, 54], [26, 26, 26]], |k| {
        for (i, x) in [(0, -0.05), (1, 0.04), (2, -0.02)] {
            let y = 0.24 * i as f32;
            k.bar(i, [x, y, 0.], [x, y + 0.22, 0.05 * x], 0.38);
        }
        k.bar(0, [0.62, 0.34, -0.12], [0.62, 0.34, 0.12], 0.36);
    }),
    kind("logs", 3.0, BOARD, WOOD, |k| {
        for (x, y) in [(-0.45, 0.2), (0., 0.2), (0.45, 0.2), (-0.22, 0.55), (0.22, 0.55), (0., 0.9)] {
            k.bar(usize::from(y > 0.3), [x, y, -1.4], [x, y, 1.4], 0.22);
        }
    }),
    kind("rocks", 1.5, &[Pattern::Plain, Pattern::Fur], DULL, |k| {
        for (i, (x, z, r)) in
            [(-0.3, 0., 0.55), (0.5, 0.25, 0.35), (0.35, -0.5, 0.28)].into_iter().enumerate()
        {
            k.mesh.egg([x, r * 0.6, z], [r, r * 0.8, r], 5, (0.3, k.seed + i as u32), k.materials[i]);
        }
    }),
    kind(
        "hay bale",
        1.4,
        &[Pattern::Grain, Pattern::Fur],
        &[[204, 172, 88], [176, 146, 70], [222, 196, 120]],
        |k| {
            k.bar(0, [-0.6, 0.62, 0.], [0.6, 0.62, 0.], 0.62);
        },
    ),
    kind("pipes", 3.2, &[Pattern::Plain], DULL, |k| {
        for (i, x) in [-0.6, -0.1, 0.45].into_iter().enumerate() {
            k.bar(i, [x, 0.24, -1.5], [x + 0.2, 0.24, 1.5], 0.22);
        }
    }),
    kind("boat", 3.4, ANY, VIVID, |k| {
        k.mesh.tapered([-0.55, 0., -1.3], [0.55, 0.7, 1.3], [1.4, 1.3], [0., 0.1], k.materials[0]);
        k.block(1, [-0.5, 0.7, -0.7], [0.5, 1.15, 0.2]);
    }),
    kind("balloons", 1.6, &[Pattern::Plain, Pattern::Bands], VIVID, |k| {
        for (i, (x, y)) in [(-0.4, 1.5), (0.1, 1.9), (0.5, 1.4)].into_iter().enumerate() {
            k.egg(i, [x, y, 0.1 * x], [0.32, 0.4, 0.32]);
            k.bar(2, [0., 0., 0.], [x, y - 0.4, 0.], 0.012);
        }
    }),
    kind("forklift", 2.2, &[Pattern::Plain], &[[250, 180, 20], [40, 40, 42], [90, 92, 96]], |k| {
        k.block(0, [-0.5, 0.25, -0.9], [0.5, 1., 0.5]);
        for x in [-0.42, 0.36] {
            k.block(1, [x, 0.1, 0.55], [x + 0.08, 2.4, 0.68]);
            k.block(2, [x, 0.1, 0.68], [x + 0.1, 0.16, 1.5]);
            k.bar(1, [x, 1., -0.5], [x, 2.1, -0.3], 0.04);
        }
        k.block(1, [-0.48, 2.08, -0.6], [0.48, 2.16, 0.3]);
        for z in [-0.55, 0.3] {
            k.bar(1, [-0.55, 0.26, z], [0.55, 0.26, z], 0.26);
        }
    }),
    kind("robot", 1.0, ANY, VIVID, |k| {
        k.block(0, [-0.3, 0.7, -0.2], [0.3, 1.4, 0.2]);
        k.block(1, [-0.2, 1.45, -0.18], [0.2, 1.85, 0.18]);
        for side in [-1., 1.] {
            k.block(2, [side * 0.18 - 0.1, 0., -0.12], [side * 0.18 + 0.1, 0.7, 0.12]);
            k.bar(2, [side * 0.38, 1.3, 0.], [side * 0.55, 0.7, 0.2], 0.08);
        }
        k.bar(1, [0., 1.85, 0.], [0., 2.1, 0.], 0.02);
    }),
];

/// An object and where it stands.
struct Placed {
    kind: usize,
    pose: Pose,
    scale: f32,
    seed: u32,
    materials: [Material; 3],
}

/// Anomaly objects along the road, some tens of metres apart.
pub(crate) struct AnomalyObjects {
    rng: ChaCha8Rng,
    placed: Vec<Placed>,
    next: f32,
}

/// Metres ahead at which an object is placed: a camera sees little of it there.
const AHEAD: f32 = 75.;
/// Metres behind at which it is forgotten.
const BEHIND: f32 = 15.;

impl AnomalyObjects {
    /// None so far.
    pub fn new(mut rng: ChaCha8Rng) -> Self {
        let next = rng.random_range(14.0..40.);
        Self { rng, placed: Vec::new(), next }
    }

    /// Places the objects that are due and builds those in view.
    pub fn build(&mut self, mesh: &mut Mesh, camera: &Camera, style: &Style) {
        let along = camera.along();
        while self.next < along + AHEAD {
            let placed = self.place(self.next, camera.lane(), style);
            self.placed.push(placed);
            self.next += self.rng.random_range(28.0..70.);
        }
        self.placed.retain(|p| p.pose.at.z > along - BEHIND);
        for p in &self.placed {
            let kind = &OBJECT_KINDS[p.kind];
            mesh.posed(p.pose, |mesh| {
                let start = mesh.triangles.len();
                (kind.build)(&mut Kit { mesh, materials: p.materials, seed: p.seed });
                for corner in mesh.triangles[start..].iter_mut().flat_map(|t| &mut t.corners) {
                    corner.at *= p.scale;
                }
                let half = kind.reach * p.scale / 2.;
                mesh.contact(0., 0., half * 0.75, half * 0.75);
            });
        }
    }

    fn place(&mut self, z: f32, lane: f32, style: &Style) -> Placed {
        let rng = &mut self.rng;
        let number = rng.random_range(0..OBJECT_KINDS.len());
        let kind = &OBJECT_KINDS[number];
        let scale = rng.random_range(0.85..1.2);
        let half = kind.reach * scale / 2.;
        let edge = style.half_road - style.parking;
        // The camera drives past: on the other lane, at the edge, or on a pavement.
        let clear = 1.2 + half;
        let x = match rng.random_range(0..4) {
            0 | 1 => lane - clear - rng.random_range(0.0..1.5),
            2 => (lane + clear).max(edge - half * 0.5),
            _ => {
                let middle = style.half_road + style.sidewalk / 2.;
                if rng.random_bool(0.5) { middle } else { -middle }
            }
        };
        let y = if x.abs() > style.half_road { KERB } else { 0. };
        let pattern = kind.patterns[rng.random_range(0..kind.patterns.len())];
        let mut color = || kind.colors[rng.random_range(0..kind.colors.len())];
        let pairs = [(); 3].map(|()| [color(), color()]);
        let repeats = rng.random_range(2.5..6.0);
        Placed {
            kind: number,
            pose: Pose::new(x, y, z, rng.random_range(0.0..TAU)),
            scale,
            seed: rng.random_range(0..1 << 30),
            materials: pairs.map(|colors| Material::anomalous(pattern, colors, repeats)),
        }
    }
}
