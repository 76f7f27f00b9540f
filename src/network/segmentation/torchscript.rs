//! Anybody's segmentation network as M: a TorchScript file (`torch.jit.trace` or `torch.jit.script`).
//!
//! The configuration says how the network wants its images and where in its output the logits are. It is
//! run in the precision of its parameters, whatever the rest of the monitor computes in: a traced network has
//! constants and casts of its own.
//!
//! Such a file is a program. Unless the configuration trusts it, it is loaded only if its operators are known
//! to do nothing but compute (`operators.rs`).
//!
//! ```text
//! file --> load: operators, parameters, one black image --> network    wherever its bundle is loaded
//!            \--> import: white, batch, half the size, other sizes     when it is first given
//! ```

mod answer;
mod sizes;

pub use sizes::Takes;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::{Architecture, NotBuilt, Segmented, Segmenter, operators};
use crate::network::fault::one_line;
use crate::network::layers::{IMAGENET, normalize, spatial};
use crate::network::range::{OutOfRange, all_within, within};

/// How to feed the network and read it; the defaults are torchvision's conventions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Parts of red, green and blue in \[0, 1\], subtracted first.
    pub mean: [f64; 3],
    /// What the differences are divided by.
    pub std: [f64; 3],
    /// Whether the network wants blue first.
    pub bgr: bool,
    /// Height and width of the only images that the network takes; without it, it is fed the working size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Where the logits are; without it the network gives one tensor.
    pub logits: Option<Place>,
    /// Where the features are that the anomaly score compares; without it, the logits are compared.
    pub features: Option<Place>,
    /// Whether what it gives are logits.
    #[serde(skip_serializing_if = "Gives::is_logits")]
    pub gives: Gives,
    /// Whether the logits are brought to the image's size with aligned corners.
    pub align_corners: bool,
    /// Whether the file's code may do whatever it does: read and write files, for one. Otherwise it is refused
    /// if it has operators that are not known to do nothing but compute.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trust_code: bool,
}

impl Default for Config {
    fn default() -> Self {
        let (mean, std) = IMAGENET;
        Self {
            mean,
            std,
            bgr: false,
            size: None,
            logits: None,
            features: None,
            gives: Gives::Logits,
            align_corners: false,
            trust_code: false,
        }
    }
}

impl Architecture for Config {
    fn check(&self) -> Result<(), OutOfRange> {
        all_within("mean", &self.mean, -1000. ..=1000.)?;
        all_within("std", &self.std, 1e-6..=1000.)?;
        for side in self.size.into_iter().flatten() {
            within("size", side, 1..=8192)?;
        }
        for (field, place) in [("logits", &self.logits), ("features", &self.features)] {
            if let Some(Place::Index(index)) = place {
                within(field, *index, 0..=1000)?;
            }
        }
        Ok(())
    }

    fn build(&self, _p: &Path, _classes: i64) -> Result<Box<dyn Segmenter>, NotBuilt> {
        Err(NotBuilt)
    }

    fn align_corners(&self) -> bool {
        self.align_corners
    }
}

/// What a network says of the classes of a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gives {
    /// Numbers of any size, of which a softmax is taken.
    #[default]
    Logits,
    /// Their softmax already.
    Probabilities,
}

impl Gives {
    fn is_logits(&self) -> bool {
        *self == Self::Logits
    }

    /// What `tensor`, `N x classes x h x w` in the network's own precision, looks like.
    fn of(tensor: &Tensor) -> Self {
        let sums = tensor.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let add_up = (sums - 1.).abs().max().double_value(&[]) < answer::rounding(tensor.kind());
        match add_up && tensor.min().double_value(&[]) >= 0. {
            true => Self::Probabilities,
            false => Self::Logits,
        }
    }
}

/// Probability below which a logit falls no further.
const LEAST: f64 = 1e-6;

/// A tensor in an output of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// Counted from 0, in a tuple or a list.
    Index(usize),
    /// By its key, in a dictionary.
    Key(String),
}

/// Why a TorchScript network cannot be M.
#[derive(Debug, thiserror::Error)]
pub enum TorchScriptError {
    /// libtorch refuses the file, or the network an image.
    #[error("TorchScript: {}", one_line(&.0.to_string()))]
    Torch(TchError),
    /// The code in the file cannot be read, so that nobody can say what it does.
    #[error("TorchScript: {0}")]
    Unreadable(String),
    /// The code does what no network has to.
    #[error(
        "TorchScript: its code has operators that are not known to do nothing but compute: {operators}; if you \
         trust whoever made the file, import it with --trust-code (trust_code: true in bundle.yaml)"
    )]
    Operators {
        /// Their names.
        operators: String,
    },
    /// It takes no such image.
    #[error("TorchScript: it refuses an image of {image}, red, green and blue: {reason}{}", sizes::said(.takes))]
    Refused {
        /// Shape of the image.
        image: String,
        /// What libtorch says.
        reason: String,
        /// One of the usual sizes (height, width) that it takes; `None` where none was tried.
        takes: Option<Takes>,
    },
    /// There is no tensor where the configuration says.
    #[error("TorchScript: the output {found}, the configuration looks for the {what} {place}")]
    Output {
        /// Logits or features.
        what: &'static str,
        /// Where.
        place: String,
        /// What the output is.
        found: String,
    },
    /// The logits do not fit the label set.
    #[error("TorchScript: the logits {0}")]
    Logits(String),
    /// The network gives something else than the configuration says.
    #[error(
        "TorchScript: what it gives for a black image {}; say 'gives: {}'",
        if .0.is_logits() { "is not between 0 and 1 or does not add up to 1 at every pixel: logits, no probabilities" }
        else { "is between 0 and 1 and adds up to 1 at every pixel: probabilities, no logits" },
        if .0.is_logits() { "logits" } else { "probabilities" }
    )]
    Gives(Gives),
    /// Each class has a probability of its own.
    #[error(
        "TorchScript: what it gives is between 0 and 1 and does not add up to 1: a sigmoid of each class by itself; \
         logits or their softmax are needed: export the network without its sigmoid"
    )]
    Sigmoid,
    /// A parameter, or what the network gives, is no number.
    #[error(
        "TorchScript: NaN or infinity in {place}; finite numbers are needed{}",
        if *.kind == Kind::Half {
            ", and half precision ends at 65504: export the network in float, or as it was trained"
        } else {
            ""
        }
    )]
    NotFinite {
        /// Where.
        place: String,
        /// The network's precision.
        kind: Kind,
    },
    /// The features are no map.
    #[error("TorchScript: the features have shape {found:?}, 1 x channels x h x w is needed")]
    Features {
        /// Their shape for one image.
        found: Vec<i64>,
    },
}

impl From<TchError> for TorchScriptError {
    fn from(error: TchError) -> Self {
        Self::Torch(error)
    }
}

/// The network, ready for inference.
#[derive(Debug)]
pub struct TorchScript {
    module: CModule,
    config: Config,
    classes: i64,
    /// Precision of its parameters, in which it wants its images.
    kind: Kind,
    /// Whether it refuses batches, as a network does that was traced with an image and has its size in it.
    one_by_one: bool,
    /// Whether it refuses images of half the size.
    fixed_size: bool,
}

fn all_finite(tensor: &Tensor) -> bool {
    !tensor.is_floating_point() || tensor.isfinite().all().int64_value(&[]) != 0
}

impl TorchScript {
    /// Loads the file's bytes and tries the network on a black image of `size` (height, width).
    pub fn load(
        bytes: &[u8],
        config: &Config,
        classes: i64,
        size: (i64, i64),
        device: Device,
    ) -> Result<Self, TorchScriptError> {
        if !config.trust_code {
            let operators = operators::unknown(bytes).map_err(TorchScriptError::Unreadable)?;
            if !operators.is_empty() {
                return Err(TorchScriptError::Operators { operators: listed(operators) });
            }
        }
        let mut module = CModule::load_data_on_device(&mut &bytes[..], device)?;
        module.f_set_eval()?;
        let mut kind = Kind::Float;
        for (name, parameter) in module.named_parameters()? {
            if parameter.is_floating_point() {
                kind = parameter.kind();
            }
            if !all_finite(&parameter) {
                return Err(TorchScriptError::NotFinite { place: format!("tensor '{name}'"), kind });
            }
        }
        let fixed_size = config.size.is_some();
        let network = Self { module, config: config.clone(), classes, kind, one_by_one: false, fixed_size };
        let image = Tensor::zeros([1, 3, size.0, size.1], (Kind::Float, device));
        let tried = tch::no_grad(|| network.answer(&image))?;
        if let Some(misfit) = answer::misfit(&tried.logits, classes) {
            return Err(TorchScriptError::Logits(misfit));
        }
        let features = tried.features.size();
        if features.len() != 4 || features[0] != 1 {
            return Err(TorchScriptError::Features { found: features });
        }
        network.finite(&tried, "a black image")?;
        let found = Gives::of(&tried.logits);
        if classes > 1 && found != config.gives {
            return Err(TorchScriptError::Gives(found));
        }
        Ok(network)
    }

    /// Loads a network that is new here, and tries it on more: a white image, a batch of two, one of half the size;
    /// and where it refuses `size`, on other sizes, to say which it takes. One that refuses the batch, or says
    /// something else of an image in company, is asked image by image from then on.
    pub fn import(
        bytes: &[u8],
        config: &Config,
        classes: i64,
        size: (i64, i64),
        device: Device,
    ) -> Result<Self, TorchScriptError> {
        match Self::load(bytes, config, classes, size, device) {
            Ok(network) => network.tried(size, device),
            Err(TorchScriptError::Refused { image, reason, .. }) if config.size.is_none() => {
                let takes = |(height, width): (u32, u32)| {
                    let config = Config { size: Some([height, width]), ..config.clone() };
                    let tried = Self::load(bytes, &config, classes, size, device);
                    !matches!(tried, Err(TorchScriptError::Refused { .. }))
                };
                Err(TorchScriptError::Refused { image, reason, takes: Some(sizes::first(takes)) })
            }
            Err(error) => Err(error),
        }
    }

    fn tried(self, (height, width): (i64, i64), device: Device) -> Result<Self, TorchScriptError> {
        let ramp = Tensor::linspace(0., 1., 2 * 3 * height * width, (Kind::Float, device));
        let images = ramp.view([2, 3, height, width]);
        tch::no_grad(|| {
            let white = images.narrow(0, 1, 1).ones_like();
            self.finite(&self.answer(&white)?, "a white image")?;
            let second = self.answer(&images.narrow(0, 1, 1))?;
            self.finite(&second, "an image from grey to white")?;
            if self.classes > 1 && answer::is_sigmoid(&second.logits) {
                return Err(TorchScriptError::Sigmoid);
            }
            let second = second.logits;
            let takes = self.answer(&images).is_ok_and(|both| {
                let (both, tolerance) = (both.logits, answer::rounding(second.kind()));
                both.size()[0] == 2 && both.narrow(0, 1, 1).allclose(&second, tolerance, tolerance, false)
            });
            let half =
                images.narrow(0, 1, 1).narrow(2, 0, (height / 2).max(1)).narrow(3, 0, (width / 2).max(1));
            let fixed_size = self.fixed_size || self.answer(&half).is_err();
            Ok(Self { one_by_one: !takes, fixed_size, ..self })
        })
    }

    /// What trying it showed, in words.
    pub fn found(&self) -> String {
        let precision = match self.kind {
            Kind::Float => "float",
            Kind::Half => "half precision",
            Kind::BFloat16 => "bfloat16",
            Kind::Double => "double precision",
            _ => "precision of its own",
        };
        let size = match (self.config.size, self.fixed_size) {
            (Some([height, width]), _) => format!("images brought to its {height} x {width}"),
            (None, true) => "images of this size alone".into(),
            (None, false) => "images of other sizes too".into(),
        };
        let batches = if self.one_by_one { "one at a time" } else { "in batches too" };
        let gives = if self.config.gives.is_logits() { "logits" } else { "probabilities" };
        format!(
            "it computes in {precision}, takes {size}, {batches}, and gives {gives} of {} classes",
            self.classes
        )
    }

    fn finite(&self, tried: &Segmented, of: &str) -> Result<(), TorchScriptError> {
        for (what, tensor) in [("logits", &tried.logits), ("features", &tried.features)] {
            if !all_finite(tensor) {
                let place = format!("the {what} of {of}");
                return Err(TorchScriptError::NotFinite { place, kind: self.kind });
            }
        }
        Ok(())
    }

    fn run(&self, image: &Tensor) -> Result<Segmented, TorchScriptError> {
        let mut segmented = if self.one_by_one && image.size()[0] > 1 {
            let each: Result<Vec<_>, _> =
                image.split(1, 0).iter().map(|one| self.run_as_it_is(one)).collect();
            let each = each?;
            let cat =
                |of: fn(&Segmented) -> &Tensor| Tensor::cat(&each.iter().map(of).collect::<Vec<_>>(), 0);
            Segmented { logits: cat(|s| &s.logits), features: cat(|s| &s.features), auxiliary: None }
        } else {
            self.run_as_it_is(image)?
        };
        if self.config.gives == Gives::Probabilities {
            segmented.logits = segmented.logits.clamp_min(LEAST).log();
        }
        Ok(segmented)
    }

    fn run_as_it_is(&self, image: &Tensor) -> Result<Segmented, TorchScriptError> {
        let Segmented { logits, features, .. } = self.answer(image)?;
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        Ok(Segmented { logits: float(&logits)?, features: float(&features)?, auxiliary: None })
    }

    /// What the network gives, as it gives it.
    fn answer(&self, image: &Tensor) -> Result<Segmented, TorchScriptError> {
        let c = &self.config;
        let image = image.f_to_kind(Kind::Float)?;
        let image = match c.size {
            Some([height, width]) if spatial(&image) != (height.into(), width.into()) => {
                image.f_internal_upsample_bilinear2d_aa([height.into(), width.into()], false, None, None)?
            }
            _ => image,
        };
        let image = if c.bgr { image.f_flip([1])? } else { image };
        let input = normalize(&image, c.mean, c.std).f_to_kind(self.kind)?.contiguous();
        let shape = answer::by(&input.size());
        let output = self.module.forward_is(&[IValue::Tensor(input)]).map_err(|error| {
            TorchScriptError::Refused { image: shape, reason: one_line(&error.to_string()), takes: None }
        })?;
        let logits = self.find(&output, c.logits.as_ref(), "logits")?;
        let features = match &c.features {
            Some(place) => self.find(&output, Some(place), "features")?,
            None => logits.shallow_clone(),
        };
        Ok(Segmented { logits, features, auxiliary: None })
    }

    fn find(
        &self,
        output: &IValue,
        place: Option<&Place>,
        what: &'static str,
    ) -> Result<Tensor, TorchScriptError> {
        answer::find(output, place, self.classes).map_err(|found| {
            let place = match place {
                None => "as the only tensor".into(),
                Some(Place::Index(i)) => format!("at index {i}"),
                Some(Place::Key(key)) => format!("under '{key}'"),
            };
            TorchScriptError::Output { what, place, found }
        })
    }
}

/// Names for a message; of many, the first and how many more.
fn listed(names: BTreeSet<String>) -> String {
    const MOST: usize = 12;
    let more = names.len().saturating_sub(MOST);
    let shown: Vec<String> =
        names.into_iter().take(MOST).map(|name| name.chars().take(64).collect()).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &more
}

impl Segmenter for TorchScript {
    /// Panics, as any libtorch operation does, if the network refuses an image of another size than the
    /// one it was tried on.
    fn forward(&self, image: &Tensor, _train: bool) -> Segmented {
        self.run(image).unwrap_or_else(|error| panic!("{error}"))
    }

    fn has_fixed_size(&self) -> bool {
        self.fixed_size
    }

    fn align_corners(&self) -> bool {
        self.config.align_corners
    }
}
