//! Published checkpoints: both formats of PyTorch, built byte by byte, and how they are read.

#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Output};

use proptest::prelude::*;
use synthcp_monitor::checkpoint::architecture::Architecture;
use synthcp_monitor::checkpoint::published;
use synthcp_monitor::checkpoint::pytorch::{self, Checkpoint};
use synthcp_monitor::checkpoint::weights::{self, Tensors};
use synthcp_monitor::model::bundle::Bundle;
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::network::synthesis::GeneratorConfig;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Builds pickles as PyTorch writes them.
#[derive(Clone, Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn begin() -> Self {
        Self(vec![0x80, 2])
    }

    fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    fn int(self, value: i64) -> Self {
        match i32::try_from(value) {
            Ok(small) => self.op(b"J").op(&small.to_le_bytes()),
            Err(_) => self.op(&[0x8a, 8]).op(&value.to_le_bytes()),
        }
    }

    fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.op(b"("), |p, &v| p.int(v)).op(b"t")
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    /// An empty OrderedDict, by a call.
    fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").op(b")R")
    }

    fn end(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// A storage: its class in PyTorch, its width, its bytes.
struct Stored {
    class: &'static str,
    width: usize,
    bytes: Vec<u8>,
}

impl Stored {
    fn floats(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { class: "FloatStorage", width: 4, bytes }
    }
}

/// A tensor of a storage: its name, which storage, offset, size and stride.
struct View(&'static str, usize, i64, &'static [i64], &'static [i64]);

impl Pickle {
    fn tensor(self, view: &View, storages: &[Stored]) -> Self {
        let View(_, index, offset, size, stride) = view;
        let stored = &storages[*index];
        let p = self.global("torch._utils", "_rebuild_tensor_v2").op(b"((").text("storage");
        let p = p.global("torch", stored.class).text(&index.to_string()).text("cpu");
        let p = p.int((stored.bytes.len() / stored.width) as i64).op(b"tQ").int(*offset);
        p.ints(size).ints(stride).op(&[0x89]).ordered_dict().op(b"tR")
    }

    fn state_dict(self, views: &[View], storages: &[Stored]) -> Self {
        let p = self.ordered_dict().op(b"(");
        views.iter().fold(p, |p, view| p.text(view.0).tensor(view, storages)).op(b"u")
    }
}

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The stream before PyTorch 1.6.
fn stream(object: Vec<u8>, storages: &[Stored]) -> Vec<u8> {
    let mut bytes = Pickle::begin().op(&[0x8a, 10]).op(&MAGIC).end();
    bytes.extend(Pickle::begin().op(&[b'M', 0xe9, 3]).end());
    bytes.extend(Pickle::begin().op(b"}(").text("little_endian").op(&[0x88, b'u']).end());
    bytes.extend(object);
    let keys = (0..storages.len()).fold(Pickle::begin().op(b"]("), |p, i| p.text(&i.to_string()));
    bytes.extend(keys.op(b"e").end());
    for stored in storages {
        bytes.extend(((stored.bytes.len() / stored.width) as u64).to_le_bytes());
        bytes.extend(&stored.bytes);
    }
    bytes
}

fn zipped(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, FileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The archive since then.
fn archive(object: Vec<u8>, storages: &[Stored]) -> Vec<u8> {
    let names: Vec<String> = (0..storages.len()).map(|i| format!("net/data/{i}")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("net/data.pkl", &object), ("net/byteorder", b"little")];
    files.extend(names.iter().zip(storages).map(|(name, stored)| (name.as_str(), stored.bytes.as_slice())));
    zipped(&files, CompressionMethod::Stored)
}

fn parse(bytes: &[u8]) -> Result<Tensors, String> {
    pytorch::parse(bytes, Path::new("net.pth")).map_err(|e| e.to_string())
}

fn numbers(t: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(t.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

const SIX: [f32; 6] = [0., 1., 2., 3., 4., 5.];

#[test]
fn both_formats_give_the_tensors_that_were_saved() {
    let halves = [1f32, -2.5].map(half::f16::from_f32).map(half::f16::to_le_bytes).concat();
    let brains = [1f32, -2.5].map(half::bf16::from_f32).map(half::bf16::to_le_bytes).concat();
    let storages = [
        Stored::floats(&SIX),
        Stored { class: "HalfStorage", width: 2, bytes: halves },
        Stored { class: "BFloat16Storage", width: 2, bytes: brains },
        Stored { class: "DoubleStorage", width: 8, bytes: 0.1f64.to_le_bytes().into() },
        Stored { class: "LongStorage", width: 8, bytes: (-7i64).to_le_bytes().into() },
        Stored { class: "IntStorage", width: 4, bytes: 9i32.to_le_bytes().into() },
    ];
    let views = [
        View("plain", 0, 0, &[2, 3], &[3, 1]),
        View("transposed", 0, 0, &[3, 2], &[1, 3]),
        View("second_column", 0, 1, &[2], &[3]),
        View("repeated", 0, 5, &[2, 2], &[0, 0]),
        View("empty", 0, 0, &[0, 4], &[4, 1]),
        View("half", 1, 0, &[2], &[1]),
        View("brain", 2, 0, &[2], &[1]),
        View("double", 3, 0, &[], &[]),
        View("long", 4, 0, &[1], &[1]),
        View("int", 5, 0, &[1], &[1]),
    ];
    let object = Pickle::begin().state_dict(&views, &storages).end();
    for bytes in [stream(object.clone(), &storages), archive(object, &storages)] {
        let tensors = parse(&bytes).unwrap();
        assert_eq!(tensors.len(), views.len());
        for View(name, _, _, size, _) in &views {
            assert_eq!(&tensors[*name].size(), size, "{name}");
        }
        assert_eq!(numbers(&tensors["plain"]), SIX.map(f64::from));
        assert_eq!(numbers(&tensors["transposed"]), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(numbers(&tensors["second_column"]), [1., 4.]);
        assert_eq!(numbers(&tensors["repeated"]), [5.; 4]);
        assert_eq!((tensors["half"].kind(), numbers(&tensors["half"])), (Kind::Half, vec![1., -2.5]));
        assert_eq!((tensors["brain"].kind(), numbers(&tensors["brain"])), (Kind::BFloat16, vec![1., -2.5]));
        assert_eq!(numbers(&tensors["double"]), [0.1]);
        assert_eq!(numbers(&tensors["long"]), [-7.]);
        assert_eq!(numbers(&tensors["int"]), [9.]);
    }
}

/// One tensor `w` of six numbers.
fn simple() -> ([View; 1], [Stored; 1]) {
    ([View("w", 0, 0, &[6], &[1])], [Stored::floats(&SIX)])
}

#[test]
fn the_network_is_found_among_other_things() {
    let (views, storages) = simple();
    let object = Pickle::begin().op(b"}(").text("epoch").int(3).text("optimizer").op(b"}(");
    let object = object.text("m").tensor(&views[0], &storages).op(b"u").text("state_dict").op(b"}(");
    let object = object.text("model").state_dict(&views, &storages).op(b"uu").end();
    let tensors = parse(&stream(object, &storages)).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["w"]);

    // Without a usual name, all that is there, by its path; a parameter is its tensor.
    let object = Pickle::begin().op(b"}(").text("encoder").op(b"}(").text("w");
    let object = object.global("torch._utils", "_rebuild_parameter").op(b"(").tensor(&views[0], &storages);
    let object = object.op(&[0x88]).ordered_dict().op(b"tRuu").end();
    let tensors = parse(&archive(object, &storages)).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["encoder.w"]);
}

#[test]
fn a_storage_may_be_a_view_of_another() {
    let object = Pickle::begin().op(b"}(").text("w").global("torch._utils", "_rebuild_tensor_v2").op(b"((");
    let object = object.text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(6);
    let object = object.ints(&[7, 2, 4]).op(b"tQ").int(1).ints(&[2]).ints(&[1]);
    let object = object.op(&[0x89]).ordered_dict().op(b"tRu").end();
    let tensors = parse(&stream(object, &[Stored::floats(&SIX)])).unwrap();
    assert_eq!(numbers(&tensors["w"]), [3., 4.]);
}

#[test]
fn nothing_is_run_and_what_is_refused_is_named() {
    let call = Pickle::begin().global("os", "system").op(b"(").text("true").op(b"tR").end();
    let object = Pickle::begin().global("argparse", "Namespace").op(b")").op(&[0x81]).end();
    let old = Pickle::begin().op(b"(").op(b"ios\nsystem\n").end();
    for (pickle, expected) in [
        (call, "'os.system' would have to be run"),
        (
            object,
            "'argparse.Namespace' would have to be run; only tensors are read: in Python, save model.state",
        ),
        (old, "'os.system' would have to be run"),
        (Pickle::begin().op(&[0x82, 1]).end(), "opcode 0x82 (EXT1) is not plain data"),
        (Pickle::begin().op(b"t").end(), "a mark is missing"),
        (Pickle::begin().op(b"(0").end(), "a value is asked for"),
        (Pickle::begin().op(b"N(0t").end(), "a mark is missing"),
        (Pickle::begin().op(b"N(00").end(), "a value is asked for"),
        (Pickle::begin().op(b"h\x07").end(), "value 7 is recalled"),
        (Pickle::begin().op(b"X\xff\xff\xff\xff").end(), "4294967295 more were announced"),
        (Pickle::begin().op(b"N").end(), "no tensor by a name"),
    ] {
        for bytes in [stream(pickle.clone(), &[]), archive(pickle.clone(), &[])] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains("net.pth") && error.contains(expected), "{error}");
        }
    }
}

/// What trainers leave beside the tensors, in pickle: an object of options, a number of NumPy's, sets.
fn beside(p: Pickle) -> Pickle {
    let p = p.text("args").global("argparse", "Namespace").op(b")").op(&[0x81]);
    let p = p.op(b"}(").text("lr").op(b"K\x01ub");
    let p = p.text("best").global("numpy.core.multiarray", "scalar").op(b"(").global("numpy", "dtype");
    let p = p.op(b"(").text("f8").op(&[0x89, 0x88]).op(b"tR").op(b"C\x0812345678").op(b"tR");
    let p = p.text("seen").op(&[0x8f]).op(b"(K\x01K\x02").op(&[0x90]);
    let p = p.text("frozen").op(b"(K\x01").op(&[0x91]);
    p.text("counts").global("collections", "defaultdict").op(b"(").global("builtins", "int").op(b"tR")
}

#[test]
fn what_trainers_leave_beside_the_tensors_is_passed_over_and_named() {
    let (views, storages) = simple();
    let object =
        beside(Pickle::begin().op(b"}(")).text("model_state").state_dict(&views, &storages).op(b"u").end();
    for bytes in [stream(object.clone(), &storages), archive(object, &storages)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.pth");
        std::fs::write(&path, bytes).unwrap();
        let checkpoint = Checkpoint::open(&path, None).unwrap();
        assert_eq!(checkpoint.shapes().keys().collect::<Vec<_>>(), ["w"]);
        let passed_over: Vec<&str> = checkpoint.passed_over().collect();
        assert_eq!(passed_over, ["argparse.Namespace", "numpy.core.multiarray.scalar", "numpy.dtype"]);
        assert_eq!(numbers(&checkpoint.tensors(["w"]).unwrap()["w"]), SIX.map(f64::from));
    }
}

#[test]
fn a_module_that_was_saved_whole_is_told_how_to_save_it() {
    // As since PyTorch 1.6, and as before it: with the class as a persistent object.
    let new = Pickle::begin().global("models", "Net").op(b")").op(&[0x81]).op(b"}b").end();
    let old =
        Pickle::begin().op(b"(").text("module").global("models", "Net").text("net.py").text("class Net");
    let old = old.op(b"tQ)").op(&[0x81]).op(b"}b").end();
    let inside =
        Pickle::begin().op(b"}(").text("model").global("models", "Net").op(b")").op(&[0x81]).op(b"u").end();
    for object in [new, old, inside] {
        for bytes in [stream(object.clone(), &[]), archive(object.clone(), &[])] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains("'models.Net'") && error.contains("save model.state_dict()"), "{error}");
        }
    }
}

#[test]
fn of_several_networks_one_is_taken_and_the_others_are_named() {
    let (views, storages) = simple();
    let ema = [View("w", 0, 0, &[3], &[1])];
    let object = Pickle::begin().op(b"}(").text("model").state_dict(&views, &storages);
    let object = object.text("ema").state_dict(&ema, &storages).op(b"u").end();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.pth");
    std::fs::write(&path, archive(object, &storages)).unwrap();
    let checkpoint = Checkpoint::open(&path, None).unwrap();
    assert_eq!(checkpoint.choice(), Some(("model", ["ema".to_owned()].as_slice())));
    assert_eq!(checkpoint.shapes()["w"], [6]);
    let checkpoint = Checkpoint::open(&path, Some("ema")).unwrap();
    assert_eq!((checkpoint.choice(), &checkpoint.shapes()["w"]), (None, &vec![3]));
    let error = Checkpoint::open(&path, Some("emma")).err().unwrap().to_string();
    assert!(error.contains("'emma'; there are 'ema', 'model'"), "{error}");
}

#[test]
fn small_files_that_describe_much_are_refused() {
    let million = Stored::floats(&vec![1.; 1 << 20]);
    let many = |p: Pickle, n: usize, each: &dyn Fn(Pickle, usize) -> Pickle| (0..n).fold(p, each);
    // A thousand views of one storage.
    let storages = [million];
    let whole = View("", 0, 0, &[1 << 20], &[1]);
    let overlapping =
        many(Pickle::begin().op(b"}("), 1000, &|p, i| p.text(&i.to_string()).tensor(&whole, &storages));
    let overlapping = overlapping.op(b"u").end();
    // The same with a stride of 0.
    let six = [Stored::floats(&SIX)];
    let one = View("", 0, 0, &[1 << 20], &[0]);
    let repeated = many(Pickle::begin().op(b"}("), 100, &|p, i| p.text(&i.to_string()).tensor(&one, &six));
    let repeated = repeated.op(b"u").end();
    // One long key, again and again, each within the last.
    let long = Pickle::begin().text(&"k".repeat(1000)).op(b"q\x010}(").text("a");
    let nested = many(long, 2000, &|p, _| p.op(b"}(h\x01")).tensor(&View("", 0, 0, &[1], &[1]), &six);
    let nested = many(nested, 2001, &|p, _| p.op(b"u")).end();
    // A list of pairs, of which each call makes a dictionary.
    let pairs = Pickle::begin().op(b"(");
    let pairs = many(pairs, 2000, &|p, _| p.text("a").op(b"N").op(&[0x86])).op(b"lq\x010}(");
    let copies = many(pairs, 2000, &|p, _| {
        p.text("d").global("collections", "OrderedDict").op(b"h\x01").op(&[0x85]).op(b"R")
    });
    let copies = copies.op(b"u").end();
    // A shape of ten thousand axes.
    let axes = vec![1i64; 10_000].leak();
    let deep = Pickle::begin().op(b"}(").text("w").tensor(&View("", 0, 0, axes, axes), &six).op(b"u").end();
    // A name of a class, put together from two long texts, again and again.
    let name = Pickle::begin().text(&"m".repeat(100_000)).op(b"q\x010h\x01h\x01").op(&[0x93]).end();
    for (object, storages, expected) in [
        (overlapping, &storages, "tensors of 4194304000 bytes in a file of"),
        (repeated, &six, "tensors of 419430400 bytes in a file of"),
        (nested, &six, "a name of 1001 bytes; at most 512"),
        (copies, &six, "more entries than the file has bytes"),
        (deep, &six, "a tensor of 10000 axes; at most 16"),
        (name, &six, "whose name has 200000 bytes; at most 256"),
    ] {
        for bytes in [stream(object.clone(), storages), archive(object, storages)] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(expected), "{expected}: {}", error.chars().take(300).collect::<String>());
        }
    }
    let endless = Checkpoint::open(Path::new("/dev/zero"), None).err().unwrap().to_string();
    assert!(endless.contains("not a file"), "{endless}");
}

#[test]
fn files_of_an_archive_that_overlap_are_refused() {
    let storages = [Stored::floats(&[1.; 4096]), Stored::floats(&[2.; 4096])];
    let views = [View("a", 0, 0, &[1], &[1]), View("b", 1, 0, &[1], &[1])];
    let object = Pickle::begin().state_dict(&views, &storages).end();
    let mut bytes = archive(object, &storages);
    // The directory's entry of the second storage, made to be the first's.
    let entries: Vec<usize> =
        (0..bytes.len() - 4).filter(|&at| &bytes[at..at + 4] == b"PK\x01\x02").collect();
    let [.., first, second] = entries[..] else { panic!("an archive of four files") };
    let place: [u8; 4] = bytes[first + 42..first + 46].try_into().unwrap();
    bytes[second + 42..second + 46].copy_from_slice(&place);
    // Both claim the whole archive but for a little.
    let size = (bytes.len() as u32 - 400).to_le_bytes();
    for entry in [first, second] {
        bytes[entry + 20..entry + 24].copy_from_slice(&size);
        bytes[entry + 24..entry + 28].copy_from_slice(&size);
    }
    let error = parse(&bytes).unwrap_err();
    assert!(error.contains("overlap") || error.contains("checksum"), "{error}");
}

#[test]
fn tensors_beyond_their_storage_are_refused() {
    let storages = [Stored::floats(&SIX)];
    for view in [
        View("w", 0, 0, &[7], &[1]),
        View("w", 0, 6, &[1], &[1]),
        View("w", 0, 0, &[2], &[i64::MAX]),
        View("w", 0, i64::MAX, &[2], &[1]),
        View("w", 0, 0, &[1 << 40, 1 << 40], &[0, 0]),
        View("w", 0, 0, &[1 << 30], &[0]),
        View("w", 0, 0, &[2], &[1, 1]),
        View("w", 0, -1, &[2], &[1]),
        View("w", 0, 0, &[-2], &[1]),
    ] {
        let object = Pickle::begin().state_dict(std::slice::from_ref(&view), &storages).end();
        for bytes in [stream(object.clone(), &storages), archive(object, &storages)] {
            assert!(parse(&bytes).is_err(), "{:?}", view.3);
        }
    }
}

#[test]
fn dictionaries_that_hold_themselves_end() {
    // d = {}; d["state_dict"] = d; d["w"] = a tensor
    let (views, storages) = simple();
    let object = Pickle::begin().op(b"}q\x05(").text("state_dict").op(b"h\x05").text("w");
    let object = object.tensor(&views[0], &storages).op(b"u").end();
    assert_eq!(parse(&archive(object, &storages)).unwrap().len(), 1);
    // A tuple in a tuple, a hundred thousand times.
    let deep = Pickle::begin().op(b")").op(&[0x85].repeat(100_000)).end();
    assert!(parse(&archive(deep, &[])).unwrap_err().contains("no tensor"));
}

#[test]
fn archives_of_other_kinds_are_named() {
    let (views, storages) = simple();
    let object = Pickle::begin().state_dict(&views, &storages).end();
    let files: [(&str, &[u8]); 2] = [("net/data.pkl", &object), ("net/data/0", &storages[0].bytes)];
    let error = |files: &[(&str, &[u8])], method| parse(&zipped(files, method)).unwrap_err();
    let deflated = error(&files, CompressionMethod::Deflated);
    assert!(deflated.contains("'net/data.pkl' is compressed"), "{deflated}");
    let missing = error(&files[..1], CompressionMethod::Stored);
    assert!(missing.contains("net/data/0"), "{missing}");
    let script = [files[0], ("net/constants.pkl", b"".as_slice())];
    assert!(error(&script, CompressionMethod::Stored).contains("TorchScript"));
    let big = [files[0], files[1], ("net/byteorder", b"big".as_slice())];
    assert!(error(&big, CompressionMethod::Stored).contains("big-endian"));
    assert!(parse(b"nothing at all").unwrap_err().contains("neither safetensors nor"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_truncated_file_is_an_error(share in 0.0f64..1.0) {
        let (views, storages) = simple();
        let object = Pickle::begin().state_dict(&views, &storages).end();
        for bytes in [stream(object.clone(), &storages), archive(object, &storages)] {
            let end = (bytes.len() as f64 * share) as usize;
            prop_assert!(parse(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..8)) {
        let (views, storages) = simple();
        let object = Pickle::begin().state_dict(&views, &storages).end();
        for mut bytes in [stream(object.clone(), &storages), archive(object, &storages)] {
            for &(place, value) in &flips {
                let at = (bytes.len() as f64 * place) as usize;
                bytes[at] = value;
            }
            if let Ok(tensors) = parse(&bytes) {
                prop_assert!(tensors.values().all(|t| t.numel() <= 1 << 20));
            }
        }
    }

    #[test]
    fn any_pickle_ends(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut pickle = vec![0x80, 2];
        pickle.extend(body);
        let _ = parse(&archive(pickle.clone(), &[]));
        let _ = parse(&stream(pickle, &[]));
    }
}

/// A network's tensors as PyTorch would have saved them.
fn save(tensors: &Tensors, as_bytes: fn(Vec<u8>, &[Stored]) -> Vec<u8>) -> Vec<u8> {
    let mut storages = Vec::new();
    let mut object = Pickle::begin().ordered_dict().op(b"(");
    for (name, tensor) in tensors {
        let values = Vec::<f32>::try_from(tensor.to_kind(Kind::Float).flatten(0, -1)).unwrap();
        storages.push(Stored::floats(&values));
        // A reference to a size that outlives the test costs nothing here.
        let size: &'static [i64] = tensor.size().leak();
        let stride: &'static [i64] = tensor.contiguous().stride().leak();
        let view = View("", storages.len() - 1, 0, size, stride);
        object = object.text(name).tensor(&view, &storages);
    }
    as_bytes(object.op(b"u").end(), &storages)
}

const SPADE: &str = "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal}";

/// A SPADE of 19 classes as it is after training, labels, and the image that it synthesizes from them.
fn published_spade() -> (Tensors, Tensor, Tensor) {
    let vs = VarStore::new(Device::Cpu);
    let config: GeneratorConfig = serde_norway::from_str(SPADE).unwrap();
    let network = config.build(&vs.root(), 19);
    let labels =
        Tensor::arange(19, (Kind::Int64, Device::Cpu)).repeat([108]).narrow(0, 0, 2048).view([1, 32, 64]);
    let synthesized = tch::no_grad(|| {
        // Training refines the estimates of the norms, and moves the statistics.
        network.synthesize(&labels, &labels, Kind::Float, true);
        network.synthesize(&labels, &labels, Kind::Float, false).image
    });
    (weights::tensors(&vs), labels, synthesized)
}

fn import(arch: &str, from: &[&Path], to: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    command.args(["weights", "import", "--arch", arch]);
    for path in from {
        command.arg("--from").arg(path);
    }
    command.arg("--to").arg(to).output().unwrap()
}

#[test]
fn an_imported_generator_synthesizes_as_the_published_one() {
    let (tensors, labels, synthesized) = published_spade();
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("latest_net_G.pth"), folder.path().join("g.safetensors"));
    for as_bytes in [stream, archive] {
        // As data-parallel training saves it, counters and all.
        let mut checkpoint: Tensors =
            tensors.iter().map(|(name, t)| (format!("module.{name}"), t.shallow_clone())).collect();
        let counter = "module.head_0.norm_0.param_free_norm.num_batches_tracked";
        checkpoint.insert(counter.into(), Tensor::from(5i64));
        std::fs::write(&file, save(&checkpoint, as_bytes)).unwrap();
        let out = import(SPADE, &[&file], &to);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

        let written = weights::read(&to).unwrap();
        assert!(written.contains_key("head_0.conv_0.weight"));
        assert!(!written.keys().any(|name| name.contains("weight_") || name.contains("num_batches")));
        let vs = VarStore::new(Device::Cpu);
        let network = serde_norway::from_str::<GeneratorConfig>(SPADE).unwrap().build(&vs.root(), 19);
        weights::load(&vs, &written, &to).unwrap();
        let again = tch::no_grad(|| network.synthesize(&labels, &labels, Kind::Float, false).image);
        let difference = (again - &synthesized).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{difference}");
    }
}

#[test]
fn all_that_does_not_fit_is_reported_and_nothing_written() {
    let (mut tensors, ..) = published_spade();
    tensors.remove("conv_img.bias");
    tensors.insert("fc.bias".into(), Tensor::from_slice(&[1f32, 2.]));
    tensors.insert("surprise".into(), Tensor::from_slice(&[1f32, 2., 3.]));
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("g.pth"), folder.path().join("g.safetensors"));
    std::fs::write(&file, save(&tensors, stream)).unwrap();
    let out = import(SPADE, &[&file], &to);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && !to.exists());
    for expected in [
        "tensor 'conv_img.bias' [3] is missing",
        "tensor 'fc.bias' has shape [2], the network needs [32]",
        "tensor 'surprise' is not part of the network; it has shape [3]",
        "3 tensors do not fit",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

/// What import says of a SPADE's tensors, saved under names changed by `rename`, when 19 classes are wanted.
fn imported(tensors: &Tensors, rename: impl Fn(&str) -> String, more: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("g.pth"), folder.path().join("g.safetensors"));
    let renamed: Tensors = tensors.iter().map(|(name, t)| (rename(name), t.shallow_clone())).collect();
    std::fs::write(&file, save(&renamed, archive)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    command.args(["weights", "import", "--arch", SPADE, "--from"]).arg(&file).arg("--to").arg(&to).args(more);
    let out = command.output().unwrap();
    (out.status.success() && to.exists(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn names_behind_what_wrappers_add_are_found() {
    let (tensors, ..) = published_spade();
    for before in ["_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "model.", "trainer.net."] {
        let (written, said) = imported(&tensors, |name| format!("{before}{name}"), &[]);
        assert!(written && said.contains("tensors written"), "{before}: {said}");
    }
    // Averaged: module. before all, and a count beside them.
    let mut averaged: Tensors =
        tensors.iter().map(|(n, t)| (format!("module.{n}"), t.shallow_clone())).collect();
    averaged.insert("n_averaged".into(), Tensor::from_slice(&[3f32]));
    assert!(imported(&averaged, str::to_owned, &[]).0);
    // Spectral norm by a parametrization.
    let new_style = |name: &str| match name.rsplit_once('.') {
        Some((stem, "weight_orig")) => format!("{stem}.parametrizations.weight.original"),
        Some((stem, "weight_u")) => format!("{stem}.parametrizations.weight.0._u"),
        Some((stem, "weight_v")) => format!("{stem}.parametrizations.weight.0._v"),
        _ => name.to_owned(),
    };
    assert!(tensors.keys().any(|name| name.ends_with("weight_orig")));
    let (written, said) = imported(&tensors, new_style, &[]);
    assert!(written, "{said}");
    // Others beside the network's: its prefix is said, and not hundreds of lines.
    let mut beside: Tensors =
        tensors.iter().map(|(n, t)| (format!("model.{n}"), t.shallow_clone())).collect();
    beside.insert("criterion.weight".into(), Tensor::from_slice(&[1f32]));
    let (written, said) = imported(&beside, str::to_owned, &[]);
    assert!(!written && said.contains("behind 'model.'") && said.lines().count() < 30, "{said}");
}

#[test]
fn a_wrong_number_of_classes_is_one_sentence() {
    let vs = VarStore::new(Device::Cpu);
    serde_norway::from_str::<GeneratorConfig>(SPADE).unwrap().build(&vs.root(), 21);
    let (written, said) = imported(&weights::tensors(&vs), str::to_owned, &[]);
    assert!(!written && said.contains("is of 21 classes, --classes is 19"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(imported(&weights::tensors(&vs), str::to_owned, &["--classes", "21"]).0);
}

#[test]
fn an_import_never_writes_onto_its_source() {
    let (tensors, ..) = published_spade();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.safetensors");
    let bytes = save(&tensors, archive);
    std::fs::write(&file, &bytes).unwrap();
    let out = import(SPADE, &[&file], &file);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("onto the input"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_weight_that_is_no_number_is_named_and_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("g.pth"), folder.path().join("g.safetensors"));
    for (value, name) in [(f32::NAN, "conv_img.bias"), (f32::INFINITY, "conv_img.weight")] {
        let (tensors, ..) = published_spade();
        tch::no_grad(|| drop(tensors[name].flatten(0, -1).get(0).fill_(f64::from(value))));
        std::fs::write(&file, save(&tensors, stream)).unwrap();
        let out = import(SPADE, &[&file], &to);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(1) && !to.exists());
        assert!(said.contains(&format!("tensor '{name}' holds 1 values that are NaN or infinite")), "{said}");
    }
}

#[test]
fn a_checkpoint_in_several_files_goes_into_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let mut random = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    assert!(random.args(["bundle", "random", "--out"]).arg(&bundle).status().unwrap().success());
    let arch = "{architecture: pspnet, encoder: {width: 4, blocks: [1, 1, 1, 1]}, pyramid: 4}";
    let vs = VarStore::new(Device::Cpu);
    arch.parse::<Architecture>().unwrap().build(&vs, 19).unwrap();
    let parts = ["encoder", "decoder"].map(|part| {
        let prefix = format!("{part}.");
        let own = weights::tensors(&vs)
            .into_iter()
            .filter_map(|(name, t)| name.strip_prefix(&prefix).map(|n| (n.to_owned(), t)))
            .collect();
        let path = folder.path().join(format!("{part}.pth"));
        std::fs::write(&path, save(&own, archive)).unwrap();
        format!("{part}.={}", path.display())
    });
    let out = import(arch, &[Path::new(&parts[0]), Path::new(&parts[1])], &bundle);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let monitor = Monitor::load(&bundle, &MonitorOptions::default()).unwrap();
    assert!(monitor.description().contains("pspnet + spade + joint"), "{}", monitor.description());
    assert_eq!(Bundle::open(&bundle).unwrap().description.calibration, None);
    assert!(monitor.thresholds().guarantee.is_empty() && monitor.thresholds().failure.is_nan());
}

#[test]
fn of_a_work_folders_checkpoint_the_network_is_taken_and_its_samples_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, file) = (folder.path().join("bundle"), folder.path().join("checkpoint.safetensors"));
    let mut random = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    assert!(random.args(["bundle", "random", "--out"]).arg(&bundle).status().unwrap().success());
    let arch = "{architecture: pspnet, encoder: {width: 4, blocks: [1, 1, 1, 1]}, pyramid: 4}";
    let vs = VarStore::new(Device::Cpu);
    arch.parse::<Architecture>().unwrap().build(&vs, 19).unwrap();
    let own = weights::tensors(&vs);
    let mut tensors: Tensors = own.iter().map(|(name, t)| (format!("m/{name}"), t.shallow_clone())).collect();
    tensors.insert("m.adam/first/row".into(), Tensor::from_slice(&[1f32]));
    tensors.insert("m.adam/steps".into(), Tensor::from(7i64));
    let facts = [("number of samples", "12"), ("first sample", "a_0"), ("last sample", "b_9")];
    let metadata = facts.map(|(fact, value)| (format!("identity.the {fact}"), value.to_owned())).into();
    weights::write_with(&tensors, Some(metadata), &file, None).unwrap();

    let out = import(arch, &[&file], &bundle);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let imported = Bundle::open(&bundle).unwrap().description.segmentation;
    assert!(imported.trained_on.starts_with("12 samples, a_0 to b_9 ("), "{}", imported.trained_on);
    let written = weights::read(&bundle.join(&imported.weights)).unwrap();
    assert!(written.keys().eq(own.keys()) && own.iter().all(|(name, t)| written[name] == *t));

    let before = Bundle::open(&bundle).unwrap().hash;
    let out = import("{architecture: spade, ngf: 2, hidden: 4}", &[&file], &bundle);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("a training of M; --arch is of G"), "{said}");
    assert_eq!(Bundle::open(&bundle).unwrap().hash, before);
}

#[test]
fn an_import_that_is_cut_short_leaves_the_bundle_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let mut random = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    assert!(random.args(["bundle", "random", "--out"]).arg(&bundle).status().unwrap().success());
    let arch = "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal}";
    let vs = VarStore::new(Device::Cpu);
    arch.parse::<Architecture>().unwrap().build(&vs, 19).unwrap();
    let file = folder.path().join("g.pth");
    std::fs::write(&file, save(&weights::tensors(&vs), archive)).unwrap();
    let before = Bundle::open(&bundle).unwrap();
    // In the way of bundle.yaml, as a kill between the weights and it would be.
    let part = bundle.join("bundle.yaml.part");
    std::fs::create_dir(&part).unwrap();
    assert_eq!(import(arch, &[&file], &bundle).status.code(), Some(1));
    assert_eq!(Bundle::open(&bundle).unwrap().hash, before.hash);
    Monitor::load(&bundle, &MonitorOptions::default()).unwrap();
    std::fs::remove_dir(&part).unwrap();
    for expected in ["synthesis.2.safetensors", "synthesis.safetensors"] {
        let out = import(arch, &[&file], &bundle);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(Bundle::open(&bundle).unwrap().description.synthesis.weights, expected);
        let weights = |name: &String| name.starts_with("synthesis");
        let names =
            std::fs::read_dir(&bundle).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(weights).collect::<Vec<_>>(), [expected]);
        Monitor::load(&bundle, &MonitorOptions::default()).unwrap();
    }
}

#[test]
fn an_import_is_tried_on_labelled_images_and_says_what_it_is_fed() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, data) = (folder.path().join("bundle"), folder.path().join("data"));
    let mut random = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    assert!(random.args(["bundle", "random", "--out"]).arg(&bundle).status().unwrap().success());
    for part in ["images", "labels"] {
        std::fs::create_dir_all(data.join(part)).unwrap();
    }
    image::RgbImage::from_pixel(32, 16, image::Rgb([255, 0, 51])).save(data.join("images/0.png")).unwrap();
    image::GrayImage::from_pixel(32, 16, image::Luma([26])).save(data.join("labels/0.png")).unwrap();
    let arch = "{architecture: pspnet, encoder: {width: 4, blocks: [1, 1, 1, 1]}, pyramid: 4}";
    let vs = VarStore::new(Device::Cpu);
    arch.parse::<Architecture>().unwrap().build(&vs, 19).unwrap();
    let file = folder.path().join("m.pth");
    std::fs::write(&file, save(&weights::tensors(&vs), archive)).unwrap();
    let out = |to: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
        command.args(["weights", "import", "--arch", arch, "--from"]).arg(&file).arg("--to").arg(to);
        command.arg("--check").arg(&data).output().unwrap()
    };
    let checked = out(&bundle);
    let printed = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(
        printed.contains("fed 128x64, red, green, blue from [0.00, 0.00, 0.00] to [1.00, 1.00, 1.00]"),
        "{printed}"
    );
    assert!(printed.contains("mean [1.00, 0.00, 0.20], std [0.00, 0.00, 0.00]"), "{printed}");
    assert!(printed.contains("pixel accuracy ") && printed.contains("on 1 images"), "{printed}");
    let refused = String::from_utf8(out(&folder.path().join("m.safetensors")).stderr).unwrap();
    assert!(refused.contains("--to is the folder"), "{refused}");
}

#[test]
fn preparing_leaves_what_needs_nothing() {
    let tensors: Tensors = [("a".to_owned(), Tensor::from_slice(&[0.5f64]))].into();
    let prepared = published::prepare(tensors);
    assert_eq!((prepared["a"].kind(), numbers(&prepared["a"])), (Kind::Float, vec![0.5]));
}
