//! Two results on the same frames: what differs, and whether it is more than chance.
//!
//! ```text
//! report.jsonl, figures.jsonl of A and B --> frames that both have --> sums of each drive (or block of time)
//!                                                          drawn again and again --> intervals of differences
//! result.mcap of A and B --> pictures of frames whose level changed --> page
//! ```

mod bootstrap;
mod difference;
mod figure;
pub mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::results::{FIGURES, LINES, SUMMARY};
use super::{Header, Recording};
use crate::bag::BagError;
use crate::model::bundle::sha256;
use crate::whole_file;
pub use bootstrap::Interval;
use bootstrap::{Found, intervals};
pub use difference::first_difference;
use figure::{Better, Figure, Sums, figures};

/// Blocks of time that a single drive is cut into.
const BLOCKS: i64 = 20;
/// Drives below which an interval over them says little.
const FEW: usize = 5;
/// Largest summary.json, in bytes.
const LARGEST: u64 = 1 << 28;

/// Why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The pictures of a result.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// One that no replay wrote.
    #[error("{} line {line}: {reason}; a result of synthcp replay is needed", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        reason: serde_json::Error,
    },
    /// Other recordings.
    #[error("{} and {} are results of different recordings: {what}", a.display(), b.display())]
    Recordings {
        /// The one.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// What tells.
        what: String,
    },
    /// A replay that was stopped.
    #[error(
        "{} is {}, {} is {}; of a replay that was stopped nothing is compared, --resume goes on with it",
        a.display(), ended(complete[0]), b.display(), ended(complete[1])
    )]
    Stopped {
        /// The one.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// Whether each came to its end.
        complete: [bool; 2],
    },
    /// Figures that are not of the same labels, or not measured alike.
    #[error("{} and {} are measured by different {what}: {} and {}", a.display(), b.display(), values[0], values[1])]
    Measures {
        /// The one.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// By what.
        what: &'static str,
        /// That of each.
        values: [String; 2],
    },
    /// Labels that nothing can be compared by.
    #[error(
        "{} has {} frames with labels, {} has {}, and both have none in common", a.display(), frames[0], b.display(),
        frames[1]
    )]
    NoLabels {
        /// The one.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// How many each has.
        frames: [usize; 2],
    },
    /// Nothing to compare.
    #[error("{} and {} have no frame in common", a.display(), b.display())]
    NoFrames {
        /// The one.
        a: PathBuf,
        /// The other.
        b: PathBuf,
    },
}

fn ended(complete: bool) -> &'static str {
    if complete { "complete" } else { "stopped" }
}

/// A line of report.jsonl, as far as it is compared.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    time: i64,
    recording: Option<usize>,
    validity: String,
    level: String,
    report: Scores,
}

#[derive(Clone, Debug, Deserialize)]
struct Scores {
    failure_score: Option<f64>,
}

/// Recording, time, and number among the frames of that time.
type Key = (usize, i64, u32);

/// A frame whose level is not the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Its place among the frames that both have, from 1.
    pub number: usize,
    /// Time since the first of these.
    pub seconds: f64,
    /// The place of its recording.
    pub recording: usize,
    /// When it was recorded, in nanoseconds since 1970.
    pub time: i64,
    /// Its level and failure score in A and in B.
    pub levels: [(String, Option<f64>); 2],
}

/// A figure of both.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// In A and in B, in percent.
    pub values: [Option<f64>; 2],
    /// B less A, and where that lies in 95 of 100 such drives.
    pub difference: Option<(f64, Interval)>,
    /// Whether B is worse than it may be, and not by chance.
    pub is_loss: bool,
}

/// What two results differ in.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Frames that both have, that only A has, that only B has.
    pub frames: [usize; 3],
    /// Of the common frames, those with labels in both.
    pub labelled: usize,
    /// What was drawn: recordings, or blocks of time.
    pub units: String,
    /// The figures.
    pub rows: Vec<Row>,
    /// Frames whose level changed.
    pub changed: Vec<Changed>,
}

impl Comparison {
    /// Compares the results in folders `a` and `b`. A figure of B may be `max_drop` points worse.
    pub fn of(a: &Path, b: &Path, max_drop: f64) -> Result<Self, CompareError> {
        let detectors = comparable(a, b)?;
        let [ours, theirs] = [reports(a)?, reports(b)?];
        let common: Vec<Key> = ours.keys().filter(|key| theirs.contains_key(key)).copied().collect();
        let (Some(first), Some(last)) =
            (common.iter().map(|key| key.1).min(), common.iter().map(|key| key.1).max())
        else {
            return Err(CompareError::NoFrames { a: a.to_owned(), b: b.to_owned() });
        };
        let drives = common.iter().map(|key| key.0).collect::<BTreeSet<_>>().len();
        let block = ((last - first) / BLOCKS + 1).max(1);
        let unit = |key: &Key| match drives {
            1 => ((key.1 - first) / block) as usize,
            _ => key.0,
        };

        let [ours_by, theirs_by] = &detectors;
        let labels = [measured(a, ours_by)?, measured(b, theirs_by)?];
        let both = |key: &Key| labels.iter().all(|labels| labels.contains_key(key));
        let labelled: Vec<Key> = common.iter().filter(|key| both(key)).copied().collect();
        let frames = labels.each_ref().map(BTreeMap::len);
        if labelled.is_empty() && frames != [0, 0] {
            return Err(CompareError::NoLabels { a: a.to_owned(), b: b.to_owned(), frames });
        }
        let catalogue = figures(labelled.first().and_then(|key| labels[0].get(key)));
        let mut units: BTreeMap<usize, [Sums; 2]> = BTreeMap::new();
        for key in &common {
            let sums = units.entry(unit(key)).or_insert_with(|| [Sums::of(&catalogue), Sums::of(&catalogue)]);
            for (sums, (reports, labels)) in sums.iter_mut().zip([&ours, &theirs].into_iter().zip(&labels)) {
                let labels = both(key).then(|| labels.get(key)).flatten();
                sums.add(&catalogue, &reports[key], labels);
            }
        }
        let units: Vec<[Sums; 2]> = units.into_values().collect();
        let rows = rows(&catalogue, &units, max_drop);
        let changed = common.iter().zip(1..).filter_map(|(key, number)| {
            let levels =
                [&ours[key], &theirs[key]].map(|line| (line.level.clone(), line.report.failure_score));
            let (recording, time, _) = *key;
            let seconds = (time - first) as f64 * 1e-9;
            (levels[0].0 != levels[1].0).then_some(Changed { number, seconds, recording, time, levels })
        });
        Ok(Self {
            frames: [common.len(), ours.len() - common.len(), theirs.len() - common.len()],
            labelled: labelled.len(),
            units: match drives {
                1 => format!("{} blocks of {:.1} s", units.len(), block as f64 * 1e-9),
                few if few < FEW => format!("{few} recordings, too few to trust the intervals"),
                many => format!("{many} recordings"),
            },
            rows,
            changed: changed.collect(),
        })
    }

    /// The figures in which B is significantly worse.
    pub fn losses(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| row.is_loss).map(|row| row.name.as_str()).collect()
    }
}

fn rows(catalogue: &[Figure], units: &[[Sums; 2]], max_drop: f64) -> Vec<Row> {
    let found = intervals(catalogue, units);
    let row = |(figure, (values, difference)): (&Figure, Found)| {
        let is_loss =
            difference.as_ref().is_some_and(|(difference, Interval { least, most })| match figure.better {
                Better::Higher => *difference <= -max_drop && *most < 0.,
                Better::Lower => *difference >= max_drop && *least > 0.,
                Better::Neither => false,
            });
        Row { name: figure.name.clone(), values, difference, is_loss }
    };
    catalogue.iter().zip(found).map(row).collect()
}

/// What is needed of summary.json.
#[derive(Deserialize)]
struct Head {
    complete: bool,
    header: Header,
}

impl Head {
    fn read(folder: &Path) -> Result<Self, CompareError> {
        let path = folder.join(SUMMARY);
        let text = whole_file::read(&path, LARGEST)?;
        serde_json::from_slice(&text).map_err(|reason| CompareError::Line { path, line: 1, reason })
    }

    /// The recordings, by the SHA-256 of their files.
    fn recordings(&self) -> Vec<Vec<&str>> {
        self.header.recordings.iter().map(hashes).collect()
    }

    /// What detectors are called on a command line, by their names in figures: a bundle names its own.
    fn detectors(&self) -> Detectors {
        let named = self.header.configuration.get("detectors").and_then(Json::as_object);
        let named = named.into_iter().flatten();
        named.filter_map(|(id, name)| Some((name.as_str()?.to_owned(), id.clone()))).collect()
    }

    /// By what frames with labels were measured, each with its name; nothing of a result without labels.
    fn measures(&self) -> Option<[(&'static str, String); 5]> {
        let told = self.header.configuration.get("labels")?;
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // A folder by what is in it, a topic by its name.
        let source = match &self.header.labels {
            Some(folder) => format!("a folder of SHA-256 {}", sha256(hashes(folder).join(" ").as_bytes())),
            None => text(&told[0]),
        };
        let measured = text(&told[3]);
        let (titles, how) = measured.rsplit_once(" at ").unwrap_or((&measured, ""));
        // In whatever order; a result of an older version has titles alone.
        let detectors: BTreeSet<String> = self.detectors().into_values().collect();
        let detectors = match detectors.is_empty() {
            true => titles.to_owned(),
            false => detectors.into_iter().collect::<Vec<_>>().join(", "),
        };
        Some([
            ("labels", source),
            ("label sets", text(&told[1])),
            ("codings", text(&told[2])),
            ("detectors", detectors),
            ("sizes or memories", how.to_owned()),
        ])
    }
}

/// See [`Head::detectors`].
type Detectors = BTreeMap<String, String>;

fn hashes(recording: &Recording) -> Vec<&str> {
    recording.files.iter().map(|file| file.sha256.as_str()).collect()
}

/// Whether the results can be compared: they are complete, of the same recordings, and measured alike. Gives the
/// detectors of each.
fn comparable(a: &Path, b: &Path) -> Result<[Detectors; 2], CompareError> {
    let [ours, theirs] = [Head::read(a)?, Head::read(b)?];
    let (a, b) = (a.to_owned(), b.to_owned());
    let [all, others] = [ours.recordings(), theirs.recordings()];
    if all.len() != others.len() {
        let what = format!("{} and {} of them", all.len(), others.len());
        return Err(CompareError::Recordings { a, b, what });
    }
    if let Some(place) = all.iter().zip(&others).position(|(one, other)| one != other) {
        let what = format!("the SHA-256 of recording {place} is not the same");
        return Err(CompareError::Recordings { a, b, what });
    }
    let complete = [ours.complete, theirs.complete];
    if complete != [true, true] {
        return Err(CompareError::Stopped { a, b, complete });
    }
    if let (Some(ours), Some(theirs)) = (ours.measures(), theirs.measures())
        && let Some(((what, one), (_, other))) =
            ours.into_iter().zip(theirs).find(|(one, other)| one != other)
    {
        return Err(CompareError::Measures { a, b, what, values: [one, other] });
    }
    Ok([ours.detectors(), theirs.detectors()])
}

/// Every line of a file, read as a `T`.
fn lines<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<(), CompareError> {
    for (place, line) in BufReader::new(File::open(path)?).lines().enumerate() {
        let wrong = |reason| CompareError::Line { path: path.to_owned(), line: place + 1, reason };
        each(serde_json::from_str(&line?).map_err(wrong)?);
    }
    Ok(())
}

/// Adds a frame; several may have one time.
fn insert<T>(map: &mut BTreeMap<Key, T>, recording: usize, time: i64, value: T) {
    let number = map.range((recording, time, 0)..=(recording, time, u32::MAX)).count() as u32;
    map.insert((recording, time, number), value);
}

/// The reports on frames.
fn reports(folder: &Path) -> Result<BTreeMap<Key, Line>, CompareError> {
    let mut all = BTreeMap::new();
    lines(&folder.join(LINES), |line: Line| {
        if let Some(recording) = line.recording {
            insert(&mut all, recording, line.time, line);
        }
    })?;
    Ok(all)
}

/// The figures of frames with labels; of detectors by what they are called on a command line.
fn measured(folder: &Path, detectors: &Detectors) -> Result<BTreeMap<Key, figure::Line>, CompareError> {
    let (mut all, path) = (BTreeMap::new(), folder.join(FIGURES));
    if path.exists() {
        lines(&path, |mut line: figure::Line| {
            for (name, _) in &mut line.errors {
                if let Some(id) = detectors.get(name) {
                    name.clone_from(id);
                }
            }
            insert(&mut all, line.recording, line.time, line);
        })?;
    }
    Ok(all)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [both, only_a, only_b] = self.frames;
        writeln!(f, "frames     {both} in both, {only_a} only in A, {only_b} only in B")?;
        writeln!(f, "labels     of {} frames", self.labelled)?;
        writeln!(f, "intervals  95 %, over {}\n", self.units)?;
        writeln!(f, "| figure, in % | A | B | B - A | interval |  |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        let number = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
        for Row { name, values: [a, b], difference, is_loss } in &self.rows {
            let (by, range) = match difference {
                Some((by, Interval { least, most })) => {
                    (format!("{by:+.2}"), format!("{least:+.2} to {most:+.2}"))
                }
                None => ("n/a".to_owned(), "n/a".to_owned()),
            };
            let mark = if *is_loss { "loss" } else { "" };
            writeln!(f, "| {name} | {} | {} | {by} | {range} | {mark} |", number(*a), number(*b))?;
        }
        writeln!(f, "\n{} frames changed their level", self.changed.len())
    }
}
