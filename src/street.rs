//! A procedural street: labelled road video rendered from a seed, for those who have no data at all.
//!
//! ```text
//! seed, town --> style, weather --> blocks of street, traffic --> mesh --> camera, raster --> light --> sensor --> image
//!                                                                            '-> class of each pixel --> labels, anomaly
//! ```
//!
//! The world plays the role that StreetHazards (Hendrycks et al., 2022) plays in the paper: the
//! networks learn one town and are tested in another, with objects that they have never seen. It is a
//! world of polygons with procedural surfaces, rendered by the software rasteriser `euc`; the camera
//! drives through it. The same options give the same bytes.

pub(crate) mod anomaly_objects;
pub mod bag;
mod block;
mod building;
mod camera;
pub mod export;
mod furniture;
mod light;
mod material;
mod mesh;
mod people;
mod plants;
mod raster;
mod road;
mod sensor;
mod shading;
mod style;
mod texture;
mod traffic;
mod vehicle;
mod weather;

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use image::{GrayImage, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use anomaly_objects::AnomalyObjects;
use block::Block;
use camera::Camera;
use mesh::Mesh;
use raster::Raster;
use sensor::Sensor;
use style::Style;
use traffic::Traffic;
use weather::Weather;

/// Which part of the world: its palette, its layout and its weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Town {
    /// Networks learn here.
    Train,
    /// Thresholds are set here.
    Val,
    /// Never seen in training.
    Test,
}

impl Town {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Its name on the command line and in folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Town {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A town that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no town '{0}'; there are train, val and test")]
pub struct UnknownTown(String);

impl FromStr for Town {
    type Err = UnknownTown;

    fn from_str(text: &str) -> Result<Self, UnknownTown> {
        Self::ALL.into_iter().find(|town| town.name() == text).ok_or_else(|| UnknownTown(text.to_owned()))
    }
}

/// One drive through a town.
#[derive(Clone, Debug, PartialEq)]
pub struct DriveOptions {
    /// Where.
    pub town: Town,
    /// Decides everything else.
    pub seed: u64,
    /// Columns of a frame, at least 16.
    pub width: u32,
    /// Rows of a frame, at least 16.
    pub height: u32,
    /// Frames per second of the drive's own time.
    pub rate: f32,
    /// Whether anomaly objects stand on and beside the road.
    pub anomalies: bool,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self { town: Town::Train, seed: 0, width: 512, height: 256, rate: 5., anomalies: false }
    }
}

/// A frame and its ground truth; all three images have the same size.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// What the camera gives.
    pub image: RgbImage,
    /// Class ids of the label set `cityscapes`; 255 on anomaly objects.
    pub labels: GrayImage,
    /// 1 on anomaly objects, 0 elsewhere.
    pub anomaly: GrayImage,
}

/// An endless drive, frame after frame.
pub struct Drive {
    camera: Camera,
    style: Style,
    weather: Weather,
    blocks: VecDeque<Block>,
    traffic: Traffic,
    anomaly_objects: Option<AnomalyObjects>,
    raster: Raster,
    sensor: Sensor,
    seed: u64,
    step: f32,
}

/// Metres ahead of the camera that are built.
const HORIZON: f32 = 150.;
/// Metres behind the camera after which a block is forgotten: its shadow may still be in view.
const BEHIND: f32 = 25.;

/// A random generator of its own for each purpose and place, so that the numbers drawn for one never
/// change another.
fn generator(seed: u64, purpose: Purpose, place: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose as u64) << 48 | place);
    rng
}

#[derive(Clone, Copy)]
enum Purpose {
    Style,
    Weather,
    Camera,
    Block,
    Traffic,
    AnomalyObjects,
    Sensor,
}

impl Drive {
    /// Begins a drive.
    pub fn new(options: &DriveOptions) -> Self {
        // Towns differ even where their seeds agree.
        let seed = options.seed.wrapping_mul(3).wrapping_add(options.town as u64);
        let style = Style::draw(options.town, &mut generator(seed, Purpose::Style, 0));
        let weather = Weather::draw(options.town, &mut generator(seed, Purpose::Weather, 0));
        let camera =
            Camera::new((options.width, options.height), &style, &mut generator(seed, Purpose::Camera, 0));
        let anomaly_objects =
            options.anomalies.then(|| AnomalyObjects::new(generator(seed, Purpose::AnomalyObjects, 0)));
        let mut traffic_dice = generator(seed, Purpose::Traffic, 0);
        // Not every drive begins at a crossing.
        let first = traffic_dice.random_range(0..1 << 20);
        let traffic = Traffic::new(&style, traffic_dice);
        Self {
            raster: Raster::new((options.width, options.height)),
            sensor: Sensor::new(&weather, generator(seed, Purpose::Sensor, 0)),
            blocks: VecDeque::from([Block::new(first, -BEHIND, &style, &weather, seed)]),
            camera,
            style,
            weather,
            traffic,
            anomaly_objects,
            seed,
            step: 1. / options.rate,
        }
    }

    /// Builds what comes into view and forgets what is behind.
    fn build(&mut self) {
        let at = self.camera.along();
        while let Some(last) = self.blocks.back()
            && last.end() < at + HORIZON
        {
            self.blocks.push_back(Block::new(
                last.number() + 1,
                last.end(),
                &self.style,
                &self.weather,
                self.seed,
            ));
        }
        while self.blocks.front().is_some_and(|first| first.end() < at - BEHIND) {
            self.blocks.pop_front();
        }
    }

    /// The next frame.
    pub fn frame(&mut self) -> Rendered {
        self.build();
        let mut moving = Mesh::default();
        self.traffic.build(&mut moving, self.camera.along(), &self.weather);
        if let Some(objects) = &mut self.anomaly_objects {
            objects.build(&mut moving, &self.camera, &self.style);
        }
        let meshes: Vec<&Mesh> =
            self.blocks.iter().map(|block| &block.mesh).chain(std::iter::once(&moving)).collect();
        let lamps: Vec<f32> = self.blocks.iter().flat_map(|block| block.lamps.iter().copied()).collect();
        let scene = raster::Scene { meshes: &meshes, lamps: &lamps, weather: &self.weather };
        let lit = self.raster.render(&scene, &self.camera);
        let image = self.sensor.expose(lit.radiance, lit.size, &self.weather, &self.camera);
        let (width, height) = lit.size;
        let grey = |f: fn(&material::Kind) -> u8| {
            let pixels = lit.kinds.iter().map(f).collect();
            GrayImage::from_raw(width, height, pixels).expect("a kind for every pixel")
        };
        let rendered = Rendered {
            image,
            labels: grey(|kind| kind.label()),
            anomaly: grey(|kind| u8::from(kind.is_anomalous())),
        };
        self.camera.advance(self.step);
        self.traffic.advance(self.step, self.camera.along());
        rendered
    }
}

impl Iterator for Drive {
    type Item = Rendered;

    fn next(&mut self) -> Option<Rendered> {
        Some(self.frame())
    }
}

#[cfg(test)]
mod tests;
