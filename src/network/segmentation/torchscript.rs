//! Anybody's segmentation network as M: a TorchScript file (`torch.jit.trace` or `torch.jit.script`).
//!
//! The configuration says how the network wants its images and where in its output the logits are. It is
//! run in the precision of its parameters, whatever the rest of the monitor computes in: a traced network has
//! constants and casts of its own.
//!
//! Such a file is a program. Unless the configuration trusts it, it is loaded only if its operators are known
//! to do nothing but compute (`operators.rs`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::{Architecture, NotBuilt, Segmented, Segmenter, operators};
use crate::network::fault::one_line;
use crate::network::layers::{IMAGENET, normalize};
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

    /// What `tensor`, `N x classes x h x w`, looks like.
    fn of(tensor: &Tensor) -> Self {
        let sums = tensor.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let add_up = (sums - 1.).abs().max().double_value(&[]) < 1e-3;
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
    #[error("TorchScript: the logits have shape {found:?}, 1 x {classes} x h x w is needed")]
    Logits {
        /// Their shape for one image.
        found: Vec<i64>,
        /// Classes of the label set.
        classes: i64,
    },
    /// The network gives something else than the configuration says.
    #[error(
        "TorchScript: what it gives for a black image {}; say 'gives: {}'",
        if .0.is_logits() { "is not between 0 and 1 or does not add up to 1 at every pixel: logits, no probabilities" }
        else { "is between 0 and 1 and adds up to 1 at every pixel: probabilities, no logits" },
        if .0.is_logits() { "logits" } else { "probabilities" }
    )]
    Gives(Gives),
    /// A parameter, or what the network gives for a black image, is no number.
    #[error("TorchScript: {0} holds NaN or infinity; finite numbers are needed")]
    NotFinite(String),
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
        let finite = |what: String, tensor: &Tensor| match all_finite(tensor) {
            true => Ok(()),
            false => Err(TorchScriptError::NotFinite(what)),
        };
        let mut kind = Kind::Float;
        for (name, parameter) in module.named_parameters()? {
            if parameter.is_floating_point() {
                kind = parameter.kind();
            }
            finite(format!("tensor '{name}'"), &parameter)?;
        }
        let network = Self { module, config: config.clone(), kind, one_by_one: false, fixed_size: false };
        let image = Tensor::zeros([1, 3, size.0, size.1], (Kind::Float, device));
        let tried = tch::no_grad(|| network.run_as_it_is(&image))?;
        let (logits, features) = (tried.logits.size(), tried.features.size());
        if logits.len() != 4 || logits[..2] != [1, classes] {
            return Err(TorchScriptError::Logits { found: logits, classes });
        }
        if features.len() != 4 || features[0] != 1 {
            return Err(TorchScriptError::Features { found: features });
        }
        finite("the logits of a black image".into(), &tried.logits)?;
        finite("the features of a black image".into(), &tried.features)?;
        let found = Gives::of(&tried.logits);
        if classes > 1 && found != config.gives {
            return Err(TorchScriptError::Gives(found));
        }
        Ok(network)
    }

    /// The same, tried on a batch of two images of `size` and on one of half the size. One that refuses the batch, or
    /// says something else of an image in company, is asked image by image from then on.
    pub(crate) fn tried(self, (height, width): (i64, i64), device: Device) -> Result<Self, TorchScriptError> {
        let ramp = Tensor::linspace(0., 1., 2 * 3 * height * width, (Kind::Float, device));
        let images = ramp.view([2, 3, height, width]);
        tch::no_grad(|| {
            let second = self.run_as_it_is(&images.narrow(0, 1, 1))?.logits;
            let takes = self.run_as_it_is(&images).is_ok_and(|both| {
                both.logits.size()[0] == 2 && both.logits.narrow(0, 1, 1).allclose(&second, 1e-3, 1e-3, false)
            });
            let half =
                images.narrow(0, 1, 1).narrow(2, 0, (height / 2).max(1)).narrow(3, 0, (width / 2).max(1));
            let fixed_size = self.run_as_it_is(&half).is_err();
            Ok(Self { one_by_one: !takes, fixed_size, ..self })
        })
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
        let c = &self.config;
        let image = image.f_to_kind(Kind::Float)?;
        let image = if c.bgr { image.f_flip([1])? } else { image };
        let input = normalize(&image, c.mean, c.std).f_to_kind(self.kind)?.contiguous();
        let output = self.module.forward_is(&[IValue::Tensor(input)])?;
        let logits = find(&output, c.logits.as_ref(), "logits")?.f_to_kind(Kind::Float)?;
        let features = match &c.features {
            Some(place) => find(&output, Some(place), "features")?.f_to_kind(Kind::Float)?,
            None => logits.shallow_clone(),
        };
        Ok(Segmented { logits, features, auxiliary: None })
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

/// The tensor at `place` of a network's output.
fn find(output: &IValue, place: Option<&Place>, what: &'static str) -> Result<Tensor, TorchScriptError> {
    let (found, tensor) = match (output, place) {
        (IValue::Tensor(t), None) => return Ok(t.shallow_clone()),
        (IValue::Tensor(_), _) => ("is one tensor".to_owned(), None),
        (IValue::Tuple(items) | IValue::GenericList(items), Some(Place::Index(i))) => {
            (format!("has {} items", items.len()), items.get(*i).and_then(as_tensor))
        }
        (IValue::TensorList(items), Some(Place::Index(i))) => {
            (format!("has {} tensors", items.len()), items.get(*i).map(Tensor::shallow_clone))
        }
        (IValue::GenericDict(entries), place) => {
            let names: Vec<&str> = entries
                .iter()
                .filter_map(|(key, _)| if let IValue::String(key) = key { Some(key.as_str()) } else { None })
                .collect();
            let wanted = if let Some(Place::Key(key)) = place { Some(key.as_str()) } else { None };
            let entry = entries
                .iter()
                .find(|(key, _)| matches!(key, IValue::String(key) if Some(key.as_str()) == wanted));
            (format!("is a dictionary of {names:?}"), entry.and_then(|(_, value)| as_tensor(value)))
        }
        (IValue::Tuple(items) | IValue::GenericList(items), _) => {
            (format!("has {} items", items.len()), None)
        }
        (IValue::TensorList(items), _) => (format!("has {} tensors", items.len()), None),
        (other, _) => (format!("is {other:?}"), None),
    };
    tensor.ok_or_else(|| {
        let place = match place {
            None => "as the only tensor".into(),
            Some(Place::Index(i)) => format!("at index {i}"),
            Some(Place::Key(key)) => format!("under '{key}'"),
        };
        TorchScriptError::Output { what, place, found }
    })
}

fn as_tensor(value: &IValue) -> Option<Tensor> {
    if let IValue::Tensor(t) = value { Some(t.shallow_clone()) } else { None }
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
