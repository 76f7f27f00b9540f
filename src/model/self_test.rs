//! What a bundle is expected to say of two pictures: one that it knows, and the same upside down, which is like
//! nothing that it knows.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::network::range::{OutOfRange, within};

/// The part of `bundle.yaml` by which a monitor tests itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// File of the picture, in the bundle's folder.
    pub picture: String,
    /// SHA-256 of that file, in hex.
    pub sha256: String,
    /// Scores of the picture.
    pub good: Expected,
    /// Scores of the picture upside down.
    pub bad: Expected,
    /// By how much a score may differ: in another precision, on another kind of CPU or GPU.
    pub tolerance: f32,
}

/// Scores of one picture, its areas above one half, so that no calibration changes them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// See MonitorReport.msg.
    pub failure_score: f32,
    /// See MonitorReport.msg.
    pub error_area: f32,
    /// See MonitorReport.msg. NaN where anomalies are not looked for.
    pub anomaly_area: f32,
}

impl Expected {
    fn named(&self) -> [(&'static str, f32); 3] {
        [
            ("failure_score", self.failure_score),
            ("error_area", self.error_area),
            ("anomaly_area", self.anomaly_area),
        ]
    }

    fn check(&self) -> Result<(), OutOfRange> {
        self.named().into_iter().try_for_each(|(name, value)| within(name, value, 0. ..=1.))
    }

    /// Which score of the picture `which` is not as expected, if one is not. Anomalies that were not looked for are not
    /// missed.
    pub(crate) fn refuted(&self, found: &Self, which: &str, tolerance: f32) -> Option<String> {
        let differs = |((name, expected), (_, found)): &((&str, f32), (&str, f32))| {
            let unasked = *name == "anomaly_area" && found.is_nan();
            // A score that is NaN is within no tolerance.
            let close = (expected - found).abs() <= tolerance;
            !close && !unasked
        };
        let ((name, expected), (_, found)) = self.named().into_iter().zip(found.named()).find(differs)?;
        Some(format!(
            "{name} of the known {which} picture is {found:.3}, expected {expected:.3} within {tolerance}"
        ))
    }
}

impl SelfTest {
    /// Says what is wrong with it, if it tests nothing.
    pub(crate) fn check(&self) -> Result<(), OutOfRange> {
        self.good.check().map_err(|e| e.under("good"))?;
        self.bad.check().map_err(|e| e.under("bad"))?;
        // What is good enough for one picture must not be so for the other.
        let apart = self.bad.failure_score - self.good.failure_score;
        within("tolerance", self.tolerance, 0. ..=(apart / 2.).max(0.))?;
        let file = Path::new(&self.picture);
        match file.file_name().is_some_and(|name| name == file.as_os_str()) {
            true => Ok(()),
            false => Err(OutOfRange::new("picture", &self.picture, "the name of a file in the same folder")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(failure_score: f32, area: f32) -> Expected {
        Expected { failure_score, error_area: area, anomaly_area: area }
    }

    #[test]
    fn a_score_beyond_the_tolerance_is_named_and_so_is_one_that_is_no_number() {
        let expected = scores(0.4, 0.1);
        assert_eq!(expected.refuted(&scores(0.44, 0.06), "good", 0.05), None);
        let told = expected.refuted(&scores(0.46, 0.1), "good", 0.05).unwrap();
        assert_eq!(told, "failure_score of the known good picture is 0.460, expected 0.400 within 0.05");
        let told = expected.refuted(&scores(0.4, 0.2), "bad", 0.05).unwrap();
        assert!(told.starts_with("error_area of the known bad picture is 0.200"), "{told}");
        assert!(expected.refuted(&scores(f32::NAN, 0.1), "good", 0.05).is_some());
        let unasked = Expected { anomaly_area: f32::NAN, ..expected };
        assert_eq!(expected.refuted(&unasked, "good", 0.05), None);
    }

    #[test]
    fn a_test_that_takes_the_bad_picture_for_the_good_one_is_refused() {
        let test = |good, bad, tolerance| SelfTest {
            picture: "self_test.png".to_owned(),
            sha256: String::new(),
            good: scores(good, 0.1),
            bad: scores(bad, 0.6),
            tolerance,
        };
        assert!(test(0.4, 0.8, 0.05).check().is_ok());
        for (good, bad, tolerance) in [(0.4, 0.45, 0.05), (0.8, 0.4, 0.05), (0.4, 0.8, f32::NAN)] {
            assert!(test(good, bad, tolerance).check().is_err(), "{good} {bad} {tolerance}");
        }
        let elsewhere = SelfTest { picture: "../a.png".to_owned(), ..test(0.4, 0.8, 0.05) };
        assert!(elsewhere.check().unwrap_err().to_string().contains("picture is ../a.png"));
    }
}
