//! M, G and F of a bundle, in memory, in one precision, on one device.

use image::RgbImage;
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

use super::bundle::{Bundle, BundleError, Entry};
use super::compute;
use crate::network::comparison::{Compared, Comparer, Comparison};
use crate::network::layers::{channels_last, spatial};
use crate::network::segmentation::torchscript::TorchScript;
use crate::network::segmentation::{Segmenter, SegmenterConfig};
use crate::network::synthesis::Synthesizer;
use crate::network::weights;
use crate::score::cosine::{self, Features};

/// The three networks.
pub struct Networks {
    m: Box<dyn Segmenter>,
    g: Box<dyn Synthesizer>,
    f: Box<dyn Comparer>,
    /// Owners of the parameters that the networks share.
    _parameters: [VarStore; 3],
    size: (i64, i64),
    device: Device,
    kind: Kind,
    names: [&'static str; 3],
    anomaly: cosine::Config,
}

/// What M says of a batch at the working size.
#[derive(Debug)]
pub struct Segmentation {
    /// `N x H x W` class ids, int64.
    pub labels: Tensor,
    /// Logits, `N x classes x H x W`, fp32.
    pub logits: Tensor,
    /// Softmax, `N x classes x H x W`, fp32.
    pub probabilities: Tensor,
    /// Largest softmax, `N x 1 x H x W`, fp32.
    pub msp: Tensor,
    /// M's features on their own grid.
    pub features: Tensor,
    /// M's logits on their own grid.
    pub grid_logits: Tensor,
}

impl Networks {
    /// Builds and loads the three networks.
    pub fn load(bundle: &Bundle, device: &str, precision: &str) -> Result<Self, BundleError> {
        let device = compute::device(device)?;
        let kind = compute::precision(precision, device)?;
        let d = &bundle.description;
        let classes = bundle.labels.len() as i64;
        let parameters = [(); 3].map(|()| VarStore::new(device));
        let [height, width] = d.working_size.map(i64::from);
        let m = segmenter(bundle, &parameters[0], classes, (height, width), kind)?;
        let g = d.synthesis.network.build(&parameters[1].root(), classes);
        let f = d.comparison.network.build(&parameters[2].root(), classes);
        fill(bundle, "synthesis", &d.synthesis, &parameters[1], kind)?;
        fill(bundle, "comparison", &d.comparison, &parameters[2], kind)?;
        Ok(Self {
            m,
            g,
            f,
            _parameters: parameters,
            size: (height, width),
            device,
            kind,
            names: [d.segmentation.network.name(), d.synthesis.network.name(), d.comparison.network.name()],
            anomaly: d.anomaly,
        })
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
        let logits = self.m.resize_logits(&segmented.logits.to_kind(Kind::Float), spatial(x));
        let probabilities = logits.f_softmax(1, Kind::Float)?;
        let (msp, labels) = probabilities.f_max_dim(1, true)?;
        let labels = labels.squeeze_dim(1);
        Ok(Segmentation {
            labels,
            logits,
            probabilities,
            msp,
            features: segmented.features,
            grid_logits: segmented.logits,
        })
    }

    /// G on a batch of label maps: `N x 3 x H x W`, RGB in \[0, 1\], fp32. A G with style encoder takes
    /// the style of `x`.
    pub fn synthesize(&self, labels: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
        Ok(self.g.paint(labels, x, self.kind, false).image)
    }

    /// F on a batch.
    pub fn compare(&self, x: &Tensor, synth: &Tensor, probabilities: &Tensor) -> Result<Compared, TchError> {
        let synth = synth.to_kind(self.kind);
        Ok(self.f.forward(&Comparison { image: x, synth: &synth, probabilities }, false))
    }

    /// Anomaly score, `N x 1 x H x W`, fp32: M on x', its features against those of x.
    pub fn anomaly(&self, segmented: &Segmentation, synth: &Tensor) -> Result<Tensor, TchError> {
        self.anomaly_by(self.anomaly, segmented, synth)
    }

    /// The anomaly score by another configuration than the bundle's.
    pub fn anomaly_by(
        &self,
        config: cosine::Config,
        segmented: &Segmentation,
        synth: &Tensor,
    ) -> Result<Tensor, TchError> {
        let synth = channels_last(&synth.to_kind(self.kind));
        let (real, synthetic) = match config.features {
            Features::Last => (&segmented.features, self.m.features(&synth)),
            Features::Logits => (&segmented.grid_logits, self.m.forward(&synth, false).logits),
        };
        Ok(cosine::anomaly_score(real, &synthetic, &segmented.logits, config.certainty))
    }
}

/// M, loaded: built here and filled, or from its TorchScript file.
fn segmenter(
    bundle: &Bundle,
    vs: &VarStore,
    classes: i64,
    size: (i64, i64),
    kind: Kind,
) -> Result<Box<dyn Segmenter>, BundleError> {
    let (field, entry) = ("segmentation", &bundle.description.segmentation);
    if let SegmenterConfig::Torchscript(config) = &entry.network {
        let (bytes, path) = bundle.file(field, entry)?;
        return match TorchScript::load(&bytes, config, classes, size, vs.device()) {
            Ok(network) => Ok(Box::new(network)),
            Err(source) => Err(BundleError::TorchScript { path, source }),
        };
    }
    let network = entry.network.build(&vs.root(), classes)?;
    fill(bundle, field, entry, vs, kind)?;
    Ok(network)
}

/// Loads the weights of one network, ready to compute in `kind`.
fn fill<C>(
    bundle: &Bundle,
    field: &'static str,
    entry: &Entry<C>,
    vs: &VarStore,
    kind: Kind,
) -> Result<(), BundleError> {
    let (tensors, path) = bundle.weights(field, entry)?;
    weights::load(vs, &tensors, &path)?;
    weights::cast(vs, kind);
    Ok(())
}
