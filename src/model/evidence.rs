//! What stands behind limits that promise something: the promises, the data, and what that data looked like.

use serde::{Deserialize, Serialize};

use super::reference::Reference;
use crate::network::range::{OutOfRange, within};

/// The calibration behind a bundle's limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The data set and its samples.
    pub data: String,
    /// SHA-256 of its images and labels.
    pub data_sha256: String,
    /// What is exchangeable: frames of one unit are not counted as evidence of their own.
    pub unit: Unit,
    /// How many of them there are.
    pub units: usize,
    /// Frames in them.
    pub frames: usize,
    /// What is promised.
    pub promises: Vec<Promise>,
    /// What they looked like; none where they are too few to tell others from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// What is exchangeable: the next one is drawn as those were that chose the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Unit {
    /// Frames whose names agree before their last `_`.
    Drive,
    /// Frames whose names agree before their first `_`, or that lie in one folder: a city, a town.
    Place,
}

/// One expected loss that is kept, by conformal risk control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Of what: `missed-frames`, `missed-pixels`, `missed-pixels-p90`, `false-alarms` or `drivable-margin`.
    pub target: String,
    /// Highest expected loss.
    pub rate: f64,
    /// Mean IoU below which a frame has failed, where the target asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below_miou: Option<f64>,
    /// Units that the limit was chosen on: those that have such frames.
    pub units: usize,
    /// n / (n + 1) times the mean loss of these, plus 1 / (n + 1).
    pub bound: f64,
}

impl Evidence {
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        for promise in &self.promises {
            within("rate", promise.rate, 0. ..=1.)?;
            within("bound", promise.bound, 0. ..=1.)?;
        }
        self.reference.as_ref().map_or(Ok(()), Reference::check).map_err(|e| e.under("reference"))
    }
}
