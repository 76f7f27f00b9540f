//! The journal of a drive: a few numbers per frame, and images of the moments that matter.

use std::collections::BTreeMap;

use crate::bag::message::{MonitorReport, Time};
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;

/// Most moments that are kept.
const MOMENTS: usize = 6;
/// Of so many frames in a row only the worst is a moment.
const SPACING: usize = 10;

/// The numbers of one assessed frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// From 1.
    pub number: usize,
    /// Seconds since the first, by the images' stamps; a stamp that jumps back adds nothing.
    pub secs: f64,
    /// The image's stamp.
    pub stamp: Time,
    /// Whether the scores may be used.
    pub validity: Validity,
    /// After debouncing.
    pub level: Level,
    /// In \[0, 1\]; NaN where there is none.
    pub failure_score: f32,
    /// In \[0, 1\]; NaN where there is none.
    pub predicted_miou: f32,
    /// Share of the image; NaN where there is none.
    pub error_area: f32,
    /// Share of the image; NaN where there is none.
    pub anomaly_area: f32,
    /// The class that the largest anomalous region was synthesized as; empty without a region.
    pub rendered_as: String,
    /// Milliseconds from taking up the image to its report.
    pub latency_ms: f32,
    /// Images dropped so far.
    pub dropped: u64,
    /// Why the scores may not be used.
    pub reason: String,
    /// The larger of the two scores as a multiple of its limit; above 1 is beyond it.
    pub severity: f32,
}

/// A frame with its image.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Its place among the entries.
    pub place: usize,
    /// A JPEG file.
    pub jpeg: Vec<u8>,
}

/// The frames of one drive.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    moments: Vec<Moment>,
    by_validity: BTreeMap<Validity, usize>,
    start: u64,
    last: MonitorReport,
}

impl Journal {
    /// Adds a report that arrived at `time` (nanoseconds since 1970); gives its entry if it is about an
    /// image.
    pub fn add(&mut self, time: u64, report: MonitorReport) -> Option<&Entry> {
        let validity = Validity::from_number(report.validity);
        *self.by_validity.entry(validity).or_default() += 1;
        if !validity.is_on_an_image() {
            return None;
        }
        if self.entries.is_empty() {
            self.start = time;
        }
        let stamp = report.header.stamp;
        let secs =
            self.entries.last().map_or(0.0, |last| last.secs + (stamp.secs() - last.stamp.secs()).max(0.0));
        self.entries.push(Entry {
            number: self.entries.len() + 1,
            secs,
            stamp,
            validity,
            level: Level::from_number(report.level),
            failure_score: report.failure_score,
            predicted_miou: report.predicted_miou,
            error_area: report.error_area,
            anomaly_area: report.anomaly_area,
            rendered_as: report.regions.first().map_or(String::new(), |region| region.class_name.clone()),
            latency_ms: report.latency_total_ms,
            dropped: report.frames_dropped,
            reason: report.reason.clone(),
            severity: severity(&report),
        });
        self.last = report;
        self.entries.last()
    }

    /// Offers the image, a JPEG file, of the frame with this stamp.
    pub fn picture(&mut self, stamp: Time, jpeg: &[u8]) {
        // It comes right after its report.
        let recent = self.entries.iter().enumerate().rev().take(SPACING);
        let Some(place) = recent.into_iter().find(|(_, entry)| entry.stamp == stamp).map(|(place, _)| place)
        else {
            return;
        };
        let moment = Moment { place, jpeg: jpeg.to_vec() };
        let severity = |moment: &Moment| self.entries[moment.place].severity;
        match self.moments.last_mut() {
            Some(last) if place - last.place < SPACING => {
                if severity(&moment) > severity(last) {
                    *last = moment;
                }
            }
            _ => self.moments.push(moment),
        }
        if self.moments.len() > MOMENTS {
            let mildest = (0..self.moments.len()).min_by(|&a, &b| {
                let [a, b] = [a, b].map(|place| severity(&self.moments[place]));
                a.total_cmp(&b)
            });
            mildest.map(|place| self.moments.remove(place));
        }
    }

    /// Assessed frames in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The worst frames in order of time, at least ten frames apart as a rule, six at most.
    pub(crate) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Number of reports of each validity, including those that are not about an image.
    pub(crate) fn by_validity(&self) -> &BTreeMap<Validity, usize> {
        &self.by_validity
    }

    /// When the first report about an image arrived, in nanoseconds since 1970.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The last report about an image; it has the counts, limits and bundle.
    pub fn last(&self) -> &MonitorReport {
        &self.last
    }

    /// Number of frames at each level: nominal, caution, failure.
    pub(crate) fn by_level(&self) -> [(Level, usize); 3] {
        [Level::Nominal, Level::Caution, Level::Failure]
            .map(|level| (level, self.entries.iter().filter(|entry| entry.level == level).count()))
    }

    /// Latency in milliseconds that a share `quantile` of the frames did not exceed.
    pub fn latency(&self, quantile: f64) -> Option<f32> {
        let mut sorted: Vec<f32> =
            self.entries.iter().map(|entry| entry.latency_ms).filter(|ms| !ms.is_nan()).collect();
        sorted.sort_by(f32::total_cmp);
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

/// The larger of the two scores, each as a multiple of its limit (of the area, also where the level goes by
/// things).
fn severity(report: &MonitorReport) -> f32 {
    let failure = report.failure_score / report.threshold_caution.max(f32::MIN_POSITIVE);
    let anomaly = report.anomaly_area / report.threshold_anomaly_area.max(f32::MIN_POSITIVE);
    failure.max(anomaly)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::Header;

    fn stamp(sec: i32) -> Time {
        Time { sec, nanosec: 0 }
    }

    fn report(sec: i32, failure_score: f32) -> MonitorReport {
        MonitorReport {
            header: Header { stamp: stamp(sec), ..Header::default() },
            failure_score,
            anomaly_area: 0.01,
            threshold_caution: 0.5,
            threshold_anomaly_area: 0.1,
            latency_total_ms: sec as f32,
            ..MonitorReport::default()
        }
    }

    fn drive(scores: &[f32]) -> Journal {
        let mut journal = Journal::default();
        for (sec, &score) in (0..).zip(scores) {
            journal.add(1_000_000_000 * (100 + sec as u64), report(sec, score));
            journal.picture(stamp(sec), &[sec as u8]);
        }
        journal
    }

    #[test]
    fn the_worst_frame_of_its_neighbourhood_is_a_moment() {
        let mut scores = [0.1; 40];
        scores[15] = 0.7;
        scores[17] = 0.9;
        scores[33] = 0.6;
        let journal = drive(&scores);
        let found: Vec<(usize, &[u8])> =
            journal.moments().iter().map(|moment| (moment.place, moment.jpeg.as_slice())).collect();
        assert!(found.contains(&(17, &[17])) && found.contains(&(33, &[33])), "{found:?}");
        assert!(!found.iter().any(|(place, _)| *place == 15), "{found:?}");
    }

    #[test]
    fn moments_are_few_and_the_worst() {
        let mut scores = [0.2; 300];
        let bad = [25, 75, 125, 175, 225, 275];
        for place in bad {
            scores[place] = 0.9;
        }
        let journal = drive(&scores);
        let places: Vec<usize> = journal.moments().iter().map(|moment| moment.place).collect();
        assert_eq!(places, bad);
    }

    #[test]
    fn reports_without_an_image_are_counted_and_no_more() {
        let mut journal = Journal::default();
        let stale = MonitorReport { validity: Validity::Stale as u8, ..MonitorReport::default() };
        assert_eq!(journal.add(1, stale), None);
        journal.add(2, report(1, 0.2));
        journal.add(3, report(2, 0.2));
        assert_eq!(journal.start(), 2);
        journal.picture(stamp(77), &[1]);
        assert!(journal.moments().is_empty(), "an image of no frame");
        assert_eq!(journal.by_validity()[&Validity::Stale], 1);
        assert_eq!(journal.by_validity()[&Validity::Ok], 2);
        assert_eq!(journal.latency(0.5), Some(1.0));
        assert_eq!(journal.latency(0.95), Some(2.0));
        assert_eq!(Journal::default().latency(0.5), None);
    }

    #[test]
    fn time_is_that_of_the_images_and_only_goes_on() {
        let mut journal = Journal::default();
        for sec in [100, 101, 103, 50, 52] {
            journal.add(7, report(sec, 0.2));
        }
        let secs: Vec<f64> = journal.entries().iter().map(|entry| entry.secs).collect();
        assert_eq!(secs, [0.0, 1.0, 3.0, 3.0, 5.0]);
    }

    #[test]
    fn severity_is_the_worse_of_both_and_knows_nan() {
        assert_eq!(severity(&report(0, 0.75)), 1.5);
        assert!((severity(&report(0, f32::NAN)) - 0.1).abs() < 1e-6);
        let unknown = MonitorReport { failure_score: f32::NAN, anomaly_area: f32::NAN, ..report(0, 0.0) };
        assert!(severity(&unknown).is_nan());
    }
}
