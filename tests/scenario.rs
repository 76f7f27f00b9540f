//! Scenarios as their users meet them: a replay that is judged, results that are judged anew, and drafts.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Output};

use byteorder::LittleEndian;
use mcap::WriteOptions;
use mcap::records::MessageHeader;
use serde::Serialize;
use serde_json::Value;
use synthcp_monitor::bag::cdr::encode;
use synthcp_monitor::bag::message::{CompressedImage, Header, Image, MonitorReport, Time};
use tempfile::TempDir;

const BEGIN: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

fn synthcp(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synthcp")).current_dir(folder).args(args).output().unwrap()
}

/// Exit code, and all that was said.
fn told(output: &Output) -> (Option<i32>, String) {
    let said = [&output.stdout[..], &output.stderr].map(|part| String::from_utf8_lossy(part).into_owned());
    (output.status.code(), said.concat())
}

fn header(ms: u64) -> Header {
    let time = BEGIN + ms * MILLISECOND;
    let stamp = Time { sec: (time / 1_000_000_000) as i32, nanosec: (time % 1_000_000_000) as u32 };
    Header { stamp, frame_id: "front".to_owned() }
}

/// Topic, type, milliseconds, bytes.
type Recorded = (&'static str, &'static str, u64, Vec<u8>);

fn record(path: &Path, messages: &[Recorded]) {
    let mut writer = WriteOptions::new().create(BufWriter::new(File::create(path).unwrap())).unwrap();
    let mut channels = BTreeMap::new();
    for (topic, kind, ms, data) in messages {
        let channel_id = *channels.entry(*topic).or_insert_with(|| {
            let schema = writer.add_schema(kind, "ros2msg", b"").unwrap();
            writer.add_channel(schema, topic, "cdr", &BTreeMap::new()).unwrap()
        });
        let time = BEGIN + ms * MILLISECOND;
        let header = MessageHeader { channel_id, sequence: 0, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
}

fn image(ms: u64) -> Recorded {
    let data: Vec<u8> = (0..64 * 48 * 3u32).map(|at| (at / 7 + ms as u32) as u8).collect();
    let image = Image {
        header: header(ms),
        height: 48,
        width: 64,
        encoding: "rgb8".to_owned(),
        is_bigendian: 0,
        step: 192,
        data,
    };
    ("/camera/image", "sensor_msgs/msg/Image", ms, encode(&image).unwrap())
}

/// A report as a robot records it; the level is 0 for NOMINAL, 2 for FAILURE.
fn report(ms: u64, level: u8, failure_score: f32) -> Recorded {
    let report = MonitorReport {
        header: header(ms),
        level,
        failure_score,
        predicted_miou: 1.0 - failure_score,
        error_area: 0.1,
        anomaly_area: 0.01,
        threshold_caution: 0.5,
        threshold_failure: 0.8,
        threshold_anomaly_area: 0.05,
        latency_total_ms: 40.0,
        frames_received: 1 + ms / 100,
        frames_processed: 1 + ms / 100,
        bundle: "street".to_owned(),
        ..MonitorReport::default()
    };
    ("/front/monitor/report", "synthcp_monitor/msg/MonitorReport", ms, encode(&report).unwrap())
}

/// Level, name, message, hardware, values.
type Status = (u8, String, String, String, Vec<(String, String)>);

#[derive(Serialize)]
struct DiagnosticArray {
    header: Header,
    status: Vec<Status>,
}

fn diagnostics(ms: u64, level: u8) -> Recorded {
    let text = str::to_owned;
    let values = vec![(text("state"), text("active")), (text("encoding"), text("rgb8"))];
    let other = (0, text("lidar"), text("fine"), text(""), Vec::new());
    let ours = (level, text("monitor: camera"), text("images arrive"), text("front"), values);
    let array = DiagnosticArray { header: header(ms), status: vec![other, ours] };
    let mut bytes = vec![0, 1, 0, 0];
    bytes.extend(cdr_encoding::to_vec::<_, LittleEndian>(&array).unwrap());
    ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", ms, bytes)
}

/// Six seconds, ten frames a second: FAILURE for 0.4 s, and again from 3.2 to 3.6 s.
fn robots_drive() -> Vec<Recorded> {
    let level = |ms: u64| if ms < 400 || (3200..3600).contains(&ms) { 2 } else { 0 };
    let mut messages = Vec::new();
    for ms in (0..6000).step_by(100) {
        messages.push(report(ms, level(ms), if level(ms) == 2 { 0.9 } else { 0.2 }));
        if ms % 1000 == 0 {
            messages.push(diagnostics(ms, u8::from(ms == 5000)));
        }
    }
    messages
}

/// A folder with a robot's own recording of reports.
fn robots_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("robot.mcap"), &robots_drive());
    folder
}

fn analyze(folder: &Path, result: &str, scenario: &str) -> (Option<i32>, String) {
    fs::write(folder.join("scenario.yaml"), scenario).unwrap();
    told(&synthcp(folder, &["replay", "--analyze", result, "--scenario", "scenario.yaml", "--out", "judged"]))
}

fn verdict(folder: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(out).join("verdict.json")).unwrap()).unwrap()
}

fn suite(folder: &Path, out: &str) -> junit_parser::TestSuite {
    let file = File::open(folder.join(out).join("verdict.xml")).unwrap();
    junit_parser::from_reader(std::io::BufReader::new(file)).unwrap().suites.remove(0)
}

const GOOD: &str = "
name: a dog on the road
ignore: {frames: [1-4]}
events: [{name: dog, at: 3, until: 4}]
criteria:
  - alarm: {event: dog, within_ms: 300, level: FAILURE}
  - false_alarms: {per_minute: 0}
  - {name: quiet, frames: {level: [NOMINAL], validity: [OK], failure_score: {max: 0.2}}, during: {to: 3}}
  - latency: {p99_ms: 40}
  - misses: {frames: 0, seconds: 0.2}
  - diagnostics: {status: 'monitor: camera', levels: [OK, WARN]}
";

#[test]
fn a_robots_own_reports_pass_a_scenario_that_they_meet() {
    let folder = robots_folder();
    let (code, said) = analyze(folder.path(), "robot.mcap", GOOD);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("passed: 7 of 7 criteria"), "{said}");
    let verdict = verdict(folder.path(), "judged");
    assert_eq!(verdict["passed"], true);
    assert_eq!(verdict["criteria"][1]["deciding_frames"][0]["frame"], 33);
    assert_eq!(verdict["criteria"][1]["figures"]["alarm_ms"], 200.0);
    let suite = suite(folder.path(), "judged");
    assert_eq!(
        (suite.name.as_str(), suite.tests, suite.failures, suite.cases.len()),
        ("a dog on the road", 7, 0, 7)
    );
    assert!(suite.cases.iter().all(|case| case.status.is_success()));
}

#[test]
fn who_does_not_read_the_verdict_gets_its_exit_code_all_the_same() {
    let folder = robots_folder();
    for (scenario, code) in [(GOOD.to_owned(), 0), (GOOD.replace("p99_ms: 40", "p99_ms: 4"), 1)] {
        fs::write(folder.path().join("scenario.yaml"), scenario).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
        command.args(["replay", "--analyze", "robot.mcap", "--scenario", "scenario.yaml", "--out", "judged"]);
        let ended = command.current_dir(folder.path()).stdout(writer).status().unwrap();
        assert_eq!(ended.code(), Some(code));
        assert!(folder.path().join("judged/report.html").exists());
    }
}

#[test]
fn the_page_shows_the_frames_at_which_the_level_rises() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut messages = robots_drive();
    let picture = |topic, ms, data: &[u8]| -> Recorded {
        let image = CompressedImage { header: header(ms), format: "jpeg".to_owned(), data: data.to_vec() };
        (topic, "sensor_msgs/msg/CompressedImage", ms, encode(&image).unwrap())
    };
    for (place, ms) in [(38, 3200), (32, 2700)] {
        // In the order in which a monitor sends them; of a frame at which nothing rises, none is shown.
        messages.insert(place, picture("/front/monitor/overlay/compressed", ms, &[0xff, 0xd8, 1]));
        messages.insert(place, picture("/front/monitor/image/compressed", ms, &[0xff, 0xd8, 2]));
        messages.insert(place, picture("/rear/monitor/image/compressed", ms, &[0xff, 0xd8, 3]));
    }
    record(&at.join("robot.mcap"), &messages);
    let output = synthcp(at, &["replay", "--analyze", "robot.mcap", "--out", "shown"]);
    assert!(output.status.success(), "{output:?}");
    let page = fs::read_to_string(at.join("shown/report.html")).unwrap();
    let sources: Vec<&str> = page.split("base64,").skip(1).map(|rest| &rest[..4]).collect();
    assert_eq!(sources, ["/9gC", "/9gB"]);
    assert!(page.contains("Frame 33, 3.20 s") && !at.join("shown/verdict.json").exists());
}

#[test]
fn a_scenario_that_is_not_met_fails_with_1_and_names_what_decided() {
    let folder = robots_folder();
    for (from, to, check, deciding) in [
        ("within_ms: 300", "within_ms: 199", 1, 1),
        ("at: 3, until: 4", "at: 3.5, until: 4", 2, 1),
        ("during: {to: 3}", "during: {to: 4}", 3, 4),
        ("max: 0.2}", "max: 0.19}", 3, 27),
        ("p99_ms: 40", "p99_ms: 39", 4, 56),
        ("levels: [OK, WARN]", "levels: [OK]", 6, 1),
        ("'monitor: camera'", "'camera'", 6, 0),
    ] {
        assert!(GOOD.contains(from));
        let (code, said) = analyze(folder.path(), "robot.mcap", &GOOD.replace(from, to));
        assert!(code == Some(1) && said.contains("the scenario is not passed"), "{to}: {said}");
        let verdict = verdict(folder.path(), "judged");
        let finding = &verdict["criteria"][check];
        assert_eq!(
            (&finding["passed"], &finding["deciding"]),
            (&false.into(), &deciding.into()),
            "{to}: {finding:#}"
        );
        let suite = suite(folder.path(), "judged");
        let case = &suite.cases[check];
        let junit_parser::TestStatus::Failure(failure) = &case.status else { panic!("{case:?}") };
        assert_eq!(failure.message, finding["seen"].as_str().unwrap());
        let decided = failure.text.matches("frame ").count();
        assert!(deciding == 0 || decided > 0, "{}", failure.text);
    }
}

#[test]
fn what_is_given_wrong_ends_with_2_and_leaves_no_verdict() {
    let folder = robots_folder();
    let at = folder.path();
    record(&at.join("images.mcap"), &[image(0)]);
    let mut two = robots_drive();
    two.push(("/rear/monitor/report", "synthcp_monitor/msg/MonitorReport", 6000, report(6000, 0, 0.2).3));
    record(&at.join("two.mcap"), &two);
    for (result, scenario, said) in [
        ("robot.mcap", "criteria: [{frames: {level: [BAD]}}]", "criteria[0].frames.level[0]"),
        ("robot.mcap", "criteria: []", "criteria is empty"),
        ("images.mcap", GOOD, "no reports on any topic; it has /camera/image"),
        ("two.mcap", GOOD, "--topic takes one of /front/monitor/report"),
        ("nowhere", GOOD, "nowhere"),
    ] {
        let (code, all) = analyze(at, result, scenario);
        assert!(code == Some(2) && all.contains(said), "{result}: {all}");
        assert!(!at.join("judged").exists());
    }
    let bare = synthcp(at, &["replay", "--analyze", "robot.mcap", "--scenario", "scenario.yaml"]);
    let (code, all) = told(&bare);
    assert!(code == Some(2) && all.contains("--out says where"), "{all}");
    assert_eq!(told(&synthcp(at, &["replay"])).0, Some(2));
    assert_eq!(told(&synthcp(at, &["replay", "two.mcap", "--analyze", "robot.mcap"])).0, Some(2));
    let args = ["replay", "--analyze", "two.mcap", "--topic", "/rear/monitor/report", "--out", "rear"];
    assert_eq!(told(&synthcp(at, &[&args[..], &["--scenario", "scenario.yaml"]].concat())).0, Some(1));
}

#[test]
fn a_damaged_result_that_passes_ends_with_3_and_one_that_fails_with_1() {
    let folder = robots_folder();
    let bytes = fs::read(folder.path().join("robot.mcap")).unwrap();
    fs::write(folder.path().join("cut.mcap"), &bytes[..bytes.len() - 40]).unwrap();
    let (code, said) = analyze(folder.path(), "cut.mcap", GOOD);
    assert!(code == Some(3) && said.contains("could not be read"), "{said}");
    assert_eq!(verdict(folder.path(), "judged")["passed"], true);
    assert_eq!(analyze(folder.path(), "cut.mcap", &GOOD.replace("p99_ms: 40", "p99_ms: 4")).0, Some(1));
}

/// Of a bundle of random weights no limit of the level is known: the level is FAILURE.
const RANDOM: &str = "
criteria:
  - frames: {validity: [OK], level: [FAILURE], failure_score: {min: 0, max: 1}}
  - misses: {frames: 0}
";

#[test]
fn a_replay_is_judged_when_it_ends_and_again_without_inference() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert!(synthcp(at, &["bundle", "random", "--out", "bundle"]).status.success());
    record(&at.join("drive.mcap"), &(0..10).map(|number| image(500 + number * 100)).collect::<Vec<_>>());
    let replay = |bag: &str, out: &str, scenario: &str| {
        fs::write(at.join("scenario.yaml"), scenario).unwrap();
        let args = ["replay", bag, "--bundle", "bundle", "--device", "cpu", "--out", out];
        told(&synthcp(at, &[&args[..], &["--scenario", "scenario.yaml"]].concat()))
    };
    let (code, said) = replay("drive.mcap", "out", RANDOM);
    assert!(code == Some(0) && said.contains("passed: 3 of 3"), "{said}");
    assert_eq!(verdict(at, "out")["criteria"][1]["figures"]["frames"], 10.0);
    let first = fs::read(at.join("out/verdict.json")).unwrap();

    fs::rename(at.join("drive.mcap"), at.join("away.mcap")).unwrap();
    let again =
        |result: &str| told(&synthcp(at, &["replay", "--analyze", result, "--scenario", "scenario.yaml"])).0;
    for result in ["out", "out/result.mcap"] {
        fs::remove_file(at.join("out/verdict.json")).unwrap();
        assert_eq!(again(result), Some(0));
        assert_eq!(fs::read(at.join("out/verdict.json")).unwrap(), first);
    }
    // Without its end, a result is not whole.
    fs::rename(at.join("out/summary.json"), at.join("out/summary")).unwrap();
    assert_eq!(again("out"), Some(1));
    assert_eq!(verdict(at, "out")["criteria"][0]["passed"], false);
    // Its recording alone says by its metadata that it came to its end.
    let (code, said) = analyze(at, "out/result.mcap", RANDOM);
    assert_eq!(code, Some(0), "{said}");
    fs::rename(at.join("out/summary"), at.join("out/summary.json")).unwrap();

    // A replay that does not begin leaves no verdict of an earlier one to be taken for its own.
    let (code, said) = replay("away.mcap", "out", &RANDOM.replace("max: 1", "max: 0"));
    assert!(
        code == Some(1) && said.contains("failure_score at most 0") | said.contains("from 0 to 0"),
        "{said}"
    );
    assert_eq!(suite(at, "out").failures, 1);
    let bytes = fs::read(at.join("away.mcap")).unwrap();
    fs::write(at.join("cut.mcap"), &bytes[..bytes.len() - 40]).unwrap();
    assert_eq!(replay("cut.mcap", "cut", RANDOM).0, Some(3));
    assert_eq!(replay("cut.mcap", "cut", &RANDOM.replace("[OK]", "[STALE]")).0, Some(1));
}

#[test]
fn what_has_no_frames_fails() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert!(synthcp(at, &["bundle", "random", "--out", "bundle"]).status.success());
    fs::write(at.join("scenario.yaml"), "criteria: [{frames: {pass_rate: 0, level: [NOMINAL]}}]").unwrap();
    record(&at.join("drive.mcap"), &[image(0), image(100)]);
    record(&at.join("other.mcap"), &robots_drive());
    record(&at.join("empty.mcap"), &[]);
    for (bag, more, code) in
        [("drive.mcap", &["--start", "5"][..], 1), ("other.mcap", &[], 2), ("empty.mcap", &[], 2)]
    {
        let args = ["replay", bag, "--bundle", "bundle", "--scenario", "scenario.yaml", "--out", "out"];
        let (ended, said) = told(&synthcp(at, &[&args[..], &["--device", "cpu"], more].concat()));
        assert_eq!(ended, Some(code), "{bag}: {said}");
    }
}

#[test]
fn a_draft_is_accepted_and_passed_by_the_result_that_it_is_made_of() {
    let folder = robots_folder();
    let at = folder.path();
    record(&at.join("drive.mcap"), &(0..10).map(|number| image(number * 100)).collect::<Vec<_>>());
    let output = synthcp(at, &["scenario", "init", "robot.mcap"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("# - {name: alarm 1, at: 3.20, until: 3.60}") && text.contains("\"monitor: camera\""),
        "{text}"
    );
    let (code, said) = analyze(at, "robot.mcap", &text);
    assert_eq!(code, Some(0), "{said}");
    // What is proposed in comments is a scenario as well.
    let whole = text.replace("events: []\n# - {name: dog", "events:\n- {name: dog").replace("# - {", "- {");
    let (code, said) = analyze(at, "robot.mcap", &whole);
    assert!(code == Some(1) && said.contains("the dog is seen"), "{said}");

    let output = synthcp(at, &["scenario", "init", "drive.mcap", "--out", "drive.yaml"]);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(at.join("drive.yaml")).unwrap();
    assert!(text.contains("/camera/image has 10 frames in 0.9 s") && text.contains("p95_ms: 100"), "{text}");
    // A guess, but a scenario.
    let (code, said) = analyze(at, "robot.mcap", &text);
    assert!(
        code == Some(1) && said.contains("passed   valid") && said.contains("FAILED   no failure"),
        "{said}"
    );
    let output = synthcp(at, &["scenario", "init", "drive.mcap", "--out", "drive.yaml"]);
    assert!(!output.status.success() && fs::read_to_string(at.join("drive.yaml")).unwrap() == text);
    assert_eq!(told(&synthcp(at, &["scenario", "init", "nowhere"])).0, Some(2));
}
