//! The ROS messages that this project writes and reads, as plain structs. The fields and their order
//! are those of the definitions.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::schema::{self, Definition};
use crate::frame::Stamp;

/// A struct that is a ROS message.
pub trait Message: Serialize + DeserializeOwned {
    /// Its type.
    const DEFINITION: &'static Definition;
}

macro_rules! messages {
    ($($message:ident: $definition:ident),* $(,)?) => {
        $(impl Message for $message {
            const DEFINITION: &'static Definition = &schema::$definition;
        })*
    };
}

messages! {
    Image: IMAGE,
    CompressedImage: COMPRESSED_IMAGE,
    Text: STRING,
    MonitorReport: MONITOR_REPORT,
    LabelInfo: LABEL_INFO,
}

/// `builtin_interfaces/Time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds.
    pub sec: i32,
    /// Nanoseconds within the second.
    pub nanosec: u32,
}

impl Time {
    /// In seconds.
    pub(crate) fn secs(self) -> f64 {
        f64::from(self.sec) + f64::from(self.nanosec) * 1e-9
    }
}

impl From<Stamp> for Time {
    fn from(Stamp { sec, nanosec }: Stamp) -> Self {
        Self { sec, nanosec }
    }
}

/// `std_msgs/Header`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Time of acquisition.
    pub stamp: Time,
    /// The camera.
    pub frame_id: String,
}

/// `std_msgs/String`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub data: String,
}

/// `sensor_msgs/Image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Time and camera.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Such as `rgb8`, see [`Encoding`](crate::frame::Encoding); or `32FC1`.
    pub encoding: String,
    /// Byte order of channels wider than a byte.
    pub is_bigendian: u8,
    /// Bytes from one row to the next.
    pub step: u32,
    /// `step * height` bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// `sensor_msgs/CompressedImage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressedImage {
    /// Time and camera.
    pub header: Header,
    /// `jpeg` or `png`, with or without what image_transport adds.
    pub format: String,
    /// The file.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// One class in a [`MonitorReport`]; `msg/ClassScore.msg` says what the fields mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ClassScore {
    pub class_id: u16,
    pub class_name: String,
    pub predicted_iou: f32,
    pub presence: f32,
    pub pixel_share: f32,
    pub present: bool,
}

/// One region in a [`MonitorReport`]; `msg/AnomalyRegion.msg` says what the fields mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct AnomalyRegion {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub centroid_x: f32,
    pub centroid_y: f32,
    pub area: f32,
    pub mean_score: f32,
    pub peak_score: f32,
    pub probability: f32,
    pub on_road: f32,
    pub id: u32,
    pub age_frames: u32,
    pub age: f32,
    pub class_id: u16,
    pub class_name: String,
}

/// The monitor's report on one frame; `msg/MonitorReport.msg` says what the fields mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct MonitorReport {
    pub header: Header,
    pub validity: u8,
    pub reason: String,
    pub level: u8,
    pub raw_level: u8,
    pub latched_level: u8,
    pub failure_score: f32,
    pub predicted_miou: f32,
    pub classes: Vec<ClassScore>,
    pub error_area: f32,
    pub anomaly_area: f32,
    pub unlabelled_area: f32,
    pub regions: Vec<AnomalyRegion>,
    pub threshold_caution: f32,
    pub threshold_failure: f32,
    pub threshold_error: f32,
    pub threshold_anomaly: f32,
    pub threshold_anomaly_area: f32,
    pub threshold_thing: f32,
    pub guarantee: String,
    pub calibration: u8,
    pub latency_decode_ms: f32,
    pub latency_segment_ms: f32,
    pub latency_synthesize_ms: f32,
    pub latency_compare_ms: f32,
    pub latency_score_ms: f32,
    pub latency_total_ms: f32,
    pub image_age_ms: f32,
    pub since_arrival_ms: f32,
    pub labels_age_ms: f32,
    pub frames_received: u64,
    pub frames_processed: u64,
    pub frames_dropped: u64,
    pub frames_invalid: u64,
    pub frames_unmatched: u64,
    pub labels_received: u64,
    pub labels_unmatched: u64,
    pub bundle: String,
    pub bundle_hash: String,
}

/// Names and colours of label ids; `msg/LabelInfo.msg` says what the fields mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LabelInfo {
    pub header: Header,
    pub class_ids: Vec<u16>,
    pub class_names: Vec<String>,
    pub colors: Vec<u32>,
    pub ignore_id: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_agrees<M: Serialize>(message: &M, definition: &Definition) {
        // An object's keys in the order in which they are serialized; nested ones stand deeper.
        let json = serde_json::to_string(message).unwrap();
        let (mut depth, mut keys) = (0, Vec::new());
        for (place, letter) in json.char_indices() {
            match letter {
                '{' | '[' => depth += 1,
                '}' | ']' => depth -= 1,
                ':' if depth == 1 => keys.push(json[..place].rsplit('"').nth(1).unwrap_or_default()),
                _ => {}
            }
        }
        let names: Vec<_> = definition.fields().map(|(_, name)| name).collect();
        assert_eq!(keys, names, "{}", definition.name);
    }

    #[test]
    fn fields_are_those_of_the_definitions() {
        assert_agrees(&Time::default(), &schema::TIME);
        assert_agrees(&Header::default(), &schema::HEADER);
        assert_agrees(&Text::default(), &schema::STRING);
        assert_agrees(&Image::default(), &schema::IMAGE);
        assert_agrees(&CompressedImage::default(), &schema::COMPRESSED_IMAGE);
        assert_agrees(&ClassScore::default(), &schema::CLASS_SCORE);
        assert_agrees(&AnomalyRegion::default(), &schema::ANOMALY_REGION);
        assert_agrees(&MonitorReport::default(), &schema::MONITOR_REPORT);
        assert_agrees(&LabelInfo::default(), &schema::LABEL_INFO);
    }
}
