//! From one frame to its assessment: an inference, its scores, regions and pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{GrayImage, Luma, RgbImage};
use tch::Kind;

use super::assessment::{Assessment, Mode, Region, Report, Scene, ScoreMap, Wanted};
use super::classes::{class_scores, predicted_miou};
use super::ground;
use super::margin;
use super::pictures;
use super::readout::Readout;
use super::regions::{self, RegionError, RegionLimits};
pub use super::scores::NotFinite;
use super::scores::Scores;
use crate::frame::Frame;
use crate::frame::health::Health;
use crate::labels::{LabelSet, resize_labels};
use crate::model::bundle::{Bundle, BundleError, CALIBRATE, Thresholds};
use crate::model::compute::{DeviceChoice, Precision};
use crate::model::given::Given;
use crate::model::inference::Inference;
use crate::model::networks::{Arithmetic, Networks};
use crate::model::pixels::grey_to_tensor;
use crate::model::self_test::SelfTest;
use crate::model::things::Features;

/// Where and how the networks run.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorOptions {
    /// Where the networks run.
    pub device: DeviceChoice,
    /// In which arithmetic.
    pub precision: Precision,
    /// Threads for tensor operations; 0 leaves the default.
    pub threads: usize,
    /// Whether the second pass of M and the anomaly score are computed.
    pub anomaly: bool,
    /// Whether G computes each distinct label patch once, and M its border, which gives the same sooner.
    pub memoise: bool,
    /// Smallest region that is reported, as a share of the valid image.
    pub min_region_area: f32,
    /// Most regions reported a frame.
    pub max_regions: usize,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            precision: Precision::Auto,
            threads: 0,
            anomaly: true,
            memoise: true,
            min_region_area: 0.0005,
            max_regions: 32,
        }
    }
}

/// What can go wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// libtorch refused an operation.
    #[error("inference failed: {0}")]
    Inference(tch::TchError),
    /// Maps of different sizes met.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A map or a score holds NaN or infinity.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The mask of valid pixels does not fit the image.
    #[error(
        "the valid mask is {mask_width}x{mask_height} and the image {width}x{height}; both must have the same size"
    )]
    MaskSize {
        /// Mask columns.
        mask_width: u32,
        /// Mask rows.
        mask_height: u32,
        /// Image columns.
        width: u32,
        /// Image rows.
        height: u32,
    },
}

impl From<tch::TchError> for MonitorError {
    fn from(error: tch::TchError) -> Self {
        Self::Inference(error)
    }
}

/// A loaded bundle, ready for frames. A pure function of the frame: what G remembers of earlier label
/// maps changes how long it takes, not what it synthesizes.
pub struct Monitor {
    name: String,
    hash: String,
    folder: PathBuf,
    weights: BTreeMap<String, String>,
    self_test: Option<SelfTest>,
    labels: LabelSet,
    is_calibrated: bool,
    thresholds: Thresholds,
    networks: Networks,
    valid: Option<Arc<GrayImage>>,
    regions: RegionLimits,
    drivable: Option<[bool; 256]>,
    anomaly: bool,
    remark: Option<String>,
}

impl Monitor {
    /// Loads and checks the bundle in folder `dir`.
    pub fn load(dir: &Path, options: &MonitorOptions) -> Result<Self, BundleError> {
        let monitor = Self::load_to_calibrate(dir, options)?;
        if !monitor.is_calibrated {
            let name = &monitor.name;
            tracing::warn!("bundle {name} is not calibrated: no frame will be NOMINAL by it; {CALIBRATE}");
        }
        Ok(monitor)
    }

    /// The same without a word on a bundle that has no thresholds yet.
    pub(crate) fn load_to_calibrate(dir: &Path, options: &MonitorOptions) -> Result<Self, BundleError> {
        let bundle = Bundle::open(dir)?;
        if options.threads > 0 {
            tch::set_num_threads(options.threads.min(i32::MAX as usize) as i32);
        }
        let device = options.device.resolve()?;
        let kind = options.precision.resolve(device)?;
        let networks = Networks::load(&bundle, Arithmetic { device, kind, memoise: options.memoise })?;
        let weights = bundle.description.weights();
        let calibration = bundle.description.calibration;
        Ok(Self {
            folder: bundle.dir,
            self_test: bundle.description.self_test,
            name: bundle.name,
            hash: bundle.hash,
            drivable: ground::drivable(&bundle.labels),
            weights,
            labels: bundle.labels,
            is_calibrated: calibration.is_some(),
            thresholds: calibration.unwrap_or_else(Thresholds::of_none),
            networks,
            valid: None,
            regions: RegionLimits { min_area: options.min_region_area, max_count: options.max_regions },
            anomaly: options.anomaly,
            remark: options.device.remark(),
        })
    }

    /// Thresholds in force: the bundle's calibration unless replaced.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Replaces the thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Pixels outside the mask (0) are left out of every score and area: the vehicle's own bonnet,
    /// say. `None` makes the whole image valid.
    pub fn set_valid_mask(&mut self, mask: Option<GrayImage>) {
        self.share_valid_mask(mask.map(Arc::new));
    }

    /// The same of a mask that others hold as well.
    pub(crate) fn share_valid_mask(&mut self, mask: Option<Arc<GrayImage>>) {
        self.valid = mask;
    }

    /// The mask of valid pixels.
    pub(crate) fn valid_mask(&self) -> Option<&Arc<GrayImage>> {
        self.valid.as_ref()
    }

    /// The bundle's label set.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The bundle's name.
    pub(crate) fn bundle_name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of bundle.yaml (which holds the hashes of the weights), in hex.
    pub fn bundle_hash(&self) -> &str {
        &self.hash
    }

    /// SHA-256 of each file of weights, in hex.
    pub(crate) fn weights(&self) -> &BTreeMap<String, String> {
        &self.weights
    }

    /// The bundle's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the bundle expects of two pictures, if it does.
    pub(crate) fn self_test_of_bundle(&self) -> Option<&SelfTest> {
        self.self_test.as_ref()
    }

    /// The networks themselves, for evaluation on tensors.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// One line for people: the networks, their precision and where they run; why not on a GPU, where one is
    /// likely there.
    pub fn description(&self) -> String {
        let mut remark = self.remark.as_ref().map_or(String::new(), |remark| format!("; {remark}"));
        if let Some(name) = &self.thresholds.labels_of {
            remark += &format!("; its limits are for labels by topic, those of {name}");
        }
        format!("bundle {} ({}): {}{remark}", self.name, &self.hash[..12], self.networks.description())
    }

    /// Assesses one frame by the whole method.
    pub fn process(&self, frame: &Frame, wanted: Wanted) -> Result<Assessment, MonitorError> {
        self.process_with(frame, wanted, |_, _| ())
    }

    /// The same; `inspect` is called with the inference and its report before they are gone.
    pub(crate) fn process_with(
        &self,
        frame: &Frame,
        wanted: Wanted,
        inspect: impl FnOnce(&Inference, &Report),
    ) -> Result<Assessment, MonitorError> {
        tch::no_grad(|| {
            let given = self.given_labels(frame);
            let inference = self.inference(frame, given.as_ref())?;
            let anomaly = self.anomaly.then(|| self.networks.anomaly_config());
            let scores = Scores::by_method(&inference, anomaly)?;
            let assessment = self.assess((&frame.image, given.as_ref()), &inference, scores, wanted)?;
            inspect(&inference, &assessment.report);
            Ok(assessment)
        })
    }

    /// Assesses one frame from M's logits alone: the fallback when synthesis is too slow. Error
    /// probability and anomaly score are then one minus the largest softmax.
    pub fn process_logits_only(&self, frame: &Frame, wanted: Wanted) -> Result<Assessment, MonitorError> {
        tch::no_grad(|| {
            let given = self.given_labels(frame);
            let inference = self.inference(frame, given.as_ref())?;
            let scores = Scores::by_softmax(&inference, self.anomaly)?;
            self.assess((&frame.image, given.as_ref()), &inference, scores, wanted)
        })
    }

    /// By class id, whether a vehicle may drive on it, of a label set that says so.
    pub(crate) fn drivable(&self) -> Option<&[bool; 256]> {
        self.drivable.as_ref()
    }

    /// Labels that came with the frame, at the working size.
    fn given_labels(&self, frame: &Frame) -> Option<GrayImage> {
        let (height, width) = self.networks.size();
        frame.labels.as_ref().map(|labels| resize_labels(labels.clone(), (width as u32, height as u32)))
    }

    fn inference(&self, frame: &Frame, given: Option<&GrayImage>) -> Result<Inference<'_>, MonitorError> {
        let inference = Inference::of_image(&self.networks, &frame.image)?;
        let Some(labels) = given else { return Ok(inference) };
        let labels = grey_to_tensor(labels).f_unsqueeze(0)?.f_to_kind(Kind::Int64)?;
        Ok(inference.with_given_labels(Given::labels_alone(labels.f_to_device(self.networks.device())?)))
    }

    /// Assesses an image from an inference on it that others use as well, without the anomaly score.
    pub(crate) fn assess_inference(
        &self,
        image: &RgbImage,
        inference: &Inference,
        wanted: Wanted,
    ) -> Result<Assessment, MonitorError> {
        let given = inference.given().map(|given| pictures::to_grey(&given.labels)).transpose()?;
        self.assess((image, given.as_ref()), inference, Scores::by_method(inference, None)?, wanted)
    }

    /// From scores at the working size to the report and to pictures at the camera's size. Of an image whose labels
    /// were `given`, at the working size, only what is labelled counts.
    fn assess(
        &self,
        (image, given): (&RgbImage, Option<&GrayImage>),
        inference: &Inference,
        scores: Scores,
        wanted: Wanted,
    ) -> Result<Assessment, MonitorError> {
        let read = Readout::of(&scores)?;
        if let Some(wrong) = read.not_finite {
            return Err(wrong.into());
        }
        let Readout { labels, error, anomaly, .. } = &read;
        let size = labels.dimensions();
        let mut valid = self.valid_at(image.dimensions(), size)?;
        let unlabelled_area = given.map_or(0., |given| self.leave_out_unlabelled(given, &mut valid));
        let is_valid = |i: usize| valid.as_ref().is_none_or(|v| v.as_raw()[i] > 0);
        let total = (0..labels.as_raw().len()).filter(|&i| is_valid(i)).count().max(1) as f32;
        let area = |map: &ScoreMap, limit: f32| {
            (0..map.data.len()).filter(|&i| map.data[i] >= limit && is_valid(i)).count() as f32 / total
        };

        let mut counts = vec![0u32; self.labels.len()];
        for (_, &id) in labels.as_raw().iter().enumerate().filter(|&(i, _)| is_valid(i)) {
            counts[usize::from(id)] += 1;
        }
        let classes = class_scores(&self.labels, &counts, total, &read);
        let predicted_miou = predicted_miou(&classes, &counts, read.iou.as_deref());

        let (mut anomaly_area, mut regions) = (f32::NAN, Vec::new());
        if let Some(map) = anomaly {
            anomaly_area = area(map, self.thresholds.anomaly);
            let mask = pictures::threshold(map, self.thresholds.anomaly);
            let things = self.thresholds.things.as_ref();
            regions = regions::find(&mask, map, labels, valid.as_ref(), self.regions.with_all_of(things))?;
            for region in &mut regions {
                if let Some(drivable) = &self.drivable {
                    region.on_road = ground::on_road(region, &mask, labels, valid.as_ref(), drivable);
                }
                pictures::scale_region(region, size, image.dimensions());
                if let Some(things) = things.filter(|_| scores.synth.is_some()) {
                    region.probability = things.probability(&features(region, image.dimensions()));
                }
            }
            self.regions.keep(&mut regions, things);
        }
        let mut maps = pictures::render(&scores, &self.thresholds, wanted, image.dimensions())?;
        if let (Some(margin), Some(drivable)) = (self.thresholds.drivable_margin, &self.drivable)
            && let Some(trusted) = &mut maps.trusted_labels
        {
            margin::withhold(trusted, given.unwrap_or(labels), drivable, margin);
        }
        if let Some(valid) = &self.valid {
            pictures::clear_invalid(&mut maps, valid);
        }
        if let (Some(given), Some(counted)) = (given, &valid) {
            let at_size = |map: &GrayImage| resize_labels(map.clone(), image.dimensions());
            pictures::clear_invalid(&mut maps, &at_size(counted));
            if let Some(labels) = &mut maps.labels {
                pictures::leave_out_unlabelled(labels, &at_size(given), self.labels.len());
            }
        }
        Ok(Assessment {
            report: Report {
                mode: if scores.synth.is_some() { Mode::Full } else { Mode::LogitsOnly },
                failure_score: 1. - predicted_miou,
                predicted_miou,
                classes,
                error_area: area(error, self.thresholds.error),
                anomaly_area,
                unlabelled_area,
                regions,
                scene: Some(Scene {
                    brightness: Health::of(image).brightness,
                    features: read.features.clone(),
                }),
                latency: inference.latency(),
            },
            maps,
        })
    }

    /// The valid mask at the working size.
    fn valid_at(
        &self,
        (width, height): (u32, u32),
        size: (u32, u32),
    ) -> Result<Option<GrayImage>, MonitorError> {
        let Some(mask) = &self.valid else { return Ok(None) };
        if mask.dimensions() != (width, height) {
            let (mask_width, mask_height) = mask.dimensions();
            return Err(MonitorError::MaskSize { mask_width, mask_height, width, height });
        }
        Ok(Some(resize_labels(GrayImage::clone(mask), size)))
    }

    /// Takes what is no class out of `valid`, and gives its share of what was valid.
    fn leave_out_unlabelled(&self, given: &GrayImage, valid: &mut Option<GrayImage>) -> f32 {
        let all = || GrayImage::from_pixel(given.width(), given.height(), Luma([255]));
        let valid = valid.get_or_insert_with(all);
        let (mut before, mut unlabelled) = (0u32, 0u32);
        for (valid, &id) in valid.iter_mut().zip(given.as_raw()).filter(|(valid, _)| **valid > 0) {
            before += 1;
            if usize::from(id) >= self.labels.len() {
                (*valid, unlabelled) = (0, unlabelled + 1);
            }
        }
        unlabelled as f32 / before.max(1) as f32
    }
}

/// What tells whether a region, in pixels of an image of this size, is a thing. Ground that is not to be seen is
/// not drivable here.
pub(crate) fn features(region: &Region, (_, height): (u32, u32)) -> Features {
    Features {
        mean_score: region.mean_score,
        peak_score: region.peak_score,
        log_area: region.area.ln(),
        on_road: if region.on_road.is_nan() { 0. } else { region.on_road },
        log_elongation: (region.width as f32 / region.height as f32).ln(),
        bottom: (region.y + region.height) as f32 / height as f32,
    }
}
