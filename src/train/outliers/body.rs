//! Bodies: boxes, ellipsoids and cylinders put together at random, seen from a little above, in light from one side.
//! They have faces in light of their own, which photographs of things and patches of texture have not.

use std::f32::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Thing;
use super::shape::Shape;

type Vector = [f32; 3];

/// Of how many parts a body is, without its legs.
const PARTS: std::ops::RangeInclusive<usize> = 1..=5;
/// Share of the bodies that stand on legs.
const LEGS: f64 = 0.3;
/// Samples along each side of a pixel.
const SAMPLES: usize = 2;
/// A body is no longer than so many times its height.
const LONGEST: f32 = 3.;

#[derive(Clone, Copy)]
enum Form {
    Box,
    Ellipsoid,
    Cylinder,
}

/// One part: a form of side two about its middle, stretched, turned about the vertical.
struct Part {
    form: Form,
    middle: Vector,
    half: Vector,
    turn: f32,
    color: Vector,
    second_color: Vector,
    pattern: Pattern,
}

#[derive(Clone, Copy)]
enum Pattern {
    Plain,
    Bands(f32),
    Checks(f32),
}

/// x to the right, y up, z towards the camera.
struct View {
    /// How far above the horizon the camera looks from, radians.
    pitch: f32,
    /// Towards the light, of length one.
    light: Vector,
    ambient: f32,
}

/// A body of about `height` rows.
pub(super) fn draw(height: f64, rng: &mut ChaCha8Rng) -> Thing {
    let parts = parts(rng);
    let (azimuth, elevation) = (rng.random_range(0.0..TAU), rng.random_range(0.3..1.4f32));
    let view = View {
        pitch: rng.random_range(0.0..0.35),
        light: [elevation.cos() * azimuth.cos(), elevation.sin(), elevation.cos() * azimuth.sin()],
        ambient: rng.random_range(0.3..0.75),
    };
    let [left, bottom, right, top] = bounds(&parts, view.pitch);
    let rows = (height.round() as usize).max(2);
    let scale = (top - bottom) / rows as f32;
    let columns = (((right - left) / scale).ceil().min(LONGEST * rows as f32) as usize).max(2);
    let (middle, step) = ((left + right) / 2., scale / SAMPLES as f32);
    let mut alpha = Vec::with_capacity(rows * columns);
    let mut rgb = Vec::with_capacity(rows * columns);
    for i in 0..rows * columns {
        let (mut sum, mut hits) = ([0.; 3], 0.);
        for sample in 0..SAMPLES * SAMPLES {
            let (row, column) =
                (i / columns * SAMPLES + sample / SAMPLES, i % columns * SAMPLES + sample % SAMPLES);
            let across = middle + (column as f32 + 0.5) * step - columns as f32 * scale / 2.;
            if let Some(color) = seen(&parts, &view, (across, top - (row as f32 + 0.5) * step)) {
                sum = [0, 1, 2].map(|k| sum[k] + color[k]);
                hits += 1.;
            }
        }
        alpha.push(hits / (SAMPLES * SAMPLES) as f32);
        rgb.push(sum.map(|value| value / f32::max(hits, 1.)));
    }
    let shape = Shape { height: rows, width: columns, alpha }.softened(rng);
    let rgb = spread(rgb, &shape.alpha, columns);
    Thing { height: rows, width: columns, alpha: shape.alpha, rgb }
}

fn parts(rng: &mut ChaCha8Rng) -> Vec<Part> {
    let colors: Vec<Vector> = (0..rng.random_range(1..=3)).map(|_| color(rng)).collect();
    let mut parts = Vec::new();
    for k in 0..rng.random_range(PARTS) {
        let size = if k == 0 { 1. } else { rng.random_range(0.2..0.8f32) };
        let half = [(); 3].map(|()| size * rng.random_range(0.25f32.ln()..1f32.ln()).exp());
        // A part begins within one that is there.
        let middle = match k {
            0 => [0.; 3],
            _ => {
                let on: &Part = &parts[rng.random_range(0..k)];
                [0, 1, 2].map(|axis| on.middle[axis] + on.half[axis] * rng.random_range(-1.0..1.0f32))
            }
        };
        parts.push(part((middle, half), rng.random_range(0.0..TAU), &colors, rng));
    }
    if rng.random_bool(LEGS) {
        let [wide, tall, deep] = parts[0].half;
        let (length, thick) = (rng.random_range(0.2..1.2f32), wide.min(deep) * rng.random_range(0.06..0.25));
        let turn = parts[0].turn;
        for [side, end] in [[-1., -1.], [-1., 1.], [1., -1.], [1., 1.]] {
            let [x, z] = turned([side * wide * 0.8, end * deep * 0.8], turn);
            let middle = [x, -tall - length * 0.8, z];
            parts.push(part((middle, [thick, length, thick]), turn, &colors, rng));
        }
    }
    parts
}

fn part((middle, half): (Vector, Vector), turn: f32, colors: &[Vector], rng: &mut ChaCha8Rng) -> Part {
    let form = [Form::Box, Form::Ellipsoid, Form::Cylinder][rng.random_range(0..3)];
    let pattern = match rng.random_range(0..10) {
        0..7 => Pattern::Plain,
        7..9 => Pattern::Bands(rng.random_range(1.5..8.)),
        _ => Pattern::Checks(rng.random_range(1.5..6.)),
    };
    let [color, second_color] = [(); 2].map(|()| colors[rng.random_range(0..colors.len())]);
    Part { form, middle, half, turn, color, second_color, pattern }
}

/// Vivid or dull.
fn color(rng: &mut ChaCha8Rng) -> Vector {
    let bright = rng.random_range(0.05..0.95f32);
    let strength =
        if rng.random_bool(0.5) { rng.random_range(0.3..1.0f32) } else { rng.random_range(0.0..0.2) };
    let hue = [(); 3].map(|()| rng.random_range(0.0..1.0f32));
    hue.map(|value| bright + strength * (value - bright))
}

fn turned([x, z]: [f32; 2], turn: f32) -> [f32; 2] {
    let (sin, cos) = turn.sin_cos();
    [cos * x - sin * z, sin * x + cos * z]
}

/// Where the parts' boxes lie in the picture: left, bottom, right, top.
fn bounds(parts: &[Part], pitch: f32) -> [f32; 4] {
    let (sin, cos) = pitch.sin_cos();
    let mut bounds = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    for part in parts {
        for corner in 0..8 {
            let sign = |axis: usize| if corner >> axis & 1 == 0 { -1. } else { 1. };
            let [x, y, z] = [0, 1, 2].map(|axis| sign(axis) * part.half[axis]);
            let [x, z] = turned([x, z], part.turn);
            let (across, up) = (part.middle[0] + x, (part.middle[1] + y) * cos - (part.middle[2] + z) * sin);
            bounds = [bounds[0].min(across), bounds[1].min(up), bounds[2].max(across), bounds[3].max(up)];
        }
    }
    bounds
}

/// The colour of what is nearest there, if anything is.
fn seen(parts: &[Part], view: &View, (across, up): (f32, f32)) -> Option<Vector> {
    let (sin, cos) = view.pitch.sin_cos();
    // A point of the picture's plane, through the origin, and the direction away from the camera.
    let (from, direction) = ([across, up * cos, -up * sin], [0., -sin, -cos]);
    let mut nearest: Option<(f32, Vector)> = None;
    for part in parts {
        let local = |v: Vector| {
            let [x, z] = turned([v[0], v[2]], -part.turn);
            [x / part.half[0], v[1] / part.half[1], z / part.half[2]]
        };
        let from = local([0, 1, 2].map(|k| from[k] - part.middle[k]));
        let Some((distance, at, normal)) = hit(part.form, from, local(direction)) else { continue };
        if nearest.is_some_and(|(before, _)| before <= distance) {
            continue;
        }
        let [x, y, z] = [0, 1, 2].map(|k| normal[k] / part.half[k]);
        let [x, z] = turned([x, z], part.turn);
        let length = (x * x + y * y + z * z).sqrt().max(1e-6);
        let lit = ((x * view.light[0] + y * view.light[1] + z * view.light[2]) / length).max(0.);
        let light = view.ambient + (1. - view.ambient) * lit;
        let odd = |value: f32| value.floor() as i64 & 1 == 1;
        let is_other = match part.pattern {
            Pattern::Plain => false,
            Pattern::Bands(count) => odd(at[1] * count),
            Pattern::Checks(count) => odd(at[0] * count) ^ odd(at[1] * count) ^ odd(at[2] * count),
        };
        let color = if is_other { part.second_color } else { part.color };
        nearest = Some((distance, color.map(|value| value * light)));
    }
    nearest.map(|(_, color)| color)
}

/// Where a ray first meets a form of side two about the origin: how far along, the point, the normal.
fn hit(form: Form, from: Vector, direction: Vector) -> Option<(f32, Vector, Vector)> {
    let at = |t: f32| [0, 1, 2].map(|k| from[k] + t * direction[k]);
    // The first of two roots, of the axes named: it is outside, the camera being far away.
    let round = |axes: &[usize]| {
        let dot = |a: Vector, b: Vector| axes.iter().map(|&k| a[k] * b[k]).sum::<f32>();
        let (a, b, c) = (dot(direction, direction), dot(from, direction), dot(from, from) - 1.);
        let root = b * b - a * c;
        (root >= 0. && a > 1e-9).then(|| (-b - root.sqrt()) / a)
    };
    let slab = |k: usize| {
        let sign = if direction[k] > 0. { -1. } else { 1. };
        (direction[k].abs() > 1e-6).then(|| ((sign - from[k]) / direction[k], sign))
    };
    let side = |k: usize, sign: f32| {
        let mut normal = [0.; 3];
        normal[k] = sign;
        normal
    };
    let within = |point: Vector, k: usize| point[k].abs() <= 1. + 1e-4;
    match form {
        Form::Ellipsoid => round(&[0, 1, 2]).map(|t| (t, at(t), at(t))),
        Form::Box => (0..3).find_map(|k| {
            let (t, sign) = slab(k)?;
            (0..3).all(|other| other == k || within(at(t), other)).then(|| (t, at(t), side(k, sign)))
        }),
        Form::Cylinder => {
            let wall = round(&[0, 2]).filter(|&t| within(at(t), 1));
            let lid = slab(1).filter(|&(t, _)| at(t)[0].powi(2) + at(t)[2].powi(2) <= 1.);
            match (wall, lid) {
                (Some(t), _) => Some((t, at(t), [at(t)[0], 0., at(t)[2]])),
                (None, Some((t, sign))) => Some((t, at(t), side(1, sign))),
                (None, None) => None,
            }
        }
    }
}

/// Colours carried over to where a softened edge reaches beyond the body.
fn spread(mut rgb: Vec<Vector>, alpha: &[f32], columns: usize) -> Vec<Vector> {
    let empty = |color: &Vector| color.iter().all(|&value| value == 0.);
    let before = rgb.clone();
    for i in 0..rgb.len() {
        if alpha[i] > 0. && empty(&before[i]) {
            let row = i / columns;
            let near = [i.wrapping_sub(1), i + 1, i.wrapping_sub(columns), i + columns];
            let near = near
                .into_iter()
                .filter(|&j| j < before.len() && (j / columns == row || j % columns == i % columns));
            if let Some(color) = near.map(|j| before[j]).find(|color| !empty(color)) {
                rgb[i] = color;
            }
        }
    }
    rgb
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn drawn(seed: u64) -> Thing {
        draw(40., &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_ray_meets_each_form_where_its_front_is() {
        // From ahead at half the height, and from above.
        let ahead = |form| hit(form, [0., 0.5, 3.], [0., 0., -1.]).map(|(t, _, normal)| (t, normal));
        assert_eq!(ahead(Form::Box), Some((2., [0., 0., 1.])));
        assert_eq!(ahead(Form::Cylinder), Some((2., [0., 0., 1.])));
        let (t, normal) = ahead(Form::Ellipsoid).unwrap();
        assert!((t - (3. - 0.75f32.sqrt())).abs() < 1e-6 && (normal[1] - 0.5).abs() < 1e-6, "{t} {normal:?}");
        for form in [Form::Box, Form::Cylinder, Form::Ellipsoid] {
            let (t, at, normal) = hit(form, [0., 3., 0.], [0., -1., 0.]).unwrap();
            assert!((t - 2.).abs() < 1e-6 && at[1] > 0.99 && normal[1] > 0.99, "{t} {at:?} {normal:?}");
            assert!(hit(form, [1.1, 0., 3.], [0., 0., -1.]).is_none());
        }
        // The corner of a box is no part of a cylinder.
        let corner = |form| hit(form, [0.9, 3., 0.9], [0., -1., 0.]).is_some();
        assert!(corner(Form::Box) && !corner(Form::Cylinder) && !corner(Form::Ellipsoid));
    }

    #[test]
    fn a_body_is_as_high_as_asked_and_seen_in_light() {
        for seed in 0..50 {
            let Thing { height, width, alpha, rgb } = drawn(seed);
            assert!(
                height == 40 && (2..=120).contains(&width) && alpha.len() == rgb.len(),
                "{height} x {width}"
            );
            let solid = alpha.iter().filter(|&&alpha| alpha > 0.5).count();
            assert!(solid * 12 > alpha.len(), "{seed}: {solid} of {}", alpha.len());
            assert!(rgb.iter().flatten().all(|value| (0. ..=1.).contains(value)));
            // What an edge shows has a colour.
            let black = |i: usize| alpha[i] > 0.2 && rgb[i] == [0.; 3];
            assert_eq!((0..alpha.len()).filter(|&i| black(i)).count(), 0, "{seed}");
        }
    }

    #[test]
    fn the_same_draws_give_the_same_body() {
        let [one, same, other] = [3, 3, 4].map(drawn);
        assert!(one.rgb == same.rgb && one.alpha == same.alpha && one.rgb != other.rgb);
    }
}
