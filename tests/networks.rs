//! The networks at small widths: shapes, strictness, and that they learn.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::data::{Dataset, Sample};
use synthcp_monitor::network::comparison::{ComparerConfig, Comparison, joint};
use synthcp_monitor::network::segmentation::SegmenterConfig;
use synthcp_monitor::network::synthesis::SynthesizerConfig;
use synthcp_monitor::network::weights;
use synthcp_monitor::train::batch::TensorSet;
use synthcp_monitor::train::checkpoint::{EVERY, Run};
use synthcp_monitor::train::progress::Budget;
use synthcp_monitor::train::segmentation;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// libtorch's random numbers are the process's: whoever draws them on a seed must be alone.
fn alone() -> MutexGuard<'static, ()> {
    static DICE: Mutex<()> = Mutex::new(());
    DICE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config<C: serde::de::DeserializeOwned>(yaml: &str) -> C {
    serde_norway::from_str(yaml).unwrap()
}

const RESNET: &str = "{architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}";
const EFFICIENT: &str = "{architecture: deeplab, encoder: {name: efficientnet_lite0, stem_stride: 2}, pyramid: 8, rates: [1, 2, 3], decoder: 8}";
const FCN: &str = "{architecture: fcn8s, widths: [2, 4, 4, 8, 8], head: 8}";

#[test]
fn segmenters_give_a_logit_for_each_class_and_pixel() {
    let _alone = alone();
    for yaml in [RESNET, EFFICIENT, FCN] {
        let vs = VarStore::new(Device::Cpu);
        let network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5);
        let image = Tensor::rand([2, 3, 64, 96], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            let out = network.forward(&image, false);
            assert_eq!(network.resize_logits(&out.logits, (64, 96)).size(), [2, 5, 64, 96], "{yaml}");
            // The feature layer alone gives what the whole network saw there.
            assert_eq!(network.features(&image), out.features, "{yaml}");
        });
    }
}

#[test]
fn half_precision_stays_near_full_precision() {
    let _alone = alone();
    for yaml in [RESNET, EFFICIENT] {
        tch::manual_seed(1);
        let vs = VarStore::new(Device::Cpu);
        let network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5);
        let image = Tensor::rand([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            let full = network.forward(&image, false).logits;
            weights::cast(&vs, Kind::BFloat16);
            let half = network.forward(&image.to_kind(Kind::BFloat16), false).logits.to_kind(Kind::Float);
            let error = (&full - &half).abs().max().double_value(&[]) / full.abs().max().double_value(&[]);
            assert!(error < 0.05, "{yaml}: {error}");
        });
    }
}

/// Random statistics, as after training: those of a new norm would hide a mistake.
fn unsettle(vs: &VarStore) {
    tch::no_grad(|| {
        for (name, mut variable) in vs.variables() {
            if name.ends_with("running_var") {
                variable.copy_(&(variable.rand_like() + 0.5));
            } else if name.ends_with("running_mean") || variable.dim() == 1 {
                variable.copy_(&(variable.rand_like() - 0.3));
            }
        }
    });
}

fn assert_near(a: &Tensor, b: &Tensor, what: &str) {
    let error = (a - b).abs().max().double_value(&[]) / a.abs().max().double_value(&[]);
    assert!(error < 1e-5, "{what}: {error}");
}

#[test]
fn folded_norms_change_nothing() {
    let _alone = alone();
    for yaml in [RESNET, EFFICIENT, FCN] {
        let vs = VarStore::new(Device::Cpu);
        let mut network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5);
        unsettle(&vs);
        let image = Tensor::rand([1, 3, 64, 96], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            let plain = network.forward(&image, false);
            network.fold();
            assert_near(&plain.logits, &network.forward(&image, false).logits, yaml);
        });
    }
    let vs = VarStore::new(Device::Cpu);
    let mut network =
        config::<ComparerConfig>("{architecture: joint, width: 4, squeeze: 4}").build(&vs.root(), 5);
    unsettle(&vs);
    let [image, synth] = [(); 2].map(|()| Tensor::rand([1, 3, 64, 96], (Kind::Float, Device::Cpu)));
    let probabilities = Tensor::rand([1, 5, 64, 96], (Kind::Float, Device::Cpu)).softmax(1, Kind::Float);
    let compare = |network: &joint::Joint| {
        let input = Comparison { image: &image, synth: &synth, probabilities: &probabilities };
        tch::no_grad(|| network.forward(&input, false))
    };
    let plain = compare(&network);
    network.fold();
    let folded = compare(&network);
    assert_near(&plain.confidence, &folded.confidence, "confidence");
    assert_near(&plain.iou, &folded.iou, "IoU");
}

#[test]
fn the_generator_paints_labels_and_nothing_else() {
    let _alone = alone();
    let vs = VarStore::new(Device::Cpu);
    let config: SynthesizerConfig = config("{architecture: spade, ngf: 2, hidden: 4, upsampling: more}");
    assert_eq!(config.granularity(), 64);
    let network = config.build(&vs.root(), 5);
    let labels = Tensor::randint(5, [1, 64, 128], (Kind::Int64, Device::Cpu));
    tch::no_grad(|| {
        let picture = network.forward(&labels, Kind::Float, false);
        assert_eq!(picture.size(), [1, 3, 64, 128]);
        assert!(picture.min().double_value(&[]) >= 0. && picture.max().double_value(&[]) <= 1.);
        assert_eq!(picture, network.forward(&labels, Kind::Float, false));
        assert_ne!(picture, network.forward(&labels.zeros_like(), Kind::Float, false));
    });
}

#[test]
fn the_comparer_sees_both_pictures() {
    let _alone = alone();
    let vs = VarStore::new(Device::Cpu);
    let network =
        config::<ComparerConfig>("{architecture: joint, width: 4, squeeze: 4}").build(&vs.root(), 5);
    let picture = || Tensor::rand([2, 3, 64, 96], (Kind::Float, Device::Cpu));
    let (image, synth, other) = (picture(), picture(), picture());
    let probabilities = Tensor::rand([2, 5, 64, 96], (Kind::Float, Device::Cpu)).softmax(1, Kind::Float);
    let compare = |synth: &Tensor| {
        tch::no_grad(|| {
            network.forward(&Comparison { image: &image, synth, probabilities: &probabilities }, false)
        })
    };
    let (a, b) = (compare(&synth), compare(&other));
    assert_eq!(a.confidence.size(), [2, 1, 64, 96]);
    assert_eq!(a.iou.size(), [2, 5]);
    assert_ne!(a.confidence, b.confidence);
    assert_ne!(a.iou, b.iou);
}

/// Left half dark and of class 0, right half bright and of class 1; brightness varies.
fn halves() -> TensorSet {
    let sample = |i: u32| {
        let bright = |x: u32| if x < 32 { 40 + i as u8 } else { 200 + i as u8 };
        Sample {
            name: i.to_string(),
            image: RgbImage::from_fn(64, 32, |x, _| Rgb([bright(x); 3])),
            labels: GrayImage::from_fn(64, 32, |x, _| Luma([u8::from(x >= 32)])),
        }
    };
    TensorSet::new(&Dataset {
        label_set: "cityscapes".into(),
        samples: (0..6).map(sample).collect(),
        unpaired: 0,
    })
}

fn train(steps: u64, seed: u64) -> segmentation::Trained {
    let folder = tempfile::tempdir().unwrap();
    let options = segmentation::Options {
        network: config(RESNET),
        pretrained: None,
        batch: 4,
        rate: 0.01,
        seed,
        device: Device::Cpu,
        kind: Kind::Float,
    };
    let run = Run {
        title: "test".into(),
        path: folder.path().join("checkpoint.safetensors"),
        budget: Budget::steps(steps),
        identity: "test".into(),
        resume: false,
        save_every: EVERY,
    };
    segmentation::train(&halves(), 2, &options, &run).unwrap()
}

#[test]
fn training_learns() {
    let _alone = alone();
    let set = halves();
    let m = train(40, 1);
    let probabilities = segmentation::probabilities(&*m.network, &set.images, Device::Cpu, Kind::Float);
    let right = probabilities.argmax(1, false).eq_tensor(&set.labels.to_kind(Kind::Int64));
    let accuracy = right.to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
    assert!(accuracy > 0.9, "{accuracy}");
}

#[test]
fn the_same_seed_trains_the_same_network() {
    let _alone = alone();
    let [a, b, c] = [(2, 5), (2, 5), (2, 6)].map(|(steps, seed)| weights::tensors(&train(steps, seed).vs));
    assert!(a.iter().all(|(name, t)| *t == b[name]));
    assert!(a.iter().any(|(name, t)| *t != c[name]));
}
