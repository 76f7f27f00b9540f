//! `synthcp evaluate` and `synthcp anomalies` from files to files. The weights are random: the figures
//! mean nothing, but they must be there, and the same whichever way they are kept.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use synthcp_monitor::model::bundle::sha256;
use synthcp_monitor::model::inference::Inference;
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use tempfile::TempDir;

fn synthcp(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synthcp")).args(words).output().unwrap()
}

fn done(words: &[&str]) -> String {
    let output = synthcp(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A bundle, and a drive of the street in two layouts.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        done(&["bundle", "random", "--out", &files.path("bundle")]);
        for layout in ["cityscapes128", "streethazards"] {
            let (out, size) = (files.path(layout), "160x80");
            done(&[
                "street",
                "render",
                "--town",
                "test",
                "--seed",
                "3",
                "--frames",
                "4",
                "--anomalies",
                "--size",
                size,
                "--layout",
                layout,
                "--out",
                &out,
            ]);
        }
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn all(&self, out: &str) -> Value {
        let text = std::fs::read_to_string(Path::new(&self.path(out)).join("all.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn every_detector_is_in_every_form() {
    let files = Files::new();
    let (bundle, data) = (files.path("bundle"), files.path("cityscapes128"));
    let common =
        ["evaluate", "--bundle", &bundle, "--data", &data, "--slice", "2..4", "--calibration", "0..2"];
    let with = |more: &[&str]| done(&[&common, more].concat());
    let printed = with(&["--out", &files.path("exact")]);
    for name in [
        "SynthCP joint",
        "+ (1 - MSP)",
        "| 1 - MSP",
        "max logit",
        "energy",
        "entropy",
        "standardized",
        "MC dropout",
    ] {
        assert!(printed.contains(name), "{name}: {printed}");
    }
    assert!(printed.contains("2 images") && printed.contains("all black"), "{printed}");
    for name in [
        "errors.md",
        "errors.csv",
        "errors.json",
        "image_level.csv",
        "classes.md",
        "roc.svg",
        "reliability.svg",
        "report.html",
    ] {
        assert!(Path::new(&files.path("exact")).join(name).is_file(), "{name}");
    }
    with(&["--streaming", "--out", &files.path("streaming")]);
    let (exact, streaming) = (files.all("exact"), files.all("streaming"));
    assert_eq!(exact["tables"][0]["rows"].as_array().unwrap().len(), 8);
    let errors = |all: &Value| all["detail"]["errors"].as_array().unwrap().clone();
    for (exact, streaming) in errors(&exact).iter().zip(errors(&streaming)) {
        let bound = streaming["error_bound"].as_f64().unwrap();
        assert_eq!(exact["error_bound"], 0.0);
        if exact["name"] == "MC dropout" {
            continue; // its draws need not be the same in two runs
        }
        assert_eq!(exact["per_image"], streaming["per_image"]);
        let of = |scored: &Value, figure: &str| scored["pooled"]["positive"][figure].as_f64().unwrap();
        for figure in ["average_precision", "auroc", "fpr95_first", "fpr95_nearest"] {
            let apart = (of(exact, figure) - of(&streaming, figure)).abs();
            assert!(apart <= bound + 1e-9, "{figure}: {apart} beyond {bound}");
        }
    }
}

#[test]
fn a_choice_of_detectors_at_the_working_size_on_another_label_set() {
    let files = Files::new();
    let (bundle, data) = (files.path("bundle"), files.path("streethazards"));
    let common = ["evaluate", "--bundle", &bundle, "--data", &data, "--detectors", "entropy,msp", "--out"];
    let with = |out: &str, more: &[&str]| {
        let out_path = files.path(out);
        done(&[&common[..], &[&out_path], more].concat());
        files.all(out)
    };
    let (labels, working) = (with("labels", &[]), with("working", &["--at", "working"]));
    // In the order asked for; no detector of IoUs among them.
    for all in [&labels, &working] {
        let names: Vec<&Value> =
            all["tables"][0]["rows"].as_array().unwrap().iter().map(|row| &row["error detector"]).collect();
        assert_eq!(names, ["entropy", "1 - MSP"]);
        // Errors, images, and the orders of images.
        assert_eq!(all["tables"].as_array().unwrap().len(), 3);
    }
    assert_ne!(labels["tables"][0]["rows"], working["tables"][0]["rows"]);
}

#[test]
fn anomalies_have_components_where_there_is_a_limit() {
    let files = Files::new();
    let (bundle, data, labelled) =
        (files.path("bundle"), files.path("streethazards"), files.path("cityscapes128"));
    let common = ["anomalies", "--bundle", &bundle, "--data", &data];
    let printed = done(&common);
    assert!(printed.contains("SynthCP cosine, the bundle's") && printed.contains("F1*"), "{printed}");
    let out = files.path("calibrated");
    done(&[&common[..], &["--calibration-data", &labelled, "--calibration", "..", "--out", &out]].concat());
    let all = files.all("calibrated");
    let counts = [0, 1].map(|table: usize| all["tables"][table]["rows"].as_array().unwrap().len());
    // Six scores and three with statistics, each with a limit of its own.
    assert_eq!(counts, [9, 9]);
    assert!(Path::new(&out).join("report.html").is_file());
}

/// Writes what a bundle's M makes of the images in `data`: labels, and its softmax as NumPy would write it.
fn export(bundle: &str, data: &str, out: &str, softmax: bool) {
    std::fs::create_dir_all(out).unwrap();
    let options = MonitorOptions { device: "cpu".parse().unwrap(), ..MonitorOptions::default() };
    let monitor = Monitor::load(Path::new(bundle), &options).unwrap();
    for entry in std::fs::read_dir(Path::new(data).join("images")).unwrap() {
        let path = entry.unwrap().path();
        let image = image::open(&path).unwrap().to_rgb8();
        let inference = tch::no_grad(|| Inference::of_image(monitor.networks(), &image)).unwrap();
        let found = tch::no_grad(|| {
            let softmax = &inference.segmentation().softmax;
            (softmax.labels.squeeze_dim(0).to_kind(tch::Kind::Uint8), softmax.probabilities.squeeze_dim(0))
        });
        let (height, width) = found.0.size2().unwrap();
        let labels = Vec::<u8>::try_from(found.0.flatten(0, -1)).unwrap();
        let labels = image::GrayImage::from_raw(width as u32, height as u32, labels).unwrap();
        let stem = Path::new(out).join(path.file_stem().unwrap());
        labels.save(stem.with_extension("png")).unwrap();
        if softmax {
            let shape = format!("({}, {height}, {width})", found.1.size()[0]);
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.bytes());
            let numbers = Vec::<f32>::try_from(found.1.contiguous().flatten(0, -1)).unwrap();
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            std::fs::write(stem.with_extension("npy"), bytes).unwrap();
        }
    }
}

/// The row of a detector, but for its name.
fn row(all: &Value, name: &str) -> Vec<f64> {
    let rows = all["tables"][0]["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["error detector"].as_str().unwrap().contains(name)).unwrap();
    row.as_object().unwrap().values().filter_map(Value::as_f64).collect()
}

fn assert_near(a: &[f64], b: &[f64]) {
    assert!(!a.is_empty() && a.len() == b.len(), "{a:?} {b:?}");
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} {b:?}");
}

#[test]
fn labels_in_files_are_judged_as_those_of_the_same_segmenter_inside() {
    let files = Files::new();
    let (bundle, data) = (files.path("bundle"), files.path("cityscapes128"));
    let other = files.path("other");
    done(&["bundle", "random", "--seed", "2", "--out", &other]);
    export(&bundle, &data, &files.path("own"), false);
    export(&bundle, &data, &files.path("own-softmax"), true);
    export(&other, &data, &files.path("theirs"), false);
    export(&other, &data, &files.path("theirs-softmax"), true);
    let evaluate = |bundle: &str, more: &[&str], out: &str| {
        let common = ["evaluate", "--bundle", bundle, "--data", &data, "--slice", "2..4", "--at", "working"];
        let out_path = files.path(out);
        let said = done(&[&common[..], more, &["--out", &out_path]].concat());
        (files.all(out), said)
    };
    let both = ["--detectors", "synthcp,msp"];
    let judged = |of: &str, out: &str| {
        let folder = files.path(of);
        evaluate(&bundle, &[&both[..], &["--predictions", &folder]].concat(), out)
    };
    let inside = evaluate(&bundle, &both, "inside").0;
    let (own, said) = judged("own", "judged-own");
    assert!(said.contains("2..4, labels of own"), "{said}");
    // To the last bit: nothing but M's labels took another way.
    assert_eq!(own["tables"][0]["rows"], inside["tables"][0]["rows"]);
    assert_eq!(own["tables"][1]["rows"], inside["tables"][1]["rows"]);
    let softmax = judged("own-softmax", "judged-own-softmax").0;
    for name in ["SynthCP", "MSP"] {
        assert_near(&row(&softmax, name), &row(&inside, name));
    }
    // Another segmenter's softmax is believed in place of M's.
    let theirs_inside = evaluate(&other, &["--detectors", "msp"], "theirs-inside").0;
    let theirs = judged("theirs-softmax", "judged-theirs-softmax").0;
    assert_near(&row(&theirs, "MSP"), &row(&theirs_inside, "MSP"));

    let folder = files.path("theirs");
    let beside = "synthcp,class-errors,border,class-border,label-probability";
    let (alone, said) = evaluate(
        &bundle,
        &["--predictions", &folder, "--calibration", "0..2", "--detectors", beside],
        "alone",
    );
    for name in
        ["errors of the class at that distance", "distance to a border", "1 - probability of the label"]
    {
        assert!(said.contains(name), "{said}");
    }
    assert_eq!(alone["tables"][0]["rows"].as_array().unwrap().len(), 5);
    // Those that know a class's errors estimate its IoU too.
    assert!(said.contains("IoU of a class: errors of the class"), "{said}");

    let one = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(one).unwrap();
    let common = ["evaluate", "--bundle", &bundle, "--data", &data, "--predictions", &folder];
    let output = synthcp(&common);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("1 of 4 samples have no label image"), "{said}");
    let output = synthcp(&[&common[..5], &["--detectors", "border"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("'border' needs labels of another"), "{said}");
}

#[test]
fn images_that_trained_the_bundle_are_counted_and_those_that_calibrate_are_not_judged() {
    let files = Files::new();
    let (bundle, data) = (files.path("bundle"), files.path("cityscapes128"));
    let image = std::fs::read_dir(Path::new(&data).join("images")).unwrap().next().unwrap().unwrap().path();
    let hash = sha256(&std::fs::read(image).unwrap());
    let list = format!("{}\n0123456789abcdef\n", &hash[..16]);
    std::fs::write(Path::new(&bundle).join("trained_on.sha256"), list).unwrap();
    let out = files.path("out");
    let evaluate = ["evaluate", "--bundle", &bundle, "--data", &data, "--detectors", "msp"];
    let output = synthcp(&[&evaluate[..], &["--out", &out]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let expected = "1 of the 4 images trained the bundle's networks.";
    assert!(said.contains(expected), "{said}");
    let table = std::fs::read_to_string(Path::new(&out).join("errors.md")).unwrap();
    assert!(table.contains(expected), "{table}");

    let output = synthcp(&[&evaluate[..], &["--slice", "1..4", "--calibration", "0..2"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("--calibration 0..2: 1 of its images are assessed as well"), "{said}");
    let street = files.path("streethazards");
    let anomalies = ["anomalies", "--bundle", &bundle, "--data", &street, "--calibration", ".."];
    let said = String::from_utf8(synthcp(&anomalies).stderr).unwrap();
    assert!(said.contains("4 of its images are assessed as well"), "{said}");
}

#[test]
fn what_cannot_be_had_is_named() {
    let files = Files::new();
    let (bundle, data) = (files.path("bundle"), files.path("cityscapes128"));
    let fails = |more: &[&str]| {
        let output = synthcp(&[&["evaluate", "--bundle", &bundle, "--data", &data], more].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let message = fails(&["--detectors", "msp,oracle"]);
    assert!(message.contains("no detector 'oracle'") && message.contains("max-logit"), "{message}");
    let message = fails(&["--detectors", "sml"]);
    assert!(message.contains("'sml' needs a calibration slice"), "{message}");
    let message = fails(&["--at", "home"]);
    assert!(message.contains("expected labels or working"), "{message}");
}
