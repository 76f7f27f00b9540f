//! CamVid as the SegNet release lays it out: a folder of frames beside a folder of annotations.

use std::collections::BTreeMap;
use std::path::Path;

use super::DataError;
use super::pairs::{IMAGES, Pairs, files, folders};

/// What the annotation folder's name adds to its part's.
const ANNOTATION: &str = "annot";

/// Folders that have an annotation folder beside them, sorted.
pub fn parts(path: &Path) -> Result<Vec<String>, DataError> {
    let all = folders(path)?;
    let is_part = |name: &&String| all.binary_search(&format!("{name}{ANNOTATION}")).is_ok();
    Ok(all.iter().filter(is_part).cloned().collect())
}

/// All pairs of one part, or of every part. Names are `part/stem`.
pub fn list(path: &Path, part: Option<&str>) -> Result<Pairs, DataError> {
    let all = parts(path)?;
    let wanted: Vec<&String> = all.iter().filter(|known| part.is_none_or(|part| *known == part)).collect();
    if let (Some(part), true) = (part, wanted.is_empty()) {
        return Err(DataError::Part { path: path.to_owned(), part: part.to_owned(), known: all.join(", ") });
    }
    let (mut images, mut labels) = (BTreeMap::new(), BTreeMap::new());
    for part in wanted {
        let prefix = format!("{part}/");
        images.extend(files(&path.join(part), &prefix, &IMAGES)?);
        labels.extend(files(&path.join(format!("{part}{ANNOTATION}")), &prefix, &[".png"])?);
    }
    Ok(Pairs::matching(images, labels))
}
