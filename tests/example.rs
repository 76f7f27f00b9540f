//! The example of the front page, run as a newcomer would.

#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_example_assesses_a_picture_and_writes_its_mask() {
    let folder = tempfile::tempdir().unwrap();
    let [bundle, picture, mask] = ["bundle", "street.png", "errors.png"].map(|name| folder.path().join(name));
    let made =
        Command::new(env!("CARGO_BIN_EXE_synthcp")).args(["bundle", "random", "--out"]).arg(&bundle).output();
    assert!(made.unwrap().status.success());
    image::RgbImage::from_fn(160, 90, |x, y| image::Rgb([x as u8, y as u8, 99])).save(&picture).unwrap();

    // Cargo builds examples with the tests, beside the programs.
    let example =
        std::path::Path::new(env!("CARGO_BIN_EXE_synthcp")).with_file_name("examples").join("assess");
    assert!(
        example.is_file(),
        "{} is not built; `cargo build --release --example assess` does",
        example.display()
    );
    let run = Command::new(&example).args([&bundle, &picture, &mask]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.starts_with("failure score ") && said.contains("% of the pixels"), "{said}");
    assert_eq!(image::open(&mask).unwrap().into_luma8().dimensions(), (160, 90));
    assert!(!Command::new(&example).arg(&bundle).output().unwrap().status.success());
}
