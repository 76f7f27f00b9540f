//! StreetHazards: `images/PART/TOWN/N.png` with `annotations/PART/TOWN/N.png`.

use std::collections::BTreeMap;
use std::path::Path;

use super::DataError;
use super::pairs::{IMAGES, Pairs, files, folders};

/// Whether `path` holds `images/` and `annotations/`.
pub(super) fn is_here(path: &Path) -> bool {
    path.join("images").is_dir() && path.join("annotations").is_dir()
}

/// All pairs of one part, or of every part. Names are `part/town/stem`.
pub fn list(path: &Path, part: Option<&str>) -> Result<Pairs, DataError> {
    let (image_root, label_root) = (path.join("images"), path.join("annotations"));
    let parts = folders(&label_root)?;
    let wanted: Vec<&String> = parts.iter().filter(|known| part.is_none_or(|part| *known == part)).collect();
    if let (Some(part), true) = (part, wanted.is_empty()) {
        let known = parts.join(", ");
        return Err(DataError::Part { path: path.to_owned(), part: part.to_owned(), known });
    }
    let (mut images, mut labels) = (BTreeMap::new(), BTreeMap::new());
    for part in wanted {
        for town in folders(&label_root.join(part))? {
            let prefix = format!("{part}/{town}/");
            images.extend(files(&image_root.join(&prefix), &prefix, &IMAGES)?);
            labels.extend(files(&label_root.join(&prefix), &prefix, &[".png"])?);
        }
    }
    Ok(Pairs::matching(images, labels))
}
