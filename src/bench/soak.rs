//! Many frames in a row, to see whether the memory grows.

use image::RgbImage;
use serde::Serialize;

use super::memory::Memory;
use super::{median, millis, timed};
use crate::data::Sample;
use crate::frame::Frame;
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::{Monitor, MonitorError};

/// Resident memory while a monitor works.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    /// Frames in all.
    pub frames: usize,
    /// Median time of a frame, milliseconds.
    pub millis: f64,
    /// Memory in MB at ten points, the first after the warm-up.
    pub memory: Vec<f64>,
}

const POINTS: usize = 10;
/// Columns per round; coprime to the usual widths, so that an image repeats only after many rounds.
const TURN: usize = 7;

/// An image whose columns are moved to the left; those that leave it enter on the right.
fn turned(image: &RgbImage, columns: usize) -> RgbImage {
    let mut turned = image.clone();
    let row = 3 * image.width().max(1) as usize;
    turned.chunks_exact_mut(row).for_each(|pixels| pixels.rotate_left(3 * columns % row));
    turned
}

impl Soak {
    /// Runs `frames` frames through the monitor after a tenth of that to warm up: `samples` over and over,
    /// turned a little further sideways each time, so that no label map comes twice. `None` where the
    /// memory cannot be read.
    pub fn run(monitor: &Monitor, samples: &[Sample], frames: usize) -> Result<Option<Self>, MonitorError> {
        let rounds = (0..).flat_map(|round| samples.iter().map(move |sample| (round, sample)));
        let mut stream = rounds.map(|(round, sample)| Frame::new(turned(&sample.image, TURN * round)));
        let stretch = (frames / POINTS).max(1);
        let (mut memory, mut times) = (Vec::new(), Vec::new());
        for _ in 0..=frames / stretch {
            for frame in stream.by_ref().take(stretch) {
                let (outcome, time) = timed(|| monitor.process(&frame, Wanted::ALL));
                outcome?;
                times.push(time);
            }
            let Some(now) = Memory::read() else { return Ok(None) };
            memory.push(now.now);
        }
        Ok(Some(Self { frames: times.len(), millis: millis(median(&times)), memory }))
    }

    /// Megabytes from the first point to the last.
    pub fn growth(&self) -> f64 {
        self.memory.last().zip(self.memory.first()).map_or(0., |(last, first)| last - first)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn columns_move_round() {
        let image = RgbImage::from_fn(5, 2, |x, y| Rgb([x as u8, y as u8, 0]));
        let turned = turned(&image, 7);
        for (x, y, pixel) in turned.enumerate_pixels() {
            assert_eq!(*pixel, Rgb([((x + 7) % 5) as u8, y as u8, 0]));
        }
    }
}
