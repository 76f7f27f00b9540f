//! Images in which the pixels of anomaly objects are marked.

use std::collections::BTreeMap;
use std::path::Path;

use image::{GrayImage, RgbImage};

use super::pairs::{Pair, Pairs, files, folders};
use super::{DataError, open_image, open_labels};
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

/// How the marks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnomalyLayout {
    /// RoadAnomaly (Lis et al., 2019): `images/N.jpg`, `labels_masks/N.png` with 0 ordinary, 1 ignored,
    /// 2 anomaly.
    RoadAnomaly,
    /// StreetHazards (Hendrycks et al., 2022), test part: `images/test/TOWN/N.png`,
    /// `annotations/test/TOWN/N.png` with 14 for an anomaly and 0 for no label.
    StreetHazards,
}

impl AnomalyLayout {
    fn truth(self, value: u8) -> u8 {
        match (self, value) {
            (Self::RoadAnomaly, 2) | (Self::StreetHazards, 14) => truth::ANOMALY,
            (Self::RoadAnomaly, 1) | (Self::StreetHazards, 0) => truth::IGNORED,
            _ => truth::ORDINARY,
        }
    }
}

/// The samples of the data set in folder `path`, by name; nothing is decoded.
pub fn list(path: &Path) -> Result<(AnomalyLayout, Pairs), DataError> {
    const ENDINGS: [&str; 3] = [".jpg", ".png", ".webp"];
    let images = path.join("images");
    let masks = path.join("labels_masks");
    let (layout, pairs) = if masks.is_dir() {
        let pairs = Pairs::matching(files(&images, "", &ENDINGS)?, files(&masks, "", &[".png"])?);
        (AnomalyLayout::RoadAnomaly, pairs)
    } else if path.join("annotations/test").is_dir() {
        let (mut photos, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for town in folders(&path.join("annotations/test"))? {
            let prefix = format!("{town}/");
            photos.extend(files(&images.join("test").join(&town), &prefix, &ENDINGS)?);
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

/// Decodes one sample.
pub fn load(layout: AnomalyLayout, pair: &Pair) -> Result<AnomalySample, DataError> {
    let image = open_image(&pair.image)?;
    let mut truth = open_labels(&pair.labels)?;
    if truth.dimensions() != image.dimensions() {
        let (labels, image) = (truth.dimensions(), image.dimensions());
        return Err(DataError::LabelSize { path: pair.labels.clone(), labels, image });
    }
    truth.iter_mut().for_each(|value| *value = layout.truth(*value));
    Ok(AnomalySample { name: pair.name.clone(), image, truth })
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
    fn both_layouts_are_told_apart_and_translated() {
        let cases = [
            ("images/7.png", "labels_masks/7.png", [0, 1, 2], AnomalyLayout::RoadAnomaly, [0, 255, 1]),
            (
                "images/test/t5/7.png",
                "annotations/test/t5/7.png",
                [0, 3, 14],
                AnomalyLayout::StreetHazards,
                [255, 0, 1],
            ),
        ];
        for (image, labels, values, layout, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), image, labels, values);
            let (found, pairs) = list(folder.path()).unwrap();
            assert_eq!((found, pairs.pairs.len()), (layout, 1));
            assert_eq!(load(found, &pairs.pairs[0]).unwrap().truth.as_raw(), &expected);
        }
    }

    #[test]
    fn an_unknown_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = list(folder.path()).unwrap_err().to_string();
        assert!(error.contains("labels_masks") && error.contains("annotations/test"), "{error}");
    }
}
