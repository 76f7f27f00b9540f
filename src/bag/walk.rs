//! From record to record of an MCAP file, over damage.
//!
//! ```text
//! opcode | length | body | opcode | length | body ...
//!            ^ is it believed?  only if the next record follows where it says;
//!              else the record ends where the next three in a row begin
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Buf, Bytes, BytesMut};

use super::spare::{LARGEST, Spare};
use super::unpack::MOST;

/// Opcode and length.
const PREFIX: u64 = 9;
/// Begins and ends an MCAP file.
pub(crate) const MAGIC: [u8; 8] = [0x89, b'M', b'C', b'A', b'P', b'0', b'\r', b'\n'];
/// Records that must follow each other before a place is believed to be where one begins.
const IN_A_ROW: usize = 3;
/// No record is longer than this.
const LONGEST: u64 = 1 << 40;
/// Opcodes from here on are anybody's own.
const PRIVATE: u8 = 0x80;
/// Bytes read at once.
const BLOCK: u64 = 1 << 18;

pub(crate) const FOOTER: u8 = 0x02;
pub(crate) const SCHEMA: u8 = 0x03;
pub(crate) const CHANNEL: u8 = 0x04;
pub(crate) const MESSAGE: u8 = 0x05;
pub(crate) const CHUNK: u8 = 0x06;
pub(crate) const STATISTICS: u8 = 0x0b;
pub(crate) const METADATA: u8 = 0x0c;

/// Where records are.
pub(crate) enum Input {
    /// A file, the part of it that was read last, and parts from before.
    File { file: File, start: u64, block: Bytes, spare: Spare },
    /// A chunk.
    Memory(Bytes),
}

impl Input {
    /// A file, of which nothing is read yet.
    pub(crate) fn of(file: File) -> Self {
        Self::File { file, start: 0, block: Bytes::new(), spare: Spare::default() }
    }

    /// Bytes that stay in memory as long as a record that was read last does.
    fn held(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File { block, .. } => block.len(),
        }
    }

    /// Up to `len` bytes from `at`; fewer at the end.
    pub(crate) fn bytes(&mut self, at: u64, len: u64) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => {
                let at = at.min(bytes.len() as u64);
                let end = at.saturating_add(len).min(bytes.len() as u64);
                Ok(bytes.slice(at as usize..end as usize))
            }
            Self::File { file, start, block, spare } => {
                let end = at.saturating_add(len);
                if at < *start || end > *start + block.len() as u64 {
                    let known = at.checked_sub(*start).filter(|&known| known < block.len() as u64);
                    let bytes = emptied(std::mem::take(block), known.map(|known| known as usize), spare);
                    (*start, *block) = (at, filled(file, at, len.max(BLOCK), bytes)?.freeze());
                }
                let from = (at - *start) as usize;
                Ok(block.slice(from.min(block.len())..block.len().min(from + len as usize)))
            }
        }
    }
}

/// What is kept of a block, from `known` on. Its memory serves again, at once or when no message in it is in use.
fn emptied(block: Bytes, known: Option<usize>, spare: &mut Spare) -> BytesMut {
    match (block.try_into_mut(), known) {
        // One that grew for a large record is not carried along for small ones.
        (Ok(bytes), known) if bytes.capacity() > LARGEST => {
            BytesMut::from(known.map_or(&[][..], |known| &bytes[known..]))
        }
        (Ok(mut bytes), Some(known)) => {
            bytes.advance(known);
            bytes
        }
        (Ok(mut bytes), None) => {
            bytes.clear();
            bytes
        }
        (Err(block), known) => {
            let mut bytes = spare.take();
            bytes.extend_from_slice(known.map_or(&[][..], |known| &block[known..]));
            spare.keep(block);
            bytes
        }
    }
}

/// `bytes`, which are those at `at`, and what follows them, `len` in all unless the file ends.
fn filled(file: &File, at: u64, len: u64, mut bytes: BytesMut) -> io::Result<BytesMut> {
    let size = file.metadata()?.len();
    let mut done = bytes.len();
    bytes.resize(len.min(size.saturating_sub(at)) as usize, 0);
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], at + done as u64) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// One step of the way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A record; of one that a fault was about, the body may be cut or too long.
    Record { opcode: u8, at: u64, body: Bytes },
    /// Something that is no record, or not one that can be read.
    Fault { at: u64, what: String },
    /// There are no more; whether the end is one that a finished file has.
    End { finished: bool },
}

/// The way through the records of an input.
pub(crate) struct Walk {
    input: Input,
    at: u64,
    end: u64,
    /// A record that the last fault was about.
    held: Option<Step>,
    finished: bool,
}

impl Walk {
    /// From `at` to `end`.
    pub(crate) fn new(input: Input, at: u64, end: u64) -> Self {
        Self { input, at, end, held: None, finished: false }
    }

    /// How far it came.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that stay in memory as long as the body of the last step does.
    pub(crate) fn held(&self) -> usize {
        self.input.held()
    }

    /// The next step. Bodies of which `wanted` says no are not read, and come empty.
    pub(crate) fn step(&mut self, wanted: impl Fn(u8) -> bool) -> io::Result<Step> {
        if let Some(held) = self.held.take() {
            return Ok(held);
        }
        let at = self.at;
        if at >= self.end || self.is_end(at)? {
            self.at = self.end;
            return Ok(Step::End { finished: self.finished });
        }
        let prefix = self.input.bytes(at, PREFIX)?;
        let stated = believable(&prefix, at, self.end);
        if let Some(next) =
            stated.filter(|&next| prefix.first().copied().is_some_and(&wanted) && next - at <= MOST as u64)
        {
            // At once, with what follows.
            self.input.bytes(at, next - at + PREFIX)?;
        }
        let followed = match stated {
            Some(next) => next == self.end || self.is_end(next)? || self.begins(next)?,
            None => false,
        };
        // Where none follows, either this one's length is wrong, or it is the next one that is broken.
        let next = if followed { None } else { Some(self.resume(at + 1)?) };
        let (next, believed) = match (stated, next) {
            (Some(stated), None) => (stated, true),
            (Some(stated), Some(next)) if stated <= next => (stated, true),
            (_, next) => (next.unwrap_or(self.end), false),
        };
        self.at = next;
        let opcode = prefix.first().copied().unwrap_or_default();
        let body_at = (at + PREFIX).min(next);
        let len = next - body_at;
        let record = match (wanted(opcode), len > MOST as u64) {
            (false, _) => Step::Record { opcode, at, body: Bytes::new() },
            (true, true) => {
                let what =
                    format!("a record of {len} bytes is skipped; records of up to {MOST} bytes are read");
                return Ok(Step::Fault { at, what });
            }
            (true, false) => Step::Record { opcode, at, body: self.input.bytes(body_at, len)? },
        };
        self.finished |= opcode == FOOTER && believed;
        if believed {
            return Ok(record);
        }
        // Half a message is none; half a chunk has whole ones.
        if next < self.end || opcode != MESSAGE {
            self.held = Some(record);
        }
        let what = match next == self.end {
            true => format!("no whole record is in the last {} bytes", next - at),
            false => format!("this is no record as its length says; the next one is at {next}"),
        };
        Ok(Step::Fault { at, what })
    }

    /// Whether the file ends here as it should.
    fn is_end(&mut self, at: u64) -> io::Result<bool> {
        Ok(self.end - at == MAGIC.len() as u64 && self.input.bytes(at, 8)?[..] == MAGIC)
    }

    /// Whether a record can be at `at`, one that is cut by the end as well.
    fn begins(&mut self, at: u64) -> io::Result<bool> {
        let prefix = self.input.bytes(at, PREFIX)?;
        Ok(believable(&prefix, at, at.saturating_add(LONGEST)).is_some())
    }

    /// The first place from `from` where records follow each other again, or the end.
    fn resume(&mut self, from: u64) -> io::Result<u64> {
        let mut block_at = from;
        while block_at < self.end {
            let block = self.input.bytes(block_at, (BLOCK + PREFIX).min(self.end - block_at))?;
            if block.len() < PREFIX as usize {
                break;
            }
            for (place, prefix) in block.windows(PREFIX as usize).enumerate() {
                let at = block_at + place as u64;
                // A private record is believed only where it is due: bright pixels on black look like one.
                if prefix[0] < PRIVATE
                    && let Some(next) = believable(prefix, at, self.end)
                    && self.in_a_row(next)?
                {
                    return Ok(at);
                }
            }
            block_at += block.len() as u64 - PREFIX + 1;
        }
        Ok(self.end)
    }

    fn in_a_row(&mut self, mut at: u64) -> io::Result<bool> {
        for _ in 1..IN_A_ROW {
            if at == self.end || self.is_end(at)? {
                return Ok(true);
            }
            let prefix = self.input.bytes(at, PREFIX)?;
            match believable(&prefix, at, self.end) {
                Some(next) => at = next,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Where the record with this prefix at `at` ends, if it can be one (MCAP specification, records).
fn believable(prefix: &[u8], at: u64, end: u64) -> Option<u64> {
    let (&opcode, length) = prefix.split_first()?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let fits = match opcode {
        0x01 => (8..1 << 16).contains(&length),
        FOOTER => length == 20,
        SCHEMA => length >= 14,
        CHANNEL => length >= 16,
        MESSAGE => length >= 22,
        CHUNK => length >= 40,
        0x07 => length >= 6,
        0x08 => length >= 64,
        0x09 => length >= 36,
        0x0a => length >= 48,
        STATISTICS => length >= 46,
        METADATA => length >= 8,
        0x0d => length >= 20,
        0x0e => length == 17,
        0x0f => length == 4,
        _ => opcode >= PRIVATE,
    };
    let next = at.checked_add(PREFIX)?.checked_add(length)?;
    (fits && next <= end).then_some(next)
}
