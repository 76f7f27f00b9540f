//! What one report says, before it is a ROS message.

use std::time::Duration;

use super::labels::LabelCounts;
use super::mailbox::Counts;
use crate::frame::Stamp;
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::Report;
use crate::watch::debounce::Level;
use crate::watch::likeness::CalibrationState;
use crate::watch::settings::Live;
pub use crate::watch::validity::Validity;

/// A report on an image, or on there being none.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The image's stamp; the time of the report where there is no image.
    pub stamp: Stamp,
    /// The image's `frame_id`, or that of the last one.
    pub camera: String,
    /// Whether it may be used.
    pub validity: Validity,
    /// Why not.
    pub reason: String,
    /// The debounced level.
    pub level: Level,
    /// That of this frame alone.
    pub raw: Level,
    /// The highest since the last acknowledgement, where one is held.
    pub latched: Level,
    /// The numbers, where there are any.
    pub report: Option<Report>,
    /// The limits in force; they promise nothing where the calibration does not hold.
    pub thresholds: Thresholds,
    /// Whether the calibration holds for what is in view.
    pub calibration: CalibrationState,
    /// Time from message to pixels.
    pub decode: Option<Duration>,
    /// Time from taking up the image to this report.
    pub total: Option<Duration>,
    /// The node's clock minus the image's stamp, in seconds.
    pub image_age_secs: Option<f64>,
    /// The node's clock minus the stamp of the labels that are assessed, in seconds.
    pub labels_age_secs: Option<f64>,
    /// Time since the image arrived, on the steady clock.
    pub since_arrival: Option<Duration>,
    /// Images so far.
    pub counts: Counts,
    /// Label images so far, where those are assessed.
    pub label_counts: LabelCounts,
}

impl Verdict {
    /// Whether the image was too old, when it was assessed, to say that all is well: a camera that old is
    /// silent, and an inference that long hangs.
    pub(crate) fn is_late(&self, live: Live) -> bool {
        let limit = live.source_timeout.map_or(live.report_timeout, |limit| limit.min(live.report_timeout));
        self.since_arrival.is_none_or(|age| age > limit)
    }
}
