//! What is fuzzed: everything that reads bytes of others.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use synthcp_monitor::bag::cdr::{decode, encode};
use synthcp_monitor::bag::message::{CompressedImage, Image, LabelInfo, Message, MonitorReport, Text};
use synthcp_monitor::checkpoint::{pytorch, weights};
use synthcp_monitor::data::{Layout, Reading, decode_labels, npy};
use synthcp_monitor::frame::{CameraImage, Content};
use synthcp_monitor::train::recipe::Recipe;
use synthcp_monitor::{Bundle, Stamp};

use crate::{mutate, recordings, structure};

/// One reader of bytes.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Reads an input: what it was, or why it was refused.
    pub run: fn(&[u8]) -> Result<String, String>,
    /// Changes an input, perhaps with pieces of another.
    pub mutate: fn(&mut Vec<u8>, &[u8], &mut ChaCha8Rng),
    /// Longest input, in bytes.
    pub longest: usize,
    /// Most bytes that one input may have live at once.
    pub most_live: usize,
}

const MIB: usize = 1 << 20;

/// A picture of 2^26 pixels may be decoded: four channels of 16 bits, and three of 8 made of them.
const PICTURE: usize = 768 * MIB;

/// All else.
const OTHER: usize = 256 * MIB;

/// A chunk of 257 MiB, and a message in it that unpacks to as much.
const BAG: usize = 640 * MIB;

macro_rules! targets {
    ($($name:ident: $mutate:expr, $longest:expr, $most_live:expr;)*) => {
        /// All targets.
        pub static ALL: &[Target] = &[$(Target {
            name: stringify!($name),
            run: $name,
            mutate: $mutate,
            longest: $longest,
            most_live: $most_live,
        }),*];
    };
}

targets! {
    image: image_message, 1 << 17, PICTURE;
    compressed: compressed_message, 1 << 17, PICTURE;
    label_png: structure::png, 1 << 17, PICTURE;
    bundle_yaml: structure::yaml, 1 << 17, OTHER;
    labels_yaml: structure::yaml, 1 << 17, OTHER;
    recipe_yaml: structure::yaml, 1 << 17, OTHER;
    safetensors: structure::safetensors, 1 << 17, OTHER;
    checkpoint_zip: structure::archive, 1 << 17, OTHER;
    checkpoint_legacy: structure::pickle, 1 << 17, OTHER;
    npy_array: structure::npy, 1 << 17, OTHER;
    cdr: structure::cdr, 1 << 16, OTHER;
    bag_mcap: recordings::mcap, 1 << 16, BAG;
    bag_db3: recordings::database, 1 << 16, BAG;
}

fn camera(content: Content) -> Result<String, String> {
    let image = CameraImage { stamp: Stamp::default(), frame_id: String::new(), content };
    let picture = image.decode().map_err(|e| said(&e))?;
    Ok(format!("{} bytes", picture.as_raw().len()))
}

/// An error's words; no more than a report takes, in one line.
fn said(error: &dyn std::fmt::Display) -> String {
    let said = error.to_string();
    assert!(
        said.len() < 2000 && !said.contains('\n'),
        "an error of {} bytes or many lines: {:.200}",
        said.len(),
        said
    );
    said
}

fn image(input: &[u8]) -> Result<String, String> {
    let Image { height, width, encoding, is_bigendian, step, data, .. } =
        decode(input).map_err(|e| said(&e))?;
    let name = encoding.clone();
    let content =
        Content::Raw { width, height, encoding, is_bigendian: is_bigendian != 0, step, data: data.into() };
    camera(content).map(|picture| format!("{name} of {picture}"))
}

/// Size, step, encoding and data that do not fit each other.
fn image_message(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let Some(mut image) = decode::<Image>(data).ok().filter(|_| rng.random_bool(0.8)) else {
        return structure::cdr(data, other, rng);
    };
    const ENCODINGS: [&str; 26] = [
        "rgb8",
        "bgr8",
        "rgba8",
        "bgra8",
        "mono8",
        "mono16",
        "8UC1",
        "8UC3",
        "8UC4",
        "bayer_rggb8",
        "bayer_bggr8",
        "bayer_gbrg8",
        "bayer_grbg8",
        "bayer_rggb16",
        "bayer_bggr16",
        "bayer_gbrg16",
        "uyvy",
        "yuv422",
        "yuyv",
        "yuv422_yuy2",
        "nv12",
        "nv21",
        "nv24",
        "16UC1",
        "32FC1",
        "rgb16",
    ];
    let size = |rng: &mut ChaCha8Rng| match rng.random_range(0..4) {
        0..=2 => rng.random_range(0..40),
        _ => [1 << 13, 1 << 26, u32::MAX, 1 << 31, 65536, 8193][rng.random_range(0..6)],
    };
    for _ in 0..rng.random_range(1..4) {
        match rng.random_range(0..7) {
            0 => image.width = size(rng),
            1 => image.height = size(rng),
            2 => image.step = size(rng),
            3 => image.step = image.width.saturating_mul(rng.random_range(1..5)),
            4 => image.encoding = ENCODINGS[rng.random_range(0..ENCODINGS.len())].to_owned(),
            5 => image.is_bigendian = rng.random_range(0..3),
            _ => {
                let length = match rng.random_bool(0.7) {
                    true => u64::from(image.step) * u64::from(image.height),
                    false => u64::from(size(rng)),
                };
                image.data.resize(length.min(1 << 16) as usize, 0x5a);
            }
        }
    }
    *data = encode(&image).unwrap();
}

fn compressed(input: &[u8]) -> Result<String, String> {
    let CompressedImage { format, data, .. } = decode(input).map_err(|e| said(&e))?;
    camera(Content::Compressed { format, data: data.into() })
}

/// Mostly the file inside, by what it is.
fn compressed_message(data: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let Ok(mut image) = decode::<CompressedImage>(data) else { return mutate::bytes(data, other, rng) };
    const FORMATS: [&str; 8] = [
        "jpeg",
        "png",
        "webp",
        "bayer_rggb8; jpeg compressed bayer_rggb8",
        "mono16; png compressed mono16",
        "16UC1; compressedDepth png",
        "16UC1; png compressed",
        "rgb8; jpeg compressed bgr8",
    ];
    if rng.random_bool(0.1) {
        image.format = FORMATS[rng.random_range(0..FORMATS.len())].to_owned();
    }
    let theirs = decode::<CompressedImage>(other).unwrap_or_default().data;
    match &image.data[..] {
        [0x89, ..] => structure::png(&mut image.data, &theirs, rng),
        [b'R', ..] => structure::webp(&mut image.data, &theirs, rng),
        _ => structure::jpeg(&mut image.data, &theirs, rng),
    }
    *data = encode(&image).unwrap();
}

fn label_png(input: &[u8]) -> Result<String, String> {
    let labels = decode_labels(input).map_err(|e| said(&e))?;
    Ok(format!("{} labels", labels.values.as_raw().len()))
}

/// A folder in memory, of this process.
fn folder() -> &'static Path {
    static FOLDER: LazyLock<tempfile::TempDir> =
        LazyLock::new(|| tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    FOLDER.path()
}

fn file(name: &str, input: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, input).unwrap();
    path
}

fn bundle_yaml(input: &[u8]) -> Result<String, String> {
    file("bundle.yaml", input);
    let bundle = Bundle::open(folder()).map_err(|e| said(&e))?;
    Ok(format!("{} classes", bundle.labels.len()))
}

fn labels_yaml(input: &[u8]) -> Result<String, String> {
    let reading = Reading { labels: Some(file("labels.yaml", input)), coding: None };
    let set = reading.label_set(folder(), Layout::CamVid).map_err(|e| said(&e))?;
    Ok(format!("{} classes", set.len()))
}

fn recipe_yaml(input: &[u8]) -> Result<String, String> {
    let recipe = Recipe::read(&file("recipe.yaml", input)).map_err(|e| said(&e))?;
    Ok(format!("{} baselines", recipe.baselines.len()))
}

fn safetensors(input: &[u8]) -> Result<String, String> {
    let path = Path::new("a.safetensors");
    // As a checkpoint to import, then as a bundle's weights.
    let imported = pytorch::parse(input, path).map(|tensors| tensors.len());
    let tensors = weights::parse(input, path).map_err(|e| said(&e))?;
    assert_eq!(imported.ok(), Some(tensors.len()), "one reads what the other refuses");
    weights::check_finite(&tensors, path).map_err(|e| said(&e))?;
    Ok(format!("{} tensors", tensors.len()))
}

fn checkpoint(input: &[u8]) -> Result<String, String> {
    let tensors = pytorch::parse(input, Path::new("a.pth")).map_err(|e| said(&e))?;
    Ok(format!("{} tensors", tensors.len()))
}

fn checkpoint_zip(input: &[u8]) -> Result<String, String> {
    checkpoint(input)
}

fn checkpoint_legacy(input: &[u8]) -> Result<String, String> {
    checkpoint(input)
}

fn npy_array(input: &[u8]) -> Result<String, String> {
    let array = npy::read(&file("a.npy", input)).map_err(|e| said(&e))?;
    let count = match &array.numbers {
        npy::Numbers::Single(numbers) => numbers.len(),
        npy::Numbers::Double(numbers) => numbers.len(),
    };
    assert_eq!(array.shape.iter().product::<usize>(), count);
    Ok(format!("{} axes, {count} elements", array.shape.len()))
}

/// Whatever a message is read from, it is written so that it reads the same.
fn round_trip<M: Message + Serialize>(input: &[u8]) -> Result<String, String> {
    let message: M = decode(input).map_err(|e| said(&e))?;
    let bytes = encode(&message).unwrap();
    assert_eq!(encode(&decode::<M>(&bytes).unwrap()).unwrap(), bytes);
    Ok(M::DEFINITION.name.to_owned())
}

fn cdr(input: &[u8]) -> Result<String, String> {
    let all = [
        round_trip::<Image>,
        round_trip::<CompressedImage>,
        round_trip::<MonitorReport>,
        round_trip::<LabelInfo>,
        round_trip::<Text>,
    ]
    .map(|message| message(input));
    let read: Vec<String> = all.iter().flatten().cloned().collect();
    let first_error = all.into_iter().find_map(Result::err).unwrap_or_default();
    if read.is_empty() { Err(first_error) } else { Ok(read.join(", ")) }
}

fn bag_mcap(input: &[u8]) -> Result<String, String> {
    recordings::read(file("a.mcap", input)).map_err(|error| said(&error))
}

fn bag_db3(input: &[u8]) -> Result<String, String> {
    recordings::read(file("a.db3", input)).map_err(|error| said(&error))
}
