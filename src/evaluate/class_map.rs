//! From a bundle's classes to those of a data set with another label set: predictions and estimates.

use image::GrayImage;

use crate::labels::{IGNORE, LabelError, LabelSet, apply_table};

/// From the bundle's classes to the data set's.
pub(super) struct ClassMap {
    table: [u8; 256],
    /// For each class of the data set, the bundle's classes that it covers.
    sources: Vec<Vec<usize>>,
}

impl ClassMap {
    pub fn new(ours: &LabelSet, theirs: &LabelSet) -> Result<Self, LabelError> {
        let table = ours.map_onto(theirs)?;
        let mut sources = vec![Vec::new(); theirs.len()];
        for (id, theirs) in table.iter().enumerate().take(ours.len()) {
            if let Some(sources) = sources.get_mut(usize::from(*theirs)) {
                sources.push(id);
            }
        }
        Ok(Self { table, sources })
    }

    /// Predictions in the data set's classes; truth is ignored where either has no counterpart.
    pub(crate) fn comparable(
        &self,
        mut predicted: GrayImage,
        mut truth: GrayImage,
    ) -> (GrayImage, GrayImage) {
        apply_table(&mut predicted, &self.table);
        for (predicted, truth) in predicted.iter_mut().zip(truth.iter_mut()) {
            let reachable = self.sources.get(usize::from(*truth)).is_some_and(|s| !s.is_empty());
            if *predicted == IGNORE || !reachable {
                (*predicted, *truth) = (0, IGNORE);
            }
        }
        (predicted, truth)
    }

    /// The estimate for one of the data set's classes, in \[0, 1\]. Where it covers several of the
    /// bundle's, their mean weighted by the predicted share of each; 0 if none was predicted.
    pub(crate) fn estimate(&self, class: usize, iou: &[f32], shares: &[f64]) -> Option<f64> {
        let sources = self.sources.get(class).filter(|sources| !sources.is_empty())?;
        let of = |id: usize| f64::from(iou[id]).clamp(0., 1.);
        if let [only] = sources.as_slice() {
            return Some(of(*only));
        }
        let total: f64 = sources.iter().map(|&id| shares[id]).sum();
        let sum: f64 = sources.iter().map(|&id| shares[id] * of(id)).sum();
        Some(if total > 0. { sum / total } else { 0. })
    }

    /// Whether each class of the data set is one of the bundle's.
    pub(super) fn is_one_to_one(&self) -> bool {
        self.sources.iter().all(|sources| sources.len() == 1)
    }
}

/// Share of each class among the pixels.
pub(super) fn shares(labels: &GrayImage, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.; classes];
    for &id in labels.as_raw() {
        if let Some(count) = counts.get_mut(usize::from(id)) {
            *count += 1.;
        }
    }
    let total = labels.as_raw().len().max(1) as f64;
    counts.iter().map(|count| count / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_map(theirs: &str) -> (ClassMap, LabelSet, LabelSet) {
        let [ours, theirs] = ["cityscapes", theirs].map(|name| LabelSet::by_name(name).unwrap());
        (ClassMap::new(&ours, &theirs).unwrap(), ours, theirs)
    }

    #[test]
    fn classes_without_counterpart_do_not_count() {
        let (map, ours, theirs) = class_map("streethazards");
        let row = |ids: [u8; 3]| GrayImage::from_raw(3, 1, ids.to_vec()).unwrap();
        let id = |set: &LabelSet, name| set.id(name).unwrap();
        let road = id(&ours, "road");
        let truth = row([id(&theirs, "road"), id(&theirs, "road line"), IGNORE]);
        let (predicted, truth) = map.comparable(row([road; 3]), truth);
        assert_eq!(truth.as_raw(), &[id(&theirs, "road"), IGNORE, IGNORE]);
        assert_eq!(predicted.as_raw()[0], id(&theirs, "road"));
    }

    #[test]
    fn an_estimate_of_several_classes_is_their_mean_by_share() {
        let (map, ours, theirs) = class_map("camvid");
        let car = usize::from(theirs.id("car").unwrap());
        let (mut iou, mut shares) = (vec![0.; ours.len()], vec![0.; ours.len()]);
        assert_eq!(map.estimate(car, &iou, &shares), Some(0.));
        for (name, estimate, share) in [("car", 0.8, 0.03), ("truck", 0.2, 0.01)] {
            let id = usize::from(ours.id(name).unwrap());
            (iou[id], shares[id]) = (estimate, share);
        }
        let estimate = map.estimate(car, &iou, &shares).unwrap();
        assert!((estimate - 0.65).abs() < 1e-6, "{estimate}");
        let sky = usize::from(theirs.id("sky").unwrap());
        iou[usize::from(ours.id("sky").unwrap())] = 1.5;
        assert_eq!(map.estimate(sky, &iou, &shares), Some(1.));
    }
}
