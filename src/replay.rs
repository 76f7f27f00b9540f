//! Replays a recording: every frame through the stream that the node runs, on a clock made of the bag's stamps.
//!
//! ```text
//! bag --Reader--> messages --clock--> ticks before each: silence, STALE      (watch/vigil.rs)
//!                    |'-------------> Session::assess, debounced             (watch/stream.rs)
//!                    '--camera_info                 '--results--> report.jsonl, result.mcap, summary.json
//! ```
//!
//! No wall clock is in any result but the latencies, so that two runs of one bag agree in all others.

mod clock;
mod header;
mod latencies;
mod message;
mod misses;
mod results;
mod summary;
mod topics;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bag::BagError;
use crate::bag::camera::{CAMERA_INFO, calibrated_size, camera_image};
use crate::bag::reader::{Message, Reader, Wish};
use crate::frame;
use crate::model::bundle::{BundleError, Thresholds};
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::Monitor;
use crate::watch::decoding::Decoded;
use crate::watch::mailbox::Arrival;
use crate::watch::parameters::{ParameterError, Parameters, Value};
use crate::watch::shared::{Shared, SharedParameters};
use crate::watch::stream::{Session, merged};
use crate::watch::vigil::{Saying, Vigil};
use clock::BagClock;
pub use header::{BundleFacts, FileFacts, Header, Host, Recording};
pub use misses::Misses;
pub use results::RESULTS;
use results::Results;
pub use summary::Summary;
pub use topics::{NoTopic, camera_topic};

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// What was given is no bag, or the result cannot be written.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// Which topic is meant is not to be told.
    #[error(transparent)]
    Topic(#[from] NoTopic),
    /// A file of the results cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The bundle's thresholds and those set by hand do not go together.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The bundle cannot be loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The valid mask cannot be read.
    #[error("parameter valid_mask: {0}; it must be the path of a PNG, JPEG or WebP")]
    ValidMask(frame::FileError),
    /// The networks fail.
    #[error("the first pass through the networks failed: {0}")]
    WarmUp(String),
}

impl ReplayError {
    /// Whether other arguments would help.
    pub fn is_of_arguments(&self) -> bool {
        matches!(
            self,
            Self::Topic(_) | Self::Parameter(_) | Self::Bag(BagError::NoBag { .. } | BagError::Io(_))
        )
    }
}

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The bags, merged by stamp.
    pub bags: Vec<PathBuf>,
    /// The camera's topic; without, the only one there is.
    pub topic: Option<String>,
    /// Time from the beginning of the recording to the first frame.
    pub start: Duration,
    /// Time from then to the last frame.
    pub duration: Option<Duration>,
    /// Every so many frames one is assessed.
    pub every: u64,
    /// What the node would have been told.
    pub parameters: Parameters,
}

/// The monitor that the parameters mean, with the bundle in folder `bundle`.
pub fn load(bundle: &Path, parameters: &Parameters) -> Result<Monitor, ReplayError> {
    let mut monitor = Monitor::load(bundle, &parameters.settings().monitor)?;
    if let Some(mask) = header::mask(parameters) {
        let mask = frame::open(&mask).map_err(ReplayError::ValidMask)?;
        monitor.set_valid_mask(Some(mask.into_luma8()));
    }
    Ok(monitor)
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Frames assessed.
    pub frames: u64,
    /// How much of the recording is read, of 1.
    pub share: f64,
}

/// Replays the selection into the folder `out`. `progress` is told of every frame and may end it early; what
/// was done till then is whole, and marked.
pub fn replay(
    monitor: Monitor,
    selection: &Selection,
    out: &Path,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, ReplayError> {
    let topic = camera_topic(&selection.bags, selection.topic.as_deref())?;
    let info = topics::camera_info(&topic.name);
    let wish = Wish { topics: vec![topic.name.clone(), info.clone()], kinds: Vec::new() };
    let mut reader = Reader::open(&selection.bags, &wish)?;
    let begin = reader.start().unwrap_or_default().saturating_add(nanos(selection.start));
    let end = selection.duration.map_or(i64::MAX, |duration| begin.saturating_add(nanos(duration)));

    let header = Header::of(selection, &monitor, &topic.name)?;
    let mut results = Results::create(out, &monitor, &header)?;
    let mut run = Run::new(monitor, &selection.parameters, begin)?;
    let mut summary = Summary::new(&topic.name, header);
    while let Some(message) = reader.next() {
        if *message.topic == *info {
            if &*message.kind == CAMERA_INFO
                && let Ok(size) = calibrated_size(&message.data)
            {
                run.shared.state().calibrated_size = Some(size);
            }
            continue;
        }
        if message.stamp < begin {
            continue;
        }
        if message.stamp > end {
            break;
        }
        run.until(message.stamp, &mut results, &mut summary)?;
        let is_due = summary.met.is_multiple_of(selection.every.max(1));
        summary.met += 1;
        if is_due {
            run.frame(&message, &mut results, &mut summary)?;
        } else {
            // The camera was not silent.
            run.shared.state().watchdog.feed(run.clock.now());
        }
        if progress(Progress { frames: summary.frames, share: reader.share() }).is_break() {
            summary.complete = false;
            break;
        }
    }
    summary.close(reader.losses());
    results.finish(&summary)?;
    Ok(summary)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The stream at work, and the timer beside it.
struct Run {
    clock: Arc<BagClock>,
    shared: Arc<Shared>,
    session: Session<Monitor>,
    vigil: Vigil,
}

impl Run {
    fn new(monitor: Monitor, parameters: &Parameters, begin: i64) -> Result<Self, ReplayError> {
        let clock = Arc::new(BagClock::new(begin));
        let (of_day, steady) = (clock.clone(), clock.clone());
        let parameters = SharedParameters::new(parameters.clone());
        // No time passes while a frame is assessed: none is late.
        parameters.set("degraded.deadline", &Value::Double(0.0))?;
        parameters.calibrate(monitor.thresholds())?;
        let of_day = Arc::new(move || of_day.time_of_day());
        let shared = Shared::new(parameters, of_day, Thresholds::unknown(), clock.now());
        let shared = Arc::new(shared.on(Arc::new(move || steady.now())));
        shared.state().thresholds = merged(monitor.thresholds(), shared.parameters.live().thresholds);
        shared.state().loaded(clock.now());
        let mut session = Session::new(monitor, shared.clone());
        session.warm_up().map_err(ReplayError::WarmUp)?;
        Ok(Self { clock, shared, session, vigil: Vigil::new() })
    }

    /// Lets time pass to the stamp of the next frame. What the node's timer would have said meanwhile is said.
    fn until(&mut self, stamp: i64, results: &mut Results, summary: &mut Summary) -> Result<(), ReplayError> {
        for tick in self.clock.ticks_until(stamp) {
            self.clock.set(tick);
            let live = self.shared.parameters.live();
            let sayings = self.vigil.due(&mut self.shared.state(), live, self.clock.now());
            for saying in sayings {
                if let Saying::Report(validity, reason) = saying {
                    let verdict = self.shared.alarm(validity, reason);
                    summary.count(&verdict);
                    results.alarm(self.clock.stamp(), &verdict)?;
                }
            }
        }
        self.clock.advance(stamp);
        Ok(())
    }

    fn frame(
        &mut self,
        message: &Message,
        results: &mut Results,
        summary: &mut Summary,
    ) -> Result<(), ReplayError> {
        let image = match camera_image(&message.kind, &message.data) {
            Ok(image) => image,
            // The middleware would not have handed it on.
            Err(error) => {
                summary.unread(message.stamp, &error.to_string());
                return Ok(());
            }
        };
        self.shared.accept(Arrival { image, at: self.clock.now() });
        if self.shared.mailbox.counts().outstanding() == 0 {
            return Ok(());
        }
        let Some(arrival) = self.shared.mailbox.take() else { return Ok(()) };
        let decoded = Decoded::new(arrival, &self.shared);
        let assessed = self.session.assess(decoded, Wanted::default()).leaving(&self.shared);
        summary.frame(message.stamp, message.trust, &assessed.verdict);
        results.frame(message, &assessed.verdict)
    }
}
