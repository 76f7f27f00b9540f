//! The messages of one MCAP file, indexed or not, finished or not, in the order in which they lie.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mcap::parse_record;
use mcap::records::Record;

use super::chunks::{Met, PackedChunk, Records, Steps};
use super::lengths;
use super::losses::Losses;
use super::recorded::{Message, Trust, Wish};
use super::unpack::plain;
use super::walk::{CHANNEL, CHUNK, FOOTER, Input, MAGIC, MESSAGE, METADATA, SCHEMA, STATISTICS, Step, Walk};

/// Bytes of the footer with its prefix, and of what ends the file.
const TAIL: u64 = 9 + 20 + 8;
/// A summary larger than this is not read ahead.
const SUMMARY: u64 = 1 << 26;
/// A message that is a smaller part than this of what it keeps in memory is copied out of it.
const SMALL: usize = 4;

#[derive(Clone)]
struct Channel {
    topic: Arc<str>,
    schema: u16,
    kind: Arc<str>,
    wanted: bool,
}

/// A chunk that is being read.
struct Chunk {
    at: u64,
    walk: Walk,
    trust: Trust,
}

/// One file, message by message.
pub(crate) struct McapFile {
    path: PathBuf,
    wish: Arc<Wish>,
    size: u64,
    steps: Steps,
    chunk: Option<Chunk>,
    schemas: HashMap<u16, Arc<str>>,
    channels: HashMap<u16, Channel>,
    /// Messages that were met, and how many there should be.
    met: u64,
    stated: Option<u64>,
    from_summary: bool,
    first: Option<i64>,
    last: Option<i64>,
    ended: bool,
}

impl McapFile {
    /// `path` is the name by which losses are told; the bytes are those of `file`.
    pub(crate) fn open(path: &Path, mut file: std::fs::File, wish: Arc<Wish>) -> io::Result<Self> {
        let size = file.seek(SeekFrom::End(0))?;
        let ahead = file.try_clone()?;
        let mut opened = Self {
            path: path.to_owned(),
            wish,
            size,
            steps: Steps::of(Walk::new(Input::of(file), MAGIC.len() as u64, size), is_read),
            chunk: None,
            schemas: HashMap::new(),
            channels: HashMap::new(),
            met: 0,
            stated: None,
            from_summary: false,
            first: None,
            last: None,
            ended: false,
        };
        opened.read_ahead(Input::of(ahead))?;
        Ok(opened)
    }

    /// Topics and their types from the summary, where the file has a sound one: a channel's own record may be
    /// in a part that is damaged.
    fn read_ahead(&mut self, mut input: Input) -> io::Result<()> {
        let Some(footer_at) = self.size.checked_sub(TAIL) else { return Ok(()) };
        let tail = input.bytes(footer_at, TAIL)?;
        if tail.len() as u64 != TAIL || tail[0] != FOOTER || !tail.ends_with(&MAGIC) {
            return Ok(());
        }
        let Ok(Record::Footer(footer)) = parse_record(FOOTER, &tail[9..29]) else { return Ok(()) };
        let start = footer.summary_start;
        if start < MAGIC.len() as u64 || start >= footer_at || footer_at - start > SUMMARY {
            return Ok(());
        }
        // Up to the checksum itself.
        let summary = input.bytes(start, footer_at + 25 - start)?;
        if footer.summary_crc != 0 && crc32fast::hash(&summary) != footer.summary_crc {
            return Ok(());
        }
        let records = summary.slice(..(footer_at - start) as usize);
        let end = records.len() as u64;
        let mut walk = Walk::new(Input::Memory(records), 0, end);
        while let Step::Record { opcode, body, .. } = walk.step(is_description)? {
            self.describe(opcode, &body);
        }
        self.from_summary = !self.channels.is_empty();
        Ok(())
    }

    /// Takes in what is said of topics; false where it cannot be read.
    fn describe(&mut self, opcode: u8, body: &[u8]) -> bool {
        if !is_description(opcode) {
            // Of others nothing is asked; but a chunk has no place within a chunk.
            return opcode != CHUNK;
        }
        if !lengths::hold(opcode, body) {
            return false;
        }
        match (opcode, parse_record(opcode, body)) {
            (_, Ok(Record::Schema { header, .. })) => {
                let name: Arc<str> = header.name.into();
                let named = self.channels.values_mut().filter(|channel| channel.schema == header.id);
                named.for_each(|channel| channel.kind = name.clone());
                self.schemas.insert(header.id, name);
            }
            (_, Ok(Record::Channel(channel))) => {
                let kind = self.schemas.get(&channel.schema_id).cloned().unwrap_or_else(|| "".into());
                let wanted = self.wish.wants(&channel.topic, &kind);
                let topic = channel.topic.into();
                let known = Channel { topic, schema: channel.schema_id, kind, wanted };
                self.channels.insert(channel.id, known);
            }
            (_, Ok(Record::Statistics(statistics))) => self.stated = Some(statistics.message_count),
            _ => return false,
        }
        true
    }

    /// Topics and types. Reads the whole file where it has no summary.
    pub(crate) fn topics(mut self, losses: &mut Losses) -> Vec<(String, String)> {
        if !self.from_summary {
            let never = AtomicBool::new(false);
            while self.next(losses, &never).is_some() {}
        }
        let channels = self.channels.into_values();
        channels.map(|channel| (channel.topic.to_string(), channel.kind.to_string())).collect()
    }

    /// The stamp of the first message of any topic, once one has been met.
    pub(crate) fn first(&self) -> Option<i64> {
        self.first
    }

    /// The largest stamp that was met of any topic, once one has been; one that is doubtful is left out.
    pub(crate) fn last(&self) -> Option<i64> {
        self.last
    }

    /// What its records of metadata say that have this name; what is damaged says nothing. No message is read.
    pub(crate) fn notes(self, name: &str) -> Vec<BTreeMap<String, String>> {
        let mut walk = self.steps.into_walk();
        let mut notes = Vec::new();
        while let Ok(step) = walk.step(|opcode| opcode == METADATA) {
            match step {
                Step::End { .. } => break,
                Step::Record { opcode: METADATA, body, .. } if lengths::hold(METADATA, &body) => {
                    if let Ok(Record::Metadata(found)) = parse_record(METADATA, &body)
                        && found.name == name
                    {
                        notes.push(found.metadata);
                    }
                }
                Step::Record { .. } | Step::Fault { .. } => {}
            }
        }
        notes
    }

    /// How many messages of any topic were met.
    pub(crate) fn met(&self) -> u64 {
        self.met
    }

    /// How much of the file is read.
    pub(crate) fn share(&self) -> f64 {
        self.steps.at() as f64 / self.size.max(1) as f64
    }

    /// The next message of a topic that is wanted; none once nobody asks for it any more.
    pub(crate) fn next(&mut self, losses: &mut Losses, unwanted: &AtomicBool) -> Option<Message> {
        while !self.ended && !unwanted.load(Ordering::Relaxed) {
            let (step, trust, chunk) = match &mut self.chunk {
                Some(chunk) => (chunk.walk.step(is_read), chunk.trust, Some(chunk.at)),
                None => match self.steps.next() {
                    Met::Chunk { at, chunk } => {
                        self.enter(at, chunk, losses);
                        continue;
                    }
                    Met::Other(step) => (step, Trust::Sound, None),
                },
            };
            match step {
                Err(error) => {
                    losses.note(&self.path, Some(self.steps.at()), error.to_string());
                    self.ended = true;
                }
                Ok(Step::End { .. }) if chunk.is_some() => self.chunk = None,
                Ok(Step::End { finished }) => {
                    self.ended = true;
                    self.settle(finished, losses);
                }
                Ok(Step::Fault { at, what }) => match chunk {
                    // Once for the chunk is enough: its checksum said so already.
                    Some(_) if trust == Trust::Doubtful => {}
                    Some(chunk) => {
                        losses.note(&self.path, Some(chunk), format!("in this chunk, at {at}: {what}"));
                    }
                    None => losses.note(&self.path, Some(at), what),
                },
                Ok(Step::Record { opcode: MESSAGE, at, body }) => {
                    let message = self.message(&body, trust, chunk.unwrap_or(at), losses);
                    if message.is_some() {
                        return message;
                    }
                }
                // What a damaged chunk says of a topic that is known already is not believed.
                Ok(Step::Record { .. }) if trust == Trust::Doubtful && self.from_summary => {}
                Ok(Step::Record { opcode, at, body }) => {
                    if !self.describe(opcode, &body) {
                        let what = format!("this record of kind {opcode:#04x} cannot be read");
                        losses.note(&self.path, Some(at), what);
                    }
                }
            }
        }
        None
    }

    /// Begins a chunk, however much of it is there.
    fn enter(&mut self, at: u64, chunk: Option<PackedChunk>, losses: &mut Losses) {
        let Some(mut chunk) = chunk else {
            losses.note(&self.path, Some(at), "this chunk is cut within its head");
            return;
        };
        let (cut, size) = (chunk.is_cut(), chunk.size());
        let Records { bytes: records, crc_differs, fault } = self.steps.unpacked(&mut chunk);
        let fills = records.len() as u64 == size;
        let whole = !cut && fault.is_none() && fills;
        if cut && (crc_differs || !fills) {
            losses.note(&self.path, Some(at), chunk.describe_cut());
        }
        // What was before a cut is whole.
        let trust = if crc_differs || !(whole || cut) { Trust::Doubtful } else { Trust::Sound };
        if let Some(fault) = fault.filter(|_| !cut) {
            let got = records.len();
            losses.note(&self.path, Some(at), format!("this chunk gives {got} bytes and then: {fault}"));
        } else if trust == Trust::Doubtful {
            let got = match crc_differs {
                true => "fails its checksum".to_owned(),
                false => format!("has {} bytes of records; {size} are stated", records.len()),
            };
            let what = format!("this chunk {got}; its messages are read and one or more may be wrong");
            losses.note(&self.path, Some(at), what);
        }
        let end = records.len() as u64;
        self.chunk = Some(Chunk { at, walk: Walk::new(Input::Memory(records), 0, end), trust });
    }

    fn message(&mut self, body: &Bytes, trust: Trust, at: u64, losses: &mut Losses) -> Option<Message> {
        let Ok(Record::Message { header, data }) = parse_record(MESSAGE, body) else {
            losses.note(&self.path, Some(at), "a message is cut within its head");
            return None;
        };
        self.met += 1;
        let stamp = i64::try_from(header.log_time).unwrap_or(i64::MAX);
        self.first.get_or_insert(stamp);
        if trust == Trust::Sound {
            self.last = self.last.max(Some(stamp));
        }
        let Some(channel) = self.channels.get(&header.channel_id) else {
            let what = format!("a message of channel {}, which no record describes", header.channel_id);
            losses.note(&self.path, Some(at), what);
            return None;
        };
        if !channel.wanted {
            return None;
        }
        let held = self.chunk.as_ref().map_or_else(|| self.steps.held(), |chunk| chunk.walk.held());
        let data = match data.len() < held / SMALL {
            true => Bytes::copy_from_slice(&data),
            false => body.slice(body.len() - data.len()..),
        };
        let data = plain(data).map_err(|what| losses.note(&self.path, Some(at), what)).ok()?;
        Some(Message { topic: channel.topic.clone(), kind: channel.kind.clone(), stamp, data, trust })
    }

    /// What the end of the file says.
    fn settle(&self, finished: bool, losses: &mut Losses) {
        if !finished {
            let what = "the file has no end: its recording was cut, or it was truncated since";
            losses.note(&self.path, None, what);
        }
        if let Some(stated) = self.stated.filter(|&stated| stated > self.met) {
            let what = format!("{} messages are there; {stated} were recorded", self.met);
            losses.note(&self.path, None, what);
        }
    }
}

fn is_description(opcode: u8) -> bool {
    matches!(opcode, SCHEMA | CHANNEL | STATISTICS)
}

fn is_read(opcode: u8) -> bool {
    is_description(opcode) || matches!(opcode, MESSAGE | CHUNK)
}
