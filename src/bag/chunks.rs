//! The records of an MCAP file, one after the other; chunks are unpacked on other threads before they are reached.
//!
//! ```text
//! walk --> chunk 7 | chunk 8 | chunk 9      what is met next is chunk 7
//!             |         |         `-- unpacking
//!             |         `-- unpacking
//!             `-- its records
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::{Bytes, BytesMut};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::spare::Spare;
use super::unpack::{Unpacked, ZSTD, in_one_go, unpack};
use super::walk::{CHUNK, Step, Walk};

/// Chunks that are unpacked ahead, and bytes of records that may come out of one of them.
const CHUNKS: usize = 2;
const LARGEST: u64 = 1 << 23;
/// Records that are met ahead, indexes between chunks included.
const RECORDS: usize = 64;

/// Threads that unpack, for all readers. Nobody waits on them for anything else: one of the program's own might wait
/// for the reader that waits for it. `None` where the system gives no more threads.
static UNPACKERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let named = ThreadPoolBuilder::new().num_threads(CHUNKS).thread_name(|number| format!("unpack {number}"));
    named.build().ok()
});

/// What is met on the way.
pub(super) enum Met {
    /// A chunk; `None` where it is cut within its head.
    Chunk { at: u64, chunk: Option<PackedChunk> },
    /// Another record, a fault, the end, or a failure to read.
    Other(io::Result<Step>),
}

/// What a chunk says of itself.
#[derive(Clone, Copy)]
struct Head {
    size: u64,
    crc: u32,
    packed_size: u64,
    records_at: usize,
}

impl Head {
    /// By hand: the crate's own wants the chunk whole. What it is packed with is told by its bytes.
    fn of(body: &[u8]) -> Option<Self> {
        let u64_at = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
        let packed_size_at = 32 + u32_at(28)? as usize;
        Some(Self {
            size: u64_at(16)?,
            crc: u32_at(24)?,
            packed_size: u64_at(packed_size_at)?,
            records_at: packed_size_at + 8,
        })
    }

    /// Whether the checksum is another one than that of `records`, where it can be told.
    fn crc_differs(self, records: &[u8]) -> bool {
        self.crc != 0 && records.len() as u64 == self.size && crc32fast::hash(records) != self.crc
    }
}

/// A chunk, however much of it is there.
pub(super) struct PackedChunk {
    head: Head,
    packed: Bytes,
    /// Its records, where another thread unpacks it and all is well.
    unpacking: Option<Receiver<Records>>,
}

/// What came out of a chunk.
pub(super) struct Records {
    pub bytes: Bytes,
    pub crc_differs: bool,
    pub fault: Option<String>,
}

impl PackedChunk {
    fn of(body: &Bytes) -> Option<Self> {
        let head = Head::of(body)?;
        let there = body.slice(head.records_at.min(body.len())..);
        let len = usize::try_from(head.packed_size).map_or(there.len(), |size| size.min(there.len()));
        Some(Self { head, packed: there.slice(..len), unpacking: None })
    }

    /// Whether the file ends within it.
    pub fn is_cut(&self) -> bool {
        (self.packed.len() as u64) < self.head.packed_size
    }

    /// Where it does.
    pub fn describe_cut(&self) -> String {
        format!("this chunk is cut after {} of {} bytes", self.packed.len(), self.head.packed_size)
    }

    /// Bytes that its records have, as it says.
    pub fn size(&self) -> u64 {
        self.head.size
    }

    fn is_packed(&self) -> bool {
        self.packed.starts_with(&ZSTD)
    }

    /// Begins to unpack it on another thread.
    fn begin(&mut self, memory: BytesMut) {
        let Some(unpackers) = &*UNPACKERS else { return };
        let (head, packed) = (self.head, self.packed.clone());
        let (send, receive) = sync_channel(1);
        unpackers.spawn(move || {
            // Where it cannot be done in one go nothing is sent, and whoever wants the records does it in turn.
            if let Some(bytes) = in_one_go(&packed, head.size, memory) {
                let crc_differs = head.crc_differs(&bytes);
                // Nobody is there where the reader was closed meanwhile.
                let _ = send.send(Records { bytes, crc_differs, fault: None });
            }
        });
        self.unpacking = Some(receive);
    }

    fn unpack(&self, memory: BytesMut) -> Records {
        let Unpacked { bytes, fault } = unpack(&self.packed, self.head.size, memory);
        Records { crc_differs: self.head.crc_differs(&bytes), bytes, fault }
    }
}

/// The way through a file.
pub(super) struct Steps {
    walk: Walk,
    wanted: fn(u8) -> bool,
    /// What was met and is not yet told, and where the walk was then.
    ahead: VecDeque<(Met, u64)>,
    at: u64,
    spare: Spare,
}

impl Steps {
    /// Along `walk`; of records that are not `wanted` nothing is read.
    pub fn of(walk: Walk, wanted: fn(u8) -> bool) -> Self {
        Self { at: walk.at(), walk, wanted, ahead: VecDeque::new(), spare: Spare::default() }
    }

    /// How far it came.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that stay in memory as long as the body of a message that was just met does: nothing is met ahead of
    /// one.
    pub fn held(&self) -> usize {
        self.walk.held()
    }

    /// The way itself, of which nothing has been gone yet.
    pub fn into_walk(self) -> Walk {
        self.walk
    }

    /// The next of what there is; after the end, the end again.
    pub fn next(&mut self) -> Met {
        while self.goes_ahead() {
            let met = self.walk_on();
            self.ahead.push_back((met, self.walk.at()));
        }
        let (met, at) = self.ahead.pop_front().unwrap_or_else(|| (self.walk_on(), self.walk.at()));
        self.at = at;
        met
    }

    /// Whether more is to be met: as long as nothing of it takes memory but the chunks that are being unpacked.
    fn goes_ahead(&self) -> bool {
        let is_light = |met: &Met| is_unpacking(met) || is_unread(met);
        self.ahead.len() < RECORDS
            && self.ahead.back().is_none_or(|(met, _)| is_light(met))
            && self.ahead.iter().filter(|(met, _)| is_unpacking(met)).count() <= CHUNKS
    }

    fn walk_on(&mut self) -> Met {
        let (at, body) = match self.walk.step(self.wanted) {
            Ok(Step::Record { opcode: CHUNK, at, body }) => (at, body),
            other => return Met::Other(other),
        };
        let mut chunk = PackedChunk::of(&body);
        if let Some(chunk) = &mut chunk
            && chunk.is_packed()
            && !chunk.is_cut()
            && chunk.size() <= LARGEST
        {
            chunk.begin(self.spare.take());
        }
        Met::Chunk { at, chunk }
    }

    /// The records of a chunk.
    pub fn unpacked(&mut self, chunk: &mut PackedChunk) -> Records {
        let begun = chunk.unpacking.take().and_then(|unpacking| unpacking.recv().ok());
        let records = begun.unwrap_or_else(|| chunk.unpack(self.spare.take()));
        if chunk.is_packed() {
            self.spare.keep(records.bytes.clone());
        }
        records
    }
}

fn is_unpacking(met: &Met) -> bool {
    matches!(met, Met::Chunk { chunk: Some(chunk), .. } if chunk.unpacking.is_some())
}

fn is_unread(met: &Met) -> bool {
    matches!(met, Met::Other(Ok(Step::Record { body, .. })) if body.is_empty())
}
