//! A whole bundle, from its files to the report. Its weights are random, so that the numbers mean nothing;
//! but report, pictures and networks must agree on them.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::checkpoint::weights;
use synthcp_monitor::frame::{Frame, Stamp};
use synthcp_monitor::model::bundle::{DESCRIPTION, Description, sha256};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::model::fovea::Fovea;
use synthcp_monitor::model::inference::Inference;
use synthcp_monitor::monitor::assessment::{Mode, ScoreMap, Wanted};
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorError, MonitorOptions};
use synthcp_monitor::network::cpu::by_operations_alone;
use synthcp_monitor::network::download::downloads;
use tch::{CModule, Device, Kind, Tensor};
use tempfile::TempDir;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

fn random_bundle() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_synthcp"))
        .args(["bundle", "random", "--out"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    folder
}

/// The same with other networks: those of `changes`, lines of a recipe by the network's name.
fn random_bundle_of(changes: &[(&str, &str)]) -> TempDir {
    let networks = [
        (
            "segmentation",
            "{architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8}",
        ),
        ("synthesis", "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal}"),
        ("comparison", "{architecture: joint, width: 4, squeeze: 4}"),
    ];
    let mut recipe = "working_size: [64, 128]\nsegmentation_steps: 0\nfolds: 2\nfold_steps: 0\ndegraded: false\n\
        discriminator_width: 4\nsynthesis_steps: 0\ncomparison_steps: 0\nbatch: [1, 1, 1]\nrate: [0.1, 0.1, 0.1]\nseed: 1\n"
        .to_owned();
    for (name, network) in networks {
        let network = changes.iter().find(|(changed, _)| *changed == name).map_or(network, |c| c.1);
        recipe += &format!("{name}: {network}\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.yaml");
    std::fs::write(&path, recipe).unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_synthcp"))
        .args(["bundle", "random", "--recipe"])
        .arg(&path)
        .arg("--out")
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    folder
}

fn options() -> MonitorOptions {
    MonitorOptions { device: DeviceChoice::Cpu, precision: Precision::Fp32, ..MonitorOptions::default() }
}

fn load(folder: &Path) -> Result<Monitor, String> {
    Monitor::load(folder, &options()).map_err(|e| e.to_string())
}

fn frame_of(width: u32, height: u32) -> Frame {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    Frame { image, stamp: Stamp { sec: 3, nanosec: 4 }, camera: "front".into(), labels: None }
}

/// A frame that is not of the working size.
fn frame() -> Frame {
    frame_of(150, 70)
}

fn numbers(t: &Tensor) -> Vec<f32> {
    Vec::try_from(t.to_kind(Kind::Float).contiguous().flatten(0, -1)).unwrap()
}

/// The monitor must report, of a frame of the working size, what the networks say of it.
fn assert_reports_its_networks(monitor: &Monitor, what: &str) {
    let frame = frame_of(128, 64);
    let inference = Inference::of_image(monitor.networks(), &frame.image).unwrap();
    let out = monitor.process(&frame, Wanted::ALL).unwrap();
    tch::no_grad(|| {
        let labels: Vec<u8> =
            numbers(&inference.logits().argmax(1, false)).iter().map(|id| *id as u8).collect();
        assert_eq!(out.maps.labels.unwrap().into_raw(), labels, "{what}");
        assert_eq!(out.maps.error_probability.unwrap().data, numbers(&inference.error().unwrap()), "{what}");
        let anomaly = inference.anomaly(monitor.networks().anomaly_config()).unwrap();
        assert_eq!(out.maps.anomaly_score.unwrap().data, numbers(&anomaly), "{what}");
        let colours = (inference.synthesized() * 255.).round().clamp(0., 255.).permute([0, 2, 3, 1]);
        let colours: Vec<u8> = numbers(&colours).iter().map(|value| *value as u8).collect();
        assert_eq!(out.maps.reconstruction.unwrap().into_raw(), colours, "{what}");
        if let Some(iou) = &inference.comparison().iou {
            for (class, iou) in out.report.classes.iter().zip(numbers(iou)).filter(|(class, _)| class.present)
            {
                assert_eq!(class.predicted_iou, iou.clamp(0., 1.), "{what}, {}", class.class_name);
            }
        }
    });
}

#[test]
fn labels_of_another_segmenter_are_judged_in_place_of_its_own() {
    let folder = random_bundle_of(&[("comparison", "{architecture: fused, width: 8}")]);
    let monitor = load(folder.path()).unwrap();
    let frame = frame_of(128, 64);
    let own = monitor.process(&frame, Wanted::ALL).unwrap();
    let labels = own.maps.labels.clone().unwrap();
    let with = |labels: GrayImage| {
        let frame = Frame { labels: Some(labels), ..frame.clone() };
        monitor.process(&frame, Wanted::ALL).unwrap()
    };
    // The same labels are the same in everything.
    let same = with(labels.clone());
    assert_eq!(same.maps.error_probability.as_ref().unwrap().data, own.maps.error_probability.unwrap().data);
    assert_eq!(same.report.failure_score, own.report.failure_score);
    assert_eq!(same.report.unlabelled_area, 0.);
    // Others are judged as those: where one pixel in two is another class, it is likelier wrong, and G paints another
    // picture.
    let classes = monitor.labels().len() as u8;
    let changed = GrayImage::from_fn(128, 64, |x, y| {
        let id = labels.get_pixel(x, y)[0];
        Luma([if x % 2 == 0 { (id + 1) % classes } else { id }])
    });
    let judged = with(changed.clone());
    assert_eq!(judged.maps.labels.as_ref().unwrap(), &changed);
    let mean = |map: &ScoreMap, odd: usize| {
        let half = map.data.iter().skip(odd).step_by(2);
        half.sum::<f32>() / (128. * 32.)
    };
    let errors = judged.maps.error_probability.unwrap();
    assert!(mean(&errors, 0) > mean(&errors, 1) + 0.01, "{} {}", mean(&errors, 0), mean(&errors, 1));
    assert_ne!(judged.maps.reconstruction, same.maps.reconstruction);
    // What has no label is left out of everything.
    let half = GrayImage::from_fn(64, 32, |x, _| Luma([if x < 16 { 255 } else { 0 }]));
    let judged = with(half);
    assert_eq!(judged.report.unlabelled_area, 0.25);
    let map = judged.maps.labels.unwrap();
    assert_eq!((map.get_pixel(31, 0)[0], map.get_pixel(32, 0)[0]), (255, 0));
    let mask = judged.maps.error_mask.unwrap();
    assert!((0..64).all(|y| (0..32).all(|x| mask.get_pixel(x, y)[0] == 0)));
    let shares: f32 = judged.report.classes.iter().map(|class| class.pixel_share).sum();
    assert!((shares - 1.).abs() < 1e-4, "{shares}");
}

fn edit(folder: &Path, change: impl FnOnce(&mut Description)) {
    let path = folder.join(DESCRIPTION);
    let mut description = serde_norway::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut description);
    std::fs::write(path, serde_norway::to_string(&description).unwrap()).unwrap();
}

/// Changes the tensors of the comparison network, and the hash with them.
fn edit_weights(folder: &Path, change: impl FnOnce(&mut weights::Tensors)) {
    let path = folder.join("comparison.safetensors");
    let mut tensors = weights::read(&path).unwrap();
    change(&mut tensors);
    weights::write(&tensors, &path, None).unwrap();
    let hash = sha256(&std::fs::read(&path).unwrap());
    edit(folder, |d| d.comparison.sha256 = hash);
}

/// Makes the weights of a network so large that it overflows; each of them is a number yet.
fn poison(folder: &Path, network: &str) {
    let path = folder.join(format!("{network}.safetensors"));
    let mut tensors = weights::read(&path).unwrap();
    for tensor in tensors.values_mut().filter(|tensor| tensor.dim() > 1) {
        *tensor = tensor.to_kind(Kind::Float).ones_like() * 3e38;
    }
    weights::write(&tensors, &path, None).unwrap();
    let hash = sha256(&std::fs::read(&path).unwrap());
    edit(folder, |d| match network {
        "segmentation" => d.segmentation.sha256 = hash,
        "synthesis" => d.synthesis.sha256 = hash,
        _ => d.comparison.sha256 = hash,
    });
}

#[test]
fn a_network_that_overflows_is_an_error_that_names_map_and_count() {
    let (direct, confidence) = (
        ("comparison", "{architecture: direct, width: 4, squeeze: 4, prior: true}"),
        ("comparison", "{architecture: confidence_only, width: 4, squeeze: 4}"),
    );
    for (network, changes, map) in [
        ("segmentation", [direct], "M's softmax"),
        ("segmentation", [confidence], "M's softmax"),
        ("synthesis", [direct], "G's picture"),
        ("comparison", [direct], "F's confidence"),
        ("comparison", [confidence], "F's confidence"),
    ] {
        let bundle = random_bundle_of(&changes);
        load(bundle.path()).unwrap().process(&frame(), Wanted::ALL).unwrap();
        poison(bundle.path(), network);
        let monitor = load(bundle.path()).unwrap();
        // Also without anybody who looks at the maps, and without the anomaly score.
        let without = MonitorOptions { anomaly: false, ..options() };
        for monitor in [&monitor, &Monitor::load(bundle.path(), &without).unwrap()] {
            for wanted in [Wanted::ALL, Wanted::default()] {
                let error = monitor.process(&frame(), wanted).err().map(|error| error.to_string());
                let error = error.unwrap_or_else(|| panic!("{network}, {changes:?}: passes"));
                assert!(error.starts_with(&format!("{map} is not finite: ")), "{network}: {error}");
            }
        }
        let by_softmax = monitor.process_logits_only(&frame(), Wanted::default());
        assert_eq!(by_softmax.is_err(), network == "segmentation", "{network}: M alone");
    }
}

/// What `work` gives, and how often it has brought numbers from the device.
fn counted<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = downloads();
    let result = work();
    (result, downloads() - before)
}

#[test]
fn a_frame_leaves_the_device_in_one_copy() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street");
    let frame = frame_of(384, 192);
    for memoise in [false, true] {
        let options = MonitorOptions { memoise, ..options() };
        let monitor = Monitor::load(&shipped, &options).unwrap();
        let report = || monitor.process(&frame, Wanted::default()).unwrap();
        assert_eq!(counted(report).1, 1, "memoise {memoise}: one for the report");
        assert_eq!(counted(|| monitor.process_logits_only(&frame, Wanted::default())).1, 1);
        let masks = Wanted { error_mask: true, anomaly_mask: true, ..Wanted::default() };
        assert_eq!(counted(|| monitor.process(&frame, masks).unwrap()).1, 3, "a picture each besides");

        // As a device does it whose memory is its own: asked once more for each of six scales if G is to look for
        // patches that come back.
        let (by_operations, copies) = counted(|| by_operations_alone(report));
        assert_eq!(copies, if memoise { 7 } else { 1 }, "memoise {memoise}, by operations");
        let (by_operations, by_passes) = (by_operations.report, report().report);
        let apart = (by_operations.failure_score - by_passes.failure_score).abs();
        assert!(apart < 1e-4, "memoise {memoise}: {apart} apart in the failure score");
        assert!((by_operations.anomaly_area - by_passes.anomaly_area).abs() < 1e-3);
    }
}

#[test]
fn everything_asked_for_comes_at_the_cameras_size() {
    let bundle = random_bundle();
    let monitor = load(bundle.path()).unwrap();
    let out = monitor.process(&frame(), Wanted::ALL).unwrap();
    let size = (150, 70);
    assert_eq!(out.maps.labels.as_ref().unwrap().dimensions(), size);
    assert_eq!(out.maps.error_mask.as_ref().unwrap().dimensions(), size);
    assert_eq!(out.maps.anomaly_mask.as_ref().unwrap().dimensions(), size);
    assert_eq!(out.maps.reconstruction.as_ref().unwrap().dimensions(), size);
    assert_eq!(out.maps.confidence.as_ref().unwrap().dimensions(), size);
    assert_eq!(out.maps.trusted_labels.as_ref().unwrap().dimensions(), size);
    for map in [out.maps.error_probability.unwrap(), out.maps.anomaly_score.unwrap()] {
        assert_eq!((map.width, map.height, map.data.len()), (150, 70, 150 * 70));
        assert!(map.data.iter().all(|s| (0. ..=1.).contains(s)));
    }
    let report = &out.report;
    assert_eq!(report.mode, Mode::Full);
    assert!((0. ..=1.).contains(&report.failure_score));
    assert!((report.failure_score - (1. - report.predicted_miou)).abs() < 1e-6);
    assert_eq!(report.classes.len(), monitor.labels().len());
    let share: f32 = report.classes.iter().map(|c| c.pixel_share).sum();
    assert!((share - 1.).abs() < 1e-5);
    for class in &report.classes {
        assert_eq!(class.present, class.predicted_iou.is_finite());
    }
    for region in &report.regions {
        assert!(region.x + region.width <= size.0 && region.y + region.height <= size.1);
    }
}

#[test]
fn report_and_pictures_agree() {
    let bundle = random_bundle();
    let mut monitor = load(bundle.path()).unwrap();
    let frame = frame_of(128, 64);
    let maps = monitor.process(&frame, Wanted::ALL).unwrap().maps;
    let middle = |map: &ScoreMap| {
        let largest = map.data.iter().copied().fold(0., f32::max);
        f32::midpoint(map.data.iter().copied().fold(largest, f32::min), largest)
    };
    // Limits that some of the pixels reach, whatever the weights.
    let (error, anomaly) = (maps.error_probability.unwrap(), maps.anomaly_score.unwrap());
    let mut limits = monitor.thresholds().clone();
    (limits.error, limits.anomaly) = (middle(&error), middle(&anomaly));
    monitor.set_thresholds(limits.clone());
    let out = monitor.process(&frame, Wanted::ALL).unwrap();
    let pixels = 128. * 64.;
    for (map, limit, mask, area) in [
        (&error, limits.error, out.maps.error_mask.unwrap(), out.report.error_area),
        (&anomaly, limits.anomaly, out.maps.anomaly_mask.unwrap(), out.report.anomaly_area),
    ] {
        let reached: Vec<u8> = map.data.iter().map(|score| if *score >= limit { 255 } else { 0 }).collect();
        let count = reached.iter().filter(|mark| **mark > 0).count();
        assert!((1..reached.len()).contains(&count), "{count}");
        assert_eq!(area, count as f32 / pixels);
        assert_eq!(mask.into_raw(), reached);
    }
    let (labels, trusted) = (out.maps.labels.unwrap(), out.maps.trusted_labels.unwrap());
    for ((label, trusted), error) in labels.iter().zip(trusted.iter()).zip(&error.data) {
        assert_eq!(*trusted, if *error >= limits.error { 255 } else { *label });
    }
    for (confidence, error) in out.maps.confidence.unwrap().iter().zip(&error.data) {
        assert!((f32::from(*confidence) / 255. - (1. - error)).abs() < 0.5 / 255. + 1e-6);
    }
    for class in &out.report.classes {
        let count = labels.as_raw().iter().filter(|id| u16::from(**id) == class.class_id).count();
        assert_eq!(class.pixel_share, count as f32 / pixels, "{}", class.class_name);
    }
    // Regions are of the mask, and no more of it than there is.
    assert!(!out.report.regions.is_empty());
    let share: f32 = out.report.regions.iter().map(|region| region.area).sum();
    assert!(share <= out.report.anomaly_area + 1e-6);
    for region in &out.report.regions {
        let inside = |i: usize| {
            let (x, y) = (i as u32 % 128, i as u32 / 128);
            (region.x..region.x + region.width).contains(&x)
                && (region.y..region.y + region.height).contains(&y)
        };
        let peak = (0..anomaly.data.len()).filter(|&i| inside(i)).map(|i| anomaly.data[i]).fold(0., f32::max);
        assert!((limits.anomaly..=peak).contains(&region.peak_score), "{region:?}, {peak}");
    }
}

#[test]
fn what_nobody_wants_is_not_made() {
    let bundle = random_bundle();
    let monitor = load(bundle.path()).unwrap();
    let maps = monitor.process(&frame(), Wanted::default()).unwrap().maps;
    assert!(maps.labels.is_none() && maps.error_mask.is_none() && maps.error_probability.is_none());
    assert!(maps.anomaly_mask.is_none() && maps.anomaly_score.is_none() && maps.reconstruction.is_none());
    assert!(maps.confidence.is_none() && maps.trusted_labels.is_none());
    let trusted = Wanted { trusted_labels: true, ..Wanted::default() };
    let maps = monitor.process(&frame(), trusted).unwrap().maps;
    assert!(maps.trusted_labels.is_some() && maps.labels.is_none() && maps.error_probability.is_none());
}

#[test]
fn the_same_frame_gives_the_same_report() {
    let bundle = random_bundle();
    let monitor = load(bundle.path()).unwrap();
    let [a, b] = [(); 2].map(|()| monitor.process(&frame(), Wanted::ALL).unwrap());
    assert_eq!(a.report.failure_score.to_bits(), b.report.failure_score.to_bits());
    assert_eq!(a.maps.error_probability, b.maps.error_probability);
    assert_eq!(a.maps.anomaly_score, b.maps.anomaly_score);
}

#[test]
fn logits_alone_give_no_failure_score() {
    let bundle = random_bundle();
    let out = load(bundle.path()).unwrap().process_logits_only(&frame(), Wanted::ALL).unwrap();
    assert_eq!(out.report.mode, Mode::LogitsOnly);
    assert!(out.report.failure_score.is_nan() && out.report.predicted_miou.is_nan());
    assert!(out.maps.reconstruction.is_none());
    assert_eq!(out.maps.error_probability, out.maps.anomaly_score);
}

#[test]
fn masked_pixels_belong_to_no_area() {
    let bundle = random_bundle();
    let mut monitor = load(bundle.path()).unwrap();
    let mut everything = monitor.thresholds().clone();
    everything.error = 0.;
    everything.anomaly = 0.;
    monitor.set_thresholds(everything);
    monitor.set_valid_mask(Some(GrayImage::from_fn(150, 70, |_, y| Luma([if y < 35 { 255 } else { 0 }]))));
    let report = monitor.process(&frame(), Wanted::default()).unwrap().report;
    assert!((report.error_area - 1.).abs() < 1e-6);
    assert!(report.regions.iter().all(|r| r.y + r.height <= 36), "{:?}", report.regions);

    monitor.set_valid_mask(Some(GrayImage::new(10, 10)));
    let error = monitor.process(&frame(), Wanted::default()).unwrap_err();
    assert!(matches!(error, MonitorError::MaskSize { mask_width: 10, width: 150, .. }));
}

#[test]
fn every_network_runs_from_a_bundle() {
    for changes in [
        ("segmentation", "{architecture: pspnet, encoder: {width: 4, blocks: [1, 1, 1, 1]}, pyramid: 4}"),
        ("segmentation", "{architecture: fcn8s, widths: [2, 4, 4, 8, 8], head: 8}"),
        ("synthesis", "{architecture: pix2pixhd, ngf: 2, downsamplings: 2, blocks: 1}"),
        (
            "synthesis",
            "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal, style: {width: 2, latent: 4, grid: [2, 4]}}",
        ),
        ("comparison", "{architecture: direct, width: 4, squeeze: 4, prior: true}"),
        ("comparison", "{architecture: iou_only, width: 4}"),
    ] {
        let bundle = random_bundle_of(&[changes]);
        let monitor = load(bundle.path()).unwrap();
        let name = changes.1.split([' ', ',']).nth(1).unwrap();
        assert!(monitor.description().contains(name), "{name}: {}", monitor.description());
        assert_reports_its_networks(&monitor, name);
    }
}

#[test]
fn a_style_that_does_not_fit_the_working_size_is_named() {
    let style =
        "{architecture: spade, ngf: 2, hidden: 4, upsampling: normal, style: {width: 2, grid: [2, 3]}}";
    let bundle = random_bundle_of(&[]);
    edit(bundle.path(), |d| d.synthesis.network = serde_norway::from_str(style).unwrap());
    let error = load(bundle.path()).err().unwrap();
    assert!(error.contains("working_size is [64, 128]") && error.contains("[64, 96]"), "{error}");
}

/// Somebody else's network: two convolutions, traced. Gives logits of 19 classes on a grid of half
/// the size.
fn traced(path: &Path) {
    let weights = |o: i64, i: i64| Tensor::randn([o, i, 3, 3], (Kind::Float, Device::Cpu));
    let (first, second) = (weights(6, 3), weights(19, 6));
    let image = Tensor::rand([1, 3, 64, 128], (Kind::Float, Device::Cpu));
    let mut network = |inputs: &[Tensor]| {
        let none: Option<&Tensor> = None;
        let features = inputs[0].conv2d(&first, none, [2, 2], [1, 1], [1, 1], 1).relu();
        vec![features.conv2d(&second, none, [1, 1], [1, 1], [1, 1], 1)]
    };
    CModule::create_by_tracing("Theirs", "forward", &[image], &mut network).unwrap().save(path).unwrap();
}

/// Makes a traced network return `value`, of type `kind`: tracing from here gives one tensor only, but
/// others' networks give several.
fn returning(path: &Path, kind: &str, value: &str) {
    let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut files = Vec::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).unwrap();
        let (name, mut bytes) = (file.name().to_owned(), Vec::new());
        file.read_to_end(&mut bytes).unwrap();
        if name.ends_with("__torch__.py") {
            let code = String::from_utf8(bytes).unwrap();
            let edited = code.replace("-> Tensor", &format!("-> {kind}"));
            bytes = edited.replace("return _1", &format!("return {value}")).into_bytes();
            assert_ne!(bytes, code.into_bytes());
        }
        files.push((name, bytes));
    }
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    let stored = FileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in files {
        archive.start_file(name, stored).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// What the traced network can be made to return: its logits, and what the first convolution gave.
const TENSOR: [&str; 2] = ["Tensor", "_1"];
const IDS: [&str; 2] = ["Tensor", "torch.argmax(_1, 1)"];
const NAN: [&str; 2] = ["Tensor", "torch.log(torch.neg(torch.exp(_1)))"];
const TUPLE: [&str; 2] = ["Tuple[Tensor, Tensor]", "(_1, _0)"];
const DICT: [&str; 2] = ["Dict[str, Tensor]", r#"{"out": _1, "deep": _0}"#];

/// A bundle whose M is the traced network.
fn bundle_with_theirs([kind, value]: [&str; 2], network: &str) -> TempDir {
    let bundle = random_bundle();
    let path = bundle.path().join("theirs.pt");
    traced(&path);
    if [kind, value] != TENSOR {
        returning(&path, kind, value);
    }
    let hash = sha256(&std::fs::read(&path).unwrap());
    edit(bundle.path(), |d| {
        d.segmentation.network = serde_norway::from_str(network).unwrap();
        d.segmentation.weights = "theirs.pt".into();
        d.segmentation.sha256 = hash;
    });
    bundle
}

/// As torchvision's networks want their images.
fn normalized(image: &Tensor) -> Tensor {
    let row = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]);
    (image - row([0.485, 0.456, 0.406])) / row([0.229, 0.224, 0.225])
}

#[test]
fn anybodys_network_is_m() {
    for (output, network, channels) in [
        (TENSOR, "{architecture: torchscript}", 19),
        (TENSOR, "{architecture: torchscript, bgr: true, mean: [0, 0, 0], std: [1, 1, 1]}", 19),
        (TUPLE, "{architecture: torchscript, logits: 0}", 19),
        (TUPLE, "{architecture: torchscript, logits: 0, features: 1}", 6),
        (DICT, "{architecture: torchscript, logits: out, features: deep, align_corners: true}", 6),
    ] {
        let bundle = bundle_with_theirs(output, network);
        let monitor = load(bundle.path()).unwrap();
        assert!(monitor.description().contains("torchscript"), "{}", monitor.description());
        let inference = Inference::of_image(monitor.networks(), &frame().image).unwrap();
        assert_eq!(inference.logits().size(), [1, 19, 64, 128]);
        assert_eq!(inference.segmentation().features.size(), [1, channels, 32, 64]);
        if output == TENSOR {
            let image = monitor.networks().input(&frame().image).unwrap();
            let input = if network.contains("bgr") { image.flip([1]) } else { normalized(&image) };
            let theirs = CModule::load(bundle.path().join("theirs.pt")).unwrap();
            let apart = theirs.forward_ts(&[input]).unwrap() - &inference.segmentation().grid_logits;
            assert!(apart.abs().max().double_value(&[]) < 1e-4, "{network}");
        }
        // In whatever precision the others compute.
        let monitor = Monitor::load(bundle.path(), &MonitorOptions::default()).unwrap();
        let out = monitor.process(&frame(), Wanted::ALL).unwrap();
        assert!(out.maps.anomaly_score.unwrap().data.iter().all(|s| (0. ..=1.).contains(s)));
    }
}

#[test]
fn a_torchscript_file_that_is_not_m_is_named() {
    for (output, network, expected) in [
        (TENSOR, "{architecture: torchscript, logits: 0}", "is one tensor"),
        (
            TUPLE,
            "{architecture: torchscript}",
            "is a tuple of 0 (1 x 19 x 32 x 64), 1 (1 x 6 x 32 x 64); those of 19 classes are 'logits: 0', the",
        ),
        (TUPLE, "{architecture: torchscript, logits: 2}", "logits at index 2"),
        (DICT, "{architecture: torchscript, logits: aux}", "logits under 'aux'"),
        (DICT, "{architecture: torchscript, logits: aux}", "those of 19 classes are 'logits: out'"),
        (
            IDS,
            "{architecture: torchscript}",
            "are 1 x 32 x 64 of int64: class ids, one a pixel; 1 x 19 x h x w",
        ),
        (
            IDS,
            "{architecture: torchscript}",
            "export the network without its argmax, or have its labels judged",
        ),
        (NAN, "{architecture: torchscript}", "NaN or infinity in the logits of a black image; finite"),
        (
            TUPLE,
            "{architecture: torchscript, logits: 1}",
            "are 1 x 6 x 32 x 64 of float: 6 classes; 1 x 19 x",
        ),
    ] {
        let error = load(bundle_with_theirs(output, network).path()).err().unwrap();
        assert!(error.contains("theirs.pt: TorchScript") && error.contains(expected), "{error}");
    }
    let bundle = bundle_with_theirs(TENSOR, "{architecture: torchscript}");
    edit(bundle.path(), |d| d.segmentation.sha256 = "00".repeat(32));
    let error = load(bundle.path()).err().unwrap();
    assert!(error.contains("segmentation.sha256"), "{error}");
    std::fs::write(bundle.path().join("theirs.pt"), b"PK no more").unwrap();
    edit(bundle.path(), |d| d.segmentation.sha256 = sha256(b"PK no more"));
    let error = load(bundle.path()).err().unwrap();
    assert!(error.contains("theirs.pt: TorchScript"), "{error}");
}

#[test]
fn code_that_reaches_beyond_arithmetic_is_listed_and_refused_unless_it_is_trusted() {
    let bundle = random_bundle();
    let (theirs, victim) = (bundle.path().join("theirs.pt"), bundle.path().join("victim.txt"));
    traced(&theirs);
    std::fs::write(&victim, "a file of the user's").unwrap();
    // Zeroes the first ten bytes of a file whenever it segments an image.
    let value =
        format!("torch.add(_1, torch.sum(torch.zero_(torch.from_file({victim:?}, True, 10, dtype=0))))");
    returning(&theirs, "Tensor", &value);
    let import = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
        command.args(["weights", "import", "--arch", "torchscript", "--from"]).arg(&theirs);
        let out = command.arg("--to").arg(bundle.path()).args(more).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (done, said) = import(&[]);
    assert!(!done && said.contains("torch.from_file") && said.contains("--trust-code"), "{said}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "a file of the user's");

    // Trusted, it does what it does, and the bundle says so.
    let (done, said) = import(&["--trust-code"]);
    let description = std::fs::read_to_string(bundle.path().join(DESCRIPTION)).unwrap();
    assert!(done && said.contains("its code is trusted"), "{said}");
    assert!(description.contains("trust_code: true"), "{description}");
    assert!(std::fs::read(&victim).unwrap().starts_with(&[0; 10]));
    // A bundle that does not say so is not loaded.
    std::fs::write(
        bundle.path().join(DESCRIPTION),
        description.replace("trust_code: true", "trust_code: false"),
    )
    .unwrap();
    let error = load(bundle.path()).err().unwrap();
    assert!(error.contains("torch.from_file") && error.contains("trust_code: true"), "{error}");
}

#[test]
fn an_import_of_a_network_says_how_images_will_be_fed() {
    let bundle = random_bundle();
    let theirs = bundle.path().join("theirs.pt");
    traced(&theirs);
    let (done, said) = imported(&bundle, &theirs, "torchscript");
    let expected =
        "1 x 3 x 64 x 128: red, green, blue in [0, 1], minus mean [0.485, 0.456, 0.406], over std [0.229";
    assert!(done && said.contains(expected) && said.contains("mean: [0, 0, 0]"), "{said}");
    let found =
        "computes in float, takes images of other sizes too, in batches too, and gives logits of 19 classes";
    assert!(said.contains(found), "{said}");
}

/// Imports a network into a bundle: whether it was taken, and what was said.
fn imported(bundle: &TempDir, theirs: &Path, arch: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    command.args(["weights", "import", "--arch", arch, "--from"]).arg(theirs);
    let out = command.arg("--to").arg(bundle.path()).output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// One convolution with a parameter as large as the grid that it wants, `size` (height, width).
fn of_one_size(path: &Path, (height, width): (i64, i64)) {
    let weights = Tensor::randn([19, 3, 3, 3], (Kind::Float, Device::Cpu));
    let place = Tensor::randn([1, 19, height, width], (Kind::Float, Device::Cpu));
    let image = Tensor::rand([1, 3, height, width], (Kind::Float, Device::Cpu));
    let mut network = |inputs: &[Tensor]| {
        let none: Option<&Tensor> = None;
        vec![inputs[0].conv2d(&weights, none, [1, 1], [1, 1], [1, 1], 1) + &place]
    };
    CModule::create_by_tracing("Theirs", "forward", &[image], &mut network).unwrap().save(path).unwrap();
}

#[test]
fn a_network_of_another_size_is_told_so_and_taken_once_its_size_is_said() {
    let bundle = random_bundle();
    let theirs = bundle.path().join("theirs.pt");
    of_one_size(&theirs, (128, 256));
    let (done, said) = imported(&bundle, &theirs, "torchscript");
    let expected =
        "it refuses an image of 1 x 3 x 64 x 128, red, green and blue: RuntimeError: The size of tensor a";
    assert!(!done && said.contains(expected) && said.lines().count() == 1, "{said}");
    assert!(said.contains("it takes 128 x 256: say 'size: [128, 256]' (height, width)"), "{said}");

    edit(bundle.path(), |d| d.anomaly.fovea = Some(Fovea { scale: 2., rows: 32 }));
    let (done, said) = imported(&bundle, &theirs, "{architecture: torchscript, size: [128, 256]}");
    assert!(done && said.contains("takes images brought to its 128 x 256, in batches too"), "{said}");
    assert!(said.contains("anomaly.fovea is left out"), "{said}");
    assert!(said.contains("it will be fed 1 x 3 x 128 x 256"), "{said}");
    let monitor = load(bundle.path()).unwrap();
    let inference = Inference::of_image(monitor.networks(), &frame().image).unwrap();
    assert_eq!(inference.segmentation().grid_logits.size(), [1, 19, 128, 256]);
    assert_eq!(inference.logits().size(), [1, 19, 64, 128]);
    let out = monitor.process(&frame(), Wanted::ALL).unwrap();
    assert!(out.maps.anomaly_score.unwrap().data.iter().all(|s| (0. ..=1.).contains(s)));

    of_one_size(&theirs, (33, 35));
    let (done, said) = imported(&bundle, &theirs, "torchscript");
    assert!(!done && said.contains("nor does it take any of 26 usual sizes"), "{said}");
}

#[test]
fn a_sigmoid_and_what_is_no_number_for_a_light_image_are_refused_on_import() {
    let bundle = random_bundle();
    let theirs = bundle.path().join("theirs.pt");
    let before = std::fs::read(bundle.path().join(DESCRIPTION)).unwrap();
    for (value, expected) in [
        ("torch.sigmoid(_1)", "a sigmoid of each class by itself; logits or their softmax are needed"),
        // Finite for a black image alone, whose first channel is -2.1.
        (
            "torch.add(_1, torch.log(torch.neg(torch.min(argument_1))))",
            "NaN or infinity in the logits of a white image",
        ),
    ] {
        traced(&theirs);
        returning(&theirs, "Tensor", value);
        let (done, said) = imported(&bundle, &theirs, "torchscript");
        assert!(!done && said.contains(expected) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(std::fs::read(bundle.path().join(DESCRIPTION)).unwrap(), before);
}

#[test]
fn a_missing_file_is_named() {
    let bundle = random_bundle();
    std::fs::remove_file(bundle.path().join("synthesis.safetensors")).unwrap();
    let error = load(bundle.path()).err().unwrap();
    assert!(error.contains("synthesis.safetensors"), "{error}");
    let error = load(Path::new("no/such/bundle")).err().unwrap();
    assert!(error.contains("no/such/bundle/bundle.yaml"), "{error}");
}

#[test]
fn a_wrong_hash_is_named() {
    let bundle = random_bundle();
    edit(bundle.path(), |d| d.segmentation.sha256 = "00".repeat(32));
    let error = load(bundle.path()).err().unwrap();
    assert!(error.contains("segmentation.safetensors") && error.contains("segmentation.sha256"), "{error}");
}

#[test]
fn tensors_must_fit_the_network() {
    let missing = random_bundle();
    edit_weights(missing.path(), |t| drop(t.remove("conf.bias")));
    let error = load(missing.path()).err().unwrap();
    assert!(error.contains("comparison.safetensors: tensor 'conf.bias' [1] is missing"), "{error}");

    let extra = random_bundle();
    edit_weights(extra.path(), |t| drop(t.insert("more".into(), tch::Tensor::from(1f32))));
    let error = load(extra.path()).err().unwrap();
    assert!(error.contains("tensor 'more' is not part of the network"), "{error}");

    let misshapen = random_bundle();
    edit_weights(misshapen.path(), |t| {
        drop(t.insert("conf.bias".into(), tch::Tensor::from_slice(&[1f32, 2.])))
    });
    let error = load(misshapen.path()).err().unwrap();
    assert!(error.contains("'conf.bias' has shape [2], the network needs [1]"), "{error}");
}

#[test]
fn a_wrong_description_is_named() {
    let labels = random_bundle();
    let path = labels.path().join(DESCRIPTION);
    let text = std::fs::read_to_string(&path).unwrap().replace("labels: cityscapes", "labels: moon");
    std::fs::write(&path, text).unwrap();
    let error = load(labels.path()).err().unwrap();
    assert!(
        error.contains("bundle.yaml: labels") && error.contains("moon") && error.contains("cityscapes"),
        "{error}"
    );

    let size = random_bundle();
    edit(size.path(), |d| d.working_size = [60, 128]);
    let error = load(size.path()).err().unwrap();
    assert!(error.contains("working_size has 60") && error.contains("multiple of 32"), "{error}");

    let unknown = random_bundle();
    let path = unknown.path().join(DESCRIPTION);
    let text = std::fs::read_to_string(&path).unwrap() + "\nsurprise: 1\n";
    std::fs::write(&path, text).unwrap();
    let error = load(unknown.path()).err().unwrap();
    assert!(error.contains("bundle.yaml") && error.contains("surprise"), "{error}");
}

#[test]
fn drivable_labels_within_the_margin_are_not_among_the_trusted_and_all_else_is_as_without() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street");
    let with_margin = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&shipped).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), with_margin.path().join(file.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(shipped.join(DESCRIPTION)).unwrap();
    let text = text.replacen("calibration:\n", "calibration:\n  drivable_margin: 5\n", 1);
    std::fs::write(with_margin.path().join(DESCRIPTION), text).unwrap();
    let frame = Frame::new(image::open(shipped.join("self_test.png")).unwrap().into_rgb8());
    let [without, with] = [shipped.as_path(), with_margin.path()].map(|bundle| {
        let maps = Monitor::load(bundle, &options()).unwrap().process(&frame, Wanted::ALL).unwrap().maps;
        (maps.labels.unwrap(), maps.trusted_labels.unwrap())
    });
    assert_eq!(without.0, with.0, "labels stay");
    let road = 0;
    let (mut withheld, mut kept) = (0, 0);
    for (before, after) in without.1.iter().zip(with.1.iter()) {
        kept += u32::from(before == after && *before == road);
        withheld += u32::from(before != after);
        assert!(before == after || (*before == road && *after == 255), "{before} became {after}");
    }
    assert!(withheld > 100 && kept > 1000, "{withheld} withheld, {kept} kept");
}
