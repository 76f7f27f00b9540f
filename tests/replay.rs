//! `synthcp replay` as its users meet it, on small recordings and a bundle of random weights.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mcap::WriteOptions;
use mcap::records::MessageHeader;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row};
use serde_json::Value;
use synthcp_monitor::bag::cdr::{decode, encode};
use synthcp_monitor::bag::message::{Header, Image, LabelInfo, MonitorReport, Time};
use synthcp_monitor::bag::reader::{Reader, Wish, topics};
use synthcp_monitor::labels::LabelSet;
use synthcp_monitor::model::bundle::sha256;
use tempfile::TempDir;

const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_700_000_000 * SECOND;

fn synthcp(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    command.current_dir(folder);
    command
}

/// A folder with a bundle of random weights.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert!(synthcp(folder.path()).args(["bundle", "random", "--out", "bundle"]).status().unwrap().success());
    folder
}

/// The colours of the frame at so many milliseconds.
fn pixels(ms: u64) -> Vec<u8> {
    (0..64 * 48 * 3u32).map(|at| (at / 7 + ms as u32) as u8).collect()
}

/// Labels of that frame, as CamVid writes them.
fn label_pixels(ms: u64) -> Vec<u8> {
    (0..64 * 48u32).map(|at| ((at / 64 / 8 + at % 64 / 16 + ms as u32) % 12) as u8).collect()
}

fn image_message(stamp: Time, encoding: &str, data: Vec<u8>) -> Image {
    Image {
        header: Header { stamp, frame_id: "front".to_owned() },
        height: 48,
        width: 64,
        encoding: encoding.to_owned(),
        is_bigendian: 0,
        step: data.len() as u32 / 48,
        data,
    }
}

/// A frame at so many milliseconds; one that cannot be decoded where `readable` is false.
fn frame(ms: u64, readable: bool) -> (u64, Vec<u8>) {
    let time = BEGIN + ms * 1_000_000;
    let stamp = Time { sec: (time / SECOND) as i32, nanosec: (time % SECOND) as u32 };
    let encoding = if readable { "rgb8" } else { "rgb9" };
    let image = image_message(stamp, encoding, pixels(ms));
    // It was recorded a little later than it was taken.
    (time + 3_000_000, encode(&image).unwrap())
}

/// A recording with these messages on `/camera/image`.
fn record(path: &Path, messages: &[(u64, Vec<u8>)]) {
    record_topics(path, &[("/camera/image", "sensor_msgs/msg/Image", messages)]);
}

/// A topic: its name, its type, and its messages with their times.
type Topic<'a> = (&'a str, &'a str, &'a [(u64, Vec<u8>)]);

/// A recording with these topics.
fn record_topics(path: &Path, topics: &[Topic]) {
    let mut writer = WriteOptions::new().create(BufWriter::new(File::create(path).unwrap())).unwrap();
    let mut all = Vec::new();
    for (topic, kind, messages) in topics {
        let schema = writer.add_schema(kind, "ros2msg", b"").unwrap();
        let channel_id = writer.add_channel(schema, topic, "cdr", &BTreeMap::new()).unwrap();
        all.extend(messages.iter().map(|(time, data)| (*time, channel_id, data)));
    }
    all.sort_by_key(|(time, ..)| *time);
    for (time, channel_id, data) in all {
        let header = MessageHeader { channel_id, sequence: 0, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
}

fn replay(folder: &Path, bag: &str, out: &str, more: &[&str]) -> Output {
    let mut command = synthcp(folder);
    command.args(["replay", bag, "--bundle", "bundle", "--device", "cpu", "--out", out]).args(more);
    command.output().unwrap()
}

fn lines(folder: &Path, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(out).join("report.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of report.parquet, as lines of report.jsonl would say them.
fn rows(folder: &Path, out: &str) -> Vec<Value> {
    let file = File::open(folder.join(out).join("report.parquet")).unwrap();
    let rows = SerializedFileReader::new(file).unwrap().into_iter();
    rows.map(|row| object(&row.unwrap())).collect()
}

fn object(row: &Row) -> Value {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        // In as few digits as tell it, as in a line.
        Field::Float(value) => serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap(),
        Field::Str(value) => value.as_str().into(),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => panic!("{other} is of no kind that a report has"),
    }
}

fn summary(folder: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(out).join("summary.json")).unwrap()).unwrap()
}

/// The bytes of a file of JSON with those of latencies taken out.
fn without_latencies(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut parts = text.split("\"latency_");
    let mut kept = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, value) = part.split_once(':').unwrap();
        let end = if value.trim_start().starts_with('[') { ']' } else { ',' };
        kept += name;
        kept += &value[value.find(end).unwrap()..];
    }
    kept
}

/// All that a replay leaves but latencies and host, byte by byte.
fn all_but_latencies(folder: &Path, out: &str) -> [String; 3] {
    assert_eq!(rows(folder, out), lines(folder, out));
    let out = folder.join(out);
    let summary = without_latencies(&out.join("summary.json"));
    let (before, rest) = summary.split_once("\"jitter_ms\"").unwrap();
    let (host, after) = rest.split_once("\"header\"").unwrap();
    assert!(host.contains("\"cores\""), "{host}");
    let reports = reports(folder, out.to_str().unwrap()).into_iter().map(|(time, report)| {
        let report = MonitorReport {
            latency_decode_ms: 0.0,
            latency_segment_ms: 0.0,
            latency_synthesize_ms: 0.0,
            latency_compare_ms: 0.0,
            latency_score_ms: 0.0,
            latency_total_ms: 0.0,
            ..report
        };
        format!("{time} {:?}\n", encode(&report).unwrap())
    });
    [without_latencies(&out.join("report.jsonl")), before.to_owned() + after, reports.collect()]
}

fn reports(folder: &Path, out: &str) -> Vec<(i64, MonitorReport)> {
    let mut reader = Reader::open(&[folder.join(out).join("result.mcap")], &Wish::default()).unwrap();
    let reports = reader.by_ref().map(|message| (message.stamp, decode(&message.data).unwrap())).collect();
    assert_eq!(reader.losses().count(), 0);
    reports
}

#[test]
fn two_replays_agree_in_all_but_the_latencies() {
    let folder = folder();
    let at = folder.path();
    let messages: Vec<_> = (0..12).map(|number| frame(number * 100, number != 5)).collect();
    record(&at.join("drive.mcap"), &messages);
    for out in ["a", "b"] {
        let output = replay(at, "drive.mcap", out, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("12 assessed of 12 met"), "{said}");
    }
    let [a, b] = ["a", "b"].map(|out| all_but_latencies(at, out));
    assert_eq!(a, b);
    assert_eq!(a[0].lines().count(), 12);
    for (number, (time, report)) in reports(at, "a").into_iter().enumerate() {
        assert_eq!(time as u64, messages[number].0);
        assert_eq!(report.validity, if number == 5 { 4 } else { 0 });
        assert_eq!((report.frames_received, report.frames_dropped), (number as u64 + 1, 0));
        assert!(number == 5 || report.latency_total_ms > 0.0);
        // From taken to recorded; no time passes while a frame is assessed.
        assert!((report.image_age_ms - 3.0).abs() < 1e-3 && report.since_arrival_ms == 0.0);
    }
    let summary = summary(at, "a");
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["misses"]["longest"], 1);
    assert_eq!(summary["misses"]["longest_since"], messages[5].0);
}

/// Every text in it.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(values) => values.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_foxglove_layout_shows_what_a_replay_writes() {
    let folder = folder();
    record(&folder.path().join("drive.mcap"), &[frame(0, true), frame(100, true)]);
    assert!(replay(folder.path(), "drive.mcap", "out", &[]).status.success());
    let written = topics(&[folder.path().join("out/result.mcap")]).unwrap();
    let layout: Value = serde_json::from_str(include_str!("../config/foxglove.json")).unwrap();
    let shown = texts(&layout["configById"]);
    for topic in &written {
        assert!(
            shown.iter().any(|text| text.split('.').next() == Some(&topic.name)),
            "{} is not shown",
            topic.name
        );
    }
    // Raw images are the node's alone.
    for text in shown.iter().filter(|text| text.ends_with("/compressed")) {
        assert!(written.iter().any(|topic| topic.name == *text), "{text} is not written");
    }
}

#[test]
fn the_summary_names_what_it_was_made_of_by_hashes() {
    let folder = folder();
    let at = folder.path();
    fs::create_dir(at.join("drive")).unwrap();
    record(&at.join("drive/drive_0.mcap"), &[frame(0, true)]);
    fs::write(at.join("drive/metadata.yaml"), "rosbag2_bagfile_information: {}\n").unwrap();
    assert!(replay(at, "drive", "out", &["--set", "trigger_frames=7"]).status.success());
    let header = &summary(at, "out")["header"];
    let hash = |path: &str| sha256(&fs::read(at.join(path)).unwrap());
    let files = &header["recordings"][0]["files"];
    for (place, name) in ["drive_0.mcap", "metadata.yaml"].into_iter().enumerate() {
        assert_eq!(files[place]["name"], name);
        assert_eq!(files[place]["sha256"], hash(&format!("drive/{name}")));
    }
    assert_eq!(header["bundle"]["sha256"], hash("bundle/bundle.yaml"));
    let weights = header["bundle"]["weights"].as_object().unwrap();
    assert_eq!(weights.len(), 3);
    for (name, stated) in weights {
        assert_eq!(*stated, hash(&format!("bundle/{name}")));
    }
    assert_eq!(header["configuration"]["parameter.trigger_frames"], 7);
    assert_eq!(header["configuration_sha256"], sha256(header["configuration"].to_string().as_bytes()));
}

#[test]
fn parameters_are_those_of_the_robots_file_and_the_command_line_goes_before_it() {
    let folder = folder();
    let at = folder.path();
    let times = [0, 100, 200, 2200, 2300];
    record(&at.join("drive.mcap"), &times.map(|ms| frame(ms, true)));
    let mut mask = image::GrayImage::from_pixel(64, 48, image::Luma([255]));
    (0..64).for_each(|x| mask.put_pixel(x, 40, image::Luma([0])));
    mask.save(at.join("mask.png")).unwrap();
    fs::write(
        at.join("robot.yaml"),
        "/front/monitor:\n  ros__parameters:\n    {source_timeout: 1.5, release_frames: 1, valid_mask: mask.png,\n\
         \x20    threshold: {caution: 1.0, failure: 1.0, anomaly_area: 1.0}, degraded: {deadline: 0.000001}}\n",
    )
    .unwrap();
    let robot = ["--parameters", "robot.yaml", "--node", "/front/monitor"];
    let output = replay(at, "drive.mcap", "out", &robot);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<_> = lines(at, "out")
        .iter()
        .map(|line| format!("{} {}", line["validity"].as_str().unwrap(), line["level"].as_str().unwrap()))
        .collect();
    // One good frame ends an alarm, and the deadline is for what takes time.
    let [good, pending] = [["OK NOMINAL"; 3], ["PENDING NOMINAL"; 3]];
    let expected = [&good[..], &pending, &["STALE FAILURE"], &good[..2]].concat();
    assert_eq!(said, expected);
    let report = &lines(at, "out")[0]["report"];
    assert_eq!(report["threshold_caution"], 1.0);
    assert_eq!(
        summary(at, "out")["header"]["configuration"]["valid_mask.sha256"],
        sha256(&fs::read(at.join("mask.png")).unwrap())
    );

    assert!(
        replay(at, "drive.mcap", "out", &[&robot[..], &["--set", "source_timeout=3"]].concat())
            .status
            .success()
    );
    assert!(lines(at, "out").iter().all(|line| line["validity"] == "OK" || line["validity"] == "PENDING"));
    for (more, what) in [
        (&["--parameters", "robot.yaml"][..], "/front/monitor"),
        (&["--set", "release_frame=1"], "release_frames"),
        (&["--set", "release_frames=0"], "release_frames is 0"),
    ] {
        let output = replay(at, "drive.mcap", "other", more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(what), "{said}");
    }
}

#[test]
fn a_gap_in_the_recording_is_stale_when_it_is_on_the_robot() {
    let folder = folder();
    let at = folder.path();
    let times = [0, 100, 200, 2200, 2300];
    record(&at.join("drive.mcap"), &times.map(|ms| frame(ms, true)));
    assert!(replay(at, "drive.mcap", "out", &[]).status.success());
    let ok = |ms: i64| (ms + 3, "OK".to_owned());
    let expected = [&[ok(0), ok(100), ok(200)][..], &silence(), &[ok(2200), ok(2300)]].concat();
    assert_eq!(validities(at, "out"), expected);
    assert!(lines(at, "out")[4..7].iter().all(|line| line["level"] == "FAILURE"));
}

/// Milliseconds and validities of all reports.
fn validities(folder: &Path, out: &str) -> Vec<(i64, String)> {
    let ms = |line: &Value| (line["time"].as_i64().unwrap() - BEGIN as i64) / 1_000_000;
    let lines = lines(folder, out);
    lines.iter().map(|line| (ms(line), line["validity"].as_str().unwrap().to_owned())).collect()
}

/// What is said in two seconds without a frame after one at 200 ms. source_timeout and report_period are 0.5 s; looked
/// at every 50 ms, and said again every 0.5 s.
fn silence() -> [(i64, String); 4] {
    let silence = [(703, "PENDING"), (753, "STALE"), (1253, "STALE"), (1753, "STALE")];
    silence.map(|(ms, validity)| (ms, validity.to_owned()))
}

#[test]
fn a_camera_that_dies_before_the_recording_ends_is_stale_to_its_end() {
    let folder = folder();
    let at = folder.path();
    let frames = |times: &[u64]| times.iter().map(|&ms| frame(ms, true)).collect::<Vec<_>>();
    // Others go on, from the first frame to two seconds after it.
    let others = [3, 2003].map(|ms| (BEGIN + ms * 1_000_000, vec![0, 1, 0, 0, 0, 0, 0, 0]));
    for (bag, times) in [("dead.mcap", &[0, 100, 200][..]), ("back.mcap", &[0, 100, 200, 2200])] {
        let frames = frames(times);
        let image = ("/camera/image", "sensor_msgs/msg/Image", &frames[..]);
        record_topics(&at.join(bag), &[image, ("/others", "std_msgs/msg/String", &others[..])]);
    }
    let ok = [3, 103, 203].map(|ms| (ms, "OK".to_owned()));
    let scenario = "criteria: [{misses: {seconds: 1.7}}, {name: short, misses: {seconds: 1.9}}]";
    fs::write(at.join("scenario.yaml"), scenario).unwrap();
    for (bag, more, said, end) in [
        ("dead.mcap", &["--scenario", "scenario.yaml"][..], 4, 2003),
        ("dead.mcap", &["--duration", "0.9"], 2, 903),
        ("back.mcap", &["--duration", "0.9"], 2, 903),
    ] {
        let judged = replay(at, bag, "out", more).status.code();
        assert_eq!(judged, Some(i32::from(more[0] == "--scenario")), "{bag} {more:?}");
        assert_eq!(validities(at, "out"), [&ok[..], &silence()[..said]].concat(), "{bag} {more:?}");
        let selected = [3, end].map(|ms| BEGIN + ms * 1_000_000);
        assert_eq!(summary(at, "out")["selected"], serde_json::json!(selected));
    }
    assert!(replay(at, "dead.mcap", "out", &["--scenario", "scenario.yaml"]).status.code() == Some(1));
    let verdict: Value = serde_json::from_slice(&fs::read(at.join("out/verdict.json")).unwrap()).unwrap();
    let seconds = |criterion: usize| verdict["criteria"][criterion]["figures"]["seconds"].as_f64().unwrap();
    assert_eq!((seconds(1), seconds(2)), (1.8, 1.8));
    assert_eq!(
        (&verdict["criteria"][1]["passed"], &verdict["criteria"][2]["passed"]),
        (&false.into(), &true.into())
    );
}

#[test]
fn frames_that_every_leaves_out_are_not_waited_for() {
    let folder = folder();
    let at = folder.path();
    record(&at.join("drive.mcap"), &(0..25).map(|number| frame(number * 100, true)).collect::<Vec<_>>());
    assert!(replay(at, "drive.mcap", "out", &["--every", "12"]).status.success());
    assert_eq!(validities(at, "out"), [3, 1203, 2403].map(|ms| (ms, "OK".to_owned())));
}

#[test]
fn a_part_of_the_recording_is_replayed_and_of_it_every_other_frame() {
    let folder = folder();
    let at = folder.path();
    record(&at.join("drive.mcap"), &(0..20).map(|number| frame(number * 100, true)).collect::<Vec<_>>());
    assert!(
        replay(at, "drive.mcap", "out", &["--start", "0.5", "--duration", "0.95", "--every", "2"])
            .status
            .success()
    );
    let times: Vec<i64> = lines(at, "out").iter().map(|line| line["time"].as_i64().unwrap()).collect();
    let expected = [500, 700, 900, 1100, 1300].map(|ms| BEGIN as i64 + (ms + 3) * 1_000_000);
    assert_eq!(times, expected);
    assert_eq!(summary(at, "out")["met"], 10);
}

#[test]
fn a_damaged_recording_ends_with_3_and_wrong_arguments_with_2() {
    let folder = folder();
    let at = folder.path();
    record(&at.join("drive.mcap"), &(0..6).map(|number| frame(number * 100, true)).collect::<Vec<_>>());
    let bytes = fs::read(at.join("drive.mcap")).unwrap();
    fs::write(at.join("cut.mcap"), &bytes[..bytes.len() - 40]).unwrap();
    let output = replay(at, "cut.mcap", "out", &[]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = summary(at, "out");
    assert_eq!((summary["complete"].clone(), summary["frames"].clone()), (true.into(), 6.into()));
    assert!(summary["losses"][0].as_str().unwrap().contains("cut.mcap"), "{summary}");

    // A replay of nothing is no success.
    let output = replay(at, "drive.mcap", "none", &["--start", "60"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("no frame"), "{said}");

    fs::write(at.join("notes.txt"), "no bag").unwrap();
    for (bag, more, what) in [
        ("drive.mcap", &["--topic", "/other"][..], "/camera/image (sensor_msgs/msg/Image)"),
        ("notes.txt", &[], "is no bag"),
        ("nowhere", &[], "nowhere"),
        ("drive.mcap", &["--every", "0"], "--every"),
        ("drive.mcap", &["--start", "soon"], "--start"),
    ] {
        let output = replay(at, bag, "other", more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(what), "{said}");
        assert!(!at.join("other").exists());
    }
}

#[test]
fn ctrl_c_leaves_what_was_done_whole_and_marked() {
    let folder = folder();
    let at = folder.path();
    record(&at.join("drive.mcap"), &(0..3000).map(|number| frame(number * 100, true)).collect::<Vec<_>>());
    let mut command = synthcp(at);
    command.args(["replay", "drive.mcap", "--bundle", "bundle", "--device", "cpu", "--out", "out"]);
    let mut replay = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Lines leave their buffer now and then.
    let begun = || fs::metadata(at.join("out/report.jsonl")).is_ok_and(|lines| lines.len() > 0);
    while !begun() {
        assert!(replay.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &replay.id().to_string()]).status().unwrap().success());
    assert_eq!(replay.wait().unwrap().code(), Some(130));
    let summary = summary(at, "out");
    assert_eq!(summary["complete"], false);
    let frames = summary["frames"].as_u64().unwrap() as usize;
    assert!((1..3000).contains(&frames));
    assert_eq!(lines(at, "out").len(), frames);
    assert_eq!(reports(at, "out").len(), frames);
}

/// A recording of 12 frames every 100 ms, labels of three of them as a topic (20 ms late), as a folder of PNGs
/// and, with the frames, as a data set.
fn labelled(at: &Path) {
    let frames: Vec<_> = (0..12).map(|number| frame(number * 100, true)).collect();
    let values = |ms: u64| label_pixels(ms);
    let mut labels = Vec::new();
    for folder in ["labels", "data/val", "data/valannot"] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    for number in [2u64, 5, 9] {
        let ms = number * 100;
        let time = BEGIN + (ms + 20) * 1_000_000;
        let stamp = Time { sec: (time / SECOND) as i32, nanosec: (time % SECOND) as u32 };
        // Recorded half a second after it was made.
        labels.push((time + 500_000_000, encode(&image_message(stamp, "mono8", values(ms))).unwrap()));
        let image = image::RgbImage::from_raw(64, 48, pixels(ms)).unwrap();
        image.save(at.join(format!("data/val/{number:04}.png"))).unwrap();
        let truth = image::GrayImage::from_raw(64, 48, values(ms)).unwrap();
        truth.save(at.join(format!("data/valannot/{number:04}.png"))).unwrap();
        truth.save(at.join(format!("labels/{number:04}.png"))).unwrap();
    }
    // A label that is of no frame.
    let late = BEGIN + 9 * SECOND;
    let stamp = Time { sec: (late / SECOND) as i32, nanosec: 0 };
    labels.push((late, encode(&image_message(stamp, "mono8", values(3))).unwrap()));
    let image = "sensor_msgs/msg/Image";
    record_topics(
        &at.join("drive.mcap"),
        &[("/camera/image", image, &frames[..]), ("/truth/labels", image, &labels[..])],
    );
}

#[test]
fn figures_of_labelled_frames_are_those_of_evaluate() {
    let folder = folder();
    let at = folder.path();
    labelled(at);
    let mut evaluate = synthcp(at);
    evaluate.args(["evaluate", "--bundle", "bundle", "--device", "cpu", "--data", "data", "--slice", "val"]);
    let output = evaluate.args(["--detectors", "synthcp,msp", "--out", "figures"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find(|line| line.starts_with("M: mIoU")).unwrap();
    let figures: Value = serde_json::from_slice(&fs::read(at.join("figures/all.json")).unwrap()).unwrap();
    assert!(figures["detail"]["errors"][0]["pooled"]["positive"]["auroc"].is_number());

    let name = ["--labels", "/truth/labels", "--label-set", "camvid"];
    let file = ["--labels", "labels", "--label-set", "camvid", "--topic", "/camera/image"];
    for (out, labels, without_frame) in [("a", &name[..], 1), ("b", &file, 0)] {
        let output = replay(at, "drive.mcap", out, labels);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(line), "{said}");
        let summary = summary(at, out);
        assert_eq!(summary["figures"]["errors"], figures["detail"]["errors"]);
        let matched = &summary["labels"];
        assert_eq!((&matched["frames"], &matched["without_label"]), (&3.into(), &9.into()));
        assert_eq!((&matched["not_assessed"], &matched["without_frame"]), (&0.into(), &without_frame.into()));
        // Frame by frame, too.
        let text = fs::read_to_string(at.join(out).join("figures.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for (line, image) in lines.iter().zip(figures["detail"]["images"].as_array().unwrap()) {
            assert_eq!(line["true_miou"], image["true_miou"]);
            assert_eq!(line["predicted_miou"], image["predicted_miou"]);
        }
    }
    // Every third frame from the first on: 9 is one of them.
    assert!(replay(at, "drive.mcap", "c", &[&name[..], &["--every", "3"]].concat()).status.success());
    let matched = &summary(at, "c")["labels"];
    assert_eq!((&matched["frames"], &matched["not_assessed"]), (&1.into(), &2.into()));

    for (labels, what) in [("/other", "no image on /other"), ("bundle", "no labelled image in it")] {
        let output = replay(at, "drive.mcap", "d", &["--topic", "/camera/image", "--labels", labels]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(what), "{said}");
    }
}

#[test]
fn label_info_from_before_the_start_says_what_values_mean() {
    let folder = folder();
    let at = folder.path();
    labelled(at);
    let set = synthcp_monitor::LabelSet::by_name("camvid").unwrap();
    let names: Vec<String> = set.classes.iter().map(|class| class.name.clone()).collect();
    let (kept, topics) = (at.join("drive.mcap"), ["/camera/image", "/truth/labels"]);
    let mut reader = Reader::open(std::slice::from_ref(&kept), &Wish::default()).unwrap();
    let mut messages = [Vec::new(), Vec::new()];
    for message in reader.by_ref() {
        let place = topics.iter().position(|topic| *topic == &*message.topic).unwrap();
        let mut data = message.data.to_vec();
        if place == 1 {
            // Values that mean nothing by themselves; 11 of CamVid is no class.
            let pixels = data.len() - 64 * 48;
            data[pixels..].iter_mut().for_each(|value| *value = 200 - *value);
        }
        messages[place].push((message.stamp as u64, data));
    }
    let info = LabelInfo {
        class_ids: (0..names.len() as u16).map(|id| 200 - id).collect(),
        class_names: names,
        ..LabelInfo::default()
    };
    let info = [(BEGIN + 1_000_000, encode(&info).unwrap())];
    let image = "sensor_msgs/msg/Image";
    record_topics(
        &at.join("named.mcap"),
        &[
            (topics[0], image, &messages[0][..]),
            (topics[1], image, &messages[1][..]),
            ("/truth/label_info", "synthcp_monitor/msg/LabelInfo", &info[..]),
        ],
    );
    for (bag, out) in [("drive.mcap", "a"), ("named.mcap", "b")] {
        let labels = ["--labels", "/truth/labels", "--label-set", "camvid", "--start", "0.4"];
        let output = replay(at, bag, out, &labels);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(summary(at, "a")["labels"]["frames"], 2);
    assert_eq!(summary(at, "a")["figures"], summary(at, "b")["figures"]);
}

/// When frames were assessed, in ms since the beginning, with validity and age.
fn assessed(folder: &Path, out: &str) -> Vec<(i64, String, i64)> {
    let ms = |line: &Value| (line["time"].as_i64().unwrap() - BEGIN as i64) / 1_000_000 - 3;
    let age = |line: &Value| line["report"]["since_arrival_ms"].as_f64().unwrap().round() as i64;
    let lines = lines(folder, out);
    lines.iter().map(|line| (ms(line), line["validity"].as_str().unwrap().to_owned(), age(line))).collect()
}

#[test]
fn a_slower_computer_drops_what_a_newer_frame_replaces_the_same_every_time() {
    let folder = folder();
    let at = folder.path();
    record(&at.join("drive.mcap"), &(0..12).map(|number| frame(number * 100, true)).collect::<Vec<_>>());
    let ok = |ms, age| (ms, "OK".to_owned(), age);
    for out in ["a", "b"] {
        let output = replay(at, "drive.mcap", out, &["--latency", "250ms"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // 0 is done at 250, when 100 was replaced by 200; that one at 500, when 500 comes.
        let expected = [ok(0, 250), ok(200, 300), ok(500, 250), ok(700, 300), ok(1000, 250), ok(1100, 400)];
        assert_eq!(assessed(at, out), expected);
    }
    let summary = summary(at, "a");
    assert_eq!(
        (&summary["met"], &summary["frames"], &summary["dropped"]),
        (&12.into(), &6.into(), &6.into())
    );
    assert_eq!(summary["misses"]["longest"], 2);
    assert_eq!(summary["latency_ms"], serde_json::json!([250.0, 250.0, 250.0, 250.0]));
    assert_eq!(lines(at, "a")[5]["report"]["frames_dropped"], 6);
    assert_eq!(all_but_latencies(at, "a"), all_but_latencies(at, "b"));

    // Three frames over the deadline, and M alone keeps up.
    let degraded = ["--latency", "250ms,50ms", "--set", "degraded.deadline=0.2"];
    assert!(replay(at, "drive.mcap", "c", &degraded).status.success());
    let fast = |ms, age| (ms, "DEGRADED".to_owned(), age);
    let expected = [
        ok(0, 250),
        ok(200, 300),
        ok(500, 250),
        fast(700, 100),
        fast(800, 50),
        fast(900, 50),
        fast(1000, 50),
        fast(1100, 50),
    ];
    assert_eq!(assessed(at, "c"), expected);

    // A computer that needs longer than source_timeout is said to be late, and STALE is when nothing comes.
    assert!(replay(at, "drive.mcap", "d", &["--latency", "2s"]).status.success());
    let said = assessed(at, "d");
    assert_eq!(said.iter().filter(|(_, validity, _)| validity == "OK").count(), 2);
    assert!(said.iter().any(|(_, validity, _)| validity == "STALE"), "{said:?}");

    assert!(replay(at, "drive.mcap", "e", &["--realtime"]).status.success());
    let summary = self::summary(at, "e");
    let counts = ["frames", "dropped"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 12);
    let output = replay(at, "drive.mcap", "f", &["--latency", "fast"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Starts a replay and stops it by `signal` once it has assessed some frames more than `before` bytes of its
/// journal tell.
fn interrupted(folder: &Path, signal: &str, before: u64, more: &[&str]) {
    let mut command = synthcp(folder);
    command
        .args(["replay", "drive.mcap", "--bundle", "bundle", "--device", "cpu", "--out", "out"])
        .args(more);
    let mut replay = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let grown =
        || fs::metadata(folder.join("out/replay.journal")).is_ok_and(|file| file.len() > before + 4_000);
    while !grown() {
        assert!(replay.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args([signal, &replay.id().to_string()]).status().unwrap().success());
    replay.wait().unwrap();
}

#[test]
fn an_interrupted_replay_goes_on_and_ends_as_one_that_was_not() {
    let folder = folder();
    let at = folder.path();
    labelled(at);
    // More of it, with a gap and a frame that cannot be read.
    let mut reader = Reader::open(&[at.join("drive.mcap")], &Wish::default()).unwrap();
    let labels: Vec<_> = reader
        .by_ref()
        .filter(|message| &*message.topic == "/truth/labels")
        .map(|message| (message.stamp as u64, message.data.to_vec()))
        .collect();
    let ms = |number: u64| number * 100 + if number > 20 { 1500 } else { 0 };
    let frames: Vec<_> = (0..300).map(|number| frame(ms(number), number != 7)).collect();
    let image = "sensor_msgs/msg/Image";
    record_topics(
        &at.join("drive.mcap"),
        &[
            ("/camera/image", image, &frames[..]),
            ("/truth/labels", image, &labels[..]),
            // It goes on when the camera has ended.
            ("/others", "std_msgs/msg/String", &[(BEGIN + 34 * SECOND, vec![0; 8])][..]),
        ],
    );
    let options = ["--labels", "/truth/labels", "--label-set", "camvid", "--latency", "130ms"];
    assert!(replay(at, "drive.mcap", "whole", &options).status.success());

    let resumed = [&options[..], &["--resume"]].concat();
    let journal = || fs::metadata(at.join("out/replay.journal")).unwrap().len();
    interrupted(at, "-INT", 0, &resumed);
    assert_eq!(summary(at, "out")["complete"], false);
    assert_eq!(rows(at, "out"), lines(at, "out"));
    let first = lines(at, "out")[0]["report"]["latency_segment_ms"].as_f64().unwrap();
    interrupted(at, "-KILL", journal(), &resumed);
    let output = replay(at, "drive.mcap", "out", &[&options[..4], &["--resume"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("pace, which is"), "{said}");
    let output = replay(at, "drive.mcap", "out", &resumed);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(all_but_latencies(at, "out"), all_but_latencies(at, "whole"));
    let figures = |out: &str| fs::read_to_string(at.join(out).join("figures.jsonl")).unwrap();
    assert_eq!(figures("out"), figures("whole"));
    // What was assessed was not assessed again.
    let again = lines(at, "out")[0]["report"]["latency_segment_ms"].as_f64().unwrap();
    assert!((first - again).abs() < 1e-3 * first, "{first} {again}");

    assert!(!at.join("out/replay.journal").exists());
    let before = fs::read(at.join("out/report.jsonl")).unwrap();
    let output = replay(at, "drive.mcap", "out", &resumed);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("out is complete"), "{said}");
    assert_eq!(fs::read(at.join("out/report.jsonl")).unwrap(), before);
}

#[test]
fn compare_finds_what_two_results_differ_in_and_what_of_it_is_a_loss() {
    let folder = folder();
    let at = folder.path();
    labelled(at);
    let labels = ["--labels", "/truth/labels", "--label-set", "camvid"];
    for out in ["a", "b"] {
        assert!(replay(at, "drive.mcap", out, &labels).status.success());
    }
    let compare = |more: &[&str]| {
        let output = synthcp(at).arg("compare").args(more).output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        (output.status.code().unwrap(), said)
    };
    let (code, [said, _]) = compare(&["a", "b"]);
    assert_eq!(code, 0);
    assert!(
        said.contains("12 in both, 0 only in A, 0 only in B") && said.contains("labels     of 3"),
        "{said}"
    );
    assert!(said.contains("0 frames changed") && said.contains("| +0.00 | +0.00 to +0.00 |"), "{said}");
    assert_eq!(compare(&["--exact", "a", "b"]).0, 0);

    // Another M: what it gets wrong is another matter, that it is another bundle is not.
    assert!(
        synthcp(at).args(["bundle", "random", "--seed", "2", "--out", "other"]).status().unwrap().success()
    );
    let mut other = synthcp(at);
    other.args(["replay", "drive.mcap", "--bundle", "other", "--device", "cpu", "--out", "c"]).args(labels);
    assert!(other.status().unwrap().success());
    let (code, [_, said]) = compare(&["--exact", "a", "c"]);
    assert!(code == 1 && said.contains("report.jsonl line 1: report."), "{said}");

    // A segmenter that gets every pixel right, then none: made up, so that the loss is certain.
    for (out, share) in [("right", 1.0), ("wrong", 0.0)] {
        fs::create_dir(at.join(out)).unwrap();
        for name in ["report.jsonl", "summary.json"] {
            fs::copy(at.join("a").join(name), at.join(out).join(name)).unwrap();
        }
        let text = fs::read_to_string(at.join("a/figures.jsonl")).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["true_miou"] = share.into();
            line["predicted_miou"] = share.into();
            line["wrong"] = ((1.0 - share) * line["pixels"].as_f64().unwrap())
                .round()
                .to_string()
                .parse::<u64>()
                .unwrap()
                .into();
            format!("{line}\n")
        });
        fs::write(at.join(out).join("figures.jsonl"), lines.collect::<String>()).unwrap();
    }
    let report = fs::read_to_string(at.join("wrong/report.jsonl")).unwrap();
    fs::write(
        at.join("wrong/report.jsonl"),
        report.replacen("\"level\":\"FAILURE\"", "\"level\":\"CAUTION\"", 1),
    )
    .unwrap();
    let (code, [said, loss]) = compare(&["right", "wrong"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("| M's pixel accuracy | 100.00 | 0.00 | -100.00 | -100.00 to -100.00 | loss |"),
        "{said}"
    );
    assert!(loss.contains("significantly worse: M's pixel accuracy, true mIoU of a frame, mean"), "{loss}");
    assert!(said.contains("1 frames changed") && said.contains(": FAILURE ("), "{said}");
    // A page: neither holds a picture, as their levels rise nowhere.
    let (code, [_, said]) = compare(&["right", "wrong", "--page", "page.html"]);
    let page = fs::read_to_string(at.join("page.html")).unwrap();
    assert!(code == 1 && page.contains("1 of 12."), "{said}");
    assert_eq!(page.matches("Neither result holds a picture of this frame.").count(), 2);
    assert!(page.contains("CAUTION</strong>") && !page.contains("<img"), "{page}");
    let (code, [_, said]) = compare(&["right", "wrong", "--page", "right/report.jsonl"]);
    assert!(code != 0 && said.contains("right/report.jsonl"), "{said}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = synthcp(at).args(["compare", "right", "wrong"]).stdout(writer).status().unwrap();
    assert_eq!(unread.code(), Some(1), "a loss is one whether or not anybody reads on");
    // The other way round it is a gain.
    assert_eq!(compare(&["wrong", "right"]).0, 0);

    // The same detectors in another order are the same; others, no labels and half a result are not compared.
    for (out, more) in [
        ("turned", &["--detectors", "msp,synthcp"][..]),
        ("other detectors", &["--detectors", "synthcp"]),
        ("other size", &["--at", "working"]),
    ] {
        assert!(replay(at, "drive.mcap", out, &[&labels[..], more].concat()).status.success());
    }
    assert!(replay(at, "drive.mcap", "unlabelled", &["--topic", "/camera/image"]).status.success());
    fs::create_dir(at.join("half")).unwrap();
    fs::copy(at.join("a/report.jsonl"), at.join("half/report.jsonl")).unwrap();
    let half = fs::read_to_string(at.join("a/summary.json")).unwrap();
    fs::write(at.join("half/summary.json"), half.replace("\"complete\": true", "\"complete\": false"))
        .unwrap();
    let (code, [turned, _]) = compare(&["a", "turned"]);
    assert!(code == 0 && turned == compare(&["a", "b"]).1[0], "{turned}");
    for (other, what) in [
        ("other detectors", "different detectors: msp, synthcp and synthcp\n"),
        ("other size", "different sizes"),
        ("unlabelled", "a has 3 frames with labels, unlabelled has 0"),
        ("half", "a is complete, half is stopped"),
    ] {
        let (code, [_, said]) = compare(&["a", other]);
        assert!(code == 2 && said.contains(what), "{said}");
    }

    record(&at.join("else.mcap"), &[frame(0, true)]);
    assert!(replay(at, "else.mcap", "d", &[]).status.success());
    let (code, [_, said]) = compare(&["a", "d"]);
    assert!(code == 2 && said.contains("different recordings"), "{said}");
}

/// A label image for the frame at so many milliseconds, all of one number, recorded `late` milliseconds after it was
/// taken.
fn labels_of(ms: u64, number: u8, late: u64) -> (u64, Vec<u8>) {
    let taken = BEGIN + ms * 1_000_000;
    let stamp = Time { sec: (taken / SECOND) as i32, nanosec: (taken % SECOND) as u32 };
    let message = image_message(stamp, "mono8", vec![number; 64 * 48]);
    (taken + late * 1_000_000, encode(&message).unwrap())
}

#[test]
fn labels_by_topic_are_judged_with_their_images_and_all_are_counted() {
    let folder = folder();
    let at = folder.path();
    let frames: Vec<_> = (0..12).map(|number| frame(number * 100, true)).collect();
    // Those of the fifth are lost, the last ones are of an image that was lost.
    let mut labels: Vec<_> =
        (0..12).filter(|number| *number != 4).map(|n| labels_of(n * 100, 40 + n as u8, 60 + 5 * n)).collect();
    labels.push(labels_of(1150, 40, 1200));
    let names = LabelSet::by_name("cityscapes").unwrap().classes.into_iter().take(12).map(|class| class.name);
    let info = LabelInfo {
        class_ids: (40..52).collect(),
        class_names: names.collect(),
        ignore_id: 255,
        ..LabelInfo::default()
    };
    let info = [(BEGIN + 3_000_000, encode(&info).unwrap())];
    let image = "sensor_msgs/msg/Image";
    record_topics(
        &at.join("drive.mcap"),
        &[
            ("/camera/image", image, &frames[..]),
            ("/seg/labels", image, &labels[..]),
            ("/seg/label_info", "synthcp_monitor/msg/LabelInfo", &info[..]),
        ],
    );
    // Of two topics of images, the one that labels are on is no camera's.
    fs::write(at.join("robot.yaml"), "segmentation: topic\nlabels: {timeout: 0.3}\n").unwrap();
    for (out, how) in
        [("a", ["--set", "segmentation=topic"]), ("b", ["--parameters", "robot.yaml"])].iter().copied()
    {
        let output = replay(at, "drive.mcap", out, &[&how[..], &["--set", "labels.timeout=0.3"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.contains("11 pairs of an image and labels from /seg/labels; 1 images and 1 of 12"),
            "{said}"
        );
    }
    assert_eq!(all_but_latencies(at, "a"), all_but_latencies(at, "b"));

    let judged: Vec<_> = reports(at, "a").into_iter().filter(|(_, report)| report.validity == 0).collect();
    let numbers: Vec<u64> = (0..12).filter(|number| *number != 4).collect();
    assert_eq!(judged.len(), numbers.len());
    for ((time, report), number) in judged.iter().zip(numbers) {
        assert_eq!(*time as u64, frames[number as usize].0);
        let seen: Vec<_> = report.classes.iter().filter(|class| class.pixel_share > 0.).collect();
        assert!(
            seen.len() == 1 && u64::from(seen[0].class_id) == number && seen[0].pixel_share == 1.,
            "{number}"
        );
        let late = 60. + 5. * number as f32;
        assert!((report.labels_age_ms - late).abs() < 1e-3, "{} ms", report.labels_age_ms);
        assert!((report.since_arrival_ms - (late - 3.)).abs() < 1e-3, "{} ms", report.since_arrival_ms);
        assert_eq!((report.unlabelled_area, report.guarantee.as_str()), (0., ""));
    }
    let last = &judged[10].1;
    assert_eq!((last.frames_received, last.frames_unmatched), (12, 1));
    let met = summary(at, "a");
    let segmentation = &met["segmentation"];
    assert_eq!(
        (met["met"].as_u64(), met["frames"].as_u64(), met["dropped"].as_u64()),
        (Some(12), Some(11), Some(0))
    );
    assert_eq!(
        (segmentation["frames_unmatched"].as_u64(), met["misses"]["frames"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(
        (segmentation["labels_received"].as_u64(), segmentation["labels_unmatched"].as_u64()),
        (Some(12), Some(1))
    );
}

#[test]
fn labels_that_stop_are_said_to_and_wrong_ones_are_invalid() {
    let folder = folder();
    let at = folder.path();
    let frames: Vec<_> = (0..20).map(|number| frame(number * 100, true)).collect();
    // The third is of ids that nobody knows; after the fourth, none come.
    let labels = [(0, 3), (100, 3), (200, 77), (300, 3)].map(|(ms, number)| labels_of(ms, number, 20));
    let image = "sensor_msgs/msg/Image";
    record_topics(
        &at.join("drive.mcap"),
        &[("/camera/image", image, &frames[..]), ("/front/segmentation", image, &labels[..])],
    );
    let output = replay(at, "drive.mcap", "out", &["--segmentation", "/front/segmentation"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = summary(at, "out");
    assert_eq!(
        (summary["validity"]["OK"].as_u64(), summary["validity"]["INVALID_INPUT"].as_u64()),
        (Some(3), Some(1))
    );
    assert!(summary["validity"]["UNLABELLED"].as_u64() >= Some(1), "{summary}");
    assert_eq!(summary["segmentation"]["frames_unmatched"].as_u64(), Some(16));
    let lines = lines(at, "out");
    let reason = |validity: &str| {
        let line = lines.iter().find(|line| line["validity"] == validity).unwrap();
        line["report"]["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason("INVALID_INPUT").contains("id 77"), "{}", reason("INVALID_INPUT"));
    assert!(reason("UNLABELLED").contains("images arrive without labels"), "{}", reason("UNLABELLED"));

    for (more, what) in [
        (&["--set", "segmentation=topic"][..], "--segmentation takes one of /camera/image"),
        (&["--segmentation", "/other"], "\"/other\""),
        (&["--segmentation", "/front/segmentation", "--every", "2"], "every is 2"),
        (&["--segmentation", "/front/segmentation", "--set", "labels.names=nowhere.yaml"], "labels.names"),
    ] {
        let output = replay(at, "drive.mcap", "other", more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(what), "{said}");
    }
}
