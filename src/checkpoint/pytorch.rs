//! Reads tensors from checkpoint files without PyTorch: safetensors, and both formats of `torch.save`.
//!
//! Since version 1.6, PyTorch writes a zip archive: `data.pkl` describes the object, `data/N` holds the bytes
//! of storage N. Before, it wrote a stream: four pickles (magic number, protocol, system, the object), a
//! fifth with the list of storages, then their bytes. Every published SPADE and SynthCP checkpoint is such a
//! stream.
//!
//! A checkpoint is opened first: that says which tensors it describes, of which shapes, and makes none. A
//! small file can describe more than any memory holds; whoever opens one compares names and shapes with a
//! network and asks for those tensors that fit.
//!
//! The crate pytorch-reader (0.22) reads both formats right, bf16 included, and runs nothing either. It does not
//! pass `tests/checkpoints.rs`: of a storage of 24 bytes it makes a tensor of 4 GiB by a stride of 0, it unpacks
//! compressed archives, and a call of `os.system` beside the tensors it passes over in silence, where here it is
//! named.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fs_err as fs;
use tch::{Device, Tensor};
use zip::ZipArchive;

use super::contents::{Contents, contents};
use super::pickle::{Described, Parsed, Unpickler, Value, quoted};
use super::weights::{self, Shapes, Tensors, WeightsError};

/// A checkpoint that is open: what it describes is known, and nothing of it made.
pub struct Checkpoint<'a> {
    bytes: Cow<'a, [u8]>,
    path: PathBuf,
    storages: Storages,
    contents: Contents,
    passed_over: BTreeSet<Rc<str>>,
    shapes: Shapes,
}

/// Where the bytes of a checkpoint's storages are.
enum Storages {
    /// In a safetensors file, which has none.
    None,
    /// In the archive, as files.
    Archive,
    /// In the stream, by name.
    Stream(BTreeMap<Rc<str>, Range<usize>>),
}

impl Checkpoint<'static> {
    /// Opens a file. Of several networks in it, `entry` says which: a path of keys.
    pub fn open(path: &Path, entry: Option<&str>) -> Result<Self, WeightsError> {
        let reason = "not a file".into();
        // A device may have no end.
        if fs::metadata(path)?.file_type().is_file() {
            return Checkpoint::new(fs::read(path)?.into(), path, entry);
        }
        Err(WeightsError::Format { path: path.into(), reason })
    }
}

impl<'a> Checkpoint<'a> {
    fn new(bytes: Cow<'a, [u8]>, path: &Path, entry: Option<&str>) -> Result<Self, WeightsError> {
        let format = |what: &str, reason| {
            let reason = format!("{what} checkpoint: {reason}");
            WeightsError::Format { path: path.into(), reason }
        };
        let (storages, contents, passed_over) = match &*bytes {
            // The header's length, then the header.
            [_, _, _, _, _, _, _, _, b'{', ..] => {
                if let Some(entry) = entry {
                    let reason = format!("a safetensors file has no entries, {} is asked for", quoted(entry));
                    return Err(WeightsError::Format { path: path.into(), reason });
                }
                let shapes = weights::shapes(&bytes, path)?;
                let (storages, contents) = (Storages::None, Contents::default());
                let passed_over = BTreeSet::new();
                return Ok(Self { storages, contents, passed_over, shapes, path: path.into(), bytes });
            }
            [b'P', b'K', ..] => open_zip(&bytes, entry).map_err(|reason| format("zip", reason))?,
            [0x80, ..] => open_stream(&bytes, entry).map_err(|reason| format("legacy", reason))?,
            _ => {
                return Err(WeightsError::Format {
                    path: path.into(),
                    reason: "neither safetensors nor a checkpoint of PyTorch".into(),
                });
            }
        };
        let shapes = contents.tensors.iter().map(|(name, t)| (name.clone(), t.size.clone())).collect();
        Ok(Self { storages, contents, passed_over, shapes, path: path.into(), bytes })
    }

    /// Its tensors' shapes, by name.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// The entry that was taken, where there are others that hold a network, and these.
    pub fn choice(&self) -> Option<(&str, &[String])> {
        let Contents { taken, others, .. } = &self.contents;
        (!others.is_empty()).then_some((taken, others))
    }

    /// Names of objects beside the tensors that would have to be run; some, where there are many.
    pub fn passed_over(&self) -> impl Iterator<Item = &str> {
        self.passed_over.iter().map(|name| &**name)
    }

    /// The object that stands where a tensor of this name should, and would have to be run.
    pub fn opaque(&self, name: &str) -> Option<&str> {
        let at = |path: &str| path == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        self.contents.opaque.iter().find(|(path, _)| at(path)).map(|(_, what)| &**what)
    }

    /// Makes the tensors of these names.
    pub fn tensors<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Tensors, WeightsError> {
        let format = |reason: String| WeightsError::Format { path: self.path.clone(), reason };
        if let Storages::None = self.storages {
            return weights::parse_some(&self.bytes, &self.path, names);
        }
        let mut wanted = BTreeMap::new();
        for name in names {
            let tensor = self.contents.tensors.get(name);
            let tensor = tensor.ok_or_else(|| format(format!("tensor {} is missing", quoted(name))))?;
            wanted.insert(name.to_owned(), tensor.clone());
        }
        self.build(wanted).map_err(format)
    }

    fn build(&self, wanted: BTreeMap<String, Rc<Described>>) -> Parsed<Tensors> {
        // Tensors may share memory, but what a trainer saves is hardly more than the file.
        let most = (self.bytes.len() as u128) * 4 + (1 << 24);
        let bytes = |d: &Described| {
            let width = d.storage.kind.elt_size_in_bytes() as u128;
            d.size.iter().fold(width, |n, &side| n.saturating_mul(side as u128))
        };
        let total = wanted.values().fold(0u128, |sum, d| sum.saturating_add(bytes(d)));
        if total > most {
            let length = self.bytes.len();
            return Err(format!(
                "tensors of {total} bytes in a file of {length}; at most {most} are made of it"
            ));
        }
        // One storage at a time: files are large, and few tensors share one.
        let mut by_storage: BTreeMap<Rc<str>, Vec<(String, Rc<Described>)>> = BTreeMap::new();
        for (name, tensor) in wanted {
            by_storage.entry(tensor.storage.key.clone()).or_default().push((name, tensor));
        }
        let mut archive = match self.storages {
            Storages::Archive => Some(Archive::open(&self.bytes)?),
            _ => None,
        };
        let mut tensors = Tensors::new();
        for (key, own) in by_storage {
            let bytes: Cow<[u8]> = match (&mut archive, &self.storages) {
                (Some(archive), _) => archive.file(&format!("data/{key}"))?.into(),
                (None, Storages::Stream(ranges)) => {
                    let range = ranges.get(&key).cloned();
                    let range = range.ok_or_else(|| format!("storage {} is missing", quoted(&key)))?;
                    self.bytes[range].into()
                }
                (None, _) => return Err("its storages are missing".into()),
            };
            for (name, described) in own {
                let tensor =
                    tensor(&described, &bytes).map_err(|reason| format!("{}: {reason}", quoted(&name)))?;
                tensors.insert(name, tensor);
            }
        }
        Ok(tensors)
    }
}

/// Reads all tensors of a checkpoint: of a state dict, or of dictionaries around it.
pub fn read(path: &Path) -> Result<Tensors, WeightsError> {
    let checkpoint = Checkpoint::open(path, None)?;
    checkpoint.tensors(checkpoint.shapes().keys().map(String::as_str))
}

/// Reads all tensors of a checkpoint's bytes; `path` is for messages.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Tensors, WeightsError> {
    let checkpoint = Checkpoint::new(bytes.into(), path, None)?;
    checkpoint.tensors(checkpoint.shapes().keys().map(String::as_str))
}

/// What is known of an open file.
type Opened = (Storages, Contents, BTreeSet<Rc<str>>);

/// The first pickle of every stream.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

fn open_stream(bytes: &[u8], entry: Option<&str>) -> Parsed<Opened> {
    let mut reader = Unpickler::new(bytes);
    match reader.value()? {
        Value::Long(digits) if *digits == MAGIC => {}
        _ => return Err("the magic number is missing".into()),
    }
    reader.value()?;
    if let Value::Dict(system) = reader.value()?
        && let [.., Value::Bool(false)] = setting(&reader, system, "little_endian").as_slice()
    {
        return Err("written on a big-endian machine".into());
    }
    let object = reader.value()?;
    let contents = contents(&reader, &object, entry)?;
    let Value::Sequence(keys) = reader.value()? else { return Err("the list of storages is missing".into()) };
    let mut storages = BTreeMap::new();
    for key in reader.items(keys).to_vec() {
        let Value::Text(key) = key else { return Err("a storage without name".into()) };
        let name = quoted(&key);
        let kind = reader.kinds().get(&key);
        let kind =
            *kind.ok_or_else(|| format!("storage {name} is of no tensor, or of a type that is not read"))?;
        let length = usize::try_from(u64::from_le_bytes(reader.number()?)).ok();
        let length = length.and_then(|n| n.checked_mul(kind.elt_size_in_bytes()));
        let length = length.ok_or_else(|| format!("storage {name} is beyond all sizes"))?;
        let begin = reader.position();
        reader.take(length)?;
        storages.insert(key, begin..begin + length);
    }
    Ok((Storages::Stream(storages), contents, reader.opaque_names().clone()))
}

/// What a dictionary says under a key, each time it does.
fn setting<'a>(reader: &'a Unpickler, dict: super::pickle::Items, wanted: &str) -> Vec<&'a Value> {
    let found = |pair: &&[Value]| matches!(&pair[0], Value::Text(key) if &**key == wanted);
    reader.items(dict).chunks_exact(2).filter(found).map(|pair| &pair[1]).collect()
}

/// A zip archive of PyTorch.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that may still be read: files that do not overlap are no more than the archive.
    left: u64,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Parsed<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        let pickle = zip.file_names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        let pickle = pickle.ok_or("data.pkl is missing")?;
        let folder = pickle[..pickle.len() - "data.pkl".len()].to_owned();
        Ok(Self { zip, folder, left: bytes.len() as u64 })
    }

    fn has(&self, name: &str) -> bool {
        let name = format!("{}{name}", self.folder);
        self.zip.file_names().any(|n| n == name)
    }

    fn file(&mut self, name: &str) -> Parsed<Vec<u8>> {
        let name = format!("{}{name}", self.folder);
        let mut file = self.zip.by_name(&name).map_err(|e| format!("{}: {e}", quoted(&name)))?;
        // PyTorch stores, so nothing can be larger than the file.
        if file.compression() != zip::CompressionMethod::Stored {
            return Err(format!("{} is compressed", quoted(&name)));
        }
        self.left = self.left.checked_sub(file.size()).ok_or_else(|| {
            let name = quoted(&name);
            format!("{name}: the archive's files overlap: together they are larger than the archive")
        })?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|e| format!("{}: {e}", quoted(&name)))?;
        Ok(content)
    }
}

fn open_zip(bytes: &[u8], entry: Option<&str>) -> Parsed<Opened> {
    let mut archive = Archive::open(bytes)?;
    if archive.has("constants.pkl") {
        return Err("a TorchScript network: it goes into a bundle whole, as architecture torchscript".into());
    }
    if archive.has("byteorder") && archive.file("byteorder")? != b"little" {
        return Err("written on a big-endian machine".into());
    }
    let description = archive.file("data.pkl")?;
    let mut reader = Unpickler::new(&description);
    let object = reader.value()?;
    let contents = contents(&reader, &object, entry)?;
    Ok((Storages::Archive, contents, reader.opaque_names().clone()))
}

/// Most elements of a tensor that repeats the elements of its storage.
const MOST_REPEATED: i64 = 1 << 20;

fn tensor(d: &Described, bytes: &[u8]) -> Parsed<Tensor> {
    let kind = d.storage.kind;
    let width = kind.elt_size_in_bytes();
    if d.size.len() != d.stride.len() {
        return Err(format!("has {} sizes and {} strides", d.size.len(), d.stride.len()));
    }
    let beyond = || format!("sizes {:?} with strides {:?} are beyond its storage", d.size, d.stride);
    let count = d.size.iter().try_fold(1i64, |n, &side| n.checked_mul(side)).ok_or_else(beyond)?;
    if count == 0 {
        return Ok(Tensor::zeros(&d.size, (kind, Device::Cpu)));
    }
    // Of the elements that it looks at, the first and how far the last is behind it.
    let first = d.offset.checked_add(d.storage.skip).ok_or_else(beyond)?;
    let reach = d.size.iter().zip(&d.stride).try_fold(0i64, |reach, (&side, &stride)| {
        (side - 1).checked_mul(stride).and_then(|n| reach.checked_add(n))
    });
    let held = (bytes.len() / width) as i64;
    let end = reach.and_then(|reach| first.checked_add(reach)?.checked_add(1)).ok_or_else(beyond)?;
    if first < 0 || end > held || count > held.max(MOST_REPEATED) {
        return Err(beyond());
    }
    let window = &bytes[first as usize * width..end as usize * width];
    let flat = Tensor::f_from_data_size(window, &[end - first], kind).map_err(|e| e.to_string())?;
    let strided = flat.f_as_strided(&d.size, &d.stride, 0).map_err(|e| e.to_string())?;
    strided.f_contiguous().map_err(|e| e.to_string())
}
