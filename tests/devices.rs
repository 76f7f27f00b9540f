//! Where the networks run, on machines of every kind that can be played here: what is said, and how it ends.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The program where libraries in `folder` come first.
fn synthcp(folder: &Path, arguments: &[&str]) -> Output {
    let others = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    Command::new(env!("CARGO_BIN_EXE_synthcp"))
        .args(arguments)
        .env("LD_LIBRARY_PATH", format!("{}:{others}", folder.display()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn devices(folder: &Path) -> Value {
    let output = synthcp(folder, &["devices", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether this machine's own libtorch has a CUDA part: then no other is played.
fn has_cuda_of_its_own() -> bool {
    let nothing = tempfile::tempdir().unwrap();
    let own = devices(nothing.path())["libtorch"]["cuda"] != "without CUDA";
    if own {
        eprintln!("libtorch has a CUDA part here, so the machines without one are not played");
    }
    own
}

/// A library made of C.
fn library(path: &Path, source: &str) {
    let code = path.with_extension("c");
    std::fs::write(&code, source).unwrap();
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([path, &code]).output().unwrap();
    assert!(cc.status.success(), "{}", said(&cc));
}

#[test]
fn what_the_machine_has_and_what_auto_takes_is_told() {
    let nothing = tempfile::tempdir().unwrap();
    let found = devices(nothing.path());
    assert!(found["cpu"]["cores"].as_u64().unwrap() > 0);
    let folder = found["libtorch"]["folder"].as_str().unwrap();
    assert!(Path::new(folder).join("libtorch_cpu.so").exists());
    let has_gpu = !found["gpus"].as_array().unwrap().is_empty();
    assert_eq!(found["auto"]["device"], if has_gpu { "cuda:0" } else { "cpu" });
    assert_eq!(found["no_gpu"].is_null(), has_gpu);
    let people = synthcp(nothing.path(), &["devices"]);
    assert!(String::from_utf8_lossy(&people.stdout).contains("auto      "), "{people:?}");
}

#[test]
fn a_cuda_part_that_cannot_load_is_named_with_the_reason_and_auto_takes_the_cpu() {
    if has_cuda_of_its_own() {
        return;
    }
    let text = tempfile::tempdir().unwrap();
    std::fs::write(text.path().join("libtorch_cuda.so"), "no library\n").unwrap();
    let unresolved = tempfile::tempdir().unwrap();
    library(
        &unresolved.path().join("libtorch_cuda.so"),
        "void absent_elsewhere(void); void f(void) { absent_elsewhere(); }",
    );
    for (folder, reason) in
        [(text.path(), "file too short"), (unresolved.path(), "undefined symbol: absent_elsewhere")]
    {
        let found = devices(folder);
        let told = found["no_gpu"].as_str().unwrap();
        assert!(told.starts_with("libtorch_cuda.so does not load: ") && told.contains(reason), "{told}");
        assert_eq!(found["auto"]["device"], "cpu");
        // The same in the line of a command that computes: its networks run on the CPU, and it says why.
        let output =
            synthcp(folder, &["monitor", "--out", "/dev/null/x", "--bundle", "models/street", "none.png"]);
        let line = said(&output);
        assert!(line.contains("on Cpu; no GPU is used: libtorch_cuda.so does not load: "), "{line}");
        // Asked for by name, it is no CPU instead.
        let output = synthcp(folder, &["bench", "--device", "cuda", "--bundle", "models/street"]);
        let line = said(&output);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(
            line.contains("device is 'cuda:0', which cannot be had: libtorch_cuda.so does not load: "),
            "{line}"
        );
    }
}

#[test]
fn a_cuda_part_without_a_driver_is_told_so() {
    let part = tempfile::tempdir().unwrap();
    if has_cuda_of_its_own() {
        return;
    }
    library(&part.path().join("libtorch_cuda.so"), "int nothing(void) { return 0; }");
    let told = devices(part.path())["no_gpu"].clone();
    assert!(told.as_str().unwrap().starts_with("NVIDIA's driver is not there: libcuda.so.1: "), "{told}");
}

/// A driver and a run time of CUDA that say what they are told to.
fn played(folder: &Path, init: i32, count: i32, code: i32) {
    library(
        &folder.join("libtorch_cuda.so"),
        &format!(
            "int cudaGetDeviceCount(int *n) {{ *n = {count}; return {code}; }}\n\
         int cudaRuntimeGetVersion(int *v) {{ *v = 13000; return 0; }}\n\
         const char *cudaGetErrorString(int code) {{ return \"words of the run time\"; }}\n"
        ),
    );
    let driver = folder.join("libcuda.so");
    library(
        &driver,
        &format!(
            "int cuInit(unsigned flags) {{ return {init}; }}\n\
         int cuDriverGetVersion(int *v) {{ *v = 12080; return 0; }}\n\
         int cuGetErrorString(int code, const char **text) {{ *text = \"words of the driver\"; return 0; }}\n"
        ),
    );
    std::fs::rename(driver, folder.join("libcuda.so.1")).unwrap();
}

#[test]
fn every_reason_of_the_driver_has_a_line_of_its_own() {
    if has_cuda_of_its_own() {
        return;
    }
    let told = |init, count, code| {
        let folder = tempfile::tempdir().unwrap();
        played(folder.path(), init, count, code);
        devices(folder.path())["no_gpu"].as_str().unwrap().to_owned()
    };
    // The order of CUDA's own: no device, a run time newer than the driver, any other fault.
    assert_eq!(told(100, 0, 0), "NVIDIA's driver shows no GPU: words of the driver");
    assert_eq!(
        told(0, 0, 35),
        "NVIDIA's driver serves CUDA up to 12.8, libtorch needs 13.0: a newer driver is needed"
    );
    assert_eq!(told(0, 0, 999), "NVIDIA's driver shows no GPU: words of the run time");
    assert_eq!(told(0, 0, 0), "NVIDIA's driver shows no GPU: it counts 0");
    // A part that is no part of this libtorch.
    assert!(told(0, 1, 0).starts_with("the driver shows GPUs and libtorch none"));
}

#[test]
fn gpus_that_are_hidden_are_told_by_the_variable() {
    if has_cuda_of_its_own() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    played(folder.path(), 100, 0, 0);
    let others = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_synthcp"))
        .args(["devices", "--json"])
        .env("LD_LIBRARY_PATH", format!("{}:{others}", folder.path().display()))
        .env("CUDA_VISIBLE_DEVICES", "")
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["no_gpu"], "CUDA_VISIBLE_DEVICES is '' and leaves no GPU visible");
    assert_eq!(found["auto"]["device"], "cpu");
}

#[test]
fn a_gpu_that_is_not_there_is_refused_with_the_reason() {
    let nothing = tempfile::tempdir().unwrap();
    for device in ["cuda:1000", "cuda:77"] {
        for command in [
            &["bench", "--bundle", "models/street", "--device", device][..],
            &["monitor", "--out", "/dev/null/x", "--bundle", "models/street", "--device", device, "none.png"],
        ] {
            let output = synthcp(nothing.path(), command);
            let line = said(&output);
            assert_eq!(output.status.code(), Some(2), "{line}");
            assert!(line.contains(&format!("device is '{device}'")), "{line}");
            assert_eq!(line.lines().filter(|line| line.starts_with("synthcp: ")).count(), 1, "{line}");
        }
    }
}
