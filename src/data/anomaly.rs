//! Images in which the pixels of anomaly objects are marked.

use std::collections::BTreeMap;
use std::path::Path;

use image::{GrayImage, RgbImage};

use super::pairs::{IMAGES, Pair, Pairs, files, folders};
use super::{DataError, MaskCoding, coding, label_file, open_image, values};
use crate::labels::apply_table;
pub use crate::labels::truth;

/// An image and its marks.
#[derive(Clone, Debug)]
pub struct AnomalySample {
    /// File name without its ending.
    pub name: String,
    /// Colours.
    pub image: RgbImage,
    /// One of [`truth`] per pixel; as large as `image`.
    pub truth: GrayImage,
}

/// Where images and masks lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnomalyLayout {
    /// `images/X.jpg`, `labels_masks/X.png` or `labels_masks/X_labels_semantic.png`, or `frames/X.jpg`,
    /// `frames/X.labels/labels_semantic.png`: RoadAnomaly (Lis et al., 2019), SegmentMeIfYouCan (Chan et al.,
    /// 2021), Fishyscapes (Blum et al., 2019). Their codings differ.
    Masks,
    /// StreetHazards (Hendrycks et al., 2022), test part: `images/test/TOWN/N.png`,
    /// `annotations/test/TOWN/N.png`.
    StreetHazards,
}

/// What SegmentMeIfYouCan's masks are called after their image.
const SEMANTIC: &str = "_labels_semantic.png";

/// The samples of the data set in folder `path`, by name; nothing is decoded.
pub fn list(path: &Path) -> Result<(AnomalyLayout, Pairs), DataError> {
    let images = path.join("images");
    let masks = path.join("labels_masks");
    let frames = path.join("frames");
    let (layout, pairs) = if masks.is_dir() {
        let photos = files(&images, "", &IMAGES)?;
        let semantic = files(&masks, "", &[SEMANTIC])?;
        if semantic.is_empty() {
            (AnomalyLayout::Masks, Pairs::matching(photos, files(&masks, "", &[".png"])?))
        } else {
            // Images of the test part lie beside them, and their masks are not published.
            let all = photos.len();
            let photos: BTreeMap<_, _> =
                photos.into_iter().filter(|(name, _)| semantic.contains_key(name)).collect();
            if photos.len() < all {
                tracing::warn!(
                    "{}: {} images have no mask and are left out",
                    path.display(),
                    all - photos.len()
                );
            }
            (AnomalyLayout::Masks, Pairs::matching(photos, semantic))
        }
    } else if frames.is_dir() {
        let mut labels = BTreeMap::new();
        for folder in folders(&frames)? {
            let mask = frames.join(&folder).join("labels_semantic.png");
            if let Some(name) = folder.strip_suffix(".labels").filter(|_| mask.is_file()) {
                labels.insert(name.to_owned(), mask);
            }
        }
        (AnomalyLayout::Masks, Pairs::matching(files(&frames, "", &IMAGES)?, labels))
    } else if path.join("annotations/test").is_dir() {
        let (mut photos, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for town in folders(&path.join("annotations/test"))? {
            let prefix = format!("{town}/");
            photos.extend(files(&images.join("test").join(&town), &prefix, &IMAGES)?);
            labels.extend(files(&path.join("annotations/test").join(&town), &prefix, &[".png"])?);
        }
        (AnomalyLayout::StreetHazards, Pairs::matching(photos, labels))
    } else {
        return Err(DataError::AnomalyLayout { path: path.to_owned() });
    };
    if let Some(first) = pairs.unpaired.first() {
        let (count, first) = (pairs.unpaired.len(), first.clone());
        return Err(DataError::Unpaired { path: path.to_owned(), count, first });
    }
    if pairs.pairs.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok((layout, pairs))
}

/// A data set with marked anomalies whose masks can be read: every mask was looked into.
pub struct Source {
    /// Its files.
    pub pairs: Pairs,
    /// How its masks are read.
    pub coding: MaskCoding,
    /// From the values in its masks to [`truth`].
    table: [u8; 256],
}

impl Source {
    /// Finds the samples of the data set in folder `path`, and out of all their masks how these are to be
    /// read, unless `coding` says so. A set without one anomaly is an error.
    pub fn open(path: &Path, coding: Option<MaskCoding>) -> Result<Self, DataError> {
        let (layout, pairs) = list(path)?;
        let of_layout = (layout == AnomalyLayout::StreetHazards).then_some(MaskCoding::StreetHazards);
        let (coding, table) = coding::mask_table(path, &values(&pairs)?, coding.or(of_layout))?;
        Ok(Self { pairs, coding, table })
    }

    /// Decodes one sample.
    pub fn load(&self, pair: &Pair) -> Result<AnomalySample, DataError> {
        let image = open_image(&pair.image)?;
        let mut truth = label_file::open_values(&pair.labels)?;
        if truth.dimensions() != image.dimensions() {
            let (labels, image) = (truth.dimensions(), image.dimensions());
            return Err(DataError::LabelSize { path: pair.labels.clone(), labels, image });
        }
        apply_table(&mut truth, &self.table);
        Ok(AnomalySample { name: pair.name.clone(), image, truth })
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    fn write(folder: &Path, image: &str, labels: &str, values: [u8; 3]) {
        for file in [image, labels] {
            std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        }
        RgbImage::new(3, 1).save(folder.join(image)).unwrap();
        GrayImage::from_fn(3, 1, |x, _| Luma([values[x as usize]])).save(folder.join(labels)).unwrap();
    }

    #[test]
    fn layouts_and_codings_are_told_apart_and_translated() {
        let street = ["images/test/t5/7.png", "annotations/test/t5/7.png"];
        let cases = [
            (["images/7.png", "labels_masks/7.png"], [0, 1, 2], [0, 255, 1]),
            (["images/7.png", "labels_masks/7.png"], [0, 1, 255], [0, 1, 255]),
            (["frames/7.jpg", "frames/7.labels/labels_semantic.png"], [0, 1, 2], [0, 255, 1]),
            (["images/7.jpg", "labels_masks/7_labels_semantic.png"], [0, 1, 255], [0, 1, 255]),
            (street, [0, 3, 14], [255, 0, 1]),
        ];
        for ([image, labels], values, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), image, labels, values);
            let source = Source::open(folder.path(), None).unwrap();
            assert_eq!(source.pairs.pairs.len(), 1);
            assert_eq!(source.load(&source.pairs.pairs[0]).unwrap().truth.as_raw(), &expected, "{labels}");
        }
    }

    #[test]
    fn images_that_segment_me_if_you_can_publishes_without_masks_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "images/a.png", "labels_masks/a_labels_semantic.png", [0, 1, 255]);
        RgbImage::new(3, 1).save(folder.path().join("images/b.png")).unwrap();
        RgbImage::new(3, 1).save(folder.path().join("labels_masks/a_labels_semantic_color.png")).unwrap();
        let names: Vec<String> = list(folder.path()).unwrap().1.pairs.into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn one_image_without_an_anomaly_is_fine_but_not_a_whole_set() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "images/a.png", "labels_masks/a.png", [0, 0, 255]);
        assert!(matches!(Source::open(folder.path(), None), Err(DataError::NoAnomaly { .. })));
        write(folder.path(), "images/b.png", "labels_masks/b.png", [0, 1, 0]);
        assert_eq!(Source::open(folder.path(), None).unwrap().coding, MaskCoding::Fishyscapes);
    }

    #[test]
    fn an_unknown_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = list(folder.path()).unwrap_err().to_string();
        assert!(error.contains("labels_masks") && error.contains("annotations/test"), "{error}");
    }
}
