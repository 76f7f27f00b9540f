//! Triangles in the road's own coordinates: x to the right of the road's middle, y up, z along the
//! road, in metres. The camera bends the road; whatever is built here is built straight.

use std::f32::consts::TAU;

use vek::{Vec2, Vec3};

use super::material::Material;
use super::texture::hash;

/// A corner of a triangle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Corner {
    /// Where.
    pub at: Vec3<f32>,
    /// Which way the surface faces there, unit length.
    pub normal: Vec3<f32>,
    /// Metres on the surface.
    pub uv: Vec2<f32>,
}

/// Three corners of one material.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Triangle {
    /// In the order in which the surface is seen from outside, whichever that is.
    pub corners: [Corner; 3],
    /// What it is made of.
    pub material: Material,
    /// Whether the sun throws its shadow on the ground.
    pub shadow: bool,
}

/// A set of triangles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    /// In no order.
    pub triangles: Vec<Triangle>,
    /// Dark places where something stands on the ground: middle (x, z) and half sizes.
    pub contacts: Vec<(Vec2<f32>, Vec2<f32>)>,
}

/// Where an object stands and which way it faces: 0 is along the road.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    /// The point of the ground under it.
    pub at: Vec3<f32>,
    /// Radians, clockwise seen from above.
    pub heading: f32,
}

impl Pose {
    /// A pose.
    pub fn new(x: f32, y: f32, z: f32, heading: f32) -> Self {
        Self { at: Vec3::new(x, y, z), heading }
    }

    /// From the object's own coordinates (x right, y up, z ahead) to the road's.
    pub fn place(&self, p: Vec3<f32>) -> Vec3<f32> {
        self.at + self.turn(p)
    }

    fn turn(&self, p: Vec3<f32>) -> Vec3<f32> {
        let (sin, cos) = self.heading.sin_cos();
        Vec3::new(p.x * cos + p.z * sin, p.y, p.z * cos - p.x * sin)
    }
}

impl Mesh {
    /// Adds what `build` makes in the coordinates of an object at `pose`.
    pub(crate) fn posed(&mut self, pose: Pose, build: impl FnOnce(&mut Self)) {
        let (triangles, contacts) = (self.triangles.len(), self.contacts.len());
        build(self);
        for corner in self.triangles[triangles..].iter_mut().flat_map(|t| &mut t.corners) {
            corner.at = pose.place(corner.at);
            corner.normal = pose.turn(corner.normal);
        }
        let (sin, cos) = pose.heading.sin_cos();
        for (middle, half) in &mut self.contacts[contacts..] {
            let p = pose.place(Vec3::new(middle.x, 0., middle.y));
            *middle = Vec2::new(p.x, p.z);
            *half =
                Vec2::new(half.x * cos.abs() + half.y * sin.abs(), half.x * sin.abs() + half.y * cos.abs());
        }
    }

    /// Marks the ground under something as dark.
    pub(crate) fn contact(&mut self, x: f32, z: f32, half_x: f32, half_z: f32) {
        self.contacts.push((Vec2::new(x, z), Vec2::new(half_x, half_z)));
    }

    /// One triangle.
    pub(crate) fn triangle(&mut self, corners: [Corner; 3], material: Material) {
        self.triangles.push(Triangle { corners, material, shadow: true });
    }

    /// A flat quadrangle, its corners in order around it; (u, v) run from `uv` at the first corner
    /// along the sides to the second and the fourth.
    pub(crate) fn quad(&mut self, p: [Vec3<f32>; 4], uv: [f32; 2], material: Material) {
        let (along, up) = (p[1] - p[0], p[3] - p[0]);
        let normal = along.cross(up).try_normalized().unwrap_or(Vec3::unit_y());
        let size = Vec2::new(along.magnitude(), up.magnitude());
        let first = Vec2::from(uv);
        let uvs = [first, first + Vec2::new(size.x, 0.), first + size, first + Vec2::new(0., size.y)];
        let corner = |i: usize| Corner { at: p[i], normal, uv: uvs[i] };
        self.triangle([corner(0), corner(1), corner(2)], material);
        self.triangle([corner(0), corner(2), corner(3)], material);
    }

    /// A patch of ground from (x0, z0) to (x1, z1) at height `y`; (u, v) are x and z.
    pub(crate) fn floor(&mut self, (x0, x1): (f32, f32), (z0, z1): (f32, f32), y: f32, material: Material) {
        let corner =
            |x: f32, z: f32| Corner { at: Vec3::new(x, y, z), normal: Vec3::unit_y(), uv: Vec2::new(x, z) };
        let c = [corner(x0, z0), corner(x1, z0), corner(x1, z1), corner(x0, z1)];
        for corners in [[c[0], c[1], c[2]], [c[0], c[2], c[3]]] {
            self.triangles.push(Triangle { corners, material, shadow: false });
        }
    }

    /// A box from corner `low` to corner `high`, without a bottom.
    pub(crate) fn cuboid(&mut self, low: [f32; 3], high: [f32; 3], material: Material) {
        self.tapered(low, high, [1., 1.], [0., 0.], material);
    }

    /// A box whose top is `shrink` times as large (x, z) and moved by `shift` (x, z): the cabin of a
    /// car, a roof.
    pub(crate) fn tapered(
        &mut self,
        low: [f32; 3],
        high: [f32; 3],
        shrink: [f32; 2],
        shift: [f32; 2],
        material: Material,
    ) {
        let middle = [(low[0] + high[0]) / 2., (low[2] + high[2]) / 2.];
        let half = [(high[0] - low[0]) / 2., (high[2] - low[2]) / 2.];
        let at = |sx: f32, sz: f32, top: bool| {
            let (k, s) = if top { (shrink, shift) } else { ([1., 1.], [0., 0.]) };
            Vec3::new(
                middle[0] + sx * half[0] * k[0] + s[0],
                if top { high[1] } else { low[1] },
                middle[1] + sz * half[1] * k[1] + s[1],
            )
        };
        let sides = [(-1., -1.), (1., -1.), (1., 1.), (-1., 1.)];
        for i in 0..4 {
            let ((ax, az), (bx, bz)) = (sides[i], sides[(i + 1) % 4]);
            let face = [at(bx, bz, false), at(ax, az, false), at(ax, az, true), at(bx, bz, true)];
            self.quad(face, [0., 0.], material);
        }
        let top = [at(-1., -1., true), at(-1., 1., true), at(1., 1., true), at(1., -1., true)];
        self.quad(top, [0., 0.], material);
    }

    /// A round bar between two points.
    pub fn bar(&mut self, from: [f32; 3], to: [f32; 3], radii: [f32; 2], sides: usize, material: Material) {
        let (from, to): (Vec3<f32>, Vec3<f32>) = (from.into(), to.into());
        let axis = (to - from).try_normalized().unwrap_or(Vec3::unit_y());
        let across = if axis.y.abs() > 0.9 { Vec3::unit_x() } else { Vec3::unit_y() };
        let a = axis.cross(across).normalized();
        let b = axis.cross(a);
        let length = (to - from).magnitude();
        let corner = |i: usize, end: usize| {
            let (sin, cos) = (TAU * i as f32 / sides as f32).sin_cos();
            let normal = a * cos + b * sin;
            let at = if end == 0 { from } else { to } + normal * radii[end];
            let uv = Vec2::new(i as f32 / sides as f32 * TAU * radii[0], end as f32 * length);
            Corner { at, normal, uv }
        };
        for i in 0..sides {
            let (p, q, r, s) = (corner(i, 0), corner(i + 1, 0), corner(i + 1, 1), corner(i, 1));
            self.triangle([p, q, r], material);
            self.triangle([p, r, s], material);
        }
        for (end, normal) in [(0, -axis), (1, axis)] {
            if radii[end] < 0.04 {
                continue;
            }
            let middle = if end == 0 { from } else { to };
            let rim = |i: usize| Corner { normal, ..corner(i, end) };
            let hub = Corner { at: middle, normal, uv: Vec2::zero() };
            for i in 0..sides {
                self.triangle([hub, rim(i), rim(i + 1)], material);
            }
        }
    }

    /// An egg with half axes `radii`, its surface moved in and out by up to `bumps` (a share), as
    /// `seed` has it. `rings` from pole to pole, twice as many sides.
    pub(crate) fn egg(
        &mut self,
        middle: [f32; 3],
        radii: [f32; 3],
        rings: usize,
        (bumps, seed): (f32, u32),
        material: Material,
    ) {
        let (middle, radii): (Vec3<f32>, Vec3<f32>) = (middle.into(), radii.into());
        let sides = 2 * rings;
        let corner = |ring: usize, side: usize| {
            let (sin_p, cos_p) = (TAU / 2. * ring as f32 / rings as f32).sin_cos();
            let (sin, cos) = (TAU * side as f32 / sides as f32).sin_cos();
            let unit = Vec3::new(sin_p * cos, cos_p, sin_p * sin);
            let wrapped = if ring == 0 || ring == rings { 0 } else { side % sides };
            let bump = 1. + bumps * (2. * hash(ring as i32, wrapped as i32, seed) - 1.);
            let normal = (unit / radii).normalized();
            let uv = Vec2::new(
                TAU * side as f32 / sides as f32 * radii.x,
                TAU / 2. * ring as f32 / rings as f32 * radii.y,
            );
            Corner { at: middle + unit * radii * bump, normal, uv }
        };
        for ring in 0..rings {
            for side in 0..sides {
                let (p, q) = (corner(ring, side), corner(ring, side + 1));
                let (r, s) = (corner(ring + 1, side + 1), corner(ring + 1, side));
                if ring > 0 {
                    self.triangle([p, q, r], material);
                }
                if ring + 1 < rings {
                    self.triangle([p, r, s], material);
                }
            }
        }
    }
}
