//! The hot parts of a frame: `cargo bench`. SPADE's modulation at each scale of the reference network,
//! dense against memoised; the cosine; regions.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use image::{GrayImage, Luma};
use synthcp_monitor::monitor::regions::{self, RegionLimits};
use synthcp_monitor::monitor::report::ScoreMap;
use synthcp_monitor::network::layers::channels_last;
use synthcp_monitor::network::synthesis::fused::{Activation, Rows, by_operations, modulate};
use synthcp_monitor::network::synthesis::modulation::{Modulation, Request};
use synthcp_monitor::network::synthesis::patches::{Alphabet, Ingredients, LabelMaps, PatchIndex};
use synthcp_monitor::network::synthesis::spade::{LabelPyramid, SpadeNorm};
use synthcp_monitor::score::cosine::{Certainty, Config, Features, Looks, anomaly_score};
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

fn scores(c: &mut Criterion) {
    let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
    let (real, synthetic, logits) =
        (random(&[1, 96, 32, 64]), random(&[1, 96, 32, 64]), random(&[1, 19, 32, 64]));
    let msp = random(&[1, 1, 256, 512]).sigmoid();
    for (certainty, side) in [(Certainty::Switch, 1), (Certainty::Entropy, 1), (Certainty::Entropy, 5)] {
        let smoothing = side.try_into().expect("an odd number");
        let config = Config { features: Features::Last, certainty, smoothing };
        let looks = Looks { real: &real, synthetic: &synthetic, logits: &logits, msp: &msp };
        let name = format!("anomaly score 64x32 to 512x256, {certainty:?}, smoothing {side}");
        c.bench_function(&name, |b| b.iter(|| anomaly_score(config, &looks)));
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

criterion_group!(hot_parts, modulation, scores, find_regions);
criterion_main!(hot_parts);
