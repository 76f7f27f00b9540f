//! What is measured: the networks M, G and F (segmenter, generator, comparator) of a bundle, or of the
//! reference size with random weights.

use tch::Device;
use tch::nn::VarStore;

use crate::checkpoint::parity;
use crate::checkpoint::weights::{self, Tensors};
use crate::data::Sample;
use crate::labels::resize_labels;
use crate::model::anomaly;
use crate::model::bundle::{Bundle, BundleError};
use crate::model::networks::{Arithmetic, Networks, Specification};
use crate::model::pixels::grey_to_tensor;
use crate::network::comparison::{ComparatorConfig, joint};
use crate::network::segmentation::{SegmenterConfig, fcn8s};
use crate::network::synthesis::{GeneratorConfig, spade};

/// Networks that can be built once more, with other arithmetic and the same weights.
pub enum Subject {
    /// A bundle's; G synthesizes from M's labels.
    Bundle(Box<Bundle>),
    /// Of the paper's architectures with random weights. M's labels are then noise, so G synthesizes from
    /// given labels.
    Random(Box<Specification>),
}

/// The networks of the paper at their published size: FCN-8s on VGG16, SPADE of 64 channels, and F of
/// two ResNet-18.
pub fn reference(classes: i64, size: (i64, i64)) -> Specification {
    Specification {
        segmentation: SegmenterConfig::Fcn8s(fcn8s::Config::default()),
        synthesis: GeneratorConfig::Spade(spade::Config::default()),
        comparison: ComparatorConfig::Joint(joint::Config::default()),
        classes,
        size,
        anomaly: anomaly::Config::default(),
    }
}

const SEED: u64 = 1;
/// With these the outputs of M, G and F are of moderate size, as in the parity fixtures.
const M_GAIN: f64 = 1.3;
const G_GAIN: f64 = 0.5;
const F_GAIN: f64 = 0.55;

impl Subject {
    /// Builds the networks.
    pub fn networks(&self, arithmetic: Arithmetic) -> Result<Networks, BundleError> {
        match self {
            Self::Bundle(bundle) => Networks::load(bundle, arithmetic),
            Self::Random(specification) => {
                let Specification { segmentation, classes, .. } = &**specification;
                let segmenter = |vs: &VarStore| {
                    let network = segmentation.build(&vs.root(), *classes)?;
                    parity::fill_network(vs, SEED, M_GAIN);
                    Ok(network)
                };
                Networks::build(specification, arithmetic, segmenter, |[g, f]| {
                    parity::fill_network(g, SEED, G_GAIN);
                    parity::fill_network(f, SEED, F_GAIN);
                    Ok(())
                })
            }
        }
    }

    /// Every parameter of M, G and F, as trained rather than folded; `None` for a bundle, which has them in
    /// files.
    pub fn parameters(&self) -> Result<Option<[Tensors; 3]>, BundleError> {
        let Self::Random(specification) = self else { return Ok(None) };
        let Specification { segmentation, synthesis, comparison, classes, .. } = &**specification;
        let [m, g, f] = [(); 3].map(|()| VarStore::new(Device::Cpu));
        segmentation.build(&m.root(), *classes)?;
        synthesis.build(&g.root(), *classes);
        comparison.build(&f.root(), *classes);
        let filled = |vs: &VarStore, gain| {
            parity::fill_network(vs, SEED, gain);
            weights::tensors(vs)
        };
        Ok(Some([filled(&m, M_GAIN), filled(&g, G_GAIN), filled(&f, F_GAIN)]))
    }

    /// Name, for people.
    pub fn name(&self) -> String {
        match self {
            Self::Bundle(bundle) => format!("bundle {}", bundle.name),
            Self::Random(s) => {
                format!(
                    "{} + {} + {}, random weights",
                    s.segmentation.name(),
                    s.synthesis.name(),
                    s.comparison.name()
                )
            }
        }
    }

    /// Classes of the label set.
    pub fn classes(&self) -> i64 {
        match self {
            Self::Bundle(bundle) => bundle.labels.len() as i64,
            Self::Random(specification) => specification.classes,
        }
    }

    /// Height and width at which the networks work.
    pub fn size(&self) -> (i64, i64) {
        match self {
            Self::Bundle(bundle) => {
                let [height, width] = bundle.description.working_size.map(i64::from);
                (height, width)
            }
            Self::Random(specification) => specification.size,
        }
    }

    /// Whether G synthesizes from the labels of the data rather than from M's.
    pub(crate) fn synthesizes_given_labels(&self) -> bool {
        matches!(self, Self::Random(_))
    }
}

/// The labels of `samples` as one batch of the working size, `N x H x W` bytes.
pub(crate) fn label_batch(samples: &[&Sample], (height, width): (i64, i64), device: Device) -> tch::Tensor {
    let maps = samples.iter().map(|sample| {
        let labels = resize_labels(sample.labels.clone(), (width as u32, height as u32));
        grey_to_tensor(&labels)
    });
    tch::Tensor::stack(&maps.collect::<Vec<_>>(), 0).to_device(device)
}
