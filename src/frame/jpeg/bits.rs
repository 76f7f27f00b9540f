//! The bits of a scan.

use super::tables::Table;

/// Why a scan's blocks cannot be walked to the end.
pub(super) enum Stop {
    /// No more bits.
    Short,
    /// Bits that mean nothing.
    Damaged,
}

/// Bits from a scan's first byte up to the next marker, without the stuffed zeros.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, the first one uppermost.
    buffer: u64,
    held: u8,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, held: 0 }
    }

    /// Where the scan's data ends or a marker begins.
    pub(super) fn end(&self) -> usize {
        // Up to eight bytes were read ahead, none of them beyond a marker.
        self.at
    }

    /// Passes over the restart marker that is due; `None` if it is another one, or none.
    pub(super) fn restart(&mut self) -> Option<()> {
        (self.buffer, self.held) = (0, 0);
        loop {
            let ff = self.data.get(self.at..)?.iter().position(|&byte| byte == 0xff)?;
            self.at += ff;
            match *self.data.get(self.at + 1)? {
                0xd0..=0xd7 => {
                    self.at += 2;
                    return Some(());
                }
                0 | 0xff => self.at += 1,
                _ => return None,
            }
        }
    }

    pub(super) fn skip(&mut self, count: u8) -> Result<(), Stop> {
        self.number(count).map(|_| ())
    }

    /// The next `count` bits, at most 16, as a number.
    pub(super) fn number(&mut self, count: u8) -> Result<u32, Stop> {
        if count > 16 {
            return Err(Stop::Damaged);
        }
        self.fill();
        if count > self.held {
            return Err(Stop::Short);
        }
        let value = (self.buffer >> 48) as u32 >> (16 - count);
        self.drop(count);
        Ok(value)
    }

    /// The symbol whose code comes next.
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Stop> {
        self.fill();
        let next = (self.buffer >> 48) as u16;
        let Some((length, symbol)) = table.find(next) else {
            return Err(if self.held < 16 { Stop::Short } else { Stop::Damaged });
        };
        if length > self.held {
            return Err(Stop::Short);
        }
        self.drop(length);
        Ok(symbol)
    }

    fn drop(&mut self, count: u8) {
        self.buffer <<= count;
        self.held -= count;
    }

    fn fill(&mut self) {
        if self.held >= 16 {
            return;
        }
        while self.held <= 56 {
            let Some(&byte) = self.data.get(self.at) else { return };
            if byte == 0xff {
                match self.data.get(self.at + 1) {
                    Some(0) => self.at += 1,
                    Some(0xff) => {
                        self.at += 1;
                        continue;
                    }
                    _ => return,
                }
            }
            self.at += 1;
            self.buffer |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
    }
}
