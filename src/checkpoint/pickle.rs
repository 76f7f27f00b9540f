//! A reader of pickles that knows data and nothing else.
//!
//! A pickle is a program for a small stack machine, and a hostile one can make Python run anything. This
//! machine knows the opcodes of plain data, and of the calls a pickle can ask for only those that describe
//! a tensor; it carries out none. What any other call would make is an opaque value, which has a name and
//! nothing else: trainers leave their options and counters beside the tensors, and no tensor needs them.
//!
//! A small pickle can describe much, by recalling what it has said before. What is kept is limited: steps,
//! lengths of names, axes of a tensor, entries that are copied.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use tch::Kind;

/// A value that a pickle describes. Collections are kept by the `Unpickler`, so that values are cheap to
/// repeat, and a collection that holds itself is no trouble.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, or something that nobody here asks about.
    None,
    /// True or false.
    Bool(bool),
    /// A number of at most 64 bits.
    Int(i64),
    /// A longer number: its bytes, the lowest first.
    Long(Rc<[u8]>),
    /// A name or a key.
    Text(Rc<str>),
    /// A tuple or a list.
    Sequence(Items),
    /// A dictionary: keys and values in turn.
    Dict(Items),
    /// A name such as `torch.FloatStorage`.
    Global(Rc<str>),
    /// A tensor's memory.
    Storage(Rc<Storage>),
    /// A tensor.
    Tensor(Rc<Described>),
    /// What only running the thing of this name would make.
    Opaque(Rc<str>),
}

/// Where a collection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Items(usize);

/// A piece of memory that tensors view.
#[derive(Debug)]
pub struct Storage {
    /// Its name in the file.
    pub key: Rc<str>,
    /// Of what it is made.
    pub kind: Kind,
    /// Elements before its first one, where it is itself a view of the memory of that name.
    pub skip: i64,
}

/// What is known of a tensor.
#[derive(Debug)]
pub struct Described {
    /// Its memory.
    pub storage: Rc<Storage>,
    /// Elements before its first one.
    pub offset: i64,
    /// Its shape.
    pub size: Vec<i64>,
    /// Elements between neighbours, for each axis.
    pub stride: Vec<i64>,
}

/// What is read, or what is wrong.
pub(crate) type Parsed<T> = Result<T, String>;

/// The machine, on bytes that hold pickles one after the other.
pub(crate) struct Unpickler<'a> {
    bytes: &'a [u8],
    at: usize,
    collections: Vec<Vec<Value>>,
    kinds: BTreeMap<Rc<str>, Kind>,
    opaque: BTreeSet<Rc<str>>,
    steps: usize,
    copied: usize,
}

/// Most opcodes of a file. A tensor takes some sixty.
const MOST_STEPS: usize = 1 << 22;

/// Longest name of a class or a storage, in bytes.
const LONGEST_NAME: usize = 256;

/// Most axes of a tensor.
const MOST_AXES: usize = 16;

/// Names of things passed over that are kept, at most.
const MOST_OPAQUE: usize = 8;

/// What one pickle leaves on the machine's desk.
#[derive(Default)]
struct Desk {
    stack: Vec<Value>,
    /// Heights of the stack at which a sequence of arguments begins.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl Desk {
    fn pop(&mut self) -> Parsed<Value> {
        self.stack.pop().ok_or_else(|| "a value is asked for that is not there".into())
    }

    fn top(&self) -> Parsed<Value> {
        self.stack.last().cloned().ok_or_else(|| "a value is asked for that is not there".into())
    }

    fn last(&mut self, n: usize) -> Parsed<Vec<Value>> {
        let at = self.stack.len().checked_sub(n).ok_or("a tuple of too few values")?;
        Ok(self.stack.split_off(at))
    }

    fn since_mark(&mut self) -> Parsed<Vec<Value>> {
        let at = self.marks.pop().filter(|&at| at <= self.stack.len()).ok_or("a mark is missing")?;
        Ok(self.stack.split_off(at))
    }

    fn recall(&self, key: u32) -> Parsed<Value> {
        self.memo.get(&key).cloned().ok_or_else(|| format!("value {key} is recalled and was never kept"))
    }
}

impl<'a> Unpickler<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        let (kinds, opaque) = (BTreeMap::new(), BTreeSet::new());
        Self { bytes, at: 0, collections: Vec::new(), kinds, opaque, steps: 0, copied: 0 }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len());
        let end = end.ok_or_else(|| format!("ends at byte {}, {n} more were announced", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn number<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as asked for"))
    }

    /// What a collection holds.
    pub fn items(&self, items: Items) -> &[Value] {
        &self.collections[items.0]
    }

    /// How far it has read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Names of things that would have to be run, and were not; some of them, where there are many.
    pub fn opaque_names(&self) -> &BTreeSet<Rc<str>> {
        &self.opaque
    }

    /// Kinds of the storages named so far.
    pub(crate) fn kinds(&self) -> &BTreeMap<Rc<str>, Kind> {
        &self.kinds
    }

    fn byte(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    fn length<const N: usize>(&mut self) -> Parsed<usize> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.take(N)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length beyond all sizes".into())
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

    fn long(&mut self, n: usize) -> Parsed<Value> {
        let digits = self.take(n)?;
        if n > 8 {
            return Ok(Value::Long(digits.into()));
        }
        let negative = digits.last().is_some_and(|d| d & 0x80 != 0);
        let mut bytes = [if negative { 0xff } else { 0 }; 8];
        bytes[..n].copy_from_slice(digits);
        Ok(Value::Int(i64::from_le_bytes(bytes)))
    }

    fn keep(&mut self, values: Vec<Value>) -> Items {
        self.collections.push(values);
        Items(self.collections.len() - 1)
    }

    fn opaque(&mut self, what: &Value) -> Value {
        let name: Rc<str> = match what {
            Value::Global(name) | Value::Opaque(name) => name.clone(),
            _ => "an object without a name".into(),
        };
        if self.opaque.len() < MOST_OPAQUE {
            self.opaque.insert(name.clone());
        }
        Value::Opaque(name)
    }

    fn global(&self, module: &str, name: &str) -> Parsed<Value> {
        match module.len() + name.len() {
            length if length > LONGEST_NAME => {
                Err(format!("a class whose name has {length} bytes; at most {LONGEST_NAME} are read"))
            }
            _ => Ok(Value::Global(format!("{module}.{name}").into())),
        }
    }

    fn sequence(&mut self, values: Vec<Value>) -> Value {
        Value::Sequence(self.keep(values))
    }

    /// Reads one pickle.
    pub fn value(&mut self) -> Parsed<Value> {
        let mut desk = Desk::default();
        loop {
            let at = self.at;
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err(format!("more than {MOST_STEPS} steps to describe it"));
            }
            let opcode = self.byte()?;
            let value = match opcode {
                b'.' => return desk.pop(),
                // Protocol and frames.
                0x80 => {
                    self.byte()?;
                    continue;
                }
                0x95 => {
                    self.take(8)?;
                    continue;
                }
                b'(' => {
                    desk.marks.push(desk.stack.len());
                    continue;
                }
                b'0' => {
                    desk.pop()?;
                    continue;
                }
                b'1' => {
                    desk.since_mark()?;
                    continue;
                }
                b'2' => desk.top()?,
                b'N' => Value::None,
                0x88 => Value::Bool(true),
                0x89 => Value::Bool(false),
                b'J' => Value::Int(i32::from_le_bytes(self.number()?).into()),
                b'K' => Value::Int(self.byte()?.into()),
                b'M' => Value::Int(u16::from_le_bytes(self.number()?).into()),
                0x8a => {
                    let n = self.length::<1>()?;
                    self.long(n)?
                }
                0x8b => {
                    let n = self.length::<4>()?;
                    self.long(n)?
                }
                // Floats and bytes are read over: no tensor is made of them.
                b'G' => {
                    self.take(8)?;
                    Value::None
                }
                b'C' | b'B' | 0x8e | 0x96 => {
                    let n = match opcode {
                        b'C' => self.length::<1>()?,
                        b'B' => self.length::<4>()?,
                        _ => self.length::<8>()?,
                    };
                    self.take(n)?;
                    Value::None
                }
                b'U' | b'T' | b'X' | 0x8c | 0x8d => {
                    let n = match opcode {
                        b'U' | 0x8c => self.length::<1>()?,
                        b'T' | b'X' => self.length::<4>()?,
                        _ => self.length::<8>()?,
                    };
                    self.text(n)?
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?
                }
                0x93 => match (desk.pop()?, desk.pop()?) {
                    (Value::Text(name), Value::Text(module)) => self.global(&module, &name)?,
                    _ => return Err(format!("byte {at}: a global whose name is no text")),
                },
                b')' | b']' => self.sequence(Vec::new()),
                b'}' => Value::Dict(self.keep(Vec::new())),
                b't' | b'l' => {
                    let items = desk.since_mark()?;
                    self.sequence(items)
                }
                b'd' => Value::Dict(self.keep(desk.since_mark()?)),
                0x85..=0x87 => {
                    let items = desk.last(usize::from(opcode - 0x84))?;
                    self.sequence(items)
                }
                b'q' | b'r' | 0x94 => {
                    let key = match opcode {
                        b'q' => self.byte()?.into(),
                        b'r' => u32::from_le_bytes(self.number()?),
                        _ => desk.memo.len() as u32,
                    };
                    desk.memo.insert(key, desk.top()?);
                    continue;
                }
                b'h' => desk.recall(self.byte()?.into())?,
                b'j' => desk.recall(u32::from_le_bytes(self.number()?))?,
                // Sets: no tensor is looked for in one.
                0x8f => Value::Opaque("a set".into()),
                0x91 => {
                    desk.since_mark()?;
                    Value::Opaque("a set".into())
                }
                // Objects, made or called; of an object without arguments the class is beside its mark.
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    desk.since_mark()?;
                    let class = self.global(module, name)?;
                    self.opaque(&class)
                }
                b'o' => {
                    let made = desk.since_mark()?;
                    self.opaque(made.first().unwrap_or(&Value::None))
                }
                0x81 => {
                    let (_, class) = (desk.pop()?, desk.pop()?);
                    self.opaque(&class)
                }
                0x92 => {
                    let (_, _, class) = (desk.pop()?, desk.pop()?, desk.pop()?);
                    self.opaque(&class)
                }
                b'a' | b'e' | b's' | b'u' | 0x90 => {
                    let items = match opcode {
                        b'a' => desk.last(1)?,
                        b's' => desk.last(2)?,
                        _ => desk.since_mark()?,
                    };
                    self.add(&desk.top()?, matches!(opcode, b's' | b'u'), items)?;
                    continue;
                }
                b'Q' => {
                    let id = desk.pop()?;
                    self.storage(&id)?
                }
                b'R' => {
                    let (arguments, callee) = (desk.pop()?, desk.pop()?);
                    self.describe(&callee, &arguments)?
                }
                // State of an object: nothing that a tensor needs.
                b'b' => {
                    desk.pop()?;
                    continue;
                }
                other => {
                    let name = REFUSED.iter().find(|(code, _)| *code == other).map_or("unknown", |r| r.1);
                    return Err(format!("byte {at}: opcode {other:#04x} ({name}) is not plain data"));
                }
            };
            desk.stack.push(value);
        }
    }

    fn add(&mut self, to: &Value, pairs: bool, items: Vec<Value>) -> Parsed<()> {
        match to {
            Value::Opaque(_) => {}
            Value::Sequence(at) if !pairs => self.collections[at.0].extend(items),
            Value::Dict(at) if pairs && items.len().is_multiple_of(2) => self.collections[at.0].extend(items),
            _ => return Err("items for something that does not hold them".into()),
        }
        Ok(())
    }

    /// A persistent id: `('storage', type, key, location, numel)`, and perhaps the view that the storage
    /// is of another: `(key, offset, size)`.
    fn storage(&mut self, id: &Value) -> Parsed<Value> {
        let Value::Sequence(items) = id else { return Err("a storage id that is no tuple".into()) };
        // How PyTorch before 1.6 saved a module whole: its class, and the text of its source.
        if let [Value::Text(tag), class @ Value::Global(_), ..] = self.items(*items)
            && &**tag == "module"
        {
            return Ok(class.clone());
        }
        let [Value::Text(tag), Value::Global(class), Value::Text(key), _, _, view @ ..] = self.items(*items)
        else {
            return Err("a storage id of another form".into());
        };
        if &**tag != "storage" {
            return Err(format!("a persistent {}, only a storage is known", quoted(tag)));
        }
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == &**class) else {
            let class = Value::Global(class.clone());
            return Ok(self.opaque(&class));
        };
        if key.len() > LONGEST_NAME {
            return Err(format!(
                "a storage whose name has {} bytes; at most {LONGEST_NAME} are read",
                key.len()
            ));
        }
        let kind = *kind;
        let (key, mut skip) = (key.clone(), 0);
        if let [Value::Sequence(view)] = view {
            match self.items(*view) {
                [_, Value::Int(offset), Value::Int(_)] if *offset >= 0 => skip = *offset,
                _ => return Err(format!("storage '{key}': a view of another form")),
            }
        }
        match self.kinds.insert(key.clone(), kind) {
            Some(other) if other != kind => Err(format!("storage '{key}' is of {other:?} and of {kind:?}")),
            _ => Ok(Value::Storage(Rc::new(Storage { key, kind, skip }))),
        }
    }

    /// What a call would make, for the few calls that describe data.
    fn describe(&mut self, callee: &Value, arguments: &Value) -> Parsed<Value> {
        let Value::Sequence(arguments) = arguments else {
            return Err("a call whose arguments are no tuple".into());
        };
        let Value::Global(name) = callee else { return Ok(self.opaque(callee)) };
        let arguments = self.items(*arguments);
        match (&**name, arguments) {
            ("collections.OrderedDict", pairs) => {
                let pairs = match pairs {
                    [Value::Sequence(pairs)] => self.items(*pairs).to_vec(),
                    _ => Vec::new(),
                };
                // Whoever writes each entry once stays below this.
                self.copied += pairs.len();
                if self.copied > self.bytes.len() {
                    return Err("dictionaries of more entries than the file has bytes".into());
                }
                let mut entries = Vec::with_capacity(2 * pairs.len());
                for pair in pairs {
                    let Value::Sequence(pair) = pair else { return Err("an entry that is no pair".into()) };
                    let [key, value] = self.items(pair) else {
                        return Err("an entry that is no pair".into());
                    };
                    entries.extend([key.clone(), value.clone()]);
                }
                Ok(Value::Dict(self.keep(entries)))
            }
            ("collections.defaultdict", _) => Ok(Value::Dict(self.keep(Vec::new()))),
            (
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
                [
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Sequence(size),
                    Value::Sequence(stride),
                    ..,
                ],
            ) => Ok(Value::Tensor(Rc::new(Described {
                storage: storage.clone(),
                offset: *offset,
                size: integers(self.items(*size))?,
                stride: integers(self.items(*stride))?,
            }))),
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                [tensor @ Value::Tensor(_), ..],
            ) => Ok(tensor.clone()),
            // A tensor with attributes: how to make it, of what class, from what, and the attributes.
            (
                "torch._tensor._rebuild_from_type_v2" | "torch._tensor._rebuild_from_type",
                [make @ Value::Global(inner), Value::Global(_), from @ Value::Sequence(_), ..],
            ) if inner.starts_with("torch._utils.") => {
                let (make, from) = (make.clone(), from.clone());
                self.describe(&make, &from)
            }
            ("torch.Size", [sizes @ Value::Sequence(_)]) => Ok(sizes.clone()),
            // What a tensor would be made of was itself passed over: of that name is the answer.
            (name, [first @ Value::Opaque(_), ..]) if name.starts_with("torch._utils._rebuild_") => {
                Ok(first.clone())
            }
            _ => Ok(self.opaque(callee)),
        }
    }
}

/// A name for a message, of which no more than its beginning is quoted.
pub(super) fn quoted(name: &str) -> String {
    const MOST: usize = 64;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("'{}...'", name[..end].escape_debug()),
        None => format!("'{}'", name.escape_debug()),
    }
}

fn integers(values: &[Value]) -> Parsed<Vec<i64>> {
    if values.len() > MOST_AXES {
        return Err(format!("a tensor of {} axes; at most {MOST_AXES} are read", values.len()));
    }
    let integer = |v: &Value| match v {
        Value::Int(i) if *i >= 0 => Ok(*i),
        Value::Int(i) => Err(format!("a size of {i}")),
        _ => Err("a size that is no number".into()),
    };
    values.iter().map(integer).collect()
}

/// Storages by their names in a pickle.
const KINDS: [(&str, Kind); 10] = [
    ("torch.FloatStorage", Kind::Float),
    ("torch.HalfStorage", Kind::Half),
    ("torch.BFloat16Storage", Kind::BFloat16),
    ("torch.DoubleStorage", Kind::Double),
    ("torch.LongStorage", Kind::Int64),
    ("torch.IntStorage", Kind::Int),
    ("torch.ShortStorage", Kind::Int16),
    ("torch.CharStorage", Kind::Int8),
    ("torch.ByteStorage", Kind::Uint8),
    ("torch.BoolStorage", Kind::Bool),
];

/// Opcodes that reach beyond the file, for messages.
const REFUSED: [(u8, &str); 5] =
    [(b'P', "PERSID"), (0x82, "EXT1"), (0x83, "EXT2"), (0x84, "EXT4"), (0x97, "NEXT_BUFFER")];
