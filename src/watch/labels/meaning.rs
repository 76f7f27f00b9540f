//! Which classes of the bundle the values of a label image mean.

use std::collections::HashMap;

use image::GrayImage;

use super::pixels::{Pixels, Values};
use crate::labels::{IGNORE, LabelError, LabelSet};

/// What the numbers of a label image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Places of classes in the label set, from 0; 255 is none.
    ClassIds,
    /// The ids that the label set lists for each class.
    RawIds,
}

/// Where in a pixel of several channels the number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// In none of them: the colour as a whole stands for a class.
    None,
    /// In the red one.
    Red,
    /// In the green one.
    Green,
    /// In the blue one.
    Blue,
}

/// Classes by value; [`IGNORE`] where a value stands for no class on purpose.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    numbers: HashMap<i32, u8>,
    colors: HashMap<[u8; 3], u8>,
    channel: Option<usize>,
}

/// Pixels whose value means nothing that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// How many.
    pub count: usize,
    /// The value that most of them have, for people.
    pub example: String,
}

/// Why a label set says nothing of a bundle's classes.
#[derive(Debug, thiserror::Error)]
pub enum MeaningError {
    /// A label set that is none.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// Two that cannot be told in each other's words.
    #[error(
        "label set '{theirs}' has no class in common with the bundle's, '{own}', and lists none under `from`"
    )]
    NothingInCommon {
        /// The segmenter's.
        theirs: String,
        /// The bundle's.
        own: String,
    },
}

impl Meaning {
    /// By the segmenter's label set, onto the bundle's.
    pub fn of(
        theirs: &LabelSet,
        own: &LabelSet,
        coding: Coding,
        channel: Channel,
    ) -> Result<Self, MeaningError> {
        let onto = onto(theirs, own)?;
        let numbers = match coding {
            Coding::ClassIds => {
                let classes = (0..theirs.classes.len()).map(|id| (id as i32, onto[id]));
                classes.chain([(i32::from(IGNORE), IGNORE)]).collect()
            }
            Coding::RawIds => {
                let table = theirs.raw_table();
                let class = |id: u8| if id == IGNORE { IGNORE } else { onto[usize::from(id)] };
                (0..).zip(table).filter_map(|(raw, id)| Some((raw, class(id?)))).collect()
            }
        };
        let colors = (theirs.classes.iter().zip(onto)).map(|(class, id)| (class.color, id));
        let channel = match channel {
            Channel::None => None,
            Channel::Red => Some(0),
            Channel::Green => Some(1),
            Channel::Blue => Some(2),
        };
        // Black is what tools paint where there is no label, unless it is a class's own colour.
        let colors = std::iter::once(([0; 3], IGNORE)).chain(colors).collect();
        Ok(Self { numbers, colors, channel })
    }

    /// The same, where a message says which number has which name; and the names that the bundle does not know, which
    /// are of no class. One of a number that is ignored on purpose is not among them.
    pub fn named<'a>(
        self,
        classes: impl IntoIterator<Item = (i32, &'a str)>,
        ignored: Option<i32>,
        own: &LabelSet,
    ) -> (Self, Vec<&'a str>) {
        // An ignored number that has a name is that class: a message that does not say which is ignored says 0.
        let mut numbers: HashMap<i32, u8> = ignored.map(|number| (number, IGNORE)).into_iter().collect();
        let mut strangers = Vec::new();
        for (number, name) in classes {
            let class = class_named(name, own);
            if class.is_none() && ignored != Some(number) {
                strangers.push(name);
            }
            numbers.insert(number, class.unwrap_or(IGNORE));
        }
        (Self { numbers, ..self }, strangers)
    }

    /// Class ids of the bundle's label set, [`IGNORE`] where there is none, and what was not known.
    pub fn classes(&self, pixels: &Pixels) -> (GrayImage, Unknown) {
        let mut strangers: HashMap<i64, usize> = HashMap::new();
        let mut stranger = |value: i64| {
            *strangers.entry(value).or_default() += 1;
            IGNORE
        };
        let of_number = |number: i32| self.numbers.get(&number).copied();
        let ids: Vec<u8> = match (&pixels.values, self.channel) {
            (Values::Bytes(bytes), _) => {
                let table: Vec<Option<u8>> = (0..256).map(of_number).collect();
                let class = |&byte: &u8| table[usize::from(byte)].unwrap_or_else(|| stranger(byte.into()));
                bytes.iter().map(class).collect()
            }
            (Values::Numbers(numbers), _) => {
                runs(numbers, |&number| (of_number(number), i64::from(number)), stranger)
            }
            (Values::Colors(colors), Some(channel)) => {
                runs(colors, |color| (of_number(color[channel].into()), color[channel].into()), stranger)
            }
            (Values::Colors(colors), None) => runs(
                colors,
                |color| {
                    (
                        self.colors.get(color).copied(),
                        u32::from_be_bytes([0, color[0], color[1], color[2]]).into(),
                    )
                },
                stranger,
            ),
        };
        let by_color = matches!(pixels.values, Values::Colors(_)) && self.channel.is_none();
        let most = strangers.iter().max_by_key(|&(&value, &count)| (count, std::cmp::Reverse(value)));
        let example = most.map_or(String::new(), |(value, _)| match by_color {
            true => format!("colour #{value:06X}"),
            false => format!("id {value}"),
        });
        let unknown = Unknown { count: strangers.values().sum(), example };
        let (width, height) = pixels.size;
        (GrayImage::from_raw(width, height, ids).expect("a value a pixel"), unknown)
    }
}

/// The class of this name, or else of one that differs in case and in blanks around it alone.
fn class_named(name: &str, own: &LabelSet) -> Option<u8> {
    let folded = |name: &str| name.trim().to_lowercase();
    let alike = || own.classes.iter().find(|class| folded(&class.name) == folded(name));
    own.id(name).or_else(|| alike().and_then(|class| own.id(&class.name)))
}

/// Classes of values, the look-ups of neighbours that are the same made once.
fn runs<T: PartialEq>(
    values: &[T],
    class: impl Fn(&T) -> (Option<u8>, i64),
    mut stranger: impl FnMut(i64) -> u8,
) -> Vec<u8> {
    let mut ids = Vec::with_capacity(values.len());
    let mut last: Option<(&T, Option<u8>, i64)> = None;
    for value in values {
        let (_, known, number) = match last {
            Some(same) if same.0 == value => same,
            _ => {
                let (known, number) = class(value);
                (value, known, number)
            }
        };
        last = Some((value, known, number));
        ids.push(known.unwrap_or_else(|| stranger(number)));
    }
    ids
}

/// From their class ids to the bundle's: as the sets say of each other, or else by equal names.
fn onto(theirs: &LabelSet, own: &LabelSet) -> Result<[u8; 256], MeaningError> {
    match theirs.map_onto(own) {
        Err(LabelError::NoMapping { .. }) => {
            let mut table = [IGNORE; 256];
            for (to, class) in table.iter_mut().zip(&theirs.classes) {
                *to = own.id(&class.name).unwrap_or(IGNORE);
            }
            match table.iter().any(|&id| id != IGNORE) {
                true => Ok(table),
                false => {
                    Err(MeaningError::NothingInCommon { theirs: theirs.name.clone(), own: own.name.clone() })
                }
            }
        }
        table => Ok(table?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cityscapes() -> LabelSet {
        LabelSet::by_name("cityscapes").unwrap()
    }

    fn of(coding: Coding, channel: Channel) -> Meaning {
        Meaning::of(&cityscapes(), &cityscapes(), coding, channel).unwrap()
    }

    fn classes(meaning: &Meaning, values: Values) -> (Vec<u8>, Unknown) {
        let count = match &values {
            Values::Bytes(values) => values.len(),
            Values::Numbers(values) => values.len(),
            Values::Colors(values) => values.len(),
        };
        let (ids, unknown) = meaning.classes(&Pixels { size: (count as u32, 1), values });
        (ids.into_raw(), unknown)
    }

    #[test]
    fn class_ids_are_places_and_raw_ids_those_of_the_set() {
        let ids = classes(&of(Coding::ClassIds, Channel::None), Values::Bytes(vec![0, 18, 255, 19, 200, 19]));
        let unknown = Unknown { count: 3, example: "id 19".into() };
        assert_eq!(ids, (vec![0, 18, 255, 255, 255, 255], unknown));
        // 7 is the road's, 33 the bicycle's, 0 is ignored, 99 nobody's.
        let raw = of(Coding::RawIds, Channel::None);
        let ids = classes(&raw, Values::Numbers(vec![7, 7, 33, 0, 99, -1]));
        assert_eq!((ids.0, ids.1.count), (vec![0, 0, 18, 255, 255, 255], 2));
    }

    #[test]
    fn a_colour_is_looked_up_whole_or_by_its_channel() {
        let [road, car] = [0, 13].map(|id: usize| cityscapes().classes[id].color);
        let (ids, unknown) = classes(
            &of(Coding::ClassIds, Channel::None),
            Values::Colors(vec![road, car, car, [0; 3], [1, 2, 3]]),
        );
        assert_eq!(ids, [0, 13, 13, 255, 255]);
        assert_eq!(unknown, Unknown { count: 1, example: "colour #010203".into() });
        let (ids, _) =
            classes(&of(Coding::ClassIds, Channel::Blue), Values::Colors(vec![[9, 9, 13], [0, 0, 14]]));
        assert_eq!(ids, [13, 14]);
    }

    #[test]
    fn another_set_is_read_by_its_map_or_by_names() {
        let camvid = LabelSet::by_name("camvid").unwrap();
        let mapped = Meaning::of(&cityscapes(), &camvid, Coding::ClassIds, Channel::None).unwrap();
        let (ids, _) = classes(&mapped, Values::Bytes(vec![0]));
        assert_eq!(usize::from(ids[0]), usize::from(camvid.id("road").unwrap()));
        let set = |names: &str| {
            let classes: String = names
                .split(' ')
                .map(|n| format!("  - {{name: {n}, color: '#0000{:02X}'}}\n", n.len()))
                .collect();
            LabelSet::from_yaml(&format!("name: mine\nclasses:\n{classes}")).unwrap()
        };
        let by_name =
            Meaning::of(&set("dragon car"), &cityscapes(), Coding::ClassIds, Channel::None).unwrap();
        assert_eq!(classes(&by_name, Values::Bytes(vec![0, 1])).0, [255, 13]);
        let none = Meaning::of(&set("dragon"), &cityscapes(), Coding::ClassIds, Channel::None).unwrap_err();
        assert!(none.to_string().contains("no class in common"), "{none}");
    }

    #[test]
    fn names_in_a_message_replace_the_set() {
        let named = of(Coding::ClassIds, Channel::None);
        let (named, strangers) =
            named.named([(0, "void"), (5, " Road"), (6, "dragon")], Some(0), &cityscapes());
        assert_eq!(strangers, ["dragon"], "0 is ignored on purpose");
        let (ids, unknown) = classes(&named, Values::Bytes(vec![5, 6, 0, 1]));
        assert_eq!((ids, unknown.count), (vec![0, 255, 255, 255], 1));
        // A message that does not say which number is ignored says 0, and road stays road.
        let (named, _) = of(Coding::ClassIds, Channel::None).named([(0, "road")], Some(0), &cityscapes());
        assert_eq!(classes(&named, Values::Bytes(vec![0])).0, [0]);
    }

    #[test]
    fn a_class_is_known_by_its_own_name_and_else_whatever_its_case() {
        let classes = ["person", "Person", "Traffic Light "];
        let own = classes.map(|name| format!("  - {{name: '{name}', color: '#0000{:02X}'}}\n", name.len()));
        let own = LabelSet::from_yaml(&format!("name: mine\nclasses:\n{}", own.concat())).unwrap();
        let ids = ["Person", "person", "PERSON", "traffic light", "lamp"].map(|name| class_named(name, &own));
        assert_eq!(ids, [Some(1), Some(0), Some(0), Some(2), None]);
    }
}
