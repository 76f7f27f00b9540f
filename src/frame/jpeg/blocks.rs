//! The blocks of a scan: which bits they take.

use super::bits::{Bits, Stop};
use super::tables::Table;

/// Coefficients and bits that a scan carries.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub first: usize,
    pub last: usize,
    /// The bit that was known before; 0 for a first scan.
    pub high: u8,
    /// The bit known after it.
    pub low: u8,
}

/// Passes over a block of a sequential scan.
pub(super) fn sequential_block(bits: &mut Bits, dc: &Table, ac: &Table) -> Result<(), Stop> {
    let length = bits.symbol(dc)?;
    bits.skip(length)?;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(ac)?;
        let (zeros, length) = (usize::from(symbol >> 4), symbol & 15);
        match (zeros, length) {
            (15, 0) => k += 16,
            (_, 0) => break,
            _ => {
                k += zeros;
                if k > 63 {
                    return Err(Stop::Damaged);
                }
                bits.skip(length)?;
                k += 1;
            }
        }
    }
    Ok(())
}

/// Passes over a block of a progressive scan; `nonzero` has a bit for each of its coefficients that is
/// not zero, and `run` is the number of blocks that have no more coefficients in this band.
pub(super) fn progressive_block(
    bits: &mut Bits,
    dc: Option<&Table>,
    ac: Option<&Table>,
    band: Band,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    match (band.first, band.high) {
        (0, 0) => {
            let length = bits.symbol(dc.ok_or(Stop::Damaged)?)?;
            bits.skip(length)
        }
        (0, _) => bits.skip(1),
        (_, 0) => first_coefficients(bits, ac.ok_or(Stop::Damaged)?, band, nonzero, run),
        _ => refined_coefficients(bits, ac.ok_or(Stop::Damaged)?, band, nonzero, run),
    }
}

fn first_coefficients(
    bits: &mut Bits,
    ac: &Table,
    band: Band,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = band.first;
    while k <= band.last {
        let symbol = bits.symbol(ac)?;
        let (zeros, length) = (usize::from(symbol >> 4), symbol & 15);
        match (zeros, length) {
            (15, 0) => k += 16,
            (_, 0) => {
                *run = (1 << zeros) - 1 + bits.number(zeros as u8)?;
                break;
            }
            _ => {
                k += zeros;
                if k > 63 {
                    return Err(Stop::Damaged);
                }
                bits.skip(length)?;
                *nonzero |= 1 << k;
                k += 1;
            }
        }
    }
    Ok(())
}

fn refined_coefficients(
    bits: &mut Bits,
    ac: &Table,
    band: Band,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    let mut k = band.first;
    if *run == 0 {
        while k <= band.last {
            let symbol = bits.symbol(ac)?;
            let (mut zeros, length) = (symbol >> 4, symbol & 15);
            match length {
                0 if zeros < 15 => {
                    *run = (1 << zeros) + bits.number(zeros)?;
                    break;
                }
                0 => {}
                1 => bits.skip(1)?,
                _ => return Err(Stop::Damaged),
            }
            while k <= band.last {
                if *nonzero >> k & 1 == 1 {
                    bits.skip(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if length == 1 && k <= band.last {
                *nonzero |= 1 << k;
            }
            k += 1;
        }
    }
    if *run > 0 {
        for k in k..=band.last {
            if *nonzero >> k & 1 == 1 {
                bits.skip(1)?;
            }
        }
        *run -= 1;
    }
    Ok(())
}
