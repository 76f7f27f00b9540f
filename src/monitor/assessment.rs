//! What the monitor says of one frame.

use image::{GrayImage, RgbImage};
use serde::Serialize;

pub use crate::model::inference::Latency;

/// The monitor's assessment of one class in one frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// Id in the bundle's label set.
    pub class_id: u16,
    /// Name in the bundle's label set.
    pub class_name: String,
    /// The comparison network's estimate of the class's IoU, in \[0, 1\]; NaN where the class is
    /// not present, since nothing is compared then.
    pub predicted_iou: f32,
    /// The comparison network's probability that the class is in view, segmented or not, in
    /// \[0, 1\]; NaN from a network that does not tell.
    pub presence: f32,
    /// Share of the valid image that the segmenter gave to this class, in \[0, 1\].
    pub pixel_share: f32,
    /// Whether the share is large enough for the estimate to count.
    pub present: bool,
}

/// One connected region of anomalous pixels, in pixels of the camera's image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width of the box.
    pub width: u32,
    /// Height of the box.
    pub height: u32,
    /// Mean position of the region's pixels: x, y.
    pub centroid: (f32, f32),
    /// Share of the valid image, in \[0, 1\].
    pub area: f32,
    /// Mean anomaly score inside, in \[0, 1\].
    pub mean_score: f32,
    /// Highest anomaly score inside, in \[0, 1\].
    pub peak_score: f32,
    /// The label of most of its pixels.
    pub class_id: u16,
    /// Probability that it is a thing, in \[0, 1\]; NaN where the bundle does not tell, and of scores by M
    /// alone.
    pub probability: f32,
    /// Share of the ground around and below it that is drivable, in \[0, 1\]; NaN where none is in view, or the
    /// label set does not say what is drivable.
    pub on_road: f32,
    /// The thing it belongs to in a stream of frames; none of a frame alone.
    pub track: Option<Sighting>,
}

/// One of the frames in which a thing was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sighting {
    /// Number of the thing, from 1.
    pub id: u32,
    /// Frames in which it was seen, this one included.
    pub frames: u32,
    /// Seconds since the first of them, by the stamps; NaN where frames have none.
    pub seconds: f32,
}

#[cfg(test)]
impl Region {
    /// A region of one pixel, for tests that look at something else.
    pub(crate) fn example() -> Self {
        Self {
            x: 0,
            y: 0,
            width: 1,
            height: 1,
            centroid: (0., 0.),
            area: 0.1,
            mean_score: 0.5,
            peak_score: 0.9,
            class_id: 13,
            probability: f32::NAN,
            on_road: f32::NAN,
            track: None,
        }
    }
}

/// How much of the method stands behind the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Mode {
    /// Segmented, synthesized and compared.
    Full,
    /// Scores from M's logits alone: synthesis was switched off or could not keep its deadline.
    LogitsOnly,
}

/// The numbers of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How the scores came about.
    pub mode: Mode,
    /// 1 = certain failure, 0 = certain success; raw, before any debouncing. One minus the
    /// predicted mean IoU. NaN in [`Mode::LogitsOnly`].
    pub failure_score: f32,
    /// Predicted mean IoU over the classes in view, also those that were missed, in \[0, 1\].
    pub predicted_miou: f32,
    /// One entry a class of the label set, by id.
    pub classes: Vec<ClassScore>,
    /// Share of the valid image whose error probability reaches the threshold.
    pub error_area: f32,
    /// Share of the valid image whose anomaly score reaches the threshold.
    pub anomaly_area: f32,
    /// Share of the valid image for which the segmenter that is assessed gave no label; it counts for nothing else. 0
    /// of the monitor's own.
    pub unlabelled_area: f32,
    /// Connected anomalous regions, largest first.
    pub regions: Vec<Region>,
    /// What the scene looks like as a whole; none of a report that was read from a recording.
    pub scene: Option<Scene>,
    /// Time by stage.
    pub latency: Latency,
}

/// A frame as a whole, by which frames of one place and camera are told from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Mean luma of the camera's image, in \[0, 1\].
    pub brightness: f32,
    /// M's features, each the mean over the image; neighbours joined where there are many.
    pub features: Vec<f32>,
}

#[cfg(test)]
impl Report {
    /// The report of a frame on which nothing stands out, for tests that look at something else.
    pub(crate) fn example(mode: Mode, failure_score: f32) -> Self {
        Self {
            mode,
            failure_score,
            predicted_miou: 1.0 - failure_score,
            classes: Vec::new(),
            error_area: 0.1,
            anomaly_area: 0.0,
            unlabelled_area: 0.0,
            regions: Vec::new(),
            scene: None,
            latency: Latency::default(),
        }
    }
}

/// Which pictures a caller wants; what nobody asked for is not computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// See [`Maps::error_mask`].
    pub error_mask: bool,
    /// See [`Maps::error_probability`].
    pub error_probability: bool,
    /// See [`Maps::confidence`].
    pub confidence: bool,
    /// See [`Maps::anomaly_mask`].
    pub anomaly_mask: bool,
    /// See [`Maps::anomaly_score`].
    pub anomaly_score: bool,
    /// See [`Maps::labels`].
    pub labels: bool,
    /// See [`Maps::trusted_labels`].
    pub trusted_labels: bool,
    /// See [`Maps::reconstruction`].
    pub reconstruction: bool,
}

impl Wanted {
    /// Every picture.
    pub const ALL: Self = Self {
        error_mask: true,
        error_probability: true,
        confidence: true,
        anomaly_mask: true,
        anomaly_score: true,
        labels: true,
        trusted_labels: true,
        reconstruction: true,
    };
}

/// A map of real numbers, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreMap {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height` values in \[0, 1\].
    pub data: Vec<f32>,
}

/// The pictures of one frame, all at the camera's size; `None` where not [`Wanted`] (or, in
/// [`Mode::LogitsOnly`], where there is no reconstruction).
#[derive(Clone, Debug, Default)]
pub struct Maps {
    /// 255 where the error probability reaches the threshold, else 0.
    pub error_mask: Option<GrayImage>,
    /// Probability that the pixel's label is wrong.
    pub error_probability: Option<ScoreMap>,
    /// One minus that, 255 being 1: how surely the pixel's label is right. 0 where the valid mask is 0.
    pub confidence: Option<GrayImage>,
    /// 255 where the anomaly score reaches the threshold, else 0.
    pub anomaly_mask: Option<GrayImage>,
    /// 0 = like what was synthesized, 1 = nothing alike.
    pub anomaly_score: Option<ScoreMap>,
    /// Class ids.
    pub labels: Option<GrayImage>,
    /// Class ids; 255, no class, where the error probability reaches the threshold, the valid mask is 0 or drivable ground
    /// is within its margin.
    pub trusted_labels: Option<GrayImage>,
    /// x', what G made of the labels.
    pub reconstruction: Option<RgbImage>,
}

/// All that the monitor says of one frame.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The numbers.
    pub report: Report,
    /// The pictures that were asked for.
    pub maps: Maps,
}
