//! What things look like: cut-outs, textures of other images, noise, paint.

use image::imageops::{self, FilterType};
use image::{Rgba, RgbaImage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::shape::Shape;
use super::{Canvas, Thing};

/// Shares of the kinds of things, where there are cut-outs.
const CUT_OUT: f64 = 0.5;
const BLOB: f64 = 0.6;
/// Share of the cut-outs that lend their outline alone.
const OUTLINE: f64 = 0.2;

/// A thing of no class, of about `height` rows.
pub(super) fn thing(cutouts: &[RgbaImage], texture: &Canvas, height: f64, rng: &mut ChaCha8Rng) -> Thing {
    if !cutouts.is_empty() && rng.random_bool(CUT_OUT) {
        let cutout = &cutouts[rng.random_range(0..cutouts.len())];
        let (shape, rgb) = cut_out(cutout, height, rng);
        if !rng.random_bool(OUTLINE) {
            let rgb = recolored(rgb, rng);
            return Thing { height: shape.height, width: shape.width, alpha: shape.alpha, rgb };
        }
        return filled(shape, texture, rng);
    }
    let shape = if rng.random_bool(BLOB) { Shape::blob(height, rng) } else { Shape::solid(height, rng) };
    filled(shape, texture, rng)
}

fn cut_out(cutout: &RgbaImage, height: f64, rng: &mut ChaCha8Rng) -> (Shape, Vec<[f32; 3]>) {
    let mut picture = match rng.random_range(0..10) {
        0 => imageops::rotate90(cutout),
        1 => imageops::rotate180(cutout),
        2 => imageops::rotate270(cutout),
        _ => cutout.clone(),
    };
    if rng.random_bool(0.5) {
        imageops::flip_horizontal_in_place(&mut picture);
    }
    let stretch = rng.random_range(0.75..1.33);
    let rows = (height.round() as u32).max(2);
    let columns =
        ((f64::from(picture.width()) * height / f64::from(picture.height()) * stretch) as u32).max(2);
    // A long thing is no longer than three times its height.
    let picture = imageops::resize(&picture, columns.min(3 * rows), rows, FilterType::Triangle);
    let of = |Rgba([r, g, b, _]): &Rgba<u8>| [*r, *g, *b].map(|v| f32::from(v) / 255.);
    let alpha = picture.pixels().map(|p| f32::from(p.0[3]) / 255.).collect();
    let shape = Shape { height: picture.height() as usize, width: picture.width() as usize, alpha };
    (shape.softened(rng), picture.pixels().map(of).collect())
}

fn filled(shape: Shape, texture: &Canvas, rng: &mut ChaCha8Rng) -> Thing {
    let (height, width) = (shape.height, shape.width);
    let mut rgb = match rng.random_range(0..10) {
        0..6 => recolored(patch(texture, (height, width), rng), rng),
        6..8 => noise((height, width), rng),
        _ => vec![[(); 3].map(|()| rng.random_range(0.03..0.97)); height * width],
    };
    shade(&mut rgb, (height, width), rng);
    Thing { height, width, alpha: shape.alpha, rgb }
}

/// A part of another image, enlarged or reduced.
fn patch(texture: &Canvas, (height, width): (usize, usize), rng: &mut ChaCha8Rng) -> Vec<[f32; 3]> {
    let scale = rng.random_range(0.25f32.ln()..2f32.ln()).exp();
    let (mirrored, turned) = (rng.random_bool(0.5), rng.random_bool(0.5));
    let (top, left) = (rng.random_range(0..texture.height), rng.random_range(0..texture.width));
    let along = |i: usize, from: usize, side: usize| {
        // There and back at the image's end.
        let i = (from + (i as f32 * scale) as usize) % (2 * side);
        i.min(2 * side - 1 - i)
    };
    (0..height * width)
        .map(|i| {
            let (mut y, mut x) = (i / width, i % width);
            if mirrored {
                x = width - 1 - x;
            }
            if turned {
                (y, x) = (x, y);
            }
            texture.rgb[along(y, top, texture.height) * texture.width + along(x, left, texture.width)]
        })
        .collect()
}

/// Coloured noise, of cells of a drawn size.
fn noise((height, width): (usize, usize), rng: &mut ChaCha8Rng) -> Vec<[f32; 3]> {
    let cell = rng.random_range(1..=8usize);
    let columns = width / cell + 1;
    let base = [(); 3].map(|()| rng.random_range(0.1..0.9f32));
    let (strength, grey) = (rng.random_range(0.05..0.4f32), rng.random_bool(0.5));
    let cells: Vec<[f32; 3]> = (0..columns * (height / cell + 1))
        .map(|_| {
            let one = rng.random_range(-1.0..1.0f32);
            base.map(|value| {
                let drawn = if grey { one } else { rng.random_range(-1.0..1.0) };
                (value + strength * drawn).clamp(0., 1.)
            })
        })
        .collect();
    (0..height * width).map(|i| cells[i / width / cell * columns + i % width / cell]).collect()
}

/// Channels changed round, other contrast and brightness.
fn recolored(mut rgb: Vec<[f32; 3]>, rng: &mut ChaCha8Rng) -> Vec<[f32; 3]> {
    let (contrast, brightness) = (rng.random_range(0.5..1.5f32), rng.random_range(-0.2..0.2f32));
    let turn = if rng.random_bool(0.4) { rng.random_range(0..3) } else { 0 };
    let grey = if rng.random_bool(0.3) { rng.random_range(0.3..1.0f32) } else { 0. };
    let count = rgb.len().max(1) as f32;
    let mean = rgb.iter().flatten().sum::<f32>() / (3. * count);
    for pixel in &mut rgb {
        pixel.rotate_left(turn);
        let luminance = pixel.iter().sum::<f32>() / 3.;
        *pixel = pixel.map(|value| {
            let value = value + grey * (luminance - value);
            ((value - mean) * contrast + mean + brightness).clamp(0., 1.)
        });
    }
    rgb
}

/// Light from one side, from above, or on a round body.
fn shade(rgb: &mut [[f32; 3]], (height, width): (usize, usize), rng: &mut ChaCha8Rng) {
    let (kind, depth) = (rng.random_range(0..4), rng.random_range(0.2..0.7f32));
    let edge = rng.random_range(0.25..0.75f32);
    for (i, pixel) in rgb.iter_mut().enumerate() {
        let (y, x) = ((i / width) as f32 / height as f32, (i % width) as f32 / width as f32);
        let dark = match kind {
            0 => y,
            1 => 2. * (x - edge).abs(),
            2 => f32::from(u8::from(x > edge)),
            _ => 0.,
        };
        pixel.iter_mut().for_each(|value| *value *= 1. - depth * dark.clamp(0., 1.));
    }
}

/// Paint on the ground, or a lid in it: thin, lying, of one colour.
pub(super) fn flat(
    (height, width): (f32, f32),
    is_paint: bool,
    ground: [f32; 3],
    rng: &mut ChaCha8Rng,
) -> Thing {
    let (height, width) = ((height.round() as usize).max(2), (width.round() as usize).max(2));
    let (alpha, color) = if is_paint {
        let lean = rng.random_range(-0.5..0.5f32);
        let thick = rng.random_range(0.15..0.5f32);
        let alpha = (0..height * width).map(|i| {
            let (y, x) = ((i / width) as f32 / height as f32, (i % width) as f32 / width as f32);
            f32::from(u8::from((x - 0.5 - lean * (y - 0.5)).abs() < thick))
        });
        let bright = rng.random_range(0.55..0.95f32);
        let yellow = if rng.random_bool(0.15) { 0.4 } else { 1. };
        (alpha.collect::<Vec<_>>(), [bright, bright, bright * yellow])
    } else {
        let alpha = (0..height * width).map(|i| {
            let (y, x) = ((i / width) as f32 / height as f32, (i % width) as f32 / width as f32);
            f32::from(u8::from((2. * y - 1.).powi(2) + (2. * x - 1.).powi(2) < 1.))
        });
        let darker = rng.random_range(0.5..1.1f32);
        (alpha.collect(), ground.map(|value| (value * darker).min(1.)))
    };
    let shape = Shape { height, width, alpha }.softened(rng);
    let opacity = rng.random_range(0.4..0.95f32);
    let grain = rng.random_range(0.0..0.08f32);
    let rgb = (0..height * width)
        .map(|_| {
            let drawn = rng.random_range(-1.0..1.0f32) * grain;
            color.map(|value| (value + drawn).clamp(0., 1.))
        })
        .collect();
    Thing { height, width, alpha: shape.alpha.iter().map(|alpha| alpha * opacity).collect(), rgb }
}

/// Shares of the way to the mean colour around it that a thing in haze goes.
const HAZE: std::ops::Range<f32> = 0.15..0.7;

/// The thing as it is seen through haze: paler, towards the mean colour of where it will be.
pub(super) fn in_haze(mut thing: Thing, canvas: &Canvas, corner: (i64, i64), rng: &mut ChaCha8Rng) -> Thing {
    let (mut around, mut weight) = ([0.; 3], 0.);
    super::each_pixel(&thing, (canvas.height, canvas.width), corner, |place, alpha, _| {
        for (sum, value) in around.iter_mut().zip(canvas.rgb[place]) {
            *sum += alpha * value;
        }
        weight += alpha;
    });
    let share = rng.random_range(HAZE);
    if weight > 0. {
        let around = around.map(|sum| sum / weight);
        thing.rgb.iter_mut().for_each(|pixel| super::blend(pixel, around, share));
    }
    thing
}

/// The thing with its brightness moved towards that of where it will be: most are in the light of the scene.
pub(super) fn lit_as(
    mut thing: Thing,
    canvas: &Canvas,
    (top, left): (i64, i64),
    rng: &mut ChaCha8Rng,
) -> Thing {
    let (mut around, mut own, mut weight) = (0., 0., 0.);
    super::each_pixel(&thing, (canvas.height, canvas.width), (top, left), |place, alpha, color| {
        around += alpha * canvas.rgb[place].iter().sum::<f32>();
        own += alpha * color.iter().sum::<f32>();
        weight += 3. * alpha;
    });
    if weight > 0. {
        let shift = (around - own) / weight * rng.random_range(0.0..0.8f32);
        thing.rgb.iter_mut().flatten().for_each(|value| *value = (*value + shift).clamp(0., 1.));
    }
    thing
}
