//! Labels of another segmenter, and what it said of them, as an inference takes them.

use tch::Tensor;

/// What another segmenter made of a batch, at the working size.
#[derive(Debug)]
pub(crate) struct Given {
    /// `N x H x W`: ids, and what is no class where it gave none.
    pub labels: Tensor,
    /// Its softmax, `N x classes x H x W`, fp32, which is believed in place of M's.
    pub probabilities: Option<Tensor>,
    /// How sure it was of its labels, `N x 1 x H x W`, fp32, in \[0, 1\].
    pub confidence: Option<Tensor>,
}

impl Given {
    /// Labels alone, `N x H x W`.
    pub(crate) fn labels_alone(labels: Tensor) -> Self {
        Self { labels, probabilities: None, confidence: None }
    }
}
