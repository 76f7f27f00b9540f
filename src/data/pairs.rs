//! Pairing image files with label files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::DataError;

/// An image file and its label file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name both share, with the folders that tell parts or cities apart.
    pub name: String,
    /// The image.
    pub image: PathBuf,
    /// The labels.
    pub labels: PathBuf,
}

/// The files of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Sorted by name.
    pub pairs: Vec<Pair>,
    /// Each file without a partner, in words.
    pub unpaired: Vec<String>,
}

impl Pairs {
    /// Matches files by the names that are their keys.
    pub(super) fn matching(images: BTreeMap<String, PathBuf>, mut labels: BTreeMap<String, PathBuf>) -> Self {
        let mut out = Self::default();
        for (name, image) in images {
            match labels.remove(&name) {
                Some(labels) => out.pairs.push(Pair { name, image, labels }),
                None => out.unpaired.push(format!("{}, which has no labels", image.display())),
            }
        }
        out.unpaired.extend(labels.values().map(|path| format!("{}, which has no image", path.display())));
        out
    }

    /// Keeps the pairs at the positions `range`, which must exist.
    pub(super) fn keep(&mut self, range: Range<usize>) {
        self.pairs.truncate(range.end);
        self.pairs.drain(..range.start);
    }
}

/// Files in `folder` whose name ends in one of `endings`; the key is `prefix` and the name without
/// the ending.
pub(super) fn files(
    folder: &Path,
    prefix: &str,
    endings: &[&str],
) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut out = BTreeMap::new();
    for path in entries(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some(stem) = endings.iter().find_map(|ending| name.strip_suffix(ending))
            && path.is_file()
        {
            out.insert(format!("{prefix}{stem}"), path);
        }
    }
    Ok(out)
}

/// Names of the folders in `folder`, sorted.
pub(super) fn folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names: Vec<String> = entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}
