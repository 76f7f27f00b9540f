//! What the values in label images mean: decided once for a whole data set, from all values met in it.
//!
//! ```text
//! label images --count--> Values --meaning--> a table from values to class ids, or a refusal
//! masks        --count--> Values --mask_table--> a table from values to marks, or a refusal
//! ```

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::DataError;
use crate::labels::{IGNORE, LabelSet, truth};

/// How often each value was met in the label images of a data set.
#[derive(Clone, Debug)]
pub(super) struct Values([u64; 256]);

impl Values {
    /// Those in one image.
    pub(super) fn of(values: &[u8]) -> Self {
        let mut counts = [0; 256];
        for &value in values {
            counts[usize::from(value)] += 1;
        }
        Self(counts)
    }

    /// None.
    pub(super) const fn none() -> Self {
        Self([0; 256])
    }

    /// Those of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
        self
    }

    fn met(&self) -> impl Iterator<Item = u8> {
        (0..=255).filter(|&value| self.0[usize::from(value)] > 0)
    }

    fn count(&self, counts: impl Fn(u8) -> bool) -> u64 {
        self.met().filter(|&value| counts(value)).map(|value| self.0[usize::from(value)]).sum()
    }
}

/// Values in words, runs of them as ranges: "0, 7, 20..31", both ends among them.
struct Listed<I>(I);

impl<I: Iterator<Item = u8> + Clone> fmt::Display for Listed<I> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut values = self.0.clone().peekable();
        let mut separator = "";
        while let Some(first) = values.next() {
            let mut last = first;
            while let Some(next) = values.next_if(|&next| Some(next) == last.checked_add(1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                1 => write!(f, "{separator}{first}, {last}")?,
                _ => write!(f, "{separator}{first}..{last}")?,
            }
            separator = ", ";
        }
        Ok(())
    }
}

fn listed(values: impl Iterator<Item = u8>) -> String {
    let values: Vec<u8> = values.collect();
    Listed(values.iter().copied()).to_string()
}

/// How label images write classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As the label set's file says under `raw`: Cityscapes' label ids, CamVid's annotations.
    LabelIds,
    /// As the place of the class in the label set, from 0; 255 is none.
    TrainIds,
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::LabelIds => "label-ids",
            Self::TrainIds => "train-ids",
        })
    }
}

/// Text that is not a coding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown coding {text:?}; expected {expected}")]
pub struct UnknownCoding {
    text: String,
    expected: &'static str,
}

impl FromStr for Coding {
    type Err = UnknownCoding;

    fn from_str(text: &str) -> Result<Self, UnknownCoding> {
        match text {
            "label-ids" => Ok(Self::LabelIds),
            "train-ids" => Ok(Self::TrainIds),
            _ => Err(UnknownCoding { text: text.into(), expected: "label-ids or train-ids" }),
        }
    }
}

impl Coding {
    /// What values mean: a class id, [`IGNORE`], or, with `None`, nothing that the set knows.
    fn meanings(self, set: &LabelSet) -> [Option<u8>; 256] {
        match self {
            Self::LabelIds => set.raw_table(),
            Self::TrainIds => std::array::from_fn(|value| match value as u8 {
                IGNORE => Some(IGNORE),
                id => (value < set.len()).then_some(id),
            }),
        }
    }

    /// The coding of `values`. Train ids are taken for such only where they can be told: most of the set's
    /// label ids lie above all train ids and none of these was met, and 255 was, which is no label id, or
    /// more pixels would be of no class than of one. `None` where nothing but 0 was met.
    fn of(set: &LabelSet, values: &Values) -> Option<Self> {
        let above = |value: u8| usize::from(value) >= set.len();
        let of_class: Vec<u8> = set.classes.iter().flat_map(|class| class.raw.iter().copied()).collect();
        let high: Vec<u8> = of_class.iter().copied().filter(|&raw| above(raw)).collect();
        if 2 * high.len() <= of_class.len() || values.met().any(|value| above(value) && value != IGNORE) {
            return Some(Self::LabelIds);
        }
        if values.met().all(|value| value == 0) {
            return None;
        }
        let classless = values.count(|value| value != IGNORE && !of_class.contains(&value));
        let classed = values.count(|value| of_class.contains(&value));
        let is_void = set.ignore.contains(&IGNORE);
        Some(match (values.0[usize::from(IGNORE)] > 0 && !is_void) || classless > classed {
            true => Self::TrainIds,
            false => Self::LabelIds,
        })
    }
}

/// From the values in the label images of the data set at `path` to class ids: by the coding that is `asked`
/// for, or the one that all its values tell. Values that the label set does not know are refused.
pub(super) fn table(
    path: &Path,
    set: &LabelSet,
    values: &Values,
    asked: Option<Coding>,
) -> Result<[u8; 256], DataError> {
    let coding = asked.or_else(|| Coding::of(set, values)).unwrap_or(Coding::LabelIds);
    let meanings = coding.meanings(set);
    let is_class = |value: u8| meanings[usize::from(value)].is_some_and(|id| id != IGNORE);
    let unknown = listed(values.met().filter(|&value| meanings[usize::from(value)].is_none()));
    let none = !values.met().any(is_class);
    if none || !unknown.is_empty() {
        let problem = match none {
            true => format!("no known id; found {}", listed(values.met())),
            false => format!("unknown ids {unknown}"),
        };
        let known = listed((0..=255).filter(|&value| is_class(value)));
        let ignored = listed((0..=255).filter(|&value| meanings[usize::from(value)] == Some(IGNORE)));
        let set = &set.name;
        return Err(DataError::Ids {
            path: path.to_owned(),
            reason: format!("{problem}; label set {set} (as {coding}) has {known} and ignores {ignored}"),
        });
    }
    if asked.is_none() && coding == Coding::TrainIds {
        tracing::warn!(
            "{}: its labels are read as train ids of {}, since they hold only {}; if they are label ids, say \
             --coding label-ids",
            path.display(),
            set.name,
            listed(values.met())
        );
    }
    Ok(meanings.map(|meaning| meaning.unwrap_or(IGNORE)))
}

/// How masks mark anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskCoding {
    /// RoadAnomaly: 0 ordinary, 1 ignored, 2 anomaly.
    RoadAnomaly,
    /// SegmentMeIfYouCan and Fishyscapes: 0 ordinary, 1 anomaly, 255 ignored.
    Fishyscapes,
    /// 0 ordinary, 255 anomaly.
    Binary,
    /// StreetHazards' annotations: 14 anomaly, 0 ignored, 1 to 13 ordinary.
    StreetHazards,
}

impl fmt::Display for MaskCoding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::RoadAnomaly => "0 ordinary, 1 ignored, 2 anomaly",
            Self::Fishyscapes => "0 ordinary, 1 anomaly, 255 ignored",
            Self::Binary => "0 ordinary, 255 anomaly",
            Self::StreetHazards => "1 to 13 ordinary, 14 anomaly, 0 ignored",
        })
    }
}

impl FromStr for MaskCoding {
    type Err = UnknownCoding;

    fn from_str(text: &str) -> Result<Self, UnknownCoding> {
        match text {
            "roadanomaly" => Ok(Self::RoadAnomaly),
            "fishyscapes" => Ok(Self::Fishyscapes),
            "binary" => Ok(Self::Binary),
            "streethazards" => Ok(Self::StreetHazards),
            _ => Err(UnknownCoding {
                text: text.into(),
                expected: "roadanomaly (0, 1 ignored, 2 anomaly), fishyscapes (0, 1 anomaly, 255 ignored), binary \
                           (0, 255 anomaly) or streethazards",
            }),
        }
    }
}

impl MaskCoding {
    fn mark(self, value: u8) -> Option<u8> {
        match (self, value) {
            (Self::RoadAnomaly | Self::Fishyscapes | Self::Binary, 0) => Some(truth::ORDINARY),
            (Self::RoadAnomaly, 2) | (Self::Fishyscapes, 1) | (Self::Binary, 255) => Some(truth::ANOMALY),
            (Self::RoadAnomaly, 1) | (Self::Fishyscapes, 255) => Some(truth::IGNORED),
            (Self::StreetHazards, 14) => Some(truth::ANOMALY),
            (Self::StreetHazards, 0) => Some(truth::IGNORED),
            (Self::StreetHazards, 1..=13) => Some(truth::ORDINARY),
            _ => None,
        }
    }
}

/// The coding of the masks of the data set at `path`, and from their values to marks: the one `asked` for,
/// or, of RoadAnomaly's and Fishyscapes', the one that has all the values and an anomaly.
pub(super) fn mask_table(
    path: &Path,
    values: &Values,
    asked: Option<MaskCoding>,
) -> Result<(MaskCoding, [u8; 256]), DataError> {
    let fits = |coding: &MaskCoding| values.met().all(|value| coding.mark(value).is_some());
    let marks = |coding: &MaskCoding| values.met().any(|value| coding.mark(value) == Some(truth::ANOMALY));
    let found = || listed(values.met());
    let coding = match asked {
        Some(coding) => Some(coding),
        None => [MaskCoding::RoadAnomaly, MaskCoding::Fishyscapes].into_iter().find(|c| fits(c) && marks(c)),
    };
    match coding {
        Some(coding) if fits(&coding) && marks(&coding) => {
            Ok((coding, std::array::from_fn(|value| coding.mark(value as u8).unwrap_or(truth::IGNORED))))
        }
        Some(coding) if fits(&coding) => {
            Err(DataError::NoAnomaly { path: path.to_owned(), found: found(), coding: coding.to_string() })
        }
        Some(coding) => Err(DataError::Masks {
            path: path.to_owned(),
            found: found(),
            expected: coding.to_string(),
        }),
        None if fits(&MaskCoding::RoadAnomaly) || fits(&MaskCoding::Fishyscapes) => {
            Err(DataError::NoAnomaly {
                path: path.to_owned(),
                found: found(),
                coding: "neither RoadAnomaly's (2) nor Fishyscapes' (1); if 255 marks anomalies, say --masks binary"
                    .into(),
            })
        }
        None => Err(DataError::Masks {
            path: path.to_owned(),
            found: found(),
            expected: format!("{} or {}", MaskCoding::RoadAnomaly, MaskCoding::Fishyscapes),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &str, values: &[u8], asked: Option<Coding>) -> Result<[u8; 256], String> {
        let set = LabelSet::by_name(set).unwrap();
        table(Path::new("set"), &set, &Values::of(values), asked).map_err(|e| e.to_string())
    }

    #[test]
    fn label_ids_and_train_ids_are_told_apart_by_the_values_met() {
        let train_ids: Vec<u8> = (0..19).chain([255]).collect();
        assert_eq!(read("cityscapes", &train_ids, None).unwrap()[13], 13);
        assert_eq!(read("cityscapes", &[0, 0, 1, 2, 8, 10, 13], None).unwrap()[8], 8);
        let label_ids: Vec<u8> = (0..34).collect();
        assert_eq!(read("cityscapes", &label_ids, None).unwrap()[26], 13);
        // A road and a building are there by either coding; hardly anything would be of no class.
        assert_eq!(read("cityscapes", &[0, 7, 7, 7, 8, 11, 11], None).unwrap()[7], 0);
        assert_eq!(read("cityscapes", &[7, 23, 255], None).unwrap()[23], 10);
        // These sets' ids are not above those of training.
        assert_eq!(read("camvid", &[0, 1, 11, 255], None).unwrap()[1], 1);
        assert_eq!(read("streethazards", &[0, 0, 0, 1], None).unwrap()[1], 0);
    }

    #[test]
    fn a_coding_that_is_asked_for_is_taken_or_refused() {
        assert_eq!(read("cityscapes", &[7, 8], Some(Coding::TrainIds)).unwrap()[7], 7);
        let said = read("cityscapes", &[7, 26], Some(Coding::TrainIds)).unwrap_err();
        assert!(said.contains("unknown ids 26") && said.contains("train-ids"), "{said}");
        assert!("ids".parse::<Coding>().unwrap_err().to_string().contains("label-ids or train-ids"));
    }

    #[test]
    fn ids_that_the_set_does_not_know_are_refused_with_what_was_found() {
        let found: Vec<u8> = (20..32).collect();
        let said = read("camvid", &found, None).unwrap_err();
        assert!(said.contains("no known id; found 20..31"), "{said}");
        assert!(said.contains("0..10") && said.contains("11, 255"), "{said}");
        let said = read("camvid", &(0..32).collect::<Vec<_>>(), None).unwrap_err();
        assert!(said.contains("unknown ids 12..31") && said.contains("labels.yaml"), "{said}");
        assert!(read("camvid", &[11, 11], None).unwrap_err().contains("no known id; found 11"));
        assert!(read("cityscapes", &[0, 0], None).unwrap_err().contains("no known id; found 0"));
    }

    #[test]
    fn values_are_listed_as_runs() {
        assert_eq!(listed([0, 1, 3, 5, 6, 7, 254, 255].into_iter()), "0, 1, 3, 5..7, 254, 255");
        assert_eq!(listed(std::iter::empty()), "");
    }

    #[test]
    fn masks_are_told_apart_by_all_their_values() {
        let read = |values: &[u8], asked| {
            mask_table(Path::new("set"), &Values::of(values), asked).map_err(|e| e.to_string())
        };
        let (coding, table) = read(&[0, 1, 2], None).unwrap();
        assert_eq!((coding, &table[..3]), (MaskCoding::RoadAnomaly, &[0, 255, 1][..]));
        let (coding, table) = read(&[0, 1, 255], None).unwrap();
        assert_eq!((coding, table[0], table[1], table[255]), (MaskCoding::Fishyscapes, 0, 1, 255));
        assert_eq!(read(&[0, 1], None).unwrap().0, MaskCoding::Fishyscapes);
        assert_eq!(read(&[0, 2], None).unwrap().0, MaskCoding::RoadAnomaly);
        assert_eq!(read(&[0, 255], Some(MaskCoding::Binary)).unwrap().1[255], 1);
    }

    #[test]
    fn a_set_without_one_anomaly_or_with_values_of_no_coding_is_an_error() {
        let said = |values: &[u8], asked| {
            mask_table(Path::new("set"), &Values::of(values), asked).unwrap_err().to_string()
        };
        assert!(
            said(&[0], None).contains("no pixel is marked as anomalous; found 0"),
            "{}",
            said(&[0], None)
        );
        assert!(said(&[0, 255], None).contains("--masks binary"));
        assert!(said(&[0, 1], Some(MaskCoding::RoadAnomaly)).contains("no pixel is marked"));
        assert!(said(&[0, 1, 2, 255], None).contains("0..2, 255"), "{}", said(&[0, 1, 2, 255], None));
        assert!(said(&[0, 7, 14, 15], Some(MaskCoding::StreetHazards)).contains("15"));
    }
}
