//! What a checkpoint's object holds: the network's tensors by name, found among the other things that
//! trainers save, and what was passed over to find them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use super::pickle::{Described, Items, Parsed, Unpickler, Value, quoted};
use super::weights::LONGEST_NAME;

/// What the object holds; no tensor is made yet.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Tensors by name.
    pub tensors: BTreeMap<String, Rc<Described>>,
    /// Objects in a tensor's place that would have to be run, by name.
    pub opaque: BTreeMap<String, Rc<str>>,
    /// Entry of the object that was taken, where it is one among others: "state_dict.model".
    pub taken: String,
    /// Other entries that hold a network as well.
    pub others: Vec<String>,
}

/// Names under which checkpoints keep the network among other things, the likeliest first.
const WRAPPERS: [&str; 6] = ["state_dict", "model_state_dict", "model_state", "model", "network", "net"];

/// Entries of dictionaries that are looked at, at most.
const MOST_ENTRIES: usize = 1 << 20;

/// Finds the tensors of an object: those of `entry`, a path of keys, or of the dictionary behind the
/// usual names.
pub(super) fn contents(reader: &Unpickler, object: &Value, entry: Option<&str>) -> Parsed<Contents> {
    let (inner, taken, mut others) = innermost(reader, object);
    let mut found = match entry {
        None => collect(reader, inner)?,
        Some(wanted) => chosen(collect(reader, object)?, wanted)?,
    };
    if entry.is_none() {
        others.sort();
        (found.taken, found.others) = (taken, others);
    }
    if found.tensors.is_empty() {
        let opaque = match inner {
            Value::Opaque(name) => Some(name),
            _ => found.opaque.values().next(),
        };
        return Err(match opaque {
            Some(name) => format!(
                "{} would have to be run; only tensors are read: in Python, save model.state_dict() instead",
                quoted(name)
            ),
            None => "no tensor by a name".into(),
        });
    }
    Ok(found)
}

fn entry<'a>(reader: &'a Unpickler, dict: Items, wanted: &str) -> Option<&'a Value> {
    let found = |pair: &&[Value]| matches!(&pair[0], Value::Text(key) if &**key == wanted);
    // As in Python, the last of several with one key is the one that stays.
    reader.items(dict).chunks_exact(2).rfind(found).map(|pair| &pair[1])
}

/// Whether a value is a dictionary with a tensor in it by a name: what a state dict looks like.
fn is_network(reader: &Unpickler, value: &Value) -> bool {
    let Value::Dict(dict) = value else { return false };
    let tensor = |pair: &[Value]| matches!(pair, [Value::Text(_), Value::Tensor(_)]);
    reader.items(*dict).chunks_exact(2).any(tensor)
}

/// The innermost dictionary behind the usual names, the path that leads to it, and the paths of other
/// networks that were met on the way.
fn innermost<'a>(reader: &'a Unpickler, object: &'a Value) -> (&'a Value, String, Vec<String>) {
    let (mut inner, mut path, mut others, mut seen) = (object, String::new(), Vec::new(), HashSet::new());
    while let Value::Dict(dict) = inner
        && seen.insert(*dict)
    {
        let wrapped =
            WRAPPERS.iter().filter_map(|name| entry(reader, *dict, name).map(|value| (name, value)));
        let found = wrapped.into_iter().find(|(_, value)| matches!(value, Value::Dict(_)));
        let Some((name, next)) = found else { break };
        for pair in reader.items(*dict).chunks_exact(2) {
            if let Value::Text(key) = &pair[0]
                && &**key != *name
                && key.len() <= LONGEST_NAME
                && others.len() < MOST_OTHERS
                && is_network(reader, &pair[1])
            {
                others.push(below(&path, key));
            }
        }
        (inner, path) = (next, below(&path, name));
    }
    (inner, path, others)
}

/// Other networks that are listed, at most.
const MOST_OTHERS: usize = 8;

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is found under the path `wanted`, by the names below it.
fn chosen(found: Contents, wanted: &str) -> Parsed<Contents> {
    let prefix = format!("{}.", wanted.trim_end_matches('.'));
    let entries: BTreeSet<&str> =
        found.tensors.keys().map(|name| name.rsplit_once('.').map_or("", |(parent, _)| parent)).collect();
    let entries = entries.into_iter().filter_map(|path| path.split('.').next()).collect::<BTreeSet<_>>();
    if !found.tensors.keys().any(|name| name.starts_with(&prefix)) {
        let entries = entries.into_iter().take(MOST_OTHERS).map(quoted).collect::<Vec<_>>().join(", ");
        return Err(format!("no tensor under the entry {}; there are {entries}", quoted(wanted)));
    }
    fn under<T>(all: BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
        all.into_iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t))).collect()
    }
    let (tensors, opaque) = (under(found.tensors, &prefix), under(found.opaque, &prefix));
    Ok(Contents { tensors, opaque, ..Contents::default() })
}

/// All tensors below a value, named by their path; a dictionary that occurs twice is read once.
fn collect(reader: &Unpickler, value: &Value) -> Parsed<Contents> {
    let (mut found, mut seen, mut looked_at) = (Contents::default(), HashSet::new(), 0);
    let mut rest = vec![(value, String::new())];
    while let Some((value, path)) = rest.pop() {
        let Value::Dict(dict) = value else { continue };
        if !seen.insert(*dict) {
            continue;
        }
        let mut keys = HashSet::new();
        // As in Python, the last of several with one key is the one that stays.
        for pair in reader.items(*dict).chunks_exact(2).rev() {
            looked_at += 1;
            if looked_at > MOST_ENTRIES {
                return Err(format!("more than {MOST_ENTRIES} entries in its dictionaries"));
            }
            let Value::Text(key) = &pair[0] else { continue };
            if !matches!(&pair[1], Value::Tensor(_) | Value::Dict(_) | Value::Opaque(_)) {
                continue;
            }
            let length = path.len() + key.len();
            if length > LONGEST_NAME {
                return Err(format!("a name of {length} bytes; at most {LONGEST_NAME} are read"));
            }
            if !keys.insert(key) {
                continue;
            }
            let path = below(&path, key);
            match &pair[1] {
                Value::Tensor(tensor) => drop(found.tensors.insert(path, tensor.clone())),
                Value::Opaque(name) => drop(found.opaque.insert(path, name.clone())),
                dict => rest.push((dict, path)),
            }
        }
    }
    Ok(found)
}
