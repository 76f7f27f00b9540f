//! A lot of the street: its ground, its houses and all that does not move.

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::mesh::{Mesh, Pose};
use super::style::{District, Style};
use super::weather::Weather;
use super::{Purpose, building, furniture, generator, plants, road, vehicle};

/// A lot and what stands on it.
pub(crate) struct Block {
    number: u64,
    stretch: Range<f32>,
    /// All of it.
    pub mesh: Mesh,
    /// Where lamps are, along the road.
    pub lamps: Vec<f32>,
}

/// Length of a lot with a crossing.
const CROSSING: f32 = 22.;

impl Block {
    /// Builds lot `number`, which begins at `start`.
    pub fn new(number: u64, start: f32, style: &Style, weather: &Weather, seed: u64) -> Self {
        let rng = &mut generator(seed, Purpose::Block, number);
        let mut mesh = Mesh::default();
        let mut lamps = Vec::new();
        let stretch;
        if number.is_multiple_of(style.crossing_every) {
            stretch = start..start + CROSSING;
            crossing(&mut mesh, stretch.clone(), style, rng);
        } else {
            stretch = start..start + rng.random_range(9.0..18.0);
            road::lot(&mut mesh, stretch.clone(), style, rng.random_bool(0.3));
            for side in [-1., 1.] {
                lot(&mut mesh, &stretch, side, style, rng);
                pavement(&mut mesh, &stretch, side, style, weather, rng);
                along(&stretch, style.lamp_spacing, side * style.lamp_spacing * 0.25, |z| {
                    furniture::lamp_post(&mut mesh, z, side, style);
                    lamps.push(z);
                });
            }
        }
        Self { number, stretch, mesh, lamps }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it ends, in metres along the road.
    pub fn end(&self) -> f32 {
        self.stretch.end
    }
}

/// Calls `build` for each place of a row with `spacing` that falls on the stretch.
fn along(stretch: &Range<f32>, spacing: f32, offset: f32, mut build: impl FnMut(f32)) {
    if !spacing.is_finite() {
        return;
    }
    let mut place = ((stretch.start - offset) / spacing).ceil() * spacing + offset;
    while place < stretch.end {
        build(place);
        place += spacing;
    }
}

fn crossing(mesh: &mut Mesh, stretch: Range<f32>, style: &Style, rng: &mut ChaCha8Rng) {
    let zebra = rng.random_bool(0.7);
    road::crossing(mesh, stretch.clone(), style, zebra);
    let middle = (stretch.start + stretch.end) / 2.;
    if rng.random_bool(0.7) {
        let lit = rng.random_range(0..3);
        for side in [-1., 1.] {
            furniture::traffic_light(mesh, middle - road::CROSSING_HALF - 3.4, side, style, lit);
        }
    }
    for side in [-1., 1.] {
        // The houses of the other street, at its corners.
        for (from, to) in [
            (stretch.start, middle - road::CROSSING_HALF - style.sidewalk),
            (middle + road::CROSSING_HALF + style.sidewalk, stretch.end),
        ] {
            if to - from > 3. && rng.random_bool(f64::from(style.built)) {
                building::house(mesh, from..to, side, style, rng);
            }
        }
        if rng.random_bool(0.6) {
            furniture::sign(mesh, stretch.start + rng.random_range(0.0..3.0), side, style, rng);
        }
        // Trees down the other street close the view.
        for _ in 0..3 {
            let x = side * (style.house_line() + rng.random_range(16.0..40.0));
            let z = middle + if rng.random_bool(0.5) { 7. } else { -7. };
            plants::tree(mesh, x, z, style, rng);
        }
    }
}

/// What stands behind the pavement.
fn lot(mesh: &mut Mesh, stretch: &Range<f32>, side: f32, style: &Style, rng: &mut ChaCha8Rng) {
    let gap = if style.district == District::Centre { 0. } else { rng.random_range(0.0..3.0) };
    let inner = stretch.start + gap / 2.0..stretch.end - gap / 2.;
    let built = rng.random_bool(f64::from(style.built));
    if built {
        building::house(mesh, inner, side, style, rng);
    } else {
        for _ in 0..rng.random_range(2..6) {
            let x = side * (style.house_line() + rng.random_range(2.0..16.0));
            plants::tree(mesh, x, rng.random_range(stretch.clone()), style, rng);
        }
    }
    if style.setback > 0.8 || !built {
        match rng.random_range(0..10) {
            0..2 => building::wall(mesh, stretch.clone(), side, style, rng),
            2..6 => building::fence(mesh, stretch.clone(), side, style, rng),
            6..8 => plants::hedge(mesh, stretch.clone(), side, style, rng),
            _ => {}
        }
    }
    if style.setback > 2. {
        for _ in 0..rng.random_range(0..4) {
            let x = side * (style.lot_line() + rng.random_range(1.2..style.setback.max(1.3)));
            plants::bush(mesh, x, rng.random_range(stretch.clone()), style, rng);
        }
    }
}

/// What stands on the pavement and along the kerb.
fn pavement(
    mesh: &mut Mesh,
    stretch: &Range<f32>,
    side: f32,
    style: &Style,
    weather: &Weather,
    rng: &mut ChaCha8Rng,
) {
    along(stretch, style.tree_spacing, side * 3., |z| {
        let x = side * (style.half_road + 0.8);
        plants::tree(mesh, x, z + rng.random_range(-1.0..1.0), style, rng);
    });
    if rng.random_bool(0.28) {
        furniture::sign(mesh, rng.random_range(stretch.clone()), side, style, rng);
    }
    if rng.random_bool(0.12) {
        furniture::mast(mesh, rng.random_range(stretch.clone()), side, style, rng);
    }
    if rng.random_bool(0.12) {
        furniture::bollards(mesh, stretch.start, stretch.end, side, style);
    }
    if rng.random_bool(0.15) {
        furniture::cabinet(mesh, rng.random_range(stretch.clone()), side, style, rng);
    }
    if rng.random_bool(0.25) {
        let (x, z) = (side * (style.lot_line() - 0.7), rng.random_range(stretch.clone()));
        let heading = rng.random_range(0.0..3.0);
        for i in 0..rng.random_range(1..5) {
            let pose = Pose::new(x, road::KERB, z + 0.6 * i as f32, heading + rng.random_range(-0.2..0.2));
            mesh.posed(pose, |m| vehicle::bicycle(m, rng.random()));
        }
    }
    if style.parking > 0. {
        let x = side * (style.half_road - style.parking / 2.);
        let mut z = stretch.start + 2.6;
        while z < stretch.end - 2.4 {
            if rng.random_bool(f64::from(style.parked)) {
                // Mostly the way the traffic goes on that side.
                let turned = (side < 0.) != rng.random_bool(0.1);
                let heading = if turned { std::f32::consts::PI } else { 0. };
                let kind = vehicle::VehicleKind::draw_parked(rng);
                let pose = Pose::new(x + rng.random_range(-0.15..0.15), 0., z, heading);
                mesh.posed(pose, |m| vehicle::build(m, kind, rng.random(), false, weather));
            }
            z += rng.random_range(5.4..6.6);
        }
    }
}
