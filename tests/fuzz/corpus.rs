//! Makes the corpora: small files of every kind that is read, by this project's own code alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use png::{BitDepth, ColorType};
use synthcp_monitor::bag::cdr::encode;
use synthcp_monitor::bag::message::{CompressedImage, Header, Image, LabelInfo, MonitorReport, Text, Time};
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{recordings, tree};

/// Writes all corpora anew.
pub fn make() {
    for (target, files) in [
        ("image", images()),
        ("compressed", compressed()),
        ("label_png", labels()),
        ("bundle_yaml", ["models/street/bundle.yaml", "models/cityscapes/bundle.yaml"].map(copied).into()),
        ("labels_yaml", ["config/labels/camvid.yaml", "config/labels/cityscapes.yaml"].map(copied).into()),
        (
            "recipe_yaml",
            ["config/recipes/street.yaml", "config/recipes/cityscapes128.yaml"].map(copied).into(),
        ),
        ("safetensors", tensors()),
        ("checkpoint_zip", archives()),
        ("checkpoint_legacy", streams()),
        ("npy_array", arrays()),
        ("cdr", messages()),
        ("bag_mcap", recordings::mcaps(&images()[0].1)),
        ("bag_db3", recordings::databases(&images()[0].1)),
    ] {
        let folder = tree("tests/fuzz/corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

type Files = Vec<(String, Vec<u8>)>;

fn copied(path: &str) -> (String, Vec<u8>) {
    (path.replace('/', "_"), fs::read(tree(path)).unwrap())
}

fn header() -> Header {
    Header { stamp: Time { sec: 7, nanosec: 8 }, frame_id: "front".to_owned() }
}

/// One of each family of encodings, 8 x 4 pixels with two bytes of padding a row.
fn images() -> Files {
    let families = [
        ("rgb8", 3),
        ("bgra8", 4),
        ("mono8", 1),
        ("mono16", 2),
        ("bayer_rggb8", 1),
        ("bayer_gbrg16", 2),
        ("uyvy", 2),
        ("yuyv", 2),
        ("nv12", 1),
        ("nv24", 1),
    ];
    let image = |(encoding, width): (&str, u32)| {
        let step = 8 * width + 2;
        let rows = match encoding {
            "nv12" => 6,
            "nv24" => 12,
            _ => 4,
        };
        let data = (0..step * rows).map(|i| (i * 37 % 251) as u8).collect();
        let encoding = encoding.to_owned();
        let name = encoding.clone();
        (
            name,
            encode(&Image { header: header(), height: 4, width: 8, encoding, is_bigendian: 0, step, data })
                .unwrap(),
        )
    };
    families.map(image).into()
}

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(9 * x) as u8, (11 * y) as u8, (x * y * 5 % 256) as u8]))
}

fn as_file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpeg(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 60).encode_image(image).unwrap();
    bytes
}

/// Of one 8 x 8 block, all zero: first its mean, then its other 63 numbers, by the tables of one code each.
fn progressive() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8];
    let mut segment = |marker: u8, content: &[u8]| {
        bytes.extend([0xff, marker]);
        bytes.extend((content.len() as u16 + 2).to_be_bytes());
        bytes.extend(content);
    };
    segment(0xdb, &[&[0u8][..], &[1; 64]].concat());
    segment(0xc2, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    let one_code = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    segment(0xc4, &one_code(0x00));
    segment(0xc4, &one_code(0x10));
    segment(0xda, &[1, 1, 0x00, 0, 0, 0x01]);
    bytes.push(0x7f);
    let mut refine = |start: u8, end: u8, bits: u8| {
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0x00, start, end, bits, 0x7f]);
    };
    refine(0, 0, 0x10);
    refine(1, 63, 0x00);
    bytes.extend([0xff, 0xd9]);
    bytes
}

fn compressed() -> Files {
    let small = DynamicImage::from(picture(18, 13));
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(9, 7, |x, y| Luma([(x * y * 999) as u16]));
    let alpha = ImageBuffer::from_fn(9, 7, |x, y| Rgba([x as u8, y as u8, 3, 200]));
    let grey_alpha = ImageBuffer::from_fn(9, 7, |x, y| LumaA([(x * y) as u8, 99]));
    let mosaic =
        GrayImage::from_fn(16, 16, |x, y| Luma([[[200, 100], [100, 50]][y as usize % 2][x as usize % 2]]));
    let mut files = vec![
        ("jpeg", "rgb8; jpeg compressed bgr8", jpeg(&small)),
        ("grey_jpeg", "jpeg", jpeg(&DynamicImage::from(mosaic.clone()))),
        ("bayer_jpeg", "bayer_rggb8; jpeg compressed bayer_rggb8", jpeg(&DynamicImage::from(mosaic.clone()))),
        ("progressive_jpeg", "jpeg", progressive()),
        ("png", "rgb8; png compressed bgr8", as_file(picture(18, 13), ImageFormat::Png)),
        ("bayer_png", "bayer_rggb8; png compressed bayer_rggb8", as_file(mosaic, ImageFormat::Png)),
        ("deep_png", "mono16; png compressed mono16", as_file(deep.clone(), ImageFormat::Png)),
        ("alpha_png", "png", as_file(alpha.clone(), ImageFormat::Png)),
        ("grey_alpha_png", "png", as_file(grey_alpha, ImageFormat::Png)),
        ("webp", "webp", as_file(picture(18, 13), ImageFormat::WebP)),
        ("alpha_webp", "webp", as_file(alpha, ImageFormat::WebP)),
        ("depth", "16UC1; compressedDepth png", [&[0; 12][..], &as_file(deep, ImageFormat::Png)].concat()),
    ];
    files.push(("palette_png", "png", labels().swap_remove(3).1));
    files
        .into_iter()
        .map(|(name, format, data)| {
            let format = format.to_owned();
            (name.to_owned(), encode(&CompressedImage { header: header(), format, data }).unwrap())
        })
        .collect()
}

/// A PNG of 10 x 6 labels.
fn label_image(color: ColorType, depth: BitDepth, palette: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 10, 6);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if palette > 0 {
        encoder.set_palette((0..3 * palette).map(|i| (i * 53 % 256) as u8).collect::<Vec<_>>());
    }
    let row = (10 * color.samples() * depth as usize).div_ceil(8);
    let data: Vec<u8> = (0..6 * row).map(|i| (i % 7) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
    bytes
}

fn labels() -> Files {
    [
        ("grey_8", ColorType::Grayscale, BitDepth::Eight, 0),
        ("grey_4", ColorType::Grayscale, BitDepth::Four, 0),
        ("grey_1", ColorType::Grayscale, BitDepth::One, 0),
        ("palette_8", ColorType::Indexed, BitDepth::Eight, 8),
        ("palette_2", ColorType::Indexed, BitDepth::Two, 4),
        ("grey_16", ColorType::Grayscale, BitDepth::Sixteen, 0),
        ("colours", ColorType::Rgb, BitDepth::Eight, 0),
    ]
    .map(|(name, color, depth, palette)| (name.to_owned(), label_image(color, depth, palette)))
    .into()
}

fn tensors() -> Files {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    let numbers: Vec<u8> = (0..24u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let view = |dtype, shape: &[usize], length: usize| {
        TensorView::new(dtype, shape.to_vec(), &numbers[..length]).unwrap()
    };
    let few = BTreeMap::from([
        ("a.weight", view(Dtype::F32, &[2, 3, 4], 96)),
        ("a.bias", view(Dtype::F16, &[4], 8)),
        ("n", view(Dtype::I64, &[], 8)),
    ]);
    let metadata = Some([("step".to_owned(), "7".to_owned())].into());
    vec![
        ("few".to_owned(), safetensors::serialize(&few, metadata).unwrap()),
        ("one".to_owned(), safetensors::serialize([("x", view(Dtype::U8, &[5], 5))], None).unwrap()),
    ]
}

/// A pickle as PyTorch writes it.
#[derive(Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn begin() -> Self {
        Self(vec![0x80, 2])
    }

    fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    /// A tensor of 2 x 3 floats of the storage of this name.
    fn tensor(self, storage: &str) -> Self {
        let own = self
            .op(b"ctorch._utils\n_rebuild_tensor_v2\n((")
            .text("storage")
            .op(b"ctorch\nFloatStorage\n")
            .text(storage);
        own.text("cpu").op(b"K\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtR")
    }

    /// A state dict of two tensors and a counter, beside what trainers leave.
    fn checkpoint() -> Vec<u8> {
        let dict = Self::begin().op(b"}(").text("state_dict").op(b"ccollections\nOrderedDict\n)R(");
        let dict =
            dict.text("a.weight").tensor("0").text("a.bias").tensor("1").op(b"u").text("epoch").op(b"K\x07");
        let args =
            dict.text("args").op(b"cargparse\nNamespace\n)\x81}").text("lr").op(b"G?PbM\xd2\xf1\xa9\xfcsb");
        args.op(b"u.").0
    }
}

fn storages() -> [Vec<u8>; 2] {
    [0, 6].map(|first| (first..first + 6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect())
}

fn archives() -> Files {
    let [first, second] = storages();
    let pickle = Pickle::checkpoint();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let files: [(&str, &[u8]); 5] = [
        ("net/data.pkl", &pickle),
        ("net/byteorder", b"little"),
        ("net/data/0", &first),
        ("net/data/1", &second),
        ("net/version", b"3\n"),
    ];
    for (name, content) in files {
        zip.start_file(name, FileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        zip.write_all(content).unwrap();
    }
    vec![("two".to_owned(), zip.finish().unwrap().into_inner())]
}

fn streams() -> Files {
    let magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let mut bytes = Pickle::begin().op(&[0x8a, 10]).op(&magic).op(b".").0;
    bytes.extend(Pickle::begin().op(b"M\xe9\x03.").0);
    bytes.extend(Pickle::begin().op(b"}(").text("little_endian").op(b"\x88u.").0);
    bytes.extend(Pickle::checkpoint());
    bytes.extend(Pickle::begin().op(b"](").text("0").text("1").op(b"e.").0);
    for storage in storages() {
        bytes.extend((storage.len() as u64 / 4).to_le_bytes());
        bytes.extend(storage);
    }
    vec![("two".to_owned(), bytes)]
}

fn array(descr: &str, fortran: &str, shape: &str, length: usize) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    header += &" ".repeat(64 - (11 + header.len()) % 64);
    header.push('\n');
    let begin = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    begin.into_iter().chain((0..length).map(|i| (i % 7) as u8)).collect()
}

fn arrays() -> Files {
    vec![
        ("single".to_owned(), array("<f4", "False", "(2, 3)", 24)),
        ("double_fortran".to_owned(), array("<f8", "True", "(2, 3, 2)", 96)),
        ("half".to_owned(), array("<f2", "False", "(5,)", 10)),
        ("long".to_owned(), array(">i8", "False", "()", 8)),
        ("bool".to_owned(), array("|b1", "False", "(3,)", 3)),
    ]
}

fn messages() -> Files {
    let mut files: Files = ["tests/cdr/MonitorReport.cdr", "tests/cdr/LabelInfo.cdr"].map(copied).into();
    let format = "png".to_owned();
    files.push(("image".to_owned(), images().swap_remove(0).1));
    files.push((
        "compressed".to_owned(),
        encode(&CompressedImage { header: header(), format, data: vec![1, 2, 3] }).unwrap(),
    ));
    files.push(("text".to_owned(), encode(&Text { data: "ok".to_owned() }).unwrap()));
    files.push(("empty_report".to_owned(), encode(&MonitorReport::default()).unwrap()));
    files.push(("empty_info".to_owned(), encode(&LabelInfo::default()).unwrap()));
    files
}
