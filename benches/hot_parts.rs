//! The hot parts of a frame: `cargo bench`. Convolutions, prepared and not; FCN-8s with its border
//! computed each time and once; SPADE's modulation at each scale of the reference network, dense
//! against memoised; the cosine; regions.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use image::{GrayImage, Luma};
use synthcp_monitor::model::anomaly::{Certainty, Config, Features, Views, anomaly_score};
use synthcp_monitor::monitor::assessment::ScoreMap;
use synthcp_monitor::monitor::regions::{self, RegionLimits};
use synthcp_monitor::network::layers::{Conv2d, ConvOptions, Rectifier, channels_last};
use synthcp_monitor::network::segmentation::SegmenterConfig;
use synthcp_monitor::network::segmentation::fcn8s;
use synthcp_monitor::network::synthesis::fused::{Activation, Rows, by_operations, modulate};
use synthcp_monitor::network::synthesis::modulation::{Modulation, Request};
use synthcp_monitor::network::synthesis::patches::{Alphabet, Ingredients, LabelMaps, PatchIndex};
use synthcp_monitor::network::synthesis::spade::{LabelPyramid, SpadeNorm};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 19;
const HIDDEN: i64 = 128;
/// Height, width and channels of the first SPADE layer of `up_0` to `up_3` at 256x512.
const SCALES: [(i64, i64, i64); 4] = [(32, 64, 1024), (64, 128, 512), (128, 256, 256), (256, 512, 128)];

/// Blobs about as large as those of a street at full scale, seen from further away at a coarser one.
fn street(h: i64, w: i64) -> Tensor {
    let zoom = 256 / h;
    let label = |i: i64| {
        let (y, x) = (i / w * zoom, i % w * zoom);
        let (row, column) = ((y + x / 9) / 41, (x + y / 7) / 53);
        (row * 7 + column * 5 + row * column) % CLASSES
    };
    Tensor::from_slice(&(0..h * w).map(label).collect::<Vec<i64>>()).view([1, h, w])
}

fn modulation(c: &mut Criterion) {
    let alphabet = Alphabet::new(CLASSES).unwrap();
    for kind in [Kind::Float, Kind::BFloat16] {
        let mut group = c.benchmark_group(format!("modulation {kind:?}"));
        group.sample_size(10);
        for (h, w, channels) in SCALES {
            let vs = VarStore::new(Device::Cpu);
            let norm = SpadeNorm::new(&vs.root(), channels, CLASSES, HIDDEN);
            let layer = tch::no_grad(|| Modulation::fold(&norm, alphabet, kind));
            let x = Tensor::randn([1, channels, h, w], (Kind::Float, Device::Cpu)).to_kind(kind);
            let x = channels_last(&x);
            let labels = street(h, w);
            let maps = LabelMaps::read(&labels, alphabet).unwrap();
            let plan = || PatchIndex::new(usize::MAX).plan(&maps, usize::MAX).unwrap();
            let planned = plan();
            let scale = format!("{w}x{h}, {} of {} distinct", planned.new.len(), h * w);
            let rows = || {
                let request = Request::new(&Ingredients::of(&planned.new, alphabet), Device::Cpu);
                Tensor::cat(&layer.rows(&request), 0)
            };
            let table = tch::no_grad(rows);
            let shared = Rows::Shared(&table, &planned.slots);
            let mut bench = |part: &str, work: &dyn Fn()| {
                group.bench_function(BenchmarkId::new(part, &scale), |b| b.iter(|| tch::no_grad(work)));
            };
            bench("dense", &|| {
                let mut pyramid = LabelPyramid::new(&labels, CLASSES, kind);
                let rows = layer.dense_rows(pyramid.at((h, w)));
                drop(black_box(modulate(&x, Rows::Own(&rows), 1, Activation::Leaky)));
            });
            bench("memoised", &|| {
                let planned = plan();
                drop(black_box(modulate(&x, Rows::Shared(&rows(), &planned.slots), 1, Activation::Leaky)));
            });
            bench("plan", &|| drop(black_box(plan())));
            bench("rows", &|| drop(black_box(rows())));
            bench("one pass", &|| drop(black_box(modulate(&x, shared, 1, Activation::Leaky))));
            bench("by operations", &|| drop(black_box(by_operations(&x, shared, 1, Activation::Leaky))));
            // What safe access to the same memory would add: the features out, and in again.
            bench("copies", &|| {
                let flat = x.permute([0, 2, 3, 1]).contiguous().flatten(0, -1);
                let mut bytes = vec![0; flat.numel() * kind.elt_size_in_bytes()];
                flat.copy_data_u8(&mut bytes, flat.numel());
                drop(black_box(Tensor::from_data_size(&bytes, &x.size(), kind)));
            });
        }
    }
}

/// Layers of an EfficientNet, of a SPADE generator and of FCN-8s' head, with a ReLU each.
fn convolutions(c: &mut Criterion) {
    let three = ConvOptions::same(3);
    for (name, inputs, outputs, (h, w), options) in [
        ("depthwise 3x3, 144 at 96x48", 144, 144, (48, 96), three.groups(144)),
        ("1x1, 80 to 480 at 24x12", 80, 480, (12, 24), ConvOptions::same(1)),
        ("3x3, 128 to 64 at 48x24", 128, 64, (24, 48), three),
        ("7x7, 512 to 4096 at 23x15", 512, 4096, (15, 23), ConvOptions::same(7).padding(0)),
    ] {
        let vs = VarStore::new(Device::Cpu);
        let prepared = Conv2d::new(vs.root(), inputs, outputs, options).fold(Kind::BFloat16);
        let x = Tensor::randn([1, inputs, h, w], (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16);
        let x = channels_last(&x);
        let (weight, bias) = prepared.parameters();
        let (weight, bias) = (channels_last(&weight.to_kind(x.kind())), bias.to_kind(x.kind()));
        let plain = Conv2d::of(weight, Some(&bias), options);
        let mut group = c.benchmark_group(format!("convolution BFloat16, {name}"));
        for (way, conv) in [("plain", &plain), ("prepared", &prepared)] {
            let work = || tch::no_grad(|| conv.rectified(&x, Rectifier::Relu));
            group.bench_function(way, |b| b.iter(|| drop(black_box(work()))));
        }
    }
}

/// A quarter of the published channels.
fn border(c: &mut Criterion) {
    let config = fcn8s::Config { widths: [16, 32, 64, 128, 128], head: 1024, ..fcn8s::Config::default() };
    let x = channels_last(&Tensor::rand([1, 3, 256, 512], (Kind::Float, Device::Cpu)));
    let mut group = c.benchmark_group("FCN-8s 512x256");
    group.sample_size(10);
    for (way, once) in [("border in each frame", false), ("border once", true)] {
        let vs = VarStore::new(Device::Cpu);
        let mut network = SegmenterConfig::Fcn8s(config.clone()).build(&vs.root(), CLASSES).unwrap();
        network.fold();
        if once {
            network.memoise();
        }
        let work = || tch::no_grad(|| network.forward(&x, false).logits);
        group.bench_function(way, |b| b.iter(|| drop(black_box(work()))));
    }
}

fn scores(c: &mut Criterion) {
    let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
    let (real, synthetic, logits) =
        (random(&[1, 96, 32, 64]), random(&[1, 96, 32, 64]), random(&[1, 19, 32, 64]));
    let msp = random(&[1, 1, 256, 512]).sigmoid();
    for (certainty, side) in [(Certainty::Switch, 1), (Certainty::Entropy, 1), (Certainty::Entropy, 5)] {
        let smoothing = side.try_into().expect("an odd number");
        let config = Config { features: Features::Last, certainty, smoothing, ..Config::default() };
        let views = Views { real: &real, synthetic: &synthetic, logits: &logits, msp: &msp };
        let name = format!("anomaly score 64x32 to 512x256, {certainty:?}, smoothing {side}");
        c.bench_function(&name, |b| b.iter(|| anomaly_score(config, &views)));
    }
}

fn find_regions(c: &mut Criterion) {
    let (width, height) = (512, 256);
    let mask = GrayImage::from_fn(width, height, |x, y| {
        let hit = ((x / 11).wrapping_mul(2_654_435_761) ^ (y / 7).wrapping_mul(40_503)) >> 5 & 7;
        Luma([if hit == 0 { 255 } else { 0 }])
    });
    let labels = GrayImage::from_fn(width, height, |x, _| Luma([(x / 40) as u8]));
    let data = (0..width * height).map(|i| (i % 101) as f32 / 100.).collect();
    let scores = ScoreMap { width, height, data };
    let limits = RegionLimits { min_area: 0.0005, max_count: 32 };
    c.bench_function("regions 512x256", |b| {
        b.iter(|| regions::find(&mask, &scores, &labels, None, limits).unwrap());
    });
}

criterion_group!(hot_parts, convolutions, border, modulation, scores, find_regions);
criterion_main!(hot_parts);
