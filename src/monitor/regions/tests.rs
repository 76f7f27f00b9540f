use image::Luma;
use proptest::prelude::*;

use super::*;

const ALL: RegionLimits = RegionLimits { min_area: 0.0, max_count: usize::MAX };

/// `#` is set.
fn mask(rows: &[&str]) -> GrayImage {
    let at = |x: u32, y: u32| rows[y as usize].as_bytes()[x as usize];
    GrayImage::from_fn(rows[0].len() as u32, rows.len() as u32, |x, y| {
        Luma([if at(x, y) == b'#' { 255 } else { 0 }])
    })
}

fn flat(mask: &GrayImage, value: f32) -> ScoreMap {
    let (width, height) = mask.dimensions();
    ScoreMap { width, height, data: vec![value; (width * height) as usize] }
}

fn blank(mask: &GrayImage) -> GrayImage {
    GrayImage::new(mask.width(), mask.height())
}

fn regions(rows: &[&str]) -> Vec<Region> {
    let mask = mask(rows);
    find(&mask, &flat(&mask, 0.5), &blank(&mask), None, ALL).unwrap()
}

fn boxes(rows: &[&str]) -> Vec<(u32, u32, u32, u32)> {
    regions(rows).iter().map(|region| (region.x, region.y, region.width, region.height)).collect()
}

#[test]
fn corners_connect() {
    assert_eq!(boxes(&["#..", ".#.", "#.#"]), [(0, 0, 3, 3)]);
    assert_eq!(boxes(&["..#", ".#.", "#.."]), [(0, 0, 3, 3)]);
}

#[test]
fn a_column_apart_does_not_connect() {
    assert_eq!(boxes(&["#.#", "#.#"]), [(0, 0, 1, 2), (2, 0, 1, 2)]);
    assert_eq!(boxes(&["#", ".", "#"]), [(0, 0, 1, 1), (0, 2, 1, 1)]);
    assert_eq!(boxes(&["#..", "..#"]), [(0, 0, 1, 1), (2, 1, 1, 1)]);
}

#[test]
fn rows_do_not_wrap_at_the_border() {
    assert_eq!(boxes(&["..#", "...", "#.."]), [(2, 0, 1, 1), (0, 2, 1, 1)]);
    assert_eq!(boxes(&["....#", "#...."]).len(), 2);
}

#[test]
fn arms_meet_late() {
    assert_eq!(boxes(&["#.#.#", "#.#.#", "#####"]), [(0, 0, 5, 3)]);
    assert_eq!(boxes(&["#####", "#.#.#", "#.#.#"]), [(0, 0, 5, 3)]);
    let spiral = ["#####", "#...#", "#.#.#", "#.###", "#...."];
    assert_eq!(boxes(&spiral), [(0, 0, 5, 5)]);
    // A ring does not hold what is inside it.
    assert_eq!(boxes(&["#####", "#...#", "#.#.#", "#...#", "#####"]), [(0, 0, 5, 5), (2, 2, 1, 1)]);
}

#[test]
fn empty_and_full() {
    assert!(regions(&["...", "..."]).is_empty());
    let full = regions(&["###", "###"]);
    assert_eq!(full.len(), 1);
    assert_eq!((full[0].area, full[0].centroid), (1.0, (1.0, 0.5)));
    let none = GrayImage::new(0, 0);
    assert!(find(&none, &flat(&none, 0.0), &none, None, ALL).unwrap().is_empty());
}

#[test]
fn a_region_is_described() {
    let mask = mask(&["....", ".##.", ".#..", "...."]);
    let mut scores = flat(&mask, 0.0);
    for (index, score) in [(5, 0.2), (6, 0.9), (9, 0.4)] {
        scores.data[index] = score;
    }
    let mut labels = blank(&mask);
    for (x, y, id) in [(1, 1, 7), (2, 1, 3), (1, 2, 7)] {
        labels.put_pixel(x, y, Luma([id]));
    }
    let found = find(&mask, &scores, &labels, None, ALL).unwrap();
    assert_eq!(found.len(), 1);
    let region = &found[0];
    assert_eq!((region.x, region.y, region.width, region.height), (1, 1, 2, 2));
    assert!((region.centroid.0 - 4.0 / 3.0).abs() < 1e-6 && (region.centroid.1 - 4.0 / 3.0).abs() < 1e-6);
    assert_eq!(region.area, 3.0 / 16.0);
    assert!((region.mean_score - 0.5).abs() < 1e-6);
    assert_eq!((region.peak_score, region.class_id), (0.9, 7));
}

#[test]
fn equal_votes_go_to_the_lowest_id() {
    let mask = mask(&["##"]);
    let labels = GrayImage::from_raw(2, 1, vec![9, 4]).unwrap();
    assert_eq!(find(&mask, &flat(&mask, 0.0), &labels, None, ALL).unwrap()[0].class_id, 4);
}

#[test]
fn the_largest_come_first_and_the_small_are_left_out() {
    let rows = ["#.##.###", "........", "####...."];
    let areas: Vec<f32> = regions(&rows).iter().map(|region| region.area * 24.0).collect();
    assert_eq!(areas, [4.0, 3.0, 2.0, 1.0]);
    let mask = mask(&rows);
    let count = |limits| find(&mask, &flat(&mask, 0.0), &blank(&mask), None, limits).unwrap().len();
    assert_eq!(count(RegionLimits { min_area: 3.0 / 24.0, max_count: 9 }), 2);
    assert_eq!(count(RegionLimits { min_area: 0.0, max_count: 3 }), 3);
    assert_eq!(count(RegionLimits { min_area: 0.0, max_count: 0 }), 0);
}

#[test]
fn invalid_pixels_count_nowhere() {
    let (mask, valid) = (mask(&["####", "####"]), mask(&["#.##", "#.##"]));
    let found = find(&mask, &flat(&mask, 1.0), &blank(&mask), Some(&valid), ALL).unwrap();
    let areas: Vec<f32> = found.iter().map(|region| region.area).collect();
    assert_eq!(areas, [4.0 / 6.0, 2.0 / 6.0]);
    let nothing = blank(&mask);
    assert!(find(&mask, &flat(&mask, 1.0), &nothing, Some(&nothing), ALL).unwrap().is_empty());
}

#[test]
fn sizes_must_agree() {
    let (two, three) = (mask(&["##"]), mask(&["###"]));
    let message = find(&two, &flat(&three, 0.0), &two, None, ALL).unwrap_err().to_string();
    assert_eq!(message, "the score map is 3x1 and the mask 2x1; all must have the same size");
    assert!(find(&two, &flat(&two, 0.0), &three, None, ALL).is_err());
    assert!(find(&two, &flat(&two, 0.0), &two, Some(&three), ALL).is_err());
}

#[test]
fn how_much_is_reported_decides_on_no_alarm() {
    let things = Things {
        intercept: 0.,
        weights: Default::default(),
        limit: 0.5,
        least_area: 0.001,
        stands_on: "".into(),
    };
    let region = |area, probability| Region { area, probability, on_road: 1., ..Region::example() };
    let all = [region(0.4, 0.1), region(0.3, 0.9), region(0.2, 0.1), region(0.002, 0.9), region(0.0005, 0.9)];
    let kept = |limits: RegionLimits, things: Option<&Things>| {
        let mut regions = all.to_vec();
        limits.keep(&mut regions, things);
        regions.iter().map(|region| region.area).collect::<Vec<_>>()
    };
    let none = RegionLimits { min_area: 0.01, max_count: 0 };
    assert_eq!(kept(none, Some(&things)), [0.3, 0.002]);
    assert_eq!(kept(none, None), [0f32; 0]);
    assert_eq!(kept(RegionLimits { max_count: 1, ..none }, Some(&things)), [0.4, 0.3, 0.002]);
    assert_eq!(kept(RegionLimits { min_area: 0.0001, max_count: 9 }, Some(&things)).len(), 5);
    assert_eq!(none.with_all_of(None), none);
    assert_eq!(none.with_all_of(Some(&things)), RegionLimits { min_area: 0.001, max_count: usize::MAX });
}

/// Region sizes by flooding, pixel by pixel.
fn flooded(mask: &GrayImage) -> Vec<usize> {
    let (width, height) = (mask.width() as i64, mask.height() as i64);
    let mut left: Vec<bool> = mask.as_raw().iter().map(|&value| value != 0).collect();
    let mut sizes = Vec::new();
    for start in 0..left.len() {
        let mut stack = vec![start as i64];
        let mut size = 0;
        while let Some(at) = stack.pop() {
            if !std::mem::take(&mut left[at as usize]) {
                continue;
            }
            size += 1;
            let (x, y) = (at % width, at / width);
            for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
                if (0..width).contains(&(x + dx)) && (0..height).contains(&(y + dy)) {
                    stack.push(at + dy * width + dx);
                }
            }
        }
        if size > 0 {
            sizes.push(size);
        }
    }
    sizes.sort_by_key(|&size| std::cmp::Reverse(size));
    sizes
}

proptest! {
    #[test]
    fn the_same_regions_as_flooding_finds(width in 1usize..12, pixels in prop::collection::vec(any::<bool>(), 1..140)) {
        let height = pixels.len().div_ceil(width);
        let mut data: Vec<u8> = pixels.iter().map(|&set| u8::from(set)).collect();
        data.resize(width * height, 0);
        let mask = GrayImage::from_raw(width as u32, height as u32, data).unwrap();
        let found = find(&mask, &flat(&mask, 0.5), &blank(&mask), None, ALL).unwrap();
        let total = (width * height) as f32;
        let sizes: Vec<usize> = found.iter().map(|region| (region.area * total).round() as usize).collect();
        prop_assert_eq!(sizes, flooded(&mask));
    }
}
