//! What others used before: networks of the baselines that need one of their own.

pub mod autoencoder;
pub mod regressor;
pub mod tcp;
pub mod vae;

use serde::{Deserialize, Serialize};

use super::comparison::ComparatorConfig;

/// Which detector is trained beside the bundle's F, and its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "baseline", rename_all = "snake_case", deny_unknown_fields)]
pub enum BaselineConfig {
    /// True class probability (Corbière et al., 2019), pixel level.
    Tcp(tcp::Config),
    /// VAE alarm (Liu et al., 2019), image level.
    VaeAlarm(vae::Config),
    /// Error of an auto-encoder's reconstruction of the image, pixel level.
    Autoencoder(autoencoder::Config),
    /// IoUs from the entropies of M with dropout at work, image level.
    McDropout {
        /// Passes over an image.
        passes: usize,
    },
    /// Another F than the bundle's.
    Comparison {
        /// Which.
        network: ComparatorConfig,
    },
}

impl BaselineConfig {
    /// Whether it reads M's features, which mean something else in every M.
    pub fn reads_features_of_m(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Its name for people.
    pub fn title(&self) -> String {
        let name = match self {
            Self::Tcp(_) => "TCP",
            Self::VaeAlarm(_) => "VAE alarm",
            Self::Autoencoder(_) => "auto-encoder",
            Self::McDropout { .. } => "MC dropout",
            Self::Comparison { network } => return network.title(),
        };
        name.to_owned()
    }
}
