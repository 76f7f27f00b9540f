//! Outlier exposure (Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", ICLR 2019; Lis et al.,
//! "Detecting Road Obstacles by Erasing Them", 2020): things of no class, pasted into training images, and ordinary
//! patches pasted in the same way, so that objects are learned and not their edges.

mod body;
mod cutouts;
mod fill;
mod nearer;
mod shape;

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{IndexOp, Kind, Tensor};

use super::batch::{TensorSet, draws};
use crate::labels::{Class, IGNORE, LabelSet};
use crate::network::layers::spatial;
use crate::network::range::{OutOfRange, all_within, within};
pub use cutouts::Cutouts;
pub(super) use cutouts::fingerprint;
use nearer::Nearer;
use shape::Shape;

/// What is pasted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often each image of the folds is shown once more with things in it.
    pub copies: u32,
    /// Most things in an image.
    pub most: u32,
    /// Heights of things, as shares of the image's.
    pub heights: [f64; 2],
    /// Share of the things that are bodies: boxes, ellipsoids and cylinders put together, seen in light.
    #[serde(skip_serializing_if = "is_none")]
    pub bodies: f64,
    /// Share of the things on the ground that what stands nearer hides in part.
    #[serde(skip_serializing_if = "is_none")]
    pub hidden: f64,
    /// Share of the things that are seen through haze: paler, as what is around them.
    #[serde(skip_serializing_if = "is_none")]
    pub haze: f64,
}

/// What a recipe without them does not name.
fn is_none(share: &f64) -> bool {
    *share == 0.
}

impl Default for Config {
    fn default() -> Self {
        Self { copies: 1, most: 9, heights: [0.02, 0.45], bodies: 0., hidden: 0., haze: 0. }
    }
}

impl Config {
    /// Says which number is beyond its range.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        within("copies", self.copies, 1..=16)?;
        within("most", self.most, 1..=64)?;
        within("bodies", self.bodies, 0.0..=1.)?;
        within("hidden", self.hidden, 0.0..=1.)?;
        within("haze", self.haze, 0.0..=1.)?;
        all_within("heights", &self.heights, 0.001..=1.)?;
        within("heights", self.heights[1], self.heights[0]..=1.)
    }
}

/// Values of a map of the unknown.
pub(crate) mod mark {
    /// Of a known class.
    pub const KNOWN: u8 = 0;
    /// Of none.
    pub const UNKNOWN: u8 = 1;
    /// Not to be learned from: edges, unlabelled pixels.
    pub const IGNORED: u8 = 255;
}

/// What an image without things in it says of the unknown: `H x W` labels to `H x W` marks.
pub(crate) fn marks_of(labels: &Tensor) -> Tensor {
    labels.eq(i64::from(IGNORE)).to_kind(Kind::Uint8) * i64::from(mark::IGNORED)
}

/// The same marks, `N x H x W`, but what is unlabelled in each column from the lower edge upwards is known: the
/// vehicle's own bonnet, which every image shows.
pub(crate) fn with_own_vehicle(marks: &Tensor, labels: &Tensor) -> Tensor {
    let unlabelled = labels.eq(i64::from(IGNORE)).logical_and(&marks.eq(i64::from(mark::IGNORED)));
    let vehicle = unlabelled.to_kind(Kind::Uint8).flip([1]).cumprod(1, Kind::Uint8).flip([1]);
    marks * (1 - vehicle)
}

/// Where most things stand beside drivable classes, by the names of classes.
const GROUND: [&str; 4] = ["road", "sidewalk", "terrain", "pavement"];

/// What is pasted, and where.
#[derive(Clone, Debug)]
pub struct Outliers {
    config: Config,
    cutouts: Cutouts,
    /// Ids of the classes on which things stand.
    ground: Vec<u8>,
    nearer: Nearer,
}

/// An image with things in it.
pub(crate) struct Exposed {
    /// `3 x H x W` bytes.
    pub image: Tensor,
    /// `H x W` bytes: the labels, none where things are.
    pub labels: Tensor,
    /// `H x W` bytes of `mark`.
    pub unknown: Tensor,
}

/// Planes of an image: RGB in \[0, 1\].
pub(super) struct Canvas {
    pub height: usize,
    pub width: usize,
    pub rgb: Vec<[f32; 3]>,
}

impl Canvas {
    fn of(image: &Tensor) -> Self {
        let (height, width) = spatial(image);
        let bytes = Vec::<u8>::try_from(image.permute([1, 2, 0]).contiguous().flatten(0, -1));
        let bytes = bytes.expect("bytes in a row");
        let rgb = bytes.chunks_exact(3).map(|p| [p[0], p[1], p[2]].map(|v| f32::from(v) / 255.)).collect();
        Self { height: height as usize, width: width as usize, rgb }
    }

    fn tensor(&self) -> Tensor {
        let byte = |v: f32| (v * 255.).round().clamp(0., 255.) as u8;
        let bytes: Vec<u8> = self.rgb.iter().flatten().map(|&v| byte(v)).collect();
        let size = [self.height as i64, self.width as i64, 3];
        Tensor::from_slice(&bytes).view(size).permute([2, 0, 1]).contiguous()
    }
}

/// A thing that is about to be pasted: how opaque it is and what it looks like.
pub(super) struct Thing {
    pub height: usize,
    pub width: usize,
    pub alpha: Vec<f32>,
    pub rgb: Vec<[f32; 3]>,
}

/// Opacity from which a pixel belongs to the thing, and up to which to what is behind it.
const SOLID: f32 = 0.5;
const CLEAR: f32 = 0.05;
/// Share of what is pasted that is ordinary.
const ORDINARY: f64 = 0.3;
/// Share of the things that stand on the ground.
const STANDING: f64 = 0.75;
/// Draws of a place before one is given up.
const ATTEMPTS: usize = 20;
/// Chance that an image has another gain and more noise, with things in it or without: else the noise would tell
/// which images have some.
const SENSOR: f64 = 0.5;

impl Outliers {
    pub(super) fn new(config: &Config, cutouts: Cutouts, labels: &LabelSet) -> Self {
        let is_ground = |class: &Class| class.drivable || GROUND.contains(&class.name.as_str());
        let ground =
            (0..).zip(&labels.classes).filter(|(_, class)| is_ground(class)).map(|(id, _)| id).collect();
        Self { config: config.clone(), cutouts, ground, nearer: Nearer::of(labels) }
    }

    /// How often each image is shown.
    pub(super) fn copies(&self) -> u32 {
        self.config.copies
    }

    /// Some images of `set` with things in them, for the `copy`-th time; what is drawn follows from `seed`, the image
    /// and `copy` alone.
    pub(super) fn expose_all(
        &self,
        set: &TensorSet,
        images: Range<i64>,
        seed: u64,
        copy: u32,
    ) -> Vec<Exposed> {
        // A tensor may go to another thread, a reference to one may not.
        let images: Vec<(i64, TensorSet)> = images.map(|index| (index, set.shallow_clone())).collect();
        let expose = |(index, set): (i64, TensorSet)| {
            self.expose(&set, index, &mut draws(seed, u64::from(copy) << 32 | index as u64))
        };
        images.into_par_iter().map(expose).collect()
    }

    /// Image `index` of `set` with things in it. What they are made of comes from the other images too.
    pub(super) fn expose(&self, set: &TensorSet, index: i64, rng: &mut ChaCha8Rng) -> Exposed {
        let mut canvas = Canvas::of(&set.images.i(index));
        let flat = |t: &Tensor| Vec::<u8>::try_from(t.contiguous().flatten(0, -1)).expect("bytes in a row");
        let mut labels = flat(&set.labels.i(index));
        let mut marks = flat(&marks_of(&set.labels.i(index)));
        let feet = if self.config.hidden > 0. { self.nearer.feet(&labels, canvas.width) } else { Vec::new() };
        for _ in 0..rng.random_range(self.config.most.div_ceil(3)..=self.config.most) {
            let other = rng.random_range(0..set.len());
            let texture = Canvas::of(&set.images.i(other));
            if rng.random_bool(ORDINARY) {
                self.paste_ordinary(
                    &mut canvas,
                    &mut marks,
                    &labels,
                    (&texture, &flat(&set.labels.i(other))),
                    rng,
                );
            } else {
                self.paste_thing(&mut canvas, (&mut marks, &mut labels), &feet, &texture, rng);
            }
        }
        if rng.random_bool(SENSOR) {
            sensor(&mut canvas, rng);
        }
        let size = [canvas.height as i64, canvas.width as i64];
        Exposed {
            image: canvas.tensor(),
            labels: Tensor::from_slice(&labels).view(size),
            unknown: Tensor::from_slice(&marks).view(size),
        }
    }

    /// A pixel of the ground that is drawn, where the image has any.
    fn standing(&self, labels: &[u8], rng: &mut ChaCha8Rng) -> Option<usize> {
        (0..ATTEMPTS * 4)
            .map(|_| rng.random_range(0..labels.len()))
            .find(|&place| self.ground.contains(&labels[place]))
    }

    fn height(&self, rows: usize, rng: &mut ChaCha8Rng) -> f64 {
        let [low, high] = self.config.heights.map(|share| (share * rows as f64).max(2.));
        (rng.random_range(low.ln()..=high.max(low * 1.01).ln())).exp()
    }

    fn paste_thing(
        &self,
        canvas: &mut Canvas,
        (marks, labels): (&mut [u8], &mut [u8]),
        feet: &[u32],
        texture: &Canvas,
        rng: &mut ChaCha8Rng,
    ) {
        let height = self.height(canvas.height, rng);
        let thing = match drawn(self.config.bodies, rng) {
            true => body::draw(height, rng),
            false => fill::thing(&self.cutouts.0, texture, height, rng),
        };
        let standing = if rng.random_bool(STANDING) { self.standing(labels, rng) } else { None };
        let (bottom, middle) = match standing {
            Some(place) => (place / canvas.width, place % canvas.width),
            None => (rng.random_range(0..canvas.height), rng.random_range(0..canvas.width)),
        };
        let (top, left) = (bottom as i64 + 1 - thing.height as i64, middle as i64 - thing.width as i64 / 2);
        if standing.is_some() && rng.random_bool(0.5) {
            shadow(canvas, (bottom as f32, middle as f32), thing.width as f32, rng);
        }
        let is_hidden = standing.is_some() && drawn(self.config.hidden, rng);
        let thing = fill::lit_as(thing, canvas, (top, left), rng);
        let thing = match drawn(self.config.haze, rng) {
            true => fill::in_haze(thing, canvas, (top, left), rng),
            false => thing,
        };
        let width = canvas.width;
        each_pixel(&thing, (canvas.height, width), (top, left), |place, alpha, color| {
            if is_hidden && feet[place] as usize > bottom {
                return;
            }
            blend(&mut canvas.rgb[place], color, alpha);
            if alpha > CLEAR {
                labels[place] = IGNORE;
                // An edge hides what was pasted there before.
                marks[place] = if alpha > SOLID { mark::UNKNOWN } else { mark::IGNORED };
            }
        });
    }

    /// A patch of the same class, a shadow, a mark of paint, a lid: ordinary things with such edges.
    fn paste_ordinary(
        &self,
        canvas: &mut Canvas,
        marks: &mut [u8],
        labels: &[u8],
        (texture, texture_labels): (&Canvas, &[u8]),
        rng: &mut ChaCha8Rng,
    ) {
        let height = self.height(canvas.height, rng) as f32;
        let Some(place) = self.standing(labels, rng).filter(|_| rng.random_bool(STANDING)).or_else(|| {
            let place = rng.random_range(0..labels.len());
            (labels[place] != IGNORE).then_some(place)
        }) else {
            return;
        };
        let (y, x) = (place / canvas.width, place % canvas.width);
        if self.ground.contains(&labels[place]) && rng.random_bool(0.5) {
            match rng.random_range(0..3) {
                0 => shadow(canvas, (y as f32, x as f32), height * rng.random_range(0.5..3.), rng),
                kind => {
                    // What lies flat is seen flat.
                    let (h, w) = (height * rng.random_range(0.15..0.5), height * rng.random_range(0.5..2.));
                    let thing = fill::flat((h, w), kind == 1, canvas.rgb[place], rng);
                    let corner = (y as i64 - thing.height as i64 / 2, x as i64 - thing.width as i64 / 2);
                    let width = canvas.width;
                    each_pixel(&thing, (canvas.height, width), corner, |place, alpha, color| {
                        if self.ground.contains(&labels[place]) && marks[place] == mark::KNOWN {
                            blend(&mut canvas.rgb[place], color, alpha);
                        }
                    });
                }
            }
            return;
        }
        let class = labels[place];
        let source = (0..ATTEMPTS * 4)
            .map(|_| rng.random_range(0..texture_labels.len()))
            .find(|&source| texture_labels[source] == class);
        let Some(source) = source else { return };
        let shape = Shape::blob(f64::from(height), rng);
        let offset = |of: usize, side: usize| of as i64 - side as i64 / 2;
        let (top, left) = (offset(y, shape.height), offset(x, shape.width));
        let (from_top, from_left) =
            (offset(source / texture.width, shape.height), offset(source % texture.width, shape.width));
        for row in 0..shape.height {
            for column in 0..shape.width {
                let at = |top: i64, left: i64| {
                    let (y, x) = (top + row as i64, left + column as i64);
                    let inside =
                        (0..canvas.height as i64).contains(&y) && (0..canvas.width as i64).contains(&x);
                    inside.then_some(y as usize * canvas.width + x as usize)
                };
                let (Some(to), Some(from)) = (at(top, left), at(from_top, from_left)) else { continue };
                if labels[to] == class && texture_labels[from] == class && marks[to] == mark::KNOWN {
                    blend(&mut canvas.rgb[to], texture.rgb[from], shape.alpha[row * shape.width + column]);
                }
            }
        }
    }
}

/// True with this chance. Of a chance of 0 nothing is drawn, so that a recipe without it gives what it always gave.
fn drawn(chance: f64, rng: &mut ChaCha8Rng) -> bool {
    chance > 0. && rng.random_bool(chance)
}

fn blend(pixel: &mut [f32; 3], color: [f32; 3], alpha: f32) {
    for (value, color) in pixel.iter_mut().zip(color) {
        *value += alpha * (color - *value);
    }
}

/// Calls `paint` with the place in the canvas, the opacity and the colour of each of the thing's pixels that is
/// within.
fn each_pixel(
    thing: &Thing,
    (height, width): (usize, usize),
    (top, left): (i64, i64),
    mut paint: impl FnMut(usize, f32, [f32; 3]),
) {
    for row in 0..thing.height {
        let y = top + row as i64;
        if !(0..height as i64).contains(&y) {
            continue;
        }
        for column in 0..thing.width {
            let x = left + column as i64;
            let alpha = thing.alpha[row * thing.width + column];
            if (0..width as i64).contains(&x) && alpha > 0. {
                paint(y as usize * width + x as usize, alpha, thing.rgb[row * thing.width + column]);
            }
        }
    }
}

/// Darkens a flat ellipse about a point of the ground.
fn shadow(canvas: &mut Canvas, (y, x): (f32, f32), size: f32, rng: &mut ChaCha8Rng) {
    let (across, along) = (size * rng.random_range(0.45..0.8), (size * rng.random_range(0.05..0.2)).max(1.));
    let x = x + size * rng.random_range(-0.2..0.2);
    let darkness = rng.random_range(0.25..0.65f32);
    for row in
        (y - 1.5 * along).max(0.) as usize..((y + 1.5 * along + 1.).max(0.) as usize).min(canvas.height)
    {
        for column in
            (x - 1.5 * across).max(0.) as usize..((x + 1.5 * across + 1.).max(0.) as usize).min(canvas.width)
        {
            let distance =
                (((row as f32 - y) / along).powi(2) + ((column as f32 - x) / across).powi(2)).sqrt();
            let strength = darkness * (1. - (distance - 0.7) / 0.8).clamp(0., 1.);
            canvas.rgb[row * canvas.width + column].iter_mut().for_each(|value| *value *= 1. - strength);
        }
    }
}

/// Some of `images`, `N x 3 x H x W` bytes, with the gain and noise that images with things in them have as often.
pub(super) fn as_exposed(images: &Tensor, first: i64, seed: u64) -> Tensor {
    let one = |(image, index): (Tensor, i64)| {
        let mut rng = draws(seed, index as u64);
        if !rng.random_bool(SENSOR) {
            return image;
        }
        let mut canvas = Canvas::of(&image);
        sensor(&mut canvas, &mut rng);
        canvas.tensor()
    };
    let images: Vec<(Tensor, i64)> = images.unbind(0).into_iter().zip(first..).collect();
    Tensor::stack(&images.into_par_iter().map(one).collect::<Vec<_>>(), 0)
}

/// What a camera adds to all of it: gain and noise.
fn sensor(canvas: &mut Canvas, rng: &mut ChaCha8Rng) {
    let gain = rng.random_range(0.85..1.15f32);
    let noise = rng.random_range(0.0..0.025f32);
    for value in canvas.rgb.iter_mut().flatten() {
        // The sum of three uniform numbers is as good as normal here.
        let drawn: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0f32)).sum();
        *value = (*value * gain + drawn * noise).clamp(0., 1.);
    }
}

#[cfg(test)]
mod tests {
    use image::RgbaImage;
    use rand::SeedableRng;
    use tch::Device;

    use super::*;

    const ROAD: i64 = 0;
    const SKY: i64 = 10;

    /// Images of grey noise, sky above and road below, the bottom rows unlabelled.
    fn set() -> TensorSet {
        tch::manual_seed(3);
        let images = Tensor::randint_low(100, 140, [4, 3, 64, 128], (Kind::Uint8, Device::Cpu));
        let labels = Tensor::full([4, 64, 128], ROAD, (Kind::Uint8, Device::Cpu));
        let _ = labels.narrow(1, 0, 24).fill_(SKY);
        let _ = labels.narrow(1, 60, 4).fill_(i64::from(IGNORE));
        TensorSet { images, labels }
    }

    fn outliers(config: &Config) -> Outliers {
        // A cut-out as bright as nothing else.
        let white = RgbaImage::from_pixel(20, 20, image::Rgba([255, 255, 255, 255]));
        Outliers::new(config, Cutouts(vec![white]), &LabelSet::by_name("cityscapes").unwrap())
    }

    fn exposed(seed: u64) -> Exposed {
        outliers(&Config::default()).expose(&set(), 1, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    fn count(of: &Tensor) -> i64 {
        of.sum(Kind::Int64).int64_value(&[])
    }

    #[test]
    fn what_is_unlabelled_from_the_lower_edge_upwards_is_the_vehicle() {
        let (none, thing) = (i64::from(IGNORE), i64::from(mark::UNKNOWN));
        // Two columns of four rows: a gap above the bonnet; a thing that stands on it.
        let labels = Tensor::from_slice(&[none, 3, 3, none, none, none, none, none]).view([1, 4, 2]);
        let marks = Tensor::from_slice(&[none, 0, 0, thing, none, none, none, none]).view([1, 4, 2]);
        let found = with_own_vehicle(&marks.to_kind(Kind::Uint8), &labels);
        let found = Vec::<i64>::try_from(found.to_kind(Kind::Int64).flatten(0, -1)).unwrap();
        assert_eq!(found, [none, 0, 0, thing, 0, 0, 0, 0]);
    }

    #[test]
    fn what_was_pasted_has_no_label_and_all_else_keeps_its_own() {
        let before = set().labels.i(1);
        let mut things = 0;
        for seed in 0..20 {
            let Exposed { labels, unknown, image } = exposed(seed);
            assert_eq!((image.size(), labels.size()), (vec![3, 64, 128], vec![64, 128]));
            let thing = unknown.eq(i64::from(mark::UNKNOWN));
            things += count(&thing);
            assert_eq!(count(&labels.masked_select(&thing).ne(i64::from(IGNORE))), 0);
            let known = unknown.eq(i64::from(mark::KNOWN));
            assert_eq!(labels.masked_select(&known), before.masked_select(&known));
            // Nobody knows what is unlabelled, unless a thing was put there.
            let unlabelled = before.eq(i64::from(IGNORE));
            assert_eq!(count(&unlabelled.logical_and(&known)), 0);
        }
        assert!(things > 2000, "{things}");
    }

    #[test]
    fn the_same_draws_give_the_same_image_and_others_another() {
        let [one, same, other] = [7, 7, 8].map(exposed);
        assert_eq!(one.image, same.image);
        assert_eq!(one.unknown, same.unknown);
        assert_ne!(one.image, other.image);
    }

    #[test]
    fn a_camera_changes_half_of_the_images_by_seed_and_place_alone() {
        tch::manual_seed(5);
        let images = Tensor::randint_low(100, 140, [64, 3, 8, 16], (Kind::Uint8, Device::Cpu));
        let seen = as_exposed(&images, 0, 7);
        let untouched = (0..64).filter(|&i| seen.i(i) == images.i(i)).count();
        assert!((20..=44).contains(&untouched), "{untouched} of 64");
        let second = as_exposed(&images.narrow(0, 32, 32), 32, 7);
        assert_eq!(second, seen.narrow(0, 32, 32));
        assert_ne!(as_exposed(&images, 0, 8), seen);
    }

    #[test]
    fn ordinary_patches_change_the_image_and_no_mark() {
        let (set, outliers) = (set(), outliers(&Config::default()));
        let labels = Vec::<u8>::try_from(set.labels.i(1).contiguous().flatten(0, -1)).unwrap();
        let before = Canvas::of(&set.images.i(1));
        let mut changed = 0;
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut canvas, texture) = (Canvas::of(&set.images.i(1)), Canvas::of(&set.images.i(2)));
            let mut marks = vec![mark::KNOWN; labels.len()];
            outliers.paste_ordinary(&mut canvas, &mut marks, &labels, (&texture, &labels), &mut rng);
            changed += canvas.rgb.iter().zip(&before.rgb).filter(|(a, b)| a != b).count();
            assert!(marks.iter().all(|&mark| mark == mark::KNOWN));
        }
        assert!(changed > 500, "{changed}");
    }

    #[test]
    fn bodies_are_pasted_where_a_recipe_asks_for_them() {
        let with = |bodies: f64, seed: u64| {
            let config = Config { bodies, ..Config::default() };
            outliers(&config).expose(&set(), 1, &mut ChaCha8Rng::seed_from_u64(seed)).image
        };
        // Now and then all that is pasted is ordinary.
        let changed = (0..20).filter(|&seed| with(1., seed) != with(0., seed)).count();
        assert!(changed >= 15, "{changed} of 20");
    }

    #[test]
    fn a_recipe_that_names_none_of_what_came_later_is_the_same_training() {
        let written = serde_norway::to_string(&Config::default()).unwrap();
        assert!(["bodies", "hidden", "haze"].iter().all(|later| !written.contains(later)), "{written}");
    }

    #[test]
    fn what_stands_nearer_hides_a_thing() {
        const CAR: i64 = 13;
        let set = set();
        // A car down to where the bonnet begins, and a strip of road beside it.
        let _ = set.labels.narrow(1, 16, 44).narrow(2, 24, 104).fill_(CAR);
        let config = |hidden| Config { hidden, ..Config::default() };
        let (mut shown, mut hidden) = (0, 0);
        for seed in 0..40 {
            let on_car = |config: &Config| {
                let exposed = outliers(config).expose(&set, 1, &mut ChaCha8Rng::seed_from_u64(seed));
                count(&exposed.unknown.narrow(0, 16, 44).narrow(1, 24, 104).eq(i64::from(mark::UNKNOWN)))
            };
            shown += on_car(&config(0.));
            hidden += on_car(&config(1.));
        }
        // What stands nowhere, a quarter of the things, hides the car as before.
        assert!(shown > 1000 && hidden * 5 < shown * 4 && hidden > 0, "{hidden} of {shown}");
    }

    #[test]
    fn what_is_seen_through_haze_is_less_unlike_what_is_around_it() {
        let contrast = |haze| {
            let config = Config { haze, ..Config::default() };
            let unlike = |seed| {
                let exposed = outliers(&config).expose(&set(), 1, &mut ChaCha8Rng::seed_from_u64(seed));
                let thing = exposed.unknown.eq(i64::from(mark::UNKNOWN)).to_kind(Kind::Float);
                let distance = (exposed.image.to_kind(Kind::Float) - 120.).abs().mean_dim(
                    [0i64].as_slice(),
                    false,
                    Kind::Float,
                );
                (distance * &thing).sum(Kind::Float).double_value(&[]) / (count(&thing) as f64).max(1.)
            };
            (0..40).map(unlike).sum::<f64>() / 40.
        };
        let (clear, hazy) = (contrast(0.), contrast(1.));
        assert!(hazy < 0.8 * clear && hazy > 0.3 * clear, "{hazy:.1} for {clear:.1}");
    }

    #[test]
    fn most_things_stand_on_the_ground() {
        // Small ones, so that where they are is where they stand.
        let config = Config { heights: [0.02, 0.05], ..Config::default() };
        let (set, outliers) = (set(), outliers(&config));
        let (mut on_ground, mut all) = (0, 0);
        for seed in 0..40 {
            let unknown = outliers.expose(&set, 1, &mut ChaCha8Rng::seed_from_u64(seed)).unknown;
            let thing = unknown.eq(i64::from(mark::UNKNOWN));
            all += count(&thing);
            on_ground += count(&thing.narrow(0, 22, 42));
        }
        // Road is 56 % of the rows, and of what stands anywhere as much again.
        assert!(on_ground * 100 > all * 78, "{on_ground} of {all}");
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let message = |config: Config| config.check().unwrap_err().to_string();
        assert!(message(Config { copies: 0, ..Config::default() }).contains("copies"));
        assert!(message(Config { heights: [0.4, 0.1], ..Config::default() }).contains("heights"));
        assert!(message(Config { bodies: 1.2, ..Config::default() }).contains("bodies"));
        assert!(message(Config { hidden: -0.1, ..Config::default() }).contains("hidden"));
        assert!(message(Config { haze: f64::NAN, ..Config::default() }).contains("haze"));
        assert!(Config::default().check().is_ok());
    }
}
