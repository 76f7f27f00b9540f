//! Reads tensors from checkpoint files without PyTorch: safetensors, and both formats of `torch.save`.
//!
//! Since version 1.6, PyTorch writes a zip archive: `data.pkl` describes the object, `data/N` holds the bytes
//! of storage N. Before, it wrote a stream: four pickles (magic number, protocol, system, the object), a
//! fifth with the list of storages, then their bytes. Every published SPADE and SynthCP checkpoint is such a
//! stream.
//!
//! The crate pytorch-reader (0.22) reads both formats right, bf16 included, and runs nothing either. It does not
//! pass `tests/checkpoints.rs`: of a storage of 24 bytes it makes a tensor of 4 GiB by a stride of 0, it unpacks
//! compressed archives, and a call of `os.system` beside the tensors it passes over in silence, where a checkpoint
//! that asks for such a call is refused here.

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use fs_err as fs;
use tch::{Device, Tensor};
use zip::ZipArchive;

use super::pickle::{Described, Items, Parsed, Unpickler, Value};
use super::weights::{self, Tensors, WeightsError};

/// Reads the tensors of a checkpoint: a state dict, or dictionaries around it.
pub fn read(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = fs::read(path)?;
    parse(&bytes, path)
}

/// Reads the tensors of a checkpoint's bytes; `path` is for messages.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Tensors, WeightsError> {
    let format = |what: &str, reason| {
        let reason = format!("{what} checkpoint: {reason}");
        WeightsError::Format { path: path.into(), reason }
    };
    match bytes {
        // The header's length, then the header.
        [_, _, _, _, _, _, _, _, b'{', ..] => weights::parse(bytes, path),
        [b'P', b'K', ..] => parse_zip(bytes).map_err(|reason| format("zip", reason)),
        [0x80, ..] => parse_stream(bytes).map_err(|reason| format("legacy", reason)),
        _ => Err(WeightsError::Format {
            path: path.into(),
            reason: "neither safetensors nor a checkpoint of PyTorch".into(),
        }),
    }
}

/// The first pickle of every stream.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

fn parse_stream(bytes: &[u8]) -> Parsed<Tensors> {
    let mut reader = Unpickler::new(bytes);
    match reader.value()? {
        Value::Long(digits) if *digits == MAGIC => {}
        _ => return Err("the magic number is missing".into()),
    }
    reader.value()?;
    if let Value::Dict(system) = reader.value()?
        && let Some(Value::Bool(false)) = entry(&reader, system, "little_endian")
    {
        return Err("written on a big-endian machine".into());
    }
    let object = reader.value()?;
    let Value::Sequence(keys) = reader.value()? else { return Err("the list of storages is missing".into()) };
    let mut storages = BTreeMap::new();
    for key in reader.items(keys).to_vec() {
        let Value::Text(key) = key else { return Err("a storage without name".into()) };
        let kind = *reader.kinds().get(&key).ok_or_else(|| format!("storage '{key}' is of no tensor"))?;
        let length = usize::try_from(u64::from_le_bytes(reader.number()?)).ok();
        let length = length.and_then(|n| n.checked_mul(kind.elt_size_in_bytes()));
        let length = length.ok_or_else(|| format!("storage '{key}' is beyond all sizes"))?;
        storages.insert(key, reader.take(length)?);
    }
    build(&reader, &object, |key| {
        storages.get(key).map(|bytes| bytes.to_vec()).ok_or_else(|| format!("storage '{key}' is missing"))
    })
}

fn parse_zip(bytes: &[u8]) -> Parsed<Tensors> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let pickle = names.iter().find(|name| **name == "data.pkl" || name.ends_with("/data.pkl"));
    let pickle = pickle.ok_or("data.pkl is missing")?;
    let folder = &pickle[..pickle.len() - "data.pkl".len()];
    let has = |name: &str| names.contains(&format!("{folder}{name}"));
    if has("constants.pkl") {
        return Err("a TorchScript network: it goes into a bundle whole, as architecture torchscript".into());
    }
    let mut file = |name: &str| -> Parsed<Vec<u8>> {
        let name = format!("{folder}{name}");
        let mut file = archive.by_name(&name).map_err(|e| format!("{name}: {e}"))?;
        // PyTorch stores, so nothing can be larger than the file.
        if file.compression() != zip::CompressionMethod::Stored || file.size() > bytes.len() as u64 {
            return Err(format!("{name} is compressed"));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|e| format!("{name}: {e}"))?;
        Ok(content)
    };
    if has("byteorder") && file("byteorder")? != b"little" {
        return Err("written on a big-endian machine".into());
    }
    let description = file("data.pkl")?;
    let mut reader = Unpickler::new(&description);
    let object = reader.value()?;
    build(&reader, &object, |key| file(&format!("data/{key}")))
}

/// Names under which checkpoints keep the network among other things, the likeliest first.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "network", "net"];

fn entry<'a>(reader: &'a Unpickler, dict: Items, wanted: &str) -> Option<&'a Value> {
    let found = |pair: &&[Value]| matches!(&pair[0], Value::Text(key) if &**key == wanted);
    reader.items(dict).chunks_exact(2).find(found).map(|pair| &pair[1])
}

/// Finds the tensors of an object and fills each from its storage.
fn build(
    reader: &Unpickler,
    object: &Value,
    mut storage: impl FnMut(&str) -> Parsed<Vec<u8>>,
) -> Parsed<Tensors> {
    let described = collect(reader, innermost(reader, object));
    if described.is_empty() {
        return Err("no tensor by a name".into());
    }
    // One storage at a time: files are large, and few tensors share one.
    let mut by_storage: BTreeMap<Rc<str>, Vec<(String, Rc<Described>)>> = BTreeMap::new();
    for (name, tensor) in described {
        by_storage.entry(tensor.storage.key.clone()).or_default().push((name, tensor));
    }
    let mut tensors = Tensors::new();
    for (key, own) in by_storage {
        let bytes = storage(&key)?;
        for (name, described) in own {
            let tensor = tensor(&described, &bytes).map_err(|reason| format!("'{name}': {reason}"))?;
            tensors.insert(name, tensor);
        }
    }
    Ok(tensors)
}

/// The innermost dictionary behind the usual names.
fn innermost<'a>(reader: &'a Unpickler, object: &'a Value) -> &'a Value {
    let (mut inner, mut seen) = (object, HashSet::new());
    while let Value::Dict(dict) = inner
        && seen.insert(*dict)
    {
        let wrapped = WRAPPERS.iter().filter_map(|name| entry(reader, *dict, name));
        match wrapped.into_iter().find(|value| matches!(value, Value::Dict(_))) {
            Some(next) => inner = next,
            None => break,
        }
    }
    inner
}

/// No layer's name is longer, in bytes.
const LONGEST_NAME: usize = 4096;

/// All tensors below a value, named by their path; a dictionary that occurs twice is read once.
fn collect(reader: &Unpickler, value: &Value) -> BTreeMap<String, Rc<Described>> {
    let (mut found, mut seen) = (BTreeMap::new(), HashSet::new());
    let mut rest = vec![(value, String::new())];
    while let Some((value, path)) = rest.pop() {
        match value {
            Value::Tensor(tensor) if !path.is_empty() => drop(found.insert(path, tensor.clone())),
            Value::Dict(dict) if path.len() < LONGEST_NAME && seen.insert(*dict) => {
                for pair in reader.items(*dict).chunks_exact(2) {
                    let Value::Text(key) = &pair[0] else { continue };
                    let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
                    rest.push((&pair[1], path));
                }
            }
            _ => {}
        }
    }
    found
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
