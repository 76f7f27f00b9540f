//! YUV to RGB: BT.601, limited range, in the fixed-point arithmetic of OpenCV, so that a frame has
//! the very bytes that `cv_bridge` gives.

const SHIFT: i32 = 20;
const HALF: i32 = 1 << (SHIFT - 1);
const Y_GAIN: i32 = 1_220_542;
const U_TO_BLUE: i32 = 2_116_026;
const U_TO_GREEN: i32 = -409_993;
const V_TO_GREEN: i32 = -852_492;
const V_TO_RED: i32 = 1_673_527;

/// What one pair of chroma values adds to red, green and blue.
fn chroma(u: u8, v: u8) -> [i32; 3] {
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [HALF + V_TO_RED * v, HALF + V_TO_GREEN * v + U_TO_GREEN * u, HALF + U_TO_BLUE * u]
}

fn write(pixel: &mut [u8], y: u8, chroma: [i32; 3]) {
    let y = (i32::from(y) - 16).max(0) * Y_GAIN;
    for (out, chroma) in pixel.iter_mut().zip(chroma) {
        *out = ((y + chroma) >> SHIFT).clamp(0, 255) as u8;
    }
}

/// One row of `U Y V Y`; its width is even.
pub(super) fn uyvy_row(row: &[u8], out: &mut [u8]) {
    for (pair, out) in row.chunks_exact(4).zip(out.chunks_exact_mut(6)) {
        let chroma = chroma(pair[0], pair[2]);
        let (left, right) = out.split_at_mut(3);
        write(left, pair[1], chroma);
        write(right, pair[3], chroma);
    }
}

/// One row of `Y U Y V`; its width is even.
pub(super) fn yuyv_row(row: &[u8], out: &mut [u8]) {
    for (pair, out) in row.chunks_exact(4).zip(out.chunks_exact_mut(6)) {
        let chroma = chroma(pair[1], pair[3]);
        let (left, right) = out.split_at_mut(3);
        write(left, pair[0], chroma);
        write(right, pair[2], chroma);
    }
}

/// One row of luma with its row of `U V` pairs (`V U` if `swapped`), a pair for two pixels.
pub(super) fn half_chroma_row(luma: &[u8], pairs: &[u8], swapped: bool, out: &mut [u8]) {
    let pixels = luma.chunks_exact(2).zip(out.chunks_exact_mut(6));
    for ((luma, out), pair) in pixels.zip(pairs.chunks_exact(2)) {
        let chroma = if swapped { chroma(pair[1], pair[0]) } else { chroma(pair[0], pair[1]) };
        let (left, right) = out.split_at_mut(3);
        write(left, luma[0], chroma);
        write(right, luma[1], chroma);
    }
}

/// One row of luma with its row of `U V` pairs, a pair for every pixel.
pub(super) fn full_chroma_row(luma: &[u8], pairs: &[u8], out: &mut [u8]) {
    for ((&y, pair), pixel) in luma.iter().zip(pairs.chunks_exact(2)).zip(out.chunks_exact_mut(3)) {
        write(pixel, y, chroma(pair[0], pair[1]));
    }
}
