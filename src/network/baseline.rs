//! What others used before: networks of the baselines, by their configurations.
//!
//! A baseline is three modules of one name: its network here, its detector in `score::trained` and its
//! training in `train::baseline`. `baselines!` is the one list of them.

pub(crate) mod regressor;

use serde::{Deserialize, Serialize};

use super::range::OutOfRange;

/// Hands macro `$to` every baseline: its variant of [`BaselineConfig`] and the name of its modules.
macro_rules! baselines {
    ($to:ident) => {
        $to! {
            /// True class probability (Corbière et al., 2019), pixel level.
            Tcp in tcp,
            /// VAE alarm (Liu et al., 2019), image level.
            VaeAlarm in vae,
            /// Error of an auto-encoder's reconstruction of the image, pixel level.
            Autoencoder in autoencoder,
            /// IoUs from the entropies of M with dropout at work, image level.
            McDropout in dropout,
            /// A classifier on M's features that was exposed to outliers, pixel level.
            Exposed in exposed,
            /// Another F than the bundle's.
            Comparison in compared,
        }
    };
}
pub(crate) use baselines;

/// What a baseline's configuration says of it.
pub trait Baseline {
    /// Says which number is beyond its range; only what is within is built.
    fn check(&self) -> Result<(), OutOfRange>;

    /// Its name for people.
    fn title(&self) -> String;

    /// Whether it reads M's features, which mean something else in every M.
    fn reads_features_of_m(&self) -> bool {
        false
    }

    /// Whether its encoders may begin from EfficientNet-lite0's ImageNet weights.
    fn takes_pretrained(&self) -> bool {
        false
    }
}

macro_rules! configurations {
    ($($(#[$about:meta])* $variant:ident in $module:ident,)*) => {
        $(pub mod $module;)*

        /// Which detector is trained beside the bundle's F, and its size.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "baseline", rename_all = "snake_case", deny_unknown_fields)]
        pub enum BaselineConfig {
            $($(#[$about])* $variant($module::Config),)*
        }

        impl std::ops::Deref for BaselineConfig {
            type Target = dyn Baseline;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$variant(config) => config,)*
                }
            }
        }
    };
}
baselines!(configurations);
