//! What is trained, how large and for how long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::Plan;
use crate::model::anomaly;
use crate::network::baseline::BaselineConfig;
use crate::network::comparison::ComparatorConfig;
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::GeneratorConfig;

/// Everything that decides what comes out, besides the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Commands that make the data, where commands do; kept in the bundle.
    #[serde(default)]
    pub data: Vec<String>,
    /// Height and width at which the networks work.
    pub working_size: [u32; 2],
    /// M.
    pub segmentation: SegmenterConfig,
    /// Steps of M.
    pub segmentation_steps: u64,
    /// Contiguous folds on which F's examples are made.
    pub folds: usize,
    /// Steps of each fold's M.
    pub fold_steps: u64,
    /// Whether every second image of the folds is shown to M once more, degraded.
    pub degraded: bool,
    /// G.
    pub synthesis: GeneratorConfig,
    /// Channels of the first layer of G's discriminator.
    #[serde(alias = "judge_width")]
    #[serde(alias = "discriminator_width")]
    #[serde(alias = "discriminator_width")]
    pub discriminator_width: i64,
    /// Steps of G.
    pub synthesis_steps: u64,
    /// F.
    pub comparison: ComparatorConfig,
    /// Steps of F.
    pub comparison_steps: u64,
    /// What F is measured against, by name.
    #[serde(default)]
    pub baselines: BTreeMap<String, Plan>,
    /// How the bundle makes its anomaly score.
    #[serde(default)]
    pub anomaly: anomaly::Config,
    /// Images a step of M, G and F.
    pub batch: [usize; 3],
    /// Peak learning rates of M, G and F.
    pub rate: [f64; 3],
    /// Seed of all that is random.
    pub seed: u64,
}

impl Recipe {
    /// Passes of M with dropout at work over each image of the folds: as many as the baseline that learns
    /// from them takes, none where there is none.
    pub(crate) fn dropout_passes(&self) -> usize {
        let passes = |plan: &Plan| match &plan.network {
            BaselineConfig::McDropout(config) => Some(config.passes),
            _ => None,
        };
        self.baselines.values().find_map(passes).unwrap_or(0)
    }
}
