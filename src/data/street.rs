//! A placeholder for the procedural street: the signatures, and a scene of flat bands.

use std::fmt;
use std::str::FromStr;

use image::{GrayImage, Luma, Rgb, RgbImage};

/// Which part of the world.
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

/// What to drive through.
#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// The town.
    pub town: Town,
    /// Same seed, same drive.
    pub seed: u64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames a second of the drive's own time.
    pub rate: f32,
    /// Whether strange things come into view.
    pub anomalies: bool,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self { town: Town::Train, seed: 0, width: 512, height: 256, rate: 5.0, anomalies: false }
    }
}

/// One frame of a drive.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// What the camera sees.
    pub image: RgbImage,
    /// Cityscapes class ids, 255 where there is none.
    pub labels: GrayImage,
    /// 1 where something strange is, else 0.
    pub anomaly: GrayImage,
}

/// A drive without end.
#[derive(Clone, Debug)]
pub struct Drive {
    options: DriveOptions,
    frame: u32,
}

impl Drive {
    /// At the beginning.
    pub fn new(options: &DriveOptions) -> Self {
        Self { options: options.clone(), frame: 0 }
    }
}

impl Iterator for Drive {
    type Item = Rendered;

    fn next(&mut self) -> Option<Rendered> {
        let DriveOptions { seed, width, height, anomalies, .. } = self.options;
        let (road, sky) = (0, 10);
        let grain = |x: u32, y: u32| {
            let hash =
                (x ^ y.rotate_left(11) ^ self.frame.rotate_left(19) ^ seed as u32).wrapping_mul(0x9e37_79b9);
            (hash >> 29) as u8
        };
        let strange = |x: u32, y: u32| {
            let size = height / 5;
            let left = (self.frame * 8) % (width + 1);
            anomalies
                && self.frame % 40 > 15
                && x.wrapping_sub(left) < size
                && y.wrapping_sub(height * 2 / 3) < size
        };
        let image = RgbImage::from_fn(width, height, |x, y| {
            let light = grain(x, y) + (y * 60 / height.max(1)) as u8;
            if strange(x, y) {
                Rgb([230, 40 + light, 210])
            } else if 2 * y < height {
                Rgb([130 + light, 160 + light, 190 + light])
            } else {
                let dash =
                    (2 * x).abs_diff(width) * height < 8 * (2 * y - height) && (y + 4 * self.frame) % 40 < 16;
                if dash { Rgb([210; 3]) } else { Rgb([50 + light; 3]) }
            }
        });
        let labels = GrayImage::from_fn(width, height, |x, y| {
            Luma([if strange(x, y) {
                255
            } else if 2 * y < height {
                sky
            } else {
                road
            }])
        });
        let anomaly = GrayImage::from_fn(width, height, |x, y| Luma([u8::from(strange(x, y))]));
        self.frame += 1;
        Some(Rendered { image, labels, anomaly })
    }
}
