//! Label images from anywhere, read as those of one data set are.

use std::path::Path;

use image::GrayImage;

use super::coding::{self, Met, Table};
use super::{Coding, DataError, LabelImage, LabelImageError, LabelImageKind};
use crate::labels::{IGNORE, LabelSet, apply_table};

/// What is in some label images, gathered before the first one is read.
#[derive(Default)]
pub(crate) struct Looked {
    met: Met,
}

impl Looked {
    /// Looks into one more, which messages call `name`.
    pub(crate) fn add(&mut self, name: &Path, image: &LabelImage) {
        self.met = std::mem::take(&mut self.met).and(Met::of(image, name));
    }

    /// How they are to be read, as classes of `labels`: by the coding that is asked for or the one that tells
    /// itself. Messages call them `name`.
    pub(crate) fn codebook(
        &self,
        name: &Path,
        labels: LabelSet,
        asked: Option<Coding>,
    ) -> Result<Codebook, DataError> {
        let table = coding::table(name, &labels, &self.met, asked)?;
        Ok(Codebook { labels, table })
    }
}

/// From what is in a label image to class ids.
pub(crate) struct Codebook {
    /// The classes.
    pub labels: LabelSet,
    table: Table,
}

impl Codebook {
    /// Of values whose classes are known by name; what is no class of `labels` is ignored.
    pub(crate) fn named<'a>(labels: LabelSet, values: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        let mut table = [IGNORE; 256];
        for (value, name) in values {
            if let (Some(place), Some(id)) = (table.get_mut(usize::from(value)), labels.id(name)) {
                *place = id;
            }
        }
        Self { labels, table: Table::Values(Box::new(table)) }
    }

    /// Class ids, `IGNORE` where there is none.
    pub(crate) fn ids(&self, image: LabelImage) -> GrayImage {
        let LabelImage { mut values, kind } = image;
        apply_table(&mut values, &self.table.of(&kind));
        values
    }
}

/// The label image in a raw image message: one value of 8 or 16 bits a pixel.
pub(crate) fn of_values(
    width: u32,
    height: u32,
    values: impl IntoIterator<Item = u16>,
) -> Result<LabelImage, LabelImageError> {
    let bytes: Result<Vec<u8>, LabelImageError> = values
        .into_iter()
        .map(|value| match value {
            u16::MAX => Ok(IGNORE),
            value => u8::try_from(value).map_err(|_| {
                LabelImageError::Pixels(format!("of 16 bits, one of them {value}; ids up to 255 are read"))
            }),
        })
        .collect();
    let bytes = bytes?;
    let found = bytes.len();
    let values = GrayImage::from_raw(width, height, bytes).ok_or_else(|| {
        LabelImageError::Pixels(format!("{found} in number, and the image is {width}x{height}"))
    })?;
    Ok(LabelImage { values, kind: LabelImageKind::Values })
}
