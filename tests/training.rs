//! Training as a person asks for it: what cannot come true is refused before the first step, and a work
//! folder is gone on with by the training that began it alone.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{GrayImage, Luma, Rgb, RgbImage};
use synthcp_monitor::checkpoint::weights::{self, Tensors};
use synthcp_monitor::model::bundle::Bundle;
use synthcp_monitor::{Frame, Monitor, MonitorOptions, Wanted};
use tch::{CModule, Device, Kind, Tensor};

const RECIPE: &str = "
working_size: [64, 128]
segmentation: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}
segmentation_steps: 2
folds: 2
fold_steps: 2
degraded: false
synthesis: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}
discriminator_width: 4
synthesis_steps: 2
comparison: {architecture: joint, width: 4, squeeze: 4, prior: true}
comparison_steps: 2
batch: [2, 4, 2]
rate: [0.001, 0.0004, 0.001]
seed: 1
";

/// Images in CamVid's layout, each a little different, in the folder `drive`.
fn drive(folder: &Path, count: u32) -> PathBuf {
    let drive = folder.join("drive");
    for name in ["train", "trainannot"] {
        std::fs::create_dir_all(drive.join(name)).unwrap();
    }
    for i in 0..count {
        let below = move |y: u32| y > 10 + i % 16;
        // No two are the same.
        let sky = 40 + (i / 16) as u8;
        let image = RgbImage::from_fn(128, 64, |_, y| Rgb([if below(y) { 200 } else { sky }; 3]));
        image.save(drive.join(format!("train/{i:03}.png"))).unwrap();
        let labels = GrayImage::from_fn(128, 64, |_, y| Luma([u8::from(below(y))]));
        labels.save(drive.join(format!("trainannot/{i:03}.png"))).unwrap();
    }
    drive
}

/// A folder with a recipe and data, in which `synthcp train` is run.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(count: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        drive(folder.path(), count);
        std::fs::write(folder.path().join("recipe.yaml"), RECIPE).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn synthcp(&self, arguments: &str) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_synthcp"));
        program.current_dir(self.folder.path()).args(arguments.split_whitespace()).output().unwrap()
    }

    /// What it says when it refuses.
    fn refused(&self, arguments: &str) -> String {
        let out = self.synthcp(arguments);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{said}");
        said
    }

    fn done(&self, arguments: &str) {
        self.said(arguments);
    }

    /// What it says while it does it.
    fn said(&self, arguments: &str) -> String {
        let out = self.synthcp(arguments);
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{said}");
        said
    }
}

const ALL: &str = "train all --recipe recipe.yaml --data drive --device cpu --precision fp32 --bundle out";

#[test]
fn what_cannot_come_true_is_refused_before_the_first_step_and_the_old_bundle_stays() {
    let place = Place::new(112);
    place.done("bundle random --out out");
    let before = std::fs::read(place.path("out/bundle.yaml")).unwrap();
    std::fs::write(place.path("file"), "in the way").unwrap();
    std::fs::create_dir(place.path("pictures")).unwrap();
    std::fs::write(place.path("pictures/holiday.jpg"), "mine").unwrap();
    drive(place.path("elsewhere").as_path(), 112);
    std::fs::rename(place.path("elsewhere/drive"), place.path("copies")).unwrap();
    std::fs::copy(place.path("copies/train/003.png"), place.path("copies/train/100.png")).unwrap();
    std::fs::write(place.path("rate.yaml"), RECIPE.replace("0.0004", "1e9")).unwrap();
    std::fs::write(place.path("folds.yaml"), RECIPE.replace("folds: 2", "folds: 50")).unwrap();
    let good = "--slice 0..12 --calibration 12..112";
    for (arguments, expected) in [
        ("--slice 0..12 --calibration 12..300".into(), "slice 12..300 does not fit 112 samples"),
        (
            "--slice 0..12 --calibration 10..112".into(),
            "calibration slice 10..112: 2 of its images trained a network (drive 0..12)",
        ),
        (
            "--slice 0..12 --calibration 12..13".into(),
            "calibration slice 12..13 has 1 images; a rate of 1 % needs at least 100",
        ),
        ("--calibration 12..112".into(), "100 of its images trained a network (drive 0..)"),
        (format!("{good} --bundle pictures"), "pictures: holiday.jpg is there"),
        (format!("{good} --bundle file"), "file: a file is there"),
        (
            format!("{good} --data copies"),
            "112: 1 of its images trained a network (as copies of the same file)",
        ),
        (format!("{good} --work file"), "file"),
        (format!("{good} --work drive/train"), "choose a folder of their own"),
        (format!("{good} --bundle drive/train"), "choose a folder of their own"),
        (format!("{good} --pretrained nowhere.pth"), "nowhere.pth"),
        (format!("{good} --cutouts pictures"), "the recipe has no 'outliers'"),
        (format!("{good} --minutes=-3"), "minutes is -3, it must be above 0"),
        (format!("{good} --recipe rate.yaml"), "rate.yaml: rate[1] is 1000000000, it must be in"),
        (format!("{good} --recipe folds.yaml"), "folds"),
    ] {
        let all =
            ALL.replace(" --bundle out", if arguments.contains("--bundle") { "" } else { " --bundle out" });
        let all = all.replace(
            " --recipe recipe.yaml",
            if arguments.contains("--recipe") { "" } else { " --recipe recipe.yaml" },
        );
        let all =
            all.replace(" --data drive", if arguments.contains("--data") { "" } else { " --data drive" });
        let said = place.refused(&format!("{all} {arguments}"));
        assert!(said.contains(expected), "{arguments}: {said}");
        assert!(!place.path("work/segmentation").exists(), "{arguments}");
    }
    assert_eq!(std::fs::read(place.path("out/bundle.yaml")).unwrap(), before);
    assert!(!place.path("out.part").exists());
}

#[test]
fn a_training_that_is_interrupted_says_how_to_go_on_and_does() {
    let place = Place::new(112);
    let begun =
        "train segmentation --recipe recipe.yaml --data drive --slice 0..12 --device cpu --precision fp32";
    let mut program = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    let arguments = format!("{begun} --steps 1000000000");
    program.current_dir(place.folder.path()).args(arguments.split_whitespace()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.contains("drive: 12 samples (0..12), 11 classes of camvid"), "{first}");
    assert!(lines.next().unwrap().contains("segmentation: begins"));
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let said: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said:?}");
    assert!(said[0].contains("stopping after the step in hand"), "{said:?}");
    assert!(said.last().unwrap().contains("--resume goes on"), "{said:?}");
    assert!(place.path("work/segmentation/checkpoint.safetensors").exists());
    place.done(&format!("{begun} --resume --minutes 0.0001"));
}

#[test]
fn a_work_folder_is_gone_on_with_by_the_training_that_began_it_alone() {
    let place = Place::new(112);
    let begun = format!("{ALL} --slice 0..12 --calibration 12..112");
    place.done(&begun);
    let bundle = Bundle::open(&place.path("out")).unwrap();
    let calibration = bundle.description.calibration.unwrap();
    let expected = "on 100 labelled frames that no network saw (drive 12..112): ";
    assert!(calibration.guarantee.starts_with(expected), "{}", calibration.guarantee);
    assert!(!place.path("out.part").exists() && !place.path("out.old").exists());
    // The same, in other words.
    place.done(&format!("{begun} --resume"));

    let said = place.refused(&format!("{} --resume --seed 2", begun));
    assert!(said.contains("segmentation/checkpoint.safetensors: seed was 1 and is now 2"), "{said}");
    let said = place.refused(&format!("{ALL} --slice 0..11 --calibration 12..112 --resume"));
    assert!(said.contains("the last sample was ") && said.contains("011 and is now "), "{said}");
    std::fs::write(place.path("recipe.yaml"), RECIPE.replace("rates: [1, 2, 3]", "rates: [1, 2, 4]"))
        .unwrap();
    let said = place.refused(&format!("{begun} --resume"));
    assert!(said.contains("segmentation.rates was"), "{said}");
    // Nor packed under another recipe's name.
    let said = place.refused(
        "bundle pack --recipe recipe.yaml --data drive --slice 0..12 --calibration 12..112 --out other",
    );
    assert!(said.contains("segmentation.rates was") && !place.path("other").exists(), "{said}");
    std::fs::write(place.path("recipe.yaml"), RECIPE.replace("ngf: 2", "ngf: 4")).unwrap();
    let said = place.refused(&format!("{begun} --resume"));
    assert!(said.contains("synthesis/checkpoint.safetensors: synthesis.ngf was 2 and is now 4"), "{said}");
    std::fs::write(place.path("recipe.yaml"), RECIPE).unwrap();
    // One pixel.
    let path = place.path("drive/train/003.png");
    let mut image = image::open(&path).unwrap().into_rgb8();
    image.put_pixel(5, 5, Rgb([255, 0, 0]));
    image.save(&path).unwrap();
    let said = place.refused(&format!("{begun} --resume"));
    assert!(said.contains("what the images hold was"), "{said}");
}

#[test]
fn predictions_are_made_anew_where_the_networks_went_on_and_no_setting_is_dropped_silently() {
    let place = Place::new(12);
    let colored = format!("{RECIPE}comparison_color: 0.3\n");
    let write = |recipe: &str| std::fs::write(place.path("recipe.yaml"), recipe).unwrap();
    let train = |stage: &str| {
        place.said(&format!(
            "train {stage} --recipe recipe.yaml --data drive --device cpu --precision fp32 --resume"
        ))
    };
    let kept = || std::fs::read(place.path("work/fold-0/predictions.safetensors")).unwrap();
    write(&colored);
    for stage in ["segmentation", "synthesis", "comparison"] {
        train(stage);
    }
    // Of the same M and G they stay.
    let before = kept();
    let said = train("comparison");
    assert!(!said.contains("made anew"), "{said}");
    assert_eq!(kept(), before);

    write(&colored.replace("fold_steps: 2", "fold_steps: 3"));
    let said = train("predictions --fold 0");
    let expected = "work/fold-0/predictions.safetensors: the number of steps of M without the fold was 2 and is now 3; \
                    made anew";
    assert!(said.contains(expected), "{said}");
    let longer = kept();
    assert_ne!(longer, before);
    train("synthesis --steps 3");
    let said = train("predictions --fold 0");
    assert!(said.contains("predictions.safetensors: the weights of G was "), "{said}");
    assert_ne!(kept(), longer);
    let with_dropout =
        "baselines: {d: {network: {baseline: mc_dropout, passes: 2}, steps: 2, batch: 2, rate: 0.001}}";
    write(&format!("{}{with_dropout}\n", colored.replace("fold_steps: 2", "fold_steps: 3")));
    let said = train("predictions --fold 0");
    assert!(said.contains("the number of passes with dropout was 0 and is now 2; made anew"), "{said}");

    // F went on with other tones, and does not without.
    write(&RECIPE.replace("fold_steps: 2", "fold_steps: 3"));
    let said = place
        .refused("train comparison --recipe recipe.yaml --data drive --device cpu --precision fp32 --resume");
    let expected = "work/comparison/checkpoint.safetensors: comparison_color was 0.3 and is now nothing";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_bundle_is_calibrated_on_what_did_not_train_it_and_on_enough() {
    let place = Place::new(112);
    place.done("bundle random --out out");
    assert_eq!(Bundle::open(&place.path("out")).unwrap().description.calibration, None);
    let path = place.path("out/bundle.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("trained_on: nothing", "trained_on: drive 0..12")).unwrap();
    let before = std::fs::read(&path).unwrap();
    std::fs::write(place.path("labels.yaml"), include_str!("../config/labels/cityscapes.yaml")).unwrap();
    let calibrate = |slice: &str| {
        format!(
            "bundle calibrate --bundle out --data drive --labels labels.yaml --coding train-ids --slice {slice}"
        )
    };
    let said = place.refused(&calibrate(".."));
    assert!(said.contains("12 of its images trained a network (drive 0..12)"), "{said}");
    let said = place.refused(&calibrate("20..21"));
    assert!(said.contains("at least 100"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    place.done(&calibrate("12..112"));
    let calibrated = || Bundle::open(&place.path("out")).unwrap().description.calibration.unwrap();
    let by_area = calibrated();
    assert_eq!(by_area.things, None);

    // The level goes by things on the road once there are clean drives.
    let clean = |rate: &str| format!("{} --clean drive/train --rate {rate}", calibrate("12..112"));
    let said = place.refused(&clean("5"));
    assert!(said.contains("drive/train: 0.4 minutes of clean drive are there, 4 are needed"), "{said}");
    place.done(&clean("0.4"));
    let by_things = calibrated();
    let things = by_things.things.unwrap();
    assert!(things.stands_on.contains("from 112 frames of clean drives (train)"), "{}", things.stands_on);
    assert!(
        by_things.guarantee.contains("CAUTION by the failure score on at most"),
        "{}",
        by_things.guarantee
    );
    assert!(
        by_things.guarantee.contains(" times in 4.7 minutes of clean drive (train, 0.4 frames a second)")
    );
    assert_eq!((by_things.caution, by_things.anomaly_area), (by_area.caution, by_area.anomaly_area));
}

/// A segmenter of 11 classes that calls dark class 0 and light class 1, where images come as ImageNet's networks
/// want them; traced on one image, as logits or as probabilities.
fn theirs(path: &Path, slope: f64, probabilities: bool) {
    let image = Tensor::rand([1, 3, 64, 128], (Kind::Float, Device::Cpu));
    let mut network = |inputs: &[Tensor]| {
        let light = inputs[0].mean_dim([1i64].as_slice(), true, Kind::Float) * slope;
        let others = Tensor::full([1, 9, 64, 128], -30., (Kind::Float, Device::Cpu));
        let logits = Tensor::cat(&[&light * -1., light, others], 1);
        vec![if probabilities { logits.softmax(1, Kind::Float) } else { logits }]
    };
    CModule::create_by_tracing("M", "forward", &[image], &mut network).unwrap().save(path).unwrap();
}

#[test]
fn somebodys_own_segmenter_is_taken_as_it_is_once_it_is_fed_right() {
    let place = Place::new(112);
    theirs(&place.path("theirs.pt"), 5., false);
    theirs(&place.path("soft.pt"), 5., true);
    let all = format!("{ALL} --slice 0..12 --calibration 12..112 --segmenter theirs.pt");
    // Fed otherwise, everything is light.
    let said = place.refused(&format!(r#"{all} --feed {{"mean":[0,0,0],"std":[1,1,1]}}"#));
    assert!(
        said.contains("it is right on 74.2 %") && said.contains("Say so: --feed '{mean: [0.485"),
        "{said}"
    );
    let said = place.refused(&all.replace("theirs", "soft"));
    assert!(said.contains("probabilities, no logits; say 'gives: probabilities'"), "{said}");
    let said = place.refused(&format!(r#"{all} --feed {{"gives":"probabilities"}}"#));
    assert!(said.contains("logits, no probabilities; say 'gives: logits'"), "{said}");
    assert!(!place.path("work/synthesis").exists());

    place.done(&all);
    let bundle = Bundle::open(&place.path("out")).unwrap();
    let segmentation = &bundle.description.segmentation;
    assert_eq!(segmentation.weights, "segmentation.pt");
    assert!(
        segmentation.trained_on.contains("M is theirs.pt, as it was given"),
        "{}",
        segmentation.trained_on
    );
    assert_eq!(
        std::fs::read(place.path("out/segmentation.pt")).unwrap(),
        std::fs::read(place.path("theirs.pt")).unwrap()
    );
    assert!(!place.path("out/segmentation.safetensors").exists());
    assert!(segmentation.command.contains("--segmenter theirs.pt --feed '{}'"), "{}", segmentation.command);
    let monitor = Monitor::load(&place.path("out"), &MonitorOptions::default()).unwrap();
    let wanted = Wanted { labels: true, ..Wanted::default() };
    let image = image::open(place.path("drive/train/003.png")).unwrap().into_rgb8();
    let labels = monitor.process(&Frame::new(image), wanted).unwrap().maps.labels.unwrap();
    assert_eq!(labels, image::open(place.path("drive/trainannot/003.png")).unwrap().into_luma8());
    // Its results are not another M's.
    theirs(&place.path("other.pt"), 4., false);
    let said = place.refused(&format!("{} --resume", all.replace("theirs", "other")));
    assert!(said.contains("segmenter was "), "{said}");
    // A recipe alone is no network.
    let (before, after) = RECIPE.split_once("segmentation: {").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let recipe = format!("{before}segmentation: {{architecture: torchscript}}\n{after}");
    std::fs::write(place.path("recipe.yaml"), recipe).unwrap();
    let said = place.refused(&format!("{ALL} --slice 0..12 --calibration 12..112"));
    assert!(said.contains("expected its file, --segmenter FILE"), "{said}");
}

#[test]
fn f_learns_to_judge_labels_that_are_given_and_the_bundle_says_so() {
    let place = Place::new(112);
    std::fs::create_dir(place.path("theirs")).unwrap();
    // The truth, but for the lowest of the dark rows.
    let theirs = |i: u32| GrayImage::from_fn(128, 64, |_, y| Luma([u8::from(y > 9 + i % 16)]));
    for i in 0..112 {
        theirs(i).save(place.path(&format!("theirs/{i:03}.png"))).unwrap();
    }
    let all = format!("{ALL} --slice 0..12 --calibration 12..112 --predictions theirs");
    let hidden = [place.path("theirs/100.png"), place.path("hidden.png")];
    std::fs::rename(&hidden[0], &hidden[1]).unwrap();
    let said = place.refused(&all);
    assert!(said.contains("theirs: 1 of 100 samples have no label image in it"), "{said}");
    std::fs::rename(&hidden[1], &hidden[0]).unwrap();
    std::fs::write(place.path("outliers.yaml"), format!("{RECIPE}outliers: {{}}\n")).unwrap();
    let said = place.refused(&all.replace("recipe.yaml", "outliers.yaml"));
    assert!(said.contains("outliers"), "{said}");
    assert!(!place.path("work/segmentation").exists());

    place.done(&all);
    let kept = Tensor::read_safetensors(place.path("work/fold-0/predictions.safetensors")).unwrap();
    let tensor = |name: &str| &kept.iter().find(|(other, _)| other == name).unwrap().1;
    let given = Vec::<u8>::try_from(tensor("given").get(3).flatten(0, -1)).unwrap();
    assert_eq!(given, theirs(3).into_raw());
    // What F is to say of them: 14 rows are dark, and 13 of them labelled so.
    let iou = tensor("iou").double_value(&[3, 0]);
    assert!((iou - 13. / 14.).abs() < 1e-6, "{iou}");

    let description = Bundle::open(&place.path("out")).unwrap().description;
    let limits = description.calibration.unwrap();
    assert_eq!((limits.labels_of.as_deref(), limits.promise_inside()), (Some("theirs"), ""));
    let expected = "on 100 labelled frames that no network saw (drive 12..112, labels of theirs): ";
    assert!(limits.guarantee.starts_with(expected), "{}", limits.guarantee);
    let comparison = description.comparison;
    assert!(
        comparison.trained_on.contains("F learned from the labels of theirs"),
        "{}",
        comparison.trained_on
    );
    assert!(comparison.command.contains("--predictions theirs"), "{}", comparison.command);

    // Its results are not those of other labels, and its limits not those of its own M.
    let mut other = theirs(5);
    other.put_pixel(0, 0, Luma([1]));
    other.save(place.path("theirs/005.png")).unwrap();
    let said = place.refused(&format!("{all} --resume"));
    assert!(said.contains("what the labels of another segmenter hold was"), "{said}");
    let said = place.refused(&format!("{} --resume", all.replace(" --predictions theirs", "")));
    assert!(said.contains("labels that F judges was theirs and is now nothing"), "{said}");
    place.done("bundle calibrate --bundle out --data drive --slice 12..112");
    let limits = Bundle::open(&place.path("out")).unwrap().description.calibration.unwrap();
    assert_eq!(limits.labels_of, None);
}

#[test]
fn an_m_goes_on_from_weights_that_fit_and_the_bundle_says_so() {
    let place = Place::new(112);
    let slices = "--slice 0..12 --calibration 12..112";
    place.done(&format!("{ALL} {slices}"));
    let given = "out/segmentation.safetensors";
    let one =
        "train segmentation --recipe recipe.yaml --data drive --slice 0..12 --device cpu --precision fp32";

    // Steps too small to be seen leave the weights as they were: those of a bundle, and those of a checkpoint.
    std::fs::write(place.path("slow.yaml"), RECIPE.replace("rate: [0.001", "rate: [0.0000000001")).unwrap();
    let m = |path: &str, prefix: &str| {
        let all = weights::read(&place.path(path)).unwrap();
        let own = all.into_iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t)));
        own.filter(|(name, _)| name.ends_with("weight")).collect::<Tensors>()
    };
    let slow = one.replace("recipe.yaml", "slow.yaml");
    place.done(&format!("{slow} --work a --start {given}"));
    place.done(&format!("{slow} --work b --start a/segmentation/checkpoint.safetensors"));
    let (start, end) = (m(given, ""), m("b/segmentation/checkpoint.safetensors", "m/"));
    assert!(start.len() > 5 && start.len() == end.len());
    for (name, t) in &start {
        assert!(t.to_kind(Kind::Float).allclose(&end[name], 1e-5, 1e-5, false), "{name}");
    }

    std::fs::write(place.path("large.yaml"), RECIPE.replace("pyramid: 8", "pyramid: 16")).unwrap();
    std::fs::write(place.path("labels.yaml"), include_str!("../config/labels/cityscapes.yaml")).unwrap();
    for (arguments, expected) in [
        (
            format!("{one} --labels labels.yaml --coding train-ids --work c --start {given}"),
            "out/segmentation.safetensors: an M of 11 classes; the data have 19",
        ),
        (
            format!("{} --work c --start {given}", one.replace("recipe.yaml", "large.yaml")),
            "out/segmentation.safetensors: tensor 'aspp",
        ),
        (
            format!("{one} --work c --start out/comparison.safetensors"),
            "is missing; expected an M as in the recipe, Deeplab",
        ),
        (format!("{one} --work c --start recipe.yaml"), "recipe.yaml: not a safetensors file"),
        (format!("{one} --work c --start nowhere"), "nowhere"),
        (
            format!("{one} --work a --start a/segmentation/checkpoint.safetensors"),
            "the start of M is the checkpoint that this training writes; name another work folder",
        ),
        (
            format!("{one} --resume --start {given}"),
            "the start of M was random weights and is now segmentation.safetensors, SHA-256 ",
        ),
        // What the M that M goes on from has seen, sets no limits.
        (
            format!("{ALL} --slice 100..112 --calibration 0..100 --work c --start {given}"),
            "calibration slice 0..100: 12 of its images trained a network (as copies of the same file)",
        ),
    ] {
        let said = place.refused(&arguments);
        assert!(said.contains(expected), "{arguments}: {said}");
        assert!(!place.path("c/segmentation").exists(), "{arguments}");
    }

    let goes_on = ALL.replace("--bundle out", "--bundle next --work d");
    place.done(&format!("{goes_on} {slices} --start {given}"));
    let next = Bundle::open(&place.path("next")).unwrap().description;
    let of_m = next.segmentation;
    let expected = "drive 0..12; M went on from segmentation.safetensors, SHA-256 ";
    assert!(of_m.trained_on.starts_with(expected), "{}", of_m.trained_on);
    assert!(of_m.command.contains(" --start segmentation.safetensors"), "{}", of_m.command);
    let guarantee = next.calibration.unwrap().guarantee;
    assert!(guarantee.contains("of which it is not known whether they trained a network"), "{guarantee}");
    let pack = format!("bundle pack --recipe recipe.yaml --data drive {slices} --work d --out other");
    let said = place.refused(&pack);
    assert!(said.contains("the start of M was segmentation.safetensors, SHA-256 "), "{said}");
    place.done(&format!("{pack} --start {given}"));
}
