//! What another segmenter made of a data set's images: a folder of label images, each by the name of its sample, and
//! beside it how sure the segmenter was, as `.npy`.
//!
//! ```text
//! NAME.png or NAME_pred.png   class ids, any size: they cover the whole image
//! NAME.npy                    its softmax, classes x h x w; or its confidence, h x w
//! ```

use std::path::{Path, PathBuf};

use image::GrayImage;
use rayon::prelude::*;

use super::coding::{self, Met, Table};
use super::label_file;
use super::npy::{self, Array, NpyError, Numbers};
use super::pairs::Pair;
use super::{Coding, DataError};
use crate::frame::label_image::LabelImage;
use crate::labels::{IGNORE, LabelSet, apply_table};

/// Why another segmenter's labels of a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// Samples without a label image.
    #[error(
        "{}: {missing} of {count} samples have no label image in it, the first is {first}; NAME.png or NAME_pred.png \
         is needed of each",
        folder.display()
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// How many.
        missing: usize,
        /// Of so many.
        count: usize,
        /// The name of the first.
        first: String,
    },
    /// Some samples with an array and some without.
    #[error(
        "{}: {some} of {count} label images have a .npy beside them, the first without is {first}; all or none \
         must have one",
        folder.display()
    )]
    SomeSure {
        /// The folder.
        folder: PathBuf,
        /// How many have one.
        some: usize,
        /// Of so many.
        count: usize,
        /// The name of the first without.
        first: String,
    },
    /// An array of another shape.
    #[error(
        "{}: its shape is {shape:?}; a softmax of {classes} classes x height x width is needed, or a confidence of \
         height x width",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its shape.
        shape: Vec<usize>,
        /// Classes of the bundle.
        classes: usize,
    },
    /// An array of numbers that are no probabilities.
    #[error("{}: {what}", path.display())]
    NoProbability {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: String,
    },
    /// A softmax of other labels.
    #[error(
        "{}: its largest class is that of the label image at {:.1} % of the pixels; it must be the softmax that the \
         labels were made from, classes in the order of the bundle's",
        path.display(),
        100. * share
    )]
    OtherLabels {
        /// The file.
        path: PathBuf,
        /// Share of the labelled pixels at which they agree.
        share: f64,
    },
    /// A label image.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An array.
    #[error(transparent)]
    Npy(#[from] NpyError),
}

/// Where another segmenter's labels of a data set are.
#[derive(Clone, Debug)]
pub struct GivenAt {
    /// Their folder.
    pub folder: PathBuf,
    /// How they write classes: by default as places in the label set, or its colours.
    pub coding: Option<Coding>,
}

impl GivenAt {
    /// The folder's name.
    pub fn name(&self) -> String {
        self.folder.file_name().map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Those of `pairs`, samples of the data set in folder `data`, for a bundle with label set `set`.
    pub fn open(&self, data: &Path, pairs: &[Pair], set: &LabelSet) -> Result<GivenFolder, GivenError> {
        GivenFolder::open(&self.folder, (data, pairs), set, self.coding)
    }
}

/// The label images of some samples, found and looked into.
pub struct GivenFolder {
    files: Vec<Files>,
    table: Table,
    classes: usize,
}

struct Files {
    labels: PathBuf,
    sure: Option<PathBuf>,
}

/// What a segmenter made of one image.
#[derive(Clone, Debug)]
pub struct GivenLabels {
    /// Class ids; `IGNORE` where it gave none.
    pub labels: GrayImage,
    /// How sure it was, if it said so.
    pub sure: Option<Sure>,
}

/// How sure a segmenter was, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Sure {
    /// Probabilities: class by class.
    Softmax {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// They.
        numbers: Vec<f32>,
    },
    /// The probability that the label is right, or anything in \[0, 1\] that rises with it.
    Confidence {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// They.
        numbers: Vec<f32>,
    },
}

/// How far a sum of probabilities may be from 1: that of nineteen in half precision.
const APART: f32 = 0.02;
/// Share of the pixels at which a softmax must have the labels' class; ties and resizing change some.
const AGREE: f64 = 0.9;

impl GivenFolder {
    /// Finds the label images of `pairs`, samples of the data set in folder `data`, whose ids are those of `set`:
    /// places in it, colours, or as `coding` says.
    fn open(
        folder: &Path,
        (data, pairs): (&Path, &[Pair]),
        set: &LabelSet,
        coding: Option<Coding>,
    ) -> Result<Self, GivenError> {
        std::fs::read_dir(folder).map_err(|error| DataError::Io(named(error, folder)))?;
        let found: Vec<Option<PathBuf>> =
            pairs.iter().map(|pair| names(pair, data).find_map(|name| label_image(folder, &name))).collect();
        let missing: Vec<&Pair> =
            pairs.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(pair, _)| pair).collect();
        if let Some(first) = missing.first() {
            let (missing, count, first) = (missing.len(), pairs.len(), first.name.clone());
            return Err(GivenError::Missing { folder: folder.to_owned(), missing, count, first });
        }
        let files: Vec<Files> = found.into_iter().flatten().map(Files::of).collect();
        let some = files.iter().filter(|files| files.sure.is_some()).count();
        if let Some(first) = files.iter().find(|files| some > 0 && files.sure.is_none()) {
            let (count, first) = (files.len(), first.labels.display().to_string());
            return Err(GivenError::SomeSure { folder: folder.to_owned(), some, count, first });
        }
        let of =
            |files: &Files| Ok::<_, DataError>(Met::of(&label_file::open(&files.labels)?, &files.labels));
        let met = files.par_iter().map(of).try_reduce(Met::default, |some, more| Ok(some.and(more)))?;
        let usual = if met.has_colours() { Coding::Colours } else { Coding::TrainIds };
        let table = coding::table(folder, set, &met, Some(coding.unwrap_or(usual)))?;
        Ok(Self { files, table, classes: set.len() })
    }

    /// Whether the segmenter said how sure it was.
    pub fn is_sure(&self) -> bool {
        self.files.iter().any(|files| files.sure.is_some())
    }

    /// What it made of the sample at `place`.
    pub fn read(&self, place: usize) -> Result<GivenLabels, GivenError> {
        let Files { labels: path, sure } = &self.files[place];
        let LabelImage { values: mut labels, kind } = label_file::open(path)?;
        apply_table(&mut labels, &self.table.of(&kind));
        let sure = sure.as_ref().map(|sure| sure_of(sure, &labels, self.classes)).transpose()?;
        Ok(GivenLabels { labels, sure })
    }
}

impl Files {
    fn of(labels: PathBuf) -> Self {
        let stem = labels.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stem = stem.strip_suffix(PREDICTED).unwrap_or(&stem);
        let sure = Some(labels.with_file_name(format!("{stem}.npy"))).filter(|path| path.is_file());
        Self { labels, sure }
    }
}

/// What the names of label images may end in.
const PREDICTED: &str = "_pred";

fn named(error: std::io::Error, path: &Path) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What the label image of a sample may be called: by the image's place in the data set, by the sample's name, by the
/// last part of that.
fn names<'a>(pair: &'a Pair, data: &Path) -> impl Iterator<Item = PathBuf> + use<'a> {
    let place = pair.image.strip_prefix(data).unwrap_or(&pair.image).with_extension("");
    let name = PathBuf::from(&pair.name);
    let last = name.file_name().map(PathBuf::from);
    [Some(place), Some(name), last].into_iter().flatten()
}

fn label_image(folder: &Path, name: &Path) -> Option<PathBuf> {
    let ending = |ending: &str| {
        let mut whole = folder.join(name).into_os_string();
        whole.push(ending);
        Some(PathBuf::from(whole)).filter(|path| path.is_file())
    };
    ending(".png").or_else(|| ending(&format!("{PREDICTED}.png")))
}

/// The array at `path`, which goes with `labels`.
fn sure_of(path: &Path, labels: &GrayImage, classes: usize) -> Result<Sure, GivenError> {
    let Array { shape, numbers } = npy::read(path)?;
    let numbers = match numbers {
        Numbers::Single(numbers) => numbers,
        Numbers::Double(numbers) => numbers.into_iter().map(|number| number as f32).collect(),
    };
    let wrong = |what: String| GivenError::NoProbability { path: path.to_owned(), what };
    let empty = shape.contains(&0);
    match shape[..] {
        [channels, height, width] if channels == classes && !empty => {
            in_range(&numbers).map_err(wrong)?;
            let pixels = height * width;
            let sum =
                |pixel: usize| -> f32 { (0..classes).map(|class| numbers[class * pixels + pixel]).sum() };
            if let Some(sum) = (0..pixels).map(sum).find(|sum| (sum - 1.).abs() > APART) {
                return Err(wrong(format!("the probabilities of a pixel add up to {sum}, not to 1")));
            }
            let share = agreement(&numbers, (height, width), labels, classes);
            match share < AGREE {
                true => Err(GivenError::OtherLabels { path: path.to_owned(), share }),
                false => Ok(Sure::Softmax { height, width, numbers }),
            }
        }
        [height, width] if !empty => {
            in_range(&numbers).map_err(wrong)?;
            Ok(Sure::Confidence { height, width, numbers })
        }
        _ => Err(GivenError::Shape { path: path.to_owned(), shape, classes }),
    }
}

fn in_range(numbers: &[f32]) -> Result<(), String> {
    match numbers.iter().find(|number| !(0. ..=1. + APART).contains(*number)) {
        Some(number) if number.is_finite() => Err(format!(
            "it holds {number}; probabilities from 0 to 1 are needed: a softmax is made of logits first, and a \
             confidence in 0..255 is divided by 255"
        )),
        Some(number) => Err(format!("it holds {number}; probabilities from 0 to 1 are needed")),
        None => Ok(()),
    }
}

/// Share of the labelled pixels at which the softmax is largest for the label.
fn agreement(numbers: &[f32], (height, width): (usize, usize), labels: &GrayImage, classes: usize) -> f64 {
    let pixels = height * width;
    let (w, h) = (labels.width() as usize, labels.height() as usize);
    let (mut same, mut all) = (0u64, 0u64);
    for (place, &label) in labels.as_raw().iter().enumerate().filter(|(_, label)| **label != IGNORE) {
        let (x, y) = (place % w * width / w, place / w * height / h);
        let of = |class: usize| numbers[class * pixels + y * width + x];
        let largest = (0..classes).map(of).fold(f32::NEG_INFINITY, f32::max);
        all += 1;
        same += u64::from(of(usize::from(label)) >= largest);
    }
    if all == 0 { 1. } else { same as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> Pair {
        let image = PathBuf::from(format!("/data/images/{name}.webp"));
        Pair { name: name.to_owned(), image, labels: PathBuf::new() }
    }

    fn set() -> LabelSet {
        let text = "name: two\nclasses: [{name: road, color: '#804080'}, {name: car, color: '#00008E'}]\n";
        LabelSet::from_yaml(text).unwrap()
    }

    fn write(folder: &Path, name: &str, values: &[u8]) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_raw(values.len() as u32, 1, values.to_vec()).unwrap().save(path).unwrap();
    }

    fn open(folder: &Path, names: &[&str]) -> Result<GivenFolder, GivenError> {
        let pairs: Vec<Pair> = names.iter().map(|name| pair(name)).collect();
        GivenFolder::open(folder, (Path::new("/data"), &pairs), &set(), None)
    }

    #[test]
    fn label_images_are_found_by_place_or_name() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "images/a_pred.png", &[0, 1, 255]);
        write(folder.path(), "b.png", &[1, 1, 1]);
        let given = open(folder.path(), &["a", "b"]).unwrap();
        assert!(!given.is_sure());
        assert_eq!(given.read(0).unwrap().labels.as_raw()[..], [0, 1, 255]);
        assert_eq!(given.read(1).unwrap().labels.as_raw()[..], [1, 1, 1]);
        let error = open(folder.path(), &["a", "c", "d"]).err().unwrap().to_string();
        assert!(error.contains("2 of 3 samples") && error.contains("the first is c"), "{error}");
        write(folder.path(), "c.png", &[7]);
        let error = open(folder.path(), &["c"]).err().unwrap().to_string();
        assert!(error.contains("no known id; found 7"), "{error}");
    }

    #[test]
    fn arrays_are_a_softmax_or_a_confidence_and_wrong_ones_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.png", &[0, 1]);
        let path = folder.path().join("a.npy");
        // Bytes as NumPy writes them.
        let array = |shape: &str, numbers: &[f32]| {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.bytes());
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            std::fs::write(&path, bytes).unwrap();
            let given = open(folder.path(), &["a"]).unwrap();
            assert!(given.is_sure());
            given.read(0).map(|given| given.sure.unwrap()).map_err(|error| error.to_string())
        };
        let numbers = vec![0.75, 0.25, 0.25, 0.75];
        let softmax = Sure::Softmax { height: 1, width: 2, numbers: numbers.clone() };
        assert_eq!(array("(2, 1, 2)", &numbers), Ok(softmax));
        let sure = Sure::Confidence { height: 1, width: 2, numbers: vec![0.5, 1.] };
        assert_eq!(array("(1, 2)", &[0.5, 1.]), Ok(sure));
        for (shape, numbers, what) in [
            ("(3, 1, 2)", &[0.; 6][..], "[3, 1, 2]"),
            ("(2, 1, 2)", &[3., -2., -3., 2.], "made of logits"),
            ("(2, 1, 2)", &[0.5, 0.5, 0.1, 0.5], "add up to 0.6"),
            ("(2, 1, 2)", &[0.25, 0.75, 0.75, 0.25], "at 0.0 % of the pixels"),
            ("(1, 2)", &[0.5, 200.], "divided by 255"),
            ("(1, 2)", &[0.5, f32::NAN], "NaN"),
        ] {
            let error = array(shape, numbers).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        write(folder.path(), "b.png", &[0, 1]);
        let error = open(folder.path(), &["a", "b"]).err().unwrap().to_string();
        assert!(error.contains("1 of 2 label images") && error.contains("b.png"), "{error}");
    }
}
