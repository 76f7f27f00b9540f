//! Label images in files.

use std::path::Path;

use fs_err as fs;
use image::GrayImage;

use super::DataError;
use crate::frame::label_image::{Kind, LabelImage, LabelImageError, decode};

fn named(path: &Path) -> impl Fn(LabelImageError) -> DataError {
    |reason| DataError::LabelImage { path: path.to_owned(), reason }
}

/// The label image at `path`.
pub(super) fn open(path: &Path) -> Result<LabelImage, DataError> {
    decode(&fs::read(path)?).map_err(named(path))
}

/// The values in the label image at `path`, which must not be colours.
pub(super) fn open_values(path: &Path) -> Result<GrayImage, DataError> {
    match open(path)? {
        LabelImage { kind: Kind::Colours(_), .. } => Err(named(path)(LabelImageError::coloured())),
        LabelImage { values, .. } => Ok(values),
    }
}
