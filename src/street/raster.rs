//! From triangles to pixels: `euc` with a depth buffer finds what each pixel shows, and only that is
//! shaded. Where nothing stands is sky.

use euc::buffer::Buffer2d;
use euc::rasterizer::{BackfaceCullingDisabled, Triangles};
use euc::{Interpolate, Pipeline, Target};
use vek::{Vec2, Vec3};

use super::camera::{Camera, View};
use super::light::Ground;
use super::material::{Class, Kind, Light, Material};
use super::mesh::{Corner, Mesh};
use super::shading::{Point, Shader};
use super::weather::Weather;

/// What stands where, in one frame.
pub(crate) struct Scene<'a> {
    /// Near ones first: what they hide is then rejected early.
    pub meshes: &'a [&'a Mesh],
    /// Where lamps are, along the road.
    pub lamps: &'a [f32],
    /// The light.
    pub weather: &'a Weather,
}

/// A frame before the sensor.
pub(crate) struct LitScene<'a> {
    /// Linear light of each pixel, row by row.
    pub radiance: &'a [Light],
    /// What each pixel shows.
    pub kinds: &'a [Kind],
    /// Columns and rows.
    pub size: (u32, u32),
}

/// A point on its way through the rasteriser; the material rides along.
#[derive(Clone, Copy)]
struct Varying {
    point: Point,
    material: u32,
}

impl Interpolate for Varying {
    #[inline]
    fn lerp2(a: Self, b: Self, x: f32, y: f32) -> Self {
        Self::lerp3(a, b, a, x, y, 0.)
    }

    // Plain products: a fused multiply-add is a call where the target has none.
    #[inline]
    fn lerp3(a: Self, b: Self, c: Self, x: f32, y: f32, z: f32) -> Self {
        let (a, b, c, material) = (a.point, b.point, c.point, a.material);
        let point = Point {
            at: a.at * x + b.at * y + c.at * z,
            normal: a.normal * x + b.normal * y + c.normal * z,
            uv: a.uv * x + b.uv * y + c.uv * z,
            distance: a.distance * x + b.distance * y + c.distance * z,
        };
        Self { point, material }
    }
}

#[derive(Clone, Copy)]
struct Vertex {
    place: [f32; 4],
    varying: Varying,
}

/// Keeps for each pixel the point that it shows.
struct Find;

impl Pipeline for Find {
    type Vertex = Vertex;
    type VsOut = Varying;
    type Pixel = Varying;

    #[inline]
    fn vert(&self, vertex: &Vertex) -> ([f32; 4], Varying) {
        (vertex.place, vertex.varying)
    }

    #[inline]
    fn frag(&self, varying: &Varying) -> Varying {
        *varying
    }
}

/// Buffers for one image size.
pub(crate) struct Raster {
    size: (u32, u32),
    points: Buffer2d<Varying>,
    depth: Buffer2d<f32>,
    ground: Ground,
    vertices: Vec<Vertex>,
    materials: Vec<Material>,
    radiance: Vec<Light>,
    kinds: Vec<Kind>,
}

/// Depth of an empty pixel.
const EMPTY: f32 = 2.;

impl Raster {
    /// For images of `size`.
    pub fn new(size: (u32, u32)) -> Self {
        let buffer = [size.0 as usize, size.1 as usize];
        let nowhere = Point { at: Vec3::zero(), normal: Vec3::zero(), uv: Vec2::zero(), distance: 0. };
        Self {
            size,
            points: Buffer2d::new(buffer, Varying { point: nowhere, material: 0 }),
            depth: Buffer2d::new(buffer, EMPTY),
            ground: Ground::new(),
            vertices: Vec::new(),
            materials: Vec::new(),
            radiance: vec![[0.; 3]; buffer[0] * buffer[1]],
            kinds: vec![Kind::Known(Class::Sky); buffer[0] * buffer[1]],
        }
    }

    /// Renders a scene.
    pub fn render(&mut self, scene: &Scene, camera: &Camera) -> LitScene<'_> {
        let view = camera.view();
        self.ground.light(scene.meshes, scene.lamps, scene.weather, camera.along());
        self.collect(scene.meshes, &view);
        // What the buffer of points holds counts only where there is depth.
        self.depth.clear(EMPTY);
        Find.draw::<Triangles<'_, Buffer2d<f32>, BackfaceCullingDisabled>, _>(
            &self.vertices,
            &mut self.points,
            Some(&mut self.depth),
        );
        let (width, height) = self.size;
        let shader = Shader::new(&self.ground, scene.weather, view.eye, camera.heading());
        let (points, depth): (&[Varying], &[f32]) = (self.points.as_ref(), self.depth.as_ref());
        for (i, (varying, &depth)) in points.iter().zip(depth).enumerate() {
            (self.radiance[i], self.kinds[i]) = if depth < EMPTY {
                let material = &self.materials[varying.material as usize];
                (shader.surface(material, &varying.point), material.kind)
            } else {
                let (x, y) = (i as u32 % width, i as u32 / width);
                let place = |p: u32, all: u32| 2. * (p as f32 + 0.5) / all as f32 - 1.;
                let (light, class) = shader.sky(view.ray(Vec2::new(place(x, width), -place(y, height))));
                (light, Kind::Known(class))
            };
        }
        LitScene { radiance: &self.radiance, kinds: &self.kinds, size: self.size }
    }

    /// Takes triangles into the camera's view and cuts off what is behind it.
    fn collect(&mut self, meshes: &[&Mesh], view: &View) {
        self.vertices.clear();
        self.materials.clear();
        // What faces away is the far side of a closed surface. The bend is allowed a little.
        let away = |c: &Corner| {
            let to_eye = view.eye - c.at;
            c.normal.dot(to_eye) < -0.06 * to_eye.magnitude()
        };
        for triangle in meshes.iter().flat_map(|mesh| &mesh.triangles) {
            if triangle.corners.iter().all(away) {
                continue;
            }
            let seen = triangle.corners.map(|c| (view.to_camera(c.at), c));
            let inside = seen.iter().filter(|(p, _)| p.z > view.near()).count();
            if inside == 0 {
                continue;
            }
            let material = self.materials.len() as u32;
            self.materials.push(triangle.material);
            let vertex = |(p, c): &(Vec3<f32>, Corner)| {
                let point = Point { at: c.at, normal: c.normal, uv: c.uv, distance: p.magnitude() };
                Vertex { place: view.project(*p), varying: Varying { point, material } }
            };
            if inside == 3 {
                self.vertices.extend(seen.iter().map(vertex));
                continue;
            }
            let kept = cut(&seen, view.near());
            for i in 1..kept.len() - 1 {
                self.vertices.extend([&kept[0], &kept[i], &kept[i + 1]].map(vertex));
            }
        }
    }
}

/// The part of a triangle farther than `near`: three or four corners.
fn cut(corners: &[(Vec3<f32>, Corner); 3], near: f32) -> Vec<(Vec3<f32>, Corner)> {
    let mut kept = Vec::with_capacity(4);
    for i in 0..3 {
        let ((p, a), (q, b)) = (corners[i], corners[(i + 1) % 3]);
        if p.z > near {
            kept.push((p, a));
        }
        if (p.z > near) != (q.z > near) {
            let t = (near - p.z) / (q.z - p.z);
            let corner = Corner {
                at: a.at + (b.at - a.at) * t,
                normal: a.normal + (b.normal - a.normal) * t,
                uv: a.uv + (b.uv - a.uv) * t,
            };
            kept.push((p + (q - p) * t, corner));
        }
    }
    kept
}
