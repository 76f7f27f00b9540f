//! The marked anomaly objects one by one: found or missed, by how high they are, and the smallest as pictures; on
//! request as another bundle sees them, such as the one before.

use image::{GrayImage, RgbImage, imageops};

use super::error::EvaluationError;
use super::frames::FramePanels;
use super::table::{Cell, Column, Table};
use crate::data::anomaly::AnomalySample;
use crate::frame::Frame;
use crate::metric::component::{Least, Object, objects};
use crate::monitor::assessment::{ScoreMap, Wanted};
use crate::monitor::pipeline::{Monitor, MonitorError};
use crate::picture::heat::heat_map_around;

/// Heights at which a new row of the table begins, as shares of the image's.
const HEIGHTS: [f64; 5] = [0., 0.025, 0.05, 0.1, 0.2];
/// Share of an object's pixels at or above the limit with which it counts as found.
const FOUND: f64 = 0.5;
/// Pictures of each kind of outcome.
const SHOWN: usize = 6;
/// How much wider than the object its picture is.
const AROUND: f64 = 3.;
/// The least width of a picture, in pixels.
const LEAST_WIDTH: u32 = 96;

/// The objects so far.
pub struct ObjectReview {
    has_before: bool,
    rows: [Row; HEIGHTS.len()],
    /// For each outcome the smallest, with their pixels.
    shown: [Vec<(u64, FramePanels)>; 4],
}

/// Objects of about one height.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    objects: u64,
    found: u64,
    before: u64,
}

/// An anomaly score and its limit.
struct Scored {
    map: ScoreMap,
    limit: f32,
}

impl ObjectReview {
    /// None yet; `has_before` says whether another bundle will see them too.
    pub fn new(has_before: bool) -> Self {
        Self { has_before, rows: Default::default(), shown: Default::default() }
    }

    /// Adds the objects of an image as `monitor` and `before` see them, each at its own limit. Says whether both
    /// give an anomaly score.
    pub fn add(
        &mut self,
        sample: &AnomalySample,
        monitor: &Monitor,
        before: Option<&Monitor>,
    ) -> Result<bool, EvaluationError> {
        let Some(now) = scored(monitor, sample)? else { return Ok(false) };
        let before = match before {
            None => None,
            Some(before) => match scored(before, sample)? {
                None => return Ok(false),
                before => before,
            },
        };
        self.review(sample, &now, before.as_ref())?;
        Ok(true)
    }

    fn review(
        &mut self,
        sample: &AnomalySample,
        now: &Scored,
        before: Option<&Scored>,
    ) -> Result<(), EvaluationError> {
        for object in objects(&sample.truth, Least::ANOMALY_TRACK) {
            let share = f64::from(object.height) / f64::from(sample.truth.height());
            let row = &mut self.rows[HEIGHTS.partition_point(|from| *from <= share) - 1];
            let covered = now.share_of(&object);
            let covered_before = before.map(|before| before.share_of(&object));
            let (found, found_before) =
                (covered >= FOUND, covered_before.is_some_and(|share| share >= FOUND));
            row.objects += 1;
            row.found += u64::from(found);
            row.before += u64::from(found_before);
            let kind = &mut self.shown[2 * usize::from(found) + usize::from(found_before)];
            let place = kind.partition_point(|(pixels, _)| *pixels <= object.size());
            if place < SHOWN {
                let caption = caption(&sample.name, &object, covered, covered_before);
                let panels = panels(caption, sample, &object, now, before)?;
                kind.insert(place, (object.size(), panels));
                kind.truncate(SHOWN);
            }
        }
        Ok(())
    }

    /// How many were found, by height; none where there is no object.
    pub fn table(&self, data: &str) -> Option<Table> {
        let shown = self.rows.iter().enumerate().filter(|(_, row)| row.objects > 0);
        let rows: Vec<Vec<Cell>> = shown
            .map(|(place, row)| {
                let percent = |share: f64| format!("{} %", 100. * share);
                let heights = match HEIGHTS.get(place + 1) {
                    Some(to) => format!("{} to {}", percent(HEIGHTS[place]), percent(*to)),
                    None => format!("{} and more", percent(HEIGHTS[place])),
                };
                let before = self.has_before.then_some(Cell::Count(row.before));
                let counts = [Cell::Text(heights), Cell::Count(row.objects), Cell::Count(row.found)];
                counts.into_iter().chain(before).collect()
            })
            .collect();
        let columns =
            [Column::plain("height, of the image's"), Column::plain("objects"), Column::up("found")];
        (!rows.is_empty()).then(|| Table {
            name: "objects",
            title: format!("Objects found, by their height: {data}"),
            columns: columns.into_iter().chain(self.has_before.then(|| Column::up("found before"))).collect(),
            rows,
            notes: vec![format!(
                "Found: at least {} % of the object's pixels at or above the bundle's own limit. Objects of fewer than \
                 {} pixels are left out.",
                100. * FOUND,
                Least::ANOMALY_TRACK.truth
            )],
        })
    }

    /// The smallest objects of each outcome, those that another bundle sees otherwise first.
    pub fn into_galleries(self) -> Vec<(String, Vec<FramePanels>)> {
        let [missed, lost, new, found] = self.shown;
        let titles = match self.has_before {
            true => [
                "Found, and missed before",
                "Missed, and found before",
                "Missed, as before",
                "Found, as before",
            ],
            false => ["Found", "", "Missed", ""],
        };
        let kinds = match self.has_before {
            true => [new, lost, missed, found],
            false => [new, Vec::new(), missed, Vec::new()],
        };
        let some = titles.into_iter().zip(kinds).filter(|(_, kind)| !kind.is_empty());
        some.map(|(title, kind)| {
            let panels = kind.into_iter().map(|(_, panels)| panels).collect();
            (format!("{title}: the smallest objects"), panels)
        })
        .collect()
    }
}

impl Scored {
    /// Share of the object's pixels at or above the limit.
    fn share_of(&self, object: &Object) -> f64 {
        let above = object.pixels.iter().filter(|&&pixel| self.map.data[pixel] >= self.limit).count();
        above as f64 / object.pixels.len() as f64
    }
}

/// The score that a robot would get; none where the bundle gives no score.
fn scored(monitor: &Monitor, sample: &AnomalySample) -> Result<Option<Scored>, MonitorError> {
    let wanted = Wanted { anomaly_score: true, ..Wanted::default() };
    let maps = monitor.process(&Frame::new(sample.image.clone()), wanted)?.maps;
    let limit = monitor.thresholds().anomaly;
    Ok(maps.anomaly_score.filter(|_| !limit.is_nan()).map(|map| Scored { map, limit }))
}

fn caption(name: &str, object: &Object, covered: f64, before: Option<f64>) -> String {
    let before = before.map_or(String::new(), |share| format!(" ({:.0} % before)", 100. * share));
    let (width, height) = (object.width, object.height);
    format!("{name}: {width} x {height} pixels, {:.0} % of it at or above the limit{before}", 100. * covered)
}

/// The object and its surroundings: image, mark, and scores with the limit halfway between black and pale yellow.
fn panels(
    caption: String,
    sample: &AnomalySample,
    object: &Object,
    now: &Scored,
    before: Option<&Scored>,
) -> Result<FramePanels, EvaluationError> {
    let size = sample.image.dimensions();
    let [x, width] = around(object.left, object.width, size.0);
    let [y, height] = around(object.top, object.height, size.1);
    let cut = |image: &RgbImage| imageops::crop_imm(image, x, y, width, height).to_image();
    let marks = GrayImage::from_fn(width, height, |i, j| *sample.truth.get_pixel(x + i, y + j));
    let mut panels = vec![("image", cut(&sample.image)), ("anomalous pixels", FramePanels::marked(&marks))];
    let scores = [("anomaly score", Some(now)), ("before", before)];
    for (title, scored) in scores.into_iter().filter_map(|(title, scored)| Some((title, scored?))) {
        panels.push((title, cut(&heat_map_around(&scored.map, scored.limit))));
    }
    FramePanels::of(caption, panels)
}

/// Begin and length of a span around another, within an image.
fn around(begin: u32, length: u32, all: u32) -> [u32; 2] {
    let wide = ((f64::from(length) * AROUND) as u32).max(LEAST_WIDTH).min(all);
    let middle = begin + length / 2;
    [middle.saturating_sub(wide / 2).min(all - wide), wide]
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};

    use super::*;
    use crate::data::anomaly::truth;

    /// An image with a square object of this side at (40, 40), and a score of which a part of it is above the limit.
    fn square(side: u32, share: f64) -> (AnomalySample, Scored) {
        let size = 400;
        let inside = |x: u32, y: u32| (40..40 + side).contains(&x) && (40..40 + side).contains(&y);
        let mark = |x, y| Luma([if inside(x, y) { truth::ANOMALY } else { 0 }]);
        let sample = AnomalySample {
            name: format!("square {side}"),
            image: RgbImage::from_pixel(size, size, Rgb([90; 3])),
            truth: GrayImage::from_fn(size, size, mark),
        };
        let rows = (f64::from(side) * share).round() as u32;
        let above = |i: u32| inside(i % size, i / size) && i / size < 40 + rows;
        let data = (0..size * size).map(|i| if above(i) { 0.6 } else { 0.1 }).collect();
        (sample, Scored { map: ScoreMap { width: size, height: size, data }, limit: 0.5 })
    }

    fn cells(table: &Table) -> Vec<Vec<String>> {
        table.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect()
    }

    #[test]
    fn objects_are_counted_by_height_and_outcome() {
        let mut review = ObjectReview::new(true);
        for (side, now, before) in [(12, 0.6, 0.), (12, 0.4, 0.), (12, 0., 1.), (120, 1., 1.), (9, 1., 1.)] {
            let ((sample, now), (_, before)) = (square(side, now), square(side, before));
            review.review(&sample, &now, Some(&before)).unwrap();
        }
        let table = review.table("squares").unwrap();
        // Of 9 x 9 pixels is too small to count.
        assert_eq!(cells(&table), [["2.5 % to 5 %", "3", "1", "1"], ["20 % and more", "1", "1", "1"]]);
        let galleries = review.into_galleries();
        let titles: Vec<_> = galleries.iter().map(|(title, kind)| (title.as_str(), kind.len())).collect();
        assert_eq!(
            titles,
            [
                ("Found, and missed before: the smallest objects", 1),
                ("Missed, and found before: the smallest objects", 1),
                ("Missed, as before: the smallest objects", 1),
                ("Found, as before: the smallest objects", 1)
            ]
        );
        let FramePanels { caption, panels } = &galleries[0].1[0];
        assert_eq!(caption, "square 12: 12 x 12 pixels, 58 % of it at or above the limit (0 % before)");
        assert_eq!(panels.len(), 4);
    }

    #[test]
    fn without_another_bundle_there_is_no_before() {
        let mut review = ObjectReview::new(false);
        for side in [30, 20, 40, 50, 60, 70, 80] {
            let (sample, now) = square(side, 0.);
            review.review(&sample, &now, None).unwrap();
        }
        assert!(cells(&review.table("squares").unwrap()).iter().all(|row| row.len() == 3 && row[2] == "0"));
        let galleries = review.into_galleries();
        let [(title, missed)] = &galleries[..] else { panic!("{} galleries", galleries.len()) };
        assert_eq!((title.as_str(), missed.len()), ("Missed: the smallest objects", SHOWN));
        assert!(missed[0].caption.starts_with("square 20: 20 x 20 pixels, 0 %"));
        assert!(ObjectReview::new(false).table("none").is_none());
    }

    #[test]
    fn what_is_cut_out_lies_within_the_image() {
        assert_eq!(around(0, 10, 400), [0, LEAST_WIDTH]);
        assert_eq!(around(390, 10, 400), [400 - LEAST_WIDTH, LEAST_WIDTH]);
        assert_eq!(around(100, 300, 400), [0, 400]);
        assert_eq!(around(20, 10, 50), [0, 50]);
    }
}
