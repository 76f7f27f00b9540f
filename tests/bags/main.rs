//! Bags in every form that robots record, and damaged ones, through the reader.

#![allow(clippy::unwrap_used)]

mod damage;
mod making;

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use making::{Form, Recorded, STORAGES, Storage, Zstd};
use synthcp_monitor::bag::camera::{CAMERA_INFO, camera_image, is_image};
use synthcp_monitor::bag::cdr::encode;
use synthcp_monitor::bag::message::{CompressedImage, Header, Image, Time};
use synthcp_monitor::bag::reader::{self, Reader, Trust, Wish};
use synthcp_monitor::frame::Content;

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

const IMAGE: &str = "sensor_msgs/msg/Image";
const COMPRESSED: &str = "sensor_msgs/msg/CompressedImage";
const ENCODINGS: [&str; 7] = ["rgb8", "bgr8", "mono8", "bayer_rggb8", "yuv422", "jpeg", "png"];
const TOPICS: [&str; 7] = ["/rgb", "/bgr", "/mono", "/bayer", "/yuv", "/jpeg/compressed", "/png/compressed"];
const WIDTH: u32 = 48;
const HEIGHT: u32 = 20;

/// Frame `number` of the drive that all bags hold.
fn picture(number: u32) -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        image::Rgb([(5 * x + 11 * number) as u8, (9 * y + x * number) as u8, (x * y + 3 * number) as u8])
    })
}

/// What a driver makes of a picture in this encoding.
fn pixels(picture: &RgbImage, encoding: &str) -> Vec<u8> {
    let pixels = || picture.pixels().map(|pixel| pixel.0);
    let mut file = Cursor::new(Vec::new());
    match encoding {
        "rgb8" => picture.as_raw().clone(),
        "bgr8" => pixels().flat_map(|[r, g, b]| [b, g, r]).collect(),
        "mono8" | "bayer_rggb8" => pixels().map(|[_, g, _]| g).collect(),
        "yuv422" => pixels().flat_map(|[r, g, _]| [r, g]).collect(),
        "png" => {
            DynamicImage::from(picture.clone()).write_to(&mut file, ImageFormat::Png).unwrap();
            file.into_inner()
        }
        _ => {
            JpegEncoder::new_with_quality(&mut file, 90).encode_image(picture).unwrap();
            file.into_inner()
        }
    }
}

/// A drive of `frames` frames: every encoding on a topic of its own, and one that is not wanted.
fn drive(frames: u32) -> Vec<Recorded> {
    let mut messages = Vec::new();
    for number in 0..frames {
        let header = Header { stamp: Time { sec: number as i32, nanosec: 7 }, frame_id: "front".to_owned() };
        let stamp = 1_700_000_000_000_000_000 + u64::from(number) * 40_000_000;
        let data = [&[0, 1, 0, 0][..], &[100 + number as u8; 40]].concat();
        messages.push(Recorded { topic: "/camera_info", kind: CAMERA_INFO, stamp, data });
        for (place, (topic, encoding)) in TOPICS.into_iter().zip(ENCODINGS).enumerate() {
            let data = pixels(&picture(number), encoding);
            let (kind, data) = match encoding {
                "jpeg" | "png" => {
                    let message = CompressedImage { header: header.clone(), format: encoding.into(), data };
                    (COMPRESSED, encode(&message).unwrap())
                }
                _ => {
                    let step = data.len() as u32 / HEIGHT;
                    let (header, encoding) = (header.clone(), encoding.into());
                    let (height, width, is_bigendian) = (HEIGHT, WIDTH, 0);
                    let message = Image { header, height, width, encoding, is_bigendian, step, data };
                    (IMAGE, encode(&message).unwrap())
                }
            };
            messages.push(Recorded { topic, kind, stamp: stamp + place as u64, data });
        }
    }
    messages
}

/// All messages of the bags, of wanted topics, and the losses.
fn read(bags: &[PathBuf], wish: &Wish) -> (Vec<Recorded>, Vec<String>) {
    let (messages, losses) = read_with_trust(bags, wish);
    (messages.into_iter().map(|(message, _)| message).collect(), losses)
}

fn read_with_trust(bags: &[PathBuf], wish: &Wish) -> (Vec<(Recorded, Trust)>, Vec<String>) {
    let mut reader = Reader::open(bags, wish).unwrap();
    let known: Vec<(&str, &str)> =
        TOPICS.into_iter().chain(["/camera_info"]).map(|topic| (topic, kind_of(topic))).collect();
    let recorded = |message: reader::Message| {
        let (topic, kind) = *known.iter().find(|(topic, _)| *topic == &*message.topic)?;
        let told = message.kind.is_empty() || *message.kind == *kind;
        let trust = message.trust;
        told.then(|| {
            (Recorded { topic, kind, stamp: message.stamp as u64, data: message.data.to_vec() }, trust)
        })
    };
    let messages = reader.by_ref().filter_map(recorded).collect();
    (messages, reader.losses().named().iter().map(ToString::to_string).collect())
}

fn kind_of(topic: &str) -> &'static str {
    match topic {
        "/camera_info" => CAMERA_INFO,
        _ if topic.ends_with("compressed") => COMPRESSED,
        _ => IMAGE,
    }
}

fn images() -> Wish {
    Wish { topics: Vec::new(), kinds: vec![IMAGE.to_owned(), COMPRESSED.to_owned()] }
}

/// A folder for the bag `name`.
fn bag(folder: &Path, name: &str) -> PathBuf {
    let bag = folder.join(name);
    fs::create_dir(&bag).unwrap();
    bag
}

#[test]
fn a_database_of_more_than_is_mapped_before_it_is_mapped_anew_gives_every_message() {
    let folder = tempfile::tempdir().unwrap();
    // 68 MiB; it is mapped anew after 64 MiB.
    let message = |number: u8| Recorded {
        topic: "/rgb",
        kind: IMAGE,
        stamp: u64::from(number),
        data: vec![number; 4 << 20],
    };
    let messages: Vec<Recorded> = (0..17).map(message).collect();
    let path = folder.path().join("long.db3");
    making::write_db3(&path, &messages, false);
    let mut reader = Reader::open(&[path], &Wish::default()).unwrap();
    for message in messages {
        let found = reader.next().unwrap();
        assert!(found.stamp as u64 == message.stamp && found.data == message.data, "{}", message.stamp);
    }
    assert!(reader.next().is_none() && reader.losses().count() == 0);
}

#[test]
fn every_form_gives_every_message_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let messages = drive(7);
    let wanted: Vec<_> = messages.iter().filter(|message| is_image(message.kind)).cloned().collect();
    let mut number = 0;
    for storage in STORAGES {
        for zstd in [Zstd::None, Zstd::File, Zstd::Message] {
            for splits in [1, 3] {
                // Every version, with the storage named and not, and no metadata at all.
                let metadata = (number % 7 < 6).then(|| (4 + number % 7, number % 2 == 0));
                let form = Form { storage, zstd, splits, metadata };
                let bag = bag(folder.path(), &format!("bag{number}"));
                number += 1;
                let files = making::write(&bag, form, &messages);
                assert_eq!(files.len(), splits);
                let (found, losses) = read(std::slice::from_ref(&bag), &images());
                assert_eq!(losses, [""; 0], "{form:?}");
                assert_eq!(found.len(), wanted.len(), "{form:?}");
                assert!(found == wanted, "{form:?}: a message is not as it was written");
                // The end is that of all topics.
                let wish = Wish { topics: vec!["/camera_info".to_owned()], kinds: Vec::new() };
                let mut reader = Reader::open(std::slice::from_ref(&bag), &wish).unwrap();
                let begin_and_end = [&messages[0], &messages[messages.len() - 1]];
                assert_eq!(reader.by_ref().count(), 7, "{form:?}");
                let told = [reader.start(), reader.end()];
                assert_eq!(told, begin_and_end.map(|message| Some(message.stamp as i64)), "{form:?}");
                let names: BTreeSet<_> =
                    reader::topics(&[bag]).unwrap().into_iter().map(|t| t.name).collect();
                assert_eq!(names.len(), TOPICS.len() + 1, "{form:?}");
            }
        }
    }
}

#[test]
fn pixels_are_those_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let bag = bag(folder.path(), "bag");
    let form = Form { storage: STORAGES[1], zstd: Zstd::Message, splits: 3, metadata: None };
    making::write(&bag, form, &drive(5));
    let mut frames = 0;
    for message in Reader::open(&[bag], &images()).unwrap() {
        assert_eq!(message.trust, Trust::Sound);
        let image = camera_image(&message.kind, &message.data).unwrap();
        assert_eq!((image.frame_id.as_str(), image.stamp.nanosec), ("front", 7));
        let picture = picture(image.stamp.sec as u32);
        let (Content::Raw { data, .. } | Content::Compressed { data, .. }) = &image.content;
        let place = TOPICS.iter().position(|topic| *topic == &*message.topic).unwrap();
        assert_eq!(data[..], pixels(&picture, ENCODINGS[place]));
        let shown = image.decode().unwrap();
        assert_eq!(shown.dimensions(), (WIDTH, HEIGHT));
        match ENCODINGS[place] {
            "rgb8" | "bgr8" | "png" => assert_eq!(shown, picture),
            "mono8" => assert!(shown.pixels().zip(picture.pixels()).all(|(a, b)| a.0 == [b.0[1]; 3])),
            _ => {}
        }
        frames += 1;
    }
    assert_eq!(frames, 5 * TOPICS.len());
}

#[test]
fn what_is_still_in_the_log_beside_a_database_is_read_and_nothing_is_written_there() {
    let folder = tempfile::tempdir().unwrap();
    let messages = drive(4);
    let (beside, bag) = (folder.path().join("at_work.db3"), bag(folder.path(), "bag"));
    making::write_db3(&beside, &messages, true);
    for ending in ["", "-wal"] {
        fs::copy(format!("{}{ending}", beside.display()), bag.join(format!("bag_0.db3{ending}"))).unwrap();
    }
    let state = || {
        let files = fs::read_dir(&bag).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| (file.clone(), fs::read(file).unwrap())).collect::<BTreeSet<_>>()
    };
    let before = state();
    let (found, losses) = read(std::slice::from_ref(&bag), &Wish::default());
    assert_eq!(losses, [""; 0]);
    assert_eq!(found, messages);
    assert_eq!(state(), before);
}

#[test]
fn several_bags_are_merged_by_stamp_and_by_their_order_where_stamps_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let mut messages = drive(6);
    messages.iter_mut().for_each(|message| message.stamp -= message.stamp % 40_000_000);
    let of =
        |topic: &str| messages.iter().filter(|message| message.topic == topic).cloned().collect::<Vec<_>>();
    let bags =
        [("mono", "/mono", STORAGES[4]), ("bgr", "/bgr", STORAGES[2]), ("png", TOPICS[6], STORAGES[3])].map(
            |(name, topic, storage)| {
                let bag = bag(folder.path(), name);
                making::write(
                    &bag,
                    Form { storage, zstd: Zstd::None, splits: 2, metadata: None },
                    &of(topic),
                );
                bag
            },
        );
    let (found, losses) = read(&bags, &Wish::default());
    assert_eq!(losses, [""; 0]);
    let order: Vec<&str> = found.iter().map(|message| message.topic).collect();
    assert_eq!(order, ["/mono", "/bgr", TOPICS[6]].repeat(6));
    assert!(found.is_sorted_by_key(|message| message.stamp));
}

#[test]
fn a_part_that_is_missing_is_a_loss_and_no_bag_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bag = bag(folder.path(), "bag");
    let form = Form { storage: Storage::Db3, zstd: Zstd::None, splits: 3, metadata: Some((9, true)) };
    let files = making::write(&bag, form, &drive(6));
    fs::remove_file(&files[1]).unwrap();
    let (found, losses) = read(&[bag], &Wish::default());
    assert_eq!(found.len(), 32);
    assert!(losses[0].contains("bag_1.db3 is not there"), "{losses:?}");
    assert!(losses[1].contains("32 messages are there; metadata.yaml counts 48"), "{losses:?}");

    let text = folder.path().join("notes.txt");
    fs::write(&text, "no bag").unwrap();
    for wrong in [text, folder.path().join("nowhere"), PathBuf::from("/dev/zero")] {
        let error = Reader::open(std::slice::from_ref(&wrong), &Wish::default()).err().unwrap().to_string();
        assert!(error.contains(&wrong.display().to_string()), "{error}");
    }
}
