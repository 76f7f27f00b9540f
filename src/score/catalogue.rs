//! Every detector there is, by the name that a command line gives it. A new one takes one entry here,
//! and is in all tables.

use super::detector::Detector;
use super::logits::{self, FromLogits};
use super::mc_dropout::McDropout;
use super::sml::{ClassStatistics, StandardizedMaxLogit};
use super::synthcp::{BundleComparator, Cosine, OWN_COSINE, WithMsp};
use crate::model::anomaly;
use crate::model::networks::Networks;

/// What detectors are made from.
pub struct Parts<'a> {
    /// The bundle's networks.
    pub networks: &'a Networks,
    /// What a calibration slice told of M's logits.
    pub statistics: Option<ClassStatistics>,
    /// Passes with dropout.
    pub passes: usize,
}

impl<'a> Parts<'a> {
    /// Of the networks alone.
    pub fn of(networks: &'a Networks) -> Self {
        Self { networks, statistics: None, passes: PASSES }
    }
}

/// Passes with dropout, unless said otherwise. SynthCP's code takes 50.
pub const PASSES: usize = 10;

/// A detector, boxed.
pub type Boxed = Box<dyn Detector>;

/// One kind of detector.
pub struct Entry {
    /// Its name on a command line.
    pub id: &'static str,
    /// What it cannot be without, in words.
    pub needs: &'static str,
    /// Makes it, if the means are there.
    make: fn(&Parts) -> Option<Boxed>,
}

/// All kinds, in the order of tables.
pub const ENTRIES: [Entry; 10] = [
    Entry {
        id: "synthcp",
        needs: "F",
        make: |m| boxed(BundleComparator::new(m.networks.comparator_title())),
    },
    Entry { id: "synthcp+msp", needs: "F", make: |m| boxed(WithMsp::new(m.networks.comparator_title())) },
    Entry { id: "cosine", needs: "G", make: own_cosine },
    Entry {
        id: "cosine-paper",
        needs: "an anomaly score of the bundle that is not the paper's",
        make: papers_cosine,
    },
    Entry { id: "msp", needs: "M", make: |_| boxed(FromLogits::probability("1 - MSP", logits::msp)) },
    Entry { id: "max-logit", needs: "M", make: |_| boxed(FromLogits::score("max logit", logits::max_logit)) },
    Entry { id: "energy", needs: "M", make: |_| boxed(FromLogits::score("energy", logits::energy)) },
    Entry { id: "entropy", needs: "M", make: |_| boxed(FromLogits::score("entropy", logits::entropy)) },
    Entry { id: "sml", needs: "a calibration slice", make: sml },
    Entry { id: "mc-dropout", needs: "an M with dropout", make: mc_dropout },
];

fn boxed(detector: impl Detector + 'static) -> Option<Boxed> {
    Some(Box::new(detector))
}

fn own_cosine(means: &Parts) -> Option<Boxed> {
    boxed(Cosine { name: OWN_COSINE, config: means.networks.anomaly_config() })
}

fn papers_cosine(means: &Parts) -> Option<Boxed> {
    let config = anomaly::Config::default();
    let other = means.networks.anomaly_config() != config;
    other.then_some(())?;
    boxed(Cosine { name: "SynthCP cosine, the paper's", config })
}

fn sml(means: &Parts) -> Option<Boxed> {
    let statistics = means.statistics.clone()?;
    boxed(StandardizedMaxLogit::new(statistics, means.networks.size().0))
}

fn mc_dropout(means: &Parts) -> Option<Boxed> {
    let dropout = means.networks.has_dropout();
    dropout.then_some(())?;
    boxed(McDropout { passes: means.passes })
}

/// A detector that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// No entry of this name.
    #[error("no detector '{id}'; there are {known}")]
    Unknown {
        /// What was asked for.
        id: String,
        /// All there are, comma separated.
        known: String,
    },
    /// It was asked for by name and cannot be made.
    #[error("detector '{id}' needs {needs}")]
    Lacking {
        /// Which.
        id: &'static str,
        /// What is not there.
        needs: &'static str,
    },
}

/// The detectors named by `ids`, each of which must be to be had; without names, all that are.
pub fn choose(ids: &[String], means: &Parts) -> Result<Vec<Boxed>, CatalogueError> {
    if ids.is_empty() {
        return Ok(ENTRIES.iter().filter_map(|entry| (entry.make)(means)).collect());
    }
    let known = || ENTRIES.iter().map(|entry| entry.id).collect::<Vec<_>>().join(", ");
    let make = |id: &String| {
        let entry = ENTRIES.iter().find(|entry| entry.id == id);
        let entry = entry.ok_or_else(|| CatalogueError::Unknown { id: id.clone(), known: known() })?;
        (entry.make)(means).ok_or(CatalogueError::Lacking { id: entry.id, needs: entry.needs })
    };
    ids.iter().map(make).collect()
}

/// The entries that [`choose`] leaves out where no names are given.
pub fn left_out(means: &Parts) -> Vec<&'static Entry> {
    ENTRIES.iter().filter(|entry| (entry.make)(means).is_none()).collect()
}
