//! The topics the node publishes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::qos::LivelinessPolicy;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::String as Text;
use r2r::synthcp_monitor::msg::{LabelInfo, MonitorReport};
use r2r::{Node, Publisher, QosProfile, WrappedTypesupport};

use super::messages;
use crate::frame::Stamp;
use crate::labels::LabelSet;
use crate::monitor::assessment::{Assessment, Maps, Wanted};
use crate::picture::overlay::{Badge, overlay_frame};
use crate::quote::without_nul;
use crate::watch::cameras::Camera;
use crate::watch::debounce::Level;
use crate::watch::message;
use crate::watch::recorder::Recorder;
use crate::watch::stream::Assessed;
use crate::watch::verdict::Verdict;

/// Reports, with the names that every report carries.
#[derive(Clone)]
pub(crate) struct Reports {
    publisher: Publisher<MonitorReport>,
    identity: Arc<Mutex<Identity>>,
    recorder: Option<Recorder>,
}

/// The bundle in use; empty while it loads.
#[derive(Clone, Default)]
pub(crate) struct Identity {
    /// Its label set.
    pub labels: Option<LabelSet>,
    /// Its name.
    pub bundle: String,
    /// Its hash.
    pub hash: String,
    /// One line on its networks.
    pub model: String,
}

impl Reports {
    /// Announces the topic.
    ///
    /// Deadline and lease tell readers that ask for them that the node is gone, or hangs: each report is a sign of
    /// life, and within `silence` there is one.
    pub fn create(node: &mut Node, camera: &Camera, reliable: bool, silence: Duration) -> r2r::Result<Self> {
        let promised = qos(reliable, 10)
            .deadline(silence)
            .liveliness(LivelinessPolicy::ManualByTopic)
            .liveliness_lease_duration(silence);
        let publisher = node.create_publisher(&camera.output("report"), promised)?;
        Ok(Self { publisher, identity: Arc::default(), recorder: None })
    }

    /// The same, recorded.
    pub(crate) fn recorded_by(self, recorder: Recorder) -> Self {
        Self { recorder: Some(recorder), ..self }
    }

    /// What records them, if anything does.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Says which bundle is used from now on.
    pub(crate) fn identify(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The bundle in use.
    pub fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anybody reads them.
    pub(crate) fn has_listener(&self) -> bool {
        has_listener(&self.publisher)
    }

    /// Publishes one report.
    pub fn send(&self, verdict: &Verdict) -> r2r::Result<()> {
        let Identity { labels, bundle, hash, .. } = self.identity();
        let report = message::report(verdict, labels.as_ref(), (&bundle, &hash));
        let sent = messages::report(&report).and_then(|report| self.publisher.publish(&report));
        if let Some(recorder) = &self.recorder {
            recorder.report(report, Instant::now());
        }
        sent
    }
}

/// Messages that late subscribers get as well, and the diagnostics; the same for all cameras.
#[derive(Clone)]
pub(crate) struct Announcements {
    label_info: Publisher<LabelInfo>,
    #[cfg(vision_msgs)]
    vision_label_info: Publisher<r2r::vision_msgs::msg::LabelInfo>,
    model_info: Publisher<Text>,
    diagnostics: Publisher<DiagnosticArray>,
}

impl Announcements {
    /// Announces the topics.
    pub fn create(node: &mut Node) -> r2r::Result<Self> {
        let latched = || QosProfile::default().keep_last(1).transient_local();
        Ok(Self {
            label_info: node.create_publisher("~/label_info", latched())?,
            #[cfg(vision_msgs)]
            vision_label_info: node.create_publisher("~/vision_label_info", latched())?,
            model_info: node.create_publisher("~/model_info", latched())?,
            diagnostics: node.create_publisher("/diagnostics", QosProfile::default())?,
        })
    }

    /// Publishes what the label ids mean.
    pub(crate) fn label_info(&self, labels: &LabelSet, stamp: Stamp) -> r2r::Result<()> {
        #[cfg(vision_msgs)]
        self.vision_label_info.publish(&messages::vision_label_info(labels, stamp))?;
        self.label_info.publish(&messages::label_info(labels, stamp))
    }

    /// Publishes what the bundle is made of, as YAML.
    pub(crate) fn model_info(&self, yaml: &str) -> r2r::Result<()> {
        self.model_info.publish(&Text { data: without_nul(yaml) })
    }

    /// Publishes the node's health.
    pub(crate) fn diagnostics(&self, message: &DiagnosticArray) -> r2r::Result<()> {
        self.diagnostics.publish(message)
    }
}

/// The image topics. Each is computed and sent only while somebody listens.
#[derive(Clone)]
pub struct Images {
    error_mask: Publisher<Image>,
    error_probability: Publisher<Image>,
    confidence: Publisher<Image>,
    anomaly_mask: Publisher<Image>,
    anomaly_score: Publisher<Image>,
    labels: Publisher<Image>,
    trusted_labels: Publisher<Image>,
    labels_color: Publisher<Image>,
    reconstruction: Publisher<Image>,
    overlay: Publisher<Image>,
}

/// Which image topics have a listener.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audience {
    error_mask: bool,
    error_probability: bool,
    confidence: bool,
    anomaly_mask: bool,
    anomaly_score: bool,
    labels: bool,
    trusted_labels: bool,
    labels_color: bool,
    reconstruction: bool,
    overlay: bool,
}

impl Audience {
    /// The pictures to compute.
    pub fn wanted(self) -> Wanted {
        Wanted {
            error_mask: self.error_mask || self.overlay,
            error_probability: self.error_probability,
            confidence: self.confidence,
            anomaly_mask: self.anomaly_mask,
            anomaly_score: self.anomaly_score,
            labels: self.labels || self.labels_color,
            trusted_labels: self.trusted_labels,
            reconstruction: self.reconstruction,
        }
    }
}

impl Images {
    /// Announces the topics.
    pub(crate) fn create(node: &mut Node, camera: &Camera, reliable: bool) -> r2r::Result<Self> {
        // A frame's pictures leave in one burst, of which a busy reader misses parts (config/fastdds.xml
        // says why); they are sent again as long as they are here.
        let mut publisher = |topic| node.create_publisher(&camera.output(topic), qos(reliable, 5));
        Ok(Self {
            error_mask: publisher("error_mask")?,
            error_probability: publisher("error_probability")?,
            confidence: publisher("confidence")?,
            anomaly_mask: publisher("anomaly_mask")?,
            anomaly_score: publisher("anomaly_score")?,
            labels: publisher("labels")?,
            trusted_labels: publisher("trusted_labels")?,
            labels_color: publisher("labels_color")?,
            reconstruction: publisher("reconstruction")?,
            overlay: publisher("overlay")?,
        })
    }

    /// Who listens now.
    pub(crate) fn audience(&self) -> Audience {
        Audience {
            error_mask: has_listener(&self.error_mask),
            error_probability: has_listener(&self.error_probability),
            confidence: has_listener(&self.confidence),
            anomaly_mask: has_listener(&self.anomaly_mask),
            anomaly_score: has_listener(&self.anomaly_score),
            labels: has_listener(&self.labels),
            trusted_labels: has_listener(&self.trusted_labels),
            labels_color: has_listener(&self.labels_color),
            reconstruction: has_listener(&self.reconstruction),
            overlay: has_listener(&self.overlay),
        }
    }

    /// Publishes the pictures of one assessed image to those who listened before it was assessed.
    pub fn send(&self, assessed: Assessed, audience: Audience, labels: Option<&LabelSet>) -> r2r::Result<()> {
        let Assessed { verdict, maps, image, .. } = assessed;
        let (Some(report), Some(image), Some(labels)) = (verdict.report, image, labels) else {
            return Ok(());
        };
        let header = messages::header(verdict.stamp, &verdict.camera);
        let assessment = Assessment { report, maps };
        if audience.overlay {
            let painted = overlay_frame(&image, &assessment, labels, badge(verdict.level));
            self.overlay.publish(&messages::rgb8(&header, painted))?;
        }
        let Maps {
            error_mask,
            error_probability,
            confidence,
            anomaly_mask,
            anomaly_score,
            labels: ids,
            trusted_labels,
            reconstruction,
        } = assessment.maps;
        if let Some(ids) = ids.as_ref().filter(|_| audience.labels_color) {
            self.labels_color.publish(&messages::rgb8(&header, labels.colorize(ids)))?;
        }
        for (publisher, wanted, mask) in [
            (&self.error_mask, audience.error_mask, error_mask),
            (&self.confidence, audience.confidence, confidence),
            (&self.anomaly_mask, audience.anomaly_mask, anomaly_mask),
            (&self.labels, audience.labels, ids),
            (&self.trusted_labels, audience.trusted_labels, trusted_labels),
        ] {
            if let Some(mask) = mask.filter(|_| wanted) {
                publisher.publish(&messages::mono8(&header, mask))?;
            }
        }
        for (publisher, wanted, map) in [
            (&self.error_probability, audience.error_probability, error_probability),
            (&self.anomaly_score, audience.anomaly_score, anomaly_score),
        ] {
            if let Some(map) = map.filter(|_| wanted) {
                publisher.publish(&messages::float32(&header, &map))?;
            }
        }
        if let Some(reconstruction) = reconstruction.filter(|_| audience.reconstruction) {
            self.reconstruction.publish(&messages::rgb8(&header, reconstruction))?;
        }
        Ok(())
    }
}

/// The level as an operator sees it.
fn badge(level: Level) -> Badge<'static> {
    let color = match level {
        Level::Nominal => [30, 140, 60],
        Level::Caution => [240, 170, 0],
        Level::Failure => [200, 30, 40],
    };
    Badge { text: level.name(), color }
}

fn has_listener<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> bool {
    // If the count cannot be had, sending in vain beats silence.
    !publisher.get_inter_process_subscription_count().is_ok_and(|count| count == 0)
}

fn qos(reliable: bool, depth: usize) -> QosProfile {
    if reliable { QosProfile::default().keep_last(depth) } else { QosProfile::sensor_data().keep_last(depth) }
}
