//! A pinhole camera behind a windscreen, and the bends and hills of the road it follows.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vek::{Mat3, Vec2, Vec3};

use super::style::Style;

/// Nearest and farthest depth that is rendered, in metres.
const NEAR: f32 = 0.6;
const FAR: f32 = 700.;
/// Metres over which the road bends; beyond it goes on straight.
const BEND: f32 = 160.;

/// The camera and where it is.
pub struct Camera {
    size: (u32, u32),
    /// Pixels of the focal length.
    focal: f32,
    height: f32,
    lane: f32,
    pitch: f32,
    speed: f32,
    along: f32,
    /// Waves that make the road bend, rise and shake: length in metres, phase, strength.
    bends: [(f32, f32, f32); 3],
    hills: [(f32, f32, f32); 2],
}

impl Camera {
    /// A camera in the right lane of a street.
    pub fn new(size: (u32, u32), style: &Style, rng: &mut ChaCha8Rng) -> Self {
        let mut wave = |length: f32, strength: f32| {
            let length = length * rng.random_range(0.7..1.4);
            (length, rng.random_range(0.0..std::f32::consts::TAU), strength)
        };
        let bends = [wave(900., 0.0018), wave(420., 0.0016), wave(210., 0.0008)];
        let hills = [wave(700., 0.00025), wave(350., 0.0002)];
        Self {
            size,
            focal: size.0 as f32 * rng.random_range(0.72..0.95),
            height: rng.random_range(1.25..1.6),
            lane: style.lane() + rng.random_range(-0.3..0.3),
            pitch: rng.random_range(-0.015..0.045),
            speed: style.speed,
            along: 0.,
            bends,
            hills,
        }
    }

    /// Metres driven.
    pub(crate) fn along(&self) -> f32 {
        self.along
    }

    /// Metres right of the road's middle.
    pub(crate) fn lane(&self) -> f32 {
        self.lane
    }

    /// Metres per second.
    pub(crate) fn speed(&self) -> f32 {
        self.speed
    }

    /// Drives on for `step` seconds.
    pub(crate) fn advance(&mut self, step: f32) {
        self.along += self.speed * step;
    }

    fn wave(&self, waves: &[(f32, f32, f32)], at: f32) -> f32 {
        waves
            .iter()
            .map(|(length, phase, strength)| strength * (std::f32::consts::TAU * at / length + phase).sin())
            .sum()
    }

    /// The projection from the road to this frame's image.
    pub fn view(&self) -> View {
        // What the camera sees is the bend ahead.
        let ahead = self.along + 40.;
        let shake = 0.004 * (self.along * 1.7).sin() + 0.003 * (self.along * 0.61).cos();
        let roll = 0.006 * (self.along * 0.23).sin();
        let turn = Mat3::rotation_z(roll) * Mat3::rotation_x(-(self.pitch + shake));
        let (width, height) = (self.size.0 as f32, self.size.1 as f32);
        View {
            eye: Vec3::new(self.lane + 0.15 * (self.along * 0.05).sin(), self.height, self.along),
            bend: self.wave(&self.bends, ahead),
            hill: self.wave(&self.hills, ahead),
            turn,
            scale: Vec2::new(2. * self.focal / width, 2. * self.focal / height),
        }
    }

    /// Radians by which the road has turned since the drive began.
    pub(crate) fn heading(&self) -> f32 {
        let turned = |(length, phase, strength): &(f32, f32, f32)| {
            let w = std::f32::consts::TAU / length;
            strength * (phase.cos() - (w * self.along + phase).cos()) / w
        };
        self.bends.iter().map(turned).sum()
    }
}

/// The projection of one frame.
#[derive(Clone, Debug)]
pub struct View {
    /// The camera, in the road's coordinates.
    pub eye: Vec3<f32>,
    bend: f32,
    hill: f32,
    turn: Mat3<f32>,
    scale: Vec2<f32>,
}

impl View {
    /// A point of the road as the camera has it: x right, y up, z ahead.
    pub(crate) fn to_camera(&self, p: Vec3<f32>) -> Vec3<f32> {
        let d = p - self.eye;
        let near = d.z.clamp(-30., BEND);
        let beyond = d.z - near;
        let curve = near * near / 2. + near * beyond;
        self.turn * Vec3::new(d.x + self.bend * curve, d.y + self.hill * curve, d.z)
    }

    /// A point as the camera has it in homogeneous coordinates of the image.
    pub(crate) fn project(&self, p: Vec3<f32>) -> [f32; 4] {
        let depth = FAR * (p.z - NEAR) / (FAR - NEAR);
        [p.x * self.scale.x, p.y * self.scale.y, depth, p.z]
    }

    /// The direction, unit length, that is seen at `p`, which runs from -1 to 1 in both axes (y up).
    pub(crate) fn ray(&self, p: Vec2<f32>) -> Vec3<f32> {
        let d = Vec3::new(p.x / self.scale.x, p.y / self.scale.y, 1.).normalized();
        self.turn.transposed() * d
    }

    /// How far in front of the camera clipping begins.
    pub(crate) fn near(&self) -> f32 {
        NEAR
    }
}
