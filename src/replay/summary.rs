//! What a replay comes to, on one screen.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use super::ReplayError;
use super::cost::Cost;
use super::figures::{Figures, Matches, summed};
use super::header::{Header, Host};
use super::label_topics::Pairs;
use super::latencies::Latencies;
use super::misses::Misses;
use crate::bag::Losses;
use crate::bag::reader::Trust;
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;
use crate::watch::verdict::Verdict;

/// Losses of the replay's own that are kept by name; more are counted.
const NAMED: usize = 1000;

/// The figures of a replay. All but the latencies and the host are the same whenever it is repeated.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The camera's topic.
    pub topic: String,
    /// When the recording begins, in nanoseconds since 1970.
    pub begin: i64,
    /// When what was selected of it begins and ends, with the recording at the latest.
    pub selected: [i64; 2],
    /// Whether it came to the end of what was selected.
    pub complete: bool,
    /// Frames in the selection.
    pub met: u64,
    /// Frames assessed, those that could not be decoded among them.
    pub frames: u64,
    /// Frames that a newer one replaced before their turn.
    pub dropped: u64,
    /// Of those assessed, those that lie where the recording is damaged.
    pub doubtful: u64,
    /// Reports by validity.
    pub validity: BTreeMap<&'static str, u64>,
    /// Frames by level.
    pub level: BTreeMap<&'static str, u64>,
    /// Times that the level rose to FAILURE, by a frame or by silence.
    pub failures_begun: u64,
    /// What of the recording could not be read.
    pub lost: u64,
    /// The first of that, by name.
    pub losses: Vec<String>,
    /// How images and the labels that are assessed met, where those come by topic.
    #[serde(rename = "segmentation", skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
    /// How frames and labels met, where there are labels.
    pub labels: Option<Matches>,
    /// The figures of `synthcp evaluate` of frames with labels.
    pub figures: Option<Json>,
    /// Frames that were due and got no report that may be used.
    pub misses: Misses,
    /// Milliseconds from message to verdict: p50, p95, p99, the longest.
    pub latency_ms: Option<[f32; 4]>,
    /// Mean change of the latency from one frame to the next, in milliseconds.
    pub jitter_ms: Option<f32>,
    /// The computer that did it.
    pub host: Host,
    /// What it was made of.
    pub header: Header,
    /// What it took besides the monitor, where that was asked for every frame.
    #[serde(skip)]
    pub cost: Option<Cost>,
    /// The same for people.
    #[serde(skip)]
    evaluation: Option<String>,
    #[serde(skip)]
    latencies: Latencies,
    #[serde(skip)]
    failing: bool,
}

impl Summary {
    pub(super) fn new(topic: &str, begin: i64, header: Header) -> Self {
        Self {
            topic: topic.to_owned(),
            begin,
            selected: [begin; 2],
            complete: true,
            met: 0,
            frames: 0,
            dropped: 0,
            doubtful: 0,
            validity: BTreeMap::new(),
            level: BTreeMap::new(),
            failures_begun: 0,
            lost: 0,
            losses: Vec::new(),
            pairs: None,
            labels: None,
            figures: None,
            misses: Misses::default(),
            latency_ms: None,
            jitter_ms: None,
            host: Host::here(),
            header,
            cost: None,
            evaluation: None,
            latencies: Latencies::default(),
            failing: false,
        }
    }

    pub(super) fn count(&mut self, verdict: &Verdict) {
        *self.validity.entry(verdict.validity.name()).or_default() += 1;
        if verdict.validity.is_on_an_image() {
            *self.level.entry(verdict.level.name()).or_default() += 1;
        }
        let failing = verdict.level == Level::Failure && verdict.validity != Validity::Starting;
        self.failures_begun += u64::from(failing && !self.failing);
        self.failing = failing;
    }

    /// A frame recorded at `time`, and the report on it.
    pub(super) fn frame(&mut self, time: i64, trust: Trust, verdict: &Verdict) {
        self.frames += 1;
        self.doubtful += u64::from(trust == Trust::Doubtful);
        match verdict.validity {
            Validity::Ok | Validity::Degraded => self.misses.hit(),
            _ => self.misses.miss(time),
        }
        if let Some(total) = verdict.total {
            self.latencies.add(total);
        }
        self.count(verdict);
    }

    /// A message of the camera's topic that is no image.
    pub(super) fn unread(&mut self, stamp: i64, why: &str) {
        self.misses.miss(stamp);
        self.lose(format!("the message of {stamp} is no image: {why}"));
    }

    /// A message that cannot be used.
    pub(super) fn lose(&mut self, what: String) {
        self.lost += 1;
        if self.losses.len() < NAMED {
            self.losses.push(what);
        }
    }

    /// The figures of frames with labels are complete; of some labels there was no frame.
    pub(super) fn measured(&mut self, figures: Figures, without_frame: u64) -> Result<(), ReplayError> {
        let (matches, evaluation) = figures.finish()?;
        self.labels = Some(Matches { without_frame, ..matches });
        if let Some(evaluation) = evaluation {
            self.figures = Some(summed(&evaluation)?);
            self.evaluation = Some(evaluation.to_string());
        }
        Ok(())
    }

    /// Everything is counted.
    pub(super) fn close(&mut self, losses: &Losses) {
        self.lost += losses.count();
        self.losses.extend(losses.named().iter().map(ToString::to_string));
        self.latency_ms = self.latencies.percentiles();
        self.jitter_ms = self.latencies.jitter();
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = |counts: &BTreeMap<&'static str, u64>| {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
        };
        writeln!(f, "topic      {}", self.topic)?;
        writeln!(f, "frames     {} assessed of {} met", self.frames, self.met)?;
        if self.dropped > 0 {
            writeln!(f, "dropped    {} frames, while one before was assessed", self.dropped)?;
        }
        writeln!(f, "level      {}", counts(&self.level))?;
        writeln!(f, "validity   {}", counts(&self.validity))?;
        writeln!(f, "failures   {} begun", self.failures_begun)?;
        if let Some([p50, p95, p99, longest]) = self.latency_ms {
            writeln!(f, "latency    p50 {p50:.1} ms, p95 {p95:.1}, p99 {p99:.1}, longest {longest:.1}")?;
        }
        if let Some(cost) = self.cost {
            writeln!(f, "time       {cost}")?;
        }
        if self.misses.frames > 0 {
            let Misses { frames, longest, .. } = self.misses;
            writeln!(f, "missed     {frames} frames, at most {longest} in a row")?;
        }
        if let Some(Pairs { topic, pairs, frames_unmatched, labels_received, labels_unmatched, why }) =
            &self.pairs
        {
            writeln!(
                f,
                "judged     {pairs} pairs of an image and labels from {topic}; {frames_unmatched} images and \
                 {labels_unmatched} of {labels_received} labels found no other half"
            )?;
            if let Some(why) = why {
                writeln!(f, "           {why}")?;
            }
        }
        if !self.complete {
            writeln!(f, "stopped    before the end of the recording")?;
        }
        if self.lost > 0 {
            writeln!(f, "lost       {}; {} frames are doubtful", self.lost, self.doubtful)?;
            for loss in self.losses.iter().take(SHOWN) {
                writeln!(f, "           {loss}")?;
            }
            if self.lost > SHOWN as u64 {
                writeln!(f, "           and more, see summary.json")?;
            }
        }
        if let Some(Matches { frames, without_label, not_assessed, without_frame }) = self.labels {
            writeln!(
                f,
                "labels     of {frames} frames; {without_label} frames have none, {not_assessed} labels are of \
                 frames not assessed by the whole method, {without_frame} of no frame"
            )?;
        }
        if let Some(evaluation) = &self.evaluation {
            write!(f, "\n{evaluation}")?;
        }
        Ok(())
    }
}

/// Losses on the screen.
const SHOWN: usize = 5;
