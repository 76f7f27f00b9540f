//! Vehicles and people: who moves, and where to.

use std::f32::consts::{PI, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::mesh::{Mesh, Pose};
use super::people;
use super::road::KERB;
use super::style::Style;
use super::vehicle;
use super::weather::Weather;

enum Who {
    Vehicle(vehicle::VehicleKind),
    Pedestrian,
    /// Somebody who crosses the road.
    Crosser,
}

struct Actor {
    who: Who,
    seed: u32,
    x: f32,
    z: f32,
    /// Metres per second, along the road and across it.
    velocity: (f32, f32),
    /// Where in a step somebody on foot is, in radians.
    phase: f32,
    brakes: bool,
}

/// Everybody around the camera.
pub(crate) struct Traffic {
    actors: Vec<Actor>,
    style: Style,
    rng: ChaCha8Rng,
}

/// Metres ahead at which somebody appears, and behind at which they are forgotten.
const AHEAD: f32 = 130.;
const BEHIND: f32 = 12.;
/// Nobody in the camera's own lane comes nearer than this.
const DISTANCE: f32 = 9.;
/// Metres from one vehicle's middle to the next one's in a lane.
const GAP: f32 = 14.;

impl Actor {
    fn is_driving(&self) -> bool {
        matches!(self.who, Who::Vehicle(_))
    }
}

impl Traffic {
    /// Fills the street.
    pub fn new(style: &Style, rng: ChaCha8Rng) -> Self {
        let mut traffic = Self { actors: Vec::new(), style: style.clone(), rng };
        for i in 0..style.vehicles + style.people {
            let z = traffic.rng.random_range(DISTANCE..AHEAD);
            let actor = traffic.somebody(i < style.vehicles, z);
            traffic.actors.push(actor);
        }
        traffic
    }

    fn somebody(&mut self, drives: bool, z: f32) -> Actor {
        let (style, rng) = (&self.style, &mut self.rng);
        let seed = rng.random();
        let phase = rng.random_range(0.0..TAU);
        if !drives {
            if rng.random_bool(0.08) {
                let side = if rng.random_bool(0.5) { 1. } else { -1. };
                let velocity = (0., -side * rng.random_range(1.1..1.6));
                let x = side * rng.random_range(0.0..style.half_road);
                return Actor { who: Who::Crosser, seed, x, z, velocity, phase, brakes: false };
            }
            let side = if rng.random_bool(0.5) { 1. } else { -1. };
            let x = side * rng.random_range(style.half_road + 0.6..style.lot_line() - 0.3);
            let speed = if rng.random_bool(0.2) { 0. } else { rng.random_range(0.9..1.7) };
            let velocity = (if rng.random_bool(0.5) { speed } else { -speed }, 0.);
            return Actor { who: Who::Pedestrian, seed, x, z, velocity, phase, brakes: false };
        }
        let kind = vehicle::VehicleKind::draw_moving(rng);
        let (mut ours, mut z) = (rng.random_bool(0.5), z);
        // Nobody appears inside somebody else: the other lane is tried, then places farther on.
        let taken = |ours: bool, z: f32| {
            self.actors.iter().any(|a| a.is_driving() && (a.velocity.0 > 0.) == ours && (a.z - z).abs() < GAP)
        };
        while taken(ours, z) {
            ours = !ours;
            if taken(ours, z) {
                z += GAP;
            }
        }
        let lane = if kind.is_slow() {
            style.half_road - style.parking - 0.6
        } else {
            style.lane() + rng.random_range(-0.2..0.2)
        };
        let speed = match kind.is_slow() {
            true => rng.random_range(3.0..5.5),
            false => style.speed + rng.random_range(-1.5..2.5),
        };
        Actor {
            who: Who::Vehicle(kind),
            seed,
            x: if ours { lane } else { -lane },
            z,
            velocity: (if ours { speed } else { -speed }, 0.),
            phase,
            brakes: ours && rng.random_bool(0.3),
        }
    }

    /// Moves everybody for `step` seconds; the camera is then at `along`.
    pub(crate) fn advance(&mut self, step: f32, along: f32) {
        self.queue();
        for i in 0..self.actors.len() {
            let actor = &mut self.actors[i];
            actor.z += actor.velocity.0 * step;
            actor.x += actor.velocity.1 * step;
            actor.phase += 4.5 * step * (actor.velocity.0.abs() + actor.velocity.1.abs());
            let ours = matches!(actor.who, Who::Vehicle(kind) if !kind.is_slow()) && actor.velocity.0 > 0.;
            let near = actor.z - along;
            if ours && near < DISTANCE + 4. && near > 0. {
                // A vehicle that the camera catches up with drives on: the camera does not overtake.
                actor.z = actor.z.max(along + DISTANCE);
                actor.velocity.0 = self.style.speed + 0.5;
            }
            let crossed = actor.x.abs() > self.style.lot_line();
            let crosser_near = matches!(actor.who, Who::Crosser) && near < 7.;
            if !(-BEHIND..=AHEAD + 20.).contains(&near) || crossed || crosser_near {
                let drives = matches!(actor.who, Who::Vehicle(_));
                // They appear far ahead.
                let z = along + AHEAD + self.rng.random_range(-25.0..10.);
                self.actors[i] = self.somebody(drives, z);
            }
        }
    }

    /// Nobody drives into the vehicle ahead in the same lane: they go on at its speed.
    fn queue(&mut self) {
        for i in 0..self.actors.len() {
            let (me, way) = (&self.actors[i], self.actors[i].velocity.0.signum());
            if !me.is_driving() {
                continue;
            }
            let ahead = |a: &&Actor| {
                let gap = (a.z - me.z) * way;
                a.is_driving() && a.velocity.0.signum() == way && gap > 0. && gap < GAP
            };
            let slowest =
                self.actors.iter().filter(ahead).map(|a| a.velocity.0.abs()).fold(f32::MAX, f32::min);
            if slowest < self.actors[i].velocity.0.abs() {
                self.actors[i].velocity.0 = way * slowest;
            }
        }
    }

    /// Builds everybody.
    pub fn build(&self, mesh: &mut Mesh, along: f32, weather: &Weather) {
        for actor in &self.actors {
            let far = actor.z - along;
            if far < -BEHIND || (far < 2. && matches!(actor.who, Who::Vehicle(_)) && actor.x > 0.) {
                continue;
            }
            let walking =
                |stride: f32| move |m: &mut Mesh| people::pedestrian(m, actor.seed, actor.phase, stride);
            match actor.who {
                Who::Vehicle(kind) => {
                    let heading = if actor.velocity.0 < 0. { PI } else { 0. };
                    let pose = Pose::new(actor.x, 0., actor.z, heading);
                    mesh.posed(pose, |m| vehicle::build(m, kind, actor.seed, actor.brakes, weather));
                }
                Who::Pedestrian => {
                    let heading = if actor.velocity.0 < 0. { PI } else { 0. };
                    // Those who stand face anywhere.
                    let standing = actor.velocity.0 == 0.;
                    let heading = if standing { actor.phase } else { heading };
                    let stride = if standing { 0. } else { 0.8 };
                    mesh.posed(Pose::new(actor.x, KERB, actor.z, heading), walking(stride));
                }
                Who::Crosser => {
                    let heading = if actor.velocity.1 > 0. { PI / 2. } else { -PI / 2. };
                    let y = if actor.x.abs() > self.style.half_road { KERB } else { 0. };
                    mesh.posed(Pose::new(actor.x, y, actor.z, heading), walking(0.8));
                }
            }
        }
    }
}
