//! Messages as bytes, against those that rosbags makes (`tests/ros/test_bag.py`). Every field there has a
//! value of its own.

use std::io;
use std::path::Path;

use synthcp_monitor::bag::cdr::{decode, encode};
use synthcp_monitor::bag::message::{LabelInfo, MonitorReport, Time};

fn bytes(message: &str) -> io::Result<Vec<u8>> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cdr").join(format!("{message}.cdr")))
}

#[test]
fn a_report_is_read_and_written_as_others_do() {
    let theirs = bytes("MonitorReport").unwrap();
    let report: MonitorReport = decode(&theirs).unwrap();
    assert_eq!(report.header.stamp, Time { sec: 1, nanosec: 2 });
    assert_eq!(report.header.frame_id, "camera 1");
    assert_eq!((report.validity, report.reason.as_str(), report.level), (0, "text 4", 1));
    assert!(report.failure_score.is_nan());
    assert_eq!((report.raw_level, report.latched_level, report.predicted_miou), (6, 7, 9.5));
    assert_eq!(report.classes.len(), 2);
    let class = &report.classes[1];
    assert_eq!((class.class_id, class.class_name.as_str(), class.predicted_iou), (17, "text 18", 19.5));
    assert_eq!(report.regions.len(), 2);
    let region = &report.regions[0];
    assert_eq!((region.x, region.height, region.centroid_x, region.class_id), (27, 30, 31.5, 41));
    assert_eq!((region.on_road, region.id, region.age_frames, region.age), (37.5, 38, 39, 40.5));
    // What follows text of any length is aligned anew.
    assert_eq!(report.frames_invalid, report.frames_received + 3);
    assert_eq!(report.labels_unmatched, report.frames_received + 6);
    assert_eq!(report.bundle_hash, format!("text {}", report.frames_received + 8));
    assert_eq!(encode(&report).unwrap(), theirs);
}

#[test]
fn label_info_is_read_and_written_as_others_do() {
    let theirs = bytes("LabelInfo").unwrap();
    let info: LabelInfo = decode(&theirs).unwrap();
    assert_eq!((info.class_ids.as_slice(), info.colors.as_slice()), (&[3, 3][..], &[5, 5][..]));
    assert_eq!(info.class_names, ["text 4", "text 4"]);
    assert_eq!(info.ignore_id, 6);
    assert_eq!(encode(&info).unwrap(), theirs);
}
