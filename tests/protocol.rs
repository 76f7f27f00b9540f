//! The protocol, in miniature and as it is shipped.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::model::bundle::Bundle;
use synthcp_monitor::protocol::plan::Protocol;
use synthcp_monitor::protocol::run::End;
use synthcp_monitor::protocol::stage::Setup;
use synthcp_monitor::score::trained;

use tch::{Device, Kind};

const SMALL: &str = "
working_size: [64, 128]
train: 'train:..8'
calibration: 'train:8..108'
test: 'train:108..110'
folds: 2
degraded: false
seed: 1
segmenters:
  m: {network: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}, steps: 2, fold_steps: 2, batch: 2, rate: 0.001}
  n: {network: {architecture: fcn8s, widths: [2, 4, 4, 8, 8], head: 8, form: fresh}, steps: 2, fold_steps: 2, batch: 2, rate: 0.001}
generators:
  spade: {network: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}, discriminator_width: 4, steps: 2, batch: 4, rate: 0.001}
  pix2pixhd: {network: {architecture: pix2pixhd, ngf: 2, downsamplings: 2, blocks: 1}, discriminator_width: 4, steps: 2, batch: 4, rate: 0.001}
comparison: {network: {architecture: joint, width: 4, squeeze: 4, prior: true}, steps: 2, batch: 2, rate: 0.001}
baselines:
  fused: {network: {baseline: comparison, network: {architecture: fused, width: 8}}, steps: 2, batch: 2, rate: 0.001}
  direct: {network: {baseline: comparison, network: {architecture: direct, width: 4, squeeze: 4}}, steps: 2, batch: 2, rate: 0.001}
  direct_2: {network: {baseline: comparison, network: {architecture: direct, width: 4, squeeze: 4}}, steps: 2, batch: 2, rate: 0.001, seed: 2}
  direct_longer: {network: {baseline: comparison, network: {architecture: direct, width: 4, squeeze: 4}}, steps: 3, batch: 2, rate: 0.001}
  joint_2: {network: {baseline: comparison, network: {architecture: joint, width: 4, squeeze: 4, prior: true}}, steps: 2, batch: 2, rate: 0.001, seed: 2}
  tcp: {network: {baseline: tcp, widths: [4, 4, 4, 4]}, steps: 2, batch: 2, rate: 0.001}
systems:
  - {name: m-spade, segmenter: m, generator: spade, baselines: [fused, tcp]}
  - {name: m-pix2pixhd, segmenter: m, generator: pix2pixhd, baselines: [fused]}
  - {name: n-spade, segmenter: n, generator: spade, baselines: [fused, direct, direct_2]}
seconds: {m: 10, n: 10, spade: 20, pix2pixhd: 20, comparison: 1, fused: 1, tcp: 1, direct: 1, direct_2: 1, predictions: 5, bundle: 2, evaluation: 3, cost: 1}
";

/// A drive of `count` images in the layout of CamVid, `scale` times as large as the networks work.
fn write_data(folder: &Path, scale: u32, count: u32) {
    for name in ["train", "trainannot"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for i in 0..count {
        let below = move |y: u32| y / scale > 10 + i % 12;
        let (width, height) = (128 * scale, 64 * scale);
        let mut image = RgbImage::from_fn(width, height, |_, y| Rgb([if below(y) { 200 } else { 40 }; 3]));
        // No two are copies of each other.
        image.put_pixel(0, 0, Rgb([i as u8; 3]));
        let labels = GrayImage::from_fn(width, height, |_, y| Luma([u8::from(below(y))]));
        image.save(folder.join(format!("train/{i:03}.png"))).unwrap();
        labels.save(folder.join(format!("trainannot/{i:03}.png"))).unwrap();
    }
}

/// Images in whose middle something is marked, in the layout of RoadAnomaly.
fn write_anomalies(folder: &Path) {
    for name in ["images", "labels_masks"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for i in 0..2u32 {
        let inside = |x: u32, y: u32| (50..70).contains(&x) && (30..40).contains(&y);
        let image = RgbImage::from_fn(128, 64, |x, y| Rgb([if inside(x, y) { 250 } else { 90 }; 3]));
        let marks = GrayImage::from_fn(128, 64, |x, y| Luma([2 * u8::from(inside(x, y))]));
        image.save(folder.join(format!("images/{i}.png"))).unwrap();
        marks.save(folder.join(format!("labels_masks/{i}.png"))).unwrap();
    }
}

fn setup(data: &Path, out: &Path) -> Setup {
    Setup {
        data: data.into(),
        transfers: Vec::new(),
        out: out.into(),
        pretrained: None,
        device: Device::Cpu,
        kind: Kind::Float,
        pause_at: None,
        command: "a test".into(),
    }
}

#[test]
fn every_stage_is_done_once_and_none_twice() {
    let [data, out, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (drive, anomalies) = (other.path().join("drive"), other.path().join("anomalous"));
    write_data(data.path(), 1, 110);
    write_data(&drive, 1, 12);
    write_anomalies(&anomalies);
    let setup = Setup { transfers: vec![drive, anomalies], ..setup(data.path(), out.path()) };
    let protocol: Protocol = serde_norway::from_str(SMALL).unwrap();

    let planned = protocol.stages(&setup).unwrap();
    // M, G, two folds, F, two baselines, a bundle and five tests; G is new, but not M; M is new, but not G;
    // two Ms that share a G try their detectors on each other.
    assert_eq!(planned.len(), 13 + 11 + 13 + 2);
    assert!(planned.iter().all(|stage| !stage.done));
    // Two M of 2 x 10 with folds of 2 x 10 + 5; folds that are there, of 5; two G of 2 x 20; three F and
    // six baselines of 2 x 1; three bundles; of each system tests of 3 and costs, and two tests more.
    let left: f64 = planned.iter().map(|stage| stage.left.unwrap()).sum();
    let tests = 3. * (3. * 3. + 2. * 1.) + 2. * 3.;
    assert_eq!(left, 2. * (20. + 2. * 25.) + 2. * 5. + 2. * 40. + 9. * 2. + 3. * 2. + tests);

    let paused = Setup { pause_at: Some(Instant::now()), ..setup.clone() };
    assert_eq!(protocol.run(&paused, |_| panic!("there was no time")).unwrap(), End::Paused);

    let mut begun = Vec::new();
    let end = protocol.run(&setup, |stage| begun.push((stage.system.clone(), stage.task.clone()))).unwrap();
    assert_eq!(end, End::Finished);
    let planned = planned.into_iter().map(|stage| (stage.system, stage.task)).collect::<Vec<_>>();
    assert_eq!(begun, planned);
    assert!(protocol.stages(&setup).unwrap().iter().all(|stage| stage.done && stage.left == Some(0.)));
    assert_eq!(protocol.run(&setup, |_| panic!("it was done")).unwrap(), End::Finished);

    let folder = out.path().join("bundles/m-spade");
    let bundle = Bundle::open(&folder).unwrap();
    assert!(bundle.description.calibration.unwrap().guarantee.starts_with("on 100 labelled frames that no"));
    let detectors =
        trained::load(&folder.join("detectors"), bundle.labels.len() as i64, Device::Cpu).unwrap();
    let names: Vec<_> = detectors.iter().map(|detector| detector.name()).collect();
    assert_eq!(names, ["fused", "tcp", "tcp as released"]);
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap();
    assert!(read("figures/m-pix2pixhd/working/report.html").contains("fused"));
    assert!(read("figures/m-spade/transfer-anomalous/report.html").contains("max logit"));

    // The tables hold every detector by its name, seeds on one line.
    let table_a = read("tables/table_a.md");
    for line in ["| 1 - MSP |", "| SynthCP fused |", "| TCP as released |"] {
        assert!(table_a.contains(line), "{line} in {table_a}");
    }
    let of_n = read("tables/table_a_2.md");
    assert!(of_n.contains("| Direct Prediction + (1 - MSP) |") && !of_n.contains("direct_2"), "{of_n}");
    let seeds = of_n.lines().find(|line| line.starts_with("| Direct Prediction |")).unwrap();
    assert!(seeds.matches('±').count() >= 3, "{seeds}");
    assert!(of_n.contains("which is the labels' own"), "{of_n}");
    for (name, text) in [
        ("table_1_unseen", "tested on those of m"),
        ("table_5_spearman", "| mean |"),
        ("table_g", "| pix2pixhd | SynthCP fused |"),
        ("table_c", "| M | 1.000 | 1.000 |"),
        ("transfer", "on drive"),
        ("anomalies", "| SynthCP cosine"),
    ] {
        let table = read(&format!("tables/{name}.md"));
        assert!(table.contains(text), "{text} in {table}");
    }
    let bound = "Counted in bins: no pooled figure is off by more than";
    assert!(read("tables/transfer.md").contains(bound) && read("tables/anomalies.md").contains(bound));
    assert!(!table_a.contains(bound), "exact figures have no bound");
    // A branch on one M's features has nothing to say of another's.
    assert!(!read("tables/table_1_unseen_2.md").contains("TCP"));
}

/// One system of M and G, with the named baselines.
fn one_system(baselines: &str) -> Protocol {
    let text = SMALL.split("systems:").next().unwrap();
    let systems =
        format!("systems: [{{name: m-spade, segmenter: m, generator: spade, baselines: {baselines}}}]");
    serde_norway::from_str(&format!("{text}{systems}\nseconds: {{}}")).unwrap()
}

#[test]
fn larger_labels_have_a_table_of_their_own_and_a_new_detector_is_measured_at_once() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path(), 2, 110);
    let setup = setup(data.path(), out.path());
    let table = |name: &str| std::fs::read_to_string(out.path().join("tables").join(name)).unwrap();
    one_system("[direct]").run(&setup, |_| ()).unwrap();
    assert!(table("table_a.md").contains("scored at the working size\n"));
    assert!(table("table_a_2.md").contains("scored at the labels' size\n"));
    assert!(!table("table_a.md").contains("SynthCP fused"));

    // What another plan made is not shown under this one's title.
    let refused = |protocol: &Protocol| protocol.stages(&setup).unwrap_err().to_string();
    let mut longer = one_system("[direct]");
    longer.baselines.get_mut("direct").unwrap().steps = 5;
    let said = refused(&longer);
    assert!(said.contains("work/m-spade/detectors/direct.yaml: it is of another plan"), "{said}");
    assert!(said.contains("'baseline.steps' was 2 and not 5; remove it, or give another --out"), "{said}");
    let other = Protocol { test: "train:106..110".parse().unwrap(), ..one_system("[direct]") };
    let said = refused(&other);
    assert!(said.contains("outcomes/m-spade/working.json: it is of another plan"), "{said}");
    assert!(said.contains("'test' was train:108..110 and not train:106..110"), "{said}");
    let origin = out.path().join("origins/m-spade/bundle.json");
    std::fs::rename(&origin, out.path().join("hidden")).unwrap();
    let said = refused(&one_system("[direct]"));
    assert!(said.contains("bundles/m-spade: nothing says which plan made it"), "{said}");
    std::fs::rename(out.path().join("hidden"), &origin).unwrap();

    // A table that nobody makes any more does not stay.
    std::fs::write(out.path().join("tables/table_a_9.md"), "of an earlier run").unwrap();
    let more = one_system("[direct, fused, direct_longer, joint_2]");
    let mut begun = Vec::new();
    more.run(&setup, |stage| begun.push(stage.task.to_string())).unwrap();
    assert_eq!(
        begun,
        [
            "baselines/fused",
            "baselines/direct_longer",
            "baselines/joint_2",
            "bundle",
            "working",
            "labels",
            "cost"
        ]
    );
    assert!(table("table_a.md").contains("| SynthCP fused |"));
    // Another seed of the bundle's own F stands with it.
    let table = table("table_a.md");
    let own = table.lines().find(|line| line.starts_with("| SynthCP joint, M's softmax as prior |")).unwrap();
    assert!(own.contains('±') && !table.contains("joint_2"), "{own}");
    // The same network trained for longer does not.
    for steps in [2, 3] {
        let title = format!("| Direct Prediction, {steps} steps |");
        let of_it = table.lines().find(|line| line.starts_with(&title));
        assert!(of_it.is_some_and(|line| !line.contains('±')), "{table}");
    }
    assert!(!out.path().join("tables/table_a_9.md").exists());
}

#[test]
fn a_data_set_that_is_not_whole_and_two_of_one_name_are_named() {
    let [data, out, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let anomalies = other.path().join("anomalous");
    write_data(data.path(), 1, 110);
    write_anomalies(&anomalies);
    std::fs::remove_file(anomalies.join("labels_masks/1.png")).unwrap();
    let here = setup(data.path(), out.path());
    let protocol = one_system("[]");
    let broken = Setup { transfers: vec![anomalies.clone()], ..here.clone() };
    let error = protocol.run(&broken, |_| ()).unwrap_err().to_string();
    assert!(error.contains("anomalous") && error.contains('1'), "{error}");
    let twice = Setup { transfers: vec![anomalies, "elsewhere/anomalous".into()], ..here };
    let error = protocol.stages(&twice).unwrap_err().to_string();
    assert!(error.contains("elsewhere/anomalous"), "{error}");
}

#[test]
fn the_shipped_protocol_is_whole() {
    let text = include_str!("../config/recipes/protocol.yaml");
    let protocol: Protocol = serde_norway::from_str(text).unwrap();
    let nowhere = setup(Path::new("data"), Path::new("no such folder"));
    let stages = protocol.stages(&nowhere).unwrap();
    let of = |system: &str| stages.iter().filter(|stage| stage.system == system).count();
    assert!(protocol.systems.iter().all(|system| of(&system.name) > 0));
    let trained: BTreeSet<_> = stages.iter().map(|stage| stage.task.to_string()).collect();
    for name in protocol.baselines.keys() {
        assert!(trained.contains(&format!("baselines/{name}")), "{name} is on no system");
    }
    assert!(stages.iter().all(|stage| stage.left.is_some()), "a stage without a forecast");
    let hours = stages.iter().filter_map(|stage| stage.left).sum::<f64>() / 3600.;
    assert!(hours < 12., "{hours} h");
    let (h, w) = (protocol.working_size[0], protocol.working_size[1]);
    for system in &protocol.systems {
        protocol.recipe(system).unwrap().synthesis.check_size([h, w]).unwrap();
    }
}

#[test]
fn a_system_of_what_there_is_not_is_named() {
    let text = SMALL.replace("generator: pix2pixhd", "generator: biggan");
    let protocol: Protocol = serde_norway::from_str(&text).unwrap();
    let error = protocol.stages(&setup(Path::new("data"), Path::new("out"))).unwrap_err().to_string();
    assert_eq!(error, "system 'm-pix2pixhd': no generator 'biggan'; there is pix2pixhd, spade");
}
