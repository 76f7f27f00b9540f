//! What the JPEG decoder does not tell: whether every block of the picture is in the file.
//!
//! The decoder fills what is missing with grey and says nothing, so half a picture would be assessed
//! as a whole one. Here the entropy-coded data is walked once, without computing a pixel: every
//! block of every scan has to be there. Only the end marker may be missing.
//!
//! MJPEG cameras leave the Huffman tables out; the standard ones are put in then. The number of
//! scans is limited: a small file of many scans takes as long to decode as a film.

mod bits;
mod blocks;
mod tables;

use std::borrow::Cow;

use bits::{Bits, Stop};
use blocks::{Band, progressive_block, sequential_block};
use tables::{STANDARD, Table};

use super::{FrameError, MAX_PIXELS};

/// Most scans of a file; encoders write about ten.
const MAX_SCANS: usize = 64;

/// Most bytes between the last block of a scan and the next marker: some cameras fill up a word or a
/// cache line. More of them means that what came before was not the picture: zeros where a piece was
/// lost read as blocks, and too many of them.
const MAX_FILLER: usize = 64;

/// Most blocks that all scans together may visit: the ten scans of the largest picture.
const MAX_VISITS: u64 = 32 << 20;

/// `data` if every block is in it, with the standard Huffman tables where it has none.
///
/// What the decoder cannot read at all, an arithmetic code for one, is left to it to refuse.
pub(super) fn complete(data: &[u8]) -> Result<Cow<'_, [u8]>, FrameError> {
    let mut walk = Walk { data, at: 2, ..Walk::default() };
    walk.file()?;
    if !walk.lacks_tables {
        return Ok(Cow::Borrowed(data));
    }
    let start = &data[..2];
    Ok(Cow::Owned([start, &tables::standard_segment(), &data[2..]].concat()))
}

/// One colour's plane of blocks.
#[derive(Default)]
struct Component {
    id: u8,
    /// Blocks of an MCU, across and down.
    across: usize,
    down: usize,
    /// Blocks that hold pixels.
    columns: usize,
    rows: usize,
    /// Blocks from one row to the next: whole MCUs.
    stride: usize,
    /// Of each coefficient: the lowest bit that is known; `None` before its first scan.
    known: Vec<Option<u8>>,
    /// Of each block, a bit for each coefficient that is not zero; progressive files only.
    nonzero: Vec<u64>,
}

impl Component {
    fn is_complete(&self) -> bool {
        self.known.iter().all(|&bit| bit == Some(0))
    }
}

/// One component's part of a scan.
#[derive(Clone, Copy)]
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
}

#[derive(Default)]
struct Walk<'a> {
    data: &'a [u8],
    at: usize,
    progressive: bool,
    components: Vec<Component>,
    /// MCUs, across and down.
    mcus: (usize, usize),
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    restart: usize,
    scans: usize,
    visits: u64,
    lacks_tables: bool,
}

fn damaged<T>(what: impl Into<String>) -> Result<T, FrameError> {
    Err(FrameError::JpegDamaged { what: what.into() })
}

impl<'a> Walk<'a> {
    fn file(&mut self) -> Result<(), FrameError> {
        while let Some(marker) = self.next_marker() {
            match marker {
                // The end; where a scan is missing, an end too early.
                0xd9 => break,
                0xc0..=0xc2 => {
                    self.progressive = marker == 0xc2;
                    let segment = self.segment()?;
                    self.frame(segment)?;
                }
                0xc4 => {
                    let segment = self.segment()?;
                    self.tables(segment)?;
                }
                // Codes that the decoder refuses by name.
                0xc3 | 0xc5..=0xcf => return Ok(()),
                0xdd => {
                    let segment = self.segment()?;
                    let [high, low, ..] = *segment else { return damaged("its restart interval is cut") };
                    self.restart = usize::from(u16::from_be_bytes([high, low]));
                }
                0xda => {
                    let segment = self.segment()?;
                    self.scan(segment)?;
                    if !self.progressive && self.components.iter().all(Component::is_complete) {
                        return Ok(());
                    }
                }
                0x01 | 0xd0..=0xd8 => {}
                _ => {
                    self.segment()?;
                }
            }
        }
        let missing = self.components.iter().filter(|c| !c.is_complete()).count();
        if missing > 0 || self.components.is_empty() {
            let what = if self.scans == 0 { "it holds no picture data" } else { "scans are missing" };
            return Err(FrameError::JpegEndsEarly { what: what.to_owned() });
        }
        Ok(())
    }

    /// Passes over whatever is before the next marker, and over the marker.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            let ff = self.data.get(self.at..)?.iter().position(|&byte| byte == 0xff)?;
            self.at += ff + 1;
            match *self.data.get(self.at)? {
                0 => {}
                0xff => {}
                marker => {
                    self.at += 1;
                    return Some(marker);
                }
            }
        }
    }

    /// The bytes of the segment that begins here, without its length.
    fn segment(&mut self) -> Result<&'a [u8], FrameError> {
        let early = || FrameError::JpegEndsEarly { what: "a segment of its header is cut".to_owned() };
        let rest = self.data.get(self.at..).ok_or_else(early)?;
        let [high, low, ..] = *rest else { return Err(early()) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < 2 {
            return damaged(format!("a segment states {length} bytes, it has at least 2"));
        }
        let segment = rest.get(2..length).ok_or_else(early)?;
        self.at += length;
        Ok(segment)
    }

    fn frame(&mut self, segment: &[u8]) -> Result<(), FrameError> {
        if !self.components.is_empty() {
            return damaged("it has two frame headers");
        }
        let [_, h1, h0, w1, w0, count, ref rest @ ..] = *segment else {
            return damaged("its frame header is cut");
        };
        let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
        let (wide, high) = (u32::from(width), u32::from(height));
        if width == 0 || height == 0 {
            return Err(FrameError::Empty { width: wide, height: high });
        }
        if u64::from(wide) * u64::from(high) > MAX_PIXELS {
            return Err(FrameError::TooLarge { width: wide, height: high });
        }
        let listed: Vec<&[u8]> = rest.chunks_exact(3).collect();
        if !(1..=4).contains(&count) || listed.len() != usize::from(count) {
            return damaged(format!("its frame header states {count} colours and lists {}", listed.len()));
        }
        let sampling = |entry: &[u8]| (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
        if let Some(entry) =
            listed.iter().find(|e| [sampling(e).0, sampling(e).1].iter().any(|s| !(1..=4).contains(s)))
        {
            return damaged(format!(
                "colour {} is sampled {:?}, 1 to 4 is possible",
                entry[0],
                sampling(entry)
            ));
        }
        let across = listed.iter().map(|entry| sampling(entry).0).max().unwrap_or(1);
        let down = listed.iter().map(|entry| sampling(entry).1).max().unwrap_or(1);
        let (width, height) = (usize::from(width), usize::from(height));
        self.mcus = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        for entry in listed {
            let own = sampling(entry);
            let stride = self.mcus.0 * own.0;
            let blocks = if self.progressive { stride * self.mcus.1 * own.1 } else { 0 };
            self.components.push(Component {
                id: entry[0],
                across: own.0,
                down: own.1,
                columns: (width * own.0).div_ceil(8 * across),
                rows: (height * own.1).div_ceil(8 * down),
                stride,
                known: vec![None; 64],
                nonzero: vec![0; blocks],
            });
        }
        Ok(())
    }

    fn tables(&mut self, mut segment: &[u8]) -> Result<(), FrameError> {
        while let [kind, rest @ ..] = segment {
            let (class, id) = (kind >> 4, usize::from(kind & 15));
            let read = rest.get(..16).and_then(|counts| {
                let symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
                Some((Table::new(counts, rest.get(16..16 + symbols)?)?, 16 + symbols))
            });
            let Some((table, length)) = read.filter(|_| class < 2 && id < 4) else {
                return damaged(format!("Huffman table {kind:#04x} is not one"));
            };
            let tables = if class == 0 { &mut self.dc } else { &mut self.ac };
            tables[id] = Some(table);
            segment = &rest[length..];
        }
        Ok(())
    }

    fn scan(&mut self, segment: &[u8]) -> Result<(), FrameError> {
        if self.components.is_empty() {
            return damaged("a scan precedes the frame header");
        }
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(FrameError::JpegScans);
        }
        let (parts, band) = self.scan_header(segment)?;
        let blocks = |part: &Part| {
            let c = &self.components[part.component];
            if parts.len() == 1 { c.columns * c.rows } else { self.mcus.0 * self.mcus.1 * c.across * c.down }
        };
        let needed = parts.iter().map(blocks).sum::<usize>() as u64;
        self.visits += needed;
        if self.progressive && self.visits > MAX_VISITS {
            return Err(FrameError::JpegScans);
        }
        self.lend_tables(&parts, band)?;
        let mut found = 0;
        match self.blocks(&parts, band, &mut found) {
            Ok(end) => {
                let rest = &self.data[end..];
                let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
                let filler = rest.windows(2).position(is_marker).unwrap_or(rest.len());
                if filler > MAX_FILLER {
                    return damaged(format!("{filler} bytes follow the last block of scan {}", self.scans));
                }
                self.at = end;
            }
            Err(Stop::Short) => {
                let what = format!("scan {} holds {found} of {needed} blocks", self.scans);
                return Err(FrameError::JpegEndsEarly { what });
            }
            Err(Stop::Damaged) => {
                return damaged(format!(
                    "scan {} cannot be read after {found} of {needed} blocks",
                    self.scans
                ));
            }
        }
        for part in &parts {
            self.components[part.component].known[band.first..=band.last].fill(Some(band.low));
        }
        Ok(())
    }

    fn scan_header(&self, segment: &[u8]) -> Result<(Vec<Part>, Band), FrameError> {
        let [count, rest @ ..] = segment else { return damaged("a scan header is cut") };
        let listed = 2 * usize::from(*count);
        let (Some(entries), Some(&[first, last, bits, ..])) = (rest.get(..listed), rest.get(listed..)) else {
            return damaged("a scan header is cut");
        };
        let mut parts = Vec::new();
        for entry in entries.chunks_exact(2) {
            let Some(component) = self.components.iter().position(|c| c.id == entry[0]) else {
                return damaged(format!("a scan is of colour {}, which it does not have", entry[0]));
            };
            let (dc, ac) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
            if dc > 3 || ac > 3 || parts.iter().any(|part: &Part| part.component == component) {
                return damaged(format!("a scan names colour {} with tables {dc} and {ac}", entry[0]));
            }
            parts.push(Part { component, dc, ac });
        }
        let band = if self.progressive {
            Band { first: usize::from(first), last: usize::from(last), high: bits >> 4, low: bits & 15 }
        } else {
            Band { first: 0, last: 63, high: 0, low: 0 }
        };
        let shape = band.first <= band.last
            && band.last < 64
            && band.low < 14
            && (!self.progressive || band.first > 0 || band.last == 0)
            && (!self.progressive || band.first == 0 || parts.len() == 1);
        // Each bit of each coefficient comes once, the higher ones first.
        let before = (band.high > 0).then_some(band.high);
        let follows = before.is_none_or(|high| high == band.low + 1)
            && shape
            && parts.iter().all(|part| {
                self.components[part.component].known[band.first..=band.last].iter().all(|&bit| bit == before)
            });
        if parts.is_empty() || !shape || !follows {
            return damaged(format!("scan {} does not follow from those before it", self.scans));
        }
        Ok((parts, band))
    }

    /// Puts the standard tables where a scan asks for one that the file does not have.
    fn lend_tables(&mut self, parts: &[Part], band: Band) -> Result<(), FrameError> {
        for part in parts {
            let needs_dc = band.first == 0 && band.high == 0;
            let needs_ac = band.last > 0;
            for (needed, tables, id, class) in
                [(needs_dc, &mut self.dc, part.dc, 0), (needs_ac, &mut self.ac, part.ac, 1)]
            {
                if !needed || tables[id].is_some() {
                    continue;
                }
                let standard = STANDARD.iter().find(|(kind, ..)| usize::from(*kind) == class << 4 | id);
                let Some((_, counts, symbols)) = standard.filter(|_| !self.progressive) else {
                    return damaged(format!("Huffman table {id} is missing"));
                };
                tables[id] = Table::new(counts, symbols);
                self.lacks_tables = true;
            }
        }
        Ok(())
    }

    /// Walks the blocks of a scan, counting them in `found`, and gives where its data ends.
    fn blocks(&mut self, parts: &[Part], band: Band, found: &mut u64) -> Result<usize, Stop> {
        let mut bits = Bits::new(self.data, self.at);
        let mut run = 0;
        let alone = parts.len() == 1;
        let (columns, rows) = if alone {
            let c = &self.components[parts[0].component];
            (c.columns, c.rows)
        } else {
            self.mcus
        };
        let mut until_restart = self.restart;
        for y in 0..rows {
            for x in 0..columns {
                if self.restart > 0 {
                    if until_restart == 0 {
                        bits.restart().ok_or(Stop::Short)?;
                        run = 0;
                        until_restart = self.restart;
                    }
                    until_restart -= 1;
                }
                for part in parts {
                    let c = &mut self.components[part.component];
                    let (across, down) = if alone { (1, 1) } else { (c.across, c.down) };
                    let (dc, ac) = (self.dc[part.dc].as_ref(), self.ac[part.ac].as_ref());
                    for v in 0..down {
                        for h in 0..across {
                            if self.progressive {
                                let block = (y * down + v) * c.stride + x * across + h;
                                let nonzero = c.nonzero.get_mut(block).ok_or(Stop::Damaged)?;
                                progressive_block(&mut bits, dc, ac, band, nonzero, &mut run)?;
                            } else {
                                sequential_block(
                                    &mut bits,
                                    dc.ok_or(Stop::Damaged)?,
                                    ac.ok_or(Stop::Damaged)?,
                                )?;
                            }
                            *found += 1;
                        }
                    }
                }
            }
        }
        Ok(bits.end())
    }
}

#[cfg(test)]
mod tests;
