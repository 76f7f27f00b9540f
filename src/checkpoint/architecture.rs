//! Any of the networks, by the name of its architecture.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use strum::VariantNames;
use tch::nn::VarStore;

use crate::network::comparison::ComparatorConfig;
use crate::network::range::OutOfRange;
use crate::network::segmentation::{NotBuilt, SegmenterConfig};
use crate::network::synthesis::GeneratorConfig;

/// M, G or F of some size.
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// M.
    Segmentation(SegmenterConfig),
    /// G.
    Synthesis(GeneratorConfig),
    /// F.
    Comparison(ComparatorConfig),
}

/// Why a text is no architecture.
#[derive(Debug, thiserror::Error)]
#[error("architecture '{text}': {reason}")]
pub struct ArchitectureError {
    text: String,
    reason: String,
}

/// Every architecture's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    [SegmenterConfig::VARIANTS, GeneratorConfig::VARIANTS, ComparatorConfig::VARIANTS]
        .into_iter()
        .flatten()
        .copied()
}

fn read<C: DeserializeOwned>(
    yaml: &str,
    role: fn(C) -> Architecture,
) -> Result<Architecture, serde_norway::Error> {
    serde_norway::from_str(yaml).map(role)
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    /// A name, for reference size, or a configuration as in bundle.yaml: `{architecture: spade, ngf: 16}`.
    fn from_str(text: &str) -> Result<Self, ArchitectureError> {
        let wrong = |reason: String| ArchitectureError { text: text.into(), reason };
        let yaml = if text.contains(':') { text.into() } else { format!("architecture: {text}") };
        let fields: serde_norway::Value = serde_norway::from_str(&yaml).map_err(|e| wrong(e.to_string()))?;
        let name = fields.get("architecture").and_then(|name| name.as_str()).unwrap_or_default();
        let read = match name {
            name if SegmenterConfig::VARIANTS.contains(&name) => read(&yaml, Self::Segmentation),
            name if GeneratorConfig::VARIANTS.contains(&name) => read(&yaml, Self::Synthesis),
            name if ComparatorConfig::VARIANTS.contains(&name) => read(&yaml, Self::Comparison),
            _ => return Err(wrong(format!("not one of {}", names().collect::<Vec<_>>().join(", ")))),
        };
        let architecture = read.map_err(|e| wrong(e.to_string()))?;
        architecture.check().map_err(|e| wrong(e.to_string()))?;
        Ok(architecture)
    }
}

impl Architecture {
    fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::Segmentation(config) => config.check(),
            Self::Synthesis(config) => config.check(),
            Self::Comparison(config) => config.check(),
        }
    }

    /// The method's letter for a network of this role, by which trainings name it: `m`, `g` or `f`.
    pub fn symbol(&self) -> &'static str {
        match self {
            Self::Segmentation(_) => "m",
            Self::Synthesis(_) => "g",
            Self::Comparison(_) => "f",
        }
    }

    /// Builds the network's parameters for `classes` classes in `vs`.
    pub fn build(&self, vs: &VarStore, classes: i64) -> Result<(), NotBuilt> {
        match self {
            Self::Segmentation(config) => drop(config.build(&vs.root(), classes)?),
            Self::Synthesis(config) => drop(config.build(&vs.root(), classes)),
            Self::Comparison(config) => drop(config.build(&vs.root(), classes)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::synthesis::spade;

    #[test]
    fn a_name_means_reference_size() {
        for name in names() {
            assert!(name.parse::<Architecture>().is_ok(), "{name}");
        }
        let default = GeneratorConfig::Spade(spade::Config::default());
        assert_eq!("spade".parse::<Architecture>().unwrap(), Architecture::Synthesis(default));
    }

    #[test]
    fn a_configuration_decides_width() {
        let small = "{architecture: spade, ngf: 4}".parse::<Architecture>().unwrap();
        let config = spade::Config { ngf: 4, ..spade::Config::default() };
        assert_eq!(small, Architecture::Synthesis(GeneratorConfig::Spade(config)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<Architecture>().unwrap_err().to_string();
        assert!(error("unet").contains("'unet': not one of fcn8s, deeplab"), "{}", error("unet"));
        let unknown = error("{architecture: spade, depth: 3}");
        assert!(unknown.contains("depth") && unknown.contains("ngf"), "{unknown}");
    }
}
