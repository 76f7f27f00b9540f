//! Drives as files, in the layouts of known data sets, for which loaders exist.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use image::GrayImage;

use super::{Drive, DriveOptions, Rendered};
use crate::labels::{IGNORE, LabelError, LabelSet, apply_table};

/// How files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `images/*.png`, `labels/*.png` with Cityscapes label ids, `anomalies/*.png` (0, 1).
    Cityscapes128,
    /// `TOWN/*.png`, `TOWNannot/*.png` with CamVid's eleven classes (11 = none), `TOWNanomaly/*.png`.
    CamVid,
    /// `images/test/TOWN/*.png`, `annotations/test/TOWN/*.png` with StreetHazards' values: 0 no label,
    /// 14 anomaly.
    StreetHazards,
}

/// A layout that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no layout '{0}'; there are cityscapes128, camvid and streethazards")]
pub struct UnknownLayout(String);

impl FromStr for Layout {
    type Err = UnknownLayout;

    fn from_str(text: &str) -> Result<Self, UnknownLayout> {
        match text {
            "cityscapes128" => Ok(Self::Cityscapes128),
            "camvid" => Ok(Self::CamVid),
            "streethazards" => Ok(Self::StreetHazards),
            _ => Err(UnknownLayout(text.to_owned())),
        }
    }
}

/// Why a drive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A folder.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An image.
    #[error("{}: {reason}", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: image::ImageError,
    },
    /// A label set.
    #[error(transparent)]
    Labels(#[from] LabelError),
}

/// StreetHazards' value of an anomaly.
const ANOMALY: u8 = 14;

impl Layout {
    /// Folders of images, labels and anomaly masks under the data set's own.
    fn folders(self, town: &str) -> [Option<String>; 3] {
        match self {
            Self::Cityscapes128 => ["images", "labels", "anomalies"].map(|name| Some(name.into())),
            Self::CamVid => ["", "annot", "anomaly"].map(|ending| Some(format!("{town}{ending}"))),
            Self::StreetHazards => {
                [Some(format!("images/test/{town}")), Some(format!("annotations/test/{town}")), None]
            }
        }
    }

    /// From class ids to the values of the label files.
    fn table(self) -> Result<[u8; 256], LabelError> {
        let ours = LabelSet::by_name("cityscapes")?;
        let mut table = [0; 256];
        match self {
            Self::Cityscapes128 => {
                for (id, class) in ours.classes.iter().enumerate() {
                    table[id] = class.raw.first().copied().unwrap_or(0);
                }
            }
            Self::CamVid => {
                let camvid = LabelSet::by_name("camvid")?;
                let none = camvid.len() as u8;
                table = ours.map_onto(&camvid)?.map(|id| if id == IGNORE { none } else { id });
            }
            Self::StreetHazards => {
                let theirs = LabelSet::by_name("streethazards")?;
                let value = |id: u8| theirs.classes.get(usize::from(id)).and_then(|c| c.raw.first().copied());
                table = ours.map_onto(&theirs)?.map(|id| value(id).unwrap_or(0));
                table[usize::from(IGNORE)] = ANOMALY;
            }
        }
        Ok(table)
    }
}

/// Writes `frames` frames of a drive to `folder`; `each` is called after each. Files are named by town,
/// seed and frame, so that drives lie beside each other in the order of time.
pub fn write(
    folder: &Path,
    layout: Layout,
    options: &DriveOptions,
    frames: usize,
    mut each: impl FnMut(),
) -> Result<(), ExportError> {
    let table = layout.table()?;
    let folders = layout.folders(options.town.name()).map(|name| name.map(|name| folder.join(name)));
    for path in folders.iter().flatten() {
        fs_err::create_dir_all(path)?;
    }
    for (number, frame) in Drive::new(options).take(frames).enumerate() {
        let name = format!("{}_{:05}_{number:05}.png", options.town, options.seed);
        save(frame, &table, &folders, &name)?;
        each();
    }
    Ok(())
}

fn save(
    frame: Rendered,
    table: &[u8; 256],
    [images, labels, anomalies]: &[Option<PathBuf>; 3],
    name: &str,
) -> Result<(), ExportError> {
    let Rendered { image, labels: mut ids, anomaly } = frame;
    apply_table(&mut ids, table);
    let grey = |folder: &Option<PathBuf>, map: &GrayImage| match folder {
        Some(folder) => stored(folder.join(name), |path| map.save(path)),
        None => Ok(()),
    };
    grey(labels, &ids)?;
    grey(anomalies, &anomaly)?;
    match images {
        Some(folder) => stored(folder.join(name), |path| image.save(path)),
        None => Ok(()),
    }
}

fn stored(path: PathBuf, save: impl FnOnce(&Path) -> image::ImageResult<()>) -> Result<(), ExportError> {
    save(&path).map_err(|reason| ExportError::Image { path, reason })
}
