//! Weights as safetensors: written in half precision, read strictly.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err::File;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::Deserialize;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::published;
use crate::network::layers::channels_last;
pub use crate::network::{Shapes, Tensors};
use crate::quote::{quoted, told};
use crate::whole_file;

/// Why weights cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The network needs a tensor that the file does not hold.
    #[error("{}: tensor '{name}' {expected:?} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        expected: Vec<i64>,
    },
    /// The file holds a tensor that the network does not have.
    #[error("{}: tensor '{name}' is not part of the network; it has shape {found:?}", path.display())]
    Extra {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<i64>,
    },
    /// A tensor has another shape than the network's.
    #[error("{}: tensor '{name}' has shape {found:?}, the network needs {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<i64>,
        /// Its shape in the network.
        expected: Vec<i64>,
    },
    /// A tensor holds what is no number.
    #[error("{}: tensor '{name}' holds {count} values that are NaN or infinite; weights must be finite", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many.
        count: i64,
    },
}

/// Most bytes of a file of weights that are read: four times what the largest reference network has.
pub const MOST: u64 = 4 << 30;

/// What a file says beside its tensors, by name.
pub type Metadata = HashMap<String, String>;

/// Reads every tensor of a safetensors file, as it is stored.
pub fn read(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = whole_file::read(path, MOST)?;
    parse(&bytes, path)
}

fn deserialize<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>, WeightsError> {
    let wrong = |reason: String| WeightsError::Format { path: path.into(), reason };
    // What it says quotes the file.
    let refused = |e: SafeTensorError| wrong(format!("not a safetensors file: {}", told(e)));
    let file = SafeTensors::deserialize(bytes).map_err(refused)?;
    let unfit = |name: &&str| name.len() > LONGEST_NAME || name.contains(char::is_control);
    if let Some(name) = file.names().into_iter().find(unfit) {
        let name = quoted(name);
        return Err(wrong(format!(
            "a tensor is called {name}; names have at most {LONGEST_NAME} bytes, in one line"
        )));
    }
    Ok(file)
}

/// No layer's name is longer, in bytes.
pub(super) const LONGEST_NAME: usize = 512;

/// The shapes of what is in safetensors bytes, of which nothing is made.
#[cfg(feature = "train")]
pub(super) fn shapes(bytes: &[u8], path: &Path) -> Result<Shapes, WeightsError> {
    let shape = |shape: &[usize]| shape.iter().map(|&n| n as i64).collect();
    Ok(deserialize(bytes, path)?.iter().map(|(name, view)| (name.to_owned(), shape(view.shape()))).collect())
}

/// Reads every tensor of safetensors bytes; `path` is for messages.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Tensors, WeightsError> {
    parse_views(deserialize(bytes, path)?.iter(), path)
}

/// Reads the tensors of these names.
#[cfg(feature = "train")]
pub(super) fn parse_some<'n>(
    bytes: &[u8],
    path: &Path,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<Tensors, WeightsError> {
    let names: std::collections::BTreeSet<&str> = names.into_iter().collect();
    parse_views(deserialize(bytes, path)?.iter().filter(|(name, _)| names.contains(name)), path)
}

fn parse_views<'a>(
    views: impl Iterator<Item = (&'a str, TensorView<'a>)>,
    path: &Path,
) -> Result<Tensors, WeightsError> {
    let format = |reason: String| WeightsError::Format { path: path.into(), reason };
    views
        .map(|(name, view)| {
            let kind = kind_of(view.dtype()).ok_or_else(|| {
                format(format!("tensor '{name}' has the unsupported type {:?}", view.dtype()))
            })?;
            let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
                .map_err(|e| format(format!("tensor '{name}': {e}")))?;
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

/// What the file says beside its tensors, which are not read.
pub(crate) fn metadata(path: &Path) -> Result<Metadata, WeightsError> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: Metadata,
    }
    const MOST_HEADER: u64 = 64 << 20;
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(MOST_HEADER)).read_to_end(&mut header)?;
    let header: Header = serde_json::from_slice(&header).map_err(|e| WeightsError::Format {
        path: path.into(),
        reason: format!("not a safetensors file: {e}"),
    })?;
    Ok(header.metadata)
}

/// A tensor as safetensors takes it: whole, and on the CPU.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    tensor: Tensor,
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Writes tensors, those of real numbers in `kind` (or as they are, where `None`, and where it cannot hold
/// them).
pub fn write(tensors: &Tensors, path: &Path, kind: Option<Kind>) -> Result<(), WeightsError> {
    write_with(tensors, None, path, kind)
}

/// The same, with something to say beside the tensors.
pub fn write_with(
    tensors: &Tensors,
    metadata: Option<Metadata>,
    path: &Path,
    kind: Option<Kind>,
) -> Result<(), WeightsError> {
    let format = |reason: String| WeightsError::Format { path: path.into(), reason };
    let mut stored = BTreeMap::new();
    for (name, tensor) in tensors {
        let tensor = match kind.filter(|_| tensor.is_floating_point()).map(|kind| tensor.to_kind(kind)) {
            // What is too large for `kind` stays as it is.
            Some(cast) if not_finite(&cast) == not_finite(tensor) => cast,
            _ => tensor.shallow_clone(),
        };
        let tensor = tensor.detach().to_device(tch::Device::Cpu).contiguous();
        let dtype = dtype_of(tensor.kind())
            .ok_or_else(|| format(format!("tensor '{name}' has the unsupported kind {:?}", tensor.kind())))?;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        stored.insert(name, Stored { dtype, shape, tensor });
    }
    let bytes = safetensors::serialize(&stored, metadata).map_err(|e| format(e.to_string()))?;
    Ok(whole_file::write(path, bytes)?)
}

/// Copies `tensors` into the network's parameters: every one must be there, with its shape, and
/// nothing else; of a weight under spectral norm, the folded one will do. `path` is for messages.
pub fn load(vs: &VarStore, tensors: &Tensors, path: &Path) -> Result<(), WeightsError> {
    let variables = self::tensors(vs);
    if let Some(error) = mismatches(vs, &shapes_of(tensors), path).into_iter().next() {
        return Err(error);
    }
    check_finite(tensors, path)?;
    let tensors = unfold(&variables, tensors);
    tch::no_grad(|| variables.iter().for_each(|(name, v)| v.shallow_clone().copy_(&tensors[name])));
    Ok(())
}

/// Refuses weights that are NaN or infinite, by the first tensor that has some.
pub fn check_finite(tensors: &Tensors, path: &Path) -> Result<(), WeightsError> {
    let broken = |(name, tensor): (&String, &Tensor)| match not_finite(tensor) {
        0 => None,
        count => Some(WeightsError::NotFinite { path: path.into(), name: name.clone(), count }),
    };
    tensors.iter().find_map(broken).map_or(Ok(()), Err)
}

/// The shapes of tensors.
pub fn shapes_of(tensors: &Tensors) -> Shapes {
    tensors.iter().map(|(name, t)| (name.clone(), t.size())).collect()
}

/// Everything that keeps tensors of these shapes from being loaded, by name.
pub fn mismatches(vs: &VarStore, tensors: &Shapes, path: &Path) -> Vec<WeightsError> {
    let variables = shapes_of(&self::tensors(vs));
    misfits(&variables, &unfold_shapes(&variables, tensors), path)
}

/// Everything in which `tensors` are not of the shapes of `variables`, by name.
pub(super) fn misfits(variables: &Shapes, tensors: &Shapes, path: &Path) -> Vec<WeightsError> {
    let path = || path.to_owned();
    let wanted = variables.iter().filter_map(|(name, expected)| {
        let (name, expected) = (name.clone(), expected.clone());
        match tensors.get(&name).cloned() {
            None => Some(WeightsError::Missing { path: path(), name, expected }),
            Some(found) if found != expected => {
                Some(WeightsError::Shape { path: path(), name, found, expected })
            }
            Some(_) => None,
        }
    });
    let extra = tensors.iter().filter(|(name, _)| !variables.contains_key(*name));
    let extra =
        extra.map(|(name, t)| WeightsError::Extra { path: path(), name: name.clone(), found: t.clone() });
    wanted.chain(extra).collect()
}

/// How many values are NaN or infinite.
pub(crate) fn not_finite(tensor: &Tensor) -> i64 {
    match tensor.is_floating_point() && tensor.numel() > 0 {
        true => tensor.isfinite().logical_not().sum(Kind::Int64).int64_value(&[]),
        false => 0,
    }
}

/// The shapes that `unfold` gives.
fn unfold_shapes(variables: &Shapes, tensors: &Shapes) -> Shapes {
    let mut unfolded = tensors.clone();
    for stem in variables.keys().filter_map(|name| name.strip_suffix("weight_orig")) {
        let name = |part: &str| format!("{stem}{part}");
        let (Some(weight), Some(u)) = (tensors.get(&name("weight")), variables.get(&name("weight_u"))) else {
            continue;
        };
        let Some([rows, columns]) = published::matrix_of(weight, u) else { continue };
        unfolded.remove(&name("weight"));
        let shapes = [weight.clone(), vec![rows], vec![columns]];
        unfolded.extend(["weight_orig", "weight_u", "weight_v"].map(name).into_iter().zip(shapes));
    }
    unfolded
}

/// Gives every folded weight of `tensors` that the network has under spectral norm its three parts.
fn unfold(variables: &Tensors, tensors: &Tensors) -> Tensors {
    let mut unfolded: Tensors = tensors.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
    for stem in variables.keys().filter_map(|name| name.strip_suffix("weight_orig")) {
        let name = |part: &str| format!("{stem}{part}");
        let (Some(weight), Some(u)) = (tensors.get(&name("weight")), variables.get(&name("weight_u"))) else {
            continue;
        };
        let Some(parts) = published::unfold_spectral_norm(weight, u.numel() as i64) else { continue };
        unfolded.remove(&name("weight"));
        unfolded.extend(["weight_orig", "weight_u", "weight_v"].map(name).into_iter().zip(parts));
    }
    unfolded
}

/// Copies into the parameters under `prefix` what `tensors` holds for them, ignoring the rest of
/// the file: a pretrained start. Every parameter under the prefix must be there.
pub(crate) fn load_under(
    vs: &VarStore,
    prefix: &str,
    tensors: &Tensors,
    path: &Path,
) -> Result<usize, WeightsError> {
    let variables = vs.variables();
    let mut loaded = 0;
    for name in variables.keys() {
        if let Some(inner) = name.strip_prefix(prefix) {
            copy(&variables, name, tensors.get(inner), path)?;
            loaded += 1;
        }
    }
    Ok(loaded)
}

fn copy(
    variables: &HashMap<String, Tensor>,
    name: &str,
    tensor: Option<&Tensor>,
    path: &Path,
) -> Result<(), WeightsError> {
    let variable = &variables[name];
    let expected = variable.size();
    let tensor = tensor.ok_or_else(|| WeightsError::Missing {
        path: path.into(),
        name: name.into(),
        expected: expected.clone(),
    })?;
    let found = tensor.size();
    if found != expected {
        return Err(WeightsError::Shape { path: path.into(), name: name.into(), found, expected });
    }
    let count = not_finite(tensor);
    if count > 0 {
        return Err(WeightsError::NotFinite { path: path.into(), name: name.into(), count });
    }
    tch::no_grad(|| variable.shallow_clone().copy_(tensor));
    Ok(())
}

/// All parameters and statistics of a network.
pub fn tensors(vs: &VarStore) -> Tensors {
    vs.variables().into_iter().collect()
}

/// Casts the parameters of convolutions once, for inference in `kind`, and brings their weights into the
/// order in which they are read, channels last, which libtorch would do at every call. Norms and linear layers keep
/// fp32.
pub fn cast(vs: &VarStore, kind: Kind) {
    let variables = vs.variables();
    let filters = |name: &str| variables.get(&format!("{name}.weight")).is_some_and(|w| w.dim() == 4);
    tch::no_grad(|| {
        for (name, variable) in &variables {
            let cast = match name.strip_suffix(".bias") {
                _ if variable.dim() == 4 => channels_last(&variable.to_kind(kind)),
                Some(layer) if filters(layer) => variable.to_kind(kind),
                _ => continue,
            };
            variable.shallow_clone().set_data(&cast);
        }
    });
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        _ => return None,
    })
}

fn dtype_of(kind: Kind) -> Option<Dtype> {
    Some(match kind {
        Kind::Double => Dtype::F64,
        Kind::Float => Dtype::F32,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        Kind::Int => Dtype::I32,
        Kind::Int16 => Dtype::I16,
        Kind::Int8 => Dtype::I8,
        Kind::Bool => Dtype::BOOL,
        Kind::Uint8 => Dtype::U8,
        _ => return None,
    })
}
