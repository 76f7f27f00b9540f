//! Silhouettes of things that nobody cut out.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How opaque each pixel of a rectangle is, row by row.
pub(super) struct Shape {
    pub height: usize,
    pub width: usize,
    pub alpha: Vec<f32>,
}

/// Cells of the noise that makes an outline irregular.
const CELLS: std::ops::RangeInclusive<usize> = 2..=6;
/// Widths of an edge, in pixels.
const EDGE: std::ops::Range<f32> = 0.3..0.9;

impl Shape {
    fn drawn(height: f64, width: f64, inside: impl Fn(f32, f32) -> bool) -> Self {
        let (height, width) = ((height.round() as usize).max(2), (width.round() as usize).max(2));
        let share = |i: usize, side: usize| (i as f32 + 0.5) / side as f32;
        let alpha = (0..height * width)
            .map(|i| f32::from(u8::from(inside(share(i / width, height), share(i % width, width)))))
            .collect();
        Self { height, width, alpha }
    }

    /// An ellipse whose outline smoothed noise has bent, of `height` rows.
    pub fn blob(height: f64, rng: &mut ChaCha8Rng) -> Self {
        let width = height * rng.random_range(0.5f64.ln()..2f64.ln()).exp();
        let cells = rng.random_range(CELLS);
        let noise: Vec<f32> = (0..(cells + 1) * (cells + 1)).map(|_| rng.random_range(-1.0..1.0)).collect();
        let strength = rng.random_range(0.1..0.8f32);
        let at = |y: f32, x: f32| {
            let (y, x) = (y * cells as f32, x * cells as f32);
            let (row, column) = ((y as usize).min(cells - 1), (x as usize).min(cells - 1));
            let (v, u) = (y - row as f32, x - column as f32);
            let of = |r: usize, c: usize| noise[(row + r) * (cells + 1) + column + c];
            (of(0, 0) * (1. - u) + of(0, 1) * u) * (1. - v) + (of(1, 0) * (1. - u) + of(1, 1) * u) * v
        };
        let shape = Self::drawn(height, width, |y, x| {
            let distance = ((2. * y - 1.).powi(2) + (2. * x - 1.).powi(2)).sqrt();
            distance + strength * at(y, x) < 0.8
        });
        shape.softened(rng)
    }

    /// A box or a cone, upright or lying.
    pub fn solid(height: f64, rng: &mut ChaCha8Rng) -> Self {
        let width = height * rng.random_range(0.3f64.ln()..3f64.ln()).exp();
        let (top, lean) = (rng.random_range(0.1..1.0f32), rng.random_range(-0.15..0.15f32));
        let shape = Self::drawn(height, width, |y, x| {
            let half = 0.5 * (top + (1. - top) * y);
            (x - 0.5 - lean * (1. - y)).abs() < half.min(0.5 - lean.abs())
        });
        shape.softened(rng)
    }

    /// With the edges of a camera.
    pub fn softened(self, rng: &mut ChaCha8Rng) -> Self {
        let sigma = rng.random_range(EDGE);
        let taps: Vec<f32> = (-2..=2).map(|i| (-((i * i) as f32) / (2. * sigma * sigma)).exp()).collect();
        let sum: f32 = taps.iter().sum();
        let (height, width) = (self.height, self.width);
        let along = |from: &[f32], (rows, columns): (i64, i64)| -> Vec<f32> {
            let at = |y: i64, x: i64| {
                let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                if inside { from[y as usize * width + x as usize] } else { 0. }
            };
            (0..(height * width) as i64)
                .map(|i| {
                    let (y, x) = (i / width as i64, i % width as i64);
                    taps.iter().zip(-2..).map(|(tap, k)| tap * at(y + k * rows, x + k * columns)).sum::<f32>()
                        / sum
                })
                .collect()
        };
        let alpha = along(&along(&self.alpha, (0, 1)), (1, 0));
        Self { alpha, ..self }
    }
}
