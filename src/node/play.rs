//! A recording into a live node: image topics and camera_info as they were recorded, and `/clock`.
//!
//! ```text
//! bag --Reader--> message --Timeline--> due? --> topic, /clock        (stage.rs)
//!                                                   | the monitor
//!                    Answers <--- ~/report <--------'     in lock-step the next image waits for it
//! ```
//!
//! Messages leave as the bytes that were recorded. In lock-step time between two images is what it was when they
//! were recorded, and more where the monitor takes longer: gaps stay gaps, and nothing is dropped.

mod answers;
mod peak;
mod stage;
mod timeline;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::process::ContextError;
use crate::bag::BagError;
use crate::bag::camera::camera_image;
use crate::bag::reader::{Message, Reader, Topic, Wish};
pub use peak::{LOST, Peak, Range, peak};
use stage::Stage;
use timeline::Timeline;

/// Time between two messages on `/clock`.
const TICK: Duration = Duration::from_millis(10);
/// How long the last images may take to be answered where nobody waits for each.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// What was given is no bag.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// The command line is not one that ROS understands, or ROS refused.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// ROS refused.
    #[error("ROS: {0}")]
    Ros(#[from] r2r::Error),
    /// Nobody hears the images.
    #[error("nobody subscribed to {topic} within {waited:?}")]
    NoListener {
        /// The images' topic.
        topic: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// No monitor is there, or it is not ready.
    #[error(
        "no monitor was ready within {waited:?}: one that publishes {report}, and a bundle that is loaded"
    )]
    NoMonitor {
        /// The topic of its reports.
        report: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// There is nothing to play.
    #[error("the recording has no image in the selection")]
    NoImage,
}

impl PlayError {
    /// Whether other arguments would help.
    pub fn is_of_arguments(&self) -> bool {
        matches!(self, Self::Bag(BagError::NoBag { .. } | BagError::Io(_)) | Self::Context(_))
    }
}

/// When the next image may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When it is due.
    Free,
    /// When it is due, and the one before is reported on or has waited so long for it.
    LockStep(Duration),
}

/// What is played, and how.
#[derive(Clone, Debug)]
pub struct Playing {
    /// The bags, merged by stamp.
    pub bags: Vec<PathBuf>,
    /// Topics of images.
    pub cameras: Vec<Topic>,
    /// Topics of their calibration.
    pub calibrations: Vec<String>,
    /// Time from the beginning of the recording to the first message.
    pub start: Duration,
    /// Time from then to the last message.
    pub duration: Option<Duration>,
    /// Seconds of the recording in a second.
    pub rate: f64,
    /// When the next image may leave.
    pub pace: Pace,
    /// Topic of the monitor's reports.
    pub report: String,
    /// How long somebody who listens is waited for.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// Images published.
    pub images: u64,
    /// Of these, those that a report came on.
    pub answered: u64,
    /// Messages of a camera's topic that are no image, and are left out.
    pub unreadable: u64,
    /// What of the recording could not be read.
    pub lost: u64,
    /// The longest time by which an image left later than the recording says, after the one before.
    pub late: Duration,
    /// Time from the first image to the end.
    pub elapsed: Duration,
}

impl Played {
    /// Images that no report came on.
    pub fn unanswered(&self) -> u64 {
        self.images - self.answered
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, answered, unreadable, lost, late, elapsed } = self;
        writeln!(f, "images     {images} in {:.1} s", elapsed.as_secs_f64())?;
        writeln!(f, "answered   {answered}, not {}", self.unanswered())?;
        writeln!(f, "late       {:.3} s at most", late.as_secs_f64())?;
        if lost + unreadable > 0 {
            writeln!(f, "lost       {lost} parts of the recording; {unreadable} messages are no image")?;
        }
        Ok(())
    }
}

/// Plays all of it, or until `stopped`. `progress` is told of every image how much of the recording is read, of 1.
pub fn play(
    playing: &Playing,
    stopped: &AtomicBool,
    mut progress: impl FnMut(u64, f64),
) -> Result<Played, PlayError> {
    let mut reader = open(playing)?;
    let begin = begin(&reader, playing);
    let end = playing.duration.map_or(i64::MAX, |duration| begin.saturating_add(nanos(duration)));
    let mut stage = Stage::create(&playing.cameras, &playing.calibrations, &playing.report)?;
    stage.clock(begin)?;
    stage.wait_for_monitor(playing, stopped)?;

    let mut timeline = Timeline::new(playing.rate, playing.pace != Pace::Free);
    let mut played = Played::default();
    let (mut calibrations, start) = (Vec::new(), Instant::now());
    while let Some(message) = reader.next() {
        if stopped.load(Ordering::Relaxed) || message.stamp > end {
            break;
        }
        let is_camera = playing.cameras.iter().any(|camera| *camera.name == *message.topic);
        if message.stamp < begin {
            // What a camera said of itself before the start still counts: the last of each topic.
            if !is_camera {
                calibrations.retain(|earlier: &Message| earlier.topic != message.topic);
                calibrations.push(message);
            }
            continue;
        }
        for calibration in calibrations.drain(..) {
            stage.publish(&calibration.topic, &calibration.data)?;
        }
        let due = timeline.due(message.stamp, Instant::now());
        await_turn(&mut stage, &timeline, due, message.stamp, stopped)?;
        stage.clock(message.stamp)?;
        if !is_camera {
            stage.publish(&message.topic, &message.data)?;
            continue;
        }
        let Ok(image) = camera_image(&message.kind, &message.data) else {
            played.unreadable += 1;
            continue;
        };
        stage.answers.sent(image.stamp);
        stage.publish(&message.topic, &message.data)?;
        played.late = played.late.max(timeline.sent(message.stamp, Instant::now()));
        played.images += 1;
        if let Pace::LockStep(longest) = playing.pace {
            stage.answer(Instant::now() + longest, stopped);
        }
        progress(played.images, reader.share());
    }
    if playing.pace == Pace::Free {
        stage.answer(Instant::now() + LAST_ANSWERS, stopped);
    }
    if played.images == 0 && !stopped.load(Ordering::Relaxed) {
        return Err(PlayError::NoImage);
    }
    played.answered = stage.answers.answered();
    played.elapsed = start.elapsed();
    played.lost = reader.losses().count();
    Ok(played)
}

fn open(playing: &Playing) -> Result<Reader, PlayError> {
    let cameras = playing.cameras.iter().map(|camera| camera.name.clone());
    let topics = cameras.chain(playing.calibrations.iter().cloned()).collect();
    Ok(Reader::open(&playing.bags, &Wish { topics, kinds: Vec::new() })?)
}

fn begin(reader: &Reader, playing: &Playing) -> i64 {
    reader.start().unwrap_or_default().saturating_add(nanos(playing.start))
}

/// Spins until the message is due, while `/clock` goes on.
fn await_turn(
    stage: &mut Stage,
    timeline: &Timeline,
    due: Instant,
    stamp: i64,
    stopped: &AtomicBool,
) -> Result<(), PlayError> {
    while Instant::now() < due && !stopped.load(Ordering::Relaxed) {
        stage.spin(due.min(Instant::now() + TICK));
        stage.clock(timeline.stamp_at(Instant::now(), stamp))?;
    }
    Ok(())
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
