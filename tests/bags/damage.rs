//! Bags that were cut, or of which a byte was changed.

use std::fs;
use std::ops::Range;
use std::path::Path;

use mcap::Compression;
use mcap::records::MessageHeader;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::making::{self, Form, Recorded, STORAGES, Storage, Zstd};
use super::{MEMORY, drive, read, read_with_trust};
use synthcp_monitor::bag::reader::{Reader, Trust, Wish};

/// Less than this is in use at any time, whatever a file says.
const MOST: usize = 1 << 30;

/// A bag of one file, and for each message the bytes without which it cannot be read.
struct Whole {
    form: Form,
    bytes: Vec<u8>,
    ending: String,
    messages: Vec<Recorded>,
    extents: Vec<Range<usize>>,
}

impl Whole {
    fn new(storage: Storage, zstd: Zstd) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bag = super::bag(folder.path(), "bag");
        let messages = drive(12);
        let form = Form { storage, zstd, splits: 1, metadata: None };
        let file = making::write(&bag, form, &messages).remove(0);
        let bytes = fs::read(&file).unwrap();
        let extents = messages.iter().map(|message| extent(form, message, &bytes)).collect();
        let ending = file.file_name().unwrap().to_str().unwrap().replacen("bag_0", "", 1);
        Self { form, bytes, ending, messages, extents }
    }

    /// What is read of these bytes.
    fn read(&self, folder: &Path, bytes: &[u8]) -> (Vec<(Recorded, Trust)>, Vec<String>) {
        let file = folder.join(format!("damaged{}", self.ending));
        fs::write(&file, bytes).unwrap();
        let found = read_with_trust(&[file], &Wish::default());
        assert!(found.0.len() <= self.messages.len());
        found
    }

    /// Those of the messages that are wholly before `place`.
    fn before(&self, place: usize) -> impl Iterator<Item = &Recorded> {
        let before = self.messages.iter().zip(&self.extents).filter(move |(_, extent)| extent.end <= place);
        before.map(|(message, _)| message)
    }
}

/// From a message's first byte to its last one; the chunk's, the page's, where it lies in one. In a file that
/// is compressed as a whole nobody can tell, and the message is taken to need all of it.
fn extent(form: Form, message: &Recorded, bytes: &[u8]) -> Range<usize> {
    let find = |data: &[u8]| {
        let at = bytes.windows(data.len()).position(|window| window == data).unwrap();
        at..at + data.len()
    };
    let data = match form.zstd {
        Zstd::Message => zstd::encode_all(&message.data[..], 1).unwrap(),
        _ => message.data.clone(),
    };
    match (form.zstd, form.storage) {
        (Zstd::File, _) => 0..bytes.len(),
        (_, Storage::Chunks(Some(_))) => {
            let chunks = mcap::Summary::read(bytes).unwrap().unwrap().chunk_indexes;
            let holds = |chunk: &&mcap::records::ChunkIndex| {
                (chunk.message_start_time..=chunk.message_end_time).contains(&message.stamp)
            };
            let chunk = chunks.iter().find(holds).unwrap();
            chunk.chunk_start_offset as usize..(chunk.chunk_start_offset + chunk.chunk_length) as usize
        }
        (_, Storage::Chunks(None) | Storage::Unindexed) => find(&data),
        // Longer ones go over several pages, and before them lie the links from page to page.
        (_, Storage::Db3) if data.len() > 1000 => 0..bytes.len(),
        (_, Storage::Db3) => {
            let Range { start, end } = find(&data);
            start..end.next_multiple_of(4096)
        }
    }
}

fn wholes() -> Vec<Whole> {
    let mut wholes: Vec<_> = STORAGES.into_iter().map(|storage| Whole::new(storage, Zstd::None)).collect();
    wholes.push(Whole::new(Storage::Unindexed, Zstd::Message));
    wholes.push(Whole::new(Storage::Chunks(Some(Compression::Lz4)), Zstd::File));
    wholes.push(Whole::new(Storage::Db3, Zstd::File));
    wholes
}

#[test]
fn of_a_file_that_was_cut_everything_before_the_cut_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(1);
    for whole in wholes() {
        let mut read = 0;
        for _ in 0..50 {
            let place = random.random_range(0..whole.bytes.len());
            let (found, losses) = whole.read(folder.path(), &whole.bytes[..place]);
            let form = whole.form;
            let holds = |message: &Recorded| found.iter().any(|(found, _)| found == message);
            for message in whole.before(place) {
                assert!(holds(message), "{form:?} cut at {place}: {losses:?}");
            }
            let mut sound = found.iter().filter(|(_, trust)| *trust == Trust::Sound);
            assert!(sound.all(|(message, _)| whole.messages.contains(message)), "{form:?} cut at {place}");
            let lost = found.len() < whole.messages.len();
            assert!(!losses.is_empty() || !lost, "{form:?} cut at {place}: a loss that nobody tells");
            read += found.len();
        }
        // About half of it, and no less than a quarter where much is needed to read anything. A small file that
        // is compressed as a whole is one block of zstd, of which half is nothing.
        if whole.form.zstd != Zstd::File {
            assert!(read > 50 * whole.messages.len() / 4, "{:?}: {read}", whole.form);
        }
    }
    assert!(MEMORY.peak_usage() < MOST);
}

#[test]
fn of_a_file_with_a_wrong_byte_everything_before_it_and_what_is_whole_behind_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(2);
    for whole in wholes() {
        let (mut read, mut untold) = (0, 0);
        for _ in 0..200 {
            let place = random.random_range(0..whole.bytes.len());
            let mut bytes = whole.bytes.clone();
            bytes[place] ^= random.random_range(1..=255u8);
            let (found, losses) = whole.read(folder.path(), &bytes);
            let form = whole.form;
            let holds = |message: &Recorded| found.iter().any(|(found, _)| found == message);
            for message in whole.before(place) {
                assert!(holds(message), "{form:?}, byte {place}: {losses:?}");
            }
            let intact = found.iter().filter(|(message, _)| whole.messages.contains(message)).count();
            read += intact;
            untold += usize::from(losses.is_empty() && intact < whole.messages.len());
        }
        // In chunks nothing goes wrong unseen; other files have no checksums for what messages contain.
        if let Storage::Chunks(_) = whole.form.storage {
            assert_eq!(untold, 0, "{:?}", whole.form);
        }
        if whole.form.zstd != Zstd::File {
            let share = read as f64 / (200 * whole.messages.len()) as f64;
            assert!(share > 0.9, "{:?}: {share}", whole.form);
        }
    }
    assert!(MEMORY.peak_usage() < MOST);
}

#[test]
fn messages_of_a_chunk_that_fails_its_checksum_are_doubtful() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::new(Storage::Chunks(None), Zstd::None);
    let mut bytes = whole.bytes.clone();
    // A pixel of the first frame.
    bytes[whole.extents[1].end - 1] ^= 1;
    let file = folder.path().join("bag.mcap");
    fs::write(&file, bytes).unwrap();
    let mut reader = Reader::open(&[file], &Wish::default()).unwrap();
    let trust: Vec<Trust> = reader.by_ref().map(|message| message.trust).collect();
    assert_eq!(trust.len(), whole.messages.len());
    let doubtful = trust.iter().take_while(|&&trust| trust == Trust::Doubtful).count();
    assert!((2..50).contains(&doubtful) && trust[doubtful..].iter().all(|&trust| trust == Trust::Sound));
    assert_eq!(reader.losses().count(), 1);
    let told = reader.losses().named()[0].to_string();
    assert!(told.contains("fails its checksum"), "{told}");
}

#[test]
fn a_chunk_or_a_message_that_unpacks_without_end_is_skipped_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let messages = drive(2);
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 3 << 29), 1).unwrap();
    let file = folder.path().join("bag.mcap");
    let mut writer =
        mcap::WriteOptions::new().use_chunks(false).create(fs::File::create(&file).unwrap()).unwrap();
    let schema = writer.add_schema(messages[1].kind, "ros2msg", b"").unwrap();
    let channel_id = writer.add_channel(schema, messages[1].topic, "cdr", &Default::default()).unwrap();
    for data in [&messages[1].data, &bomb, &messages[1].data] {
        let header = MessageHeader { channel_id, sequence: 0, log_time: messages[1].stamp, publish_time: 0 };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let (found, losses) = read(&[file], &Wish::default());
    assert_eq!(found, [messages[1].clone(), messages[1].clone()]);
    assert!(losses.len() == 1 && losses[0].contains("unpacks to more than"), "{losses:?}");
    assert!(MEMORY.peak_usage() < MOST);
}
