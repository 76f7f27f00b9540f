//! Pictures of real things, for outlier exposure.

use std::path::{Path, PathBuf};

use image::RgbaImage;

use crate::model::bundle::sha256;
use crate::train::TrainError;

/// Pictures of things of no class, cut out.
#[derive(Clone, Debug, Default)]
pub struct Cutouts(pub(super) Vec<RgbaImage>);

/// Side to which larger cut-outs are reduced.
const LARGEST: u32 = 256;

impl Cutouts {
    /// Every PNG in `folder`, in the order of their names; each must have an alpha channel.
    pub fn read(folder: &Path) -> Result<Self, TrainError> {
        let wrong = |path: &Path, reason: String| TrainError::Format { path: path.into(), reason };
        let paths = pictures(folder)?;
        let read = |path: &PathBuf| {
            let picture = image::open(path).map_err(|e| wrong(path, e.to_string()))?;
            if !picture.color().has_alpha() {
                return Err(wrong(
                    path,
                    "it has no alpha channel; a cut-out is opaque where the thing is".into(),
                ));
            }
            Ok(picture.thumbnail(LARGEST.min(picture.width()), LARGEST.min(picture.height())).to_rgba8())
        };
        let cutouts = paths.iter().map(read).collect::<Result<Vec<_>, TrainError>>()?;
        match cutouts.is_empty() {
            true => Err(wrong(
                folder,
                "it holds no cut-outs; PNG files with an alpha channel are expected".into(),
            )),
            false => Ok(Self(cutouts)),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The PNG files in `folder`, in the order of their names.
fn pictures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths: Result<Vec<_>, std::io::Error> =
        fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")));
    paths.sort();
    Ok(paths)
}

/// SHA-256 over the names and bytes of the cut-outs in `folder`, in hex.
pub(crate) fn fingerprint(folder: &Path) -> Result<String, TrainError> {
    let mut facts = String::new();
    for path in pictures(folder)? {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        facts += &format!("{name} {}\n", sha256(&fs_err::read(&path)?));
    }
    Ok(sha256(facts.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_cut_outs_and_a_picture_without_alpha_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = Cutouts::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no cut-outs"), "{message}");
        image::RgbImage::new(4, 4).save(folder.path().join("a.png")).unwrap();
        let message = Cutouts::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("a.png") && message.contains("no alpha channel"), "{message}");
        RgbaImage::new(600, 300).save(folder.path().join("a.png")).unwrap();
        let cutouts = Cutouts::read(folder.path()).unwrap();
        assert_eq!(cutouts.0[0].dimensions(), (256, 128));
        // What they are tells them from others.
        let before = fingerprint(folder.path()).unwrap();
        RgbaImage::new(9, 9).save(folder.path().join("b.png")).unwrap();
        assert_ne!(fingerprint(folder.path()).unwrap(), before);
    }
}
