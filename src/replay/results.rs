//! What a replay leaves in its folder: a line a report, the same as rows and as messages, and a summary.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::Serialize;

use super::ReplayError;
use super::header::Header;
use super::rises::{Pictures, Rises};
use super::summary::Summary;
use super::table::Table;
use crate::bag::message::{CompressedImage, Message as _, MonitorReport};
use crate::bag::reader::Trust;
use crate::bag::writer::{BagWriter, Offer, Topic};
use crate::labels::LabelSet;
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::Monitor;
use crate::watch::message;
use crate::watch::stream::Assessed;
use crate::watch::verdict::Verdict;
use crate::whole_file;

/// The topic of reports in the result.
const REPORTS: &str = "/monitor/report";
/// Those of the frames at which the level rises, as JPEG: as the camera saw them, and as an operator does.
pub(super) const PICTURES: [&str; 2] = ["/monitor/image/compressed", "/monitor/overlay/compressed"];
/// The files of a result.
pub const RESULTS: [&str; 6] = [LINES, TABLE, BAG, SUMMARY, FIGURES, JOURNAL];
pub(crate) const LINES: &str = "report.jsonl";
/// The lines as a table.
const TABLE: &str = "report.parquet";
pub(crate) const BAG: &str = "result.mcap";
pub(crate) const SUMMARY: &str = "summary.json";
/// Figures of single frames with labels.
pub(super) const FIGURES: &str = "figures.jsonl";
/// Metadata of result.mcap: what it is made of, and, once it is whole, that it is.
pub(crate) const BEGUN: &str = "synthcp_replay";
pub(crate) const ENDED: &str = "synthcp_replay_end";
/// What is needed to go on; it is begun before all others.
pub const JOURNAL: &str = "replay.journal";

/// A line of report.jsonl.
#[derive(Serialize)]
struct Line<'a> {
    /// When it was recorded, or is said, in nanoseconds since 1970.
    time: i64,
    validity: &'static str,
    level: &'static str,
    /// The place among the recordings of the one that it is in; none of a report without a frame.
    recording: Option<usize>,
    /// Whether the recording is damaged where the frame lies.
    doubtful: bool,
    report: &'a MonitorReport,
}

fn json(facts: &impl Serialize) -> std::io::Result<String> {
    Ok(serde_json::to_string(facts)?)
}

/// Whose reports they are.
struct Identity {
    labels: LabelSet,
    bundle: String,
    hash: String,
}

/// The files of a result, while they are written.
pub(super) struct Results {
    folder: PathBuf,
    lines: BufWriter<File>,
    table: Table,
    bag: BagWriter,
    reports: Topic,
    pictures: [Topic; 2],
    rises: Rises,
    identity: Identity,
}

impl Results {
    pub(super) fn create(folder: &Path, monitor: &Monitor, header: &Header) -> Result<Self, ReplayError> {
        // The end of an earlier run would say that this one is whole.
        for name in [SUMMARY, FIGURES] {
            if let Err(error) = fs_err::remove_file(folder.join(name))
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
        }
        let lines = BufWriter::new(File::create(folder.join(LINES))?);
        let table = Table::create(File::create(folder.join(TABLE))?)?;
        let mut bag = BagWriter::create(&folder.join(BAG))?;
        let reports = bag.topic(REPORTS, MonitorReport::DEFINITION, Offer::Reliable)?;
        let [image, overlay] =
            PICTURES.map(|name| bag.topic(name, CompressedImage::DEFINITION, Offer::Reliable));
        let pictures = [image?, overlay?];
        let identity = Identity {
            labels: monitor.labels().clone(),
            bundle: monitor.bundle_name().to_owned(),
            hash: monitor.bundle_hash().to_owned(),
        };
        bag.note(BEGUN, BTreeMap::from([("header".to_owned(), json(header)?)]))?;
        let rises = Rises::default();
        Ok(Self { folder: folder.to_owned(), lines, table, bag, reports, pictures, rises, identity })
    }

    /// What is needed of the next frame.
    pub(super) fn wanted(&self) -> Wanted {
        self.rises.wanted()
    }

    /// A report on the frame that was recorded at `time`.
    pub(super) fn frame(
        &mut self,
        time: i64,
        trust: Trust,
        recording: usize,
        assessed: &mut Assessed,
    ) -> Result<MonitorReport, ReplayError> {
        let report = self.write(time, &assessed.verdict, Some(recording), trust == Trust::Doubtful)?;
        if self.rises.note(&assessed.verdict) {
            let header = message::header(&assessed.verdict);
            if let Some(Pictures { image, overlay }) = self.rises.pictures(assessed, &self.identity.labels)? {
                for (topic, data) in self.pictures.into_iter().zip([Some(image), overlay]) {
                    let Some(data) = data else { continue };
                    let picture = CompressedImage { header: header.clone(), format: "jpeg".to_owned(), data };
                    self.bag.write(topic, u64::try_from(time).unwrap_or(0), &picture)?;
                }
            }
        }
        Ok(report)
    }

    /// A report that there is no frame.
    pub(super) fn alarm(&mut self, time: i64, verdict: &Verdict) -> Result<(), ReplayError> {
        self.rises.note(verdict);
        self.write(time, verdict, None, false).map(drop)
    }

    fn write(
        &mut self,
        time: i64,
        verdict: &Verdict,
        recording: Option<usize>,
        doubtful: bool,
    ) -> Result<MonitorReport, ReplayError> {
        let Identity { labels, bundle, hash } = &self.identity;
        let report = message::report(verdict, Some(labels), (bundle, hash));
        let (validity, level) = (verdict.validity.name(), verdict.level.name());
        let line = Line { time, validity, level, recording, doubtful, report: &report };
        serde_json::to_writer(&mut self.lines, &line).map_err(std::io::Error::from)?;
        self.lines.write_all(b"\n")?;
        self.table.add(&line)?;
        self.bag.write(self.reports, u64::try_from(time).unwrap_or(0), &report)?;
        Ok(report)
    }

    /// Closes the files; the summary, last of all, says whether they are complete.
    pub(super) fn finish(mut self, summary: &Summary) -> Result<(), ReplayError> {
        self.lines.flush()?;
        self.table.finish()?;
        let facts = [("complete", summary.complete.to_string()), ("host", json(&summary.host)?)];
        self.bag.note(ENDED, facts.map(|(name, fact)| (name.to_owned(), fact)).into())?;
        self.bag.finish()?;
        let text = serde_json::to_vec_pretty(summary).map_err(std::io::Error::from)?;
        Ok(whole_file::write(&self.folder.join(SUMMARY), text)?)
    }
}
