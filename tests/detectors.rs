//! Detectors beside the bundle's comparator F, from training to detection, at a small size.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::model::anomaly;
use synthcp_monitor::model::inference::Inference;
use synthcp_monitor::model::networks::{Arithmetic, Networks, Specification};
use synthcp_monitor::network::segmentation::{Sampler, Segmented, Segmenter};
use synthcp_monitor::score::trained;
use synthcp_monitor::train::recipe::Recipe;
use synthcp_monitor::train::training::Training;
use synthcp_monitor::train::workspace::{DETECTORS, Workspace};
use tch::{Device, Kind, Tensor};

/// Classes of the label set `camvid`.
const CLASSES: i64 = 11;

const RECIPE: &str = "
working_size: [64, 128]
segmentation: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}
segmentation_steps: 2
folds: 2
fold_steps: 2
degraded: true
outliers: {copies: 1, most: 4}
synthesis: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}
discriminator_width: 4
synthesis_steps: 2
comparison: {architecture: joint, width: 4, squeeze: 4, prior: true}
comparison_steps: 2
baselines:
  tcp: {network: {baseline: tcp, widths: [4, 4, 4, 4]}, steps: 2, batch: 2, rate: 0.001}
  vae: {network: {baseline: vae_alarm, grid: [16, 32], width: 2, latent: 4}, steps: 2, batch: 2, rate: 0.001}
  autoencoder: {network: {baseline: autoencoder, width: 2, latent: 2}, steps: 2, batch: 2, rate: 0.001}
  dropout: {network: {baseline: mc_dropout, passes: 2}, steps: 2, batch: 2, rate: 0.001}
  image: {network: {baseline: comparison, network: {architecture: iou_only, width: 4}}, steps: 2, batch: 2, rate: 0.001}
  pixel: {network: {baseline: comparison, network: {architecture: confidence_only, width: 4, squeeze: 4}}, steps: 2, batch: 2, rate: 0.001}
  direct: {network: {baseline: comparison, network: {architecture: direct, width: 4, squeeze: 4}}, steps: 2, batch: 2, rate: 0.001}
  fused: {network: {baseline: comparison, network: {architecture: fused, width: 8}}, steps: 2, batch: 2, rate: 0.001, seed: 7}
  unknown: {network: {baseline: comparison, network: {architecture: fused, width: 8, of_synth: nothing, unknown: true}}, steps: 2, batch: 2, rate: 0.001}
  exposed: {network: {baseline: exposed, width: 4}, steps: 2, batch: 2, rate: 0.001}
batch: [2, 4, 2]
rate: [0.001, 0.0004, 0.001]
seed: 1
";

/// libtorch's generator is one for all threads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(1);
    guard
}

/// Eight images, dark above and light below, in CamVid's layout.
fn write_data(folder: &Path) {
    for (name, part) in [("train", 0), ("trainannot", 1)] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for i in 0..8u32 {
            let below = move |y: u32| y > 12 + i;
            let path = folder.join(name).join(format!("{i}.png"));
            match part {
                0 => RgbImage::from_fn(128, 64, |_, y| Rgb([if below(y) { 200 } else { 40 }; 3])).save(path),
                _ => GrayImage::from_fn(128, 64, |_, y| Luma([u8::from(below(y))])).save(path),
            }
            .unwrap();
        }
    }
}

fn training(recipe: &str, data: &Path, work: &Path) -> Training {
    let workspace = Workspace {
        cutouts: None,
        given: None,
        segmenter: None,
        data: data.into(),
        slice: "train".parse().unwrap(),
        reading: Default::default(),
        work: work.into(),
        segmenters: None,
        synthesizers: None,
        pretrained: None,
        start: None,
        device: Device::Cpu,
        kind: Kind::Float,
        resume: true,
        minutes: None,
        pause_at: None,
    };
    Training::begin(serde_norway::from_str(recipe).unwrap(), workspace).unwrap()
}

/// A segmenter M that counts its passes.
struct Counting {
    m: Box<dyn Segmenter>,
    passes: Arc<AtomicUsize>,
}

impl Segmenter for Counting {
    fn forward(&self, image: &Tensor, train: bool) -> Segmented {
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.m.forward(image, train)
    }

    fn sampler(&self, image: &Tensor) -> Option<Sampler<'_>> {
        self.m.sampler(image)
    }
}

/// Networks with random weights whose F is `comparison`.
fn networks(comparison: &str) -> (Networks, Arc<AtomicUsize>) {
    let recipe: Recipe = serde_norway::from_str(RECIPE).unwrap();
    let specification = Specification {
        segmentation: recipe.segmentation.clone(),
        synthesis: recipe.synthesis,
        comparison: serde_norway::from_str(comparison).unwrap(),
        classes: CLASSES,
        size: (64, 128),
        anomaly: anomaly::Config::default(),
    };
    let passes = Arc::new(AtomicUsize::new(0));
    let counter = passes.clone();
    let networks = Networks::build(
        &specification,
        Arithmetic { device: Device::Cpu, kind: Kind::Float, memoise: false },
        |vs| {
            let m = recipe.segmentation.build(&vs.root(), CLASSES)?;
            Ok(Box::new(Counting { m, passes: counter }))
        },
        |_| Ok(()),
    );
    (networks.unwrap(), passes)
}

#[test]
fn every_baseline_is_trained_stored_loaded_and_detects() {
    let _alone = alone();
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path());
    let training = training(RECIPE, data.path(), work.path());
    let m = training.segmentation().unwrap();
    let (_parameters, g) = training.synthesis(&m).unwrap();
    training.predictions(&*g).unwrap();
    let recipe: Recipe = serde_norway::from_str(RECIPE).unwrap();
    for name in recipe.baselines.keys() {
        training.baseline(name, "a test").unwrap();
    }

    let detectors = trained::load(&work.path().join(DETECTORS), CLASSES, Device::Cpu).unwrap();
    let (networks, _) = networks("{architecture: joint, width: 4, squeeze: 4}");
    let image = Tensor::rand([2, 3, 64, 128], (Kind::Float, Device::Cpu));
    let detected: BTreeSet<String> = tch::no_grad(|| {
        let inference = Inference::of_batch(networks.trio(), image.shallow_clone());
        let outputs_of = |detector: &dyn synthcp_monitor::score::detector::Detector| {
            let detection = detector.detect(&inference).unwrap();
            for map in [&detection.error, &detection.anomaly].into_iter().flatten() {
                assert_eq!(map.size(), [2, 1, 64, 128], "{}", detector.name());
            }
            if let Some(iou) = &detection.iou {
                assert_eq!(iou.size(), [2, CLASSES], "{}", detector.name());
            }
            let [e, i, a] = [detection.error, detection.iou, detection.anomaly].map(|j| j.is_some());
            let tick = |yes: bool, mark: &str| if yes { mark.to_owned() } else { String::new() };
            format!("{}: {}{}{}", detector.name(), tick(e, "e"), tick(i, "i"), tick(a, "a"))
        };
        detectors.iter().map(|detector| outputs_of(&**detector)).collect()
    });
    let expected = [
        "autoencoder: ea",
        "direct + (1 - MSP): e",
        "direct: ei",
        "dropout: ei",
        "exposed: a",
        "fused: ei",
        "image: i",
        "pixel + (1 - MSP): e",
        "pixel: e",
        "tcp as released: e",
        "tcp: e",
        "unknown: eia",
        "vae: i",
    ];
    assert_eq!(detected, expected.map(String::from).into());
}

#[test]
fn a_baseline_that_nobody_planned_and_one_without_its_examples_are_named() {
    let _alone = alone();
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path());
    let training = training(RECIPE, data.path(), work.path());
    let error = training.baseline("odin", "").unwrap_err().to_string();
    assert!(error.contains("'odin'") && error.contains("autoencoder, direct, dropout"), "{error}");
    let error = training.baseline("direct", "").unwrap_err().to_string();
    assert!(error.contains("fold-0") && error.contains("predictions.safetensors"), "{error}");
}

#[test]
fn a_detector_whose_weights_were_changed_is_refused() {
    let _alone = alone();
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path());
    training(RECIPE, data.path(), work.path()).baseline("autoencoder", "").unwrap();
    let folder = work.path().join(DETECTORS);
    let weights = folder.join("autoencoder.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let error = trained::load(&folder, CLASSES, Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("autoencoder.safetensors") && error.contains("sha256"), "{error}");
    assert!(trained::load(&work.path().join("nowhere"), CLASSES, Device::Cpu).unwrap().is_empty());
}

#[test]
fn the_segmenter_segments_the_synthesized_image_once_whoever_asks() {
    let _alone = alone();
    let image = Tensor::rand([1, 3, 64, 128], (Kind::Float, Device::Cpu));
    let passes_made = |comparison: &str| {
        let (networks, passes) = networks(comparison);
        tch::no_grad(|| {
            let inference = Inference::of_batch(networks.trio(), image.shallow_clone());
            inference.comparison();
            let compared = passes.load(Ordering::Relaxed);
            let config = networks.anomaly_config();
            let anomaly = inference.anomaly(config).unwrap();
            assert_eq!(anomaly, inference.anomaly(config).unwrap());
            let in_all = passes.load(Ordering::Relaxed);
            let alone = Inference::of_batch(networks.trio(), image.shallow_clone());
            assert_eq!(anomaly, alone.anomaly(config).unwrap());
            (compared, in_all)
        })
    };
    assert_eq!(passes_made("{architecture: joint, width: 4, squeeze: 4}"), (1, 2));
    assert_eq!(passes_made("{architecture: fused, width: 8}"), (2, 2));
}
