use super::*;

fn options(town: Town, seed: u64, anomalies: bool) -> DriveOptions {
    DriveOptions { town, seed, anomalies, width: 128, height: 64, ..Default::default() }
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let drive = || Drive::new(&options(Town::Test, 5, true)).take(4).collect::<Vec<_>>();
    let (one, two) = (drive(), drive());
    assert!(one == two);
    assert!(one[0].image != one[3].image, "it moves");
    let other: Vec<_> = Drive::new(&options(Town::Test, 6, true)).take(1).collect();
    assert!(one[0].image != other[0].image, "another seed, another street");
    let elsewhere: Vec<_> = Drive::new(&options(Town::Val, 5, true)).take(1).collect();
    assert!(one[0].image != elsewhere[0].image, "another town");
}

#[test]
fn every_pixel_has_a_class_and_most_classes_are_seen() {
    let set = crate::labels::LabelSet::by_name("cityscapes").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..12 {
        for frame in Drive::new(&DriveOptions { rate: 0.5, ..options(Town::Train, seed, false) }).take(4) {
            seen.extend(frame.labels.as_raw().iter().copied());
            assert!(frame.anomaly.iter().all(|&a| a == 0));
        }
    }
    assert!(seen.iter().all(|&id| usize::from(id) < set.len()), "{seen:?}");
    assert!(seen.len() >= 16, "{seen:?}");
}

#[test]
fn ids_are_those_of_the_label_set() {
    use material::Class;
    let set = crate::labels::LabelSet::by_name("cityscapes").unwrap();
    for (class, name) in [
        (Class::Road, "road"),
        (Class::TrafficLight, "traffic light"),
        (Class::Terrain, "terrain"),
        (Class::Sky, "sky"),
        (Class::Rider, "rider"),
        (Class::Motorcycle, "motorcycle"),
        (Class::Bicycle, "bicycle"),
    ] {
        assert_eq!(set.id(name), Some(class as u8));
    }
}

#[test]
fn anomaly_objects_are_marked_and_have_no_label() {
    let mut covered = 0;
    for seed in 0..6 {
        for frame in Drive::new(&DriveOptions { rate: 1., ..options(Town::Test, seed, true) }).take(8) {
            for (&label, &anomalous) in frame.labels.iter().zip(frame.anomaly.iter()) {
                assert_eq!(label == crate::labels::IGNORE, anomalous == 1);
                covered += usize::from(anomalous == 1);
            }
        }
    }
    let share = covered as f64 / (6. * 8. * 128. * 64.);
    assert!((0.001..0.05).contains(&share), "{share}");
}

#[test]
fn anomaly_objects_change_nothing_else() {
    let clean = Drive::new(&options(Town::Test, 3, false)).nth(6).unwrap();
    let with_objects = Drive::new(&options(Town::Test, 3, true)).nth(6).unwrap();
    let same =
        clean.labels.iter().zip(with_objects.labels.iter()).filter(|(_, s)| **s != 255).all(|(c, s)| c == s);
    assert!(same, "the same street with and without");
}

#[test]
fn each_kind_stands_on_the_ground_and_is_not_too_large() {
    for kind in &anomaly_objects::OBJECT_KINDS {
        let (low, high) = kind.extent();
        assert!(low.y > -0.35, "{} is {} m under the ground", kind.name, -low.y);
        assert!(low.y < 0.2, "{} hovers at {} m", kind.name, low.y);
        let size = high - low;
        assert!(size.x.max(size.y).max(size.z) < 4.5, "{}: {size:?}", kind.name);
        assert!(size.x.max(size.z) < 1.6 * kind.reach(), "{}: {size:?}, {}", kind.name, kind.reach());
    }
}

#[test]
fn a_drive_goes_on_for_long_without_growing() {
    let mut drive = Drive::new(&DriveOptions { rate: 0.3, ..options(Town::Val, 9, true) });
    let counts: Vec<usize> = (0..40)
        .map(|_| {
            drive.frame();
            drive.blocks.len()
        })
        .collect();
    assert!(counts[39] <= counts[5] + 6, "{counts:?}");
}

#[test]
fn layouts_are_read_back() {
    use crate::data::{self, anomaly};
    use crate::labels::{LabelSet, apply_table};
    let folder = tempfile::tempdir().unwrap();
    let drive = options(Town::Test, 2, true);
    let read = |layout: export::Layout, name: &str| {
        let folder = folder.path().join(name);
        export::write(&folder, layout, &drive, 3, || ()).unwrap();
        folder
    };
    let truth: Vec<Rendered> = Drive::new(&drive).take(3).collect();
    let small = data::load(&read(export::Layout::Cityscapes128, "a"), &data::Options::default()).unwrap();
    for (sample, frame) in small.samples.iter().zip(&truth) {
        assert!(sample.labels == frame.labels && sample.image == frame.image);
    }
    let camvid = data::load(&read(export::Layout::CamVid, "b"), &data::Options::default()).unwrap();
    assert_eq!((camvid.samples.len(), camvid.labels.name.as_str()), (3, "camvid"));
    let hazards = read(export::Layout::StreetHazards, "c");
    let labelled = data::load(&hazards, &data::Options::default()).unwrap();
    let onto = LabelSet::by_name("cityscapes").unwrap();
    let onto = onto.map_onto(&labelled.labels).unwrap();
    for (sample, frame) in labelled.samples.iter().zip(&truth) {
        let mut expected = frame.labels.clone();
        apply_table(&mut expected, &onto);
        assert!(sample.labels == expected && sample.name.starts_with("test/test/"), "{}", sample.name);
    }
    let source = anomaly::Source::open(&hazards, None).unwrap();
    for (pair, frame) in source.pairs.pairs.iter().zip(&truth) {
        assert!(source.load(pair).unwrap().truth == frame.anomaly);
    }
}

#[test]
fn a_bag_holds_the_frames_and_the_truth() {
    use crate::bag::{cdr, message::Image};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drive.mcap");
    let drive = options(Town::Test, 2, true);
    bag::write(&path, &drive, 3, || ()).unwrap();
    let file = std::fs::read(&path).unwrap();
    let messages: Vec<_> = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap).collect();
    assert_eq!(messages.len(), 9);
    let frame = Drive::new(&drive).nth(2).unwrap();
    for (message, (topic, data)) in messages[6..].iter().zip([
        ("/image", frame.image.as_raw()),
        ("/labels", frame.labels.as_raw()),
        ("/anomaly", frame.anomaly.as_raw()),
    ]) {
        assert_eq!(message.channel.topic, topic);
        let image: Image = cdr::decode(&message.data).unwrap();
        assert!(&image.data == data, "{topic}");
        assert_eq!((image.width, image.height, image.step), (128, 64, data.len() as u32 / 64));
        assert_eq!(message.log_time - messages[0].log_time, 400_000_000);
    }
}
