//! Decompression that ends: whatever the bytes say, no more comes out than is allowed.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use zstd::bulk::Decompressor;

/// The largest message or chunk that is read, in bytes: an image of as many pixels as are decoded,
/// four bytes each, and its header.
pub(crate) const MOST: usize = (1 << 28) + (1 << 20);

thread_local! {
    /// Its tables are large: made anew for each chunk they cost a quarter of the time.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

/// Begins every zstd frame; no CDR message begins so.
pub(crate) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Begins every lz4 frame.
const LZ4: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// What came out, and why no more.
pub(crate) struct Unpacked {
    /// All bytes before the fault, or all there are.
    pub bytes: Bytes,
    /// The fault.
    pub fault: Option<String>,
}

/// Unpacks `packed`, which is zstd, lz4 or, where it begins like neither, not packed. `size` is what is
/// said to come out, and only a hint. It is unpacked into `memory`, if that is of use.
pub(crate) fn unpack(packed: &Bytes, size: u64, memory: BytesMut) -> Unpacked {
    if packed.starts_with(&ZSTD) {
        // In one go where all is well; else as far as it goes.
        if let Some(bytes) = in_one_go(packed, size, memory) {
            return Unpacked { bytes, fault: None };
        }
        match zstd::stream::read::Decoder::with_buffer(&packed[..]) {
            Ok(decoder) => drained(decoder, size),
            Err(error) => Unpacked { bytes: Bytes::new(), fault: Some(error.to_string()) },
        }
    } else if packed.starts_with(&LZ4) {
        match lz4::Decoder::new(&packed[..]) {
            Ok(decoder) => drained(decoder, size),
            Err(error) => Unpacked { bytes: Bytes::new(), fault: Some(error.to_string()) },
        }
    } else {
        Unpacked { bytes: packed.clone(), fault: None }
    }
}

/// Unpacks what is zstd, whole and no larger than `size`; `None` where it is not.
pub(crate) fn in_one_go(packed: &[u8], size: u64, memory: BytesMut) -> Option<Bytes> {
    let size = usize::try_from(size).ok().filter(|size| (1..=MOST).contains(size))?;
    let mut bytes = Vec::from(memory);
    bytes.clear();
    // No more than the bytes themselves ask for.
    let stated = usize::try_from(stated_size(packed)).ok().filter(|&stated| stated > 0);
    bytes.try_reserve_exact(stated.map_or(size, |stated| stated.min(size))).ok()?;
    DECOMPRESSOR.with_borrow_mut(|zstd| zstd.as_mut()?.decompress_to_buffer(packed, &mut bytes).ok())?;
    Some(bytes.into())
}

/// A message as it was before rosbag2 compressed it by itself, if it did.
pub(crate) fn plain(data: Bytes) -> Result<Bytes, String> {
    if !data.starts_with(&ZSTD) {
        return Ok(data);
    }
    let unpacked = unpack(&data, stated_size(&data), BytesMut::new());
    match unpacked.fault {
        None => Ok(unpacked.bytes),
        Some(fault) => Err(format!("a compressed message of {} bytes: {fault}", data.len())),
    }
}

/// The size that a zstd frame states, if it does.
fn stated_size(packed: &[u8]) -> u64 {
    zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().unwrap_or(0)
}

fn drained(decoder: impl Read, size: u64) -> Unpacked {
    let mut bytes = Vec::new();
    // One more than is said, so that the end is met without another growth.
    let hint = usize::try_from(size).ok().filter(|&size| size <= MOST).map_or(0, |size| size + 1);
    if bytes.try_reserve_exact(hint).is_err() {
        bytes = Vec::new();
    }
    let read = decoder.take(MOST as u64 + 1).read_to_end(&mut bytes);
    let mut fault = read.err().map(|error| error.to_string());
    if bytes.len() > MOST {
        bytes = Vec::new();
        fault = Some(format!("unpacks to more than {MOST} bytes, which are read at most"));
    }
    Unpacked { bytes: bytes.into(), fault }
}

/// Unpacks a zstd file as far as it can be, up to `most` bytes. The error says where it ended.
pub(crate) fn unpack_file(packed: impl Read, unpacked: &mut impl Write, most: u64) -> io::Result<()> {
    let decoder = zstd::stream::read::Decoder::new(packed)?;
    if io::copy(&mut decoder.take(most), unpacked)? == most {
        return Err(io::Error::other(format!("unpacks to {most} bytes or more, which is too much")));
    }
    unpacked.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out_and_what_was_not_stays() {
        let plain: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        let zstd = Bytes::from(zstd::encode_all(&plain[..], 1).unwrap());
        for size in [0, plain.len() as u64, u64::MAX] {
            let Unpacked { bytes, fault } = unpack(&zstd, size, BytesMut::new());
            assert_eq!((&bytes[..], fault), (&plain[..], None));
        }
        let mut lz4 = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
        lz4.write_all(&plain).unwrap();
        let (lz4, done) = lz4.finish();
        done.unwrap();
        assert_eq!(unpack(&lz4.into(), 0, BytesMut::new()).bytes, plain);
        assert_eq!(unpack(&plain.clone().into(), 0, BytesMut::new()).bytes, plain);
    }

    #[test]
    fn a_bomb_is_refused_and_a_cut_frame_gives_what_was_before_the_cut() {
        let zeros = io::repeat(0).take(MOST as u64 + 10);
        let bomb = Bytes::from(zstd::encode_all(zeros, 1).unwrap());
        let Unpacked { bytes, fault } = unpack(&bomb, 0, BytesMut::new());
        assert!(bytes.is_empty() && fault.unwrap().contains("unpacks to more than"));

        // Blocks of 128 KiB, the first of which is whole.
        let mut state = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(400_000)
        .collect();
        let packed = Bytes::from(zstd::encode_all(&noise[..], 1).unwrap());
        let Unpacked { bytes, fault } = unpack(&packed.slice(..200_000), 0, BytesMut::new());
        assert!(fault.is_some() && bytes.len() >= 100_000);
        assert!(noise.starts_with(&bytes));
    }
}
