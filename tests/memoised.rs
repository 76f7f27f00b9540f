//! The memoised generator against the dense one, which is the reference: on maps that repeat and maps
//! that do not, on every grid, and from frame to frame.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, PoisonError};

use synthcp_monitor::checkpoint::weights;
use synthcp_monitor::network::cpu::by_operations_alone;
use synthcp_monitor::network::synthesis::folded::{CACHE, FoldedSpade};
use synthcp_monitor::network::synthesis::spade::{Config, Spade, Upsampling};
use synthcp_monitor::network::synthesis::{
    GeneratorConfig, ReadyGenerator, Synthesize, pix2pixhd, style_encoder,
};
use tch::nn::{Path, VarStore};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 5;
const UPSAMPLINGS: [Upsampling; 3] = [Upsampling::Normal, Upsampling::More, Upsampling::Most];

fn generator(upsampling: Upsampling) -> (VarStore, Spade) {
    let config = Config { ngf: 2, hidden: 6, upsampling, style: None };
    random(|p| Spade::new(p, &config, CLASSES))
}

/// A network with every parameter and statistic random, the same at each call: a bias of zero would hide
/// whether a pixel without label is told from the outside of the image.
fn random<N>(build: impl FnOnce(&Path) -> N) -> (VarStore, N) {
    // libtorch's random numbers are the process's.
    static DICE: Mutex<()> = Mutex::new(());
    let _alone = DICE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(7);
    let vs = VarStore::new(Device::Cpu);
    let network = build(&vs.root());
    let mut variables: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    tch::no_grad(|| {
        for (name, variable) in &mut variables {
            let random = variable.randn_like();
            let value = match name.as_str() {
                name if name.ends_with("running_var") => random.square() + 0.5,
                name if name.ends_with("_u") || name.ends_with("_v") => &random / random.norm(),
                _ if variable.dim() == 4 => {
                    random * (0.25 / variable.size()[1..].iter().product::<i64>() as f64).sqrt()
                }
                _ => random * 0.1,
            };
            variable.copy_(&value);
        }
        // What a trained spectral norm has seen: without it the largest singular value is anything.
        let find = |name: &str| variables.iter().find(|(n, _)| n == name).unwrap().1.shallow_clone();
        for stem in variables.iter().filter_map(|(name, _)| name.strip_suffix("weight_u")) {
            let matrix = find(&format!("{stem}weight_orig")).flatten(1, -1);
            let (mut u, mut v) = (find(&format!("{stem}weight_u")), find(&format!("{stem}weight_v")));
            for _ in 0..5 {
                let next = matrix.tr().mv(&u);
                v.copy_(&(&next / next.norm()));
                let next = matrix.mv(&v);
                u.copy_(&(&next / next.norm()));
            }
        }
    });
    (vs, network)
}

/// `N x H x W` ids, `id(image, y, x)`.
fn maps((n, h, w): (i64, i64, i64), id: impl Fn(i64, i64, i64) -> i64) -> Tensor {
    let pixels = (0..n * h * w).map(|i| id(i / (h * w), i / w % h, i % w));
    Tensor::from_slice(&pixels.collect::<Vec<i64>>()).view([n, h, w])
}

fn hash(values: [i64; 3]) -> i64 {
    values.iter().fold(11, |hash, v| (hash * 31 + v).wrapping_mul(2_654_435_761) >> 3 & 0xffff_ffff)
}

/// Blobs like a street's, with edges at odd places and pixels without label.
fn street(size: (i64, i64, i64), seed: i64) -> Tensor {
    maps(size, |n, y, x| match hash([n + seed, y / 13, (x + seed) / 17]) % 6 {
        5 => 255,
        class => class,
    })
}

/// SPADE folded, without memory.
fn without_memory(dense: &Spade) -> FoldedSpade {
    let folded = FoldedSpade::fold(dense, Kind::Float, 0).unwrap();
    assert!(!folded.memoises());
    folded
}

fn assert_alike(dense: &Spade, memoised: &FoldedSpade, labels: &Tensor, what: &str) {
    tch::no_grad(|| assert_near(&dense.forward(labels, Kind::Float, false), &memoised.forward(labels), what));
}

fn assert_near(expected: &Tensor, found: &Tensor, what: &str) {
    assert_eq!(expected.size(), found.size());
    let (low, high) = (expected.min().double_value(&[]), expected.max().double_value(&[]));
    assert!(0.01 < low && low + 0.05 < high && high < 0.99, "{what}: flat or saturated, {low} to {high}");
    let difference = (expected - found).abs().max().double_value(&[]) / (high - low);
    assert!(difference < 1e-5, "{what}: {difference} of the range");
}

#[test]
fn every_kind_of_map_is_synthesized_as_by_the_dense_layers() {
    for upsampling in UPSAMPLINGS {
        let (_vs, dense) = generator(upsampling);
        let memoised = FoldedSpade::fold(&dense, Kind::Float, CACHE).unwrap();
        let folded = without_memory(&dense);
        // The start grid is a single row of three.
        let unit = 1 << Config { upsampling, ..Config::default() }.doublings();
        let size = (2, unit, 3 * unit);
        for (what, labels) in [
            ("constant", maps(size, |_, _, _| 2)),
            ("no label", maps(size, |n, _, x| if n == 0 || x < 40 { 255 } else { 1 })),
            ("street", street(size, 0)),
            ("checkerboard", maps(size, |_, y, x| (y + x) % 2)),
            ("noise", maps(size, |n, y, x| hash([n, y, x]) % CLASSES)),
            ("noise with holes", maps(size, |n, y, x| [0, 1, 2, 3, 4, 255][(hash([n, y, x]) % 6) as usize])),
        ] {
            assert_alike(&dense, &memoised, &labels, &format!("{upsampling:?}, {what}"));
            assert_alike(&dense, &folded, &labels, &format!("{upsampling:?}, {what}, without memory"));
        }
    }
}

#[test]
fn a_device_of_its_own_finds_the_distinct_patches_too() {
    for kind in [Kind::Float, Kind::BFloat16] {
        let (_vs, dense) = generator(Upsampling::Normal);
        let mut memoised = FoldedSpade::fold(&dense, kind, CACHE).unwrap();
        by_operations_alone(|| memoised.choose_way((64, 96)));
        let size = (2, 64, 96);
        let maps = [
            street(size, 0),
            maps(size, |n, _, x| if n == 0 || x < 40 { 255 } else { 1 }),
            maps(size, |n, y, x| hash([n, y, x]) % CLASSES),
            maps((1, 96, 64), |_, y, x| (y + x) % 2),
        ];
        tch::no_grad(|| {
            for (i, labels) in maps.iter().enumerate() {
                let found = by_operations_alone(|| memoised.forward(labels));
                let apart = (found - dense.forward(labels, Kind::Float, false)).abs().max().double_value(&[]);
                let most = if kind == Kind::Float { 1e-5 } else { 0.05 };
                assert!(apart < most, "{kind:?}, frame {i}: {apart}");
            }
        });
        assert!(memoised.counts().iter().all(|(len, _)| *len == 0), "nothing is remembered");
    }
}

#[test]
fn a_style_is_synthesized_as_by_the_dense_layers() {
    let style = style_encoder::Config { width: 2, latent: 4, grid: [1, 3] };
    let config = Config { ngf: 2, hidden: 6, upsampling: Upsampling::Normal, style: Some(style) };
    let config = GeneratorConfig::Spade(config);
    let trained = || random(|p| config.build(p, CLASSES)).1;
    let dense = ReadyGenerator::AsTrained(trained(), Kind::Float);
    let [folded, memoised] =
        [false, true].map(|memoise| ReadyGenerator::new(trained(), Kind::Float, memoise));
    for (ready, memoise) in [(&folded, false), (&memoised, true)] {
        assert!(matches!(ready, ReadyGenerator::Folded(folded) if folded.memoises() == memoise));
    }
    let labels = street((2, 32, 96), 0);
    let picture = |step: f64| {
        let waves = Tensor::arange(2 * 3 * 32 * 96, (Kind::Float, Device::Cpu)) * step;
        (waves.sin().view([2, 3, 32, 96]) + 1.) * 0.5
    };
    let [day, night] = [0.01, 0.7].map(|step| {
        tch::no_grad(|| {
            let (expected, found) =
                (dense.synthesize(&labels, &picture(step)), memoised.synthesize(&labels, &picture(step)));
            assert_near(&expected, &found, &format!("style of step {step}"));
            let found = folded.synthesize(&labels, &picture(step));
            assert_near(&expected, &found, &format!("style of step {step}, without memory"));
            found
        })
    });
    assert_ne!(day, night);
}

#[test]
fn what_depends_on_the_whole_image_stays_dense() {
    let config = pix2pixhd::Config { ngf: 2, downsamplings: 2, blocks: 1 };
    let vs = VarStore::new(Device::Cpu);
    let network = GeneratorConfig::Pix2pixhd(config).build(&vs.root(), CLASSES);
    assert!(matches!(ReadyGenerator::new(network, Kind::Float, true), ReadyGenerator::AsTrained(..)));
}

#[test]
fn bytes_are_labels_too() {
    let (_vs, dense) = generator(Upsampling::Normal);
    let memoised = FoldedSpade::fold(&dense, Kind::Float, CACHE).unwrap();
    let labels = street((1, 64, 96), 3);
    tch::no_grad(|| {
        assert_eq!(memoised.forward(&labels), memoised.forward(&labels.to_kind(Kind::Uint8)));
    });
}

#[test]
fn in_bf16_it_is_as_near_to_fp32_as_the_dense_layers_are() {
    let (vs, dense) = generator(Upsampling::More);
    let memoised = FoldedSpade::fold(&dense, Kind::BFloat16, CACHE).unwrap();
    let labels = street((1, 64, 192), 1);
    tch::no_grad(|| {
        let exact = dense.forward(&labels, Kind::Float, false);
        weights::cast(&vs, Kind::BFloat16);
        let error = |image: &Tensor| (image - &exact).abs().mean(Kind::Float).double_value(&[]);
        let (theirs, ours) =
            (error(&dense.forward(&labels, Kind::BFloat16, false)), error(&memoised.forward(&labels)));
        assert!(theirs < 0.05 && ours < 1.2 * theirs, "dense {theirs}, memoised {ours}");
    });
}

#[test]
fn what_is_remembered_changes_nothing() {
    let (_vs, dense) = generator(Upsampling::Normal);
    // Small enough that every few frames something must go.
    let memoised = FoldedSpade::fold(&dense, Kind::Float, 1_000).unwrap();
    for (i, size) in
        [(1, 64, 96), (1, 64, 96), (2, 64, 96), (1, 96, 64), (1, 128, 64)].iter().cycle().take(8).enumerate()
    {
        assert_alike(&dense, &memoised, &street(*size, i as i64), &format!("frame {i}"));
        assert!(memoised.counts().iter().all(|(len, _)| *len <= 1_000));
    }
    let counts = memoised.counts();
    assert!(counts.iter().any(|(_, counts)| counts.evicted > 0), "{counts:?}");
    let (_, fine) = counts.last().unwrap();
    assert!(fine.dense == 0 && fine.computed * 4 < fine.pixels, "{fine:?}");
}

#[test]
fn a_frame_seen_before_costs_no_new_patch() {
    let (_vs, dense) = generator(Upsampling::Normal);
    let memoised = FoldedSpade::fold(&dense, Kind::Float, CACHE).unwrap();
    let labels = street((1, 64, 96), 0);
    let computed = || memoised.counts().iter().map(|(_, counts)| counts.computed).sum::<u64>();
    let _ = tch::no_grad(|| memoised.forward(&labels));
    let first = computed();
    let _ = tch::no_grad(|| memoised.forward(&labels));
    assert!(first > 0 && computed() == first);
    memoised.forget();
    assert_alike(&dense, &memoised, &labels, "after forgetting");
}

#[test]
fn noise_is_left_to_the_dense_layers() {
    let (_vs, dense) = generator(Upsampling::Normal);
    let memoised = FoldedSpade::fold(&dense, Kind::Float, CACHE).unwrap();
    let labels = maps((1, 64, 96), |n, y, x| hash([n, y, x]) % CLASSES);
    let _ = tch::no_grad(|| memoised.forward(&labels));
    let counts = memoised.counts();
    assert!(counts.iter().rev().take(2).all(|(len, counts)| *len == 0 && counts.dense == 1), "{counts:?}");
}

#[test]
fn too_many_classes_for_a_byte_stay_dense() {
    let vs = VarStore::new(Device::Cpu);
    let config = Config { ngf: 1, hidden: 2, upsampling: Upsampling::Normal, style: None };
    let build = |classes| FoldedSpade::fold(&Spade::new(&vs.root(), &config, classes), Kind::Float, CACHE);
    assert!(build(254).is_some());
    assert!(build(255).is_none());
}
