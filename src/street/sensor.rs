//! From light to an image as a camera gives it: motion, optics, exposure, noise, rain, JPEG.

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, Rgb, RgbImage};
use imageproc::drawing::draw_antialiased_line_segment_mut;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::camera::Camera;
use super::material::Light;
use super::weather::Weather;

/// Steps of the tone curve.
const TONES: usize = 4096;
/// Linear light at which the tone curve ends.
const WHITE: f32 = 4.;

/// A camera's sensor and what follows it.
pub(crate) struct Sensor {
    rng: ChaCha8Rng,
    /// Standard deviation of the noise at middle grey, of 255.
    noise: f32,
    /// Error of the white balance, a factor per colour.
    balance: Light,
    /// Mean grey that the exposure aims at.
    aim: f32,
    exposure: Option<f32>,
    /// Shutter time in seconds.
    shutter: f32,
    quality: u8,
    gaussian: Vec<f32>,
    tones: Vec<f32>,
    light: Vec<Light>,
}

impl Sensor {
    /// A sensor; in the dark its noise grows and its shutter stays open.
    pub fn new(weather: &Weather, mut rng: ChaCha8Rng) -> Self {
        let mut draw = |low: f32, high: f32| rng.random_range(low..high);
        let noise = draw(1., 3.5) + 5. * weather.night;
        let balance = [draw(0.94, 1.06), 1., draw(0.93, 1.07)];
        let aim = draw(0.36, 0.46) - 0.14 * weather.night;
        let shutter = draw(0.002, 0.012) + 0.012 * weather.night;
        let quality = draw(72., 96.) as u8;
        // The sum of four dice is Gaussian enough for noise.
        let gaussian = (0..1 << 16).map(|_| (0..4).map(|_| draw(-1., 1.)).sum::<f32>() * 0.866).collect();
        // Linear light to sRGB by a curve that rolls off towards white.
        let tone = |i: usize| {
            let x = i as f32 / TONES as f32 * WHITE;
            let rolled = x * (1. + x / (WHITE * WHITE)) / (1. + 0.45 * x);
            255. * rolled.min(1.).powf(1. / 2.2)
        };
        let tones = (0..=TONES).map(tone).collect();
        Self {
            rng,
            noise,
            balance,
            aim,
            exposure: None,
            shutter,
            quality,
            gaussian,
            tones,
            light: Vec::new(),
        }
    }

    /// Exposes a frame.
    pub(crate) fn expose(
        &mut self,
        radiance: &[Light],
        size: (u32, u32),
        weather: &Weather,
        camera: &Camera,
    ) -> RgbImage {
        self.move_and_blur(radiance, size, camera);
        let gain = self.meter();
        let (width, height) = size;
        let mut raw = Vec::with_capacity(radiance.len() * 3);
        let start: usize = self.rng.random_range(0..self.gaussian.len());
        let mut dice = self.gaussian[start..].iter().chain(self.gaussian.iter().cycle());
        for (i, light) in self.light.iter().enumerate() {
            let (x, y) = (i as u32 % width, i as u32 / width);
            let (dx, dy) = (x as f32 / width as f32 - 0.5, y as f32 / height as f32 - 0.5);
            let corner = gain * (1. - 0.45 * (dx * dx + 0.5 * dy * dy));
            for (channel, balance) in light.iter().zip(self.balance) {
                let value = channel * balance * corner;
                let tone = self.tones[((value * (TONES as f32 / WHITE)) as usize).min(TONES)];
                let grain = dice.next().copied().unwrap_or(0.) * self.noise * (1.15 - tone / 400.);
                // A cast rounds down and clamps.
                raw.push((tone + grain + 0.5) as u8);
            }
        }
        let mut image = RgbImage::from_raw(width, height, raw).expect("three bytes for every pixel");
        if weather.rain > 0. {
            self.rain(&mut image, weather.rain, gain);
        }
        self.through_jpeg(image)
    }

    /// Blurs along the motion, which spreads from the vanishing point, and by the lens.
    fn move_and_blur(&mut self, radiance: &[Light], (width, height): (u32, u32), camera: &Camera) {
        let (w, h) = (width as usize, height as usize);
        let moved = camera.speed() * self.shutter;
        self.light.clear();
        for y in 0..h {
            // Below the horizon everything is as near as the ground, above it mostly farther.
            let down = (y as f32 - 0.5 * h as f32) / h as f32;
            let depth = if down > 0.02 { (0.6 / down).min(40.) } else { 16. };
            let spread = moved / depth;
            for x in 0..w {
                let (dx, dy) = ((x as f32 - 0.5 * w as f32) * spread, (y as f32 - 0.5 * h as f32) * spread);
                let at = |k: f32| {
                    let px = ((x as f32 + k * dx + 0.5) as usize).min(w - 1);
                    let py = ((y as f32 + k * dy + 0.5) as usize).min(h - 1);
                    radiance[py * w + px]
                };
                let own = radiance[y * w + x];
                let (right, below) =
                    (radiance[y * w + (x + 1).min(w - 1)], radiance[(y + 1).min(h - 1) * w + x]);
                let (left, above) =
                    (radiance[y * w + x.saturating_sub(1)], radiance[y.saturating_sub(1) * w + x]);
                let sum = if dx.abs() + dy.abs() < 0.5 {
                    own.map(|v| 2. * v)
                } else {
                    let (a, b) = (at(-0.5), at(0.5));
                    std::array::from_fn(|i| a[i] + b[i])
                };
                self.light.push(std::array::from_fn(|i| {
                    0.5 * own[i] + 0.1 * sum[i] + 0.075 * (right[i] + below[i] + left[i] + above[i])
                }));
            }
        }
    }

    /// The gain that brings the mean tone to where it should be, slowly.
    fn meter(&mut self) -> f32 {
        let logs = self.light.iter().step_by(37).map(|l| (0.3 * l[0] + 0.6 * l[1] + 0.1 * l[2] + 1e-3).ln());
        let count = self.light.len().div_ceil(37) as f32;
        let mean = (logs.sum::<f32>() / count).exp();
        // Night must not turn into day.
        let wanted = (self.aim * 0.62 / mean).clamp(0.3, 3.);
        let gain = self.exposure.map_or(wanted, |last| last + 0.25 * (wanted - last));
        self.exposure = Some(gain);
        gain
    }

    fn rain(&mut self, image: &mut RgbImage, rain: f32, gain: f32) {
        let (width, height) = image.dimensions();
        let bright = (90. + 110. * gain.min(1.)).min(220.) as u8;
        let slant = self.rng.random_range(-0.12..0.12);
        for _ in 0..(rain * 260. * width as f32 / 512.) as usize {
            let (x, y) = (self.rng.random_range(0..width) as i32, self.rng.random_range(0..height) as i32);
            let length = self.rng.random_range(6..18) as f32 * height as f32 / 256.;
            let share = self.rng.random_range(0.06..0.2f32);
            let end = (x + (length * slant) as i32, y + length as i32);
            draw_antialiased_line_segment_mut(
                image,
                (x, y),
                end,
                Rgb([bright; 3]),
                |line, ground, weight| {
                    let share = share * weight;
                    Rgb(std::array::from_fn(|i| {
                        (f32::from(line[i]) * share + f32::from(ground[i]) * (1. - share)) as u8
                    }))
                },
            );
        }
    }

    fn through_jpeg(&self, image: RgbImage) -> RgbImage {
        let mut bytes = Vec::new();
        let coded =
            JpegEncoder::new_with_quality(&mut bytes, self.quality).encode_image(&image).and_then(|()| {
                let decoder = JpegDecoder::new(std::io::Cursor::new(&bytes))?;
                DynamicImage::from_decoder(decoder)
            });
        // In memory it does not fail; a frame without its artefacts would still be a frame.
        coded.map_or(image, DynamicImage::into_rgb8)
    }
}
