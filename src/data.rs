//! Labelled data sets, loaded into memory.
//!
//! ```text
//! folder --detect--> layout --list--> pairs of files --slice, decode, resize (parallel)--> Dataset
//! ```
//!
//! Labels arrive as class ids of the data set's [label set](crate::labels), never as the ids in its
//! files. Samples are sorted by name, which in every supported data set is the order of time within
//! a drive, so a contiguous slice is a set of drives ([`folds`]).

pub mod anomaly;
pub mod camvid;
pub mod cityscapes;
#[cfg(feature = "replay")]
pub(crate) mod codebook;
mod coding;
pub(crate) mod degradation;
pub mod folds;
pub mod given;
mod label_file;
pub mod npy;
mod pairs;
pub(crate) mod sequence;
mod slice;
pub mod streethazards;

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;
use image::imageops::{self, FilterType};
use image::{GrayImage, RgbImage};
use rayon::prelude::*;

pub use crate::frame::label_image::{
    Kind as LabelImageKind, LabelImage, LabelImageError, decode as decode_labels,
};
pub use coding::{Coding, MaskCoding, UnknownCoding};
pub use pairs::{Pair, Pairs};
pub use slice::Slice;

use coding::{Met, Table, Values};

use crate::frame;
use crate::labels::{LabelError, LabelSet, apply_table, resize_labels};

/// Why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A folder or file cannot be opened.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The folder holds none of the known layouts.
    #[error(
        "{}: no known data set; expected images/ and labels/ (cityscapes128), leftImg8bit/ and gtFine/ \
         (Cityscapes), images/ and annotations/ (StreetHazards), or pairs of folders such as train/ and \
         trainannot/ (CamVid)",
        path.display()
    )]
    Layout {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds none of the known layouts of anomalies.
    #[error(
        "{}: no known anomaly data set; expected images/ and labels_masks/ (RoadAnomaly, SegmentMeIfYouCan, \
         Fishyscapes), frames/ with X.labels/ beside X (RoadAnomaly) or images/test/ and annotations/test/ (StreetHazards)",
        path.display()
    )]
    AnomalyLayout {
        /// The folder.
        path: PathBuf,
    },
    /// The data set does not have the part that was asked for.
    #[error("{}: no part {part:?}; it has {known}", path.display())]
    Part {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        part: String,
        /// The parts that it has.
        known: String,
    },
    /// Images without labels or labels without images.
    #[error("{}: {count} of its files have no partner, the first is {first}", path.display())]
    Unpaired {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
        /// The first, and what it lacks.
        first: String,
    },
    /// Two files of one name but for their endings.
    #[error("{} and {} are two files for one sample", first.display(), second.display())]
    SameName {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Nothing to load.
    #[error("{}: no labelled image in it", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// Text that is not a slice.
    #[error(
        "{text:?} is not a slice; expected PART, START..END or PART:START..END, such as val, 2600..2974, train:..100"
    )]
    SliceText {
        /// The text.
        text: String,
    },
    /// A slice beyond the end, or an empty one.
    #[error("slice {start}..{end} does not fit {count} samples; it needs start < end <= {count}")]
    SliceRange {
        /// First sample.
        start: usize,
        /// One past the last.
        end: usize,
        /// Number of samples.
        count: usize,
    },
    /// A picture that cannot be read.
    #[error(transparent)]
    Picture(#[from] frame::FileError),
    /// A label image that holds no ids.
    #[error(
        "{}: {reason}; labels must be a PNG of at most 8 bits of grey, with a palette, or in the colours of the label set",
        path.display()
    )]
    LabelImage {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: LabelImageError,
    },
    /// Labels whose values are not the label set's.
    #[error(
        "{}: {reason}; another set of classes is described in labels.yaml beside the data, another coding is \
         chosen by --coding",
        path.display()
    )]
    Ids {
        /// The data set.
        path: PathBuf,
        /// What was found, and what is known.
        reason: String,
    },
    /// Masks without an anomaly: nothing can be measured.
    #[error("{}: no pixel is marked as anomalous; found {found}, read as {coding}", path.display())]
    NoAnomaly {
        /// The data set.
        path: PathBuf,
        /// The values met.
        found: String,
        /// How they were read.
        coding: String,
    },
    /// Masks with values that mean nothing.
    #[error("{}: its masks hold {found}; expected {expected}", path.display())]
    Masks {
        /// The data set.
        path: PathBuf,
        /// The values met.
        found: String,
        /// What is known.
        expected: String,
    },
    /// A label set of the user's own that cannot be read.
    #[error("{}: {reason}", path.display())]
    OwnLabels {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: Box<LabelError>,
    },
    /// An image and its labels differ in size.
    #[error("{}: labels are {labels:?} and the image is {image:?} pixels", path.display())]
    LabelSize {
        /// The label file.
        path: PathBuf,
        /// Its size.
        labels: (u32, u32),
        /// The image's.
        image: (u32, u32),
    },
    /// The working size has no pixels.
    #[error("cannot resize to {width}x{height}; both must be at least 1")]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The data set's label set.
    #[error(transparent)]
    Labels(#[from] LabelError),
}

/// One labelled image.
#[derive(Clone, Debug)]
pub struct Sample {
    /// File name without its ending, with the folders that tell parts or cities apart.
    pub name: String,
    /// Colours.
    pub image: RgbImage,
    /// Class ids, `IGNORE` where there is none; as large as `image`.
    pub labels: GrayImage,
}

/// Labelled images of one data set.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The label set that the ids belong to.
    pub labels: LabelSet,
    /// Sorted by name.
    pub samples: Vec<Sample>,
    /// Files that were left out because they have no partner; 0 unless [`Options::allow_unpaired`].
    pub unpaired: usize,
}

/// What to load, and how large.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Width and height to resize to; `None` keeps each image's own size.
    pub size: Option<(u32, u32)>,
    /// Which samples; all by default.
    pub slice: Slice,
    /// Whether files without a partner are counted and left out rather than an error.
    pub allow_unpaired: bool,
    /// How its labels are read.
    pub reading: Reading,
}

/// How the labels of a data set are read, where it is not to be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// File of the label set; by default [`OWN_LABELS`] in the data set's folder, or, without that file, the
    /// set that the layout belongs to.
    pub labels: Option<PathBuf>,
    /// How classes are written; told by the values met by default.
    pub coding: Option<Coding>,
}

/// The file beside the data that describes classes of one's own.
pub const OWN_LABELS: &str = "labels.yaml";

/// Largest file of a label set, in bytes.
const MOST_YAML: u64 = 1 << 20;

impl Reading {
    /// The label set of the data set in folder `path`.
    pub fn label_set(&self, path: &Path, layout: Layout) -> Result<LabelSet, DataError> {
        let beside = path.join(OWN_LABELS);
        let Some(file) = self.labels.clone().or_else(|| beside.is_file().then_some(beside)) else {
            return Ok(LabelSet::by_name(layout.label_set())?);
        };
        let mut text = String::new();
        fs::File::open(&file)?.take(MOST_YAML).read_to_string(&mut text)?;
        LabelSet::from_yaml(&text)
            .and_then(LabelSet::own)
            .map_err(|reason| DataError::OwnLabels { path: file, reason: Box::new(reason) })
    }
}

/// How a data set is laid out in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `images/NNNN.webp` with `labels/NNNN.png`, Cityscapes label ids.
    Cityscapes128,
    /// `leftImg8bit/<part>/<city>/*_leftImg8bit.png` with `gtFine/<part>/<city>/*_gtFine_labelIds.png`.
    Cityscapes,
    /// `<part>/*` with `<part>annot/*.png`.
    CamVid,
    /// `images/<part>/<town>/*` with `annotations/<part>/<town>/*.png`.
    StreetHazards,
}

impl Layout {
    /// The label set of the data set.
    pub fn label_set(self) -> &'static str {
        match self {
            Self::Cityscapes128 | Self::Cityscapes => "cityscapes",
            Self::CamVid => "camvid",
            Self::StreetHazards => "streethazards",
        }
    }
}

/// Finds the layout of the data set in folder `path`.
pub fn detect(path: &Path) -> Result<Layout, DataError> {
    fs::read_dir(path)?;
    if cityscapes::is_official(path) {
        Ok(Layout::Cityscapes)
    } else if cityscapes::is_small(path) {
        Ok(Layout::Cityscapes128)
    } else if streethazards::is_here(path) {
        Ok(Layout::StreetHazards)
    } else if !camvid::parts(path)?.is_empty() {
        Ok(Layout::CamVid)
    } else {
        Err(DataError::Layout { path: path.to_owned() })
    }
}

/// Pairs the files of the data set in folder `path` that `slice` names, sorted by name. Nothing is
/// decoded. The whole part is paired, then sliced.
pub fn list(path: &Path, slice: &Slice, allow_unpaired: bool) -> Result<(Layout, Pairs), DataError> {
    let layout = detect(path)?;
    let mut pairs = match layout {
        Layout::Cityscapes128 => cityscapes::list_small(path)?,
        Layout::Cityscapes => cityscapes::list_official(path, slice.part())?,
        Layout::CamVid => camvid::list(path, slice.part())?,
        Layout::StreetHazards => streethazards::list(path, slice.part())?,
    };
    if let (Some(first), false) = (pairs.unpaired.first(), allow_unpaired) {
        let (count, first) = (pairs.unpaired.len(), first.clone());
        return Err(DataError::Unpaired { path: path.to_owned(), count, first });
    }
    if layout == Layout::Cityscapes128
        && let Some(part) = slice.part()
    {
        pairs.keep(cityscapes::small_part(path, part, pairs.pairs.len())?);
    }
    if pairs.pairs.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    pairs.keep(slice.range(pairs.pairs.len())?);
    Ok((layout, pairs))
}

/// A data set whose files are paired and whose labels can be read: every label image that the slice names was
/// looked into.
pub struct Source {
    /// Its label set.
    pub labels: LabelSet,
    /// Its files.
    pub pairs: Pairs,
    /// From what is in its label images to class ids.
    table: Table,
}

impl Source {
    /// Finds the samples of the data set in folder `path` that `slice` names, and out of all their labels how
    /// these are to be read.
    pub fn open(
        path: &Path,
        slice: &Slice,
        allow_unpaired: bool,
        reading: &Reading,
    ) -> Result<Self, DataError> {
        let (layout, pairs) = list(path, slice, allow_unpaired)?;
        let labels = reading.label_set(path, layout)?;
        // What a file's name says of its coding holds unless something else is asked for.
        let coding = reading.coding.or(pairs.coding);
        let table = coding::table(path, &labels, &met(&pairs)?, coding)?;
        Ok(Self { labels, pairs, table })
    }

    /// Decodes one pair.
    pub fn load(&self, pair: &Pair, size: Option<(u32, u32)>) -> Result<Sample, DataError> {
        let mut image = open_image(&pair.image)?;
        let LabelImage { values: mut labels, kind } = label_file::open(&pair.labels)?;
        if labels.dimensions() != image.dimensions() {
            let (labels, image) = (labels.dimensions(), image.dimensions());
            return Err(DataError::LabelSize { path: pair.labels.clone(), labels, image });
        }
        if let Some(size) = size {
            image = resize_image(image, size);
            labels = resize_labels(labels, size);
        }
        apply_table(&mut labels, &self.table.of(&kind));
        Ok(Sample { name: pair.name.clone(), image, labels })
    }
}

/// All that is in the label images of `pairs`.
fn met(pairs: &Pairs) -> Result<Met, DataError> {
    let of = |pair: &Pair| Ok(Met::of(&label_file::open(&pair.labels)?, &pair.labels));
    pairs.pairs.par_iter().map(of).try_reduce(Met::default, |some, more| Ok(some.and(more)))
}

/// All values in the masks of `pairs`.
fn values(pairs: &Pairs) -> Result<Values, DataError> {
    let of = |pair: &Pair| Ok(Values::of(label_file::open_values(&pair.labels)?.as_raw()));
    pairs.pairs.par_iter().map(of).try_reduce(Values::none, |some, more| Ok(some.and(more)))
}

/// Loads the data set in folder `path`, decoding in parallel.
pub fn load(path: &Path, options: &Options) -> Result<Dataset, DataError> {
    if let Some((width, height)) = options.size.filter(|&(width, height)| width == 0 || height == 0) {
        return Err(DataError::Size { width, height });
    }
    let source = Source::open(path, &options.slice, options.allow_unpaired, &options.reading)?;
    let samples: Result<Vec<Sample>, DataError> =
        source.pairs.pairs.par_iter().map(|pair| source.load(pair, options.size)).collect();
    Ok(Dataset { samples: samples?, unpaired: source.pairs.unpaired.len(), labels: source.labels })
}

/// The images that `slice` names, decoded one by one on demand.
pub fn images(
    path: &Path,
    slice: &Slice,
) -> Result<impl Iterator<Item = Result<RgbImage, DataError>> + use<>, DataError> {
    Ok(list(path, slice, false)?.1.pairs.into_iter().map(|pair| open_image(&pair.image)))
}

/// Resizes colours with a triangle filter as wide as the reduction, so that nothing aliases.
pub(crate) fn resize_image(image: RgbImage, (width, height): (u32, u32)) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image;
    }
    imageops::resize(&image, width, height, FilterType::Triangle)
}

/// Decodes an image, whatever its name ends in.
pub(crate) fn open_image(path: &Path) -> Result<RgbImage, DataError> {
    Ok(frame::open(path)?.into_rgb8())
}

#[cfg(test)]
mod tests;
