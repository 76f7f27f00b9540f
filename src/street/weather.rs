//! Sun, sky, haze and rain.

use std::f32::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vek::Vec3;

use super::Town;
use super::material::Light;

/// The light and the air of one drive.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Towards the sun, unit length, above the ground.
    pub sun: Vec3<f32>,
    /// Light of the sun on a surface that faces it.
    pub sunlight: Light,
    /// Light from all of the sky.
    pub skylight: Light,
    /// Colour of the sky overhead.
    pub zenith: Light,
    /// Colour of the sky at the horizon, and of haze.
    pub horizon: Light,
    /// Share of the sky that clouds cover.
    pub clouds: f32,
    /// Share of a surface's light that is lost per metre.
    pub haze: f32,
    /// Night: 0 by day, 1 in the dark.
    pub night: f32,
    /// Rain: 0 for none, 1 for heavy.
    pub rain: f32,
    /// How wet the ground is.
    pub wet: f32,
}

#[derive(Clone, Copy)]
enum Sky {
    Clear,
    Cloudy,
    Overcast,
    Hazy,
    LowSun,
    Rain,
    Night,
}

/// How often each sky occurs, in percent.
fn odds(town: Town) -> [(Sky, u32); 7] {
    use Sky::{Clear, Cloudy, Hazy, LowSun, Night, Overcast, Rain};
    match town {
        Town::Train => {
            [(Clear, 25), (Cloudy, 25), (Overcast, 22), (Hazy, 8), (LowSun, 8), (Rain, 7), (Night, 5)]
        }
        Town::Val => {
            [(Clear, 22), (Cloudy, 24), (Overcast, 24), (Hazy, 10), (LowSun, 8), (Rain, 7), (Night, 5)]
        }
        Town::Test => {
            [(Clear, 20), (Cloudy, 18), (Overcast, 22), (Hazy, 12), (LowSun, 14), (Rain, 9), (Night, 5)]
        }
    }
}

fn times(light: Light, factor: f32) -> Light {
    light.map(|v| v * factor)
}

impl Weather {
    /// Chooses the weather of a drive at random.
    pub(crate) fn draw(town: Town, rng: &mut ChaCha8Rng) -> Self {
        let mut dice = rng.random_range(0..100u32);
        let odds = odds(town);
        let mut sky = odds[0].0;
        for (kind, share) in odds {
            sky = kind;
            match dice.checked_sub(share) {
                Some(rest) => dice = rest,
                None => break,
            }
        }
        let elevation: f32 = match sky {
            Sky::LowSun => rng.random_range(0.2..0.35),
            _ => rng.random_range(0.5..1.2),
        };
        // Seldom straight ahead.
        let azimuth: f32 = rng.random_range(0.35..TAU - 0.35);
        let sun =
            Vec3::new(azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos());
        let warm: f32 = rng.random_range(0.0..1.0);
        let day = Self {
            sun,
            sunlight: [1.55, 1.42 - 0.08 * warm, 1.2 - 0.18 * warm],
            skylight: [0.42, 0.48, 0.58],
            zenith: [0.22, 0.42, 0.85],
            horizon: [0.72, 0.82, 0.95],
            clouds: 0.1,
            haze: 0.0018,
            night: 0.,
            rain: 0.,
            wet: 0.,
        };
        match sky {
            Sky::Clear => day,
            Sky::Cloudy => {
                Self { clouds: rng.random_range(0.35..0.65), sunlight: times(day.sunlight, 0.9), ..day }
            }
            Sky::Overcast => {
                let grey = rng.random_range(0.75..1.);
                Self {
                    sunlight: times(day.sunlight, 0.12),
                    skylight: times([0.82, 0.86, 0.92], grey),
                    zenith: times([0.72, 0.76, 0.82], grey),
                    horizon: times([0.86, 0.89, 0.93], grey),
                    clouds: 0.9,
                    haze: 0.004,
                    ..day
                }
            }
            Sky::Hazy => Self {
                sunlight: times(day.sunlight, 0.5),
                skylight: [0.66, 0.7, 0.74],
                zenith: [0.6, 0.68, 0.8],
                horizon: [0.86, 0.88, 0.9],
                clouds: 0.3,
                haze: rng.random_range(0.008..0.02),
                ..day
            },
            Sky::LowSun => Self {
                sunlight: [1.7, 1.18, 0.68],
                skylight: [0.36, 0.38, 0.5],
                zenith: [0.3, 0.42, 0.7],
                horizon: [1.0, 0.78, 0.55],
                clouds: rng.random_range(0.1..0.5),
                haze: 0.004,
                ..day
            },
            Sky::Rain => Self {
                sunlight: [0., 0., 0.],
                skylight: [0.6, 0.64, 0.7],
                zenith: [0.48, 0.51, 0.56],
                horizon: [0.66, 0.69, 0.73],
                clouds: 1.,
                haze: rng.random_range(0.006..0.014),
                rain: rng.random_range(0.3..1.),
                wet: 1.,
                ..day
            },
            Sky::Night => Self {
                sunlight: [0., 0., 0.],
                skylight: [0.05, 0.055, 0.08],
                zenith: [0.012, 0.016, 0.03],
                horizon: [0.06, 0.055, 0.06],
                clouds: 0.3,
                haze: 0.003,
                night: 1.,
                wet: if rng.random_bool(0.3) { 1. } else { 0. },
                ..day
            },
        }
    }
}
