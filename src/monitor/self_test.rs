//! A monitor that tests itself, against what its bundle says of two pictures.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, flip_vertical, resize};
use image::{ImageFormat, RgbImage};

use super::assessment::Wanted;
use super::pipeline::{Monitor, MonitorError, MonitorOptions};
use crate::frame::{self, Frame};
use crate::model::bundle::{Bundle, BundleError, DESCRIPTION, MOST_YAML, Thresholds, checked, sha256};
use crate::model::compute::Precision;
use crate::model::self_test::{Expected, SelfTest};
use crate::network::fault::{self, one_line};
use crate::network::range::OutOfRange;
use crate::whole_file;

/// The picture's file, in the bundle's folder.
const PICTURE: &str = "self_test.png";

/// What a self-test came to.
#[derive(Clone, Debug, PartialEq)]
pub enum SelfTested {
    /// The bundle has none.
    Absent,
    /// All is as the bundle says: the scores of the good picture and of the bad one.
    Passed([Expected; 2]),
    /// Something is not.
    Failed(String),
}

impl SelfTested {
    /// In words.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Absent => "the bundle has no self-test; synthcp bundle self-test adds one".to_owned(),
            Self::Passed(_) => "scores, weights and bundle.yaml are as expected".to_owned(),
            Self::Failed(reason) => format!("the self-test failed: {reason}"),
        }
    }
}

/// Why a bundle gets no self-test.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The picture cannot be assessed.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The picture cannot be written.
    #[error("the picture cannot be written as a PNG: {0}")]
    Picture(#[from] image::ImageError),
    /// The networks do not tell the two pictures apart.
    #[error("{0}; the picture and itself upside down must be told apart: take one that the bundle knows")]
    Alike(OutOfRange),
}

impl Monitor {
    /// Whether the files are those that the bundle was made of, and the networks say of its two pictures what they are
    /// expected to say.
    pub fn self_test(&mut self) -> SelfTested {
        let Some(test) = self.self_test_of_bundle().cloned() else { return SelfTested::Absent };
        let tested = catch_unwind(AssertUnwindSafe(|| self.tested(&test)));
        match tested.unwrap_or_else(|panic| Err(fault::of_panic(panic.as_ref()))) {
            Ok(scores) => SelfTested::Passed(scores),
            Err(reason) => SelfTested::Failed(one_line(&reason)),
        }
    }

    fn tested(&mut self, test: &SelfTest) -> Result<[Expected; 2], String> {
        let told = |error: BundleError| error.to_string();
        let description = whole_file::read(&self.file(DESCRIPTION), MOST_YAML).map_err(|e| e.to_string())?;
        if sha256(&description) != self.bundle_hash() {
            return Err(format!("{} has changed since it was loaded", self.file(DESCRIPTION).display()));
        }
        for (file, hash) in self.weights() {
            checked(self.file(file), "weights", hash).map_err(told)?;
        }
        let png = checked(self.file(&test.picture), "self_test", &test.sha256).map_err(told)?;
        let picture = frame::decode_compressed("png", &png).map_err(|e| e.to_string())?;
        let scores = self.both(&picture).map_err(|e| e.to_string())?;
        let expected = [("good", &test.good), ("bad", &test.bad)];
        let refuted = |((which, expected), found): ((&str, &Expected), &Expected)| {
            expected.refuted(found, which, test.tolerance)
        };
        match expected.into_iter().zip(&scores).find_map(refuted) {
            None => Ok(scores),
            Some(reason) => Err(reason),
        }
    }

    /// Scores of a picture, and of it upside down. Limits and mask of the robot have no part in them.
    fn both(&mut self, picture: &RgbImage) -> Result<[Expected; 2], MonitorError> {
        let thresholds = self.thresholds().clone();
        let mask = self.valid_mask().cloned();
        self.set_thresholds(Thresholds::of_none());
        self.set_valid_mask(None);
        let scores = |monitor: &Self, picture: RgbImage| -> Result<Expected, MonitorError> {
            let report = monitor.process(&Frame::new(picture), Wanted::default())?.report;
            Ok(Expected {
                failure_score: report.failure_score,
                error_area: report.error_area,
                anomaly_area: report.anomaly_area,
            })
        };
        let good = catch_unwind(AssertUnwindSafe(|| {
            self.networks()
                .apart(|| Ok([scores(self, picture.clone())?, scores(self, flip_vertical(picture))?]))
        }));
        self.set_thresholds(thresholds);
        self.share_valid_mask(mask);
        good.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// Gives the bundle in folder `dir` a self-test of `picture`, in place of the one that it may have.
pub fn create(dir: &Path, picture: &RgbImage, tolerance: f32) -> Result<SelfTest, SelfTestError> {
    let options = MonitorOptions { precision: Precision::Fp32, ..MonitorOptions::default() };
    let mut monitor = Monitor::load_to_calibrate(dir, &options)?;
    let (height, width) = monitor.networks().size();
    let picture = resize(picture, width as u32, height as u32, FilterType::Triangle);
    let [good, bad] = monitor.both(&picture)?;
    let mut png = Vec::new();
    picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    let test = SelfTest { picture: PICTURE.to_owned(), sha256: sha256(&png), good, bad, tolerance };
    test.check().map_err(SelfTestError::Alike)?;
    whole_file::write(&dir.join(PICTURE), png)?;
    let mut description = Bundle::open(dir)?.description;
    description.self_test = Some(test.clone());
    description.write(dir)?;
    Ok(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
    }

    /// A copy that a test may damage.
    fn copy() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(shipped("street")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        folder
    }

    fn monitor(folder: &Path, precision: Precision) -> Monitor {
        Monitor::load(folder, &MonitorOptions { precision, ..MonitorOptions::default() }).unwrap()
    }

    fn failure(monitor: &mut Monitor) -> String {
        match monitor.self_test() {
            SelfTested::Failed(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shipped_bundles_pass_in_either_precision_and_keep_limits_and_mask_of_the_robot() {
        let (street, cityscapes) = (shipped("street"), shipped("cityscapes"));
        let ways = [(&street, Precision::Fp32), (&street, Precision::Bf16), (&cityscapes, Precision::Fp32)];
        for (bundle, precision) in ways {
            let mut monitor = monitor(bundle, precision);
            let limits = Thresholds { error: 0.9, ..monitor.thresholds().clone() };
            monitor.set_thresholds(limits.clone());
            monitor.set_valid_mask(Some(image::GrayImage::new(3, 3)));
            let SelfTested::Passed([good, bad]) = monitor.self_test() else {
                panic!("{:?}", monitor.self_test())
            };
            assert!(bad.failure_score > good.failure_score + 0.2, "{good:?} {bad:?}");
            assert_eq!(monitor.thresholds(), &limits);
            assert_eq!(monitor.valid_mask().unwrap().dimensions(), (3, 3));
        }
    }

    #[test]
    fn a_self_test_changes_no_later_score_by_a_bit() {
        let picture = image::open(shipped("street").join(PICTURE)).unwrap().into_rgb8();
        let scores = |tested: bool| {
            let mut monitor = monitor(&shipped("street"), Precision::Bf16);
            let seen = image::imageops::flip_horizontal(&picture);
            monitor.process(&Frame::new(seen), Wanted::default()).unwrap();
            if tested {
                assert!(matches!(monitor.self_test(), SelfTested::Passed(_)));
            }
            let next = image::imageops::blur(&picture, 1.);
            monitor.process(&Frame::new(next), Wanted::default()).unwrap().report.failure_score.to_bits()
        };
        assert_eq!(scores(false), scores(true));
    }

    #[test]
    fn what_is_damaged_is_named() {
        let folder = copy();
        let mut monitor = monitor(folder.path(), Precision::Fp32);
        for (file, told) in [
            ("synthesis.safetensors", "synthesis.safetensors: weights.sha256 says"),
            (PICTURE, "self_test.png: self_test.sha256 says"),
            (DESCRIPTION, "bundle.yaml has changed since it was loaded"),
        ] {
            let path = folder.path().join(file);
            let whole = std::fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let reason = failure(&mut monitor);
            assert!(reason.contains(told), "{reason}");
            std::fs::write(&path, whole).unwrap();
        }
        std::fs::remove_file(folder.path().join(PICTURE)).unwrap();
        assert!(failure(&mut monitor).contains(PICTURE));
    }

    #[test]
    fn scores_that_are_not_as_expected_are_named_and_a_test_can_be_made_anew() {
        let folder = copy();
        let mut description = Bundle::open(folder.path()).unwrap().description;
        if let Some(test) = &mut description.self_test {
            test.good.failure_score = 0.3;
        }
        description.write(folder.path()).unwrap();
        let reason = failure(&mut monitor(folder.path(), Precision::Fp32));
        assert!(reason.starts_with("failure_score of the known good picture is 0.42"), "{reason}");
        let picture = frame::open(&folder.path().join(PICTURE)).unwrap().into_rgb8();
        let test = create(folder.path(), &picture, 0.05).unwrap();
        assert_eq!(Bundle::open(folder.path()).unwrap().description.self_test, Some(test));
        assert!(matches!(monitor(folder.path(), Precision::Fp32).self_test(), SelfTested::Passed(_)));
        // A picture without top and bottom is the same upside down.
        let error = create(folder.path(), &RgbImage::new(64, 64), 0.05).unwrap_err().to_string();
        assert!(error.contains("tolerance is 0.05") && error.contains("told apart"), "{error}");
    }

    #[test]
    fn a_bundle_without_one_says_so() {
        let folder = copy();
        let mut description = Bundle::open(folder.path()).unwrap().description;
        description.self_test = None;
        description.write(folder.path()).unwrap();
        let tested = monitor(folder.path(), Precision::Fp32).self_test();
        assert!(tested == SelfTested::Absent && tested.told().contains("no self-test"));
    }
}
