//! The distinct 5x5 patches of label maps by tensor operations, for devices that have no way of their own.
//!
//! Nothing is remembered from frame to frame: what `super::patches` saves a CPU, a GPU does in less time than
//! it takes to ask the host.

use tch::{Kind, Tensor};

use crate::network::download::download;
use crate::network::layers::one_hot;

/// Sides of a patch: a label reaches two pixels into its scale and shift.
const SIDE: i64 = 5;

/// What weighs each label in a patch's hash: powers of an odd number with bits all over.
const WEIGHTS: [i64; 25] = {
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut weights = [BASE as i64; 25];
    let mut i = 1;
    while i < weights.len() {
        weights[i] = (weights[i - 1] as u64).wrapping_mul(BASE) as i64;
        i += 1;
    }
    weights
};

/// Patches, each once.
#[derive(Debug)]
pub(super) struct Distinct {
    /// `patches x classes x 5 x 5` of ones and zeros.
    pub one_hot: Tensor,
    /// `patches x 1 x 3 x 3`: 0 where the second convolution would see what lies outside the image.
    pub inside: Tensor,
    /// Which of the patches each pixel has, int64.
    pub slots: Tensor,
}

impl Distinct {
    /// Of `N x h x w` ids, to compute in `kind`. `None` where more than a share of `most` of the pixels have a
    /// patch of their own, or where two patches that differ have one hash.
    pub fn of(labels: &Tensor, classes: i64, kind: Kind, most: f64) -> Option<Self> {
        let (unknown, outside) = (classes, classes + 1);
        let no_class = labels.lt(0).logical_or(&labels.ge(classes));
        let symbols = labels.to_kind(Kind::Int16).masked_fill(&no_class, unknown);
        // Padding is with zeros.
        let padded = (symbols - outside).constant_pad_nd([2, 2, 2, 2]) + outside;
        let patches = padded.unfold(1, SIDE, 1).unfold(2, SIDE, 1).reshape([-1, SIDE * SIDE]);
        let weights = Tensor::from_slice(&WEIGHTS).to_device(patches.device());
        let hashes = (&patches * weights).sum_dim_intlist([1i64].as_slice(), false, Kind::Int64);
        let (hashes, slots, _) = hashes.internal_unique2(true, true, false);
        let (count, pixels) = (hashes.size()[0], patches.size()[0]);
        if count as f64 > most * pixels as f64 {
            return None;
        }
        let places = Tensor::arange(pixels, (Kind::Int64, slots.device()));
        let first = Tensor::zeros([count], (Kind::Int64, slots.device())).scatter_(0, &slots, &places);
        let distinct = patches.index_select(0, &first);
        let same = distinct.index_select(0, &slots).eq_tensor(&patches).all();
        if download::<bool>(&same).ok()? != [true] {
            return None;
        }
        let distinct = distinct.view([count, SIDE, SIDE]);
        let centers = distinct.narrow(1, 1, 3).narrow(2, 1, 3).unsqueeze(1);
        Some(Self {
            one_hot: one_hot(&distinct, classes, kind),
            inside: centers.ne(outside).to_kind(kind),
            slots,
        })
    }
}
