//! Writes MCAP files as rosbag2 does: profile `ros2`, CDR, definitions and QoS inside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use mcap::records::MessageHeader;
use mcap::{Compression, McapError, WriteOptions, Writer};

use super::message::Message;
use super::schema::Definition;
use super::{BagError, cdr};

/// How a topic was offered, so that `ros2 bag play` offers it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Best effort, depth 5: a camera.
    SensorData,
    /// Reliable, depth 10.
    Reliable,
    /// Reliable, and the last message goes to late subscribers as well.
    Latched,
}

impl Offer {
    /// The profile as rosbag2 writes it from Jazzy on (metadata version 9).
    fn profile(self) -> String {
        let (depth, reliability, durability) = match self {
            Self::SensorData => (5, "best_effort", "volatile"),
            Self::Reliable => (10, "reliable", "volatile"),
            Self::Latched => (1, "reliable", "transient_local"),
        };
        // The longest time there is: no limit.
        let unlimited = "\n    sec: 9223372036\n    nsec: 854775807";
        format!(
            "- history: keep_last\n  depth: {depth}\n  reliability: {reliability}\n  durability: {durability}\n  \
             deadline:{unlimited}\n  lifespan:{unlimited}\n  liveliness: automatic\n  \
             liveliness_lease_duration:{unlimited}\n  avoid_ros_namespace_conventions: false\n"
        )
    }
}

/// A topic of a bag that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic(u16);

/// A bag that is being written.
pub(crate) struct BagWriter {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    bytes: u64,
}

impl BagWriter {
    /// Creates the file, or truncates it.
    pub fn create(path: &Path) -> Result<Self, BagError> {
        let file = fs_err::File::create(path)?.into_file();
        let options = WriteOptions::new()
            .profile("ros2")
            .library(concat!("synthcp_monitor ", env!("CARGO_PKG_VERSION")))
            .compression(Some(Compression::Zstd));
        let path = path.to_owned();
        match options.create(BufWriter::new(file)) {
            Ok(writer) => Ok(Self { path, writer, bytes: 0 }),
            Err(reason) => Err(BagError::Mcap { path, reason }),
        }
    }

    /// Adds a topic by its full name, such as `/monitor/report`.
    pub fn topic(&mut self, name: &str, definition: &Definition, offer: Offer) -> Result<Topic, BagError> {
        let text = definition.concatenated();
        let metadata = BTreeMap::from([("offered_qos_profiles".to_owned(), offer.profile())]);
        let channel = self
            .writer
            .add_schema(definition.name, "ros2msg", text.as_bytes())
            .and_then(|schema| self.writer.add_channel(schema, name, "cdr", &metadata));
        Ok(Topic(self.checked(channel)?))
    }

    /// Writes a message that came at `time`, in nanoseconds since 1970.
    pub fn write<M: Message>(&mut self, topic: Topic, time: u64, message: &M) -> Result<(), BagError> {
        self.write_encoded(topic, time, &cdr::encode(message)?)
    }

    /// Writes the bytes of a message as they came over the wire, encapsulation included.
    pub(crate) fn write_encoded(&mut self, topic: Topic, time: u64, bytes: &[u8]) -> Result<(), BagError> {
        let header = MessageHeader { channel_id: topic.0, sequence: 0, log_time: time, publish_time: time };
        let written = self.writer.write_to_known_channel(&header, bytes);
        self.checked(written)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes what is to be known of the file, by name.
    pub(crate) fn note(&mut self, name: &str, facts: BTreeMap<String, String>) -> Result<(), BagError> {
        let noted =
            self.writer.write_metadata(&mcap::records::Metadata { name: name.to_owned(), metadata: facts });
        self.checked(noted)
    }

    /// Bytes of the messages so far, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the index and closes the file; without this call the file is like one after a crash.
    pub fn finish(mut self) -> Result<(), BagError> {
        let finished = self.writer.finish();
        self.checked(finished)?;
        // Dropped without a check, the buffer's last bytes might be missing.
        let Self { path, writer, .. } = self;
        let flushed = writer.into_inner().into_inner().map(drop);
        flushed.map_err(|error| BagError::Mcap { path, reason: McapError::Io(error.into_error()) })
    }

    fn checked<T>(&self, result: Result<T, McapError>) -> Result<T, BagError> {
        result.map_err(|reason| BagError::Mcap { path: self.path.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::{Header, LabelInfo, MonitorReport, Text};

    #[test]
    fn a_reader_finds_topics_types_and_messages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bag.mcap");
        let report = MonitorReport {
            header: Header { frame_id: "front".to_owned(), ..Header::default() },
            frames_received: u64::MAX,
            ..MonitorReport::default()
        };
        let mut bag = BagWriter::create(&path).unwrap();
        let reports = bag.topic("/monitor/report", MonitorReport::DEFINITION, Offer::Reliable).unwrap();
        let models = bag.topic("/monitor/model_info", Text::DEFINITION, Offer::Latched).unwrap();
        bag.topic("/monitor/label_info", LabelInfo::DEFINITION, Offer::Latched).unwrap();
        bag.write(models, 4, &Text { data: "ours".to_owned() }).unwrap();
        bag.write(reports, 5, &report).unwrap();
        bag.write_encoded(reports, 6, &cdr::encode(&report).unwrap()).unwrap();
        bag.finish().unwrap();

        let file = std::fs::read(&path).unwrap();
        let summary = mcap::Summary::read(&file).unwrap().unwrap();
        assert_eq!(summary.channels.len(), 3);
        let messages: Vec<_> = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap).collect();
        assert_eq!(messages.iter().map(|message| message.log_time).collect::<Vec<_>>(), [4, 5, 6]);
        let last = &messages[2];
        assert_eq!(last.channel.topic, "/monitor/report");
        assert_eq!(last.channel.message_encoding, "cdr");
        let schema = last.channel.schema.as_ref().unwrap();
        assert_eq!(
            (schema.name.as_str(), schema.encoding.as_str()),
            (MonitorReport::DEFINITION.name, "ros2msg")
        );
        assert_eq!(cdr::decode::<MonitorReport>(&last.data).unwrap(), report);
        let profiles = &messages[0].channel.metadata["offered_qos_profiles"];
        let parsed: serde_norway::Value = serde_norway::from_str(profiles).unwrap();
        assert_eq!(parsed[0]["durability"], "transient_local");
        assert_eq!(parsed[0]["lifespan"]["nsec"], 854_775_807);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = BagWriter::create(Path::new("/nowhere/bag.mcap")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/bag.mcap"), "{error}");
    }
}
