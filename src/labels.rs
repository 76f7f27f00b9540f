//! Label sets and palettes.
//!
//! A label set is a small YAML file: names, colours, the ids found in the data set's own label
//! images, and which classes of other sets mean the same. Three are built in (`LabelSet::by_name`); any
//! other lies beside the data that it belongs to, and whole in the bundles that are trained on them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use image::imageops::{self, FilterType};
use image::{GrayImage, Rgb, RgbImage};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::quote::{quoted, told};

/// The id that is never trained and never scored.
pub(crate) const IGNORE: u8 = 255;

/// What a pixel of an image with marked anomalies is.
pub mod truth {
    /// Of a known class.
    pub(crate) const ORDINARY: u8 = 0;
    /// Of something unknown.
    pub(crate) const ANOMALY: u8 = 1;
    /// Neither counts.
    pub(crate) const IGNORED: u8 = 255;
}

/// The label sets inside the binary, so that a bundle needs nothing beside itself to name one.
const BUILT_IN: [(&str, &str); 3] = [
    ("cityscapes", include_str!("../config/labels/cityscapes.yaml")),
    ("camvid", include_str!("../config/labels/camvid.yaml")),
    ("streethazards", include_str!("../config/labels/streethazards.yaml")),
];

/// Why a label set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// No built-in set has this name.
    #[error("unknown label set {}; known are {known}", quoted(name))]
    Unknown {
        /// What was asked for.
        name: String,
        /// All there are, comma separated.
        known: String,
    },
    /// A user's label set with the name of a built-in one.
    #[error("label set {} is built in and has other classes; choose another name", quoted(name))]
    Taken {
        /// The name.
        name: String,
    },
    /// The text is not YAML, or not a label set.
    #[error("label set: {}", told(.0))]
    Yaml(serde_norway::Error),
    /// The number of classes leaves no room for `IGNORE`, or is zero.
    #[error("label set {} has {count} classes; 1 to 255 fit beside the ignore id 255", quoted(set))]
    Count {
        /// The set.
        set: String,
        /// Its number of classes.
        count: usize,
    },
    /// Not a colour.
    #[error(
        "label set {}, class {}: colour {} is not of the form #RRGGBB",
        quoted(set),
        quoted(class),
        quoted(color)
    )]
    Color {
        /// The set.
        set: String,
        /// The class.
        class: String,
        /// What stands there.
        color: String,
    },
    /// Two classes of one name.
    #[error("label set {} has two classes named {}", quoted(set), quoted(class))]
    SameName {
        /// The set.
        set: String,
        /// The name.
        class: String,
    },
    /// Two classes claim one raw id (or one class claims it twice), or a class one that is ignored.
    #[error(
        "label set {}: raw id {raw} is claimed twice, the second time by class {}; 255 and the ids under \
         `ignore` are claimed by no class",
        quoted(set),
        quoted(class)
    )]
    SameRaw {
        /// The set.
        set: String,
        /// The second claimant.
        class: String,
        /// The id.
        raw: u8,
    },
    /// Neither set's file says what its classes are in the other.
    #[error(
        "no mapping from label set {} to {}: neither file has a `from` entry for the other",
        quoted(from),
        quoted(to)
    )]
    NoMapping {
        /// Source.
        from: String,
        /// Target.
        to: String,
    },
    /// A mapping names a class that the other set does not have.
    #[error(
        "label set {}, class {}: `from` names {}, which {} does not have",
        quoted(set),
        quoted(class),
        quoted(other),
        quoted(other_set)
    )]
    NoSuchClass {
        /// The set with the mapping.
        set: String,
        /// Its class.
        class: String,
        /// The set mapped from.
        other_set: String,
        /// The name that is not in it.
        other: String,
    },
}

/// One class of a label set; its id is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Name, lower case.
    pub name: String,
    /// Colour in pictures, RGB.
    pub color: [u8; 3],
    /// Ids that stand for this class in the data set's own label images.
    pub raw: Vec<u8>,
    /// Whether a vehicle may drive on it.
    pub drivable: bool,
    /// By name of another label set: its classes that this class covers, the closest first.
    pub from: BTreeMap<String, Vec<String>>,
}

/// The classes a segmenter tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    /// Name by which bundles refer to it.
    pub name: String,
    /// Classes by id.
    pub classes: Vec<Class>,
    /// Ids in the data set's own label images that stand for no class: never trained, never scored.
    pub ignore: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SetFile {
    name: String,
    #[serde(default)]
    ignore: Vec<u8>,
    classes: Vec<ClassFile>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ClassFile {
    name: String,
    color: String,
    #[serde(default, alias = "ids")]
    raw: Vec<u8>,
    #[serde(default)]
    drivable: bool,
    #[serde(default)]
    from: BTreeMap<String, Vec<String>>,
}

impl LabelSet {
    /// A built-in set: `cityscapes` (19 classes), `camvid` (11) or `streethazards` (13).
    pub fn by_name(name: &str) -> Result<Self, LabelError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, yaml)) => Self::from_yaml(yaml),
            None => {
                let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
                Err(LabelError::Unknown { name: name.to_owned(), known: known.join(", ") })
            }
        }
    }

    /// Reads and checks a label set: 1 to 255 classes with distinct names, `#RRGGBB` colours and
    /// raw ids of which no two are the same, and none is ignored. Where no class has raw ids, they are the
    /// places of the classes, from 0.
    pub(crate) fn from_yaml(yaml: &str) -> Result<Self, LabelError> {
        Self::checked(serde_norway::from_str(yaml).map_err(LabelError::Yaml)?)
    }

    fn checked(file: SetFile) -> Result<Self, LabelError> {
        let set = file.name;
        if file.classes.is_empty() || file.classes.len() > usize::from(IGNORE) {
            return Err(LabelError::Count { set, count: file.classes.len() });
        }
        let mut names = HashSet::new();
        let mut raw_ids: HashSet<u8> = file.ignore.iter().copied().chain([IGNORE]).collect();
        let mut classes = Vec::with_capacity(file.classes.len());
        let counted = file.classes.iter().all(|class| class.raw.is_empty());
        for (id, class) in file.classes.into_iter().enumerate() {
            let ClassFile { name: class, color, mut raw, drivable, from } = class;
            if counted {
                // Fewer than 256, as was checked.
                raw.push(id as u8);
            }
            let Some(rgb) = parse_color(&color) else {
                return Err(LabelError::Color { set, class, color });
            };
            if !names.insert(class.clone()) {
                return Err(LabelError::SameName { set, class });
            }
            if let Some(&raw) = raw.iter().find(|&&raw| !raw_ids.insert(raw)) {
                return Err(LabelError::SameRaw { set, class, raw });
            }
            classes.push(Class { name: class, color: rgb, raw, drivable, from });
        }
        Ok(Self { name: set, classes, ignore: file.ignore })
    }

    /// Refuses a set that has the name of a built-in one and is another.
    pub(crate) fn own(self) -> Result<Self, LabelError> {
        match Self::by_name(&self.name) {
            Ok(built_in) if built_in != self => Err(LabelError::Taken { name: self.name }),
            _ => Ok(self),
        }
    }

    /// Number of classes, 1 to 255.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Id of the class called `name`.
    pub fn id(&self, name: &str) -> Option<u8> {
        // A set has at most 255 classes.
        self.classes.iter().position(|class| class.name == name).map(|id| id as u8)
    }

    /// What the ids in the data set's own label images mean: a class id, [`IGNORE`], or, with `None`, nothing
    /// that this set knows.
    pub(crate) fn raw_table(&self) -> [Option<u8>; 256] {
        let mut table = [None; 256];
        for &raw in self.ignore.iter().chain([&IGNORE]) {
            table[usize::from(raw)] = Some(IGNORE);
        }
        for (id, class) in self.classes.iter().enumerate() {
            for &raw in &class.raw {
                table[usize::from(raw)] = Some(id as u8);
            }
        }
        table
    }

    /// From this set's class ids to those of `target`, by meaning; [`IGNORE`] where `target` has no
    /// such class.
    ///
    /// `target`'s own `from` lists decide, and several classes may become one. Where only this
    /// set lists `target`, its lists are read backwards: each class becomes the first (closest)
    /// one of its list, so classes of `target` that are not first never appear.
    pub(crate) fn map_onto(&self, target: &LabelSet) -> Result<[u8; 256], LabelError> {
        let mut table = [IGNORE; 256];
        if self.name == target.name {
            for (id, class) in self.classes.iter().enumerate() {
                table[id] = target.id(&class.name).unwrap_or(IGNORE);
            }
            return Ok(table);
        }
        let forward = target.lists(self)?;
        let backward = self.lists(target)?;
        if forward.iter().all(Vec::is_empty) && backward.iter().all(Vec::is_empty) {
            return Err(LabelError::NoMapping { from: self.name.clone(), to: target.name.clone() });
        }
        if forward.iter().any(|list| !list.is_empty()) {
            for (to, list) in forward.iter().enumerate() {
                for &from in list {
                    table[usize::from(from)] = to as u8;
                }
            }
        } else {
            for (from, list) in backward.iter().enumerate() {
                table[from] = list.first().copied().unwrap_or(IGNORE);
            }
        }
        Ok(table)
    }

    /// For each class, the ids in `other` that its `from` list names.
    fn lists(&self, other: &LabelSet) -> Result<Vec<Vec<u8>>, LabelError> {
        let ids = |class: &Class| -> Result<Vec<u8>, LabelError> {
            let names = class.from.get(&other.name).map(Vec::as_slice).unwrap_or_default();
            let find = |name: &String| {
                other.id(name).ok_or_else(|| LabelError::NoSuchClass {
                    set: self.name.clone(),
                    class: class.name.clone(),
                    other_set: other.name.clone(),
                    other: name.clone(),
                })
            };
            names.iter().map(find).collect()
        };
        self.classes.iter().map(ids).collect()
    }

    /// Colours a map of class ids; ids without a class, [`IGNORE`] among them, are black.
    pub(crate) fn colorize(&self, labels: &GrayImage) -> RgbImage {
        let mut table = [Rgb([0; 3]); 256];
        for (color, class) in table.iter_mut().zip(&self.classes) {
            *color = Rgb(class.color);
        }
        let mut out = RgbImage::new(labels.width(), labels.height());
        for (color, &id) in out.pixels_mut().zip(labels.as_raw()) {
            *color = table[usize::from(id)];
        }
        out
    }
}

/// By its name if it is built in, whole if it is not: so a bundle carries one's own.
impl Serialize for LabelSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if Self::by_name(&self.name).is_ok() {
            return serializer.serialize_str(&self.name);
        }
        let class = |class: &Class| {
            let [r, g, b] = class.color;
            ClassFile {
                name: class.name.clone(),
                color: format!("#{r:02X}{g:02X}{b:02X}"),
                raw: class.raw.clone(),
                drivable: class.drivable,
                from: class.from.clone(),
            }
        };
        let classes = self.classes.iter().map(class).collect();
        SetFile { name: self.name.clone(), ignore: self.ignore.clone(), classes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LabelSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrSet;

        impl<'de> Visitor<'de> for NameOrSet {
            type Value = LabelSet;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the name of a label set, or a label set")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<LabelSet, E> {
                LabelSet::by_name(name).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LabelSet, A::Error> {
                let file = SetFile::deserialize(MapAccessDeserializer::new(map))?;
                LabelSet::checked(file).and_then(LabelSet::own).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(NameOrSet)
    }
}

/// Replaces every id by what `table` says of it.
pub(crate) fn apply_table(labels: &mut GrayImage, table: &[u8; 256]) {
    for id in labels.iter_mut() {
        *id = table[usize::from(*id)];
    }
}

/// Resizes ids, each taken from the nearest pixel.
pub(crate) fn resize_labels(labels: GrayImage, (width, height): (u32, u32)) -> GrayImage {
    if labels.dimensions() == (width, height) {
        return labels;
    }
    imageops::resize(&labels, width, height, FilterType::Nearest)
}

fn parse_color(text: &str) -> Option<[u8; 3]> {
    let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.is_ascii())?;
    let channel = |at: usize| {
        let digits = &hex[at..at + 2];
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
    };
    Some([channel(0)?, channel(2)?, channel(4)?])
}

/// Steps, along rows and columns, from each pixel to the nearest one of another label; the image's diagonal in steps
/// where there is none.
pub(crate) fn distances(labels: &GrayImage) -> Vec<u32> {
    let (width, height) = (labels.width() as usize, labels.height() as usize);
    let most = (width + height) as u32;
    let raw = labels.as_raw();
    let mut steps = vec![most; raw.len()];
    let is_border = |at: usize| {
        let (x, y) = (at % width, at / width);
        (x > 0 && raw[at - 1] != raw[at])
            || (x + 1 < width && raw[at + 1] != raw[at])
            || (y > 0 && raw[at - width] != raw[at])
            || (y + 1 < height && raw[at + width] != raw[at])
    };
    for at in 0..raw.len() {
        let (x, y) = (at % width, at / width);
        let left = if x > 0 { steps[at - 1] } else { most };
        let above = if y > 0 { steps[at - width] } else { most };
        steps[at] = if is_border(at) { 1 } else { (left.min(above) + 1).min(most) };
    }
    for at in (0..raw.len()).rev() {
        let (x, y) = (at % width, at / width);
        let right = if x + 1 < width { steps[at + 1] } else { most };
        let below = if y + 1 < height { steps[at + width] } else { most };
        steps[at] = steps[at].min(right + 1).min(below + 1);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cityscapes_is_the_official_table() {
        let set = LabelSet::by_name("cityscapes").unwrap();
        assert_eq!(set.len(), 19);
        assert_eq!(set.id("bicycle"), Some(18));
        assert_eq!(set.classes[13].color, [0, 0, 142]);
        let table = set.raw_table();
        let raw = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];
        for (id, raw) in raw.into_iter().enumerate() {
            assert_eq!(table[raw], Some(id as u8));
        }
        assert_eq!(table.iter().flatten().filter(|&&id| id != IGNORE).count(), 19);
        assert_eq!((table[0], table[255], table[34]), (Some(IGNORE), Some(IGNORE), None));
    }

    #[test]
    fn camvid_keeps_its_eleven_ids() {
        let table = LabelSet::by_name("camvid").unwrap().raw_table();
        assert_eq!(table[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, IGNORE].map(Some));
    }

    #[test]
    fn unknown_set_names_the_known() {
        let message = LabelSet::by_name("kitti").unwrap_err().to_string();
        assert_eq!(message, "unknown label set \"kitti\"; known are cityscapes, camvid, streethazards");
    }

    #[test]
    fn cityscapes_predictions_become_camvid() {
        let (city, camvid) = (LabelSet::by_name("cityscapes").unwrap(), LabelSet::by_name("camvid").unwrap());
        let table = city.map_onto(&camvid).unwrap();
        let class = |name: &str| {
            camvid.classes[usize::from(table[usize::from(city.id(name).unwrap())])].name.as_str()
        };
        let expected = [
            ("road", "road"),
            ("sidewalk", "pavement"),
            ("wall", "building"),
            ("traffic light", "signsymbol"),
            ("terrain", "tree"),
            ("person", "pedestrian"),
            ("rider", "bicyclist"),
            ("train", "car"),
            ("motorcycle", "bicyclist"),
            ("bicycle", "bicyclist"),
        ];
        for (from, to) in expected {
            assert_eq!(class(from), to, "{from}");
        }
        assert!(table[..19].iter().all(|&id| id < 11), "every class has a place");
        assert!(table[19..].iter().all(|&id| id == IGNORE));
    }

    #[test]
    fn camvid_labels_become_the_closest_cityscapes_class() {
        let (city, camvid) = (LabelSet::by_name("cityscapes").unwrap(), LabelSet::by_name("camvid").unwrap());
        let table = camvid.map_onto(&city).unwrap();
        assert_eq!(table[usize::from(camvid.id("bicyclist").unwrap())], city.id("rider").unwrap());
        assert_eq!(table[usize::from(camvid.id("car").unwrap())], city.id("car").unwrap());
        let back = city.map_onto(&camvid).unwrap();
        for id in 0..11 {
            assert_eq!(back[usize::from(table[id])], id as u8, "there and back again");
        }
        assert_eq!(table[usize::from(IGNORE)], IGNORE);
    }

    #[test]
    fn a_set_maps_onto_itself_and_not_onto_a_stranger() {
        let city = LabelSet::by_name("cityscapes").unwrap();
        let table = city.map_onto(&city).unwrap();
        assert!((0..19).all(|id| table[id] == id as u8));
        let other = LabelSet::from_yaml("{name: barn, classes: [{name: cow, color: '#010203'}]}").unwrap();
        let message = city.map_onto(&other).unwrap_err().to_string();
        assert!(message.contains("\"cityscapes\" to \"barn\""), "{message}");
    }

    #[test]
    fn a_set_of_ones_own_is_written_whole_and_read_back_and_a_built_in_one_by_name() {
        let yard = "{name: yard, ignore: [9], classes: [
            {name: path, color: '#804080', ids: [3], drivable: true}, {name: shed, color: '#010203', ids: [4, 5]}]}";
        let set = LabelSet::from_yaml(yard).unwrap();
        assert!(
            set.classes[0].drivable && set.raw_table()[9] == Some(IGNORE) && set.raw_table()[5] == Some(1)
        );
        let text = serde_norway::to_string(&set).unwrap();
        assert_eq!(serde_norway::from_str::<LabelSet>(&text).unwrap(), set);
        let camvid = LabelSet::by_name("camvid").unwrap();
        assert_eq!(serde_norway::to_string(&camvid).unwrap().trim(), "camvid");
        assert_eq!(serde_norway::from_str::<LabelSet>("camvid").unwrap(), camvid);
        let said = serde_norway::from_str::<LabelSet>("kitti").unwrap_err().to_string();
        assert!(said.contains("known are cityscapes"), "{said}");
        let said =
            serde_norway::from_str::<LabelSet>(&yard.replace("yard", "camvid")).unwrap_err().to_string();
        assert!(said.contains("is built in and has other classes"), "{said}");
    }

    #[test]
    fn without_ids_the_classes_are_counted_from_0() {
        let set = LabelSet::from_yaml(
            "{name: yard, classes: [{name: path, color: '#804080'}, {name: shed, color: '#010203'}]}",
        );
        assert_eq!(set.unwrap().raw_table()[..3], [Some(0), Some(1), None]);
    }

    #[test]
    fn mistakes_in_a_file_are_named() {
        let error = |classes: &str| {
            LabelSet::from_yaml(&format!("{{name: barn, classes: [{classes}]}}")).unwrap_err().to_string()
        };
        assert!(error("").contains("0 classes"));
        for color in ["'#12345'", "'123456'", "'#12345g'", "'#+1+1+1'", "'#ééé'"] {
            assert!(error(&format!("{{name: cow, color: {color}}}")).contains("#RRGGBB"), "{color}");
        }
        let cow = "{name: cow, color: '#010203', raw: [1]}";
        assert!(error(&format!("{cow}, {cow}")).contains("two classes named \"cow\""));
        let hen = "{name: hen, color: '#010203', raw: [1]}";
        assert!(error(&format!("{cow}, {hen}")).contains("raw id 1 is claimed twice"));
        assert!(error("{name: cow, colour: '#010203'}").contains("colour"));
        assert!(error("{name: cow, color: '#010203', raw: [256]}").contains("256"));
        let broken = LabelSet::from_yaml(
            "{name: barn, classes: [{name: cow, color: '#010203', from: {cityscapes: [horse]}}]}",
        );
        let message =
            LabelSet::by_name("cityscapes").unwrap().map_onto(&broken.unwrap()).unwrap_err().to_string();
        assert!(message.contains("\"horse\""), "{message}");
    }

    #[test]
    fn too_many_classes_are_refused() {
        let classes: Vec<String> = (0..256).map(|i| format!("{{name: c{i}, color: '#000000'}}")).collect();
        let yaml = format!("{{name: crowd, classes: [{}]}}", classes.join(", "));
        assert!(matches!(LabelSet::from_yaml(&yaml), Err(LabelError::Count { count: 256, .. })));
    }

    #[test]
    fn colorize_leaves_ignored_pixels_black() {
        let set = LabelSet::by_name("cityscapes").unwrap();
        let labels = GrayImage::from_raw(3, 1, vec![0, 10, IGNORE]).unwrap();
        assert_eq!(set.colorize(&labels).into_raw(), [128, 64, 128, 70, 130, 180, 0, 0, 0]);
    }

    #[test]
    fn apply_table_replaces_ids() {
        let mut labels = GrayImage::from_raw(3, 1, vec![7, 33, 0]).unwrap();
        apply_table(&mut labels, &std::array::from_fn(|id| 255 - id as u8));
        assert_eq!(labels.into_raw(), [248, 222, 255]);
    }

    #[test]
    fn distances_are_steps_to_another_label() {
        let image = |width: u32, labels: &[u8]| {
            GrayImage::from_raw(width, labels.len() as u32 / width, labels.to_vec()).unwrap()
        };
        assert_eq!(distances(&image(6, &[0, 0, 0, 1, 1, 1])), [3, 2, 1, 1, 2, 3]);
        let corner = distances(&image(3, &[1, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(corner, [1, 1, 2, 1, 2, 3, 2, 3, 4]);
        assert_eq!(distances(&image(2, &[5, 5])), [3, 3]);
    }
}
