use super::*;
use crate::frame::Stamp;

fn options(dir: &Path) -> Recording {
    let dir = dir.join("events");
    Recording { dir, seconds: Duration::from_secs(2), max_bytes: 1 << 20, max_events: 2 }
}

fn tape(options: Recording) -> Tape {
    let both = |name: &str| [format!("/{name}"), format!("/{name}/compressed")];
    let topics = Topics {
        whose: Camera::default(),
        camera: both("image"),
        labels: both("labels"),
        report: "/monitor/report".to_owned(),
    };
    let facts = Box::new(|| BTreeMap::from([("bundle_hash".to_owned(), "ff".to_owned())]));
    Tape::new(options, topics, facts, Arc::default())
}

fn image(bytes: usize) -> CameraImage {
    let content = Content::Raw {
        width: bytes as u32,
        height: 1,
        encoding: "mono8".to_owned(),
        is_bigendian: false,
        step: bytes as u32,
        data: vec![7; bytes].into(),
    };
    CameraImage { stamp: Stamp::default(), frame_id: "front".to_owned(), content }
}

/// Things that come at so many milliseconds after a start.
struct Clock(Instant);

impl Clock {
    fn item(&self, ms: u64, what: What) -> Item {
        let (time, at) = ((1000 + ms) * 1_000_000, self.0 + Duration::from_millis(ms));
        Item { what, time, at, lost: 0, missed: Level::Nominal }
    }

    fn image(&self, ms: u64, bytes: usize) -> Item {
        self.item(ms, What::Image(Source::Camera, image(bytes)))
    }

    fn report(&self, ms: u64, level: Level) -> Item {
        let report = MonitorReport { level: level.number(), ..MonitorReport::default() };
        self.item(ms, What::Report(Box::new(report)))
    }
}

/// Times of the messages of a topic, in milliseconds after the start.
fn times(path: &Path, topic: &str) -> Vec<u64> {
    let file = std::fs::read(path).unwrap();
    let messages = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap);
    let of_topic = messages.filter(|message| message.channel.topic == topic);
    of_topic.map(|message| message.log_time / 1_000_000 - 1000).collect()
}

/// What a file says of itself.
fn facts(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::read(path).unwrap();
    let summary = mcap::Summary::read(&file).unwrap().unwrap();
    let note = mcap::read::metadata(&file, &summary.metadata_indexes[0]).unwrap();
    assert_eq!(note.name, "synthcp_event");
    note.metadata
}

fn written(tape: &Tape) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(&tape.options.dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(LOCK))
        .collect();
    names.sort();
    names
}

#[test]
fn a_rise_is_recorded_with_the_seconds_before_and_after_it() {
    use Level::{Caution, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let (mut tape, clock) = (tape(options(folder.path())), Clock(Instant::now()));
    for ms in (0..10_000).step_by(500) {
        tape.add(clock.image(ms, 10));
        tape.add(clock.report(ms, if ms < 5000 { Nominal } else { Caution }));
    }
    let recorded = tape.common.recorded().clone();
    assert_eq!((recorded.written, recorded.lost), (1, 0), "{:?}", recorded.last_error);
    let path = recorded.last.unwrap();
    assert!(path.ends_with("event_0000000006.000000000_CAUTION.mcap"), "{}", path.display());
    let expected: Vec<_> = (3000..=7000).step_by(500).collect();
    assert_eq!(times(&path, "/image"), expected);
    assert_eq!(times(&path, "/monitor/report"), expected[..expected.len() - 1]);
    let facts = facts(&path);
    let fact = |name: &str| facts[name].as_str();
    assert_eq!([fact("bundle_hash"), fact("level"), fact("messages_lost")], ["ff", "CAUTION", "0"]);
}

#[test]
fn a_level_that_stands_from_the_start_or_falls_is_no_rise() {
    use Level::{Caution, Failure};
    let folder = tempfile::tempdir().unwrap();
    let (mut tape, clock) = (tape(options(folder.path())), Clock(Instant::now()));
    for (ms, level) in [(0, Failure), (100, Failure), (200, Caution), (9000, Caution)] {
        tape.add(clock.report(ms, level));
    }
    assert!(tape.event.is_none() && tape.common.recorded().written == 0);
}

#[test]
fn the_oldest_recordings_go_and_nobody_elses_files() {
    use Level::{Failure, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::create_dir(&options.dir).unwrap();
    for name in ["mine.mcap", "event_1_FAILURE.mcap.part"] {
        std::fs::write(options.dir.join(name), "").unwrap();
    }
    let (mut tape, clock) = (tape(options), Clock(Instant::now()));
    tape.sweep();
    for rise in 0..4 {
        tape.add(clock.report(rise * 10_000, Nominal));
        tape.add(clock.report(rise * 10_000 + 1000, Failure));
        tape.settle(clock.0 + Duration::from_millis(rise * 10_000 + 3000));
    }
    assert_eq!(tape.common.recorded().written, 4);
    let names =
        ["event_0000000022.000000000_FAILURE.mcap", "event_0000000032.000000000_FAILURE.mcap", "mine.mcap"];
    assert_eq!(written(&tape), names);
}

#[test]
fn memory_is_bounded_and_an_event_that_fills_it_is_over() {
    use Level::{Failure, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let (mut tape, clock) = (tape(options(folder.path())), Clock(Instant::now()));
    tape.add(clock.report(0, Nominal));
    for ms in 0..20 {
        tape.add(clock.image(ms, 100_000));
        assert!(tape.bytes <= tape.options.max_bytes / 2);
    }
    tape.add(clock.report(20, Failure));
    for ms in 21..40 {
        tape.add(clock.image(ms, 100_000));
        assert!(tape.bytes <= tape.options.max_bytes);
    }
    let path = tape.common.recorded().last.clone().unwrap();
    let images = times(&path, "/image");
    assert!(images.first() >= Some(&14) && images.last() >= Some(&25), "{images:?}");
    assert!(images.len() <= 11);
}

#[test]
fn a_full_disk_loses_a_recording_and_says_so_and_the_next_is_whole() {
    use Level::{Failure, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::create_dir(&options.dir).unwrap();
    for second in [1, 2] {
        std::fs::write(options.dir.join(format!("event_000000000{second}.0_FAILURE.mcap")), "").unwrap();
    }
    let part = options.dir.join("event_0000000001.001000000_FAILURE.mcap.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let (mut tape, clock) = (tape(options), Clock(Instant::now()));
    for (ms, level) in [(0, Nominal), (1, Failure), (2900, Failure)] {
        tape.add(clock.report(ms, level));
    }
    assert_eq!(tape.common.recorded().lost, 1);
    let kept = ["event_0000000001.0_FAILURE.mcap", "event_0000000002.0_FAILURE.mcap"];
    assert_eq!(written(&tape), kept, "nothing old goes for what cannot be written");
    for (ms, level) in [(3000, Nominal), (3001, Failure), (6000, Failure)] {
        tape.add(clock.report(ms, level));
    }
    let recorded = tape.common.recorded().clone();
    assert_eq!((recorded.written, recorded.lost), (1, 1));
    let error = recorded.last_error.unwrap();
    assert!(error.contains(".mcap.part") && error.contains("No space left"), "{error}");
    assert_eq!(written(&tape), [kept[1], "event_0000000004.001000000_FAILURE.mcap"]);
}

#[test]
fn a_recorder_that_hangs_keeps_nobody_and_counts_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let clock: NodeClock = Arc::new(|| Some(Duration::from_secs(5)));
    let options = options(folder.path());
    let topics = tape(options.clone()).topics;
    // Its thread never begins.
    let (recorder, work) = Recorder::new(options, topics, Box::new(BTreeMap::new), clock);
    for _ in 0..30 {
        recorder.image(Source::Camera, &image(100_000), Instant::now());
    }
    assert_eq!(recorder.recorded().messages_lost, 20, "a megabyte waits");
    recorder.end();
    assert!(recorder.give_up().is_some(), "it has not begun, and would have something to write");
    assert_eq!(recorder.recorded().lost, 1);
    work();
    assert_eq!((recorder.common.queued.load(Ordering::Relaxed), recorder.give_up()), (0, None));
}

#[test]
fn a_rise_whose_report_finds_the_queue_full_is_recorded_and_the_file_says_what_it_lacks() {
    use Level::{Caution, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let clock: NodeClock = Arc::new(|| Some(Duration::from_secs(5)));
    let options = options(folder.path());
    let topics = tape(options.clone()).topics;
    let (recorder, work) = Recorder::new(options, topics, Box::new(BTreeMap::new), clock);
    let start = Instant::now();
    let report = |level: Level| {
        recorder.report(MonitorReport { level: level.number(), ..MonitorReport::default() }, start);
    };
    report(Nominal);
    recorder.image(Source::Camera, &image(1_000_000), start);
    // While its thread hangs, the level rises and falls.
    (0..5).for_each(|_| recorder.image(Source::Camera, &image(100_000), start));
    recorder.common.queued.fetch_add(1 << 20, Ordering::Relaxed);
    report(Caution);
    recorder.common.queued.fetch_sub(1 << 20, Ordering::Relaxed);
    report(Nominal);
    recorder.end();
    work();
    let recorded = recorder.recorded();
    assert_eq!(
        (recorded.written, recorded.lost, recorded.messages_lost),
        (1, 0, 6),
        "{:?}",
        recorded.last_error
    );
    let facts = facts(&recorded.last.unwrap());
    assert_eq!([&facts["level"], &facts["messages_lost"]], ["CAUTION", "6"]);
}

#[test]
fn on_a_clock_that_stands_no_recording_replaces_another() {
    use Level::{Failure, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let (mut tape, clock) = (tape(options(folder.path())), Clock(Instant::now()));
    for ms in [0, 10_000] {
        for (ms, level) in [(ms, Nominal), (ms + 1, Failure), (ms + 2900, Failure)] {
            tape.add(Item { time: 7_000_000_000, ..clock.report(ms, level) });
        }
    }
    let name = "event_0000000007.000000000_FAILURE";
    assert_eq!(written(&tape), [format!("{name}.mcap"), format!("{name}_2.mcap")]);
}

#[test]
fn a_camera_keeps_and_removes_files_of_its_own_name_alone() {
    use Level::{Caution, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let names = ["", "front", "front_left"];
    let mut cameras = vec![Camera::default()];
    cameras.extend(Camera::all(&["front".to_owned(), "front_left".to_owned()]));
    for (camera, start) in cameras.into_iter().zip((0..).step_by(100_000)) {
        let (mut tape, clock) = (tape(options(folder.path())), Clock(Instant::now()));
        tape.topics.whose = camera;
        for event in 0..3 {
            let at = start + event * 10_000;
            tape.add(clock.report(at, Nominal));
            tape.add(clock.report(at + 100, Caution));
            tape.settle(clock.0 + Duration::from_millis(at + 5_000));
        }
        let files = written(&tape);
        for name in names {
            let begin = if name.is_empty() { "event_".to_owned() } else { format!("{name}.event_") };
            let own = files.iter().filter(|file| file.starts_with(&begin)).count();
            assert!(own <= 2, "{files:?}");
        }
    }
    let files = written(&tape(options(folder.path())));
    assert_eq!(files.len(), 6, "{files:?}");
}

#[test]
fn a_second_node_in_the_same_folder_records_nothing_and_says_so() {
    use Level::{Failure, Nominal};
    let folder = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (tape(options(folder.path())), tape(options(folder.path())));
    let clock = Clock(Instant::now());
    let rise = |tape: &mut Tape, ms: u64| {
        tape.add(clock.report(ms, Nominal));
        tape.add(clock.report(ms + 100, Failure));
        tape.settle(clock.0 + Duration::from_millis(ms + 5000));
    };
    rise(&mut first, 0);
    rise(&mut second, 10_000);
    let lost = second.common.recorded().clone();
    assert_eq!((lost.written, lost.lost), (0, 1));
    assert!(lost.last_error.unwrap().ends_with("another node records here; give each a folder of its own"));
    let files = written(&first);
    assert_eq!((first.common.recorded().written, files.len()), (1, 1), "{files:?}");
    // The other has ended.
    drop(first);
    rise(&mut second, 20_000);
    assert_eq!(second.common.recorded().written, 1);
}
