//! The protocol, in miniature and as it is shipped.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::monitor::bundle::Bundle;
use synthcp_monitor::score::trained;
use synthcp_monitor::train::protocol::{End, Protocol, Site};
use tch::{Device, Kind};

const SMALL: &str = "
working_size: [64, 128]
train: 'train:..8'
calibration: 'train:8..10'
test: 'train:10..12'
folds: 2
degraded: false
seed: 1
segmenters:
  m: {network: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}, steps: 2, fold_steps: 2, batch: 2, rate: 0.001}
generators:
  spade: {network: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}, judge_width: 4, steps: 2, batch: 4, rate: 0.001}
  pix2pixhd: {network: {architecture: pix2pixhd, ngf: 2, downsamplings: 2, blocks: 1}, judge_width: 4, steps: 2, batch: 4, rate: 0.001}
comparison: {network: {architecture: joint, width: 4, squeeze: 4, prior: true}, steps: 2, batch: 2, rate: 0.001}
baselines:
  fused: {network: {baseline: comparison, network: {architecture: fused, width: 4, squeeze: 4}}, steps: 2, batch: 2, rate: 0.001}
  tcp: {network: {baseline: tcp, widths: [4, 4, 4, 4]}, steps: 2, batch: 2, rate: 0.001}
systems:
  - {name: m-spade, segmenter: m, generator: spade, baselines: [fused, tcp]}
  - {name: m-pix2pixhd, segmenter: m, generator: pix2pixhd, baselines: [fused]}
seconds: {m: 10, spade: 20, pix2pixhd: 20, comparison: 1, fused: 1, tcp: 1, predictions: 5, bundle: 2, evaluation: 3}
";

fn write_data(folder: &Path) {
    for name in ["train", "trainannot"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for i in 0..12u32 {
        let below = move |y: u32| y > 10 + i;
        let image = RgbImage::from_fn(128, 64, |_, y| Rgb([if below(y) { 200 } else { 40 }; 3]));
        let labels = GrayImage::from_fn(128, 64, |_, y| Luma([u8::from(below(y))]));
        image.save(folder.join(format!("train/{i:02}.png"))).unwrap();
        labels.save(folder.join(format!("trainannot/{i:02}.png"))).unwrap();
    }
}

fn site(data: &Path, out: &Path) -> Site {
    Site {
        data: data.into(),
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
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path());
    let site = site(data.path(), out.path());
    let protocol: Protocol = serde_norway::from_str(SMALL).unwrap();

    let planned = protocol.stages(&site).unwrap();
    assert_eq!(planned.len(), 9 + 7);
    assert!(planned.iter().all(|stage| !stage.done));
    // M 2 steps of 10, folds of 2 x 10 + 5, and, the second time, of 5; two G of 2 x 20; F and three
    // baselines of 2 x 1; bundles and evaluations.
    let left: f64 = planned.iter().map(|stage| stage.left.unwrap()).sum();
    assert_eq!(left, 20. + 2. * 25. + 2. * 5. + 2. * 40. + 5. * 2. + 2. * (2. + 3.));

    let paused = Site { pause_at: Some(Instant::now()), ..site.clone() };
    assert_eq!(protocol.run(&paused, |_| panic!("there was no time")).unwrap(), End::Paused);

    let mut begun = Vec::new();
    let end = protocol.run(&site, |stage| begun.push((stage.system.clone(), stage.task.clone()))).unwrap();
    assert_eq!(end, End::Finished);
    let planned = planned.into_iter().map(|stage| (stage.system, stage.task)).collect::<Vec<_>>();
    assert_eq!(begun, planned);
    assert!(protocol.stages(&site).unwrap().iter().all(|stage| stage.done && stage.left == Some(0.)));
    assert_eq!(protocol.run(&site, |_| panic!("it was done")).unwrap(), End::Finished);

    let folder = out.path().join("bundles/m-spade");
    let bundle = Bundle::open(&folder).unwrap();
    assert!(bundle.description.calibration.guarantee.starts_with("on 2 labelled frames"));
    let detectors =
        trained::load(&folder.join("detectors"), bundle.labels.len() as i64, Device::Cpu).unwrap();
    let names: Vec<_> = detectors.iter().map(|detector| detector.name()).collect();
    assert_eq!(names, ["fused", "tcp", "tcp as released"]);
    assert!(
        std::fs::read_to_string(out.path().join("figures/m-pix2pixhd/report.html"))
            .unwrap()
            .contains("fused")
    );
}

#[test]
fn the_shipped_protocol_is_whole() {
    let text = include_str!("../config/recipes/protocol.yaml");
    let protocol: Protocol = serde_norway::from_str(text).unwrap();
    let nowhere = site(Path::new("data"), Path::new("no such folder"));
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
    let error = protocol.stages(&site(Path::new("data"), Path::new("out"))).unwrap_err().to_string();
    assert_eq!(error, "system 'm-pix2pixhd': no generator 'biggan'; there is pix2pixhd, spade");
}
