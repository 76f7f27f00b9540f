//! The command line as its users meet it: what is written where, what is printed, how it ends.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use image::RgbImage;
use serde_json::Value;
use tempfile::TempDir;

fn synthcp() -> Command {
    Command::new(env!("CARGO_BIN_EXE_synthcp"))
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// A folder with a bundle of random weights in `bundle`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        synthcp()
            .args(["bundle", "random", "--out"])
            .arg(folder.path().join("bundle"))
            .status()
            .unwrap()
            .success()
    );
    folder
}

fn picture(path: &Path, value: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(40, 30, image::Rgb([value; 3])).save(path).unwrap();
}

fn monitor(folder: &Path, out: &str, images: &[&str]) -> Command {
    let mut command = synthcp();
    command.current_dir(folder).args(["monitor", "--bundle", "bundle", "--maps", "--out", out]).args(images);
    command
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_picture_that_was_given_is_never_overwritten() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    picture(&at("mine/a.png"), 7);
    std::fs::create_dir(at("out")).unwrap();
    std::fs::hard_link(at("mine/a.png"), at("out/a.png")).unwrap();
    std::os::unix::fs::symlink(at("mine"), at("link")).unwrap();
    let before = std::fs::read(at("mine/a.png")).unwrap();
    // The folder itself, through a link, and a hard link in another folder.
    for (out, image) in
        [("mine", "mine/a.png"), ("link", "mine/a.png"), ("mine", "link/a.png"), ("out", "mine/a.png")]
    {
        let output = monitor(folder.path(), out, &[image]).output().unwrap();
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains("onto the input"), "{said}");
        assert!(output.stdout.is_empty() && !at(out).join("report.jsonl").exists());
        assert_eq!(std::fs::read(at("mine/a.png")).unwrap(), before);
    }
    // One that was not given, but is of no earlier run.
    picture(&at("other/a.png"), 9);
    let output = monitor(folder.path(), "other", &["mine/a.png"]).output().unwrap();
    assert!(output.status.code() == Some(1) && said(&output).contains("no earlier run"), "{}", said(&output));
}

/// Labels of eleven classes in one of five codings, for 20 images; `png` writes them.
fn labelled(folder: &Path, coding: &str, png: impl Fn(&[u8]) -> Vec<u8>) {
    let [images, labels] = ["images", "labels"].map(|part| folder.join(coding).join(part));
    for part in [&images, &labels] {
        std::fs::create_dir_all(part).unwrap();
    }
    for number in 0..20u8 {
        let image = RgbImage::from_fn(32, 16, |x, y| image::Rgb([8 * x as u8, 16 * y as u8, 12 * number]));
        image.save(images.join(format!("{number:02}.png"))).unwrap();
        let ids: Vec<u8> = (0..32 * 16).map(|i| ((i / 16 + usize::from(number)) % 11) as u8).collect();
        std::fs::write(labels.join(format!("{number:02}.png")), png(&ids)).unwrap();
    }
}

fn label_png(color: png::ColorType, depth: png::BitDepth, palette: Option<Vec<u8>>, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 32, 16);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

#[test]
fn labels_in_five_codings_give_the_same_figures() {
    use png::{BitDepth, ColorType};
    use synthcp_monitor::LabelSet;
    let folder = folder();
    let classes = LabelSet::by_name("cityscapes").unwrap().classes;
    let of = |id: u8| &classes[usize::from(id)];
    let grey = |values: &[u8]| label_png(ColorType::Grayscale, BitDepth::Eight, None, values);
    labelled(folder.path(), "label_ids", |ids| {
        grey(&ids.iter().map(|&id| of(id).raw[0]).collect::<Vec<_>>())
    });
    labelled(folder.path(), "train_ids", grey);
    labelled(folder.path(), "palette", |ids| {
        let palette = classes.iter().flat_map(|class| class.color).collect();
        label_png(ColorType::Indexed, BitDepth::Eight, Some(palette), ids)
    });
    labelled(folder.path(), "four_bits", |ids| {
        let packed: Vec<u8> = ids.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        label_png(ColorType::Grayscale, BitDepth::Four, None, &packed)
    });
    labelled(folder.path(), "colours", |ids| {
        let colours: Vec<u8> = ids.iter().flat_map(|&id| of(id).color).collect();
        label_png(ColorType::Rgb, BitDepth::Eight, None, &colours)
    });
    let evaluate = |coding: &str, more: &[&str]| {
        let mut command = synthcp();
        command
            .current_dir(folder.path())
            .args(["evaluate", "--bundle", "bundle", "--data", coding])
            .args(more);
        command.output().unwrap()
    };
    let expected = evaluate("label_ids", &[]);
    assert!(expected.status.success(), "{}", said(&expected));
    // All but the data's name.
    let figures = |out: &Output| {
        let printed = String::from_utf8(out.stdout.clone()).unwrap();
        printed.split_once('\n').unwrap().1.to_owned()
    };
    assert!(figures(&expected).contains('%') && !said(&expected).contains("read"), "{}", said(&expected));
    for (coding, told) in [
        ("train_ids", "as train-ids"),
        ("palette", "as train-ids"),
        ("four_bits", "as train-ids"),
        ("colours", "by the colours"),
    ] {
        let out = evaluate(coding, &[]);
        assert!(out.status.success() && said(&out).contains(told), "{coding}: {}", said(&out));
        assert_eq!(figures(&out), figures(&expected), "{coding}");
    }
    let refused = evaluate("colours", &["--coding", "label-ids"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("hold colours, and label-ids are asked for"), "{}", said(&refused));
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_half() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    picture(&at("a.png"), 7);
    for file in ["report.jsonl", "a.png.part"] {
        let out = tempfile::tempdir_in(folder.path()).unwrap();
        std::os::unix::fs::symlink("/dev/full", out.path().join(file)).unwrap();
        let output = monitor(folder.path(), out.path().to_str().unwrap(), &["a.png"]).output().unwrap();
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains("No space left"), "{said}");
        assert!(said.contains(file.trim_end_matches(".part")), "{said}");
        assert!(file == "report.jsonl" || !out.path().join("a.png").exists());
    }
}

#[test]
fn pictures_of_one_name_leave_each_their_own_results() {
    let folder = folder();
    let names = ["x/a.png", "y/a.png", "x/a.jpg", "x/a.labels.png"];
    for (number, name) in names.iter().enumerate() {
        picture(&folder.path().join(name), number as u8 * 60);
    }
    // The second time, results of the first are replaced.
    for _ in 0..2 {
        let output = monitor(folder.path(), "out", &names).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let lines = lines(&String::from_utf8_lossy(&output.stdout));
        let pictures: Vec<&str> = lines.iter().map(|line| line["picture"].as_str().unwrap()).collect();
        assert_eq!(pictures, ["a.png", "a.2.png", "a.3.png", "a.labels.2.png"]);
        for picture in pictures {
            assert!(folder.path().join("out").join(picture).exists(), "{picture}");
        }
    }
}

#[test]
fn an_unreadable_picture_is_a_line_and_the_others_are_assessed() {
    let folder = folder();
    picture(&folder.path().join("a.png"), 1);
    picture(&folder.path().join("c.png"), 3);
    std::fs::write(folder.path().join("b.png"), "no picture").unwrap();
    let output = monitor(folder.path(), "out", &["a.png", "b.png", "c.png"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("1 of 3 images have no assessment"), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(std::fs::read_to_string(folder.path().join("out/report.jsonl")).unwrap(), text);
    let lines = lines(&text);
    let validity: Vec<&str> = lines.iter().map(|line| line["validity"].as_str().unwrap()).collect();
    assert_eq!(validity, ["OK", "INVALID_INPUT", "OK"]);
    assert!(lines[1]["image"] == "b.png" && !lines[1]["reason"].as_str().unwrap().is_empty());
    // Random weights are calibrated by nobody: no limits, and the safe level.
    assert_eq!(lines[0]["level"], "FAILURE");
    assert!(lines[0]["thresholds"]["failure"].is_null());
}

/// An array of six floats in a .npy file, written by hand.
fn array(path: &Path, values: &[f32]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}\n", values.len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

fn metrics(folder: &Path) -> Command {
    array(&folder.join("s.npy"), &[0.1, 0.9, 0.3, 0.8]);
    array(&folder.join("l.npy"), &[0., 1., 0., 1.]);
    let mut command = synthcp();
    command.current_dir(folder).args(["metrics", "--scores", "s.npy", "--labels", "l.npy"]);
    command
}

#[test]
fn standard_output_that_is_full_is_an_error_and_one_that_nobody_reads_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let output = metrics(folder.path()).stdout(full()).output().unwrap();
    assert!(
        output.status.code() == Some(1) && said(&output).contains("standard output: No space"),
        "{}",
        said(&output)
    );
    assert_eq!(metrics(folder.path()).stdout(full()).stderr(full()).status().unwrap().code(), Some(1));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = metrics(folder.path()).stdout(writer).output().unwrap();
    assert!(output.status.code() == Some(0) && said(&output).is_empty(), "{}", said(&output));
    assert_eq!(synthcp().arg("--nonsense").output().unwrap().status.code(), Some(2));
}

#[test]
fn what_reads_the_head_ends_the_rest_quietly() {
    let folder = folder();
    let names = ["a.png", "b.png", "c.png", "d.png"];
    names.iter().for_each(|name| picture(&folder.path().join(name), 5));
    let mut child =
        monitor(folder.path(), "out", &names).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(line.contains("a.png") && !said(&output).contains("panicked"), "{}", said(&output));
    assert!(output.status.code() == Some(0), "{}", said(&output));
}

#[test]
fn results_do_not_go_among_the_data() {
    let folder = folder();
    picture(&folder.path().join("data/images/a.png"), 5);
    for command in ["evaluate", "anomalies"] {
        let mut command = synthcp_in(folder.path(), command);
        let output = command.args(["--data", "data", "--out", "data/images"]).output().unwrap();
        assert!(
            output.status.code() == Some(1) && said(&output).contains("of their own"),
            "{}",
            said(&output)
        );
    }
}

fn synthcp_in(folder: &Path, name: &str) -> Command {
    let mut command = synthcp();
    command.current_dir(folder).args([name, "--bundle", "bundle"]);
    command
}

#[test]
fn bench_without_data_draws_its_own_street() {
    let folder = folder();
    let output = synthcp_in(folder.path(), "bench").args(["--camera", "64", "32"]).output().unwrap();
    assert!(output.status.success() && said(&output).contains("procedural street"), "{}", said(&output));
}
