//! A bundle: one folder with everything a monitor is made of.
//!
//! `bundle.yaml` names the label set (or holds one of one's own), the working size, the three networks with the hashes of their
//! weights, where they came from, and the calibrated thresholds. Everything is checked before the
//! first frame.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::weights::{self, Tensors, WeightsError};
use crate::labels::LabelSet;
use crate::model::anomaly;
use crate::model::compute::ComputeError;
use crate::model::evidence::Evidence;
use crate::model::self_test::SelfTest;
use crate::model::things::Things;
use crate::network::comparison::ComparatorConfig;
use crate::network::range::{OutOfRange, within};
use crate::network::segmentation::torchscript::TorchScriptError;
use crate::network::segmentation::{NotBuilt, SegmenterConfig};
use crate::network::synthesis::GeneratorConfig;
use crate::quote::told;
use crate::whole_file;

/// The only format there is so far.
pub(crate) const FORMAT: u32 = 1;
/// The file that describes a bundle.
pub const DESCRIPTION: &str = "bundle.yaml";
/// What to do about a bundle that is not calibrated.
pub(crate) const CALIBRATE: &str = "calibrate it on labelled images: synthcp bundle calibrate";
/// Most bytes of a description or recipe that are read; the shipped ones have some 2 KB.
pub(crate) const MOST_YAML: u64 = 64 << 10;
/// Highest and widest image that networks work at.
pub(crate) const MOST_SIDE: u32 = 4096;

/// Limits between normal and alarming, and what they promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Failure score from which a frame counts towards CAUTION.
    pub caution: f32,
    /// Failure score from which a frame counts towards FAILURE.
    pub failure: f32,
    /// Error probability from which a pixel is in the error mask.
    pub error: f32,
    /// Anomaly score from which a pixel is in the anomaly mask.
    pub anomaly: f32,
    /// Share of the image in the anomaly mask from which a frame counts towards CAUTION.
    pub anomaly_area: f32,
    /// Which regions are things, and raise the level in place of the area; none of a bundle whose level goes by
    /// the area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub things: Option<Things>,
    /// Steps, at the working size, that a drivable label must lie inside drivable ground to be among the trusted ones;
    /// none where nothing is promised of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivable_margin: Option<u32>,
    /// What stands behind a promise; none of limits that were only counted out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
    /// Whose labels they are for, where those of another segmenter were judged; none of the bundle's own M.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_of: Option<String>,
    /// What the limits were calibrated for, in words.
    pub guarantee: String,
}

impl Thresholds {
    /// Not known yet: every limit is NaN.
    pub const fn unknown() -> Self {
        Self::alike(f32::NAN)
    }

    /// Those of a bundle that nobody calibrated: masks are drawn at one half, and the limits of the level
    /// are not known, so that no frame is NOMINAL.
    pub const fn of_none() -> Self {
        let guarantee = String::new();
        let not_known = f32::NAN;
        Self {
            caution: not_known,
            failure: not_known,
            error: 0.5,
            anomaly: 0.5,
            anomaly_area: not_known,
            things: None,
            drivable_margin: None,
            evidence: None,
            labels_of: None,
            guarantee,
        }
    }

    /// What they promise of the bundle's own M.
    pub fn promise_inside(&self) -> &str {
        if self.labels_of.is_some() { "" } else { &self.guarantee }
    }

    /// Whether a frame can be NOMINAL by them.
    pub const fn decide(&self) -> bool {
        !self.caution.is_nan()
            && !self.failure.is_nan()
            && (self.things.is_some() || !self.anomaly_area.is_nan())
    }

    /// Round numbers for tests; they promise nothing.
    #[cfg(test)]
    pub(crate) const fn uncalibrated() -> Self {
        let guarantee = String::new();
        Self {
            caution: 0.5,
            failure: 0.8,
            error: 0.5,
            anomaly: 0.5,
            anomaly_area: 1.,
            things: None,
            drivable_margin: None,
            evidence: None,
            labels_of: None,
            guarantee,
        }
    }

    /// Says what is wrong with them, if they are no calibration.
    fn check(&self) -> Result<(), OutOfRange> {
        for (name, value) in [
            ("caution", self.caution),
            ("failure", self.failure),
            ("error", self.error),
            ("anomaly", self.anomaly),
            ("anomaly_area", self.anomaly_area),
        ] {
            within(name, value, 0. ..=1.)?;
        }
        within("caution", self.caution, 0. ..=self.failure)?;
        within("drivable_margin", self.drivable_margin.unwrap_or(0), 0..=MOST_SIDE)?;
        self.things.as_ref().map_or(Ok(()), Things::check).map_err(|e| e.under("things"))?;
        self.evidence.as_ref().map_or(Ok(()), |evidence| evidence.check()).map_err(|e| e.under("evidence"))
    }

    const fn alike(limit: f32) -> Self {
        let guarantee = String::new();
        Self {
            caution: limit,
            failure: limit,
            error: limit,
            anomaly: limit,
            anomaly_area: limit,
            things: None,
            drivable_margin: None,
            evidence: None,
            labels_of: None,
            guarantee,
        }
    }
}

/// One network of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<C> {
    /// Architecture and size.
    pub network: C,
    /// File of the weights (of a torchscript network, the network itself), in the bundle's folder.
    pub weights: String,
    /// SHA-256 of that file, in hex.
    pub sha256: String,
    /// Data that trained it.
    pub trained_on: String,
    /// Command that trained it, seed included.
    pub command: String,
}

/// The contents of `bundle.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of this format.
    pub format: u32,
    /// The label set: by name if it is built in, else whole.
    pub labels: LabelSet,
    /// Height and width at which the networks work.
    pub working_size: [u32; 2],
    /// Commands that made the data, where commands did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
    /// M.
    pub segmentation: Entry<SegmenterConfig>,
    /// G.
    pub synthesis: Entry<GeneratorConfig>,
    /// F.
    pub comparison: Entry<ComparatorConfig>,
    /// How the anomaly score is made.
    #[serde(default)]
    pub anomaly: anomaly::Config,
    /// Thresholds and their promise; none of a bundle that is not calibrated (yet, or any more).
    #[serde(default)]
    pub calibration: Option<Thresholds>,
    /// What is expected of two pictures; none of a bundle without a self-test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// Figures measured on data that no network saw, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

impl Description {
    /// Replaces one network: what was measured and promised was so with the one that is gone.
    pub fn forget_promises(&mut self) {
        self.metrics.clear();
        self.calibration = None;
        self.self_test = None;
    }

    /// SHA-256 of each file of weights, in hex.
    pub(crate) fn weights(&self) -> BTreeMap<String, String> {
        let Self { segmentation: m, synthesis: g, comparison: f, .. } = self;
        let entries = [(&m.weights, &m.sha256), (&g.weights, &g.sha256), (&f.weights, &f.sha256)];
        entries.map(|(file, hash)| (file.clone(), hash.clone())).into()
    }

    /// Says which number is beyond its range, before anything is built of it.
    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format is {}, this version reads {FORMAT}", self.format));
        }
        self.numbers().map_err(|e| e.to_string())?;
        self.anomaly.unknown.check(self.comparison.network.sees_unknown())?;
        self.anomaly.check_fovea(self.working_size, &self.synthesis.network)?;
        check_size(&self.synthesis.network, self.working_size)
    }

    fn numbers(&self) -> Result<(), OutOfRange> {
        self.segmentation.check(|network| network.check()).map_err(|e| e.under("segmentation"))?;
        self.synthesis.check(GeneratorConfig::check).map_err(|e| e.under("synthesis"))?;
        self.comparison.check(ComparatorConfig::check).map_err(|e| e.under("comparison"))?;
        let finite = |(name, &value): (&String, &f64)| match value.is_finite() {
            true => Ok(()),
            false => Err(OutOfRange::new(name, value, "a finite number").under("metrics")),
        };
        self.metrics.iter().try_for_each(finite)?;
        self.self_test.as_ref().map_or(Ok(()), SelfTest::check).map_err(|e| e.under("self_test"))?;
        self.calibration.as_ref().map_or(Ok(()), Thresholds::check).map_err(|e| e.under("calibration"))
    }

    /// Writes `bundle.yaml` in folder `dir`.
    pub fn write(&self, dir: &Path) -> Result<(), BundleError> {
        let path = dir.join(DESCRIPTION);
        let wrong = |reason: String| BundleError::Description { path: path.clone(), reason };
        let text = serde_norway::to_string(self).map_err(|e| wrong(e.to_string()))?;
        Ok(whole_file::write(&path, text)?)
    }
}

impl<C> Entry<C> {
    /// Says what is wrong with it; `network` does so with the network's configuration.
    pub(crate) fn check(&self, network: impl FnOnce(&C) -> Result<(), OutOfRange>) -> Result<(), OutOfRange> {
        network(&self.network).map_err(|e| e.under("network"))?;
        let file = Path::new(&self.weights);
        match file.file_name().is_some_and(|name| name == file.as_os_str()) {
            true => Ok(()),
            false => Err(OutOfRange::new("weights", &self.weights, "the name of a file in the same folder")),
        }
    }
}

/// Says what is wrong with a working size (height, width), if networks cannot work at it.
pub fn check_size(generator: &GeneratorConfig, size: [u32; 2]) -> Result<(), String> {
    generator.check_size(size).map_err(|reason| format!("working_size {reason}"))?;
    size.into_iter()
        .try_for_each(|side| within("working_size", side, 1..=MOST_SIDE))
        .map_err(|e| e.to_string())
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// `bundle.yaml` does not say what it must.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The field and what is wrong with it.
        reason: String,
    },
    /// The weights are not those that the bundle was made with.
    #[error("{}: {field}.sha256 says {expected}, the file has {found}", path.display())]
    Hash {
        /// The weights.
        path: PathBuf,
        /// The network.
        field: &'static str,
        /// Hash in bundle.yaml.
        expected: String,
        /// Hash of the file.
        found: String,
    },
    /// The TorchScript file is no network that can be M.
    #[error("{}: {reason}", path.display())]
    TorchScript {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: TorchScriptError,
    },
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network is of a kind that is not built here.
    #[error(transparent)]
    NotBuilt(#[from] NotBuilt),
    /// The device or precision cannot be had.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// A bundle that was read and checked; networks are built from it.
#[derive(Debug)]
pub struct Bundle {
    /// The folder.
    pub dir: PathBuf,
    /// The folder's name.
    pub name: String,
    /// SHA-256 of `bundle.yaml`, in hex.
    pub hash: String,
    /// What `bundle.yaml` says.
    pub description: Description,
    /// The label set.
    pub labels: LabelSet,
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl Bundle {
    /// Reads and checks `bundle.yaml` in folder `dir`; weights are read later, one network at a time.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join(DESCRIPTION);
        let bytes = whole_file::read(&path, MOST_YAML)?;
        let wrong = |reason: String| BundleError::Description { path: path.clone(), reason };
        let mut description: Description = serde_norway::from_slice(&bytes).map_err(|e| wrong(told(e)))?;
        description.check().map_err(wrong)?;
        // Limits that promise nothing are no calibration. Earlier versions wrote "none: " and why.
        description.calibration = description
            .calibration
            .filter(|limits| !limits.guarantee.trim().is_empty() && !limits.guarantee.starts_with("none: "));
        let name =
            dir.canonicalize().ok().and_then(|d| d.file_name().map(|n| n.to_string_lossy().into_owned()));
        Ok(Self {
            dir: dir.to_owned(),
            name: name.unwrap_or_else(|| dir.display().to_string()),
            hash: sha256(&bytes),
            labels: description.labels.clone(),
            description,
        })
    }

    /// Reads the weights of one network and checks their hash. Returns their path for messages.
    pub fn weights<C>(
        &self,
        field: &'static str,
        entry: &Entry<C>,
    ) -> Result<(Tensors, PathBuf), BundleError> {
        let (bytes, path) = self.file(field, entry)?;
        Ok((weights::parse(&bytes, &path)?, path))
    }

    /// The bytes of one network's file, whose hash is right, and its path for messages.
    pub fn file<C>(&self, field: &'static str, entry: &Entry<C>) -> Result<(Vec<u8>, PathBuf), BundleError> {
        let path = self.dir.join(&entry.weights);
        Ok((checked(path.clone(), field, &entry.sha256)?, path))
    }
}

/// The bytes of the file at `path`, if their hash is `expected`; `field` is for messages.
pub(crate) fn checked(path: PathBuf, field: &'static str, expected: &str) -> Result<Vec<u8>, BundleError> {
    let bytes = whole_file::read(&path, weights::MOST)?;
    let found = sha256(&bytes);
    if found != expected {
        return Err(BundleError::Hash { path, field, expected: expected.into(), found });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREET: &str = include_str!("../../models/street/bundle.yaml");
    const CITYSCAPES: &str = include_str!("../../models/cityscapes/bundle.yaml");

    fn opened(text: &str) -> Result<Bundle, BundleError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DESCRIPTION), text).unwrap();
        Bundle::open(folder.path())
    }

    #[test]
    fn every_number_has_a_range_and_is_refused_beyond_it_by_its_name() {
        let limits = opened(STREET).unwrap().description.calibration.unwrap();
        let [error, caution] = ["error", "caution"].map(|name| {
            let is_it = |line: &&str| line.trim_start().starts_with(&format!("{name}: "));
            STREET.lines().find(is_it).unwrap().trim_start()
        });
        let beyond = format!("calibration.caution is 0.9, it must be in [0, {}]", limits.failure);
        for (from, to, expected) in [
            ("- 192", "- 16384", "working_size is 16384, it must be in [1, 4096]"),
            ("- 192", "- 0", "working_size has 0, a positive multiple of 32 is needed"),
            (
                "pyramid: 128",
                "pyramid: 4294967295",
                "segmentation.network.pyramid is 4294967295, it must be in [1, 1024]",
            ),
            ("    - 2\n", "    - 0\n", "segmentation.network.rates[0] is 0, it must be in [1, 128]"),
            ("    - 6\n", "    - 1000000000\n", "rates[2] is 1000000000"),
            ("decoder: 96", "decoder: -1", "segmentation.network.decoder is -1, it must be in [0, 1024]"),
            ("stem_stride: 2", "stem_stride: 0", "segmentation.network.encoder.stem_stride is 0"),
            ("ngf: 16", "ngf: -3", "synthesis.network.ngf is -3, it must be in [1, 128]"),
            ("hidden: 32", "hidden: 0", "synthesis.network.hidden is 0"),
            ("width: 32", "width: -1", "comparison.network.width is -1, it must be in [1, 1024]"),
            (
                "of_synth: disagreement",
                "of_synth: disagreement\n    shrink: 200",
                "comparison.network.shrink is 200, it must be in [1, 16]",
            ),
            (
                "segmentation.safetensors",
                "/dev/zero",
                "segmentation.weights is /dev/zero, it must be the name of a file",
            ),
            ("synthesis.safetensors", "../synthesis.safetensors", "synthesis.weights is ../synthesis"),
            (error, "error: .nan", "calibration.error is NaN, it must be in [0, 1]"),
            (caution, "caution: 0.9", &beyond),
            ("metrics: {}", "metrics: {miou: .inf}", "metrics.miou is inf, it must be a finite number"),
            ("format: 1", "format: 2", "format is 2, this version reads 1"),
        ] {
            assert!(STREET.contains(from), "{from}");
            let error = opened(&STREET.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{to}: {error}");
        }
    }

    #[test]
    fn a_description_that_is_too_long_or_too_deep_is_refused_at_once() {
        let long = opened(&"[".repeat(1_000_000)).unwrap_err().to_string();
        assert!(long.contains("bundle.yaml: has 1000000 bytes, at most 65536 are read"), "{long}");
        opened(&"[".repeat(MOST_YAML as usize)).unwrap_err();
    }

    #[test]
    fn weights_without_an_end_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DESCRIPTION), STREET).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("segmentation.safetensors")).unwrap();
        let bundle = Bundle::open(folder.path()).unwrap();
        let error = bundle.weights("segmentation", &bundle.description.segmentation).unwrap_err().to_string();
        assert!(error.contains("segmentation.safetensors: is no regular file"), "{error}");
    }

    #[test]
    fn things_are_part_of_a_calibration_and_a_bundle_without_goes_by_the_area() {
        let of = |text: &str| opened(text).map(|bundle| bundle.description.calibration.unwrap());
        assert!(of(STREET).unwrap().things.is_some());
        assert_eq!(of(CITYSCAPES).unwrap().things, None);
        let things = "  things:\n    intercept: -3.0\n    weights: {mean_score: 1.0, peak_score: 2.0, log_area: 0.5, \
                      on_road: 1.5, log_elongation: 0.0, bottom: 0.25}\n    limit: 0.75\n    stands_on: a test\n";
        let with = CITYSCAPES.replacen("  guarantee:", &format!("{things}  guarantee:"), 1);
        let read = of(&with).unwrap();
        assert_eq!(read.things.as_ref().map(|t| (t.limit, t.weights.on_road)), Some((0.75, 1.5)));
        let written = serde_norway::to_string(&read).unwrap();
        assert_eq!(serde_norway::from_str::<Thresholds>(&written).unwrap(), read);
        for (from, to, expected) in [
            ("limit: 0.75", "limit: 1.5", "calibration.things.limit is 1.5, it must be in [0, 1]"),
            ("bottom: 0.25", "bottom: .nan", "calibration.things.weights is NaN, it must be in"),
            ("bottom: 0.25", "top: 0.25", "unknown field"),
        ] {
            let error = of(&with.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_margin_is_no_longer_than_an_image() {
        let of = |margin: u32| {
            opened(&STREET.replacen("  guarantee:", &format!("  drivable_margin: {margin}\n  guarantee:"), 1))
        };
        assert_eq!(of(12).unwrap().description.calibration.unwrap().drivable_margin, Some(12));
        let error = of(4097).unwrap_err().to_string();
        assert!(error.contains("calibration.drivable_margin is 4097, it must be in [0, 4096]"), "{error}");
    }

    #[test]
    fn limits_that_promise_nothing_are_no_calibration() {
        let (before, _) = STREET.split_once("  guarantee:").unwrap();
        for guarantee in ["''", "'none: segmentation was replaced after calibration'"] {
            let text = format!("{before}  guarantee: {guarantee}\n");
            assert_eq!(opened(&text).unwrap().description.calibration, None);
        }
        let (before, _) = STREET.split_once("calibration:").unwrap();
        assert_eq!(opened(before).unwrap().description.calibration, None);
    }
}
