//! `synthcp evaluate` and `synthcp anomalies` from files to files. The weights are random: the figures
//! mean nothing, but they must be there, and the same whichever way they are kept.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
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
