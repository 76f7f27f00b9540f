//! The networks at small widths: shapes, strictness, and that they learn.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::LabelSet;
use synthcp_monitor::checkpoint::weights;
use synthcp_monitor::data::{Dataset, Sample};
use synthcp_monitor::model::pixels::to_input;
use synthcp_monitor::network::comparison::disagreement::MAPS;
use synthcp_monitor::network::comparison::{Comparator, ComparatorConfig, ComparatorInput, Compared};
use synthcp_monitor::network::layers::spatial;
use synthcp_monitor::network::segmentation::SegmenterConfig;
use synthcp_monitor::network::segmentation::efficientnet::EfficientNetLite0;
use synthcp_monitor::network::softmax::Softmax;
use synthcp_monitor::network::synthesis::GeneratorConfig;
use synthcp_monitor::train::batch::TensorSet;
use synthcp_monitor::train::checkpoint::{EVERY, Run};
use synthcp_monitor::train::predictions::{self, predict};
use synthcp_monitor::train::progress::Budget;
use synthcp_monitor::train::start::Beginning;
use synthcp_monitor::train::{comparison, segmentation, synthesis};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// libtorch's random numbers are the process's: whoever draws them must be alone, and draws the same
/// ones on every run.
fn alone() -> MutexGuard<'static, ()> {
    static DICE: Mutex<()> = Mutex::new(());
    let guard = DICE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(1);
    guard
}

fn config<C: serde::de::DeserializeOwned>(yaml: &str) -> C {
    serde_norway::from_str(yaml).unwrap()
}

const RESNET: &str = "{architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}";
const EFFICIENT: &str = "{architecture: deeplab, encoder: {name: efficientnet_lite0, stem_stride: 2}, pyramid: 8, rates: [1, 2, 3], decoder: 8}";
const PSPNET: &str = "{architecture: pspnet, encoder: {width: 4, blocks: [1, 1, 1, 1]}, pyramid: 4}";
const FCN: &str = "{architecture: fcn8s, widths: [2, 4, 4, 8, 8], head: 8}";
const FRESH_FCN: &str = "{architecture: fcn8s, widths: [2, 4, 4, 8, 8], head: 8, form: fresh}";
const JOINT: &str = "{architecture: joint, width: 4, squeeze: 4}";
const DIRECT: &str = "{architecture: direct, width: 4, squeeze: 4, prior: true}";
const IOU_ONLY: &str = "{architecture: iou_only, width: 4}";
const FUSED: &str = "{architecture: fused, width: 8}";
const CORRECTED: &str = "{architecture: fused, width: 8, of_synth: nothing}";
const SMALL_FUSED: &str = "{architecture: fused, width: 8, of_synth: disagreement, shrink: 3}";
const PRETRAINED_JOINT: &str = "{architecture: joint, encoder: efficientnet_lite0, squeeze: 4}";
const PRETRAINED_DIRECT: &str = "{architecture: direct, encoder: efficientnet_lite0, squeeze: 4}";
const CONFIDENCE_ONLY: &str = "{architecture: confidence_only, width: 4, squeeze: 4, prior: true}";

#[test]
fn segmenters_give_a_logit_for_each_class_and_pixel() {
    let _alone = alone();
    for yaml in [RESNET, EFFICIENT, FCN, FRESH_FCN, PSPNET] {
        let vs = VarStore::new(Device::Cpu);
        let network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5).unwrap();
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
    for yaml in [RESNET, EFFICIENT, PSPNET] {
        tch::manual_seed(1);
        let vs = VarStore::new(Device::Cpu);
        let network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5).unwrap();
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
fn folded_norms_change_nothing_that_a_segmenter_computes() {
    let _alone = alone();
    for yaml in [RESNET, EFFICIENT, FCN, FRESH_FCN, PSPNET] {
        let vs = VarStore::new(Device::Cpu);
        let mut network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5).unwrap();
        unsettle(&vs);
        let image = Tensor::rand([1, 3, 64, 96], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            let plain = network.forward(&image, false);
            network.fold();
            let folded = network.forward(&image, false);
            assert_near(&plain.logits, &folded.logits, yaml);
            assert_near(&plain.features, &folded.features, yaml);
        });
    }
}

#[test]
fn what_a_segmenter_computes_once_changes_none_of_its_results() {
    let _alone = alone();
    for yaml in [RESNET, FCN, FRESH_FCN] {
        let build = || {
            let vs = VarStore::new(Device::Cpu);
            let network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5).unwrap();
            (vs, network)
        };
        let ((from, plain), (mut to, mut memoised)) = (build(), build());
        unsettle(&from);
        to.copy(&from).unwrap();
        memoised.memoise();
        // Sizes change and come back, as with cameras that take turns.
        for (batch, height, width) in [(1, 64, 96), (1, 64, 96), (2, 64, 96), (1, 48, 40), (1, 64, 96)] {
            let image = Tensor::rand([batch, 3, height, width], (Kind::Float, Device::Cpu));
            tch::no_grad(|| {
                let (plain, memoised) = (plain.forward(&image, false), memoised.forward(&image, false));
                assert_near(&plain.logits, &memoised.logits, yaml);
                assert_near(&plain.features, &memoised.features, yaml);
            });
        }
    }
}

#[test]
fn folded_norms_change_nothing_that_a_comparator_computes() {
    let _alone = alone();
    for yaml in [JOINT, DIRECT, IOU_ONLY, CONFIDENCE_ONLY, FUSED, CORRECTED, SMALL_FUSED, PRETRAINED_JOINT] {
        let vs = VarStore::new(Device::Cpu);
        let mut network = config::<ComparatorConfig>(yaml).build(&vs.root(), 5);
        unsettle(&vs);
        let [image, synth] = [(); 2].map(|()| Tensor::rand([1, 3, 64, 96], (Kind::Float, Device::Cpu)));
        let softmax = random_softmax(1);
        let disagreement = Tensor::rand([1, MAPS, 16, 24], (Kind::Float, Device::Cpu));
        let compare = |network: &dyn Comparator| {
            let input = ComparatorInput {
                image: &image,
                synthesized: &|| synth.shallow_clone(),
                softmax: &softmax,
                disagreement: &|| disagreement.shallow_clone(),
            };
            tch::no_grad(|| network.forward(&input, false))
        };
        let plain = compare(&*network);
        network.fold();
        let folded = compare(&*network);
        for (plain, folded) in [(plain.iou, folded.iou), (plain.confidence, folded.confidence)] {
            assert_eq!(plain.is_some(), folded.is_some(), "{yaml}");
            if let (Some(plain), Some(folded)) = (plain, folded) {
                assert_near(&plain, &folded, yaml);
            }
        }
    }
}

#[test]
fn dropout_makes_the_passes_differ_and_nothing_else() {
    let _alone = alone();
    for yaml in [RESNET, FCN, FRESH_FCN, PSPNET] {
        let vs = VarStore::new(Device::Cpu);
        let network = config::<SegmenterConfig>(yaml).build(&vs.root(), 5).unwrap();
        let image = Tensor::rand([1, 3, 64, 96], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            let before = weights::tensors(&vs).into_iter().map(|(n, t)| (n, t.copy())).collect::<Vec<_>>();
            let sampler = network.sampler(&image).unwrap();
            let first = sampler();
            assert_eq!(first.size(), network.forward(&image, false).logits.size(), "{yaml}");
            // A few channels, of which one in ten is left out: two passes are often the same.
            assert!((0..64).any(|_| sampler() != first), "{yaml}");
            // No statistics were learned from the frame.
            let after = weights::tensors(&vs);
            assert!(before.iter().all(|(name, t)| after[name] == *t), "{yaml}");
        });
    }
}

#[test]
fn pspnet_classifies_an_earlier_layer_when_it_trains() {
    let _alone = alone();
    let vs = VarStore::new(Device::Cpu);
    let network = config::<SegmenterConfig>(PSPNET).build(&vs.root(), 5).unwrap();
    let image = Tensor::rand([2, 3, 64, 96], (Kind::Float, Device::Cpu));
    assert_eq!(network.forward(&image, true).auxiliary.unwrap().size(), [2, 5, 8, 12]);
    assert!(network.forward(&image, false).auxiliary.is_none());
}

#[test]
fn generators_synthesize_from_labels_and_nothing_else() {
    let _alone = alone();
    for (yaml, granularity) in [
        ("{architecture: spade, ngf: 2, hidden: 4, upsampling: more}", 64),
        ("{architecture: pix2pixhd, ngf: 2, downsamplings: 3, blocks: 1}", 8),
    ] {
        let vs = VarStore::new(Device::Cpu);
        let config: GeneratorConfig = config(yaml);
        assert_eq!(config.granularity(), granularity);
        let network = config.build(&vs.root(), 5);
        let labels = Tensor::randint(5, [1, 64, 128], (Kind::Int64, Device::Cpu));
        let style = || Tensor::rand([1, 3, 64, 128], (Kind::Float, Device::Cpu));
        let synthesize = |labels: &Tensor| network.synthesize(labels, &style(), Kind::Float, false).image;
        tch::no_grad(|| {
            let image = synthesize(&labels);
            assert_eq!(image.size(), [1, 3, 64, 128]);
            assert!(image.min().double_value(&[]) >= 0. && image.max().double_value(&[]) <= 1.);
            assert_eq!(image, synthesize(&labels), "{yaml}");
            assert_ne!(image, synthesize(&labels.zeros_like()), "{yaml}");
        });
    }
}

#[test]
fn a_style_is_encoded_and_sampled_only_when_training() {
    let _alone = alone();
    let vs = VarStore::new(Device::Cpu);
    let config: GeneratorConfig = config(
        "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal, style: {width: 2, latent: 4, grid: [1, 2]}}",
    );
    assert_eq!(config.fixed_size(), Some([32, 64]));
    assert!(config.check_size([64, 128]).unwrap_err().contains("[32, 64]"));
    let network = config.build(&vs.root(), 5);
    let labels = Tensor::randint(5, [2, 32, 64], (Kind::Int64, Device::Cpu));
    let style = || Tensor::rand([2, 3, 32, 64], (Kind::Float, Device::Cpu));
    let (day, night) = (style(), style());
    tch::no_grad(|| {
        let synthesize = |style: &Tensor| network.synthesize(&labels, style, Kind::Float, false);
        let by_day = synthesize(&day);
        assert_eq!(by_day.image.size(), [2, 3, 32, 64]);
        assert!(by_day.divergence.is_none());
        assert_eq!(by_day.image, synthesize(&day).image);
        assert_ne!(by_day.image, synthesize(&night).image);
        assert!(network.synthesize(&labels, &day, Kind::Float, true).divergence.is_some());
    });
}

fn random_softmax(batch: i64) -> Softmax {
    Softmax::of(Tensor::rand([batch, 5, 64, 96], (Kind::Float, Device::Cpu)).softmax(1, Kind::Float))
}

/// The output of the comparator F for two images that it compares with one.
fn compare_twice(yaml: &str) -> [Compared; 2] {
    let vs = VarStore::new(Device::Cpu);
    let network = config::<ComparatorConfig>(yaml).build(&vs.root(), 5);
    let picture = || Tensor::rand([2, 3, 64, 96], (Kind::Float, Device::Cpu));
    let (image, synths) = (picture(), [picture(), picture()]);
    let softmax = random_softmax(2);
    let disagreement = Tensor::rand([2, MAPS, 16, 24], (Kind::Float, Device::Cpu));
    tch::no_grad(|| {
        synths.map(|synth| {
            let comparison = ComparatorInput {
                image: &image,
                synthesized: &|| synth.shallow_clone(),
                softmax: &softmax,
                disagreement: &|| disagreement.shallow_clone(),
            };
            network.forward(&comparison, false)
        })
    })
}

#[test]
fn the_joint_comparator_sees_both_images() {
    let _alone = alone();
    for yaml in [JOINT, PRETRAINED_JOINT] {
        let [a, b] = compare_twice(yaml);
        assert_eq!(a.confidence.as_ref().unwrap().size(), [2, 1, 64, 96]);
        assert_eq!(a.iou.as_ref().unwrap().size(), [2, 5]);
        assert_ne!(a.confidence, b.confidence);
        assert_ne!(a.iou, b.iou);
    }
}

#[test]
fn direct_prediction_never_sees_the_synthetic_one() {
    let _alone = alone();
    for yaml in [DIRECT, PRETRAINED_DIRECT] {
        let [a, b] = compare_twice(yaml);
        assert_eq!(a.confidence.as_ref().unwrap().size(), [2, 1, 64, 96]);
        assert_eq!((a.confidence, a.iou), (b.confidence, b.iou));
    }
}

#[test]
fn an_image_is_not_made_smaller_than_a_pixel() {
    let _alone = alone();
    let [a, b] = compare_twice("{architecture: fused, width: 8, shrink: 255}");
    assert_eq!(a.confidence.as_ref().unwrap().size(), [2, 1, 64, 96]);
    assert_eq!(a.confidence, b.confidence);
}

#[test]
fn encoders_that_begin_from_imagenet_are_whole_and_named() {
    let encoder = VarStore::new(Device::Cpu);
    EfficientNetLite0::new(&encoder.root(), 2);
    let parameters = |yaml: &str| {
        let vs = VarStore::new(Device::Cpu);
        let config = config::<ComparatorConfig>(yaml);
        config.build(&vs.root(), 5);
        (config, vs.variables())
    };
    for (yaml, count) in [(PRETRAINED_JOINT, 2), (PRETRAINED_DIRECT, 1), (FUSED, 1), (JOINT, 0), (DIRECT, 0)]
    {
        let (config, parameters) = parameters(yaml);
        let prefixes = config.pretrained_encoders();
        assert_eq!((prefixes.len(), config.takes_pretrained()), (count, count > 0), "{yaml}");
        for prefix in prefixes {
            let inner = parameters.keys().filter_map(|name| name.strip_prefix(prefix));
            assert_eq!(
                inner.collect::<HashSet<_>>(),
                encoder.variables().keys().map(String::as_str).collect()
            );
        }
        let elsewhere = |name: &&String| !prefixes.iter().any(|prefix| name.starts_with(prefix));
        assert!(!parameters.keys().filter(elsewhere).any(|name| name.contains("_blocks")), "{yaml}");
    }
}

#[test]
fn an_encoder_takes_images_of_any_size() {
    let _alone = alone();
    let vs = VarStore::new(Device::Cpu);
    let encoder = EfficientNetLite0::new(&vs.root(), 2);
    for (h, w) in [(1, 1), (2, 3), (10, 21), (64, 96)] {
        let features =
            tch::no_grad(|| encoder.forward(&Tensor::rand([1, 3, h, w], (Kind::Float, Device::Cpu))));
        let sizes = features.each_ref().map(|x| (x.size()[2], x.size()[3]));
        // Its last stride is dropped.
        assert_eq!(sizes, [2, 4, 8, 16, 16].map(|stride: i64| ((h - 1) / stride + 1, (w - 1) / stride + 1)));
    }
}

#[test]
fn the_pixel_level_comparator_sees_both_images_and_estimates_no_iou() {
    let _alone = alone();
    let [a, b] = compare_twice(CONFIDENCE_ONLY);
    assert_ne!(a.confidence, b.confidence);
    assert!(a.iou.is_none() && a.presence.is_none());
}

#[test]
fn the_fused_comparer_starts_from_the_softmax_and_learns_from_what_it_is_given() {
    let _alone = alone();
    let options = (Kind::Float, Device::Cpu);
    let [x, a, b] = [(); 3].map(|()| Tensor::rand([1, 3, 64, 96], options));
    let softmax = random_softmax(1);
    for (of_synth, sees, hears) in
        [("everything", true, true), ("disagreement", false, true), ("nothing", false, false)]
    {
        let vs = VarStore::new(Device::Cpu);
        let yaml = format!("{{architecture: fused, width: 8, of_synth: {of_synth}}}");
        let network = config::<ComparatorConfig>(&yaml).build(&vs.root(), 5);
        let run = |synth: &Tensor, disagreement: f64, train: bool| {
            let comparison = ComparatorInput {
                image: &x,
                synthesized: &|| synth.shallow_clone(),
                softmax: &softmax,
                disagreement: &|| Tensor::full([1, MAPS, 16, 24], disagreement, options),
            };
            tch::no_grad(|| network.forward(&comparison, train))
        };
        let compare = |synth: &Tensor, disagreement: f64| run(synth, disagreement, false);
        let untrained = compare(&a, 0.);
        assert_near(&untrained.confidence.unwrap().sigmoid(), &softmax.largest, of_synth);
        let posterior = run(&a, 0., true).posterior.unwrap();
        assert!((posterior - &softmax.probabilities).abs().max().double_value(&[]) < 1e-3);
        unsettle(&vs);
        tch::no_grad(|| drop(vs.variables()["correct.weight"].shallow_clone().uniform_(-1., 1.)));
        let [one, other, again] = [compare(&a, 0.), compare(&b, 0.), compare(&a, 1.)];
        assert_eq!(one.confidence != other.confidence, sees, "{of_synth}");
        assert_eq!(one.confidence != again.confidence, hears, "{of_synth}");
        assert!(one.iou.is_some() && one.presence.is_some());
    }
}

#[test]
fn the_image_level_comparer_leaves_pixels_to_the_segmenter() {
    let _alone = alone();
    let [a, b] = compare_twice(IOU_ONLY);
    assert_ne!(a.iou, b.iou);
    let msp = Tensor::from_slice(&[0.75f32]);
    assert!(a.confidence.is_none() && a.error(&msp).unwrap() == Tensor::from_slice(&[0.25f32]));
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
        labels: LabelSet::by_name("cityscapes").unwrap(),
        samples: (0..6).map(sample).collect(),
        unpaired: 0,
    })
}

fn options(yaml: &str, seed: u64) -> segmentation::Options {
    segmentation::Options {
        crop: None,
        network: config(yaml),
        beginning: Beginning::Random,
        batch: 4,
        rate: 0.01,
        seed,
        device: Device::Cpu,
        kind: Kind::Float,
    }
}

fn run(folder: &Path, steps: u64) -> Run {
    Run {
        title: "test".into(),
        path: folder.join("checkpoint.safetensors"),
        budget: Budget::steps(steps),
        identity: "test".into(),
        resume: false,
        save_every: EVERY,
        pause_at: None,
    }
}

fn train(yaml: &str, steps: u64, seed: u64) -> segmentation::Trained {
    let folder = tempfile::tempdir().unwrap();
    segmentation::train(&halves(), 2, &options(yaml, seed), &run(folder.path(), steps)).unwrap()
}

#[test]
fn training_learns() {
    let _alone = alone();
    let set = halves();
    for yaml in [RESNET, PSPNET] {
        let m = train(yaml, 40, 1);
        let input = to_input(&set.images, Device::Cpu, Kind::Float);
        let logits = tch::no_grad(|| m.network.forward(&input, false).logits);
        let logits = m.network.resize_logits(&logits, spatial(&input));
        let right = logits.argmax(1, false).eq_tensor(&set.labels.to_kind(Kind::Int64));
        let accuracy = right.to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!(accuracy > 0.9, "{yaml}: {accuracy}");
    }
}

/// A recipe in miniature, carried out in a folder of CamVid's layout.
#[test]
fn every_generator_and_comparer_is_trained_by_a_recipe() {
    let _alone = alone();
    for (segmentation, synthesis, comparison) in [
        (PSPNET, "{architecture: pix2pixhd, ngf: 2, downsamplings: 2, blocks: 1}", IOU_ONLY),
        (FCN, "{architecture: pix2pixhd, ngf: 2, downsamplings: 2, blocks: 1}", PRETRAINED_JOINT),
        (FCN, "{architecture: pix2pixhd, ngf: 2, downsamplings: 2, blocks: 1}", SMALL_FUSED),
        (
            RESNET,
            "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal, style: {width: 2, latent: 4, grid: [1, 2]}}",
            "{architecture: direct, width: 4, squeeze: 4}",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let m = segmentation::build(&options(segmentation, 1), 2).unwrap();
        let plan = |stage: &str| run(&folder.path().join(stage), 2);
        let set = halves();
        let network: GeneratorConfig = config(synthesis);
        let how = synthesis::Options {
            network,
            discriminator_width: 4,
            batch: 2,
            rate: 0.001,
            seed: 1,
            device: Device::Cpu,
            kind: Kind::Float,
        };
        let (g_parameters, g) = synthesis::train(&set, 2, &*m.network, &how, &plan("g")).unwrap();
        let start = VarStore::new(Device::Cpu);
        tch::manual_seed(1);
        how.network.build(&start.root(), 2);
        let (start, trained) = (weights::tensors(&start), weights::tensors(&g_parameters));
        assert!(start.iter().all(|(name, t)| *t != trained[name] || t.numel() == 1), "{synthesis}");

        let how = predictions::Options {
            outliers: None,
            classes: 2,
            degraded: false,
            passes: 2,
            seed: 1,
            device: Device::Cpu,
            kind: Kind::Float,
        };
        let predictions = predict(&*m.network, &*g, &set, None, &how);
        let how = comparison::Options {
            pretrained: None,
            network: config(comparison),
            sees_own_vehicle: false,
            color: 0.1,
            align_corners: false,
            batch: 2,
            rate: 0.001,
            seed: 1,
            device: Device::Cpu,
            kind: Kind::Float,
        };
        let (parameters, _) = comparison::train(&predictions, 2, &how, &plan("f")).unwrap();
        assert!(weights::tensors(&parameters).values().all(|t| !bool::try_from(t.isnan().any()).unwrap()));
    }
}

#[test]
fn every_image_is_predicted_and_every_second_one_degraded_as_well() {
    let _alone = alone();
    let m = segmentation::build(&options(RESNET, 1), 2).unwrap();
    let vs = VarStore::new(Device::Cpu);
    let g = config::<GeneratorConfig>("{architecture: spade, ngf: 2, hidden: 4, upsampling: normal}")
        .build(&vs.root(), 2);
    let how = |degraded| predictions::Options {
        outliers: None,
        classes: 2,
        degraded,
        passes: 0,
        seed: 1,
        device: Device::Cpu,
        kind: Kind::Float,
    };
    // A batch and a part of one.
    let halves = halves();
    let again = |t: &Tensor| Tensor::cat(&[t, t], 0).narrow(0, 0, 11);
    let set = TensorSet { images: again(&halves.images), labels: again(&halves.labels) };
    let plain = predict(&*m.network, &*g, &set, None, &how(false));
    assert!(plain.len() == 11 && plain.images == set.images && plain.labels == set.labels);
    let both = predict(&*m.network, &*g, &set, None, &how(true));
    assert_eq!(both.len(), 11 + 6);
    // Those of a batch as they are, then every second one of it.
    for (from, to, count) in [(0, 0, 8), (8, 12, 3)] {
        let same = |all: &Tensor, one: &Tensor| all.narrow(0, to, count) == one.narrow(0, from, count);
        assert!(same(&both.images, &plain.images) && same(&both.logits, &plain.logits));
        assert!(same(&both.iou, &plain.iou) && same(&both.synths, &plain.synths));
    }
}

#[test]
fn the_same_seed_trains_the_same_network() {
    let _alone = alone();
    let [a, b, c] =
        [(2, 5), (2, 5), (2, 6)].map(|(steps, seed)| weights::tensors(&train(RESNET, steps, seed).vs));
    assert!(a.iter().all(|(name, t)| *t == b[name]));
    assert!(a.iter().any(|(name, t)| *t != c[name]));
}
