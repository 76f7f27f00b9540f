//! From the node's own types to ROS messages.

use image::{GrayImage, RgbImage};
use r2r::builtin_interfaces::msg::Time;
use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use r2r::synthcp_monitor::msg;

use crate::bag::cdr;
use crate::bag::message::{Message, MonitorReport};
use crate::frame::Stamp;
use crate::labels::{IGNORE, LabelSet};
use crate::monitor::assessment::ScoreMap;
use crate::quote::without_nul;
use crate::watch::diagnostics::Status;

/// A message header.
pub fn header(stamp: Stamp, camera: &str) -> Header {
    Header { stamp: Time { sec: stamp.sec, nanosec: stamp.nanosec }, frame_id: without_nul(camera) }
}

/// The report for ROS; what it says of a verdict is decided in `watch/message.rs`. Both types have the fields of
/// `msg/MonitorReport.msg` in its order, so that the bytes of one are those of the other. Fails where they do not.
pub(crate) fn report(report: &MonitorReport) -> r2r::Result<msg::MonitorReport> {
    let bytes = cdr::encode(report);
    let same = bytes.and_then(|bytes| cdr::decode_part(&bytes, MonitorReport::DEFINITION.name));
    same.map_err(|error| r2r::Error::SerdeError { err: error.to_string() })
}

/// Names and colours of the label ids.
pub(crate) fn label_info(labels: &LabelSet, stamp: Stamp) -> msg::LabelInfo {
    let color = |[r, g, b]: [u8; 3]| u32::from_be_bytes([0, r, g, b]);
    msg::LabelInfo {
        header: header(stamp, ""),
        class_ids: (0..).take(labels.classes.len()).collect(),
        class_names: labels.classes.iter().map(|class| without_nul(&class.name)).collect(),
        colors: labels.classes.iter().map(|class| color(class.color)).collect(),
        ignore_id: u16::from(IGNORE),
    }
}

/// What vision_msgs calls the id of pixels without a label.
#[cfg(vision_msgs)]
const UNLABELED: &str = "UNLABELED";

/// Names of the label ids as vision_msgs has them. The last id of a byte is for pixels without a label there:
/// those of `~/trusted_labels` that are not to be trusted.
#[cfg(vision_msgs)]
pub(crate) fn vision_label_info(labels: &LabelSet, stamp: Stamp) -> r2r::vision_msgs::msg::LabelInfo {
    use r2r::vision_msgs::msg::{LabelInfo, VisionClass};
    let named = (0..).zip(labels.classes.iter().map(|class| class.name.as_str()));
    let named = named.chain([(u16::from(IGNORE), UNLABELED)]);
    let class_map =
        named.map(|(class_id, name)| VisionClass { class_id, class_name: without_nul(name) }).collect();
    // Labels are published whatever their confidence.
    LabelInfo { header: header(stamp, ""), class_map, threshold: 0. }
}

/// Another segmenter's ids with their names, and the id of what has no label if it names one so.
#[cfg(vision_msgs)]
pub(crate) fn vision_classes(info: r2r::vision_msgs::msg::LabelInfo) -> (Vec<(i32, String)>, Option<i32>) {
    let named = info.class_map.into_iter().map(|class| (i32::from(class.class_id), class.class_name));
    let (none, classes): (Vec<_>, Vec<_>) =
        named.partition(|(_, name)| name.trim().eq_ignore_ascii_case(UNLABELED));
    (classes, none.first().map(|(id, _)| *id))
}

/// A mono8 image.
pub(crate) fn mono8(header: &Header, picture: GrayImage) -> Image {
    let (width, height) = picture.dimensions();
    image(header, width, height, "mono8", width, picture.into_raw())
}

/// An rgb8 image.
pub fn rgb8(header: &Header, picture: RgbImage) -> Image {
    let (width, height) = picture.dimensions();
    image(header, width, height, "rgb8", width * 3, picture.into_raw())
}

/// A 32FC1 image.
pub(crate) fn float32(header: &Header, map: &ScoreMap) -> Image {
    let data = map.data.iter().flat_map(|value| value.to_le_bytes()).collect();
    image(header, map.width, map.height, "32FC1", map.width * 4, data)
}

fn image(header: &Header, width: u32, height: u32, encoding: &str, step: u32, data: Vec<u8>) -> Image {
    let header = header.clone();
    Image { header, height, width, encoding: encoding.to_owned(), is_bigendian: 0, step, data }
}

/// The message on `/diagnostics`.
pub(crate) fn diagnostics(statuses: &[Status], node: &str, hardware: &str, stamp: Stamp) -> DiagnosticArray {
    let entry = |(key, value): &(&str, String)| KeyValue { key: without_nul(key), value: without_nul(value) };
    let status = |status: &Status| DiagnosticStatus {
        level: status.severity as u8,
        name: format!("{node}: {}", status.task),
        message: without_nul(&status.message),
        hardware_id: without_nul(hardware),
        values: status.values.iter().map(entry).collect(),
    };
    DiagnosticArray { header: header(stamp, ""), status: statuses.iter().map(status).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::bag::message::{AnomalyRegion, ClassScore};
    use crate::watch::debounce::Level;
    use crate::watch::diagnostics::Severity;
    use crate::watch::likeness::CalibrationState;
    use crate::watch::verdict::Validity;

    #[test]
    fn numbers_agree_with_the_message_definitions() {
        use msg::MonitorReport as M;
        let validities = [
            (Validity::Ok, M::VALIDITY_OK as u8),
            (Validity::Degraded, M::VALIDITY_DEGRADED as u8),
            (Validity::Failed, M::VALIDITY_FAILED as u8),
            (Validity::Stale, M::VALIDITY_STALE as u8),
            (Validity::InvalidInput, M::VALIDITY_INVALID_INPUT as u8),
            (Validity::Starting, M::VALIDITY_STARTING as u8),
            (Validity::Unlabelled, M::VALIDITY_UNLABELLED as u8),
            (Validity::Outdated, M::VALIDITY_OUTDATED as u8),
            (Validity::Pending, M::VALIDITY_PENDING as u8),
        ];
        for (ours, theirs) in validities {
            assert_eq!(ours as u8, theirs, "{ours:?}");
        }
        let levels = [
            (Level::Nominal, M::LEVEL_NOMINAL as u8),
            (Level::Caution, M::LEVEL_CAUTION as u8),
            (Level::Failure, M::LEVEL_FAILURE as u8),
        ];
        for (ours, theirs) in levels {
            assert_eq!(ours.number(), theirs, "{ours:?}");
        }
        let calibrations = [
            (CalibrationState::Unknown, M::CALIBRATION_UNKNOWN as u8),
            (CalibrationState::Valid, M::CALIBRATION_VALID as u8),
            (CalibrationState::Invalid, M::CALIBRATION_INVALID as u8),
        ];
        for (ours, theirs) in calibrations {
            assert_eq!(ours as u8, theirs, "{ours:?}");
        }
        use DiagnosticStatus as D;
        let severities = [
            (Severity::Ok, D::OK as u8),
            (Severity::Warn, D::WARN as u8),
            (Severity::Error, D::ERROR as u8),
            (Severity::Stale, D::STALE as u8),
        ];
        for (ours, theirs) in severities {
            assert_eq!(ours as u8, theirs, "{ours:?}");
        }
    }

    /// Gives every number and every text of a message another value.
    fn fill(value: &mut Value, number: &mut u8) {
        *number += 1;
        match value {
            Value::Number(_) => *value = (*number).into(),
            Value::String(text) => *text = format!("text {number}"),
            Value::Array(items) => items.iter_mut().for_each(|item| fill(item, number)),
            Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, number)),
            Value::Bool(_) | Value::Null => {}
        }
    }

    #[test]
    fn a_report_for_ros_has_our_fields_each_with_its_value() {
        let present = ClassScore { present: true, ..ClassScore::default() };
        let mut filled = serde_json::to_value(MonitorReport {
            classes: vec![ClassScore::default(), present],
            regions: vec![AnomalyRegion::default(); 2],
            ..MonitorReport::default()
        })
        .unwrap();
        fill(&mut filled, &mut 0);
        let ours: MonitorReport = serde_json::from_value(filled).unwrap();
        let theirs = report(&ours).unwrap();
        assert_eq!(serde_json::to_value(theirs).unwrap(), serde_json::to_value(&ours).unwrap());
        let none = MonitorReport { failure_score: f32::NAN, ..ours };
        assert!(report(&none).unwrap().failure_score.is_nan());
    }

    #[test]
    fn images_are_packed_row_by_row() {
        let header = header(Stamp { sec: 1, nanosec: 2 }, "front");
        let map = ScoreMap { width: 2, height: 1, data: vec![0.5, 1.0] };
        let message = float32(&header, &map);
        assert_eq!((message.step, message.encoding.as_str()), (8, "32FC1"));
        assert_eq!(message.data, [0.5f32.to_le_bytes(), 1.0f32.to_le_bytes()].concat());
        assert_eq!(message.header, header);
        assert_eq!(rgb8(&header, RgbImage::new(3, 2)).step, 9);
        assert_eq!(mono8(&header, GrayImage::new(3, 2)).data.len(), 6);
    }

    #[test]
    fn a_nul_never_reaches_a_message() {
        assert_eq!(without_nul("a\0b"), "ab");
        assert_eq!(header(Stamp::default(), "\0front").frame_id, "front");
    }
}
