//! What the values in label images mean: decided once for a whole data set, from all values met in it.
//!
//! ```text
//! label images --count--> Met    --table-->  a table from values or colours to class ids, or a refusal
//! masks        --count--> Values --mask_table--> a table from values to marks, or a refusal
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::DataError;
use crate::frame::label_image::{Kind, LabelImage};
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
    /// In the colours of the label set; black is none.
    Colours,
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::LabelIds => "label-ids",
            Self::TrainIds => "train-ids",
            Self::Colours => "colours",
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
            "colours" | "colors" => Ok(Self::Colours),
            _ => Err(UnknownCoding { text: text.into(), expected: "label-ids, train-ids or colours" }),
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
            // Not by values.
            Self::Colours => [None; 256],
        }
    }

    /// Whether values that may be read as label ids may as well be train ids: hardly any label ids are below all
    /// train ids, and only these were met.
    fn is_open(set: &LabelSet, values: &Values) -> bool {
        let of_class = || set.classes.iter().flat_map(|class| class.raw.iter().copied());
        let above = |value: u8| usize::from(value) >= set.len();
        2 * of_class().filter(|&raw| above(raw)).count() > of_class().count()
            && !values.met().any(|value| above(value) && value != IGNORE)
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

/// What was met in the label images of a data set.
#[derive(Clone, Debug)]
pub(super) struct Met {
    /// Stored values, and indices of palettes.
    values: Values,
    /// Indices with their colours.
    indexed: BTreeSet<(u8, [u8; 3])>,
    /// Colours that alone were stored.
    coloured: BTreeSet<[u8; 3]>,
    /// A file of values that have no colour.
    plain: Option<PathBuf>,
    /// A file of colours alone.
    painted: Option<PathBuf>,
}

impl Default for Met {
    fn default() -> Self {
        let (indexed, coloured) = (BTreeSet::new(), BTreeSet::new());
        Self { values: Values::none(), indexed, coloured, plain: None, painted: None }
    }
}

impl Met {
    /// Whether any image holds colours alone.
    pub(super) fn has_colours(&self) -> bool {
        !self.coloured.is_empty()
    }

    /// What is in one image, whose file is named in messages.
    pub(super) fn of(image: &LabelImage, path: &Path) -> Self {
        let values = Values::of(image.values.as_raw());
        match &image.kind {
            Kind::Values => Self { values, plain: Some(path.into()), ..Self::default() },
            Kind::Indices(colours) => {
                let indexed = values.met().map(|index| (index, colours[usize::from(index)])).collect();
                Self { values, indexed, ..Self::default() }
            }
            Kind::Colours(colours) => {
                let coloured = colours.iter().copied().collect();
                Self { coloured, painted: Some(path.into()), ..Self::default() }
            }
        }
    }

    /// What is in both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.values = self.values.and(other.values);
        self.indexed.extend(other.indexed);
        self.coloured.extend(other.coloured);
        self.plain = self.plain.or(other.plain);
        self.painted = self.painted.or(other.painted);
        self
    }

    fn colours(&self) -> BTreeSet<[u8; 3]> {
        self.indexed.iter().map(|(_, colour)| *colour).chain(self.coloured.iter().copied()).collect()
    }
}

/// From what is in a label image to class ids.
#[derive(Clone, Debug)]
pub(super) enum Table {
    /// By its values.
    Values(Box<[u8; 256]>),
    /// By its colours.
    Colours(BTreeMap<[u8; 3], u8>),
}

impl Table {
    /// That of an image's values.
    pub(super) fn of(&self, kind: &Kind) -> [u8; 256] {
        match (self, kind) {
            (Self::Values(table), _) => **table,
            (Self::Colours(ids), Kind::Indices(colours) | Kind::Colours(colours)) => {
                std::array::from_fn(|i| {
                    colours.get(i).and_then(|colour| ids.get(colour)).copied().unwrap_or(IGNORE)
                })
            }
            // No such image was met.
            (Self::Colours(_), Kind::Values) => [IGNORE; 256],
        }
    }
}

/// What no class is drawn in: not labelled.
const UNLABELLED: [u8; 3] = [0; 3];

/// Class ids by their colours; of a colour that several classes have, none.
fn by_colour(set: &LabelSet) -> BTreeMap<[u8; 3], u8> {
    let mut ids = BTreeMap::from([(UNLABELLED, IGNORE)]);
    for (id, class) in (0..).zip(&set.classes) {
        if set.classes.iter().filter(|other| other.color == class.color).count() == 1 {
            ids.insert(class.color, id);
        }
    }
    ids
}

/// From what is in the label images of the data set at `path` to class ids: by the coding that is `asked`
/// for, or the one that tells itself. What the label set does not know is refused.
pub(super) fn table(
    path: &Path,
    set: &LabelSet,
    met: &Met,
    asked: Option<Coding>,
) -> Result<Table, DataError> {
    let wrong = |reason: String| DataError::Ids { path: path.to_owned(), reason };
    match asked {
        Some(coding @ (Coding::LabelIds | Coding::TrainIds)) if !met.coloured.is_empty() => {
            Err(wrong(format!("its label images hold colours, and {coding} are asked for")))
        }
        None if let (Some(ids), Some(colours)) = (&met.plain, &met.painted) => {
            Err(wrong(format!("{} holds colours and {} ids", colours.display(), ids.display())))
        }
        Some(Coding::Colours) if met.plain.is_some() => {
            Err(wrong("its label images hold ids, and colours are asked for".into()))
        }
        Some(Coding::Colours) => colours(set, met).map_err(wrong),
        None if !met.coloured.is_empty() => {
            tracing::warn!("{}: its labels are read by the colours of {}", path.display(), set.name);
            colours(set, met).map_err(wrong)
        }
        _ => values(path, set, met, asked),
    }
}

fn colours(set: &LabelSet, met: &Met) -> Result<Table, String> {
    const SHOWN: usize = 8;
    let ids = by_colour(set);
    let all = met.colours();
    let unknown: Vec<&[u8; 3]> = all.iter().filter(|colour| !ids.contains_key(*colour)).collect();
    let hex = |[r, g, b]: &[u8; 3]| format!("#{r:02X}{g:02X}{b:02X}");
    if !unknown.is_empty() {
        let shown = unknown.iter().take(SHOWN).map(|colour| hex(colour)).collect::<Vec<_>>().join(", ");
        let more = if unknown.len() > SHOWN { ", ..." } else { "" };
        let set = &set.name;
        return Err(format!(
            "{shown}{more} of its colours are of no class, or of several, of label set {set}; black is ignored"
        ));
    }
    match all.iter().any(|colour| ids.get(colour).is_some_and(|&id| id != IGNORE)) {
        true => Ok(Table::Colours(ids)),
        false => Err("its label images are black".into()),
    }
}

/// What speaks against reading indices by this table: one whose colour is that of another class.
fn contradiction(set: &LabelSet, met: &Met, meanings: &[Option<u8>; 256]) -> Option<String> {
    let ids = by_colour(set);
    let told: Option<Vec<u8>> = met.indexed.iter().map(|(_, colour)| ids.get(colour).copied()).collect();
    // A palette with other colours too is decoration.
    met.indexed.iter().zip(told?).find_map(|((index, _), by_colour)| {
        let by_index = meanings[usize::from(*index)].unwrap_or(IGNORE);
        let name = |id: u8| set.classes.get(usize::from(id)).map(|class| class.name.as_str());
        let (colour, meant) = (name(by_colour)?, name(by_index)?);
        (by_colour != by_index).then(|| format!("index {index} is {meant}, and its colour that of {colour}"))
    })
}

/// By values. Of palettes in the set's own colours, these decide between codings, or against both.
fn values(path: &Path, set: &LabelSet, met: &Met, asked: Option<Coding>) -> Result<Table, DataError> {
    let guessed = Coding::of(set, &met.values).unwrap_or(Coding::LabelIds);
    let mut coding = asked.unwrap_or(guessed);
    if asked.is_none() && met.plain.is_none() {
        let against = |coding: Coding| contradiction(set, met, &coding.meanings(set));
        if let Some(reason) = against(coding) {
            let other = [Coding::LabelIds, Coding::TrainIds].into_iter().find(|other| *other != coding);
            coding = other.filter(|other| against(*other).is_none()).ok_or_else(|| DataError::Ids {
                path: path.to_owned(),
                reason: format!("its palettes contradict their indices: {reason} (as {coding})"),
            })?;
        }
    }
    let values = &met.values;
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
    if asked.is_none() && (coding == Coding::TrainIds || Coding::is_open(set, values)) {
        let other = if coding == Coding::TrainIds { Coding::LabelIds } else { Coding::TrainIds };
        tracing::warn!(
            "{}: its labels are read as {coding} of {}, since they hold only {}; if they are not, say --coding \
             {other}",
            path.display(),
            set.name,
            listed(values.met())
        );
    }
    Ok(Table::Values(Box::new(meanings.map(|meaning| meaning.unwrap_or(IGNORE)))))
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
        let met = Met { values: Values::of(values), plain: Some("a.png".into()), ..Met::default() };
        let table = table(Path::new("set"), &set, &met, asked).map_err(|e| e.to_string())?;
        Ok(table.of(&Kind::Values))
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
        assert!("ids".parse::<Coding>().unwrap_err().to_string().contains("label-ids, train-ids or colours"));
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

    /// Two pixels in the palette `colours`, or in colours alone.
    fn shown(indices: [u8; 2], colours: &[[u8; 3]], alone: bool) -> Met {
        let values = image::GrayImage::from_raw(2, 1, indices.into()).unwrap();
        let kind = if alone { Kind::Colours(colours.into()) } else { Kind::Indices(colours.into()) };
        Met::of(&LabelImage { values, kind }, Path::new("b.png"))
    }

    fn told(met: &Met, kind: &Kind, asked: Option<Coding>) -> Result<[u8; 256], String> {
        let set = LabelSet::by_name("cityscapes").unwrap();
        Ok(table(Path::new("set"), &set, met, asked).map_err(|e| e.to_string())?.of(kind))
    }

    const ROAD: [u8; 3] = [0x80, 0x40, 0x80];
    const CAR: [u8; 3] = [0, 0, 0x8e];

    #[test]
    fn colours_of_the_label_set_are_its_classes_and_others_are_refused() {
        let met = shown([0, 1], &[CAR, ROAD], true);
        let ids = told(&met, &Kind::Colours(vec![CAR, ROAD, [0; 3]]), None).unwrap();
        assert_eq!(ids[..3], [13, 0, IGNORE]);
        let said = told(&shown([0, 1], &[CAR, [1, 2, 3]], true), &Kind::Values, None).unwrap_err();
        assert!(said.contains("#010203 of its colours are of no class"), "{said}");
        let said = told(&met, &Kind::Values, Some(Coding::TrainIds)).unwrap_err();
        assert!(said.contains("hold colours, and train-ids are asked for"), "{said}");
        let mixed = met.and(Met { plain: Some("a.png".into()), ..Met::default() });
        let said = told(&mixed, &Kind::Values, None).unwrap_err();
        assert!(said.contains("b.png holds colours and a.png ids"), "{said}");
    }

    #[test]
    fn the_colours_of_a_palette_decide_between_codings_or_against_both() {
        let mut palette = vec![[7, 7, 9]; 34];
        // As train ids, which nothing else tells: 13 is a fence as label id.
        (palette[0], palette[13]) = (ROAD, CAR);
        let met = shown([0, 13], &palette, false);
        assert_eq!(told(&met, &Kind::Indices(palette.clone()), None).unwrap()[13], 13);
        // As label ids.
        (palette[7], palette[26]) = (ROAD, CAR);
        let met = shown([7, 26], &palette, false);
        assert_eq!(told(&met, &Kind::Indices(palette.clone()), None).unwrap()[26], 13);
        // As an optimizer sorted them.
        (palette[7], palette[8]) = (CAR, ROAD);
        let met = shown([7, 8], &palette, false);
        let said = told(&met, &Kind::Indices(palette.clone()), None).unwrap_err();
        assert!(said.contains("index 7 is road, and its colour that of car"), "{said}");
        let ids = told(&met, &Kind::Indices(palette.clone()), Some(Coding::Colours)).unwrap();
        assert_eq!(ids[7..9], [13, 0]);
        // Colours that are no class's are decoration.
        palette[8] = [1, 2, 3];
        assert_eq!(told(&shown([7, 8], &palette, false), &Kind::Values, None).unwrap()[7], 0);
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
