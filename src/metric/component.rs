//! Component-level figures as SegmentMeIfYouCan defines them (Chan et al., "SegmentMeIfYouCan: A
//! Benchmark for Anomaly Segmentation", NeurIPS Datasets and Benchmarks 2021): of objects, not of
//! pixels, so that a small object counts as much as a large one.
//!
//! Components are 8-connected. The sIoU of an object is its IoU with all predicted components that
//! touch it, less what these cover of other objects. The PPV of a predicted component is the share of
//! it that lies on objects. An object is found at `t` if its sIoU is at least `t`; a component is false
//! if its PPV is below `t`. F1* is the mean of F1 over `t` = 0.25, 0.30, ..., 0.75.

use std::collections::BTreeMap;

use image::{GrayImage, Luma};
use imageproc::region_labelling::{Connectivity, connected_components};
use serde::Serialize;

use super::{MetricError, same_length};
use crate::labels::truth;

/// Percent at which components are found or false.
const LEVELS: [u32; 11] = [25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75];

/// Components of fewer pixels do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// Predicted ones are dropped.
    pub predicted: u64,
    /// Pixels of true ones are ignored.
    pub truth: u64,
}

impl Least {
    /// Of the benchmark's anomaly track.
    pub(crate) const ANOMALY_TRACK: Self = Self { predicted: 500, truth: 100 };
}

/// Components of any number of images, in constant memory; sums can be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Components {
    objects: u64,
    predicted: u64,
    siou: f64,
    ppv: f64,
    found: [u64; LEVELS.len()],
    wrong: [u64; LEVELS.len()],
}

/// Their figures; `None` where there is no component.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ComponentFigures {
    /// True components.
    #[serde(rename = "things")]
    pub objects: u64,
    /// Predicted components.
    pub predicted: u64,
    /// Mean sIoU of the true ones.
    pub siou: Option<f64>,
    /// Mean PPV of the predicted ones.
    pub ppv: Option<f64>,
    /// Mean F1 over the levels.
    pub f1: Option<f64>,
}

impl Components {
    /// Adds an image: `predicted` is nonzero where something is predicted, `marks` is one of
    /// [`truth`] per pixel.
    pub fn add(&mut self, predicted: &GrayImage, marks: &GrayImage, least: Least) -> Result<(), MetricError> {
        same_length("columns", predicted.width() as usize, marks.width() as usize)?;
        same_length("rows", predicted.height() as usize, marks.height() as usize)?;
        let objects = components(marks, |mark, _| mark == truth::ANOMALY, predicted);
        let regions = components(predicted, |set, mark| set != 0 && mark != truth::IGNORED, marks);
        let (object_sizes, region_sizes) = (sizes(&objects), sizes(&regions));
        let counts = |sizes: &BTreeMap<u32, u64>, id: u32, least: u64| id > 0 && sizes[&id] >= least;
        // Pixels shared by an object and a region; id 0 is neither.
        let mut shared: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (&object, &region) in objects.iter().zip(&regions) {
            let ignored = object > 0 && !counts(&object_sizes, object, least.truth);
            if !ignored {
                let region = if counts(&region_sizes, region, least.predicted) { region } else { 0 };
                *shared.entry((object, region)).or_default() += 1;
            }
        }
        self.count(&shared);
        Ok(())
    }

    fn count(&mut self, shared: &BTreeMap<(u32, u32), u64>) {
        let mut of_object: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
        // Size of each region, and how much of it lies on objects.
        let mut of_region: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for (&(object, region), &pixels) in shared {
            if object > 0 {
                of_object.entry(object).or_default().push((region, pixels));
            }
            if region > 0 {
                let sums = of_region.entry(region).or_default();
                *sums = (sums.0 + pixels, sums.1 + if object > 0 { pixels } else { 0 });
            }
        }
        for parts in of_object.values() {
            let touching = parts.iter().filter(|(region, _)| *region > 0);
            let hit: u64 = touching.clone().map(|(_, pixels)| pixels).sum();
            let size: u64 = parts.iter().map(|(_, pixels)| pixels).sum();
            // What the touching regions cover outside of all objects.
            let beside: u64 = touching.map(|(region, _)| of_region[region].0 - of_region[region].1).sum();
            let siou = hit as f64 / (size + beside) as f64;
            self.objects += 1;
            self.siou += siou;
            for (count, percent) in self.found.iter_mut().zip(LEVELS) {
                *count += u64::from(siou >= f64::from(percent) / 100.);
            }
        }
        for (size, on_objects) in of_region.values() {
            let ppv = *on_objects as f64 / *size as f64;
            self.predicted += 1;
            self.ppv += ppv;
            for (count, percent) in self.wrong.iter_mut().zip(LEVELS) {
                *count += u64::from(ppv < f64::from(percent) / 100.);
            }
        }
    }

    /// Adds the components of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.objects += other.objects;
        self.predicted += other.predicted;
        self.siou += other.siou;
        self.ppv += other.ppv;
        let counts = self.found.iter_mut().chain(&mut self.wrong);
        counts.zip(other.found.iter().chain(&other.wrong)).for_each(|(count, other)| *count += other);
    }

    /// The figures.
    pub fn figures(&self) -> ComponentFigures {
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        let f1: f64 = self
            .found
            .iter()
            .zip(self.wrong)
            .map(|(&found, wrong)| {
                let missed = self.objects - found;
                2. * found as f64 / (2 * found + missed + wrong).max(1) as f64
            })
            .sum();
        ComponentFigures {
            objects: self.objects,
            predicted: self.predicted,
            siou: mean(self.siou, self.objects),
            ppv: mean(self.ppv, self.predicted),
            f1: (self.objects + self.predicted > 0).then(|| f1 / LEVELS.len() as f64),
        }
    }
}

/// A marked object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its first column.
    pub left: u32,
    /// Its first row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Places of its pixels, row by row.
    pub pixels: Vec<usize>,
}

impl Object {
    /// Pixels.
    pub(crate) fn size(&self) -> u64 {
        self.pixels.len() as u64
    }
}

/// The objects that `marks`, one of [`truth`] per pixel, marks and that are large enough to count.
pub(crate) fn objects(marks: &GrayImage, least: Least) -> Vec<Object> {
    let mut pixels_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let ids = components(marks, |mark, _| mark == truth::ANOMALY, marks);
    for (place, &id) in ids.iter().enumerate().filter(|(_, id)| **id > 0) {
        pixels_of.entry(id).or_default().push(place);
    }
    let large = pixels_of.into_values().filter(|pixels| pixels.len() as u64 >= least.truth);
    large.map(|pixels| object(pixels, marks.width())).collect()
}

fn object(pixels: Vec<usize>, columns: u32) -> Object {
    let span = |places: &mut dyn Iterator<Item = u32>| {
        places.fold((u32::MAX, 0), |(least, most), place| (least.min(place), most.max(place)))
    };
    let (left, right) = span(&mut pixels.iter().map(|&place| place as u32 % columns));
    let (top, bottom) = span(&mut pixels.iter().map(|&place| place as u32 / columns));
    Object { left, top, width: right - left + 1, height: bottom - top + 1, pixels }
}

/// Ids from 1 of the connected components of the pixels that `set` chooses by both maps; 0 elsewhere.
fn components(map: &GrayImage, set: impl Fn(u8, u8) -> bool, other: &GrayImage) -> Vec<u32> {
    let pairs = map.as_raw().iter().zip(other.as_raw());
    let mask: Vec<u8> = pairs.map(|(&value, &other)| u8::from(set(value, other))).collect();
    let (width, height) = map.dimensions();
    GrayImage::from_raw(width, height, mask)
        .map(|mask| connected_components(&mask, Connectivity::Eight, Luma([0])).into_raw())
        .unwrap_or_default()
}

fn sizes(ids: &[u32]) -> BTreeMap<u32, u64> {
    let mut sizes = BTreeMap::new();
    ids.iter().for_each(|&id| *sizes.entry(id).or_default() += 1);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Least = Least { predicted: 1, truth: 1 };

    /// `.` ordinary, `#` anomaly, `?` ignored; in predictions `#` is set.
    fn map(rows: &[&str]) -> GrayImage {
        let value = |x: u32, y: u32| match rows[y as usize].as_bytes()[x as usize] {
            b'#' => truth::ANOMALY,
            b'?' => truth::IGNORED,
            _ => truth::ORDINARY,
        };
        GrayImage::from_fn(rows[0].len() as u32, rows.len() as u32, |x, y| Luma([value(x, y)]))
    }

    fn figures(predicted: &[&str], truth: &[&str], least: Least) -> ComponentFigures {
        let mut components = Components::default();
        components.add(&map(predicted), &map(truth), least).unwrap();
        components.figures()
    }

    #[test]
    fn a_perfect_prediction_is_perfect() {
        let rows = ["##..#", "....#", "#...."];
        let found = figures(&rows, &rows, ALL);
        assert_eq!((found.objects, found.predicted), (3, 3));
        assert_eq!((found.siou, found.ppv, found.f1), (Some(1.), Some(1.), Some(1.)));
    }

    #[test]
    fn one_region_over_two_objects_is_not_blamed_for_the_other() {
        // The region covers both objects and two pixels between: each object 2 / (2 + 2).
        let found = figures(&["######"], &["##..##"], ALL);
        assert_eq!((found.objects, found.predicted), (2, 1));
        assert_eq!(found.siou, Some(0.5));
        assert_eq!(found.ppv, Some(4. / 6.));
        // Found at 25 to 50 %, six levels: 4 / 4. False above 66 %, two levels. Missed beyond 50 %: nothing.
        assert_eq!(found.f1, Some(6. / 11.));
    }

    #[test]
    fn several_regions_on_one_object_count_together() {
        let found = figures(&["##.##", "....."], &["#####", "....."], ALL);
        assert_eq!((found.objects, found.predicted), (1, 2));
        assert_eq!((found.siou, found.ppv), (Some(0.8), Some(1.)));
        assert_eq!(found.f1, Some(1.));
    }

    #[test]
    fn what_is_ignored_is_neither_hit_nor_miss() {
        let found = figures(&["####.."], &["##??.."], ALL);
        assert_eq!((found.siou, found.ppv, found.f1), (Some(1.), Some(1.), Some(1.)));
    }

    #[test]
    fn small_components_do_not_count() {
        let least = Least { predicted: 2, truth: 2 };
        let found = figures(&["#...##", "......"], &["#.#.##", "......"], least);
        assert_eq!((found.objects, found.predicted, found.f1), (1, 1, Some(1.)));
    }

    #[test]
    fn nothing_there_and_nothing_predicted_has_no_figure() {
        assert_eq!(figures(&["..."], &["..."], ALL).f1, None);
        let missed = figures(&["..."], &["#.."], ALL);
        assert_eq!((missed.siou, missed.ppv, missed.f1), (Some(0.), None, Some(0.)));
        let invented = figures(&["#.."], &["..."], ALL);
        assert_eq!((invented.siou, invented.ppv, invented.f1), (None, Some(0.), Some(0.)));
    }

    #[test]
    fn images_add_up_and_must_be_of_one_size() {
        let (rows, other) = (["##..#"], ["#...."]);
        let mut together = Components::default();
        together.add(&map(&rows), &map(&other), ALL).unwrap();
        let mut second = Components::default();
        second.add(&map(&other), &map(&rows), ALL).unwrap();
        together.add(&map(&other), &map(&rows), ALL).unwrap();
        let mut merged = Components::default();
        merged.add(&map(&rows), &map(&other), ALL).unwrap();
        merged.merge(&second);
        assert_eq!(merged, together);
        assert!(merged.add(&map(&["#"]), &map(&rows), ALL).is_err());
    }
}
