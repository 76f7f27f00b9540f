//! Cityscapes, in its official layout and as a folder of small images.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::pairs::{IMAGES, Pairs, files, folders};
use super::{Coding, DataError};

/// Where the small version is cut into `train` and `val`: it has the training drives only, so its
/// last cities stand in for the validation set.
const SMALL_TRAIN: usize = 2600;

/// Whether `path` holds `leftImg8bit/` and `gtFine/`.
pub(super) fn is_official(path: &Path) -> bool {
    path.join("leftImg8bit").is_dir() && path.join("gtFine").is_dir()
}

/// Whether `path` holds `images/` and `labels/`.
pub(super) fn is_small(path: &Path) -> bool {
    path.join("images").is_dir() && path.join("labels").is_dir()
}

/// All pairs of `images/NAME.webp` (or png, jpg) and `labels/NAME.png`.
pub(crate) fn list_small(path: &Path) -> Result<Pairs, DataError> {
    let images = files(&path.join("images"), "", &IMAGES)?;
    Ok(Pairs::matching(images, files(&path.join("labels"), "", &[".png"])?))
}

/// The positions of a part of the small version with `count` samples: `train` is 0..2600 and `val`
/// the rest.
pub(super) fn small_part(path: &Path, part: &str, count: usize) -> Result<Range<usize>, DataError> {
    let cut = SMALL_TRAIN.min(count);
    match part {
        "train" => Ok(0..cut),
        "val" => Ok(cut..count),
        _ => {
            let known = format!("train (0..{SMALL_TRAIN}), val ({SMALL_TRAIN}..)");
            Err(DataError::Part { path: path.to_owned(), part: part.to_owned(), known })
        }
    }
}

/// All pairs of one part of the official layout. Without a part, all parts but `test`, whose
/// published labels are blank. Names are `part/city/stem`.
pub(crate) fn list_official(path: &Path, part: Option<&str>) -> Result<Pairs, DataError> {
    let image_root = path.join("leftImg8bit");
    let label_root = path.join("gtFine");
    let parts = folders(&image_root)?;
    let wanted: Vec<&String> = match part {
        Some(part) => parts.iter().filter(|known| *known == part).collect(),
        None => parts.iter().filter(|known| *known != "test").collect(),
    };
    if let (Some(part), true) = (part, wanted.is_empty()) {
        let known = parts.join(", ");
        return Err(DataError::Part { path: path.to_owned(), part: part.to_owned(), known });
    }
    let mut images = BTreeMap::new();
    let mut labels = NAMED.map(|_| BTreeMap::new());
    for part in wanted {
        for city in folders(&image_root.join(part))? {
            let prefix = format!("{part}/{city}/");
            images.extend(files(&image_root.join(&prefix), &prefix, &["_leftImg8bit.png"])?);
        }
        if !label_root.join(part).is_dir() {
            continue; // Every image of it is reported as one without labels.
        }
        for city in folders(&label_root.join(part))? {
            let prefix = format!("{part}/{city}/");
            for ((ending, _), labels) in NAMED.iter().zip(&mut labels) {
                labels.extend(files(&label_root.join(&prefix), &prefix, &[ending])?);
            }
        }
    }
    let found = NAMED.into_iter().zip(labels).find(|(_, labels)| !labels.is_empty());
    let Some(((ending, coding), labels)) = found else {
        return Ok(Pairs::matching(images, BTreeMap::new()));
    };
    let pairs = Pairs::matching(images, labels);
    if coding == Coding::LabelIds {
        // Some convert these files and keep their names: the values tell.
        return Ok(pairs);
    }
    tracing::warn!("{}: no *{} in it; its *{ending} are read, as {coding}", path.display(), NAMED[0].0);
    Ok(Pairs { coding: Some(coding), ..pairs })
}

/// What label images are called in the official layout, the best first, and how they write classes.
const NAMED: [(&str, Coding); 3] = [
    ("_gtFine_labelIds.png", Coding::LabelIds),
    ("_gtFine_labelTrainIds.png", Coding::TrainIds),
    ("_gtFine_color.png", Coding::Colours),
];
