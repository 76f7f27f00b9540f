//! M, G and F of a bundle, in memory, in one precision, on one device.

use image::RgbImage;
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

use super::anomaly;
use super::bundle::{Bundle, BundleError, DESCRIPTION, Entry};
use crate::checkpoint::weights;
use crate::network::comparison::{Comparator, ComparatorConfig};
use crate::network::layers::{channels_last, spatial};
use crate::network::segmentation::torchscript::TorchScript;
use crate::network::segmentation::{Segmenter, SegmenterConfig};
use crate::network::synthesis::{GeneratorConfig, ReadyGenerator, Synthesize};

/// The three networks.
pub struct Networks {
    m: Box<dyn Segmenter>,
    g: ReadyGenerator,
    f: Box<dyn Comparator>,
    size: (i64, i64),
    device: Device,
    kind: Kind,
    names: [&'static str; 3],
    comparator_title: String,
    segments_again: bool,
    sees_unknown: bool,
    anomaly: anomaly::Config,
    classes: usize,
    /// Ids of the classes that a vehicle may drive on.
    drivable: Vec<i64>,
}

/// M, G and F as one inference calls them.
#[derive(Clone, Copy)]
pub struct Trio<'a> {
    /// M.
    pub segmenter: &'a dyn Segmenter,
    /// G.
    pub generator: &'a dyn Synthesize,
    /// F; without one, nothing is compared.
    pub comparator: Option<&'a dyn Comparator>,
    /// Whether F will ask what M makes of x'.
    pub segments_again: bool,
    /// Precision in which M and F compute.
    pub kind: Kind,
}

/// Which networks, for how many classes, at which height and width.
#[derive(Clone, Debug)]
pub struct Specification {
    /// M.
    pub segmentation: SegmenterConfig,
    /// G.
    pub synthesis: GeneratorConfig,
    /// F.
    pub comparison: ComparatorConfig,
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
        let networks = Self::build(&specification, arithmetic, segmenter, |[g, f]| {
            fill(bundle, "synthesis", &d.synthesis, g)?;
            fill(bundle, "comparison", &d.comparison, f)
        })?;
        let drivable = (0..).zip(&bundle.labels.classes).filter(|(_, class)| class.drivable);
        let networks = Self { drivable: drivable.map(|(id, _)| id).collect(), ..networks };
        networks.check_fovea().map_err(|reason| BundleError::Description {
            path: bundle.dir.join(DESCRIPTION),
            reason: format!("anomaly.fovea looks again at the drivable ground, and {reason}"),
        })?;
        Ok(networks)
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
        let mut g = ReadyGenerator::new(g, kind, memoise);
        if let ReadyGenerator::Folded(folded) = &mut g {
            folded.choose_way(*size);
        }
        parameters.iter().for_each(|vs| weights::cast(vs, kind));
        let names = [segmentation.name(), synthesis.name(), comparison.name()];
        let (comparator_title, segments_again) = (comparison.title(), comparison.segments_again());
        let sees_unknown = comparison.sees_unknown();
        let (size, anomaly, classes) = (*size, *anomaly, *classes as usize);
        Ok(Self {
            m,
            g,
            f,
            size,
            device,
            kind,
            names,
            comparator_title,
            segments_again,
            sees_unknown,
            anomaly,
            classes,
            drivable: Vec::new(),
        })
    }

    fn check_fovea(&self) -> Result<(), &'static str> {
        match self.anomaly.fovea {
            Some(_) if self.m.has_fixed_size() => Err("the segmenter takes images of one size alone"),
            Some(_) if self.drivable.is_empty() => Err("no class of the labels is drivable"),
            _ => Ok(()),
        }
    }

    /// Which pixels a vehicle may drive on, of ids.
    pub(super) fn drivable(&self, ids: &Tensor) -> Tensor {
        let ground = ids.zeros_like().to_kind(Kind::Bool);
        self.drivable.iter().fold(ground, |ground, &id| ground.logical_or(&ids.eq(id)))
    }

    /// Whether F has an output for what no class knows.
    pub(crate) fn sees_unknown(&self) -> bool {
        self.sees_unknown
    }

    /// How the anomaly score is made.
    pub fn anomaly_config(&self) -> anomaly::Config {
        self.anomaly
    }

    /// Does `work` with no trace of it in what G remembers, in which an image differs by rounding.
    pub(crate) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        self.g.apart(work)
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
    pub(crate) fn comparator_title(&self) -> &str {
        &self.comparator_title
    }

    /// Whether M has dropout, so that its passes over an image can differ.
    pub(crate) fn has_dropout(&self) -> bool {
        let (height, width) = self.size;
        let blank = Tensor::zeros([1, 3, height, width], (self.kind, self.device));
        tch::no_grad(|| self.m.sampler(&blank).is_some())
    }

    /// G alone, without M and F.
    pub(crate) fn into_generator(self) -> ReadyGenerator {
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
        self.resized(&self.uploaded(image)?, self.size)
    }

    /// An image where the networks are: `1 x 3 x H x W`, RGB from 0 to 255, fp32.
    pub(crate) fn uploaded(&self, image: &RgbImage) -> Result<Tensor, TchError> {
        let (w, h) = image.dimensions();
        let bytes = Tensor::f_from_slice(image.as_raw())?.f_view([1, i64::from(h), i64::from(w), 3])?;
        let bytes = match self.device {
            // From memory that the GPU reads by itself, while the host goes on.
            Device::Cuda(_) => {
                bytes.f_pin_memory(self.device)?.f_to_device_(self.device, Kind::Uint8, true, false)?
            }
            device => bytes.f_to_device(device)?,
        };
        bytes.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)
    }

    /// Such an image at another height and width, as the networks take it.
    pub(super) fn resized(&self, image: &Tensor, size: (i64, i64)) -> Result<Tensor, TchError> {
        let x = match spatial(image) == size {
            true => image.shallow_clone(),
            false => image.f_internal_upsample_bilinear2d_aa([size.0, size.1], false, None, None)?,
        };
        Ok(channels_last(&x.f_div_scalar(255.)?.f_clamp(0., 1.)?).to_kind(self.kind))
    }

    /// M, G and F as an inference asks them.
    pub fn trio(&self) -> Trio<'_> {
        Trio {
            segmenter: &*self.m,
            generator: &self.g,
            comparator: Some(&*self.f),
            segments_again: self.segments_again,
            kind: self.kind,
        }
    }

    /// Whether F asks what M makes of x'.
    pub(crate) fn segments_again(&self) -> bool {
        self.segments_again
    }
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
            Err(reason) => Err(BundleError::TorchScript { path, reason }),
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
