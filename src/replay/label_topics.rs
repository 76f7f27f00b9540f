//! Labels of another segmenter, recorded beside the images: where they are, and how they and the images met.

use serde::Serialize;

use super::topics::{COMPRESSED, beside, choose_labels};
use super::{ReplayError, Selection};
use crate::bag::cdr::decode;
use crate::bag::message::{LabelInfo, Message as _};
use crate::bag::reader::{Message, topics};
use crate::watch::labels::paired;

/// The topics that labels to be assessed are recorded on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelTopics {
    /// The label images.
    pub labels: String,
    /// What the segmenter says of its ids.
    pub info: String,
}

impl LabelTopics {
    /// Those of a selection whose parameters want labels by topic.
    pub(super) fn find(selection: &Selection) -> Result<Option<Self>, ReplayError> {
        if selection.parameters.labels().is_none() {
            return Ok(None);
        }
        if selection.every > 1 {
            return Err(ReplayError::EveryOfLabels { every: selection.every });
        }
        let labels = choose_labels(topics(&selection.bags)?, selection.segmentation.as_deref())?.name;
        let info = beside(&labels, "label_info");
        Ok(Some(Self { labels, info }))
    }

    /// Whether a topic is theirs, by either transport.
    pub(super) fn is_on(&self, topic: &str) -> bool {
        let raw = |name: &str| name.strip_suffix(COMPRESSED).unwrap_or(name).to_owned();
        raw(topic) == raw(&self.labels)
    }
}

/// Names of ids, and the id of what is none.
pub(super) type Names = (Vec<(i32, String)>, Option<i32>);

/// What a message of a segmenter says of its ids.
pub(super) fn names(message: &Message) -> Result<Names, String> {
    let kind = LabelInfo::DEFINITION.name;
    if *message.kind != *kind {
        return Err(format!("it is a {}, and {kind} alone is read", message.kind));
    }
    let LabelInfo { class_ids, class_names, ignore_id, .. } =
        decode(&message.data).map_err(|error| error.to_string())?;
    Ok((paired(class_ids, class_names)?, Some(ignore_id.into())))
}

/// How images and labels by topic met. All are counted: `frames_unmatched` and `labels_unmatched` hold those that
/// still waited at the end.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pairs {
    /// The labels' topic.
    pub topic: String,
    /// Images with their labels, those that were dropped then among them.
    pub pairs: u64,
    /// Images that found no labels.
    pub frames_unmatched: u64,
    /// Label images.
    pub labels_received: u64,
    /// Of those, such as found no image.
    pub labels_unmatched: u64,
    /// Why the last of them did not.
    pub why: Option<String>,
}
