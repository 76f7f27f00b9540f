//! Pairing image files with label files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Coding, DataError};

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
    /// How classes are written, where the names of the label files say it.
    pub coding: Option<Coding>,
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

/// What names of images end in; what they are is told by their content.
pub(super) const IMAGES: [&str; 4] = [".png", ".jpg", ".jpeg", ".webp"];

/// Files in `folder` whose name ends in one of `endings`, in capitals or not; the key is `prefix` and the name
/// without the ending, and no two files may have the same.
pub(super) fn files(
    folder: &Path,
    prefix: &str,
    endings: &[&str],
) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut out: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (name, path) in entries(folder)? {
        let stem = endings.iter().find_map(|ending| {
            let at = name.len().checked_sub(ending.len()).filter(|&at| name.is_char_boundary(at))?;
            name[at..].eq_ignore_ascii_case(ending).then(|| format!("{prefix}{}", &name[..at]))
        });
        if let Some(stem) = stem.filter(|_| path.is_file())
            && let Some(other) = out.insert(stem, path.clone())
        {
            let [first, second] = if other < path { [other, path] } else { [path, other] };
            return Err(DataError::SameName { first, second });
        }
    }
    Ok(out)
}

/// Names of the folders in `folder`, sorted.
pub(super) fn folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names: Vec<String> =
        entries(folder)?.into_iter().filter(|(_, path)| path.is_dir()).map(|(name, _)| name).collect();
    names.sort();
    Ok(names)
}

/// Folders that macOS, network disks and Windows leave anywhere.
const LEFT_BEHIND: [&str; 3] = ["__MACOSX", "@eaDir", "$RECYCLE.BIN"];

/// What is in `folder`, with its name, but for what systems and tools leave there unasked: hidden files and
/// folders (`._0000.png`, `.DS_Store`, `.ipynb_checkpoints`) and [`LEFT_BEHIND`].
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && !LEFT_BEHIND.contains(&name.as_str()) {
            out.push((name, path));
        }
    }
    Ok(out)
}
