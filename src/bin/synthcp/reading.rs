//! How labels are read: arguments that every command on labelled data has.

use std::path::PathBuf;

use clap::Args;
use synthcp_monitor::data::{self, Coding};

/// Which classes the labels have, and how they are written.
#[derive(Args, Clone)]
pub struct Reading {
    /// File of the data's label set: names, ids, colours. By default labels.yaml in the data's folder, or,
    /// without that file, the set that the layout belongs to.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How label files write classes: label-ids (as the label set says) or train-ids (0, 1, 2, ... in the order
    /// of its classes, 255 for none) or colours (those of the label set, black for none). Told by what is met by
    /// default.
    #[arg(long)]
    coding: Option<Coding>,
}

impl Reading {
    /// As the library wants it.
    pub fn of_data(&self) -> data::Reading {
        data::Reading { labels: self.labels.clone(), coding: self.coding }
    }
}
