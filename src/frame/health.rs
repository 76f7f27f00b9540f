//! How well a camera sees, by its picture alone: brightness, range, sharpness, and what covers the lens.
//!
//! No network has a part in it, and no label. It shares the camera with the method, so that it is no second opinion
//! on what is in view; it tells when there is little to have an opinion on. Some 8,000 pixels are looked at,
//! whatever the size.

use image::RgbImage;

/// Cells of the picture, across and down.
const CELLS: (u32, u32) = (32, 16);
/// Places looked at in a cell, across and down.
const PLACES: u32 = 4;
/// Width at which neighbours are one pixel apart; in wider pictures they are farther.
const WIDTH: u32 = 512;
/// How much farther away the second neighbour is.
const FAR: u32 = 4;
/// Rise between neighbours below which a cell has no texture, and luma above which it may be sky.
const TEXTURE: f32 = 0.012;
const SKY: f32 = 0.4;
/// Shares of the pixels below and above which extremes do not count.
const TAILS: (f32, f32) = (0.02, 0.98);

/// The figures of one picture; NaN of one without pixels.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Health {
    /// Mean luma, in \[0, 1\].
    pub brightness: f32,
    /// Luma between its 2nd and its 98th percentile, in \[0, 1\]: little of darkness, fog and glare.
    pub range: f32,
    /// Root mean square difference between near neighbours over that between far ones: low where the picture is
    /// blurred, towards 1 where it is noise.
    pub sharpness: f32,
    /// Share of cells without texture that are too dark for sky: of what lies on the lens, or of shadow.
    pub covered: f32,
}

/// A monitor of pictures: one figure, which speaks above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthMonitor {
    /// Too little between dark and light: night, fog, a sun in the lens, a wrong exposure.
    Exposure,
    /// Edges are wide: out of focus, a wet lens.
    Blur,
    /// Neighbours have nothing in common: a sensor that fails, gain at night.
    Noise,
    /// Parts without texture: dirt, tape, a broken row driver.
    Cover,
}

impl HealthMonitor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exposure, Self::Blur, Self::Noise, Self::Cover];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exposure => "image exposure",
            Self::Blur => "image blur",
            Self::Noise => "image noise",
            Self::Cover => "image cover",
        }
    }

    /// Its figure, in \[0, 1\]: higher is worse; NaN of a picture without pixels.
    pub fn figure(self, health: &Health) -> f32 {
        match self {
            Self::Exposure => 1. - health.range,
            Self::Blur => 1. - health.sharpness,
            Self::Noise => health.sharpness,
            Self::Cover => health.covered,
        }
    }

    /// From where on it speaks. Stated for all cameras, from real frames of two cities of Cityscapes: docs/guarantee.md
    /// says how many good frames lie above it.
    pub const fn limit(self) -> f32 {
        match self {
            Self::Exposure => 0.65,
            Self::Blur => 0.65,
            Self::Noise => 0.8,
            Self::Cover => 0.55,
        }
    }
}

impl Health {
    /// Of a picture.
    pub fn of(image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            let nan = f32::NAN;
            return Self { brightness: nan, range: nan, sharpness: nan, covered: nan };
        }
        let near = (width / WIDTH).max(1);
        let pixels = image.as_raw();
        let luma = |x: u32, y: u32| {
            let (x, y) = (x.min(width - 1) as usize, y.min(height - 1) as usize);
            let i = 3 * (y * width as usize + x);
            let [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]].map(u32::from);
            (77 * r + 150 * g + 29 * b) as f32 / (256. * 255.)
        };
        let (mut counts, mut sum, mut fine, mut coarse, mut covered) = ([0_u32; 256], 0., 0., 0., 0);
        for cell in 0..CELLS.0 * CELLS.1 {
            let (column, row) = (cell % CELLS.0, cell / CELLS.0);
            let (mut light, mut texture) = (0., 0.);
            for place in 0..PLACES * PLACES {
                let at = |cell: u32, place: u32, cells: u32, side: u32| {
                    let all = u64::from(cells * PLACES);
                    (u64::from(cell * PLACES + place) * u64::from(side) / all) as u32
                };
                let x = at(column, place % PLACES, CELLS.0, width);
                let y = at(row, place / PLACES, CELLS.1, height);
                let here = luma(x, y);
                let rise =
                    |apart: u32| (luma(x + apart, y) - here).powi(2) + (luma(x, y + apart) - here).powi(2);
                counts[(here * 255.) as usize] += 1;
                light += here;
                texture += rise(near);
                coarse += rise(FAR * near);
            }
            let places = (PLACES * PLACES) as f32;
            sum += light;
            fine += texture;
            covered += u32::from((texture / (2. * places)).sqrt() < TEXTURE && light / places < SKY);
        }
        let cells = (CELLS.0 * CELLS.1) as f32;
        let total = cells * (PLACES * PLACES) as f32;
        let percentile = |share: f32| {
            let mut below = 0;
            let reached = |&count: &u32| {
                below += count;
                below as f32 >= share * total
            };
            counts.iter().position(reached).unwrap_or(255) as f32 / 255.
        };
        Self {
            brightness: sum / total,
            range: percentile(TAILS.1) - percentile(TAILS.0),
            // A picture of one colour has no edge that could be sharp.
            sharpness: if coarse > 0. { (fine / coarse).sqrt() } else { 0. },
            covered: covered as f32 / cells,
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use image::imageops;

    use super::*;

    /// Blocks of all greys, with a little structure in each.
    fn picture() -> RgbImage {
        RgbImage::from_fn(512, 256, |x, y| {
            let grey = (x / 16 * 37 + y / 16 * 91) % 200 + (x * 7 + y * 13) % 5 * 11;
            Rgb([grey as u8; 3])
        })
    }

    #[test]
    fn each_fault_moves_its_own_figure() {
        let image = picture();
        let well = Health::of(&image);
        let blurred = Health::of(&imageops::fast_blur(&image, 4.));
        assert!(blurred.sharpness < 0.7 * well.sharpness, "{blurred:?} {well:?}");
        let mut dark = image.clone();
        dark.iter_mut().for_each(|value| *value /= 10);
        let dark = Health::of(&dark);
        assert!(dark.brightness < 0.15 * well.brightness && dark.range < 0.15 * well.range, "{dark:?}");
        let mut dirty = image.clone();
        for (x, y) in (0..256).flat_map(|x| (0..128).map(move |y| (x, y))) {
            dirty.put_pixel(x, y, Rgb([60, 50, 40]));
        }
        assert!((Health::of(&dirty).covered - well.covered - 0.25).abs() < 0.03, "{:?}", Health::of(&dirty));
    }

    #[test]
    fn one_colour_and_no_pixel_have_figures_without_a_panic() {
        let black = Health::of(&RgbImage::new(64, 48));
        assert_eq!((black.brightness, black.range, black.sharpness, black.covered), (0., 0., 0., 1.));
        assert!(Health::of(&RgbImage::new(0, 5)).brightness.is_nan());
        let point = Health::of(&RgbImage::from_pixel(1, 1, Rgb([255; 3])));
        assert_eq!((point.brightness, point.covered), (1., 0.));
    }
}
