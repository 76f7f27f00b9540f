use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::labels::IGNORE;

fn write_image(path: &Path, size: (u32, u32), color: [u8; 3]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(size.0, size.1, Rgb(color)).save(path).unwrap();
}

fn write_labels(path: &Path, size: (u32, u32), id: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(size.0, size.1, Luma([id])).save(path).unwrap();
}

/// Four samples: road, road, sky, unlabelled.
fn small() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (index, raw) in [7, 7, 23, 0].into_iter().enumerate() {
        write_image(&dir.path().join(format!("images/000{index}.webp")), (8, 4), [index as u8; 3]);
        write_labels(&dir.path().join(format!("labels/000{index}.png")), (8, 4), raw);
    }
    dir
}

fn camvid() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (part, name, id) in [("train", "b", 3), ("train", "a", 11), ("val", "c", 3)] {
        write_image(&dir.path().join(format!("{part}/{name}.png")), (6, 4), [9; 3]);
        write_labels(&dir.path().join(format!("{part}annot/{name}.png")), (6, 4), id);
    }
    dir
}

fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.samples.iter().map(|sample| sample.name.as_str()).collect()
}

fn sliced(text: &str) -> Options {
    Options { slice: text.parse().unwrap(), ..Options::default() }
}

#[test]
fn small_cityscapes_is_loaded_in_train_ids() {
    let dir = small();
    let dataset = load(dir.path(), &Options::default()).unwrap();
    assert_eq!(dataset.labels.name, "cityscapes");
    assert_eq!(names(&dataset), ["0000", "0001", "0002", "0003"]);
    let ids: Vec<u8> = dataset.samples.iter().map(|sample| sample.labels.get_pixel(7, 3).0[0]).collect();
    assert_eq!(ids, [0, 0, 10, IGNORE]);
    assert_eq!(dataset.samples[2].image.get_pixel(0, 0).0, [2; 3]);
}

#[test]
fn slices_pick_samples() {
    let dir = small();
    assert_eq!(names(&load(dir.path(), &sliced("1..3")).unwrap()), ["0001", "0002"]);
    assert_eq!(names(&load(dir.path(), &sliced("train:2..")).unwrap()), ["0002", "0003"]);
    let message = load(dir.path(), &sliced("1..9")).unwrap_err().to_string();
    assert!(message.contains("1..9 does not fit 4 samples"), "{message}");
    let message = load(dir.path(), &sliced("test")).unwrap_err().to_string();
    assert!(message.contains("no part \"test\""), "{message}");
}

#[test]
fn official_cityscapes_is_found_by_part_and_city() {
    let dir = tempfile::tempdir().unwrap();
    for (stem, raw) in [("val/ulm/ulm_2", 26), ("train/bonn/bonn_1", 7), ("test/mainz/mainz_0", 0)] {
        write_image(&dir.path().join(format!("leftImg8bit/{stem}_leftImg8bit.png")), (4, 2), [1; 3]);
        write_labels(&dir.path().join(format!("gtFine/{stem}_gtFine_labelIds.png")), (4, 2), raw);
        // The other images of the release are ignored.
        write_labels(&dir.path().join(format!("gtFine/{stem}_gtFine_instanceIds.png")), (4, 2), 1);
    }
    assert_eq!(detect(dir.path()).unwrap(), Layout::Cityscapes);
    let dataset = load(dir.path(), &Options::default()).unwrap();
    assert_eq!(names(&dataset), ["train/bonn/bonn_1", "val/ulm/ulm_2"]);
    let dataset = load(dir.path(), &sliced("val")).unwrap();
    assert_eq!(dataset.samples[0].labels.get_pixel(0, 0).0, [13]);
    let message = load(dir.path(), &sliced("valid")).unwrap_err().to_string();
    assert!(message.contains("it has test, train, val"), "{message}");
}

#[test]
fn train_ids_and_colours_of_the_official_layout_are_read_where_label_ids_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(format!("gtFine/val/ulm/ulm_2_gtFine_{name}.png"));
    write_image(&dir.path().join("leftImg8bit/val/ulm/ulm_2_leftImg8bit.png"), (4, 2), [1; 3]);
    let id = || load(dir.path(), &Options::default()).unwrap().samples[0].labels.get_pixel(0, 0).0[0];
    // The car, by each of the three; 13 as label id is a fence.
    write_image(&at("color"), (4, 2), [0, 0, 142]);
    assert_eq!(id(), 13);
    write_labels(&at("labelTrainIds"), (4, 2), 13);
    assert_eq!(id(), 13);
    write_labels(&at("labelIds"), (4, 2), 26);
    assert_eq!(id(), 13);
    write_labels(&at("labelIds"), (4, 2), 13);
    assert_eq!(id(), 4);
}

#[test]
fn camvid_is_found_by_its_annotation_folders() {
    let dir = camvid();
    let dataset = load(dir.path(), &Options::default()).unwrap();
    assert_eq!(dataset.labels.name, "camvid");
    assert_eq!(names(&dataset), ["train/a", "train/b", "val/c"]);
    assert_eq!(dataset.samples[0].labels.get_pixel(0, 0).0, [IGNORE]);
    assert_eq!(names(&load(dir.path(), &sliced("val")).unwrap()), ["val/c"]);
}

#[test]
fn files_without_a_partner_are_named_or_counted() {
    let dir = camvid();
    std::fs::remove_file(dir.path().join("trainannot/b.png")).unwrap();
    std::fs::remove_file(dir.path().join("train/a.png")).unwrap();
    let message = load(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(
        message.contains("2 of its files") && message.contains("b.png, which has no labels"),
        "{message}"
    );
    let options = Options { allow_unpaired: true, ..Options::default() };
    let dataset = load(dir.path(), &options).unwrap();
    assert_eq!((names(&dataset), dataset.unpaired), (vec!["val/c"], 2));
}

#[test]
fn samples_are_resized_and_ids_never_blended() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("images/0.png");
    write_image(&image, (8, 4), [0; 3]);
    let stripes = RgbImage::from_fn(8, 4, |x, _| Rgb([if x % 2 == 0 { 0 } else { 200 }; 3]));
    stripes.save(&image).unwrap();
    write_labels(&dir.path().join("labels/0.png"), (8, 4), 7);
    let halves = GrayImage::from_fn(8, 4, |x, _| Luma([if x < 4 { 7 } else { 23 }]));
    halves.save(dir.path().join("labels/0.png")).unwrap();
    let options = Options { size: Some((4, 2)), ..Options::default() };
    let dataset = load(dir.path(), &options).unwrap();
    let sample = &dataset.samples[0];
    assert_eq!(sample.labels.as_raw(), &[0, 0, 10, 10, 0, 0, 10, 10]);
    assert_eq!(sample.image.dimensions(), (4, 2));
    for x in 1..3 {
        let value = sample.image.get_pixel(x, 0).0[0];
        assert!((80..=120).contains(&value), "stripes must average out, not alias: {value}");
    }
    let message =
        load(dir.path(), &Options { size: Some((0, 2)), ..Options::default() }).unwrap_err().to_string();
    assert!(message.contains("0x2"), "{message}");
}

#[test]
fn wrong_files_are_named() {
    let dir = small();
    let label = dir.path().join("labels/0001.png");
    write_labels(&label, (4, 4), 7);
    let message = load(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(message.contains("0001.png: labels are (4, 4) and the image is (8, 4)"), "{message}");
    write_image(&label, (8, 4), [1; 3]);
    let message = load(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(message.contains("0001.png holds colours and "), "{message}");
    std::fs::write(&label, b"not an image").unwrap();
    let message = load(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(message.contains("0001.png"), "{message}");
}

#[test]
fn unknown_folders_are_named_with_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let message = detect(dir.path()).unwrap_err().to_string();
    assert!(message.contains("images/ and labels/") && message.contains("trainannot/"), "{message}");
    let missing = dir.path().join("nowhere");
    assert!(detect(&missing).unwrap_err().to_string().contains("nowhere"));
    std::fs::create_dir_all(dir.path().join("images")).unwrap();
    std::fs::create_dir_all(dir.path().join("labels")).unwrap();
    assert!(matches!(load(dir.path(), &Options::default()), Err(DataError::Empty { .. })));
}

#[test]
fn what_systems_leave_in_folders_is_passed_over() {
    let dir = small();
    for name in
        ["images/._0000.webp", "labels/._0000.png", "labels/.DS_Store", "images/Thumbs.db", "._images"]
    {
        std::fs::write(dir.path().join(name), b"\0\x05\x16\x07").unwrap();
    }
    for name in ["labels/.ipynb_checkpoints", "images/@eaDir", "__MACOSX"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    assert_eq!(names(&load(dir.path(), &Options::default()).unwrap()).len(), 4);
    let dir = camvid();
    std::fs::write(dir.path().join("train/._a.png"), b"").unwrap();
    std::fs::write(dir.path().join("trainannot/._a.png"), b"").unwrap();
    assert_eq!(names(&load(dir.path(), &Options::default()).unwrap()), ["train/a", "train/b", "val/c"]);
}

#[test]
fn endings_in_capitals_count_and_two_files_for_one_sample_are_refused() {
    let dir = camvid();
    let at = |name: &str| dir.path().join(name);
    std::fs::rename(at("train/a.png"), at("train/a.PNG")).unwrap();
    // Decoded by its content.
    std::fs::rename(at("train/b.png"), at("train/b.jpeg")).unwrap();
    assert_eq!(names(&load(dir.path(), &Options::default()).unwrap()), ["train/a", "train/b", "val/c"]);
    std::fs::copy(at("train/a.PNG"), at("train/a.jpg")).unwrap();
    let message = load(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(message.contains("a.PNG and") && message.contains("two files for one sample"), "{message}");
}

/// Five classes in the layout of CamVid, of which `ids` are used.
fn own(ids: &[u8], labels: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (i, &id) in ids.iter().enumerate() {
        write_image(&dir.path().join(format!("train/{i}.png")), (4, 4), [9; 3]);
        write_labels(&dir.path().join(format!("trainannot/{i}.png")), (4, 4), id);
    }
    std::fs::write(dir.path().join(OWN_LABELS), labels).unwrap();
    dir
}

const FIVE: &str = "name: yard\nignore: [0]\nclasses:\n\
    - {name: path, color: '#804080', ids: [10], drivable: true}\n\
    - {name: grass, color: '#00FF00', ids: [20, 21]}\n\
    - {name: shed, color: '#464646', ids: [30]}\n\
    - {name: sky, color: '#4682B4', ids: [40]}\n\
    - {name: dog, color: '#DC143C', ids: [50]}\n";

#[test]
fn a_label_set_beside_the_data_is_the_data_s() {
    let dir = own(&[10, 21, 50, 0], FIVE);
    let dataset = load(dir.path(), &Options::default()).unwrap();
    assert_eq!((dataset.labels.name.as_str(), dataset.labels.len()), ("yard", 5));
    assert!(dataset.labels.classes[0].drivable && !dataset.labels.classes[4].drivable);
    let ids: Vec<u8> = dataset.samples.iter().map(|sample| sample.labels.get_pixel(0, 0).0[0]).collect();
    assert_eq!(ids, [0, 1, 4, IGNORE]);
    let message = load(own(&[10, 11, 12], FIVE).path(), &Options::default()).unwrap_err().to_string();
    assert!(
        message.contains("unknown ids 11, 12; label set yard") && message.contains("10, 20, 21, 30"),
        "{message}"
    );
}

#[test]
fn a_label_set_by_option_goes_before_the_one_beside_the_data() {
    let dir = own(&[1, 2], FIVE);
    let file = dir.path().join("other.yaml");
    let two = "{name: two, classes: [{name: a, color: '#000001', ids: [1]}, {name: b, color: '#000002', ids: [2]}]}";
    std::fs::write(&file, two).unwrap();
    let reading = Reading { labels: Some(file.clone()), coding: None };
    let options = Options { reading, ..Options::default() };
    assert_eq!(load(dir.path(), &options).unwrap().labels.name, "two");
    std::fs::write(&file, two.replace("name: two", "name: camvid")).unwrap();
    let message = load(dir.path(), &options).unwrap_err().to_string();
    assert!(message.contains("other.yaml") && message.contains("is built in"), "{message}");
    std::fs::write(&file, "classes: [").unwrap();
    let message = load(dir.path(), &options).unwrap_err().to_string();
    assert!(message.contains("other.yaml: label set: "), "{message}");
}
