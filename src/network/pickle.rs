//! Reads tensors from PyTorch's legacy checkpoints (before 1.6) without PyTorch.
//!
//! Such a file is four pickles (magic number, protocol, system, the object itself), a fifth with
//! the list of storages, then the storages' bytes. Nothing in a pickle is ever run: the reader
//! knows the opcodes of plain data and the few names that describe a tensor, and refuses the rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::weights::{Tensors, WeightsError};

/// The first pickle of every legacy file.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A value that a pickle describes.
#[derive(Clone, Debug)]
enum Value {
    None,
    Bool,
    Int(i64),
    Long(Vec<u8>),
    Float,
    Text(Rc<str>),
    Tuple(Rc<Vec<Value>>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A name such as `torch._utils._rebuild_tensor_v2`.
    Global(Rc<str>),
    Storage {
        key: Rc<str>,
        kind: Kind,
    },
    Tensor {
        key: Rc<str>,
        kind: Kind,
        offset: i64,
        size: Vec<i64>,
        stride: Vec<i64>,
    },
    Mark,
}

type Parsed<T> = Result<T, String>;

/// A machine that knows data and nothing else.
struct Unpickler<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Unpickler<'a> {
    fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len());
        let end = end.ok_or_else(|| format!("ends at byte {}, {n} more were announced", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as asked for"))
    }

    fn line(&mut self) -> Parsed<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&b| b == b'\n').ok_or("a name without end")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|e| e.to_string())
    }

    fn text(&mut self, n: usize) -> Parsed<Value> {
        std::str::from_utf8(self.take(n)?).map(|s| Value::Text(s.into())).map_err(|e| e.to_string())
    }

    /// Reads one pickle.
    fn value(&mut self) -> Parsed<Value> {
        let mut stack: Vec<Value> = Vec::new();
        let mut memo: BTreeMap<u32, Value> = BTreeMap::new();
        loop {
            let opcode = self.take(1)?[0];
            match opcode {
                0x80 => drop(self.take(1)?),
                b'.' => return pop(&mut stack),
                b'(' => stack.push(Value::Mark),
                b'N' => stack.push(Value::None),
                0x88 | 0x89 => stack.push(Value::Bool),
                b'J' => stack.push(Value::Int(i32::from_le_bytes(self.number()?).into())),
                b'K' => stack.push(Value::Int(self.take(1)?[0].into())),
                b'M' => stack.push(Value::Int(u16::from_le_bytes(self.number()?).into())),
                0x8a => {
                    let n = self.take(1)?[0] as usize;
                    let digits = self.take(n)?;
                    stack.push(if n <= 8 { long(digits) } else { Value::Long(digits.into()) });
                }
                b'G' => {
                    self.take(8)?;
                    stack.push(Value::Float);
                }
                b'X' => {
                    let n = u32::from_le_bytes(self.number()?) as usize;
                    stack.push(self.text(n)?);
                }
                b'U' => {
                    let n = self.take(1)?[0] as usize;
                    stack.push(self.text(n)?);
                }
                b'c' => {
                    let name = format!("{}.{}", self.line()?, self.line()?);
                    stack.push(Value::Global(name.into()));
                }
                b')' => stack.push(Value::Tuple(Rc::default())),
                b']' => stack.push(Value::List(Vec::new())),
                b'}' => stack.push(Value::Dict(Vec::new())),
                b't' => {
                    let items = to_mark(&mut stack)?;
                    stack.push(Value::Tuple(items.into()));
                }
                0x85..=0x87 => {
                    let n = usize::from(opcode - 0x84);
                    let at = stack.len().checked_sub(n).ok_or("a tuple of too few values")?;
                    let items = stack.split_off(at);
                    stack.push(Value::Tuple(items.into()));
                }
                b'q' => drop(memo.insert(self.take(1)?[0].into(), top(&stack)?)),
                b'r' => drop(memo.insert(u32::from_le_bytes(self.number()?), top(&stack)?)),
                b'h' => {
                    let key = self.take(1)?[0].into();
                    stack.push(memo.get(&key).cloned().ok_or("an unknown memo")?);
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.number()?);
                    stack.push(memo.get(&key).cloned().ok_or("an unknown memo")?);
                }
                b'a' => {
                    let item = pop(&mut stack)?;
                    append(&mut stack, vec![item])?;
                }
                b'e' => {
                    let items = to_mark(&mut stack)?;
                    append(&mut stack, items)?;
                }
                b's' => {
                    let (value, key) = (pop(&mut stack)?, pop(&mut stack)?);
                    set(&mut stack, vec![key, value])?;
                }
                b'u' => {
                    let items = to_mark(&mut stack)?;
                    set(&mut stack, items)?;
                }
                b'Q' => {
                    let id = pop(&mut stack)?;
                    stack.push(storage(&id)?);
                }
                b'R' => {
                    let (arguments, callee) = (pop(&mut stack)?, pop(&mut stack)?);
                    stack.push(describe(&callee, &arguments)?);
                }
                // State of an object: kept only for what it is not needed.
                b'b' => drop(pop(&mut stack)?),
                other => return Err(format!("byte {}: opcode {other:#04x} is not plain data", self.at - 1)),
            }
        }
    }
}

fn pop(stack: &mut Vec<Value>) -> Parsed<Value> {
    stack.pop().ok_or_else(|| "an empty stack".into())
}

fn top(stack: &[Value]) -> Parsed<Value> {
    stack.last().cloned().ok_or_else(|| "an empty stack".into())
}

fn to_mark(stack: &mut Vec<Value>) -> Parsed<Vec<Value>> {
    let mark = stack.iter().rposition(|v| matches!(v, Value::Mark)).ok_or("no mark")?;
    let items = stack.split_off(mark + 1);
    stack.pop();
    Ok(items)
}

fn append(stack: &mut [Value], items: Vec<Value>) -> Parsed<()> {
    match stack.last_mut() {
        Some(Value::List(list)) => list.extend(items),
        _ => return Err("items for something that is no list".into()),
    }
    Ok(())
}

fn set(stack: &mut [Value], items: Vec<Value>) -> Parsed<()> {
    match stack.last_mut() {
        Some(Value::Dict(dict)) => {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                dict.push((key, value));
            }
        }
        _ => return Err("entries for something that is no dictionary".into()),
    }
    Ok(())
}

fn long(digits: &[u8]) -> Value {
    let negative = digits.last().is_some_and(|d| d & 0x80 != 0);
    let mut bytes = [if negative { 0xff } else { 0 }; 8];
    bytes[..digits.len()].copy_from_slice(digits);
    Value::Int(i64::from_le_bytes(bytes))
}

/// A persistent id: `('storage', type, key, location, numel, view)`.
fn storage(id: &Value) -> Parsed<Value> {
    let Value::Tuple(items) = id else { return Err("a storage id that is no tuple".into()) };
    match items.as_slice() {
        [Value::Text(tag), Value::Global(class), Value::Text(key), ..] if &**tag == "storage" => {
            let kind = match &**class {
                "torch.FloatStorage" => Kind::Float,
                "torch.HalfStorage" => Kind::Half,
                "torch.DoubleStorage" => Kind::Double,
                "torch.LongStorage" => Kind::Int64,
                "torch.ByteStorage" => Kind::Uint8,
                other => return Err(format!("storage of the unsupported type {other}")),
            };
            Ok(Value::Storage { key: key.clone(), kind })
        }
        _ => Err("a storage id of another form".into()),
    }
}

/// What a call would make, for the few calls that describe data.
fn describe(callee: &Value, arguments: &Value) -> Parsed<Value> {
    let (Value::Global(name), Value::Tuple(arguments)) = (callee, arguments) else {
        return Err("a call of something that has no name".into());
    };
    match (&**name, arguments.as_slice()) {
        ("collections.OrderedDict", _) => Ok(Value::Dict(Vec::new())),
        (
            "torch._utils._rebuild_tensor_v2",
            [Value::Storage { key, kind }, Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..],
        ) => Ok(Value::Tensor {
            key: key.clone(),
            kind: *kind,
            offset: *offset,
            size: integers(size)?,
            stride: integers(stride)?,
        }),
        ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor { .. }, ..]) => Ok(tensor.clone()),
        (other, _) => Err(format!("'{other}' would have to be run; only tensors are read")),
    }
}

fn integers(values: &[Value]) -> Parsed<Vec<i64>> {
    values
        .iter()
        .map(|v| match v {
            Value::Int(i) if *i >= 0 => Ok(*i),
            other => Err(format!("a size of {other:?}")),
        })
        .collect()
}

/// Reads the tensors of a legacy checkpoint: a state dict, or a dictionary that holds one.
pub fn read_legacy(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.into(), source })?;
    parse_legacy(&bytes).map_err(|reason| WeightsError::Format {
        path: path.into(),
        reason: format!("legacy checkpoint: {reason}"),
    })
}

fn parse_legacy(bytes: &[u8]) -> Parsed<Tensors> {
    let mut reader = Unpickler { bytes, at: 0 };
    match reader.value()? {
        Value::Long(digits) if digits == MAGIC => {}
        _ => return Err("the magic number is missing".into()),
    }
    reader.value()?;
    reader.value()?;
    let object = reader.value()?;
    let Value::List(keys) = reader.value()? else { return Err("the list of storages is missing".into()) };

    let mut described = BTreeMap::new();
    collect(&object, "", &mut described);
    let mut kinds = BTreeMap::new();
    for value in described.values() {
        if let Value::Tensor { key, kind, .. } = value {
            kinds.insert(key.clone(), *kind);
        }
    }
    let mut storages = BTreeMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err("a storage without name".into()) };
        let numel = u64::from_le_bytes(reader.number()?) as usize;
        let kind = kinds.get(&key).copied().unwrap_or(Kind::Float);
        let length = numel.checked_mul(kind.elt_size_in_bytes()).ok_or("a storage beyond all sizes")?;
        let data = reader.take(length)?;
        storages.insert(key, Tensor::from_data_size(data, &[numel as i64], kind));
    }
    described
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::Tensor { key, offset, size, stride, .. } => Some((name, key, offset, size, stride)),
            _ => None,
        })
        .map(|(name, key, offset, size, stride)| {
            let storage = storages.get(&key).ok_or_else(|| format!("the storage of '{name}' is missing"))?;
            let tensor =
                storage.f_as_strided(&size, &stride, offset).map_err(|e| format!("'{name}': {e}"))?;
            Ok((name, tensor.copy()))
        })
        .collect()
}

/// All tensors below a value, named by their path.
fn collect(value: &Value, prefix: &str, out: &mut BTreeMap<String, Value>) {
    if let Value::Dict(entries) = value {
        for (key, value) in entries {
            let Value::Text(key) = key else { continue };
            let name = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
            match value {
                Value::Tensor { .. } => drop(out.insert(name, value.clone())),
                other => collect(other, &name, out),
            }
        }
    }
}
