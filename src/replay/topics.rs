//! Which topics of a recording are the camera's.

use std::path::PathBuf;

use crate::bag::camera::is_image;
use crate::bag::reader::{Topic, topics};

use super::ReplayError;

/// What image_transport adds to the name of a camera's topic.
pub(super) const COMPRESSED: &str = "/compressed";

/// Why the camera's topic is not to be told.
#[derive(Debug, thiserror::Error)]
pub enum NoTopic {
    /// None of that name, or none of images.
    #[error("the recording has no topic {wanted:?} of images; it has {}", list(.found))]
    Missing {
        /// What is wanted.
        wanted: String,
        /// What there is.
        found: Vec<Topic>,
    },
    /// None at all.
    #[error("the recording has no topic of images; it has {}", list(.found))]
    NoImages {
        /// What there is.
        found: Vec<Topic>,
    },
    /// More than one.
    #[error("the recording has several topics of images; --topic takes one of {}", list(.found))]
    Several {
        /// They.
        found: Vec<Topic>,
    },
    /// None of labels that are to be assessed.
    #[error(
        "segmentation is topic, and the recording has no topic labels of images; --segmentation takes one of {}",
        list(.found)
    )]
    NoLabels {
        /// What there is.
        found: Vec<Topic>,
    },
    /// More than one of them.
    #[error("the recording has several topics of labels; --segmentation takes one of {}", list(.found))]
    SeveralLabels {
        /// They.
        found: Vec<Topic>,
    },
}

fn list(topics: &[Topic]) -> String {
    let topics: Vec<String> = topics.iter().map(|topic| format!("{} ({})", topic.name, topic.kind)).collect();
    if topics.is_empty() { "none".to_owned() } else { topics.join(", ") }
}

/// The topic that is wanted, or the only one of images; of a camera that was recorded by both transports, the
/// raw one.
pub fn camera_topic(bags: &[PathBuf], wanted: Option<&str>) -> Result<Topic, ReplayError> {
    let found = topics(bags)?;
    Ok(choose(found, wanted)?)
}

/// The same of a recording with topics that are no camera's.
pub(super) fn camera_beside(
    bags: &[PathBuf],
    wanted: Option<&str>,
    is_other: impl Fn(&str) -> bool,
) -> Result<Topic, ReplayError> {
    let mut found = topics(bags)?;
    found.retain(|topic| !is_other(&topic.name));
    Ok(choose(found, wanted)?)
}

/// The topic of labels that is wanted, or the only one that is named `labels`, whatever its namespace.
pub(super) fn choose_labels(found: Vec<Topic>, wanted: Option<&str>) -> Result<Topic, NoTopic> {
    if wanted.is_some() {
        return choose(found, wanted);
    }
    let is_named = |topic: &Topic| {
        let raw = topic.name.strip_suffix(COMPRESSED).unwrap_or(&topic.name);
        raw.rsplit('/').next() == Some("labels")
    };
    let named = found.iter().filter(|topic| is_named(topic)).cloned().collect();
    choose(named, None).map_err(|error| match error {
        NoTopic::Several { found } => NoTopic::SeveralLabels { found },
        _ => NoTopic::NoLabels { found: found.into_iter().filter(|topic| is_image(&topic.kind)).collect() },
    })
}

fn choose(found: Vec<Topic>, wanted: Option<&str>) -> Result<Topic, NoTopic> {
    let images: Vec<Topic> = found.iter().filter(|topic| is_image(&topic.kind)).cloned().collect();
    if let Some(wanted) = wanted {
        let one = images.into_iter().find(|topic| topic.name == wanted);
        return one.ok_or_else(|| NoTopic::Missing { wanted: wanted.to_owned(), found });
    }
    let is_twin = |topic: &Topic| {
        let raw = topic.name.strip_suffix(COMPRESSED);
        raw.is_some_and(|raw| images.iter().any(|other| other.name == raw))
    };
    let mut cameras: Vec<Topic> = images.iter().filter(|topic| !is_twin(topic)).cloned().collect();
    match cameras.len() {
        0 => Err(NoTopic::NoImages { found }),
        1 => Ok(cameras.remove(0)),
        _ => Err(NoTopic::Several { found: images }),
    }
}

/// Where the calibration of the camera on `topic` is published.
pub(super) fn camera_info(topic: &str) -> String {
    beside(topic, "camera_info")
}

/// The topic `name` beside `topic`.
pub(super) fn beside(topic: &str, name: &str) -> String {
    let raw = topic.strip_suffix(COMPRESSED).unwrap_or(topic);
    let namespace = raw.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, kind: &str) -> Topic {
        Topic { name: name.to_owned(), kind: format!("sensor_msgs/msg/{kind}") }
    }

    #[test]
    fn the_only_camera_is_taken_and_of_several_none() {
        let scan = topic("/scan", "LaserScan");
        let (raw, compressed) = (topic("/a/image", "Image"), topic("/a/image/compressed", "CompressedImage"));
        let both = vec![raw.clone(), compressed.clone(), scan.clone()];
        assert_eq!(choose(both.clone(), None).unwrap(), raw);
        assert_eq!(choose(both.clone(), Some("/a/image/compressed")).unwrap(), compressed);
        let error = choose(both.clone(), Some("/scan")).unwrap_err().to_string();
        assert!(error.contains("\"/scan\"") && error.contains("/a/image (sensor_msgs/msg/Image)"), "{error}");
        let error = choose([both, vec![topic("/b/image", "Image")]].concat(), None).unwrap_err().to_string();
        assert!(error.contains("/b/image") && !error.contains("/scan"), "{error}");
        assert!(matches!(choose(vec![scan], None), Err(NoTopic::NoImages { .. })));
    }

    #[test]
    fn labels_are_those_named_so_and_no_cameras() {
        let camera = topic("/a/image", "Image");
        let labels = topic("/a/labels", "Image");
        let packed = topic("/a/labels/compressed", "CompressedImage");
        let all = vec![camera.clone(), labels.clone(), packed.clone()];
        assert_eq!(choose_labels(all.clone(), None).unwrap(), labels);
        assert_eq!(choose_labels(all.clone(), Some("/a/labels/compressed")).unwrap(), packed);
        let error = choose_labels(vec![camera], None).unwrap_err().to_string();
        assert!(error.contains("--segmentation takes one of /a/image"), "{error}");
        let error = choose_labels([all, vec![topic("/b/labels", "Image")]].concat(), None).unwrap_err();
        assert!(matches!(error, NoTopic::SeveralLabels { .. }), "{error}");
    }

    #[test]
    fn calibration_lies_beside_the_image() {
        assert_eq!(camera_info("/front/image_raw"), "/front/camera_info");
        assert_eq!(camera_info("/front/image_raw/compressed"), "/front/camera_info");
        assert_eq!(camera_info("/image"), "/camera_info");
    }
}
