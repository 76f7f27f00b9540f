//! Replays a recording: every frame through the stream that the node runs, on a clock made of the bag's stamps.
//!
//! ```text
//! bag --frames--> events --clock--> ticks before each: silence, STALE        (watch/vigil.rs)
//!           ^                '----> the stream: taken, assessed, debounced   (run, watch/stream.rs)
//!         truth                       ^ |    '--results--> report.jsonl, .parquet, result.mcap, summary.json
//!                            journal -' '--figures, where there are labels   (evaluate/evaluation.rs)
//! ```
//!
//! No wall clock is in any result but the latencies, so that two runs of one bag agree in all others.

mod clock;
pub mod compare;
mod cost;
mod figures;
mod frames;
mod header;
mod journal;
mod label_topics;
mod latencies;
mod misses;
mod pace;
mod results;
mod rises;
mod run;
mod summary;
mod table;
mod topics;
mod truth;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parquet::errors::ParquetError;

use crate::bag::BagError;
use crate::data::DataError;
use crate::evaluate::error::EvaluationError;
use crate::frame;
use crate::metric::MetricError;
use crate::model::bundle::BundleError;
use crate::monitor::pipeline::Monitor;
use crate::watch::labels::NamesError;
use crate::watch::parameters::{ParameterError, Parameters};
use crate::whole_file;
use figures::Figures;
pub use figures::{Matches, Measures};
use frames::Frames;
pub use header::{BundleFacts, FileFacts, Header, Host, Recording};
use journal::Journal;
use label_topics::LabelTopics;
pub use label_topics::Pairs;
pub use misses::Misses;
pub use pace::{Pace, UnknownLatency};
pub(crate) use results::{BAG, BEGUN, ENDED, LINES, SUMMARY};
use results::{FIGURES, Results};
pub use results::{JOURNAL, RESULTS};
use run::Run;
pub use summary::Summary;
pub use topics::{NoTopic, camera_topic};
pub use truth::Labels;
use truth::Truth;

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
    /// The table of reports cannot be written.
    #[error("report.parquet: {0}")]
    Table(#[from] ParquetError),
    /// The bundle's thresholds and those set by hand do not go together.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The bundle cannot be loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The valid mask cannot be read.
    #[error("parameter valid_mask: {0}; it must be the path of a PNG, JPEG or WebP")]
    ValidMask(frame::FileError),
    /// Of labels by topic, what ids mean is not known.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// Labels by topic, and frames that are left out.
    #[error("every is {every}; where segmentation is topic every image has to meet its labels: 1 is needed")]
    EveryOfLabels {
        /// One frame of so many.
        every: u64,
    },
    /// Labels that cannot be read.
    #[error(transparent)]
    Labels(#[from] DataError),
    /// None.
    #[error("the recording has no image on {}, and it is no folder of labels", wanted.display())]
    NoLabels {
        /// Where labels were looked for.
        wanted: PathBuf,
    },
    /// A file of a label that is of no frame.
    #[error(
        "{} names no frame; expected the frame's place in the recording, from 0, or its stamp in nanoseconds",
        path.display()
    )]
    LabelName {
        /// The file.
        path: PathBuf,
    },
    /// Figures that cannot be had.
    #[error(transparent)]
    Figures(#[from] EvaluationError),
    /// A figure.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// What is to be gone on with is something else.
    #[error("{} is of another replay: it differs in {what}; without --resume it is begun anew", path.display())]
    Another {
        /// The journal or the result.
        path: PathBuf,
        /// What is not the same.
        what: String,
    },
    /// The networks fail.
    #[error("the first pass through the networks failed: {0}")]
    WarmUp(String),
}

impl ReplayError {
    /// Whether other arguments would help.
    pub fn is_of_arguments(&self) -> bool {
        matches!(
            self,
            Self::Topic(_)
                | Self::Parameter(_)
                | Self::Names(_)
                | Self::EveryOfLabels { .. }
                | Self::Labels(_)
                | Self::NoLabels { .. }
                | Self::LabelName { .. }
                | Self::Another { .. }
                | Self::Bag(BagError::NoBag { .. } | BagError::Io(_))
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
    /// Which frames are taken up.
    pub pace: Pace,
    /// The topic of the labels that are assessed where the parameters want labels by topic; without, the only one
    /// there is that is named `labels`.
    pub segmentation: Option<String>,
    /// Labels of some of the frames.
    pub labels: Option<Labels>,
    /// Whether a replay that was interrupted goes on.
    pub resume: bool,
}

impl Selection {
    /// The camera's topic.
    pub fn camera(&self) -> Result<String, ReplayError> {
        let label_topics = LabelTopics::find(self)?;
        self.camera_beside(label_topics.as_ref())
    }

    fn camera_beside(&self, label_topics: Option<&LabelTopics>) -> Result<String, ReplayError> {
        let truth = self.labels.as_ref().and_then(|labels| labels.source.to_str());
        let is_other =
            |topic: &str| truth == Some(topic) || label_topics.is_some_and(|topics| topics.is_on(topic));
        Ok(topics::camera_beside(&self.bags, self.topic.as_deref(), is_other)?.name)
    }
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

/// What came of a replay.
#[derive(Clone, Debug)]
pub enum Replayed {
    /// This.
    Now(Box<Summary>),
    /// It was complete already.
    Before {
        /// Parts of the recording that could not be read.
        lost: u64,
    },
}

/// Largest summary.json, in bytes.
const LARGEST: u64 = 1 << 28;

/// How far a replay has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Frames assessed.
    pub frames: u64,
    /// How much of the recording is read, of 1.
    pub share: f64,
}

/// Replays the selection into the folder `out`. Where there are labels, `measures` says what is measured by
/// them. `progress` is told of every frame and may end it early; what was done till then is whole, and marked.
pub fn replay(
    monitor: Monitor,
    selection: &Selection,
    measures: Measures,
    out: &Path,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Replayed, ReplayError> {
    let label_topics = LabelTopics::find(selection)?;
    let topic = selection.camera_beside(label_topics.as_ref())?;
    let truth = selection.labels.as_ref();
    let truth = truth.map(|labels| Truth::open(labels, &selection.bags, monitor.labels())).transpose()?;
    let frames = Frames::open(selection, &topic, label_topics.clone(), truth)?;

    let header = Header::of(selection, &monitor, &topic, label_topics.as_ref(), &measures)?;
    fs_err::create_dir_all(out)?;
    if selection.resume
        && let Some(lost) = completed(&out.join(SUMMARY), &header)?
    {
        return Ok(Replayed::Before { lost });
    }
    let journal = match selection.resume {
        true => Journal::resume(&out.join(JOURNAL), &header)?,
        false => Journal::create(&out.join(JOURNAL), &header)?,
    };
    let results = Results::create(out, &monitor, &header)?;
    let of_labels = |truth: &Truth| {
        Figures::create(&out.join(FIGURES), measures, monitor.labels(), truth.labels().clone())
    };
    let figures = frames.truth.as_ref().map(of_labels).transpose()?;
    let mut summary = Summary::new(&topic, frames.recorded(), header);
    summary.pairs = label_topics.map(|topics| Pairs { topic: topics.labels, ..Pairs::default() });
    let (parameters, pace) = (&selection.parameters, selection.pace);
    let mut run = Run::new((monitor, figures), (parameters, pace), frames, (results, summary, journal))?;
    run.all(progress)?;
    let Run { frames, results, mut summary, journal, .. } = run;
    summary.close(frames.losses());
    results.finish(&summary)?;
    if summary.complete {
        journal.done()?;
    }
    Ok(Replayed::Now(Box::new(summary)))
}

/// Of a replay of the same that came to its end before: how many parts of the recording were lost.
fn completed(path: &Path, header: &Header) -> Result<Option<u64>, ReplayError> {
    /// What is needed of summary.json.
    #[derive(serde::Deserialize)]
    struct End {
        complete: bool,
        lost: u64,
        header: Header,
    }
    if !path.exists() {
        return Ok(None);
    }
    let text = whole_file::read(path, LARGEST)?;
    let Ok(End { complete, lost, header: earlier }) = serde_json::from_slice(&text) else { return Ok(None) };
    match header.difference(&earlier) {
        Some(what) => Err(ReplayError::Another { path: path.to_owned(), what }),
        None => Ok(complete.then_some(lost)),
    }
}
