//! Another F than the bundle's, on the same x, labels and x': the paper's SynthCP-separate and Direct
//! Prediction, and whatever else a bundle's F is to be measured against.

use serde::{Deserialize, Serialize};

use super::Baseline;
use crate::network::comparison::ComparatorConfig;
use crate::network::range::OutOfRange;

/// Which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The F.
    pub network: ComparatorConfig,
}

impl Baseline for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        self.network.check().map_err(|e| e.under("network"))
    }

    fn title(&self) -> String {
        self.network.title()
    }

    fn takes_pretrained(&self) -> bool {
        self.network.takes_pretrained()
    }
}
