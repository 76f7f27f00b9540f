//! What led to an alarm, and what came after it, in a file: the last seconds of images, labels and reports around each
//! rise of the level.
//!
//! ```text
//! images, labels, reports --queue--> the last seconds, in memory --the level rises--> event_TIME_LEVEL.mcap
//! ```
//!
//! All that takes time happens on a thread of its own. Where that is not as fast as what comes, or the disk is full, the
//! recording loses, and counts what; whoever offers a message never waits. Two nodes in one folder would remove each
//! other's files: the second records nothing, and says so.

use std::collections::{BTreeMap, VecDeque};
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use mcap::McapError;

use super::cameras::Camera;
use super::debounce::Level;
use super::recorded::Recorded;
use super::settings::Recording;
use super::shared::NodeClock;
use crate::bag::BagError;
use crate::bag::message::{CompressedImage, Header, Image, Message, MonitorReport};
use crate::bag::writer::{BagWriter, Offer};
use crate::frame::{CameraImage, Content};

/// Messages that may wait for the recorder's thread; what they hold is bounded besides.
const WAITING: usize = 1024;

/// Time between two looks whether an event is over, or the node ends.
const GLANCE: Duration = Duration::from_millis(100);

/// What the names of its files begin and end with.
const FILE: [&str; 2] = ["event_", ".mcap"];

/// What is not yet a whole file.
const PART: &str = ".part";

/// What is locked by whoever records.
const LOCK: &str = "lock";

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// `image`, or `image/compressed`, by what it holds.
    Camera,
    /// `labels`, or `labels/compressed`.
    Labels,
}

/// Names of the topics, as a bag has them, and of its files.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    /// Whose files they are, where there are several cameras.
    pub whose: Camera,
    /// Of the camera: raw and compressed.
    pub camera: [String; 2],
    /// Of the labels: raw and compressed.
    pub labels: [String; 2],
    /// Of the reports.
    pub report: String,
}

/// What is to be known of a recording besides its messages, asked when it is written.
pub(crate) type Facts = Box<dyn Fn() -> BTreeMap<String, String> + Send>;

#[derive(Debug)]
enum What {
    Image(Source, CameraImage),
    Report(Box<MonitorReport>),
}

impl What {
    /// Bytes that it holds, more or less.
    fn bytes(&self) -> u64 {
        const REST: u64 = 256;
        REST + match self {
            Self::Image(_, image) => match &image.content {
                Content::Raw { data, .. } | Content::Compressed { data, .. } => data.len() as u64,
            },
            Self::Report(report) => 128 * (report.classes.len() + report.regions.len() + 8) as u64,
        }
    }
}

#[derive(Debug)]
struct Item {
    what: What,
    /// Nanoseconds since 1970.
    time: u64,
    at: Instant,
    /// Messages lost before it.
    lost: u64,
    /// The highest level of the reports that were lost since the one before it.
    missed: Level,
}

#[derive(Default)]
struct Common {
    queued: AtomicU64,
    messages_lost: AtomicU64,
    /// The highest level of the reports that were lost since a message was taken, as its number.
    missed: AtomicU8,
    ends: AtomicBool,
    has_ended: AtomicBool,
    recorded: Mutex<Recorded>,
}

impl Common {
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where messages are offered.
#[derive(Clone)]
pub(crate) struct Recorder {
    common: Arc<Common>,
    sender: SyncSender<Item>,
    most: u64,
    clock: NodeClock,
}

impl Recorder {
    /// A recorder, and the work of its thread.
    pub fn new(
        options: Recording,
        topics: Topics,
        facts: Facts,
        clock: NodeClock,
    ) -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, receiver) = sync_channel(WAITING);
        let common = Arc::<Common>::default();
        let recorder = Self { common: common.clone(), sender, most: options.max_bytes, clock };
        let tape = Tape::new(options, topics, facts, common.clone());
        let work = move || {
            tape.run(&receiver);
            common.has_ended.store(true, Ordering::Relaxed);
        };
        (recorder, work)
    }

    /// Takes an image that arrived at `at`.
    pub(crate) fn image(&self, source: Source, image: &CameraImage, at: Instant) {
        self.offer(What::Image(source, image.clone()), at);
    }

    /// Takes a report that was sent.
    pub(crate) fn report(&self, report: MonitorReport, at: Instant) {
        self.offer(What::Report(Box::new(report)), at);
    }

    /// What became of it so far.
    pub(crate) fn recorded(&self) -> Recorded {
        let messages_lost = self.common.messages_lost.load(Ordering::Relaxed);
        Recorded { messages_lost, ..self.common.recorded().clone() }
    }

    /// The thread is to write what is under way, and to end.
    pub(crate) fn end(&self) {
        self.common.ends.store(true, Ordering::Relaxed);
    }

    /// That it has not ended though nobody waits any longer, if so: what is under way is lost, and counts as that.
    pub(crate) fn give_up(&self) -> Option<&'static str> {
        const WHY: &str = "the node ended before the recording of the last rise was on the disk: it is lost";
        if self.common.has_ended.load(Ordering::Relaxed) {
            return None;
        }
        let mut recorded = self.common.recorded();
        recorded.lost += 1;
        recorded.last_error = Some(WHY.to_owned());
        Some(WHY)
    }

    fn offer(&self, what: What, at: Instant) {
        let bytes = what.bytes();
        let since_1970 = (self.clock)().or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).ok());
        let time = since_1970.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(0));
        let queued = self.common.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // One message is taken whatever its size, where nothing else waits.
        let fits = queued <= self.most.max(bytes);
        let own = match &what {
            What::Report(report) => report.level,
            What::Image(..) => Level::Nominal.number(),
        };
        let missed = self.common.missed.swap(Level::Nominal.number(), Ordering::Relaxed);
        let lost = self.common.messages_lost.load(Ordering::Relaxed);
        let item = Item { what, time, at, lost, missed: Level::from_number(missed) };
        if !fits || self.sender.try_send(item).is_err() {
            self.common.queued.fetch_sub(bytes, Ordering::Relaxed);
            self.common.messages_lost.fetch_add(1, Ordering::Relaxed);
            self.common.missed.fetch_max(own.max(missed), Ordering::Relaxed);
        }
    }
}

/// A rise of the level whose recording is under way.
#[derive(Clone, Copy, Debug)]
struct Event {
    time: u64,
    level: Level,
    until: Instant,
}

/// The last seconds, and the event in them.
struct Tape {
    options: Recording,
    topics: Topics,
    facts: Facts,
    common: Arc<Common>,
    items: VecDeque<Item>,
    bytes: u64,
    /// Messages lost before those.
    lost_before: u64,
    level: Option<Level>,
    event: Option<Event>,
    /// Held while it records there.
    lock: Option<std::fs::File>,
}

impl Tape {
    fn new(options: Recording, topics: Topics, facts: Facts, common: Arc<Common>) -> Self {
        let items = VecDeque::new();
        let (bytes, lost_before) = (0, 0);
        Self {
            options,
            topics,
            facts,
            common,
            items,
            bytes,
            lost_before,
            level: None,
            event: None,
            lock: None,
        }
    }

    fn run(mut self, items: &Receiver<Item>) {
        match self.own_folder() {
            Ok(()) => self.sweep(),
            Err(error) => self.common.recorded().last_error = Some(told(&error)),
        }
        loop {
            let item = items.recv_timeout(GLANCE);
            let ends = self.common.ends.load(Ordering::Relaxed);
            match item {
                Ok(item) => {
                    self.common.queued.fetch_sub(item.what.bytes(), Ordering::Relaxed);
                    self.add(item);
                }
                Err(RecvTimeoutError::Timeout) if !ends => self.settle(Instant::now()),
                Err(_) => break,
            }
        }
        self.write();
    }

    /// Takes in a message.
    fn add(&mut self, item: Item) {
        let (at, time) = (item.at, item.time);
        let reported = match &item.what {
            What::Report(report) => Some(Level::from_number(report.level)),
            What::Image(..) => None,
        };
        // A rise whose report was lost is one all the same.
        let missed = Some(item.missed).filter(|missed| *missed > Level::Nominal);
        for level in missed.into_iter().chain(reported) {
            let before = self.level.replace(level);
            if before.is_some_and(|before| before < level) {
                self.rise(level, time, at);
            }
        }
        self.bytes += item.what.bytes();
        self.items.push_back(item);
        self.settle(at);
    }

    fn rise(&mut self, level: Level, time: u64, at: Instant) {
        let until = at + self.options.seconds;
        let event = self.event.get_or_insert(Event { time, level, until });
        // One that follows soon belongs to the same recording.
        (event.level, event.until) = (event.level.max(level), until);
    }

    /// Forgets what is too old or too much; writes the event that is over.
    fn settle(&mut self, now: Instant) {
        match self.event {
            Some(event) if now >= event.until || self.bytes >= self.options.max_bytes => self.write(),
            Some(_) => {}
            None => {
                // What comes after a rise has its half as well.
                while self.items.front().is_some_and(|item| {
                    now.saturating_duration_since(item.at) > self.options.seconds
                        || self.bytes > self.options.max_bytes / 2
                }) {
                    self.forget_one();
                }
            }
        }
    }

    fn forget_one(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.bytes -= item.what.bytes();
            self.lost_before = item.lost;
        }
    }

    /// Writes the event under way, if there is one.
    fn write(&mut self) {
        let Some(event) = self.event.take() else { return };
        let written = self.written(event);
        self.lost_before = self.items.back().map_or(self.lost_before, |last| last.lost);
        self.items.clear();
        self.bytes = 0;
        let mut recorded = self.common.recorded();
        match written {
            Ok(path) => {
                recorded.written += 1;
                recorded.last = Some(path);
            }
            Err(error) => {
                recorded.lost += 1;
                recorded.last_error = Some(told(&error));
            }
        }
    }

    /// Makes the folder, and sees to it that no other recorder removes files there.
    fn own_folder(&mut self) -> Result<(), BagError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let dir = &self.options.dir;
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{}{LOCK}", self.prefix()));
        let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let why = format!("{}: another node records here; give each a folder of its own", dir.display());
            return Err(std::io::Error::other(why).into());
        }
        // Where the file system knows no locks, there is none.
        self.lock = Some(file);
        Ok(())
    }

    fn written(&mut self, event: Event) -> Result<PathBuf, BagError> {
        self.own_folder()?;
        let dir = &self.options.dir;
        let [prefix, suffix] = [&self.prefix(), FILE[1]];
        let (secs, nanos) = (event.time / 1_000_000_000, event.time % 1_000_000_000);
        let stem = format!("{prefix}{secs:010}.{nanos:09}_{}", event.level.name());
        // On a clock that stands, a later rise has the name of the one before.
        let (mut name, mut rises) = (format!("{stem}{suffix}"), 1);
        while dir.join(&name).exists() {
            rises += 1;
            name = format!("{stem}_{rises}{suffix}");
        }
        let path = dir.join(&name);
        let part = dir.join(format!("{name}{PART}"));
        let written = self.file(&part, event).and_then(|()| {
            fs::File::open(&part)?.sync_all()?;
            // Not before: on a full disk what was kept is better than nothing.
            self.make_room(self.options.max_events.saturating_sub(1))?;
            Ok(fs::rename(&part, &path)?)
        });
        if written.is_err() {
            // On a full disk, every byte of it is missed; the error is told, whatever becomes of the rest.
            let _ = std::fs::remove_file(&part);
        }
        written.map(|()| path)
    }

    fn file(&self, part: &Path, event: Event) -> Result<(), BagError> {
        // What is lost while it is written would have come after it.
        let lost = self.common.messages_lost.load(Ordering::Relaxed).saturating_sub(self.lost_before);
        let mut bag = BagWriter::create(part)?;
        let reports = bag.topic(&self.topics.report, MonitorReport::DEFINITION, Offer::Reliable)?;
        let mut images = BTreeMap::new();
        for Item { what, time, .. } in &self.items {
            match what {
                What::Report(report) => bag.write(reports, *time, report.as_ref())?,
                What::Image(source, image) => {
                    let is_compressed = image.is_compressed();
                    let topic = match images.get(&(*source, is_compressed)) {
                        Some(topic) => *topic,
                        None => {
                            let names = match source {
                                Source::Camera => &self.topics.camera,
                                Source::Labels => &self.topics.labels,
                            };
                            let definition =
                                if is_compressed { CompressedImage::DEFINITION } else { Image::DEFINITION };
                            let name = &names[usize::from(is_compressed)];
                            let topic = bag.topic(name, definition, Offer::SensorData)?;
                            images.insert((*source, is_compressed), topic);
                            topic
                        }
                    };
                    let header = Header { stamp: image.stamp.into(), frame_id: image.frame_id.clone() };
                    match image.content.clone() {
                        Content::Raw { width, height, encoding, is_bigendian, step, data } => {
                            let (is_bigendian, data) = (u8::from(is_bigendian), data.into());
                            let image = Image { header, height, width, encoding, is_bigendian, step, data };
                            bag.write(topic, *time, &image)?;
                        }
                        Content::Compressed { format, data } => {
                            bag.write(topic, *time, &CompressedImage { header, format, data: data.into() })?;
                        }
                    }
                }
            }
        }
        let mut facts = (self.facts)();
        facts.extend([
            ("level".to_owned(), event.level.name().to_owned()),
            ("risen_at_ns".to_owned(), event.time.to_string()),
            ("messages_lost".to_owned(), lost.to_string()),
        ]);
        bag.note("synthcp_event", facts)?;
        bag.finish()
    }

    /// What the names of its own files begin with, and no others.
    fn prefix(&self) -> String {
        self.topics.whose.file(FILE[0])
    }

    /// Removes the oldest files of its own, but `most`.
    fn make_room(&self, most: usize) -> std::io::Result<()> {
        let mut files = self.files(FILE[1])?;
        files.sort();
        let surplus = files.len().saturating_sub(most);
        files.into_iter().take(surplus).try_for_each(|(_, file)| fs::remove_file(file))
    }

    /// Removes what a killed process left behind.
    fn sweep(&self) {
        for (_, file) in self.files(&format!("{}{PART}", FILE[1])).unwrap_or_default() {
            // Where it cannot be removed it will be overwritten, or the next write tells why not.
            let _ = fs::remove_file(file);
        }
    }

    /// Its own files with this ending, and when each was written.
    fn files(&self, ending: &str) -> std::io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.options.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&self.prefix()) && name.ends_with(ending) {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        Ok(files)
    }
}

/// What is wrong, with what the operating system says of it.
fn told(error: &BagError) -> String {
    match error {
        BagError::Mcap { path, reason: McapError::Io(cause) } => format!("{}: {cause}", path.display()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
