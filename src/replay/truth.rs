//! Labels of the frames of a recording: a topic beside the images, or a folder of PNGs.
//!
//! ```text
//! all label images --look--> how they are to be read
//! frame's stamp, those before and after it --> the label that is nearest to no other frame
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use image::GrayImage;

use super::ReplayError;
use crate::bag::camera::{camera_image, is_image};
use crate::bag::cdr::decode;
use crate::bag::message::{LabelInfo, Message as _};
use crate::bag::reader::{Message, Reader, Wish};
use crate::data::codebook::{Codebook, Looked, of_values};
use crate::data::{Coding, DataError, LabelImage, LabelImageError, OWN_LABELS, Reading, decode_labels};
use crate::frame::{CameraImage, Content, Stamp};
use crate::labels::LabelSet;
use crate::whole_file;

/// A label that is further from a frame is not of it, in nanoseconds.
const TOLERANCE: i64 = 75_000_000;
/// Largest file of a label, in bytes.
const LARGEST: u64 = 1 << 28;
/// Names with more digits are stamps.
const MOST_OF_INDEX: usize = 9;

/// Where labels come from, and how they are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// A folder, or else a topic of the recordings.
    pub source: PathBuf,
    /// Name or file of their label set; by default labels.yaml in the folder, or the bundle's.
    pub set: Option<String>,
    /// How classes are written; told by what is met by default.
    pub coding: Option<Coding>,
}

/// Labels that can be asked for.
pub(super) struct Truth {
    book: Codebook,
    source: Source,
    /// Labels that no frame has had.
    pub unused: u64,
}

enum Source {
    Folder { by_index: BTreeMap<u64, PathBuf>, by_stamp: VecDeque<(i64, PathBuf)> },
    Topic { reader: Box<Reader>, ahead: VecDeque<(i64, Message)> },
}

/// A label that was found and is not read yet.
#[derive(Clone, Debug)]
pub(super) enum Label {
    File(PathBuf),
    Message(Message),
}

/// A frame among its neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its number in the recording, from 0.
    pub index: u64,
    /// When it was taken, in nanoseconds since 1970.
    pub stamp: i64,
    /// When the frame before it was.
    pub before: Option<i64>,
    /// When the frame after it was.
    pub after: Option<i64>,
}

impl Place {
    /// Whether a label of `stamp` is this frame's; of two frames that are equally near, it is the first one's.
    fn has(&self, stamp: i64) -> bool {
        let distance = |frame: i64| frame.abs_diff(stamp);
        let own = distance(self.stamp);
        own <= TOLERANCE.unsigned_abs()
            && self.before.is_none_or(|before| distance(before) > own)
            && self.after.is_none_or(|after| distance(after) >= own)
    }
}

impl Truth {
    /// Looks into all labels of `labels` for a bundle with label set `ours`.
    pub(super) fn open(labels: &Labels, bags: &[PathBuf], ours: &LabelSet) -> Result<Self, ReplayError> {
        let Labels { source, set, coding } = labels;
        match source.is_dir() {
            true => Self::of_folder(source, set_of(set.as_deref(), source, ours)?, *coding),
            false => Self::of_topic(source, bags, set_of(set.as_deref(), Path::new(""), ours)?, *coding),
        }
    }

    fn of_folder(folder: &Path, set: LabelSet, coding: Option<Coding>) -> Result<Self, ReplayError> {
        let (mut by_index, mut by_stamp) = (BTreeMap::new(), BTreeMap::new());
        let mut looked = Looked::default();
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("png")) {
                continue;
            }
            let twice = match named(&path) {
                Some(Named::Index(index)) => by_index.insert(index, path.clone()),
                Some(Named::Stamp(stamp)) => by_stamp.insert(stamp, path.clone()),
                None => return Err(ReplayError::LabelName { path }),
            };
            if let Some(first) = twice {
                return Err(DataError::SameName { first, second: path }.into());
            }
            looked.add(&path, &of_file(&path)?);
        }
        let unused = (by_index.len() + by_stamp.len()) as u64;
        if unused == 0 {
            return Err(DataError::Empty { path: folder.to_owned() }.into());
        }
        let book = looked.codebook(folder, set, coding)?;
        Ok(Self {
            book,
            source: Source::Folder { by_index, by_stamp: by_stamp.into_iter().collect() },
            unused,
        })
    }

    fn of_topic(
        topic: &Path,
        bags: &[PathBuf],
        set: LabelSet,
        coding: Option<Coding>,
    ) -> Result<Self, ReplayError> {
        let name = topic.to_string_lossy().into_owned();
        let info = super::topics::beside(&name, "label_info");
        let wish = Wish { topics: vec![name.clone(), info.clone()], kinds: Vec::new() };
        let (mut looked, mut names, mut unused) = (Looked::default(), None, 0);
        for message in Reader::open(bags, &wish)? {
            if *message.topic == *info && &*message.kind == LabelInfo::DEFINITION.name {
                names = decode::<LabelInfo>(&message.data).ok().or(names);
            } else if *message.topic == *name && is_image(&message.kind) {
                looked.add(topic, &of_message(topic, &message)?);
                unused += 1;
            }
        }
        if unused == 0 {
            return Err(ReplayError::NoLabels { wanted: topic.to_owned() });
        }
        let book = match names.filter(|_| coding.is_none()) {
            Some(LabelInfo { class_ids, class_names, .. }) => {
                Codebook::named(set, class_ids.into_iter().zip(class_names.iter().map(String::as_str)))
            }
            None => looked.codebook(topic, set, coding)?,
        };
        let reader = Box::new(Reader::open(bags, &Wish { topics: vec![name], kinds: Vec::new() })?);
        Ok(Self { book, source: Source::Topic { reader, ahead: VecDeque::new() }, unused })
    }

    /// The label set.
    pub(super) fn labels(&self) -> &LabelSet {
        &self.book.labels
    }

    /// The label of the frame at `place`; frames are asked for in order.
    pub(super) fn of(&mut self, place: Place) -> Result<Option<Label>, ReplayError> {
        let found = match &mut self.source {
            Source::Folder { by_index, by_stamp } => {
                let by_index = by_index.remove(&place.index).map(Label::File);
                by_index.or_else(|| nearest(by_stamp, place).map(Label::File))
            }
            Source::Topic { reader, ahead } => {
                while ahead.back().is_none_or(|(stamp, _)| *stamp <= place.stamp.saturating_add(TOLERANCE)) {
                    let Some(message) = reader.next() else { break };
                    if let Ok(image) = camera_image(&message.kind, &message.data) {
                        ahead.push_back((stamp_of(&image, message.stamp), message));
                    }
                }
                nearest(ahead, place).map(Label::Message)
            }
        };
        self.unused -= u64::from(found.is_some());
        Ok(found)
    }

    /// The class ids in a label, which must be of the frame's size.
    pub(super) fn read(&self, label: &Label, size: (u32, u32)) -> Result<GrayImage, ReplayError> {
        let (path, image) = match label {
            Label::File(path) => (path.clone(), of_file(path)?),
            Label::Message(message) => {
                let topic = PathBuf::from(&*message.topic);
                let image = of_message(&topic, message)?;
                (topic, image)
            }
        };
        let labels = self.book.ids(image);
        match labels.dimensions() == size {
            true => Ok(labels),
            false => Err(DataError::LabelSize { path, labels: labels.dimensions(), image: size }.into()),
        }
    }
}

/// The label of `place`; those that lie too far back for any later frame are dropped.
fn nearest<T>(labels: &mut VecDeque<(i64, T)>, place: Place) -> Option<T> {
    while labels.front().is_some_and(|(stamp, _)| *stamp < place.stamp.saturating_sub(TOLERANCE)) {
        labels.pop_front();
    }
    let near = labels.iter().take_while(|(stamp, _)| *stamp <= place.stamp.saturating_add(TOLERANCE));
    let own = near.enumerate().filter(|(_, (stamp, _))| place.has(*stamp));
    let at = own.min_by_key(|(_, (stamp, _))| stamp.abs_diff(place.stamp))?.0;
    labels.remove(at).map(|(_, label)| label)
}

/// When an image was taken; of a driver that does not stamp, when it was recorded.
pub(super) fn stamp_of(image: &CameraImage, recorded: i64) -> i64 {
    let Stamp { sec, nanosec } = image.stamp;
    match image.stamp == Stamp::default() {
        true => recorded,
        false => i64::from(sec) * 1_000_000_000 + i64::from(nanosec),
    }
}

fn set_of(named: Option<&str>, folder: &Path, ours: &LabelSet) -> Result<LabelSet, ReplayError> {
    let beside = folder.join(OWN_LABELS);
    let file = match named {
        Some(name) if !Path::new(name).is_file() => {
            return Ok(LabelSet::by_name(name).map_err(DataError::from)?);
        }
        Some(file) => PathBuf::from(file),
        None if beside.is_file() => beside,
        None => return Ok(ours.clone()),
    };
    let reading = Reading { labels: Some(file), coding: None };
    Ok(reading.label_set(folder, crate::data::Layout::Cityscapes)?)
}

fn of_file(path: &Path) -> Result<LabelImage, ReplayError> {
    let bytes = whole_file::read(path, LARGEST)?;
    Ok(decode_labels(&bytes).map_err(|reason| DataError::LabelImage { path: path.to_owned(), reason })?)
}

fn of_message(topic: &Path, message: &Message) -> Result<LabelImage, ReplayError> {
    let wrong = |reason| DataError::LabelImage { path: topic.to_owned(), reason };
    let image = camera_image(&message.kind, &message.data)?;
    let label = match &image.content {
        Content::Compressed { data, .. } => decode_labels(data),
        Content::Raw { width, height, encoding, is_bigendian, step, data } => {
            let bytes = match encoding.as_str() {
                "mono8" | "8UC1" => 1,
                "mono16" | "16UC1" => 2,
                other => {
                    let what = format!("{other:?} on a topic; mono8, mono16 or a compressed PNG is needed");
                    return Err(wrong(LabelImageError::Pixels(what)).into());
                }
            };
            let (row, step) = (*width as usize * bytes, (*step as usize).max(1));
            let rows = data.chunks(step).take(*height as usize).flat_map(|line| &line[..row.min(line.len())]);
            let all: Vec<u8> = rows.copied().collect();
            let value = |pair: &[u8]| match (pair, is_bigendian) {
                ([high, low], true) => u16::from_be_bytes([*high, *low]),
                ([low, high], false) => u16::from_le_bytes([*low, *high]),
                (one, _) => one.first().copied().map_or(0, u16::from),
            };
            of_values(*width, *height, all.chunks(bytes).map(value))
        }
    };
    Ok(label.map_err(wrong)?)
}

/// What the name of a label file says.
#[derive(Debug, PartialEq)]
enum Named {
    Index(u64),
    Stamp(i64),
}

/// The first number in the name: the frame's place in the recording, or its stamp in nanoseconds, or in seconds
/// with nine decimals.
fn named(path: &Path) -> Option<Named> {
    let name = path.file_stem()?.to_str()?;
    let from = name.find(|letter: char| letter.is_ascii_digit())?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    let whole = &name[from..][..digits(&name[from..])];
    let rest = &name[from + whole.len()..];
    let decimals = rest.strip_prefix(['.', '_']).map_or("", |rest| &rest[..digits(rest)]);
    if decimals.len() == 9 {
        return format!("{whole}{decimals}").parse().ok().map(Named::Stamp);
    }
    match whole.len() > MOST_OF_INDEX {
        true => whole.parse().ok().map(Named::Stamp),
        false => whole.parse().ok().map(Named::Index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_of_the_nearest_frame_and_of_one_only() {
        const MS: i64 = 1_000_000;
        let stamps = [0, 33 * MS, 66 * MS, 400 * MS];
        let owners = |label: i64| -> Vec<u64> {
            let place = |at: usize| Place {
                index: at as u64,
                stamp: stamps[at],
                before: at.checked_sub(1).map(|before| stamps[before]),
                after: stamps.get(at + 1).copied(),
            };
            (0..stamps.len()).map(place).filter(|place| place.has(label)).map(|place| place.index).collect()
        };
        for (label, owner) in
            [(0, Some(0)), (16, Some(0)), (17, Some(1)), (70, Some(2)), (141, Some(2)), (142, None)]
                .map(|(ms, owner)| (ms * MS, owner))
        {
            assert_eq!(owners(label), owner.into_iter().collect::<Vec<u64>>(), "{label}");
        }
        // Equally far from two: the first one's.
        assert_eq!(owners(33 * MS / 2), [0]);
        let mut labels = VecDeque::from([(1, 'a'), (2, 'b'), (500 * MS, 'c')]);
        let place = Place { index: 0, stamp: 2, before: None, after: None };
        assert_eq!((nearest(&mut labels, place), labels.len()), (Some('b'), 2));
    }

    #[test]
    fn files_are_named_by_index_or_stamp() {
        let of = |name: &str| named(Path::new(name));
        assert_eq!(of("000123.png"), Some(Named::Index(123)));
        assert_eq!(of("frame_7_labelIds.png"), Some(Named::Index(7)));
        assert_eq!(of("1700000000123456789.png"), Some(Named::Stamp(1_700_000_000_123_456_789)));
        for name in ["1700000000.000000005.png", "1700000000_000000005.png"] {
            assert_eq!(of(name), Some(Named::Stamp(1_700_000_000_000_000_005)));
        }
        assert_eq!(of("road.png"), None);
    }
}
