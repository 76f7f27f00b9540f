//! A drive as an animated GIF: it plays anywhere, in a README too.

use std::io;
use std::path::Path;

use gif::{Encoder, EncodingError, Frame, Repeat};
use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::whole_file;

/// Widest frame of a film, in pixels.
const WIDTH: u32 = 512;
/// Largest film, in bytes.
const BUDGET: usize = 9_000_000;
/// How long a frame is shown, in hundredths of a second.
const DELAY: u16 = 20;
/// NeuQuant samples every n-th pixel.
const SAMPLING: i32 = 5;

/// The images of a drive, compressed as they arrive. A film above 9 MB is thinned out: every other image
/// is dropped, and from then on every other new one. So a long drive plays as a short one, from its
/// beginning to its end.
#[derive(Debug)]
pub(crate) struct Film {
    frames: Vec<Frame<'static>>,
    size: Option<(u32, u32)>,
    budget: usize,
    /// One image in so many is kept.
    stride: usize,
    seen: usize,
}

impl Default for Film {
    fn default() -> Self {
        Self::with_budget(BUDGET)
    }
}

impl Film {
    fn with_budget(budget: usize) -> Self {
        Self { frames: Vec::new(), size: None, budget, stride: 1, seen: 0 }
    }

    /// Adds an image. The first decides the size; images wider than 512 pixels are reduced.
    pub fn add(&mut self, image: &RgbImage) {
        let wanted = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !wanted || image.is_empty() {
            return;
        }
        let (width, height) = *self.size.get_or_insert_with(|| reduced(image.dimensions()));
        let frame = if image.dimensions() == (width, height) {
            compressed(image)
        } else {
            compressed(&imageops::resize(image, width, height, FilterType::Triangle))
        };
        self.frames.push(frame);
        while self.bytes() > self.budget && self.frames.len() > 1 {
            self.stride *= 2;
            let mut place = 0..;
            self.frames.retain(|_| place.next().is_some_and(|place: usize| place.is_multiple_of(2)));
        }
    }

    /// Number of images in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether it has no image.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes the film, which plays in a loop. Only errors of the file are possible.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let (width, height) = self.size.unwrap_or((1, 1));
        let mut encoder = Encoder::new(Vec::new(), width as u16, height as u16, &[]).map_err(io_error)?;
        encoder.set_repeat(Repeat::Infinite).map_err(io_error)?;
        for frame in &self.frames {
            encoder.write_lzw_pre_encoded_frame(frame).map_err(io_error)?;
        }
        whole_file::write(path, encoder.into_inner().map_err(io_error)?)
    }

    fn bytes(&self) -> usize {
        // Each frame has a palette of 256 colours and a header.
        self.frames.iter().map(|frame| frame.buffer.len() + 800).sum()
    }
}

fn reduced((width, height): (u32, u32)) -> (u32, u32) {
    if width <= WIDTH {
        return (width, height.min(u32::from(u16::MAX)));
    }
    let scaled = u64::from(height) * u64::from(WIDTH) / u64::from(width);
    (WIDTH, scaled.clamp(1, u64::from(u16::MAX)) as u32)
}

fn compressed(image: &RgbImage) -> Frame<'static> {
    let (width, height) = image.dimensions();
    let mut frame = Frame::from_rgb_speed(width as u16, height as u16, image.as_raw(), SAMPLING);
    frame.delay = DELAY;
    frame.make_lzw_pre_encoded();
    frame
}

fn io_error(error: EncodingError) -> io::Error {
    match error {
        EncodingError::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use image::Rgb;

    use super::*;

    fn image(width: u32, height: u32, shade: u8) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([shade, x as u8, (x * y) as u8]))
    }

    /// Size, and red of the first pixel of each image.
    fn read(path: &Path) -> ((u16, u16), Vec<u8>) {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(File::open(path).unwrap()).unwrap();
        let size = (decoder.width(), decoder.height());
        let mut shades = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            shades.push(frame.buffer[0]);
        }
        (size, shades)
    }

    #[test]
    fn images_come_back_in_order_and_large_ones_reduced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.gif");
        let mut film = Film::default();
        for shade in [0, 100, 200] {
            film.add(&image(1024, 128, shade));
        }
        film.add(&image(40, 30, 250));
        film.add(&RgbImage::new(0, 0));
        film.write(&path).unwrap();
        let (size, shades) = read(&path);
        assert_eq!(size, (512, 64));
        assert_eq!(shades.len(), 4);
        for (shade, expected) in shades.into_iter().zip([0u8, 100, 200, 250]) {
            assert!(shade.abs_diff(expected) <= 8, "{shade} for {expected}");
        }
    }

    #[test]
    fn a_long_drive_is_thinned_out_evenly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.gif");
        let budget = 40_000;
        let mut film = Film::with_budget(budget);
        for shade in 0..100 {
            film.add(&image(64, 64, 2 * shade));
        }
        film.write(&path).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < budget as u64 + 1000);
        let (_, shades) = read(&path);
        assert!(shades.len() >= 4, "{} left", shades.len());
        let step = 200.0 / shades.len() as f64;
        for (place, shade) in shades.iter().enumerate() {
            let expected = step * place as f64;
            assert!((f64::from(*shade) - expected).abs() <= step, "{shades:?}");
        }
    }
}
