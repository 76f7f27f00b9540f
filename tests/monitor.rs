//! A whole bundle, from its files to the report. Its weights are random: the numbers mean nothing,
//! their shapes, ranges and errors do.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::frame::{Frame, Stamp};
use synthcp_monitor::monitor::bundle::{DESCRIPTION, Description, sha256};
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorError, MonitorOptions};
use synthcp_monitor::monitor::report::{Mode, Wanted};
use synthcp_monitor::network::weights;
use tempfile::TempDir;

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

fn options() -> MonitorOptions {
    MonitorOptions { device: "cpu".into(), precision: "fp32".into(), ..MonitorOptions::default() }
}

fn load(folder: &Path) -> Result<Monitor, String> {
    Monitor::load(folder, &options()).map_err(|e| e.to_string())
}

/// A frame that is not of the working size.
fn frame() -> Frame {
    let image = RgbImage::from_fn(150, 70, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    Frame { image, stamp: Stamp { sec: 3, nanosec: 4 }, camera: "front".into() }
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
fn what_nobody_wants_is_not_made() {
    let bundle = random_bundle();
    let monitor = load(bundle.path()).unwrap();
    let maps = monitor.process(&frame(), Wanted::default()).unwrap().maps;
    assert!(maps.labels.is_none() && maps.error_mask.is_none() && maps.error_probability.is_none());
    assert!(maps.anomaly_mask.is_none() && maps.anomaly_score.is_none() && maps.reconstruction.is_none());
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
    edit(labels.path(), |d| d.labels = "moon".into());
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
