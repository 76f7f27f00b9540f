//! Memory of messages that were read, for those to come: new pages cost more than what is copied into them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Blocks that are kept: those that are read ahead, and some.
const KEPT: usize = 8;
/// Larger ones are not kept, in bytes.
pub(super) const LARGEST: usize = 1 << 22;

/// Blocks, most of them still in use.
#[derive(Default)]
pub(super) struct Spare(VecDeque<Bytes>);

impl Spare {
    /// A block that nobody uses any more, empty; a new one where there is none.
    pub(super) fn take(&mut self) -> BytesMut {
        let free = self.0.iter().position(Bytes::is_unique).and_then(|place| self.0.remove(place));
        let mut memory = free.and_then(|block| block.try_into_mut().ok()).unwrap_or_default();
        memory.clear();
        // One may have more room than it was kept for.
        if memory.capacity() > LARGEST { BytesMut::new() } else { memory }
    }

    /// Keeps `block` for when nobody uses it any more.
    pub(super) fn keep(&mut self, block: Bytes) {
        if block.len() <= LARGEST {
            self.0.truncate(KEPT - 1);
            self.0.push_front(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_serves_again_once_it_is_free_and_no_sooner() {
        let mut spare = Spare::default();
        let first = Bytes::from(vec![7; 100]);
        let place = first.as_ptr();
        spare.keep(first.clone());
        assert_eq!(spare.take().capacity(), 0, "it is in use");
        drop(first);
        let again = spare.take();
        assert_eq!((again.len(), again.as_ptr()), (0, place));
        assert_eq!(spare.take().capacity(), 0, "it was taken");
        spare.keep(vec![0; LARGEST + 1].into());
        assert!(spare.0.is_empty());
        let mut roomy = BytesMut::with_capacity(LARGEST + 1);
        roomy.extend_from_slice(&[1, 2]);
        spare.keep(roomy.freeze());
        assert_eq!(spare.take().capacity(), 0, "a large block is not carried along for small ones");
        (0..2 * KEPT).for_each(|_| spare.keep(vec![1].into()));
        assert_eq!(spare.0.len(), KEPT);
    }
}
