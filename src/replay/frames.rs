//! The camera's frames in order, each with its label, and what else a recording says of the camera.

use std::collections::VecDeque;
use std::time::Duration;

use super::label_topics::{LabelTopics, Names, names};
use super::truth::{Label, Place, Truth, stamp_of};
use super::{ReplayError, Selection, topics};
use crate::bag::camera::{CAMERA_INFO, calibrated_size, camera_image};
use crate::bag::reader::{Message, Reader, Wish};
use crate::bag::{BagError, Losses};
use crate::frame::CameraImage;

/// What comes next.
pub(super) enum Event {
    /// The size at which the camera is calibrated.
    Size((u32, u32)),
    /// A frame.
    Frame(Box<Arriving>),
    /// Labels of a frame that are assessed, recorded at this time.
    Labels(i64, Result<CameraImage, BagError>),
    /// What the ids in those mean, recorded at this time.
    Names(i64, Result<Names, String>),
}

/// A frame as it arrives.
pub(super) struct Arriving {
    /// As it was recorded.
    pub message: Message,
    /// The place of its recording among those that are replayed.
    pub recording: usize,
    /// The image, still encoded.
    pub image: Result<CameraImage, BagError>,
    /// Whether it is to be assessed.
    pub due: bool,
    /// What is in it.
    pub label: Option<Label>,
}

/// The frames of a selection.
pub(super) struct Frames {
    reader: Reader,
    /// Where labels come from.
    pub truth: Option<Truth>,
    topic: String,
    info: String,
    label_topics: Option<LabelTopics>,
    recorded: i64,
    begin: i64,
    /// Until when messages count; from before all on once one came from after the selection.
    end: i64,
    /// When the selection ends.
    selected: i64,
    every: u64,
    /// Messages that were read too early, each with its recording.
    ahead: VecDeque<(Message, usize)>,
    /// Frames so far, those before the beginning too.
    index: u64,
    /// When the last of them was taken.
    before: Option<i64>,
    /// Frames of the selection so far.
    pub met: u64,
}

impl Frames {
    pub(super) fn open(
        selection: &Selection,
        topic: &str,
        label_topics: Option<LabelTopics>,
        truth: Option<Truth>,
    ) -> Result<Self, ReplayError> {
        let info = topics::camera_info(topic);
        let mut all = vec![topic.to_owned(), info.clone()];
        all.extend(label_topics.iter().flat_map(|topics| [topics.labels.clone(), topics.info.clone()]));
        let wish = Wish { topics: all, kinds: Vec::new() };
        let reader = Reader::open(&selection.bags, &wish)?;
        let recorded = reader.start().unwrap_or_default();
        let begin = recorded.saturating_add(nanos(selection.start));
        let end = selection.duration.map_or(i64::MAX, |duration| begin.saturating_add(nanos(duration)));
        let every = selection.every.max(1);
        let ahead = VecDeque::new();
        Ok(Self {
            reader,
            truth,
            topic: topic.to_owned(),
            info,
            label_topics,
            recorded,
            begin,
            end,
            selected: end,
            every,
            ahead,
            index: 0,
            before: None,
            met: 0,
        })
    }

    /// When the recording begins, in nanoseconds since 1970.
    pub(super) fn recorded(&self) -> i64 {
        self.recorded
    }

    /// When the selection begins, in nanoseconds since 1970.
    pub(super) fn begin(&self) -> i64 {
        self.begin
    }

    /// When the selection ends, or the recording within it, of whatever topic; what is known of it, as long as
    /// there is a next event.
    pub(super) fn end(&self) -> Option<i64> {
        Some(self.reader.end()?.min(self.selected))
    }

    /// How much of the recordings is read, of 1.
    pub(super) fn share(&self) -> f64 {
        self.reader.share()
    }

    /// What could not be read so far.
    pub(super) fn losses(&self) -> &Losses {
        self.reader.losses()
    }

    /// The next of what the selection holds.
    pub(super) fn next(&mut self) -> Result<Option<Event>, ReplayError> {
        while let Some((message, recording)) = self.ahead.pop_front().or_else(|| self.pull()) {
            if *message.topic == *self.info {
                if &*message.kind == CAMERA_INFO
                    && let Ok(size) = calibrated_size(&message.data)
                {
                    return Ok(Some(Event::Size(size)));
                }
                continue;
            }
            if *message.topic != *self.topic {
                match self.of_labels(&message) {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            let image = camera_image(&message.kind, &message.data);
            let stamp = image.as_ref().map_or(message.stamp, |image| stamp_of(image, message.stamp));
            let (index, before) = (self.index, self.before.replace(stamp));
            self.index += 1;
            if message.stamp < self.begin {
                continue;
            }
            if message.stamp > self.end {
                // Nothing after it counts, whatever its stamp.
                self.end = i64::MIN;
                return Ok(None);
            }
            let due = self.met.is_multiple_of(self.every);
            self.met += 1;
            let mut label = None;
            if self.truth.is_some() {
                let after = self.after();
                let place = Place { index, stamp, before, after };
                label = self.truth.as_mut().map_or(Ok(None), |truth| truth.of(place))?;
            }
            return Ok(Some(Event::Frame(Box::new(Arriving { message, recording, image, due, label }))));
        }
        Ok(None)
    }

    /// Labels of the selection, or what is said of their ids, which holds from the beginning of the recording.
    fn of_labels(&self, message: &Message) -> Option<Event> {
        let label_topics = self.label_topics.as_ref()?;
        if *message.topic == *label_topics.info {
            return Some(Event::Names(message.stamp, names(message)));
        }
        (self.begin..=self.end)
            .contains(&message.stamp)
            .then(|| Event::Labels(message.stamp, camera_image(&message.kind, &message.data)))
    }

    /// When the next message was recorded, if it is of the selection.
    pub(super) fn upcoming(&mut self) -> Option<i64> {
        if self.ahead.is_empty() {
            let next = self.pull();
            self.ahead.extend(next);
        }
        let stamp = self.ahead.front()?.0.stamp;
        (stamp <= self.end).then_some(stamp)
    }

    /// When the next frame was taken.
    fn after(&mut self) -> Option<i64> {
        let mut place = 0;
        loop {
            while let Some((message, _)) = self.ahead.get(place) {
                if *message.topic == *self.topic {
                    let image = camera_image(&message.kind, &message.data);
                    return Some(image.map_or(message.stamp, |image| stamp_of(&image, message.stamp)));
                }
                place += 1;
            }
            let next = self.pull()?;
            self.ahead.push_back(next);
        }
    }

    fn pull(&mut self) -> Option<(Message, usize)> {
        let message = self.reader.next()?;
        Some((message, self.reader.recording().unwrap_or_default()))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::cdr::encode;
    use crate::bag::message::Image;
    use crate::bag::schema::{Definition, IMAGE};
    use crate::bag::writer::{BagWriter, Offer};
    use crate::replay::Pace;
    use crate::watch::parameters::Parameters;

    /// The fields of camera_info that come before those that nobody reads here.
    const INFO: &[u8] =
        &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0, 64, 0, 0, 0];

    #[test]
    fn camera_info_from_before_the_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.mcap");
        let mut bag = BagWriter::create(&path).unwrap();
        static CAMERA: Definition = Definition { name: CAMERA_INFO, text: "", nested: &[] };
        let info = bag.topic("/front/camera_info", &CAMERA, Offer::Reliable).unwrap();
        let image = bag.topic("/front/image", &IMAGE, Offer::SensorData).unwrap();
        bag.write_encoded(info, 1_000_000_000, INFO).unwrap();
        for second in 1..4 {
            bag.write_encoded(image, second * 1_000_000_000, &encode(&Image::default()).unwrap()).unwrap();
        }
        bag.finish().unwrap();
        let selection = Selection {
            bags: vec![path],
            topic: None,
            start: Duration::from_secs(2),
            duration: None,
            every: 1,
            parameters: Parameters::default(),
            pace: Pace::EveryFrame,
            segmentation: None,
            labels: None,
            resume: false,
        };
        let mut frames = Frames::open(&selection, "/front/image", None, None).unwrap();
        assert!(matches!(frames.next().unwrap(), Some(Event::Size((64, 48)))));
        let Some(Event::Frame(arriving)) = frames.next().unwrap() else { panic!("no frame") };
        assert_eq!(arriving.message.stamp, 3_000_000_000);
        assert!(frames.next().unwrap().is_none());
        assert_eq!(frames.end(), Some(3_000_000_000));
        for (ms, end) in [(500, 2_500_000_000), (60_000, 3_000_000_000)] {
            let (start, duration) = (Duration::from_secs(1), Some(Duration::from_millis(ms)));
            let selection = Selection { start, duration, ..selection.clone() };
            let mut frames = Frames::open(&selection, "/front/image", None, None).unwrap();
            while frames.next().unwrap().is_some() {}
            assert_eq!(frames.end(), Some(end), "{ms} ms from 2 s on");
        }
    }
}
