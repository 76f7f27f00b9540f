//! The order of the modules, read from the `use` lines and paths of the sources: ARCHITECTURE.md draws it.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The library's folders, lowest first: a file may use what stands before its own folder, and nothing after.
const ORDER: [&str; 24] = [
    "whole_file",
    "quote",
    "labels",
    "frame",
    "metric",
    "bag",
    "data",
    "network",
    "checkpoint",
    "model",
    "score",
    "monitor",
    "picture",
    "watch",
    "node",
    "street",
    "drive",
    "train",
    "evaluate",
    "replay",
    "mine",
    "judge",
    "bench",
    "protocol",
];

/// Who may name ROS, besides the folder `node`.
const ROS_BINARIES: [&str; 3] = ["bin/monitor_node", "bin/street_camera", "bin/demo_view"];

/// One source file: its path below `src/` without `.rs`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Every module path of this crate that the file names, with its line: `crate::a::b` as `a/b`.
    fn references(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        for (line, number) in self.text.lines().zip(1..) {
            let code = line.split("//").next().unwrap_or_default();
            let roots = [("crate::", ""), ("super::", parent), ("synthcp_monitor::", "")];
            for (root, base) in roots {
                for (at, _) in code.match_indices(root) {
                    if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                        continue;
                    }
                    for path in paths(&code[at + root.len()..]) {
                        found.push((number, format!("{base}/{path}").trim_start_matches('/').to_owned()));
                    }
                }
            }
        }
        found
    }
}

/// `a::b::{c, d}` as `a/b/c` and `a/b/d`, as far as one line tells.
fn paths(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let (mut stem, mut rest) = (Vec::new(), text);
    loop {
        let name = word(rest);
        if name.is_empty() {
            break;
        }
        rest = &rest[name.len()..];
        stem.push(name);
        match rest.strip_prefix("::") {
            Some(next) => rest = next,
            None => return vec![stem.join("/")],
        }
    }
    let group = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
    let stem = stem.join("/");
    let ends = group.split(',').map(|item| word(item.trim_start())).filter(|item| !item.is_empty());
    let paths: Vec<String> = ends.map(|end| format!("{stem}/{end}")).collect();
    if paths.is_empty() { vec![stem] } else { paths }
}

/// Imports that run against the order, and names of ROS where none may stand.
fn violations(sources: &[Source]) -> Vec<String> {
    let rank = |folder: &str| ORDER.iter().position(|known| *known == folder);
    let mut found = Vec::new();
    for source in sources {
        let own = rank(source.folder());
        for (line, path) in source.references() {
            let folder = path.split('/').next().unwrap_or_default();
            if let (Some(own), Some(used)) = (own, rank(folder))
                && used > own
            {
                found.push(format!(
                    "src/{}.rs:{line}: {} uses {folder}; the order is {}",
                    source.path,
                    ORDER[own],
                    ORDER.join(" < ")
                ));
            }
        }
        let names_ros = |line: &str| line.split("//").next().unwrap_or_default().contains("r2r");
        let may = source.folder() == "node" || ROS_BINARIES.contains(&source.path.as_str());
        if let Some(line) = source.text.lines().position(names_ros).filter(|_| !may) {
            found.push(format!(
                "src/{}.rs:{}: r2r is named; ROS types belong into src/node and {}",
                source.path,
                line + 1,
                ROS_BINARIES.join(", ")
            ));
        }
    }
    found
}

/// Files that use each other in a ring. A module and those below it count as one, seen from within: a file may
/// use what its own parent defines.
fn circles(sources: &[Source]) -> Vec<String> {
    let files: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let file_of = |path: &str| {
        let mut path = path;
        loop {
            if files.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once('/')?.0;
        }
    };
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let own = source.path.clone();
        let is_above = |other: &str| own.starts_with(&format!("{other}/"));
        // Tests may use whoever uses what they test.
        let text = source.text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        let outside_tests = Source { path: own.clone(), text };
        let others = outside_tests.references().into_iter().filter_map(|(_, path)| file_of(&path));
        let others = others.filter(|other| *other != own && !is_above(other)).collect();
        uses.insert(own.clone(), others);
    }
    let mut rings = BTreeSet::new();
    for start in uses.keys() {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(file) = open.pop() {
            for next in uses.get(&file).into_iter().flatten() {
                if reached.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        if reached.contains(start) {
            rings.insert(start.clone());
        }
    }
    let shown = |file: &String| {
        let ring: Vec<&str> = uses[file].iter().filter(|f| rings.contains(*f)).map(String::as_str).collect();
        format!("src/{file}.rs is in a circle; on it, it uses {}", ring.join(", "))
    };
    rings.iter().map(shown).collect()
}

/// Where numbers may be read from a tensor in the folders that infer: in `download`, in passes over the CPU's own
/// memory, and when a network is loaded.
const READERS: [&str; 8] = [
    "network/download",
    "network/softmax",
    "network/comparison/correction",
    "network/synthesis/modulation",
    "network/synthesis/patches",
    "network/layers/prepared",
    "network/segmentation/torchscript",
    "network/segmentation/torchscript/answer",
];

/// Lines that bring numbers from a device in mid-frame by another way than `download`.
fn silent_copies(sources: &[Source]) -> Vec<String> {
    let reads =
        ["double_value(", "int64_value(", "::<f32>::try_from(", "::<u8>::try_from(", "::<i64>::try_from("];
    let mut found = Vec::new();
    for source in sources {
        let infers = ["network", "model", "monitor"].contains(&source.folder());
        // From pictures to tensors and back, for training.
        if !infers || READERS.contains(&source.path.as_str()) || source.path == "model/pixels" {
            continue;
        }
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, number) in code.lines().zip(1..) {
            if reads.iter().any(|read| line.contains(read)) {
                found
                    .push(format!("src/{}.rs:{number}: numbers leave the device; use download", source.path));
            }
        }
    }
    found
}

fn read(folder: &Path, below: &str, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let below = if below.is_empty() { name } else { format!("{below}/{name}") };
        if path.is_dir() {
            read(&path, &below, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push(Source { text: fs::read_to_string(&path).unwrap(), path: below });
        }
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.len() > 100, "{} files: this test does not see the sources", sources.len());
    sources
}

#[test]
fn every_folder_has_its_place_in_the_order() {
    let unknown =
        |source: &Source| !["lib", "bin"].contains(&source.folder()) && !ORDER.contains(&source.folder());
    let strays: Vec<String> = sources().into_iter().filter(unknown).map(|source| source.path).collect();
    assert_eq!(strays, Vec::<String>::new(), "not in ORDER of tests/architecture.rs");
}

#[test]
fn numbers_leave_the_device_by_one_way() {
    assert_eq!(silent_copies(&sources()), Vec::<String>::new());
    let text = "fn f(t: &Tensor) -> f64 {\n    t.double_value(&[])\n}\n".to_owned();
    let planted = Source { path: "monitor/scores".to_owned(), text };
    assert_eq!(
        silent_copies(&[planted]),
        ["src/monitor/scores.rs:2: numbers leave the device; use download"]
    );
}

#[test]
fn no_import_runs_against_the_order() {
    assert_eq!(violations(&sources()), Vec::<String>::new());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    assert_eq!(circles(&sources()), Vec::<String>::new());
}

fn planted(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn a_planted_import_is_named_with_file_line_and_rule() {
    let wrong =
        planted("model/bundle", "//! crate::watch in a comment is no import\n\nuse crate::watch::stream;\n");
    let found = violations(&[wrong]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("src/model/bundle.rs:3: model uses watch; the order is whole_file < quote < "),
        "{found:?}"
    );
    let found = violations(&[planted("watch/stream", "fn f(message: r2r::sensor_msgs::msg::Image) {}")]);
    assert!(found[0].starts_with("src/watch/stream.rs:1: r2r is named"), "{found:?}");
    assert!(violations(&[planted("watch/stream", "use crate::model::bundle::Bundle;")]).is_empty());
}

#[test]
fn a_planted_circle_is_found_and_a_parent_is_none() {
    let ring = [
        planted("score", "pub mod a; use a::A;"),
        planted("score/a", "use super::b::B;\nuse super::Detector;"),
        planted("score/b", "use crate::score::{c, a::A};"),
    ];
    let found = circles(&ring);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("src/score/a.rs") && found[0].contains("score/b"), "{found:?}");
    assert!(circles(&ring[..2]).is_empty());
}
