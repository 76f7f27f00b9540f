//! Frames of drives: images in a folder, in the order of their names.
//!
//! Drives are told apart by what stands before the last `_` of a name, as in `val_00001_00042.png`.

use std::path::{Path, PathBuf};

use super::DataError;
use super::pairs::{IMAGES, files};

/// The frames of each drive in `folder`, or in `images` there, if that is a folder. Nothing is decoded.
pub(crate) fn drives(folder: &Path) -> Result<Vec<Vec<PathBuf>>, DataError> {
    let images = folder.join("images");
    let folder = if images.is_dir() { &images } else { folder };
    let mut drives: Vec<(String, Vec<PathBuf>)> = Vec::new();
    for (name, path) in files(folder, "", &IMAGES)? {
        let drive = name.rsplit_once('_').map_or("", |(drive, _)| drive);
        match drives.last_mut().filter(|(last, _)| last == drive) {
            Some((_, frames)) => frames.push(path),
            None => drives.push((drive.to_owned(), vec![path])),
        }
    }
    if drives.is_empty() {
        return Err(DataError::Empty { path: folder.to_owned() });
    }
    Ok(drives.into_iter().map(|(_, frames)| frames).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_by_name_and_drives_by_what_comes_before() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(drives(folder.path()), Err(DataError::Empty { .. })));
        for name in ["b_00001.png", "a_1_00002.png", "a_1_00001.png", "a_2_00001.jpg", "notes_1.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |drives: Vec<Vec<PathBuf>>| -> Vec<Vec<String>> {
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            drives.iter().map(|drive| drive.iter().map(name).collect()).collect()
        };
        let expected = [&["a_1_00001.png", "a_1_00002.png"][..], &["a_2_00001.jpg"], &["b_00001.png"]];
        assert_eq!(names(drives(folder.path()).unwrap()), expected);
        std::fs::create_dir(folder.path().join("images")).unwrap();
        std::fs::write(folder.path().join("images/c.png"), "").unwrap();
        assert_eq!(names(drives(folder.path()).unwrap()), [["c.png"]]);
    }
}
