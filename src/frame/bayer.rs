//! Bilinear demosaicing.

/// The colours of the upper left 2x2 pixels, as ROS names them: left to right, top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// R G / G B.
    Rggb,
    /// B G / G R.
    Bggr,
    /// G B / R G.
    Gbrg,
    /// G R / B G.
    Grbg,
}

impl Pattern {
    /// Parity of the column and row at which red stands.
    fn red(self) -> (usize, usize) {
        match self {
            Self::Rggb => (0, 0),
            Self::Grbg => (1, 0),
            Self::Gbrg => (0, 1),
            Self::Bggr => (1, 1),
        }
    }
}

/// Interpolates the two missing colours of every pixel from its neighbours, mirrored at the border
/// (which keeps the pattern).
///
/// `plane` holds `height` rows of `width` bytes, `step` bytes apart; `out` is RGB, packed. Width
/// and height are at least 2.
pub(super) fn demosaic(
    plane: &[u8],
    step: usize,
    width: usize,
    height: usize,
    pattern: Pattern,
    out: &mut [u8],
) {
    let row = |y: usize| &plane[y * step..y * step + width];
    let (red_x, red_y) = pattern.red();
    let mut above = mirrored(row(1));
    let mut here = mirrored(row(0));
    for (y, out) in out.chunks_exact_mut(3 * width).enumerate() {
        let below = mirrored(row(if y + 1 < height { y + 1 } else { height - 2 }));
        // A row holds green and one other colour: red (channel 0) or blue (channel 2).
        let (own, other) = if y % 2 == red_y { (0, 2) } else { (2, 0) };
        let own_x = if y % 2 == red_y { red_x } else { 1 - red_x };
        demosaic_row([&above, &here, &below], out, own_x, own, other);
        above = here;
        here = below;
    }
}

/// `row` with one mirrored pixel more at either end.
fn mirrored(row: &[u8]) -> Vec<u8> {
    let mut padded = Vec::with_capacity(row.len() + 2);
    padded.push(row[1]);
    padded.extend_from_slice(row);
    padded.push(row[row.len() - 2]);
    padded
}

/// One row; columns of parity `own_x` measured the channel `own`, the rest green.
fn demosaic_row(rows: [&[u8]; 3], out: &mut [u8], own_x: usize, own: usize, other: usize) {
    let windows = rows[0].windows(3).zip(rows[1].windows(3)).zip(rows[2].windows(3));
    for (x, (pixel, ((above, here), below))) in out.chunks_exact_mut(3).zip(windows).enumerate() {
        if x % 2 == own_x {
            pixel[own] = here[1];
            pixel[1] = mean4(here[0], here[2], above[1], below[1]);
            pixel[other] = mean4(above[0], above[2], below[0], below[2]);
        } else {
            pixel[own] = mean2(here[0], here[2]);
            pixel[1] = here[1];
            pixel[other] = mean2(above[1], below[1]);
        }
    }
}

fn mean2(a: u8, b: u8) -> u8 {
    (u16::from(a) + u16::from(b)).div_ceil(2) as u8
}

fn mean4(a: u8, b: u8, c: u8, d: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d) + 2) / 4) as u8
}
