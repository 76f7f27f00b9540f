//! Arguments that name another segmenter's labels of a data set.

use std::path::{Path, PathBuf};

use clap::Args;
use synthcp_monitor::data::Coding;
use synthcp_monitor::data::given::GivenAt;

/// Another segmenter's labels, which are judged in place of M's.
#[derive(Args, Clone)]
pub struct Given {
    /// Judges another segmenter's labels in place of M's: a folder with NAME.png (or NAME_pred.png) of each sample, in
    /// the bundle's classes. That segmenter must not have learned from the samples. NAME.npy beside each, its softmax
    /// (classes x height x width) or its confidence (height x width), is measured by evaluate.
    #[arg(long, value_name = "DIR")]
    predictions: Option<PathBuf>,
    /// How those write classes: label-ids, train-ids or colours; places in the bundle's label set (train-ids) or its
    /// colours by default.
    #[arg(long, requires = "predictions", value_name = "CODING")]
    predictions_coding: Option<Coding>,
}

impl Given {
    /// Where they are.
    pub fn at(&self) -> Option<GivenAt> {
        let folder = self.predictions.clone()?;
        Some(GivenAt { folder, coding: self.predictions_coding })
    }

    /// Their folder.
    pub fn folder(&self) -> Option<&Path> {
        self.predictions.as_deref()
    }
}
