//! Cars, vans, trucks, buses, motorcycles, bicycles. Each is built around the origin, facing along z.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::material::{Class, Color, Material, Surface};
use super::mesh::Mesh;
use super::people;
use super::weather::Weather;

/// Which vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VehicleKind {
    /// A saloon.
    Saloon,
    /// A small car with a steep back.
    Hatchback,
    /// A high car.
    Suv,
    /// A delivery van; of class car, as small vans are in Cityscapes.
    Van,
    /// A lorry with a box.
    Truck,
    /// A bus.
    Bus,
    /// A motorcycle and its rider.
    Motorcycle,
    /// A bicycle and its rider.
    Cyclist,
}

impl VehicleKind {
    /// One at random that parks.
    pub(crate) fn draw_parked(rng: &mut ChaCha8Rng) -> Self {
        use VehicleKind::{Hatchback, Saloon, Suv, Van};
        [Saloon, Saloon, Hatchback, Hatchback, Suv, Van][rng.random_range(0..6)]
    }

    /// One at random that drives.
    pub(crate) fn draw_moving(rng: &mut ChaCha8Rng) -> Self {
        use VehicleKind::{Bus, Cyclist, Hatchback, Motorcycle, Saloon, Suv, Truck, Van};
        let all = [
            Saloon, Saloon, Hatchback, Hatchback, Suv, Suv, Van, Truck, Bus, Motorcycle, Motorcycle, Cyclist,
            Cyclist, Cyclist,
        ];
        all[rng.random_range(0..all.len())]
    }

    /// Whether it keeps to the edge of the road.
    pub(crate) fn is_slow(self) -> bool {
        self == Self::Cyclist
    }
}

const PAINTS: [Color; 12] = [
    [226, 226, 226],
    [198, 200, 204],
    [132, 136, 140],
    [70, 74, 80],
    [28, 30, 34],
    [28, 30, 34],
    [36, 56, 96],
    [52, 84, 130],
    [132, 28, 30],
    [168, 44, 36],
    [88, 80, 64],
    [44, 74, 58],
];

struct Parts {
    class: Class,
    paint: Material,
    glass: Material,
    rubber: Material,
    dark: Material,
}

impl Parts {
    fn new(class: Class, color: Color) -> Self {
        let of = |color, gloss| Material::new(class, Surface::Paint { color, gloss });
        Self {
            class,
            paint: of(color, 0.45),
            glass: of([26, 32, 38], 0.9),
            rubber: of([24, 24, 26], 0.05),
            dark: of([38, 38, 42], 0.1),
        }
    }

    fn wheels(&self, mesh: &mut Mesh, half: f32, axles: &[f32], radius: f32) {
        let rim = Material::new(self.class, Surface::Paint { color: [150, 152, 156], gloss: 0.5 });
        for &z in axles {
            for side in [-1., 1.] {
                let (inner, outer) = (side * (half - 0.24), side * (half + 0.01));
                mesh.bar([inner, radius, z], [outer, radius, z], [radius, radius], 12, self.rubber);
                let hub = side * (half + 0.025);
                mesh.bar([outer, radius, z], [hub, radius, z], [radius * 0.58, radius * 0.5], 8, rim);
            }
        }
    }

    /// Lamps at both ends; brake lights are bright while it brakes.
    fn lamps(&self, mesh: &mut Mesh, half: f32, front: f32, back: f32, y: f32, (night, brakes): (f32, bool)) {
        let lamp = |color, strength| Material::new(self.class, Surface::Lamp { color, strength });
        let white = lamp([255, 244, 220], 0.5 + 4. * night);
        let red = lamp([220, 24, 20], if brakes { 2.2 } else { 0.3 + 1.2 * night });
        for side in [-1., 1.] {
            let (a, b) = (side * (half - 0.42), side * (half - 0.06));
            let (a, b) = (a.min(b), a.max(b));
            mesh.cuboid([a, y - 0.09, front - 0.05], [b, y + 0.09, front + 0.03], white);
            mesh.cuboid([a, y - 0.1, back - 0.03], [b, y + 0.12, back + 0.05], red);
        }
        let plate = lamp([210, 210, 200], 0.25);
        mesh.cuboid([-0.26, y - 0.25, back - 0.03], [0.26, y - 0.13, back + 0.02], plate);
    }
}

/// Builds one; `seed` decides its colour and measures, `brakes` lights its lamps.
pub fn build(mesh: &mut Mesh, kind: VehicleKind, seed: u32, brakes: bool, weather: &Weather) {
    let rng = &mut ChaCha8Rng::seed_from_u64(u64::from(seed));
    let light = (weather.night, brakes);
    let color = PAINTS[rng.random_range(0..PAINTS.len())];
    match kind {
        VehicleKind::Saloon | VehicleKind::Hatchback | VehicleKind::Suv => car(mesh, kind, color, light, rng),
        VehicleKind::Van => van(mesh, color, light, rng),
        VehicleKind::Truck => truck(mesh, color, light, rng),
        VehicleKind::Bus => bus(mesh, color, light, rng),
        VehicleKind::Motorcycle => motorcycle(mesh, color, light, rng),
        VehicleKind::Cyclist => {
            bicycle(mesh, seed);
            people::rider(mesh, 0.98, rng);
        }
    }
}

fn car(mesh: &mut Mesh, kind: VehicleKind, color: Color, light: (f32, bool), rng: &mut ChaCha8Rng) {
    let parts = Parts::new(Class::Car, color);
    let half = rng.random_range(0.84..0.94);
    let (length, height, belt) = match kind {
        VehicleKind::Saloon => (rng.random_range(4.4..4.9), rng.random_range(1.38..1.48), 0.92),
        VehicleKind::Hatchback => (rng.random_range(3.7..4.2), rng.random_range(1.45..1.56), 0.95),
        _ => (rng.random_range(4.3..4.8), rng.random_range(1.62..1.8), 1.05),
    };
    let (front, back) = (length / 2., -length / 2.);
    let floor = if kind == VehicleKind::Suv { 0.32 } else { 0.22 };
    mesh.tapered([-half, floor, back], [half, belt - 0.14, front], [1., 0.985], [0., 0.], parts.paint);
    // The bonnet slopes; over it, the cabin.
    mesh.tapered([-half, belt - 0.14, back], [half, belt, front], [0.95, 0.96], [0., -0.04], parts.paint);
    let (cabin_back, cabin_front) = match kind {
        VehicleKind::Saloon => (back + 0.75, front - 1.35),
        VehicleKind::Hatchback => (back + 0.12, front - 1.1),
        _ => (back + 0.1, front - 1.25),
    };
    let shrink = [0.78, if kind == VehicleKind::Saloon { 0.6 } else { 0.74 }];
    let shift = [0., -0.14];
    let low = [-half * 0.96, belt, cabin_back];
    let high = [half * 0.96, height - 0.06, cabin_front];
    mesh.tapered(low, high, shrink, shift, parts.glass);
    let middle = (cabin_back + cabin_front) / 2. + shift[1];
    let roof = [half * 0.96 * shrink[0] + 0.02, (cabin_front - cabin_back) / 2. * shrink[1] + 0.05];
    mesh.tapered(
        [-roof[0], height - 0.07, middle - roof[1]],
        [roof[0], height, middle + roof[1]],
        [0.9, 0.9],
        [0., 0.],
        parts.paint,
    );
    // Pillars between the panes.
    let pillar = middle - 0.05;
    for side in [-1., 1.] {
        let foot = [side * half * 0.955, belt, pillar];
        let head = [side * roof[0], height - 0.05, pillar];
        mesh.bar(foot, head, [0.05, 0.05], 4, parts.paint);
    }
    mesh.cuboid([-half * 0.98, floor, front - 0.1], [half * 0.98, floor + 0.2, front + 0.05], parts.dark);
    mesh.cuboid([-half * 0.98, floor, back - 0.05], [half * 0.98, floor + 0.2, back + 0.1], parts.dark);
    parts.wheels(mesh, half, &[front - 0.85, back + 0.8], if kind == VehicleKind::Suv { 0.37 } else { 0.32 });
    parts.lamps(mesh, half, front, back, belt - 0.26, light);
    mesh.contact(0., 0., half + 0.1, length / 2. + 0.1);
}

fn van(mesh: &mut Mesh, color: Color, light: (f32, bool), rng: &mut ChaCha8Rng) {
    let color = if rng.random_bool(0.5) { [224, 224, 220] } else { color };
    let parts = Parts::new(Class::Car, color);
    let (half, height) = (rng.random_range(0.92..1.0), rng.random_range(1.95..2.4));
    let (front, back) = (2.5, -2.4);
    mesh.cuboid([-half, 0.3, back], [half, 1.05, front], parts.paint);
    mesh.tapered([-half, 1.05, back], [half, height, front - 0.5], [0.92, 0.9], [0., -0.2], parts.paint);
    let windscreen = [(-1., 1.08), (1., 1.08), (0.9, height - 0.35), (-0.9, height - 0.35)];
    let slope = |y: f32| front - 0.46 - 0.3 * (y - 1.05);
    mesh.quad(windscreen.map(|(x, y)| vek::Vec3::new(x * half * 0.9, y, slope(y))), [0., 0.], parts.glass);
    for side in [-1., 1.] {
        let x = side * half;
        mesh.cuboid([(x - 0.01).min(x), 1.1, 0.7], [(x + 0.01).max(x), height - 0.5, 1.6], parts.glass);
    }
    mesh.cuboid([-half * 0.7, 1.2, back - 0.02], [half * 0.7, height - 0.5, back + 0.1], parts.glass);
    parts.wheels(mesh, half, &[front - 0.9, back + 0.9], 0.35);
    parts.lamps(mesh, half, front, back, 0.85, light);
    mesh.contact(0., 0., half + 0.1, 2.6);
}

fn truck(mesh: &mut Mesh, color: Color, light: (f32, bool), rng: &mut ChaCha8Rng) {
    let parts = Parts::new(Class::Truck, color);
    let (half, height, length) = (1.2, rng.random_range(2.9..3.6), rng.random_range(6.0..9.0));
    let (front, back) = (length / 2., -length / 2.);
    let cargo: [Color; 5] = [[214, 212, 206], [164, 168, 174], [52, 86, 142], [150, 54, 44], [70, 108, 76]];
    let cover = Surface::Stained { color: cargo[rng.random_range(0..5)], stain: 0.3 };
    let cover = Material::new(Class::Truck, cover);
    mesh.cuboid([-half * 0.9, 0.5, back], [half * 0.9, 0.95, front - 1.8], parts.dark);
    mesh.cuboid([-half, 0.95, back], [half, height, front - 2.0], cover);
    mesh.tapered([-half, 0.45, front - 1.9], [half, 2.5, front], [0.95, 0.85], [0., -0.1], parts.paint);
    let slope = |y: f32| front + 0.02 - 0.13 * (y - 0.45);
    let pane = [(-0.9, 1.5), (0.9, 1.5), (0.86, 2.25), (-0.86, 2.25)];
    mesh.quad(pane.map(|(x, y)| vek::Vec3::new(x * half, y, slope(y))), [0., 0.], parts.glass);
    for side in [-1., 1.] {
        let x = side * half;
        mesh.cuboid(
            [(x - 0.02).min(x), 1.5, front - 1.3],
            [(x + 0.01).max(x), 2.2, front - 0.5],
            parts.glass,
        );
    }
    parts.wheels(mesh, half, &[front - 1.1, back + 2.1, back + 0.9], 0.48);
    parts.lamps(mesh, half, front, back, 0.75, light);
    mesh.contact(0., 0., half + 0.15, length / 2. + 0.1);
}

fn bus(mesh: &mut Mesh, _: Color, light: (f32, bool), rng: &mut ChaCha8Rng) {
    let colors: [Color; 4] = [[196, 40, 36], [226, 178, 40], [58, 112, 168], [216, 216, 210]];
    let parts = Parts::new(Class::Bus, colors[rng.random_range(0..4)]);
    let (half, height, length) = (1.27, rng.random_range(2.9..3.2), rng.random_range(9.0..12.0));
    let (front, back) = (length / 2., -length / 2.);
    mesh.cuboid([-half, 0.35, back], [half, 1.2, front], parts.paint);
    mesh.cuboid([-half * 0.985, 1.2, back + 0.02], [half * 0.985, height - 0.5, front - 0.02], parts.glass);
    mesh.cuboid([-half, height - 0.5, back], [half, height, front], parts.paint);
    let mut z = back;
    while z < front + 0.1 {
        for side in [-1., 1.] {
            let x = side * half * 0.99;
            mesh.bar([x, 1.15, z], [x, height - 0.45, z], [0.06, 0.06], 4, parts.paint);
        }
        z += length / 7.;
    }
    let number = Material::new(Class::Bus, Surface::Lamp { color: [255, 170, 40], strength: 1.2 });
    for z in [front, back - 0.02] {
        mesh.cuboid([-0.7, height - 0.42, z], [0.7, height - 0.14, z + 0.02], number);
    }
    parts.wheels(mesh, half, &[front - 2.4, back + 2.8], 0.48);
    parts.lamps(mesh, half, front, back, 0.8, light);
    mesh.contact(0., 0., half + 0.15, length / 2. + 0.1);
}

fn motorcycle(mesh: &mut Mesh, color: Color, light: (f32, bool), rng: &mut ChaCha8Rng) {
    let parts = Parts::new(Class::Motorcycle, color);
    for z in [0.72, -0.68] {
        mesh.bar([-0.07, 0.31, z], [0.07, 0.31, z], [0.31, 0.31], 14, parts.rubber);
    }
    mesh.cuboid([-0.16, 0.35, -0.35], [0.16, 0.7, 0.35], parts.dark);
    mesh.egg([0., 0.85, 0.2], [0.18, 0.16, 0.36], 5, (0., 0), parts.paint);
    mesh.tapered([-0.15, 0.74, -0.8], [0.15, 0.9, 0.], [0.9, 0.9], [0., 0.], parts.dark);
    mesh.bar([0., 0.31, 0.72], [0., 1.02, 0.48], [0.05, 0.05], 5, parts.dark);
    mesh.bar([-0.36, 1.04, 0.45], [0.36, 1.04, 0.45], [0.025, 0.025], 4, parts.dark);
    let lamp = |color, strength| Material::new(Class::Motorcycle, Surface::Lamp { color, strength });
    mesh.egg([0., 0.9, 0.62], [0.1, 0.1, 0.06], 4, (0., 0), lamp([255, 244, 220], 0.8 + 4. * light.0));
    mesh.cuboid([-0.08, 0.78, -0.86], [0.08, 0.88, -0.8], lamp([220, 24, 20], 0.5 + light.0));
    mesh.contact(0., 0., 0.3, 1.);
    people::rider(mesh, 0.92, rng);
}

/// A bicycle without anybody on it.
pub(crate) fn bicycle(mesh: &mut Mesh, seed: u32) {
    let color = PAINTS[seed as usize % PAINTS.len()];
    let tube = Material::new(Class::Bicycle, Surface::Paint { color, gloss: 0.4 });
    let tyre = Material::new(Class::Bicycle, Surface::Paint { color: [22, 22, 24], gloss: 0. });
    let sides = 14;
    for z in [0.52f32, -0.52] {
        let rim = |i: usize, r: f32| {
            let (sin, cos) = (std::f32::consts::TAU * i as f32 / sides as f32).sin_cos();
            [0., 0.34 + r * sin, z + r * cos]
        };
        for i in 0..sides {
            mesh.bar(rim(i, 0.32), rim(i + 1, 0.32), [0.03, 0.03], 4, tyre);
        }
        for i in 0..6 {
            mesh.bar(rim(i, 0.31), rim(i + sides / 2, 0.31), [0.008, 0.008], 3, tyre);
        }
    }
    let (hub, crank, seat, head) = ([0., 0.34, -0.52], [0., 0.3, -0.05], [0., 0.86, -0.2], [0., 0.84, 0.36]);
    for (a, b) in
        [(hub, crank), (hub, seat), (crank, seat), (crank, head), (seat, head), (head, [0., 0.34, 0.52])]
    {
        mesh.bar(a, b, [0.025, 0.025], 4, tube);
    }
    mesh.bar([-0.26, 1.0, 0.36], [0.26, 1.0, 0.36], [0.02, 0.02], 4, tyre);
    mesh.bar(head, [0., 1., 0.36], [0.02, 0.02], 4, tube);
    mesh.cuboid([-0.07, 0.88, -0.34], [0.07, 0.94, -0.08], tyre);
    mesh.contact(0., 0., 0.15, 0.8);
}
