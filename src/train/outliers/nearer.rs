//! What stands nearer than a thing and hides it in part: vehicles, people, poles whose foot is lower in the image.

use image::{GrayImage, Luma};
use imageproc::region_labelling::{Connectivity, connected_components};

use crate::labels::LabelSet;

/// Classes that stand upright on the ground, by their names; those of a row belong to one object.
const UPRIGHT: [&[&str]; 6] = [
    &["pole", "traffic light", "traffic sign", "signsymbol"],
    &["person", "pedestrian", "rider", "bicyclist", "motorcycle", "bicycle"],
    &["car"],
    &["truck"],
    &["bus"],
    &["train"],
];

/// Which classes hide things, as places in [`UPRIGHT`] from 1 on; 0 for the others, by id.
#[derive(Clone, Debug)]
pub(super) struct Nearer([u8; 256]);

impl Nearer {
    pub fn of(labels: &LabelSet) -> Self {
        let mut groups = [0; 256];
        for (class, group) in labels.classes.iter().zip(&mut groups) {
            let found = (1..).zip(UPRIGHT).find(|(_, names)| names.contains(&class.name.as_str()));
            *group = found.map_or(0, |(place, _)| place);
        }
        Self(groups)
    }

    /// For each pixel of an object that stands upright the row of its foot, 0 elsewhere. A thing that stands on a
    /// higher row is behind it.
    pub fn feet(&self, labels: &[u8], width: usize) -> Vec<u32> {
        let groups: Vec<u8> = labels.iter().map(|&label| self.0[usize::from(label)]).collect();
        let (columns, rows) = (width as u32, labels.len().checked_div(width).unwrap_or(0) as u32);
        let groups = GrayImage::from_raw(columns, rows, groups).unwrap_or_default();
        let objects = connected_components(&groups, Connectivity::Eight, Luma([0]));
        let mut feet = vec![0; objects.pixels().map(|p| p.0[0]).max().unwrap_or(0) as usize + 1];
        for (_, row, Luma([object])) in objects.enumerate_pixels() {
            // Rows come from above.
            feet[*object as usize] = row;
        }
        feet[0] = 0;
        objects.pixels().map(|Luma([object])| feet[*object as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stands_where_its_lowest_pixel_is() {
        let set = LabelSet::by_name("cityscapes").unwrap();
        let id = |name| set.id(name).unwrap();
        let (road, car, pole, sign) = (id("road"), id("car"), id("pole"), id("traffic sign"));
        // A sign on a pole; two cars, one of them cut off by the lower edge.
        let labels = [
            [road, sign, road, road, car],
            [car, pole, road, road, car],
            [road, pole, road, road, car],
            [road, road, road, road, car],
        ];
        let feet = Nearer::of(&set).feet(labels.as_flattened(), 5);
        assert_eq!(feet, [0, 2, 0, 0, 3, 1, 2, 0, 0, 3, 0, 2, 0, 0, 3, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn every_name_is_of_a_built_in_set() {
        let sets = ["cityscapes", "camvid", "streethazards"].map(|name| LabelSet::by_name(name).unwrap());
        for name in UPRIGHT.into_iter().flatten() {
            assert!(sets.iter().any(|set| set.id(name).is_some()), "{name}");
        }
    }
}
