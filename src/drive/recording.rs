//! A drive as a viewer records it. In come messages, as they came over the wire; out come a bag, a film
//! and a page.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use fs_err as fs;
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageEncoder, ImageError, ImageFormat, RgbImage};

use super::film::Film;
use super::journal::{Entry, Journal};
use super::page;
use crate::bag::message::{CompressedImage, Image, LabelInfo, Message, MonitorReport, Text, Time};
use crate::bag::writer::{BagWriter, Offer, Topic};
use crate::bag::{BagError, cdr};
use crate::frame::{FrameError, RawImage, decode_raw};
use crate::watch::validity::Validity;
use crate::whole_file;

/// At this size of the bag, in bytes, images are no longer written; reports still are.
const ENOUGH: u64 = 1_000_000_000;
/// Quality of JPEG images.
const QUALITY: u8 = 90;

/// Why a drive cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The bag.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// A file beside it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An image that arrived and cannot be read.
    #[error("image: {0}")]
    Frame(FrameError),
    /// An image that cannot be compressed.
    #[error("image: {0}")]
    Picture(ImageError),
    /// A message that is not a map of scores.
    #[error(
        "a map of {width}x{height} in {encoding} has {len} bytes of data; expected 32FC1 or mono8, packed"
    )]
    Map {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// What the message says.
        encoding: String,
        /// Bytes present.
        len: usize,
    },
}

impl RecordingError {
    /// Whether only the message at hand is lost.
    pub fn is_of_one_message(&self) -> bool {
        match self {
            Self::Bag(error) => matches!(error, BagError::Encapsulation { .. } | BagError::Cdr { .. }),
            Self::Io(_) => false,
            Self::Frame(_) | Self::Picture(_) | Self::Map { .. } => true,
        }
    }
}

/// What a topic carries, and so how it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Into the bag unchanged, and into the journal.
    Report,
    /// Into the bag unchanged.
    LabelInfo,
    /// Into the bag unchanged.
    ModelInfo,
    /// The camera's image: into the bag as JPEG.
    Camera,
    /// Into the bag as JPEG.
    Photo,
    /// Into the bag as JPEG, and into film and journal.
    Overlay,
    /// Flat colours: into the bag as PNG.
    Labels,
    /// One number per pixel: into the bag as a PNG of 8 bits, in which 255 stands for 1.
    Map,
}

impl Content {
    /// The ROS type on the wire.
    pub fn message_type(self) -> &'static str {
        match self {
            Self::Report => MonitorReport::DEFINITION.name,
            Self::LabelInfo => LabelInfo::DEFINITION.name,
            Self::ModelInfo => Text::DEFINITION.name,
            Self::Camera | Self::Photo | Self::Overlay | Self::Labels | Self::Map => Image::DEFINITION.name,
        }
    }

    /// How the topic is offered: the latched ones also to those who come late.
    pub fn offer(self) -> Offer {
        match self {
            Self::LabelInfo | Self::ModelInfo => Offer::Latched,
            Self::Camera => Offer::SensorData,
            Self::Report | Self::Photo | Self::Overlay | Self::Labels | Self::Map => Offer::Reliable,
        }
    }

    /// Whether it is an image, which the bag holds as a `CompressedImage`.
    pub fn is_picture(self) -> bool {
        !matches!(self, Self::Report | Self::LabelInfo | Self::ModelInfo)
    }
}

/// The topics of a drive, relative to the node's namespace.
pub const TOPICS: [(&str, Content); 10] = [
    ("monitor/label_info", Content::LabelInfo),
    ("monitor/model_info", Content::ModelInfo),
    ("monitor/report", Content::Report),
    ("image", Content::Camera),
    ("monitor/overlay", Content::Overlay),
    ("monitor/labels_color", Content::Labels),
    ("monitor/reconstruction", Content::Photo),
    ("monitor/error_probability", Content::Map),
    ("monitor/anomaly_score", Content::Map),
    ("monitor/anomaly_mask", Content::Map),
];

/// A drive that is being recorded into a folder.
pub struct Recording {
    folder: PathBuf,
    bag: BagWriter,
    topics: [Topic; TOPICS.len()],
    journal: Journal,
    film: Film,
    /// For each image topic, the stamp of its newest image.
    newest: [Option<Time>; TOPICS.len()],
    limit: u64,
    ended: bool,
}

/// The part of a report that is shown at once.
#[derive(Clone, Debug, PartialEq)]
pub enum News<'a> {
    /// A frame was assessed.
    Frame(&'a Entry),
    /// There is no frame to assess, for this reason.
    Silence(Validity, String),
}

/// The files of a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The page to read.
    pub page: PathBuf,
    /// The film; none without an overlay.
    pub film: Option<PathBuf>,
    /// The bag.
    pub bag: PathBuf,
}

impl Recording {
    /// Makes the folder and begins the bag in it. `namespace` is the node's, such as `/`.
    pub fn create(folder: &Path, namespace: &str) -> Result<Self, RecordingError> {
        fs::create_dir_all(folder)?;
        let mut bag = BagWriter::create(&folder.join("demo.mcap"))?;
        let namespace = namespace.trim_end_matches('/');
        let mut topics = Vec::with_capacity(TOPICS.len());
        for (name, content) in TOPICS {
            let definition = match content {
                Content::Report => MonitorReport::DEFINITION,
                Content::LabelInfo => LabelInfo::DEFINITION,
                Content::ModelInfo => Text::DEFINITION,
                _ => CompressedImage::DEFINITION,
            };
            let suffix = if content.is_picture() { "/compressed" } else { "" };
            let full = format!("{namespace}/{name}{suffix}");
            topics.push(bag.topic(&full, definition, content.offer())?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            bag,
            topics: topics.try_into().unwrap_or_else(|_| unreachable!("one per topic")),
            journal: Journal::default(),
            film: Film::default(),
            newest: [None; TOPICS.len()],
            limit: ENOUGH,
            ended: false,
        })
    }

    /// Records a message of `TOPICS[topic]`: its bytes, and when it arrived in nanoseconds since 1970. For a
    /// report, gives the news in it.
    pub fn add(&mut self, topic: usize, time: u64, bytes: &[u8]) -> Result<Option<News<'_>>, RecordingError> {
        let (_, content) = TOPICS[topic];
        match content {
            Content::Report if self.ended => {}
            Content::Report => {
                let report: MonitorReport = cdr::decode(bytes)?;
                self.bag.write_encoded(self.topics[topic], time, bytes)?;
                let silence = News::Silence(Validity::from_number(report.validity), report.reason.clone());
                return Ok(Some(self.journal.add(time, report).map_or(silence, News::Frame)));
            }
            Content::LabelInfo | Content::ModelInfo => {
                self.bag.write_encoded(self.topics[topic], time, bytes)?;
            }
            Content::Camera | Content::Photo | Content::Overlay | Content::Labels | Content::Map => {
                let image: Image = cdr::decode(bytes)?;
                let stamp = image.header.stamp;
                self.newest[topic] = self.newest[topic].max(Some(stamp));
                if self.ended && Some(stamp) > self.last_stamp() {
                    return Ok(None);
                }
                let (format, data) = match content {
                    Content::Map => ("png", png(&gray(&image)?)?),
                    Content::Labels => ("png", png(&rgb(&image)?)?),
                    Content::Overlay => {
                        let image = rgb(&image)?;
                        self.film.add(&image);
                        ("jpeg", jpeg(&image)?)
                    }
                    _ => ("jpeg", jpeg(&rgb(&image)?)?),
                };
                if content == Content::Overlay {
                    self.journal.picture(stamp, &data);
                }
                if self.bag.bytes() < self.limit {
                    let message = CompressedImage { header: image.header, format: format.to_owned(), data };
                    self.bag.write(self.topics[topic], time, &message)?;
                }
            }
        }
        Ok(None)
    }

    /// The drive so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Whether the last report's images have arrived as well, on each topic that has sent any.
    pub fn is_illustrated(&self) -> bool {
        self.newest.iter().flatten().all(|newest| Some(*newest) >= self.last_stamp())
    }

    /// From now on only images of the frames so far are recorded.
    pub fn end_here(&mut self) {
        self.ended = true;
    }

    fn last_stamp(&self) -> Option<Time> {
        self.journal.entries().last().map(|entry| entry.stamp)
    }

    /// Whether images are no longer written because the bag is large.
    pub fn is_full(&self) -> bool {
        self.bag.bytes() >= self.limit
    }

    /// Closes the bag, and writes film and page beside it.
    pub fn finish(self) -> Result<Files, RecordingError> {
        self.bag.finish()?;
        let file = |name: &str| self.folder.join(name);
        let files = Files {
            page: file("report.html"),
            film: (!self.film.is_empty()).then(|| file("overlay.gif")),
            bag: file("demo.mcap"),
        };
        if let Some(path) = &files.film {
            self.film.write(path)?;
        }
        whole_file::write(&files.page, page::render(&self.journal))?;
        Ok(files)
    }
}

fn rgb(image: &Image) -> Result<RgbImage, RecordingError> {
    let image = RawImage {
        width: image.width,
        height: image.height,
        encoding: &image.encoding,
        is_bigendian: image.is_bigendian != 0,
        step: image.step,
        data: &image.data,
    };
    decode_raw(&image, Vec::new()).map_err(RecordingError::Frame)
}

/// A map of scores in \[0, 1\] or a mask, as the monitor sends them: packed.
fn gray(image: &Image) -> Result<GrayImage, RecordingError> {
    let Image { width, height, encoding, data, .. } = image;
    let values = match encoding.as_str() {
        "mono8" => data.clone(),
        "32FC1" => {
            let (values, _) = data.as_chunks::<4>();
            // NaN becomes 0.
            values
                .iter()
                .map(|&bytes| (f32::from_le_bytes(bytes).clamp(0.0, 1.0) * 255.0).round() as u8)
                .collect()
        }
        _ => Vec::new(),
    };
    let complete = values.len() as u64 == u64::from(*width) * u64::from(*height);
    GrayImage::from_raw(*width, *height, values).filter(|_| complete).ok_or_else(|| RecordingError::Map {
        width: *width,
        height: *height,
        encoding: encoding.clone(),
        len: data.len(),
    })
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>, RecordingError> {
    let mut file = Vec::new();
    let (width, height) = image.dimensions();
    JpegEncoder::new_with_quality(&mut file, QUALITY)
        .write_image(image.as_raw(), width, height, image::ExtendedColorType::Rgb8)
        .map_err(RecordingError::Picture)?;
    Ok(file)
}

fn png<P>(image: &image::ImageBuffer<P, Vec<u8>>) -> Result<Vec<u8>, RecordingError>
where
    P: image::PixelWithColorType<Subpixel = u8>,
{
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).map_err(RecordingError::Picture)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::Header;

    fn topic(name: &str) -> usize {
        TOPICS.iter().position(|(known, _)| *known == name).unwrap()
    }

    fn header(sec: i32) -> Header {
        Header { stamp: Time { sec, nanosec: 5 }, frame_id: "front".to_owned() }
    }

    fn picture(sec: i32, encoding: &str, bytes_per_pixel: u32) -> Vec<u8> {
        let (width, height) = (32, 16);
        let data = 0.5f32.to_le_bytes().into_iter().cycle().take((width * height * bytes_per_pixel) as usize);
        cdr::encode(&Image {
            header: header(sec),
            height,
            width,
            encoding: encoding.to_owned(),
            is_bigendian: 0,
            step: width * bytes_per_pixel,
            data: data.collect(),
        })
        .unwrap()
    }

    fn report(sec: i32) -> Vec<u8> {
        cdr::encode(&MonitorReport { header: header(sec), failure_score: 0.25, ..MonitorReport::default() })
            .unwrap()
    }

    fn drive(folder: &Path, limit: u64) -> Recording {
        let mut recording = Recording::create(folder, "/").unwrap();
        recording.limit = limit;
        for sec in 0..3 {
            let time = 1_000_000_000 * sec as u64;
            recording.add(topic("image"), time, &picture(sec, "rgb8", 3)).unwrap();
            let news = recording.add(topic("monitor/report"), time, &report(sec)).unwrap();
            assert!(matches!(news, Some(News::Frame(entry)) if entry.number == sec as usize + 1), "{news:?}");
            recording.add(topic("monitor/error_probability"), time, &picture(sec, "32FC1", 4)).unwrap();
            recording.add(topic("monitor/overlay"), time, &picture(sec, "rgb8", 3)).unwrap();
        }
        recording
    }

    #[test]
    fn a_drive_becomes_a_bag_a_film_and_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let recording = drive(&folder.path().join("made"), ENOUGH);
        assert!(recording.is_illustrated() && !recording.is_full());
        let files = recording.finish().unwrap();
        let page = std::fs::read_to_string(&files.page).unwrap();
        assert!(page.contains("data:image/jpeg;base64,"), "the image of a moment");
        assert!(std::fs::read(files.film.unwrap()).unwrap().starts_with(b"GIF89a"));
        let bag = std::fs::read(&files.bag).unwrap();
        let messages: Vec<_> = mcap::MessageStream::new(&bag).unwrap().map(Result::unwrap).collect();
        let on = |name: &str| messages.iter().filter(|m| m.channel.topic == name).collect::<Vec<_>>();
        assert_eq!(on("/monitor/report").len(), 3);
        assert_eq!(on("/monitor/report")[1].data, report(1), "as it came");
        let map: CompressedImage = cdr::decode(&on("/monitor/error_probability/compressed")[2].data).unwrap();
        assert_eq!((map.header, map.format.as_str()), (header(2), "png"));
        let map = image::load_from_memory(&map.data).unwrap();
        assert_eq!(map.color(), image::ColorType::L8);
        assert!(map.into_luma8().pixels().all(|pixel| pixel.0 == [128]));
        assert_eq!(on("/image/compressed").len(), 3);
    }

    #[test]
    fn after_the_end_only_what_belongs_to_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = drive(folder.path(), ENOUGH);
        let before = recording.bag.bytes();
        recording.end_here();
        assert_eq!(recording.add(topic("monitor/report"), 9, &report(9)).unwrap(), None);
        recording.add(topic("monitor/overlay"), 9, &picture(9, "rgb8", 3)).unwrap();
        assert_eq!((recording.bag.bytes(), recording.film.len()), (before, 3));
        recording.add(topic("monitor/labels_color"), 9, &picture(2, "rgb8", 3)).unwrap();
        assert!(recording.bag.bytes() > before);
    }

    #[test]
    fn a_large_bag_gets_reports_only() {
        let folder = tempfile::tempdir().unwrap();
        let recording = drive(folder.path(), 1);
        assert!(recording.is_full());
        let bag = std::fs::read(recording.finish().unwrap().bag).unwrap();
        let messages = mcap::MessageStream::new(&bag).unwrap().map(Result::unwrap);
        let topics: Vec<String> = messages.map(|message| message.channel.topic.clone()).collect();
        assert_eq!(topics.iter().filter(|topic| *topic == "/monitor/report").count(), 3);
        assert!(topics.len() <= 4, "{topics:?}");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_the_drive_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::create(folder.path(), "/front").unwrap();
        let error = recording.add(topic("monitor/report"), 0, b"nonsense").unwrap_err();
        assert!(error.is_of_one_message());
        let message = recording.add(topic("monitor/anomaly_score"), 0, &picture(0, "rgb8", 3)).unwrap_err();
        assert!(message.to_string().contains("32x16 in rgb8"), "{message}");
        assert!(recording.add(topic("monitor/overlay"), 0, &picture(0, "32FC1", 4)).is_err());
        assert!(recording.add(topic("monitor/report"), 0, &report(1)).unwrap().is_some());
        recording.add(topic("monitor/overlay"), 0, &picture(0, "rgb8", 3)).unwrap();
        assert!(!recording.is_illustrated(), "the overlay is of the frame before");
        let files = recording.finish().unwrap();
        assert!(files.film.is_some());
    }
}
