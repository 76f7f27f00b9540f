//! What a protocol fixes beforehand: networks, steps, slices, systems.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::data::Slice;
use crate::evaluate::dossier::DossierError;
use crate::evaluate::error::EvaluationError;
use crate::model::bundle::BundleError;
use crate::network::comparison::ComparatorConfig;
use crate::network::segmentation::SegmenterConfig;
use crate::network::synthesis::GeneratorConfig;
use crate::train::TrainError;
use crate::train::baseline::Plan;
use crate::train::calibration::CalibrationError;
use crate::train::recipe::Recipe;

/// Everything that is fixed beforehand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Height and width at which the networks work.
    pub working_size: [u32; 2],
    /// Samples that train.
    pub train: Slice,
    /// Samples that set the thresholds.
    pub calibration: Slice,
    /// Samples that are tested.
    pub test: Slice,
    /// Contiguous folds on which the examples of the comparator F are made.
    pub folds: usize,
    /// Whether the segmenter M predicts every second image of the folds once more, degraded.
    pub degraded: bool,
    /// Seed of everything random, unless a baseline has its own.
    pub seed: u64,
    /// Segmenters M, by name.
    pub segmenters: BTreeMap<String, SegmenterPlan>,
    /// Generators G, by name.
    pub generators: BTreeMap<String, GeneratorPlan>,
    /// The comparator F of the bundles.
    pub comparison: ComparerPlan,
    /// Detectors that F is compared with, by name.
    pub baselines: BTreeMap<String, Plan>,
    /// What is trained on which networks, in this order.
    pub systems: Vec<System>,
    /// Seconds per step (of a segmenter, a generator, `comparison` or a baseline, by its name), or per stage
    /// without steps (`predictions`, `bundle`, `evaluation`): measured once, for the forecast.
    pub seconds: BTreeMap<String, f64>,
}

/// An M and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmenterPlan {
    /// The network.
    pub network: SegmenterConfig,
    /// Steps of M.
    pub steps: u64,
    /// Steps of each fold's M.
    pub fold_steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
}

/// A G and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorPlan {
    /// The network.
    pub network: GeneratorConfig,
    /// Channels of the first layer of G's discriminator.
    #[serde(alias = "judge_width")]
    pub discriminator_width: i64,
    /// Steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Learning rate.
    pub rate: f64,
}

/// An F and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparerPlan {
    /// The network.
    pub network: ComparatorConfig,
    /// Steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
}

/// An M, a G and what is measured on them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Its name.
    pub name: String,
    /// Name of its M.
    pub segmenter: String,
    /// Name of its G.
    pub generator: String,
    /// Names of the baselines that are trained on it.
    pub baselines: Vec<String>,
}

/// Why a protocol cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A system names what the protocol does not have.
    #[error("system '{system}': no {what} '{name}'; there is {known}")]
    Unknown {
        /// The system.
        system: String,
        /// Segmenter, generator or baseline.
        what: &'static str,
        /// Its name.
        name: String,
        /// All known ones, comma separated.
        known: String,
    },
    /// There is no system of this name.
    #[error("no system '{name}'; there is {known}")]
    NoSystem {
        /// The name.
        name: String,
        /// All known ones, comma separated.
        known: String,
    },
    /// Results are kept by the last part of a data set's path.
    #[error(
        "two data sets to transfer to are named alike, the second of them {}; give one folder another name",
        folder.display()
    )]
    SameName {
        /// The second one.
        folder: PathBuf,
    },
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Thresholds.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// A bundle that was made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Figures.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Their page.
    #[error(transparent)]
    Dossier(#[from] DossierError),
    /// A file or folder of the results.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A result that was kept.
    #[error("{}: {reason}", path.display())]
    Outcome {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

fn find<'a, T>(
    all: &'a BTreeMap<String, T>,
    what: &'static str,
    name: &str,
    system: &System,
) -> Result<&'a T, ProtocolError> {
    all.get(name).ok_or_else(|| ProtocolError::Unknown {
        system: system.name.clone(),
        what,
        name: name.into(),
        known: all.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
    })
}

impl Protocol {
    /// The system of this name.
    pub fn system(&self, name: &str) -> Result<&System, ProtocolError> {
        self.systems.iter().find(|system| system.name == name).ok_or_else(|| ProtocolError::NoSystem {
            name: name.into(),
            known: self.systems.iter().map(|system| system.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// What is trained for one system.
    pub fn recipe(&self, system: &System) -> Result<Recipe, ProtocolError> {
        let m = find(&self.segmenters, "segmenter", &system.segmenter, system)?;
        let g = find(&self.generators, "generator", &system.generator, system)?;
        let mut baselines = BTreeMap::new();
        for name in &system.baselines {
            baselines.insert(name.clone(), find(&self.baselines, "baseline", name, system)?.clone());
        }
        let f = &self.comparison;
        Ok(Recipe {
            segmentation_crop: None,
            folds_along: None,
            outliers: None,
            sees_own_vehicle: false,
            comparison_color: 0.,
            data: Vec::new(),
            working_size: self.working_size,
            segmentation: m.network.clone(),
            segmentation_steps: m.steps,
            folds: self.folds,
            fold_steps: m.fold_steps,
            degraded: self.degraded,
            synthesis: g.network.clone(),
            discriminator_width: g.discriminator_width,
            synthesis_steps: g.steps,
            comparison: f.network.clone(),
            comparison_steps: f.steps,
            baselines,
            anomaly: Default::default(),
            batch: [m.batch, g.batch, f.batch],
            rate: [m.rate, g.rate, f.rate],
            seed: self.seed,
        })
    }
}
