//! The ROS side of playing: a node with a publisher for each topic, `/clock`, and the monitor's reports.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt};
use r2r::builtin_interfaces::msg::Time;
use r2r::rosgraph_msgs::msg::Clock;
use r2r::std_msgs::msg::String as Text;
use r2r::synthcp_monitor::msg::MonitorReport;
use r2r::{Node, Publisher, PublisherUntyped, QosProfile};

use super::answers::Answers;
use super::{Pace, PlayError, Playing};
use crate::bag::camera::CAMERA_INFO;
use crate::bag::reader::Topic;
use crate::frame::Stamp;
use crate::node::process::context;
use crate::watch::validity::Validity;

/// Longest time without a look at what has come.
const LOOK: Duration = Duration::from_millis(5);
/// Reports that a monitor makes without images, twice a second: after so many more it knows of a new publisher.
const SETTLED: u64 = 2;

/// The node, its topics, and what came by them.
pub(super) struct Stage {
    node: Node,
    topics: Vec<(String, PublisherUntyped)>,
    clock: Publisher<Clock>,
    reports: Box<dyn Stream<Item = MonitorReport> + Unpin>,
    model_info: Box<dyn Stream<Item = Text> + Unpin>,
    /// What the monitor said of its bundle.
    pub model: Option<String>,
    /// Reports of any kind.
    heard: u64,
    /// Reports on images.
    pub answers: Answers,
    /// Of these, those that are not from the whole method.
    pub degraded: u64,
}

impl Stage {
    pub(super) fn create(
        cameras: &[Topic],
        calibrations: &[String],
        report: &str,
    ) -> Result<Self, PlayError> {
        let mut node = Node::create(context()?, "bag", "")?;
        // Whoever asks for less gets less.
        let qos = || QosProfile::default().keep_last(10);
        let cameras = cameras.iter().map(|camera| (camera.name.as_str(), camera.kind.as_str()));
        let calibrations = calibrations.iter().map(|name| (name.as_str(), CAMERA_INFO));
        let mut topics = Vec::new();
        for (name, kind) in cameras.chain(calibrations) {
            topics.push((name.to_owned(), node.create_publisher_untyped(name, kind, qos())?));
        }
        let clock = node.create_publisher("/clock", QosProfile::default().keep_last(1))?;
        let reports = node.subscribe(report, QosProfile::sensor_data().keep_last(100))?;
        let beside = report.rsplit_once('/').map_or(String::new(), |(monitor, _)| format!("{monitor}/"));
        let latched = QosProfile::default().keep_last(1).transient_local();
        let model_info = node.subscribe(&format!("{beside}model_info"), latched)?;
        let (reports, model_info) = (Box::new(reports), Box::new(model_info));
        let (model, heard, answers, degraded) = (None, 0, Answers::default(), 0);
        Ok(Self { node, topics, clock, reports, model_info, model, heard, answers, degraded })
    }

    /// Takes in what comes until then.
    pub(super) fn spin(&mut self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.node.spin_once(left.min(LOOK));
            self.drain();
            if left <= LOOK {
                return;
            }
        }
    }

    fn drain(&mut self) {
        while let Some(report) = self.reports.next().now_or_never().flatten() {
            self.heard += 1;
            // Those that there is no image have the time at which they were said.
            if Validity::from_number(report.validity).is_on_an_image() {
                let Time { sec, nanosec } = report.header.stamp;
                self.answers.heard(Stamp { sec, nanosec });
                self.degraded += u64::from(report.validity != Validity::Ok as u8);
            }
        }
        while let Some(info) = self.model_info.next().now_or_never().flatten() {
            self.model = Some(info.data);
        }
    }

    /// Spins until `is_there`, at most until `end`.
    fn until(&mut self, end: Instant, stopped: &AtomicBool, is_there: impl Fn(&Self) -> bool) -> bool {
        while !is_there(self) {
            let now = Instant::now();
            if now >= end || stopped.load(Ordering::Relaxed) {
                return false;
            }
            self.spin(end.min(now + LOOK));
        }
        true
    }

    /// Until somebody hears the images; in lock-step until a monitor whose bundle is loaded does.
    pub(super) fn wait_for_monitor(
        &mut self,
        playing: &Playing,
        stopped: &AtomicBool,
    ) -> Result<(), PlayError> {
        let end = Instant::now() + playing.patience;
        let waited = playing.patience;
        let is_heard = |stage: &Self| {
            let heard = |(_, topic): &(_, PublisherUntyped)| topic.get_inter_process_subscription_count();
            stage
                .topics
                .iter()
                .take(playing.cameras.len())
                .any(|topic| heard(topic).is_ok_and(|count| count > 0))
        };
        let is_stopped = || stopped.load(Ordering::Relaxed);
        if !self.until(end, stopped, is_heard) && !is_stopped() {
            let topic = playing.cameras.first().map_or(String::new(), |camera| camera.name.clone());
            return Err(PlayError::NoListener { topic, waited });
        }
        if playing.pace == Pace::Free {
            return Ok(());
        }
        // An image that comes while the bundle loads is old when it is loaded.
        let is_loaded = self.until(end, stopped, |stage| stage.model.is_some());
        let enough = self.heard + SETTLED;
        let is_ready = is_loaded && self.until(end, stopped, |stage| stage.heard >= enough);
        if !is_ready && !is_stopped() {
            return Err(PlayError::NoMonitor { report: playing.report.clone(), waited });
        }
        Ok(())
    }

    /// Until every image has its report, at most until `end`.
    pub(super) fn answer(&mut self, end: Instant, stopped: &AtomicBool) {
        self.until(end, stopped, |stage| !stage.answers.is_due());
        self.answers.give_up();
    }

    /// Publishes a message as it was recorded.
    pub(super) fn publish(&self, topic: &str, message: &[u8]) -> Result<(), PlayError> {
        if let Some((_, publisher)) = self.topics.iter().find(|(name, _)| name == topic) {
            publisher.publish_raw(message)?;
        }
        Ok(())
    }

    /// Says what time it is.
    pub(super) fn clock(&self, stamp: i64) -> Result<(), PlayError> {
        const SECOND: i64 = 1_000_000_000;
        // Beyond the years that a message can hold there is none.
        if let Ok(sec) = i32::try_from(stamp.div_euclid(SECOND)) {
            let clock = Time { sec, nanosec: stamp.rem_euclid(SECOND) as u32 };
            self.clock.publish(&Clock { clock })?;
        }
        Ok(())
    }
}
