//! A verdict as the message that the node would have published.

use std::time::Duration;

use crate::bag::message::{AnomalyRegion, ClassScore, Header, MonitorReport};
use crate::labels::LabelSet;
use crate::monitor::assessment::{self, Latency, Region};
use crate::quote::without_nul;
use crate::watch::verdict::Verdict;

fn millis(duration: Option<Duration>) -> f32 {
    duration.map_or(f32::NAN, |duration| duration.as_secs_f32() * 1e3)
}

/// The header of everything on a frame.
pub(crate) fn header(verdict: &Verdict) -> Header {
    Header { stamp: verdict.stamp.into(), frame_id: without_nul(&verdict.camera) }
}

/// The report; the fields mean what `msg/MonitorReport.msg` says. `bundle` is its name and its hash.
pub(crate) fn report(verdict: &Verdict, labels: Option<&LabelSet>, bundle: (&str, &str)) -> MonitorReport {
    let Verdict { report, thresholds, counts, label_counts, .. } = verdict;
    let report = report.as_ref();
    // A stage that took no time did not run.
    let stage = |pick: fn(&Latency) -> Duration| {
        millis(report.map(|report| pick(&report.latency)).filter(|duration| !duration.is_zero()))
    };
    let number = |pick: fn(&assessment::Report) -> f32| report.map_or(f32::NAN, pick);
    MonitorReport {
        header: header(verdict),
        validity: verdict.validity as u8,
        reason: without_nul(&verdict.reason),
        level: verdict.level.number(),
        raw_level: verdict.raw.number(),
        latched_level: verdict.latched.number(),
        failure_score: number(|report| report.failure_score),
        predicted_miou: number(|report| report.predicted_miou),
        classes: report.map_or(Vec::new(), |report| report.classes.iter().map(class).collect()),
        error_area: number(|report| report.error_area),
        anomaly_area: number(|report| report.anomaly_area),
        unlabelled_area: number(|report| report.unlabelled_area),
        regions: report
            .map_or(Vec::new(), |report| report.regions.iter().map(|found| region(found, labels)).collect()),
        threshold_caution: thresholds.caution,
        threshold_failure: thresholds.failure,
        threshold_error: thresholds.error,
        threshold_anomaly: thresholds.anomaly,
        threshold_anomaly_area: thresholds.anomaly_area,
        threshold_thing: thresholds.things.as_ref().map_or(f32::NAN, |things| things.limit),
        guarantee: without_nul(&thresholds.guarantee),
        calibration: verdict.calibration as u8,
        latency_decode_ms: millis(verdict.decode),
        latency_segment_ms: stage(|latency| latency.segment),
        latency_synthesize_ms: stage(|latency| latency.synthesize),
        latency_compare_ms: stage(|latency| latency.compare),
        latency_score_ms: stage(|latency| latency.score),
        latency_total_ms: millis(verdict.total),
        image_age_ms: verdict.image_age_secs.map_or(f32::NAN, |age| (age * 1e3) as f32),
        since_arrival_ms: millis(verdict.since_arrival),
        labels_age_ms: verdict.labels_age_secs.map_or(f32::NAN, |age| (age * 1e3) as f32),
        frames_received: counts.received,
        frames_processed: counts.processed,
        frames_dropped: counts.dropped,
        frames_invalid: counts.invalid,
        frames_unmatched: counts.unmatched,
        labels_received: label_counts.received,
        labels_unmatched: label_counts.unmatched,
        bundle: without_nul(bundle.0),
        bundle_hash: without_nul(bundle.1),
    }
}

fn class(score: &assessment::ClassScore) -> ClassScore {
    ClassScore {
        class_id: score.class_id,
        class_name: without_nul(&score.class_name),
        predicted_iou: score.predicted_iou,
        presence: score.presence,
        pixel_share: score.pixel_share,
        present: score.present,
    }
}

fn region(region: &Region, labels: Option<&LabelSet>) -> AnomalyRegion {
    let name = labels.and_then(|labels| labels.classes.get(usize::from(region.class_id)));
    AnomalyRegion {
        x: region.x,
        y: region.y,
        width: region.width,
        height: region.height,
        centroid_x: region.centroid.0,
        centroid_y: region.centroid.1,
        area: region.area,
        mean_score: region.mean_score,
        peak_score: region.peak_score,
        probability: region.probability,
        on_road: region.on_road,
        id: region.track.map_or(0, |track| track.id),
        age_frames: region.track.map_or(0, |track| track.frames),
        age: region.track.map_or(f32::NAN, |track| track.seconds),
        class_id: region.class_id,
        class_name: name.map_or(String::new(), |class| without_nul(&class.name)),
    }
}
