//! M, G and F of a bundle, in memory, in one precision, on one device.

use std::cell::OnceCell;

use image::RgbImage;
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

use super::bundle::{Bundle, BundleError, Entry};
use crate::checkpoint::weights;
use crate::model::anomaly::{self, Features};
use crate::network::comparison::disagreement::{View, disagreement};
use crate::network::comparison::{Compared, Comparer, ComparerConfig, Comparison};
use crate::network::layers::{channels_last, spatial};
use crate::network::segmentation::torchscript::TorchScript;
use crate::network::segmentation::{Segmented, Segmenter, SegmenterConfig};
use crate::network::softmax::Softmax;
use crate::network::synthesis::{Painter, SynthesizerConfig};

/// The three networks.
pub struct Networks {
    m: Box<dyn Segmenter>,
    g: Painter,
    f: Box<dyn Comparer>,
    size: (i64, i64),
    device: Device,
    kind: Kind,
    names: [&'static str; 3],
    comparer: String,
    looks_again: bool,
    anomaly: anomaly::Config,
    classes: usize,
}

/// Which networks, for how many classes, at which height and width.
#[derive(Clone, Debug)]
pub struct Specification {
    /// M.
    pub segmentation: SegmenterConfig,
    /// G.
    pub synthesis: SynthesizerConfig,
    /// F.
    pub comparison: ComparerConfig,
    /// Classes of the label set.
    pub classes: i64,
    /// Height and width at which they work.
    pub size: (i64, i64),
    /// How the anomaly score is made.
    pub anomaly: anomaly::Config,
}

/// How networks compute.
#[derive(Clone, Copy, Debug)]
pub struct Arithmetic {
    /// Where.
    pub device: Device,
    /// In which precision.
    pub kind: Kind,
    /// Whether what is known beforehand is computed once: by G each distinct label patch, by FCN-8s its border.
    pub memoise: bool,
}

/// What M says of a batch at the working size.
#[derive(Debug)]
pub struct Segmentation {
    /// Labels, and how sure M is of them.
    pub softmax: Softmax,
    /// M's features on their own grid.
    pub features: Tensor,
    /// M's logits on their own grid.
    pub grid_logits: Tensor,
}

impl Segmentation {
    /// Anomaly score of x by `config`, given what M made of x' ([`SecondLook::features`]).
    pub fn anomaly(&self, config: anomaly::Config, synthetic: &Tensor) -> Tensor {
        let real = match config.features {
            Features::Last => &self.features,
            Features::Logits => &self.grid_logits,
        };
        let looks = anomaly::Looks { real, synthetic, logits: &self.grid_logits, msp: &self.softmax.largest };
        anomaly::anomaly_score(config, &looks)
    }
}

/// x', and what M makes of it: computed once, and no sooner than somebody asks.
pub struct SecondLook<'a> {
    networks: &'a Networks,
    synth: Tensor,
    whole: OnceCell<Segmented>,
}

impl SecondLook<'_> {
    /// x', in the networks' precision.
    pub fn synth(&self) -> &Tensor {
        &self.synth
    }

    fn whole(&self) -> &Segmented {
        self.whole.get_or_init(|| self.networks.m.forward(&self.synth, false))
    }

    /// How M disagrees with itself, `first` being what it made of x.
    pub fn disagreement(&self, first: &Segmentation) -> Tensor {
        let real = View { features: &first.features, logits: &first.grid_logits };
        disagreement(real, self.whole().into())
    }

    /// What M makes of x' that an anomaly score by `config` compares. Unless F looks at the rest as well, M stops there.
    pub fn features(&self, config: anomaly::Config) -> Tensor {
        let needed = self.networks.looks_again || self.whole.get().is_some();
        match config.features {
            Features::Last if !needed => self.networks.m.features(&self.synth),
            Features::Last => self.whole().features.shallow_clone(),
            Features::Logits => self.whole().logits.shallow_clone(),
        }
    }

    /// Anomaly score by `config`, `N x 1 x H x W`, fp32, `first` being what M made of x.
    pub fn anomaly(&self, config: anomaly::Config, first: &Segmentation) -> Tensor {
        first.anomaly(config, &self.features(config))
    }
}

impl Networks {
    /// Builds the three networks and loads a bundle's weights.
    pub fn load(bundle: &Bundle, arithmetic: Arithmetic) -> Result<Self, BundleError> {
        let d = &bundle.description;
        let [height, width] = d.working_size.map(i64::from);
        let specification = Specification {
            segmentation: d.segmentation.network.clone(),
            synthesis: d.synthesis.network.clone(),
            comparison: d.comparison.network.clone(),
            classes: bundle.labels.len() as i64,
            size: (height, width),
            anomaly: d.anomaly,
        };
        let segmenter = |vs: &VarStore| segmenter(bundle, &specification, vs);
        Self::build(&specification, arithmetic, segmenter, |[g, f]| {
            fill(bundle, "synthesis", &d.synthesis, g)?;
            fill(bundle, "comparison", &d.comparison, f)
        })
    }

    /// Takes M as `segmenter` gives it, its parameters in a store, builds G and F and lets `fill` set
    /// their parameters, and makes all three ready to compute.
    pub fn build(
        specification: &Specification,
        arithmetic: Arithmetic,
        segmenter: impl FnOnce(&VarStore) -> Result<Box<dyn Segmenter>, BundleError>,
        fill: impl FnOnce([&VarStore; 2]) -> Result<(), BundleError>,
    ) -> Result<Self, BundleError> {
        let Specification { segmentation, synthesis, comparison, classes, size, anomaly } = specification;
        let Arithmetic { device, kind, memoise } = arithmetic;
        let parameters = [(); 3].map(|()| VarStore::new(device));
        let [of_m, of_g, of_f] = &parameters;
        let mut m = segmenter(of_m)?;
        let g = synthesis.build(&of_g.root(), *classes);
        let mut f = comparison.build(&of_f.root(), *classes);
        fill([of_g, of_f])?;
        // Folded in full precision, and only then cast.
        m.fold();
        f.fold();
        if memoise {
            m.memoise();
        }
        let g = Painter::new(g, kind, memoise);
        parameters.iter().for_each(|vs| weights::cast(vs, kind));
        let names = [segmentation.name(), synthesis.name(), comparison.name()];
        let (comparer, looks_again) = (comparison.title(), comparison.looks_again());
        let (size, anomaly, classes) = (*size, *anomaly, *classes as usize);
        Ok(Self { m, g, f, size, device, kind, names, comparer, looks_again, anomaly, classes })
    }

    /// How the anomaly score is made.
    pub fn anomaly_config(&self) -> anomaly::Config {
        self.anomaly
    }

    /// Height and width at which they work.
    pub fn size(&self) -> (i64, i64) {
        self.size
    }

    /// Classes that M tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Where they compute.
    pub fn device(&self) -> Device {
        self.device
    }

    /// F's name for people.
    pub fn comparer(&self) -> &str {
        &self.comparer
    }

    /// Whether M has dropout, so that its passes over an image can differ.
    pub fn has_dropout(&self) -> bool {
        let (height, width) = self.size;
        let blank = Tensor::zeros([1, 3, height, width], (self.kind, self.device));
        tch::no_grad(|| self.m.sampler(&blank).is_some())
    }

    /// G alone, without M and F.
    pub fn into_painter(self) -> Painter {
        self.g
    }

    /// The networks, their size, precision and place, for people.
    pub fn description(&self) -> String {
        let [m, g, f] = self.names;
        let (h, w) = self.size;
        format!("{m} + {g} + {f} at {w}x{h}, {:?} on {:?}", self.kind, self.device)
    }

    /// An image of any size at the working size: `1 x 3 x H x W`, RGB in \[0, 1\]. Reduced images are
    /// averaged, so that nothing aliases.
    pub fn input(&self, image: &RgbImage) -> Result<Tensor, TchError> {
        let (w, h) = image.dimensions();
        let bytes = Tensor::f_from_slice(image.as_raw())?.f_view([1, i64::from(h), i64::from(w), 3])?;
        let x = bytes.to_device(self.device).f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        let (height, width) = self.size;
        let x = match (i64::from(h), i64::from(w)) == self.size {
            true => x,
            false => x.f_internal_upsample_bilinear2d_aa([height, width], false, None, None)?,
        };
        Ok(channels_last(&x.f_div_scalar(255.)?.f_clamp(0., 1.)?).to_kind(self.kind))
    }

    /// M itself, for scores that take more than one look.
    pub fn segmenter(&self) -> &dyn Segmenter {
        &*self.m
    }

    /// M on a batch.
    pub fn segment(&self, x: &Tensor) -> Result<Segmentation, TchError> {
        let segmented = self.m.forward(x, false);
        let softmax = Softmax::of_logits(&segmented.logits, spatial(x), self.m.align_corners());
        Ok(Segmentation { softmax, features: segmented.features, grid_logits: segmented.logits })
    }

    /// M's logits of a batch at the working size, `N x classes x H x W`, fp32.
    pub fn full_logits(&self, segmented: &Segmentation) -> Tensor {
        self.m.resize_logits(&segmented.grid_logits.to_kind(Kind::Float), self.size)
    }

    /// G on a batch of label maps: `N x 3 x H x W`, RGB in \[0, 1\], fp32. A G with style encoder takes
    /// the style of `x`.
    pub fn synthesize(&self, labels: &Tensor, x: &Tensor) -> Tensor {
        self.g.paint(labels, x)
    }

    /// Lets M look at x' as well, when asked.
    pub fn look_again(&self, synth: &Tensor) -> SecondLook<'_> {
        let synth = channels_last(&synth.to_kind(self.kind));
        SecondLook { networks: self, synth, whole: OnceCell::new() }
    }

    /// F on a batch.
    pub fn compare(&self, x: &Tensor, segmented: &Segmentation, second: &SecondLook) -> Compared {
        compare(&*self.f, x, segmented, || second)
    }

    /// Whether F asks what M makes of x'.
    pub fn looks_again(&self) -> bool {
        self.looks_again
    }
}

/// Any network that compares, on a batch of which M, G and M again have made something.
/// G paints when `second` is asked for, and no sooner.
pub fn compare<'s, 'n: 's>(
    f: &dyn Comparer,
    x: &Tensor,
    segmented: &Segmentation,
    second: impl Fn() -> &'s SecondLook<'n>,
) -> Compared {
    let input = Comparison {
        image: x,
        synth: &|| second().synth.shallow_clone(),
        softmax: &segmented.softmax,
        disagreement: &|| second().disagreement(segmented),
    };
    f.forward(&input, false)
}

/// M, loaded: built here and filled, or from its TorchScript file.
fn segmenter(
    bundle: &Bundle,
    specification: &Specification,
    vs: &VarStore,
) -> Result<Box<dyn Segmenter>, BundleError> {
    let (field, entry) = ("segmentation", &bundle.description.segmentation);
    let Specification { segmentation, classes, size, .. } = specification;
    if let SegmenterConfig::Torchscript(config) = segmentation {
        let (bytes, path) = bundle.file(field, entry)?;
        return match TorchScript::load(&bytes, config, *classes, *size, vs.device()) {
            Ok(network) => Ok(Box::new(network)),
            Err(source) => Err(BundleError::TorchScript { path, source }),
        };
    }
    let network = segmentation.build(&vs.root(), *classes)?;
    fill(bundle, field, entry, vs)?;
    Ok(network)
}

/// Loads the weights of one network.
fn fill<C>(bundle: &Bundle, field: &'static str, entry: &Entry<C>, vs: &VarStore) -> Result<(), BundleError> {
    let (tensors, path) = bundle.weights(field, entry)?;
    Ok(weights::load(vs, &tensors, &path)?)
}
