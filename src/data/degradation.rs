//! Failures with ground truth: images degraded to a known degree, whose labels are still known.
//!
//! What a camera meets in years on a road, at strengths from 0 (unchanged) to 1 (worst).

use std::fmt;
use std::str::FromStr;

use image::{GrayImage, Rgb, RgbImage, imageops};
use imageproc::filter::gaussian_blur_f32;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What can happen to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degradation {
    /// A veil, thickest at the horizon.
    Fog,
    /// A low sun in the lens.
    Glare,
    /// Out of focus.
    Blur,
    /// Spots on the lens.
    Dirt,
    /// Rows that the sensor does not deliver.
    DeadRows,
    /// Hardly any light, and the noise that comes with it.
    Darkness,
    /// A sensor that fails.
    Noise,
    /// Mounted the wrong way; it has no degrees.
    UpsideDown,
}

/// A degradation that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no degradation '{0}'; there are fog, glare, blur, dirt, dead-rows, darkness, noise and upside-down")]
pub struct UnknownDegradation(String);

impl FromStr for Degradation {
    type Err = UnknownDegradation;

    fn from_str(text: &str) -> Result<Self, UnknownDegradation> {
        Self::ALL.into_iter().find(|d| d.name() == text).ok_or_else(|| UnknownDegradation(text.to_owned()))
    }
}

impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Degradation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Fog,
        Self::Glare,
        Self::Blur,
        Self::Dirt,
        Self::DeadRows,
        Self::Darkness,
        Self::Noise,
        Self::UpsideDown,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fog => "fog",
            Self::Glare => "glare",
            Self::Blur => "blur",
            Self::Dirt => "dirt",
            Self::DeadRows => "dead-rows",
            Self::Darkness => "darkness",
            Self::Noise => "noise",
            Self::UpsideDown => "upside-down",
        }
    }

    /// The image at `strength` (0 to 1), and its labels, which follow where pixels move.
    pub(crate) fn apply(
        self,
        image: &RgbImage,
        labels: &GrayImage,
        strength: f32,
        rng: &mut ChaCha8Rng,
    ) -> (RgbImage, GrayImage) {
        if strength <= 0. || image.is_empty() {
            return (image.clone(), labels.clone());
        }
        let degraded = match self {
            Self::UpsideDown => return (imageops::flip_vertical(image), imageops::flip_vertical(labels)),
            Self::Fog => fog(image, strength, rng),
            Self::Glare => glare(image, strength, rng),
            Self::Blur => gaussian_blur_f32(image, (strength * image.height() as f32 / 18.).max(0.1)),
            Self::Dirt => dirt(image, strength, rng),
            Self::DeadRows => dead_rows(image, strength, rng),
            Self::Darkness => noisy(image, 1. - 0.975 * strength, 10. * strength, rng),
            Self::Noise => noise(image, strength, rng),
        };
        (degraded, labels.clone())
    }
}

/// Mixes every pixel with `color` by the share that `share` gives for its position, (0, 0) to (1, 1).
fn veil(image: &RgbImage, color: [f32; 3], share: impl Fn(f32, f32) -> f32) -> RgbImage {
    let (width, height) = image.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let share = share(x as f32 / width as f32, y as f32 / height as f32).clamp(0., 1.);
        let pixel = image.get_pixel(x, y);
        Rgb(std::array::from_fn(|i| (f32::from(pixel[i]) * (1. - share) + color[i] * share) as u8))
    })
}

fn fog(image: &RgbImage, strength: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let grey: f32 = rng.random_range(150.0..235.);
    veil(image, [grey, grey, grey * 1.02], |_, y| {
        // What is near lies low in the image.
        let depth = 1. - 0.75 * ((y - 0.5) / 0.5).max(0.);
        1. - (-3.2 * strength * depth).exp()
    })
}

fn glare(image: &RgbImage, strength: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let (sun_x, sun_y) = (rng.random_range(0.15..0.85), rng.random_range(0.05..0.45f32));
    let wide = 0.12 + 0.5 * strength;
    veil(image, [255., 246., 224.], |x, y| {
        let away = ((x - sun_x).powi(2) * 4. + (y - sun_y).powi(2)).sqrt();
        strength * (1.6 * (-(away / wide).powi(2)).exp() + 0.35)
    })
}

fn dirt(image: &RgbImage, strength: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let spots: Vec<[f32; 4]> = (0..(2. + 26. * strength) as usize)
        .map(|_| {
            let size = rng.random_range(0.03..0.06 + 0.12 * strength);
            [rng.random_range(0.0..2.), rng.random_range(0.0..1.), size, rng.random_range(0.5..0.97)]
        })
        .collect();
    let brown = rng.random_range(0.7..1.2f32);
    veil(image, [62. * brown, 52. * brown, 42. * brown], |x, y| {
        let cover = |&[sx, sy, size, thick]: &[f32; 4]| {
            let away = ((2. * x - sx).powi(2) + (y - sy).powi(2)).sqrt() / size;
            thick * ((1.25 - away) / 0.5).clamp(0., 1.)
        };
        spots.iter().map(cover).fold(0., f32::max)
    })
}

fn dead_rows(image: &RgbImage, strength: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut degraded = image.clone();
    let (width, height) = image.dimensions();
    let mut left = (0.7 * strength * height as f32).ceil() as u32;
    while left > 0 {
        let first = rng.random_range(0..height);
        let count = rng.random_range(1..=8).min(left);
        let color = if rng.random_bool(0.7) { Rgb([0; 3]) } else { Rgb(rng.random()) };
        for y in first..(first + count).min(height) {
            (0..width).for_each(|x| degraded.put_pixel(x, y, color));
        }
        left -= count;
    }
    degraded
}

/// Every value times `gain`, with noise of `sigma` of 255.
fn noisy(image: &RgbImage, gain: f32, sigma: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut degraded = image.clone();
    for value in degraded.iter_mut() {
        // The sum of three dice is Gaussian enough.
        let dice: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0f32)).sum();
        *value = (f32::from(*value) * gain + dice * sigma) as u8;
    }
    degraded
}

fn noise(image: &RgbImage, strength: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut degraded = image.clone();
    for value in degraded.iter_mut() {
        *value = (f32::from(*value) * (1. - strength) + rng.random_range(0.0..255.) * strength) as u8;
    }
    degraded
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn image_and_labels() -> (RgbImage, GrayImage) {
        let image = RgbImage::from_fn(48, 24, |x, y| {
            Rgb([(5 * x) as u8, (9 * y) as u8, ((x / 4 + y / 4) % 2 * 200) as u8])
        });
        let labels = GrayImage::from_fn(48, 24, |_, y| image::Luma([u8::from(y > 12)]));
        (image, labels)
    }

    fn distance(a: &RgbImage, b: &RgbImage) -> f32 {
        let sum: f32 = a.iter().zip(b.iter()).map(|(a, b)| (f32::from(*a) - f32::from(*b)).abs()).sum();
        sum / a.len() as f32
    }

    #[test]
    fn more_strength_is_farther_from_the_image() {
        let (image, labels) = image_and_labels();
        for degradation in Degradation::ALL {
            let at = |strength| {
                let rng = &mut ChaCha8Rng::seed_from_u64(3);
                degradation.apply(&image, &labels, strength, rng)
            };
            assert_eq!(at(0.), (image.clone(), labels.clone()), "{degradation}");
            let [weak, strong] = [0.2, 1.].map(|s| distance(&at(s).0, &image));
            assert!(weak > 0.5 && strong >= weak, "{degradation}: {weak} {strong}");
            assert_eq!(at(0.7), at(0.7), "{degradation}: by the seed alone");
            assert_eq!(degradation.name().parse(), Ok(degradation));
        }
    }

    #[test]
    fn labels_follow_the_pixels() {
        let (image, labels) = image_and_labels();
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let (turned, followed) = Degradation::UpsideDown.apply(&image, &labels, 1., rng);
        assert_eq!(turned.get_pixel(7, 0), image.get_pixel(7, 23));
        assert_eq!(followed.get_pixel(7, 0)[0], 1);
    }
}
