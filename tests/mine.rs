//! `synthcp mine` as its users meet it, with a bundle of random weights.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;
use synthcp_monitor::LabelSet;

fn synthcp(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synthcp"));
    command.current_dir(folder).args(arguments.split_whitespace()).output().unwrap()
}

fn done(folder: &Path, arguments: &str) {
    let out = synthcp(folder, arguments);
    assert!(out.status.success(), "{arguments}: {}", String::from_utf8_lossy(&out.stderr));
}

fn refused(folder: &Path, arguments: &str) -> String {
    let out = synthcp(folder, arguments);
    assert!(!out.status.success(), "{arguments}");
    String::from_utf8(out.stderr).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Ten images of two drives in CamVid's layout, no two the same.
fn data(folder: &Path) {
    for (name, part) in [("train", 0), ("trainannot", 1)] {
        fs::create_dir_all(folder.join("data").join(name)).unwrap();
        for i in 0..10u32 {
            let path = folder.join("data").join(name).join(format!("{}_{i}.png", i / 5));
            let lit = move |x: u32, y: u32| (x * i + y * 7) as u8;
            match part {
                0 => RgbImage::from_fn(96, 48, |x, y| Rgb([lit(x, y), lit(y, x), 90])).save(path),
                _ => GrayImage::from_fn(96, 48, |_, y| Luma([u8::from(y > 20)])).save(path),
            }
            .unwrap();
        }
    }
}

/// What an export must hold of `count` frames.
fn check(out: &Path, count: usize) {
    let list = json(&out.join("mined.json"));
    let frames = list["frames"].as_array().unwrap();
    assert_eq!(frames.len(), count);
    let coco = json(&out.join("coco.json"));
    let images = coco["images"].as_array().unwrap();
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!(images.len(), count);
    let set = LabelSet::by_name("cityscapes").unwrap();
    for image in images {
        let (width, height) = (image["width"].as_u64().unwrap(), image["height"].as_u64().unwrap());
        let of_image: Vec<&Value> = annotations.iter().filter(|a| a["image_id"] == image["id"]).collect();
        // Every pixel has one class, and every class all pixels in its runs.
        let area: u64 = of_image.iter().map(|a| a["area"].as_u64().unwrap()).sum();
        assert_eq!(area, width * height);
        for annotation in &of_image {
            let counts = annotation["segmentation"]["counts"].as_array().unwrap();
            let counts: Vec<u64> = counts.iter().map(|count| count.as_u64().unwrap()).collect();
            assert_eq!(counts.iter().sum::<u64>(), width * height);
            let inside: u64 = counts.iter().skip(1).step_by(2).sum();
            assert_eq!(inside, annotation["area"].as_u64().unwrap());
        }
        let path = image["file_name"].as_str().unwrap();
        assert!(frames.iter().any(|frame| frame["image"] == path));
        assert_eq!(image::image_dimensions(out.join(path)).unwrap(), (width as u32, height as u32));
        let of = |root: &str, ending: &str| {
            let place = path.replace("leftImg8bit/", root).replace("leftImg8bit", ending);
            image::open(out.join(place)).unwrap().into_luma8()
        };
        let ids = of("gtFine/", "gtFine_labelIds");
        assert!(ids.pixels().all(|id| set.classes.iter().any(|class| class.raw.contains(&id.0[0]))));
        for mask in ["wrong", "unknown"] {
            assert!(of("masks/", mask).pixels().all(|pixel| [0, 255].contains(&pixel.0[0])));
        }
    }
    let cvat = fs::read_to_string(out.join("cvat.xml")).unwrap();
    assert_eq!(cvat.matches("<mask ").count(), annotations.len());
    assert_eq!(cvat.matches("<image ").count(), count);
    assert_eq!(fs::read_to_string(out.join("report.html")).unwrap().matches("<figure>").count(), count);
}

#[test]
fn frames_of_a_data_set_are_chosen_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    done(folder.path(), "bundle random --out bundle");
    let mine = "mine --data data --bundle bundle --device cpu --most 4";
    done(folder.path(), &format!("{mine} --out a"));
    check(&folder.path().join("a"), 4);
    done(folder.path(), &format!("{mine} --out b"));
    for file in ["mined.json", "coco.json", "cvat.xml", "report.html"] {
        let read = |out: &str| fs::read(folder.path().join(out).join(file)).unwrap();
        assert!(read("a") == read("b"), "{file}");
    }
    // Of either drive of five, two that are three apart.
    done(folder.path(), "mine --data data --bundle bundle --device cpu --most 9 --gap 3 --out c");
    let frames = json(&folder.path().join("c/mined.json"))["frames"].as_array().unwrap().len();
    assert!((2..=4).contains(&frames), "{frames}");
    let said = refused(folder.path(), &format!("{mine} --gap=-1 --out d"));
    assert!(said.contains("--gap is -1; expected 0 or more"), "{said}");
    let said = refused(folder.path(), &format!("{mine} --out data"));
    assert!(said.contains("folder of their own"), "{said}");
}

#[test]
fn frames_of_replayed_recordings_are_read_again_from_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    done(folder.path(), "bundle random --out bundle");
    done(folder.path(), "street render --town test --seed 7 --frames 6 --bag drive.mcap");
    done(folder.path(), "replay drive.mcap --topic /image --bundle bundle --device cpu --out result");
    done(folder.path(), "mine result --bundle bundle --device cpu --most 3 --gap 0 --out mined");
    check(&folder.path().join("mined"), 3);
    fs::rename(folder.path().join("drive.mcap"), folder.path().join("elsewhere.mcap")).unwrap();
    let said = refused(folder.path(), "mine result --bundle bundle --device cpu --out other");
    assert!(said.contains("its recording") && said.contains("is not there any more"), "{said}");
}
