//! Labels that another node's segmenter publishes: what its pixels are, which classes they mean, how they lie on the
//! camera's image, and to which image they belong.

pub(crate) mod fit;
pub(crate) mod matching;
pub(crate) mod meaning;
pub(crate) mod pixels;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::GrayImage;

use crate::frame::{CameraImage, Stamp};
use crate::labels::{IGNORE, LabelSet};
use crate::quote::quoted;
use crate::whole_file;
use fit::Fit;
use matching::{Matcher, Rule};
use meaning::{Channel, Coding, Meaning, MeaningError};

/// Why it is not known what a segmenter's ids mean.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// The file cannot be read.
    #[error("parameter labels.names: {0}")]
    File(#[from] std::io::Error),
    /// It is no label set, or says nothing of the bundle's classes.
    #[error("parameter labels.names: {0}")]
    Meaning(#[from] MeaningError),
}

/// Largest file of a label set, in bytes.
const LARGEST: u64 = 1 << 20;

/// A built-in label set, or the one in a file.
fn label_set(names: &str) -> Result<LabelSet, NamesError> {
    if let Ok(set) = LabelSet::by_name(names) {
        return Ok(set);
    }
    let bytes = whole_file::read(names.as_ref(), LARGEST)?;
    Ok(LabelSet::from_yaml(&String::from_utf8_lossy(&bytes)).map_err(MeaningError::from)?)
}

/// Labels and when they arrived, on the steady clock.
#[derive(Clone, Debug)]
pub struct LabelArrival {
    /// The image message.
    pub image: CameraImage,
    /// When it came.
    pub at: Instant,
}

impl LabelArrival {
    /// The stamp of the labels, which need not be that of the image.
    pub(crate) fn stamp(&self) -> Stamp {
        self.image.stamp
    }
}

/// How labels by topic are taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// Which image a label image belongs to.
    pub rule: Rule,
    /// How it lies on that image.
    pub fit: Fit,
    /// What the numbers in it are.
    pub coding: Coding,
    /// In which channel of a colour image the number is, if in one.
    pub channel: Channel,
    /// File of the segmenter's label set; without, the bundle's own.
    pub names: Option<String>,
    /// Share of an image that may have ids of no class.
    pub most_unknown: f32,
    /// Silence of the labels after which the report says so, while images arrive.
    pub timeout: Duration,
}

/// Label images so far, and the images that found none. Once none waits, `received = matched + unmatched`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Label images that arrived.
    pub received: u64,
    /// Of those, such as belong to no image here.
    pub unmatched: u64,
}

/// What stands between label images and the images that they belong to.
#[derive(Debug)]
pub(crate) struct Labels {
    pub options: Options,
    matcher: Mutex<Matcher>,
    dictionary: Mutex<Dictionary>,
}

/// Numbers with their names, and the number of what is none.
type Named = (Vec<(i32, String)>, Option<i32>);

/// What ids mean, as far as it is known.
#[derive(Debug, Default)]
struct Dictionary {
    /// The bundle's classes, once it is loaded.
    own: Option<LabelSet>,
    /// By a message of the segmenter.
    named: Option<Named>,
    /// By the segmenter's label set.
    of_set: Option<Meaning>,
    /// What is in force.
    meaning: Option<Arc<Meaning>>,
    /// Why the last message of the segmenter was not taken, if it was not.
    refused: Option<String>,
    /// Which names in the one that was mean nothing to the bundle, in words.
    strangers: Option<String>,
}

impl Dictionary {
    /// What is wrong with the segmenter's names, if something is.
    fn trouble(&self) -> Option<&str> {
        self.refused.as_deref().or(self.strangers.as_deref())
    }

    fn settle(&mut self) {
        let (Some(own), Some(of_set)) = (&self.own, &self.of_set) else { return };
        let (meaning, strangers) = match &self.named {
            Some((classes, ignored)) => {
                let classes = classes.iter().map(|(number, name)| (*number, name.as_str()));
                of_set.clone().named(classes, *ignored, own)
            }
            None => (of_set.clone(), Vec::new()),
        };
        self.strangers = unknown_names(&strangers);
        self.meaning = Some(Arc::new(meaning));
    }
}

/// Most names that are told.
const TOLD: usize = 5;

/// That these names are no classes of the bundle, in words.
fn unknown_names(names: &[&str]) -> Option<String> {
    let told: Vec<_> = names.iter().take(TOLD).map(|name| quoted(name)).collect();
    let more = match names.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!told.is_empty()).then(|| {
        format!(
            "label_info names no classes of the bundle: {}{more}; pixels of these have no label",
            told.join(", ")
        )
    })
}

/// Numbers with their names, which a message has in two arrays.
pub(crate) fn paired(numbers: Vec<u16>, names: Vec<String>) -> Result<Vec<(i32, String)>, String> {
    match (numbers.len(), names.len()) {
        (ids, told) if ids != told => Err(format!(
            "label_info has {ids} class_ids and {told} class_names and is not taken; each id needs a name"
        )),
        _ => Ok(numbers.into_iter().map(i32::from).zip(names).collect()),
    }
}

impl Labels {
    /// Nothing has come yet.
    pub fn new(options: Options) -> Self {
        let matcher = Matcher::new(options.rule, options.timeout);
        Self { options, matcher: Mutex::new(matcher), dictionary: Mutex::default() }
    }

    /// Access to what waits for its other half.
    pub fn matcher(&self) -> MutexGuard<'_, Matcher> {
        self.matcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns the bundle's classes, and what the segmenter's ids mean by its label set: the one in the file, or the
    /// bundle's own.
    pub fn learn(&self, own: &LabelSet) -> Result<(), NamesError> {
        let Options { names, coding, channel, .. } = &self.options;
        let theirs = names.as_ref().map_or_else(|| Ok(own.clone()), |names| label_set(names))?;
        let of_set = Meaning::of(&theirs, own, *coding, *channel)?;
        self.change(|dictionary| {
            (dictionary.own, dictionary.of_set) = (Some(own.clone()), Some(of_set));
            dictionary.settle();
        });
        Ok(())
    }

    /// The segmenter says which of its numbers has which name, and which is none.
    pub fn name(&self, classes: Vec<(i32, String)>, ignored: Option<i32>) {
        self.change(|dictionary| {
            (dictionary.named, dictionary.refused) = (Some((classes, ignored)), None);
            dictionary.settle();
        });
    }

    /// What the segmenter says of its numbers cannot be taken: what it said before stays.
    pub(crate) fn refuse(&self, why: String) {
        self.change(|dictionary| dictionary.refused = Some(why));
    }

    /// What is wrong with the segmenter's names, if something is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.dictionary().trouble().map(str::to_owned)
    }

    /// Changes what is known of the ids; what is wrong with that is said once.
    fn change(&self, change: impl FnOnce(&mut Dictionary)) {
        let (before, now) = {
            let mut dictionary = self.dictionary();
            let before = dictionary.trouble().map(str::to_owned);
            change(&mut dictionary);
            (before, dictionary.trouble().map(str::to_owned))
        };
        if let Some(trouble) = &now
            && now != before
        {
            tracing::warn!("{trouble}");
        }
    }

    fn dictionary(&self) -> MutexGuard<'_, Dictionary> {
        self.dictionary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Class ids on an image of this size, or why there are none.
    pub fn read(&self, labels: &LabelArrival, size: (u32, u32)) -> Result<GrayImage, String> {
        let pixels = pixels::decode(&labels.image.content).map_err(|error| format!("labels: {error}"))?;
        let meaning = { self.dictionary().meaning.clone() };
        let meaning = meaning.ok_or("labels: it is not known yet what their ids mean")?;
        let (ids, unknown) = meaning.classes(&pixels);
        // Of what has no label nothing is known, whether the id says so or nobody knows it.
        let none = ids.as_raw().iter().filter(|&&id| id == IGNORE).count();
        let share = none as f32 / ids.as_raw().len().max(1) as f32;
        if share > self.options.most_unknown {
            let stranger = match unknown.count {
                0 => String::new(),
                _ => format!(" ({} the most frequent that is not known)", unknown.example),
            };
            return Err(format!(
                "labels: {:.1} % of the pixels mean no class{stranger}; labels.max_unknown allows {:.1} %. \
                 labels.names, labels.coding and labels.channel say what ids mean",
                share * 100.,
                self.options.most_unknown * 100.
            ));
        }
        Ok(self.options.fit.onto(ids, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::parameters::{Parameters, Value};

    #[test]
    fn names_that_mean_nothing_and_messages_that_cannot_be_taken_are_told_till_better_ones_come() {
        let topic = [("segmentation", Value::Text("topic".into()))];
        let labels = Labels::new(Parameters::with_overrides(topic).unwrap().labels().unwrap());
        let named = |names: &[&str]| -> Vec<(i32, String)> {
            (1..).zip(names.iter().map(|&name| name.to_owned())).collect()
        };
        labels.name(named(&["Road", "dragon"]), Some(0));
        assert_eq!(labels.trouble(), None, "the bundle's classes are not known yet");
        labels.learn(&LabelSet::by_name("cityscapes").unwrap()).unwrap();
        let told = labels.trouble().unwrap();
        assert!(told.contains("\"dragon\"") && !told.contains("Road"), "{told}");
        labels.name(named(&["a", "b", "c", "d", "e", "f", "g"]), Some(0));
        let told = labels.trouble().unwrap();
        assert!(told.contains("\"e\" and 2 more;") && !told.contains("\"f\""), "{told}");
        labels.refuse(paired(vec![1, 2, 3], vec!["road".to_owned()]).unwrap_err());
        assert!(labels.trouble().unwrap().contains("3 class_ids and 1 class_names"));
        labels.name(named(&["road"]), Some(0));
        assert_eq!(labels.trouble(), None);
        assert_eq!(paired(vec![7], vec!["road".to_owned()]), Ok(vec![(7, "road".to_owned())]));
    }
}
