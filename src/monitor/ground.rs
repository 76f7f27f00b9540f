//! On what ground a region stands: the labels around and below its lower half.
//!
//! ```text
//!      ---------
//!      | region|
//!  ....|       |....   as wide as the region is large, to both sides
//!  ....|       |....
//!  ....---------....
//!  .................   and a quarter of its height below
//! ```
//!
//! Under the region itself labels mean nothing, and so they do under other anomalous pixels: neither counts.

use image::GrayImage;

use super::assessment::Region;
use crate::labels::LabelSet;

/// By class id, whether a vehicle may drive on it; `None` of a set that does not say so of any class.
pub(super) fn drivable(labels: &LabelSet) -> Option<[bool; 256]> {
    let mut table = [false; 256];
    for (drivable, class) in table.iter_mut().zip(&labels.classes) {
        *drivable = class.drivable;
    }
    table.contains(&true).then_some(table)
}

/// Share of the ground around `region` that is drivable; NaN where there is none to be seen. All pictures and
/// the region are in pixels of the working size.
pub(super) fn on_road(
    region: &Region,
    anomalous: &GrayImage,
    labels: &GrayImage,
    valid: Option<&GrayImage>,
    drivable: &[bool; 256],
) -> f32 {
    let (width, height) = labels.dimensions();
    let size = region.width.max(region.height);
    let columns = region.x.saturating_sub(size)..(region.x + region.width + size).min(width);
    let below = (region.height / 4).max(2);
    let rows = region.y + region.height / 2..(region.y + region.height + below).min(height);
    let (mut road, mut all) = (0_u32, 0_u32);
    for y in rows {
        let row = (y * width) as usize;
        for i in row + columns.start as usize..row + columns.end as usize {
            let counts = anomalous.as_raw()[i] == 0 && valid.is_none_or(|valid| valid.as_raw()[i] != 0);
            all += u32::from(counts);
            road += u32::from(counts && drivable[usize::from(labels.as_raw()[i])]);
        }
    }
    // 0 of 0 is NaN.
    road as f32 / all as f32
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    const ROAD: u8 = 3;
    const HOUSE: u8 = 5;

    fn table() -> [bool; 256] {
        std::array::from_fn(|id| id == usize::from(ROAD))
    }

    fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
        Region { x, y, width, height, ..Region::example() }
    }

    fn marked(size: (u32, u32), region: &Region) -> GrayImage {
        let Region { x, y, width, height, .. } = *region;
        GrayImage::from_fn(size.0, size.1, |i, j| {
            Luma([u8::from((x..x + width).contains(&i) && (y..y + height).contains(&j)) * 255])
        })
    }

    /// Houses above row 10 and road from there on.
    fn street() -> GrayImage {
        GrayImage::from_fn(40, 20, |_, y| Luma([if y < 10 { HOUSE } else { ROAD }]))
    }

    #[test]
    fn a_thing_that_rises_from_the_road_stands_on_it_whatever_is_behind() {
        let thing = region(16, 4, 4, 10);
        let share = on_road(&thing, &marked((40, 20), &thing), &street(), None, &table());
        // From its middle, row 9, to two rows below it, row 15: six of seven rows are road.
        let columns = 24.;
        assert_eq!(share, (6. * columns - 4. * 4.) / (7. * columns - 5. * 4.));
    }

    #[test]
    fn a_thing_in_the_air_does_not() {
        let thing = region(16, 0, 4, 4);
        assert_eq!(on_road(&thing, &marked((40, 20), &thing), &street(), None, &table()), 0.);
    }

    #[test]
    fn beside_the_road_is_within_its_own_size() {
        let labels = GrayImage::from_fn(40, 20, |x, _| Luma([if x < 20 { HOUSE } else { ROAD }]));
        let share = |x| {
            let thing = region(x, 8, 4, 4);
            on_road(&thing, &marked((40, 20), &thing), &labels, None, &table())
        };
        assert_eq!([share(10) > 0., share(13) > 0., share(30) == 1.], [false, true, true]);
    }

    #[test]
    fn labels_under_anomalous_and_invalid_pixels_do_not_count() {
        let thing = region(16, 4, 4, 10);
        let all = GrayImage::from_pixel(40, 20, Luma([255]));
        assert!(on_road(&thing, &all, &street(), None, &table()).is_nan());
        let invalid = GrayImage::new(40, 20);
        assert!(on_road(&thing, &invalid, &street(), Some(&invalid), &table()).is_nan());
    }

    #[test]
    fn every_built_in_set_says_what_is_drivable_and_a_set_that_does_not_has_no_table() {
        for name in ["cityscapes", "camvid", "streethazards"] {
            let mut set = LabelSet::by_name(name).unwrap();
            let table = drivable(&set).unwrap();
            assert!(
                table[usize::from(set.id("road").unwrap())] && !table[usize::from(set.id("car").unwrap())]
            );
            set.classes.iter_mut().for_each(|class| class.drivable = false);
            assert_eq!(drivable(&set), None);
        }
    }
}
