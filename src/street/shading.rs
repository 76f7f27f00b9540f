//! The light that a point of a surface, or of the sky, sends to the camera.

use std::sync::LazyLock;

use vek::{Vec2, Vec3};

use super::light::Ground;
use super::material::{Class, Color, Facade, Light, Marking, Material, Pattern, Surface};
use super::texture::{self, Tile, floor, hash};
use super::weather::Weather;

/// sRGB to linear light.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(|i| (i as f32 / 255.).powf(2.2)));

/// A point of a surface.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// In the road's coordinates.
    pub at: Vec3<f32>,
    /// Which way the surface faces.
    pub normal: Vec3<f32>,
    /// Metres on the surface.
    pub uv: Vec2<f32>,
    /// Metres from the camera.
    pub distance: f32,
}

/// What a surface does with light.
struct Appearance {
    albedo: Light,
    emission: f32,
    gloss: f32,
}

/// Everything that light depends on in one frame.
pub(crate) struct Shader<'a> {
    ground: &'a Ground,
    weather: &'a Weather,
    eye: Vec3<f32>,
    heading: f32,
    linear: &'static [f32; 256],
    clouds: &'static Tile,
    grain: &'static Tile,
    cells: &'static Tile,
}

fn mix(a: Light, b: Light, share: f32) -> Light {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

fn scale(a: Light, factor: f32) -> Light {
    a.map(|v| v * factor)
}

impl<'a> Shader<'a> {
    /// For a camera at `eye`, where the road has turned by `heading`.
    pub fn new(ground: &'a Ground, weather: &'a Weather, eye: Vec3<f32>, heading: f32) -> Self {
        Self {
            ground,
            weather,
            eye,
            heading,
            linear: &LINEAR,
            clouds: &texture::CLOUDS,
            grain: &texture::GRAIN,
            cells: &texture::CELLS,
        }
    }

    fn light(&self, color: Color) -> Light {
        color.map(|c| self.linear[usize::from(c)])
    }

    /// Light from a point of a surface.
    pub(crate) fn surface(&self, material: &Material, p: &Point) -> Light {
        let w = self.weather;
        let appearance = self.appearance(&material.surface, p);
        let to_eye = (self.eye - p.at) / p.distance.max(0.1);
        // Both sides of a leaf or a sheet are lit.
        let normal = if p.normal.dot(to_eye) < 0. { -p.normal } else { p.normal };
        let low = p.at.y < 0.3;
        let facing = normal.dot(w.sun).max(0.);
        let sun = if low { facing * self.ground.sun(p.at.x, p.at.z) } else { facing };
        let open = if low { self.ground.sky(p.at.x, p.at.z) } else { 1. };
        // The sky is above; the ground sends some of it back.
        let sky = open * (0.68 + 0.32 * normal.y);
        let mut light: Light = std::array::from_fn(|i| w.sunlight[i] * sun + w.skylight[i] * sky);
        if w.night > 0. {
            let lamp =
                self.ground.lamps(p.at.z) * (1. - p.at.y / 9.).clamp(0., 1.) / (1. + 0.02 * p.at.x * p.at.x);
            let ahead = (p.at - self.eye) / p.distance.max(0.1);
            let beam = (1. - 2.6 * ahead.x.abs()).max(0.) * (1. - 5. * ahead.y.max(0.)).max(0.);
            let beam = beam * 1.5 / (1. + (p.distance / 16.).powi(2)) * (0.3 + 0.7 * normal.dot(to_eye));
            let warm = [1., 0.8, 0.52];
            light = std::array::from_fn(|i| light[i] + w.night * (0.75 * lamp * warm[i] * open + beam));
        }
        let mut out: Light = std::array::from_fn(|i| {
            appearance.albedo[i] * light[i] + appearance.emission * appearance.albedo[i]
        });
        let wet = if normal.y > 0.8 && low { 0.5 * w.wet } else { 0. };
        let gloss = appearance.gloss.max(wet);
        if gloss > 0. {
            let mirrored = normal * (2. * normal.dot(to_eye)) - to_eye;
            let grazing = (1. - normal.dot(to_eye).max(0.)).powi(3);
            let share = gloss * (0.06 + 0.8 * grazing);
            let glint = mirrored.dot(w.sun).max(0.).powi(60) * 3. * gloss;
            let sky = mix(w.horizon, w.zenith, mirrored.y.clamp(0., 1.));
            // What faces down mirrors the street.
            let sky = if mirrored.y < 0. { scale(sky, 0.3) } else { sky };
            out = std::array::from_fn(|i| out[i] * (1. - share) + sky[i] * share + glint * w.sunlight[i]);
        }
        self.through_air(out, p.distance)
    }

    fn through_air(&self, light: Light, distance: f32) -> Light {
        mix(self.weather.horizon, light, (-self.weather.haze * distance).exp())
    }

    fn appearance(&self, surface: &Surface, p: &Point) -> Appearance {
        let near = (1. - p.distance / 70.).clamp(0., 1.);
        let plain = |albedo: Light| Appearance { albedo, emission: 0., gloss: 0. };
        match *surface {
            Surface::Asphalt(marking) => plain(self.asphalt(marking, p.uv, near)),
            Surface::Paving { color, size } => {
                let (u, v) = (p.uv.x / size, p.uv.y / size);
                let (column, row) = (floor(u), floor(v));
                let slab = hash(column, row, 3);
                let seam = (u - column as f32).min(v - row as f32) < 0.05 / size.max(0.3);
                let stain = self.clouds.at(p.uv.x / 11., p.uv.y / 11.);
                let tone = 0.8 + 0.25 * stain + near * (0.18 * (slab - 0.5) - if seam { 0.3 } else { 0. });
                plain(scale(self.light(color), tone))
            }
            Surface::Ground { color, rough } => {
                let patch = self.clouds.smooth(p.uv.x / 17., p.uv.y / 17.);
                let fine = self.grain.at(p.uv.x / 3.1, p.uv.y / 3.1);
                let dry =
                    mix(self.light(color), self.light([134, 116, 84]), (patch * 1.6 - 0.55).clamp(0., 1.));
                plain(scale(dry, 1. + rough * near * (fine - 0.5) * 1.6 + 0.3 * (patch - 0.5)))
            }
            Surface::Facade(facade) => self.facade(&facade, p, near),
            Surface::Brick(color) => plain(self.brick(self.light(color), p.uv, near)),
            Surface::Stained { color, stain } => plain(self.stained(self.light(color), stain, p.uv)),
            Surface::Leaves(color) => {
                let (u, v) = (p.at.x + 0.7 * p.at.z, p.at.y + 0.4 * p.at.z);
                let clump = self.clouds.at(u / 3.3, v / 3.3);
                let leaf = self.cells.at(u / 2.2, v / 2.2);
                let tone = 0.35 + 0.75 * clump + near * 0.9 * (leaf - 0.45);
                let color = mix(self.light(color), [0.24, 0.27, 0.05], 0.35 * clump * leaf);
                plain(scale(color, tone.max(0.08)))
            }
            Surface::Paint { color, gloss } => Appearance { gloss, ..plain(self.light(color)) },
            Surface::Cloth(color) => {
                let fold = self.clouds.at(p.uv.x / 1.3, p.uv.y / 0.9);
                plain(scale(self.light(color), 0.7 + 0.6 * fold))
            }
            Surface::Lamp { color, strength } => {
                // By day a lamp is seen rather than shining; one that is off is dark glass.
                let emission = strength * (0.35 + 0.65 * self.weather.night);
                let glass = (0.15 + strength).min(1.);
                Appearance { emission, gloss: 0.3, ..plain(scale(self.light(color), glass)) }
            }
            Surface::Sign { ground, border, figure, seed } => {
                let (u, v) = (p.uv.x, p.uv.y);
                let rim = u.abs().max(v.abs()).max((u * u + v * v).sqrt() * 0.9) > 0.78;
                let cell = hash(floor(u * 2.6), floor(v * 2.6), seed);
                let color = if rim {
                    border
                } else if cell > 0.62 {
                    figure
                } else {
                    ground
                };
                Appearance { emission: 0.06 + 0.3 * self.weather.night, ..plain(self.light(color)) }
            }
            Surface::Pattern { pattern, colors, scale } => {
                plain(self.pattern(pattern, colors, p.uv * scale, p.at * scale))
            }
        }
    }

    fn stained(&self, color: Light, stain: f32, uv: Vec2<f32>) -> Light {
        let cloud = self.clouds.at(uv.x / 7., uv.y / 7.);
        let fine = self.grain.at(uv.x / 2.3, uv.y / 2.3);
        scale(color, 1. + stain * (0.8 * (cloud - 0.5) + 0.25 * (fine - 0.5)))
    }

    fn brick(&self, color: Light, uv: Vec2<f32>, near: f32) -> Light {
        let row = floor(uv.y / 0.14);
        let along = uv.x / 0.42 + 0.5 * (row & 1) as f32;
        let column = floor(along);
        let mortar = uv.y / 0.14 - (row as f32) < 0.14 || along - (column as f32) < 0.06;
        let brick = hash(row, column, 9);
        let cloud = self.clouds.at(uv.x / 9., uv.y / 9.);
        let tone = 0.75 + 0.45 * cloud + near * 0.35 * (brick - 0.5);
        mix(scale(color, tone), [0.36, 0.34, 0.31], if mortar { 0.55 * near } else { 0.08 })
    }

    fn asphalt(&self, marking: Marking, uv: Vec2<f32>, near: f32) -> Light {
        let (u, v) = (uv.x, uv.y);
        let cloud = self.clouds.smooth(u / 13., v / 31.);
        let grain = self.grain.at(u / 1.9, v / 1.9);
        let crack = self.cells.at(u / 19. + 0.03 * cloud, v / 19.);
        let patch = hash(floor(u / 2.2), floor(v / 6.5), 77);
        let mut tone = 0.085 + 0.05 * cloud + 0.035 * near * (grain - 0.5);
        if patch > 0.93 {
            tone *= 0.68;
        }
        if near > 0.3 && crack > 0.86 {
            tone *= 0.75;
        }
        let worn = cloud * 0.8 + 0.5 * grain;
        let paint = match marking {
            Marking::Plain => false,
            Marking::Lanes { half, parking, solid } => {
                let dashed = solid || v.rem_euclid(6.) < 3.;
                let middle = u.abs() < 0.07 && dashed;
                let edge = (u.abs() - (half - parking - 0.08)).abs() < 0.06;
                let bay = parking > 0. && u.abs() > half - parking && v.rem_euclid(6.) < 0.1;
                // Wheels polish two tracks in each lane.
                let lane = (u.abs() - (half - parking) / 2.).abs();
                tone *= 1. - 0.14 * (1. - ((lane - 0.75) / 0.45).abs()).max(0.);
                middle || (edge && (parking > 0. || solid)) || bay
            }
            Marking::Zebra => u.rem_euclid(1.) < 0.5,
            Marking::Stop => u > 0.2,
        };
        let dark = if self.weather.wet > 0. { 0.6 } else { 1. };
        if paint && worn < 0.98 {
            let white = (0.62 - 0.25 * worn) * dark;
            return [white, white, white * 0.96];
        }
        [tone * dark, tone * dark, tone * 1.04 * dark]
    }

    fn facade(&self, f: &Facade, p: &Point, near: f32) -> Appearance {
        let (u, v) = (p.uv.x, p.uv.y);
        let (level, bay) = (floor(v / f.floor), floor(u / f.bay));
        let (fy, fx) = (v / f.floor - level as f32, u / f.bay - bay as f32);
        let dice = |n: u32| hash(level, bay, f.seed ^ n);
        let ground = level == 0;
        let [mut wide, mut high] = f.window;
        let mut sill = 0.3;
        if ground && f.shop {
            (wide, high, sill) = (0.84, 0.66, 0.08);
        } else if ground && dice(1) > 0.75 {
            // A door.
            (wide, high, sill) = (0.4, 0.7, 0.);
        }
        let (x, y) = ((fx - 0.5).abs() / (wide / 2.), (fy - sill) / high);
        if p.normal.y.abs() < 0.5 && x < 1. && (0. ..1.).contains(&y) {
            let frame = x > 0.86 || !(0.06..0.94).contains(&y) || (x < 0.07 && !(ground && f.shop));
            if frame {
                return Appearance { albedo: self.light(f.trim), emission: 0., gloss: 0. };
            }
            let lit = dice(2) > 0.55;
            let blind = dice(3);
            if blind > 0.62 && y > 1. - (blind - 0.6) * 2. {
                return Appearance {
                    albedo: scale(self.light(f.trim), 0.7),
                    emission: if lit { 0.5 * self.weather.night } else { 0. },
                    gloss: 0.1,
                };
            }
            let inside = 0.03 + 0.05 * dice(4);
            if lit && self.weather.night > 0. {
                return Appearance {
                    albedo: [0.8, 0.55, 0.26],
                    emission: 0.9 * self.weather.night,
                    gloss: 0.2,
                };
            }
            return Appearance { albedo: [inside, inside * 1.05, inside * 1.1], emission: 0., gloss: 0.75 };
        }
        let wall = self.light(f.wall);
        let ledge = fy < 0.05 && !ground;
        let board = ground && f.shop && fy > 0.78;
        let albedo = if board {
            let color = [0, 1, 2].map(|n| 0.05 + 0.4 * hash(f.seed as i32, n, 4));
            if hash(floor(u * 4.), 0, f.seed) > 0.7 { [0.7, 0.68, 0.6] } else { color }
        } else if ledge {
            self.light(f.trim)
        } else if f.brick {
            self.brick(wall, p.uv, near)
        } else {
            self.stained(wall, 0.35, p.uv)
        };
        // Rain has washed the foot of the wall darker.
        let foot = 0.82 + 0.18 * (v / 1.2).clamp(0., 1.);
        Appearance { albedo: scale(albedo, foot), emission: 0., gloss: 0. }
    }

    fn pattern(&self, pattern: Pattern, [a, b]: [Color; 2], uv: Vec2<f32>, at: Vec3<f32>) -> Light {
        let cell = |x: f32, y: f32| (floor(x) + floor(y)) & 1 == 0;
        let share = match pattern {
            Pattern::Plain => 0.25 * self.clouds.at(uv.x / 4., uv.y / 4.),
            Pattern::Checks => f32::from(u8::from(cell(at.x + at.z, at.y))),
            Pattern::Bands => f32::from(u8::from(cell(at.y, 0.))),
            Pattern::Dots => {
                let (x, y) = ((at.x + at.z).rem_euclid(1.) - 0.5, at.y.rem_euclid(1.) - 0.5);
                f32::from(u8::from(x * x + y * y < 0.09))
            }
            Pattern::Grain => self.clouds.at(uv.x / 3., uv.y / 40.),
            Pattern::Fur => self.grain.at(uv.x / 2., uv.y / 6.),
            Pattern::Patches => f32::from(u8::from(self.clouds.smooth((at.x + at.z) / 6., at.y / 6.) > 0.52)),
        };
        mix(self.light(a), self.light(b), share)
    }

    /// Light and class of what the camera sees in a direction in which nothing was built.
    pub(crate) fn sky(&self, ray: Vec3<f32>) -> (Light, Class) {
        let w = self.weather;
        let azimuth = ray.x.atan2(ray.z) + self.heading;
        let skyline = 0.012
            + 0.05 * (self.clouds.smooth(azimuth * 0.31, 0.2) - 0.3).max(0.)
            + 0.012 * self.grain.at(azimuth * 0.8, 0.5);
        if ray.y < -0.01 {
            // Between pieces of ground.
            return (self.through_air(scale(w.skylight, 0.12), 120.), Class::Terrain);
        }
        if ray.y < skyline {
            let roofs = self.clouds.smooth(azimuth * 0.17, 0.7) > 0.62;
            let tone = 0.7 + 0.5 * self.grain.at(azimuth * 6., ray.y * 9.);
            let (color, class) = match roofs {
                true => ([0.2, 0.17, 0.15], Class::Building),
                false => ([0.06, 0.085, 0.04], Class::Vegetation),
            };
            let lit: Light = std::array::from_fn(|i| color[i] * tone * (w.skylight[i] + 0.4 * w.sunlight[i]));
            return (self.through_air(lit, 260.), class);
        }
        let blue = mix(w.horizon, w.zenith, ray.y.max(0.).powf(0.55));
        let (u, v) = (azimuth.sin() * (1. - ray.y), azimuth.cos() * (1. - ray.y));
        let high = 0.12 / (ray.y + 0.12);
        let cloud = self.clouds.smooth(u * high * 1.3 + 0.37, v * high * 1.3);
        let share = ((cloud - (1. - w.clouds)) * 4.).clamp(0., 1.) * (1. - 0.25 * high);
        let white =
            mix(w.horizon, [1.02, 1.02, 1.03], 0.6 * (1. - w.night)).map(|c| c * (0.75 + 0.3 * cloud));
        let white = if w.night > 0. { scale(w.horizon, 0.7) } else { white };
        let white = if w.clouds > 0.85 { scale(blue, 0.88 + 0.2 * cloud) } else { white };
        let sky = mix(blue, white, share);
        let glow = ray.dot(w.sun).max(0.);
        let glow = (0.35 * glow.powi(12) + 6. * glow.powi(700)) * (1. - w.clouds * 0.8);
        (std::array::from_fn(|i| sky[i] + glow * w.sunlight[i]), Class::Sky)
    }
}
