//! What is trained, how large and for how long.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TrainError;
use super::baseline::Plan;
use super::outliers;
use crate::data::folds;
use crate::model::anomaly;
use crate::model::bundle::{MOST_YAML, check_size};
use crate::network::baseline::BaselineConfig;
use crate::network::comparison::ComparatorConfig;
use crate::network::range::{OutOfRange, all_within, within};
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::GeneratorConfig;
use crate::quote::told;
use crate::whole_file;

const BATCHES: RangeInclusive<usize> = 1..=4096;
const RATES: RangeInclusive<f64> = 1e-12..=1.;

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
    /// Height and width of the part of each image that a step of M sees; without, all of it.
    #[serde(default)]
    pub segmentation_crop: Option<[u32; 2]>,
    /// Steps of M.
    pub segmentation_steps: u64,
    /// Contiguous folds on which F's examples are made.
    pub folds: usize,
    /// What no fold cuts through; without, only their lengths count.
    #[serde(default)]
    pub folds_along: Option<folds::Along>,
    /// Steps of each fold's M.
    pub fold_steps: u64,
    /// Whether every second image of the folds is shown to M once more, degraded.
    pub degraded: bool,
    /// Things of no class in the folds' images, for an F that learns the unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outliers: Option<outliers::Config>,
    /// Whether what is unlabelled from the lower edge upwards is the vehicle's own bonnet, which F is to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sees_own_vehicle: bool,
    /// By how much the tones of x are changed at most, as F and its baselines see it: contrast, brightness,
    /// saturation, white balance. An F that is trained for long learns its camera by heart without.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub comparison_color: f64,
    /// G.
    pub synthesis: GeneratorConfig,
    /// Channels of the first layer of G's discriminator.
    #[serde(alias = "judge_width")]
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

fn is_zero(share: &f64) -> bool {
    *share == 0.
}

impl Recipe {
    /// Reads the recipe at `path` and checks it.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let wrong = |reason: String| TrainError::Format { path: path.into(), reason };
        let bytes = whole_file::read(path, MOST_YAML)?;
        let recipe: Self = serde_norway::from_slice(&bytes).map_err(|e| wrong(told(e)))?;
        recipe.check().map_err(wrong)?;
        Ok(recipe)
    }

    /// Says which number is beyond its range, before anything is built of it.
    pub fn check(&self) -> Result<(), String> {
        self.numbers().map_err(|e| e.to_string())?;
        self.anomaly.unknown.check(self.comparison.sees_unknown())?;
        self.anomaly.check_fovea(self.working_size, &self.synthesis)?;
        if self.comparison.sees_unknown() && self.outliers.is_none() {
            return Err("comparison.unknown is true without 'outliers', of which it is learned".into());
        }
        check_size(&self.synthesis, self.working_size)
    }

    fn numbers(&self) -> Result<(), OutOfRange> {
        self.segmentation.check().map_err(|e| e.under("segmentation"))?;
        self.synthesis.check().map_err(|e| e.under("synthesis"))?;
        self.comparison.check().map_err(|e| e.under("comparison"))?;
        if let Some(outliers) = &self.outliers {
            outliers.check().map_err(|e| e.under("outliers"))?;
        }
        if let Some(crop) = &self.segmentation_crop {
            let within_image = |side: u32, most: u32| within("segmentation_crop", side, 1..=most);
            within_image(crop[0], self.working_size[0])?;
            within_image(crop[1], self.working_size[1])?;
        }
        within("folds", self.folds, 2..=100)?;
        within("comparison_color", self.comparison_color, 0. ..=0.9)?;
        within("discriminator_width", self.discriminator_width, 1..=256)?;
        all_within("batch", &self.batch, BATCHES)?;
        all_within("rate", &self.rate, RATES)?;
        self.baselines.iter().try_for_each(|(name, plan)| {
            let plan_is_right = || {
                plan.network.check().map_err(|e| e.under("network"))?;
                within("batch", plan.batch, BATCHES)?;
                within("rate", plan.rate, RATES)
            };
            plan_is_right().map_err(|e| e.under(name).under("baselines"))
        })
    }

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
