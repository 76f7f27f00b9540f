//! The thread that owns the ROS node: it spins, and empties every queue right after.
//!
//! r2r queues ten messages a subscription and then drops the newest. Taking them out on the very
//! thread that puts them in leaves no room for that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt};
use r2r::sensor_msgs::msg::{CameraInfo, CompressedImage, Image};
use r2r::std_msgs::msg::Header;
use r2r::std_srvs::srv::Trigger;
use r2r::synthcp_monitor::msg::LabelInfo;
use r2r::{Node, QosProfile};

use super::lifecycle::{Lifecycle, LifecycleServices};
use super::log::{Allowance, Log, Throttle};
use super::parameter_services::ParameterServices;
use super::questions::Questions;
use super::self_test_service::SelfTestService;
use super::station::Station;
use crate::frame::{CameraImage, Content, Stamp};
use crate::quote::without_nul;
use crate::watch::cameras::Camera;
use crate::watch::labels::{LabelArrival, paired};
use crate::watch::latch::Acknowledged;
use crate::watch::mailbox::Arrival;
use crate::watch::parameters::Transport;
use crate::watch::publishers::{Publishers, Seen};
use crate::watch::recorder::{Recorder, Source};
use crate::watch::settings::Settings;
use crate::watch::shared::Shared;
use crate::watch::shared_parameters::SharedParameters;
use crate::watch::topic_names::resolved;
use crate::watch::transports::Transports;

/// Longest wait for a message; bounds how long the end of the node takes.
const WAIT: Duration = Duration::from_millis(20);

/// Time between two readings of the ROS graph.
const LOOK: Duration = Duration::from_millis(200);

type Queue<T> = Box<dyn Stream<Item = T> + Unpin + Send>;

/// The node's inputs, until the spinning begins.
pub(crate) struct Inputs {
    cameras: Vec<CameraInputs>,
    parameters: ParameterServices,
    self_test: SelfTestService,
    lifecycle: LifecycleServices,
    changes: Allowance,
}

/// What comes from one camera, and is asked about it.
pub(crate) struct CameraInputs {
    camera: Camera,
    raw: Option<Queue<Image>>,
    compressed: Option<Queue<CompressedImage>>,
    /// Compressed images are not wanted, since raw ones come: the subscription ends with the next that does.
    is_given_up: bool,
    camera_info: Queue<CameraInfo>,
    labels: Option<LabelQueues>,
    acknowledge: Questions<Trigger::Service>,
    transport: Transport,
    qos: QosProfile,
    transports: Transports,
    names: Names,
    recorder: Option<Recorder>,
    looked: Option<Instant>,
}

/// Labels that another node publishes, and what it says of their ids.
struct LabelQueues {
    raw: Queue<Image>,
    compressed: Queue<CompressedImage>,
    info: Queue<LabelInfo>,
    #[cfg(vision_msgs)]
    vision_info: Queue<r2r::vision_msgs::msg::LabelInfo>,
}

impl LabelQueues {
    fn create(node: &mut Node, camera: &Camera, qos: &QosProfile) -> r2r::Result<Self> {
        // Said once, perhaps before this node came.
        let info = QosProfile::default().keep_last(1).transient_local();
        Ok(Self {
            raw: queue(node.subscribe::<Image>(&camera.input("labels"), qos.clone())?),
            compressed: queue(
                node.subscribe::<CompressedImage>(&camera.input("labels/compressed"), qos.clone())?,
            ),
            #[cfg(vision_msgs)]
            vision_info: queue(node.subscribe(&camera.input("vision_label_info"), info.clone())?),
            info: queue(node.subscribe::<LabelInfo>(&camera.input("label_info"), info)?),
        })
    }

    fn drain(&mut self, shared: &Shared, recorder: Option<&Recorder>) {
        while let Some(message) = ready(&mut self.info) {
            let LabelInfo { class_ids, class_names, ignore_id, .. } = message;
            match paired(class_ids, class_names) {
                Ok(classes) => shared.name_labels(classes, Some(ignore_id.into())),
                Err(why) => shared.refuse_names(why),
            }
        }
        #[cfg(vision_msgs)]
        while let Some(message) = ready(&mut self.vision_info) {
            let (classes, ignored) = super::messages::vision_classes(message);
            shared.name_labels(classes, ignored);
        }
        let accept = |arrival: LabelArrival| {
            record(recorder, Source::Labels, &arrival.image, arrival.at);
            shared.accept_labels(arrival);
        };
        while let Some(message) = ready(&mut self.raw) {
            accept(LabelArrival { image: raw(message), at: Instant::now() });
        }
        while let Some(message) = ready(&mut self.compressed) {
            accept(LabelArrival { image: compressed(message), at: Instant::now() });
        }
        shared.settle_labels();
    }
}

/// Whole names, by which the graph is asked.
struct Names {
    node: String,
    raw: String,
    compressed: String,
    report: String,
}

impl Names {
    fn of(node: &Node, camera: &Camera) -> r2r::Result<Self> {
        let (arguments, node) = (std::env::args().collect::<Vec<_>>(), node.fully_qualified_name()?);
        let name = |topic: String| resolved(&topic, &node, &arguments);
        let [raw, compressed] = ["image", "image/compressed"].map(|topic| name(camera.input(topic)));
        let report = name(camera.output("report"));
        Ok(Self { raw, compressed, report, node })
    }

    fn seen(&self, node: &Node) -> r2r::Result<Seen> {
        let publishers = |topic: &str| node.get_publishers_info_by_topic(topic, false);
        let own =
            |namespace: &str, name: &str| format!("{}/{name}", namespace.trim_end_matches('/')) == self.node;
        let reporters = publishers(&self.report)?;
        let reporters = reporters.iter().filter(|info| own(&info.node_namespace, &info.node_name));
        Ok(Seen {
            raw: publishers(&self.raw)?.len(),
            compressed: publishers(&self.compressed)?.len(),
            namesakes: reporters.count().saturating_sub(1),
        })
    }
}

impl Inputs {
    /// Offers the services, subscribes to the topics that the settings name, and to `/clock` where
    /// use_sim_time asks for it.
    pub fn create(node: &mut Node, settings: &Settings, parameters: SharedParameters) -> r2r::Result<Self> {
        let parameters = ParameterServices::create(node, parameters)?;
        let self_test = SelfTestService::create(node)?;
        let lifecycle = LifecycleServices::create(node)?;
        if settings.use_sim_time {
            node.get_time_source().enable_sim_time(node)?;
        }
        let cameras = settings.cameras.iter().map(|camera| CameraInputs::create(node, camera, settings));
        Ok(Self {
            cameras: cameras.collect::<Result<_, _>>()?,
            parameters,
            self_test,
            lifecycle,
            changes: Allowance::default(),
        })
    }

    /// Of each camera, in the order of the settings.
    pub(crate) fn cameras(&mut self) -> &mut [CameraInputs] {
        &mut self.cameras
    }

    /// Takes in what has come of each camera, and answers what was asked.
    fn drain(&mut self, stations: &[Station], lifecycle: &Lifecycle, log: &Log) {
        for (inputs, station) in self.cameras.iter_mut().zip(stations) {
            inputs.drain(&station.shared, &station.log);
        }
        self.self_test.answer(stations, log);
        self.lifecycle.answer(lifecycle, log);
        for (name, value) in self.parameters.answer(log) {
            if self.changes.allows(Instant::now()) {
                log.info(&format!("parameter {name} is now {value}"));
            }
        }
        if let Some(more) = self.changes.settle(Instant::now()) {
            log.info(&format!("parameters were set {more} times more"));
        }
    }

    /// Looks at the graph from time to time.
    fn look(&mut self, node: &mut Node, stations: &[Station]) -> r2r::Result<()> {
        let mut cameras = self.cameras.iter_mut().zip(stations);
        cameras.try_for_each(|(inputs, station)| inputs.look(node, &station.shared))
    }
}

impl CameraInputs {
    fn create(node: &mut Node, camera: &Camera, settings: &Settings) -> r2r::Result<Self> {
        let acknowledge =
            camera.name().map_or("acknowledge".to_owned(), |name| format!("{name}/acknowledge"));
        let acknowledge = Questions::create(node, &acknowledge)?;
        let qos = if settings.reliable_input { QosProfile::default() } else { QosProfile::sensor_data() };
        let qos = qos.keep_last(5);
        let raw = (settings.transport != Transport::Compressed)
            .then(|| node.subscribe::<Image>(&camera.input("image"), qos.clone()).map(queue))
            .transpose()?;
        let compressed = (settings.transport != Transport::Raw)
            .then(|| node.subscribe(&camera.input("image/compressed"), qos.clone()).map(queue))
            .transpose()?;
        Ok(Self {
            raw,
            compressed,
            is_given_up: false,
            camera_info: queue(node.subscribe(&camera.input("camera_info"), qos.clone())?),
            labels: settings.labels.is_some().then(|| LabelQueues::create(node, camera, &qos)).transpose()?,
            acknowledge,
            transport: settings.transport,
            qos,
            transports: Transports::default(),
            names: Names::of(node, camera)?,
            camera: camera.clone(),
            recorder: None,
            looked: None,
        })
    }

    /// What comes is recorded from now on.
    pub(crate) fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Looks at the graph from time to time, and subscribes to the compressed topic or gives it up.
    fn look(&mut self, node: &mut Node, shared: &Shared) -> r2r::Result<()> {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return Ok(());
        }
        self.looked = Some(now);
        let all = self.names.seen(node)?;
        let seen = match self.transport {
            Transport::Auto => all,
            Transport::Raw => Seen { compressed: 0, ..all },
            Transport::Compressed => Seen { raw: 0, ..all },
        };
        {
            let mut state = shared.state();
            state.publishers = Some(Publishers::after(state.publishers, seen, now));
        }
        if self.transport != Transport::Auto {
            return Ok(());
        }
        let quality = shared.duplicates().quality();
        match self.transports.want_compressed(seen.raw, quality, now) {
            true => {
                self.is_given_up = false;
                if self.compressed.is_none() {
                    let images = node.subscribe(&self.camera.input("image/compressed"), self.qos.clone())?;
                    self.compressed = Some(queue(images));
                }
            }
            false => self.is_given_up = true,
        }
        Ok(())
    }

    fn drain(&mut self, shared: &Shared, log: &Log) {
        let recorder = self.recorder.as_ref();
        while let Some(message) = self.raw.as_mut().and_then(ready) {
            let at = Instant::now();
            self.transports.raw_arrived(at);
            let image = raw(message);
            record(recorder, Source::Camera, &image, at);
            shared.accept(Arrival::new(image, at));
        }
        while let Some(message) = self.compressed.as_mut().and_then(ready) {
            // r2r ends a subscription with the first message that nobody takes. One dropped where none comes would
            // stay in the middleware, and another be made beside it whenever the raw images pause.
            if self.is_given_up {
                self.compressed = None;
                break;
            }
            let (image, at) = (compressed(message), Instant::now());
            record(recorder, Source::Camera, &image, at);
            shared.accept(Arrival::new(image, at));
        }
        // After the images: labels that come with theirs find it there.
        if let Some(labels) = &mut self.labels {
            labels.drain(shared, recorder);
        }
        while let Some(message) = ready(&mut self.camera_info) {
            shared.state().calibrated_size = Some((message.width, message.height));
        }
        self.acknowledge.answer(log, |_| {
            let outcome = shared.acknowledge();
            if let Acknowledged::Released(_) = outcome {
                log.info(&outcome.told());
            }
            Trigger::Response { success: outcome.is_clear(), message: without_nul(&outcome.told()) }
        });
    }
}

fn record(recorder: Option<&Recorder>, source: Source, image: &CameraImage, at: Instant) {
    if let Some(recorder) = recorder {
        recorder.image(source, image, at);
    }
}

fn raw(message: Image) -> CameraImage {
    let Image { header, height, width, encoding, is_bigendian, step, data } = message;
    let (is_bigendian, data) = (is_bigendian != 0, data.into());
    camera_image(header, Content::Raw { width, height, encoding, is_bigendian, step, data })
}

fn compressed(message: CompressedImage) -> CameraImage {
    let CompressedImage { header, format, data } = message;
    camera_image(header, Content::Compressed { format, data: data.into() })
}

fn camera_image(Header { stamp, frame_id }: Header, content: Content) -> CameraImage {
    CameraImage { stamp: Stamp { sec: stamp.sec, nanosec: stamp.nanosec }, frame_id, content }
}

fn queue<T: Send + 'static>(stream: impl Stream<Item = T> + Unpin + Send + 'static) -> Queue<T> {
    Box::new(stream)
}

fn ready<T>(queue: &mut Queue<T>) -> Option<T> {
    queue.next().now_or_never().flatten()
}

/// Spins until `stop`.
pub(crate) fn spin(
    mut node: Node,
    mut inputs: Inputs,
    stations: &[Station],
    lifecycle: &Lifecycle,
    log: Log,
    stop: Arc<AtomicBool>,
) {
    let mut throttle = Throttle::default();
    while !stop.load(Ordering::Relaxed) {
        // r2r panics on some faults of the middleware; the camera must be heard all the same.
        let spun = catch_unwind(AssertUnwindSafe(|| {
            node.spin_once(WAIT);
            inputs.drain(stations, lifecycle, &log);
            inputs.look(&mut node, stations)
        }));
        if let Ok(Err(error)) = &spun
            && throttle.allows(Instant::now())
        {
            log.error(&format!("the ROS graph does not say who publishes images: {error}"));
        }
        if spun.is_err() {
            log.error("a fault inside the ROS client library; images are still heard");
            std::thread::sleep(WAIT);
        }
    }
}
