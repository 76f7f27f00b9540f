//! Thresholds from labelled images that no network has seen.

use std::path::Path;

use super::TrainError;
use crate::data::{self, Reading, Slice};
use crate::frame::Frame;
use crate::labels::{IGNORE, LabelSet};
use crate::model::bundle::{BundleError, Thresholds};
use crate::monitor::assessment::Wanted;
use crate::monitor::pipeline::{Monitor, MonitorError, MonitorOptions};

/// Why a bundle cannot be calibrated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// Labels in other classes: no prediction would be right.
    #[error(
        "the labels are of set {data:?} and the bundle's classes of {bundle:?}; calibrate on labels of its own"
    )]
    Labels {
        /// The data's label set.
        data: String,
        /// The bundle's.
        bundle: String,
    },
    /// A frame.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The training's files.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Share of good frames that may reach CAUTION by their failure score, and by their anomaly area; of
/// good frames that may reach FAILURE; of right pixels that may be in the error mask; and of ordinary
/// pixels that may be in the anomaly mask.
const FALSE_ALARMS: [f64; 5] = [0.05, 0.05, 0.01, 0.05, 0.01];

/// Thresholds that keep false alarms at `FALSE_ALARMS` on the samples of `slice`.
pub fn calibrate(
    bundle: &Path,
    folder: &Path,
    slice: &Slice,
    reading: &Reading,
) -> Result<Thresholds, CalibrationError> {
    let monitor = Monitor::load(bundle, &MonitorOptions::default())?;
    let options = data::Options { slice: slice.clone(), reading: reading.clone(), ..Default::default() };
    let dataset = data::load(folder, &options)?;
    let names = |set: &LabelSet| set.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
    if names(&dataset.labels) != names(monitor.labels()) {
        let [data, bundle] = [dataset.labels.name, monitor.labels().name.clone()];
        return Err(CalibrationError::Labels { data, bundle });
    }
    let (mut failure, mut error, mut anomaly) = (Vec::new(), Vec::new(), Vec::new());
    let mut maps = Vec::new();
    let wanted = Wanted { error_probability: true, anomaly_score: true, labels: true, ..Wanted::default() };
    for sample in &dataset.samples {
        let assessment = monitor.process(&Frame::new(sample.image.clone()), wanted)?;
        failure.push(assessment.report.failure_score);
        let (Some(labels), Some(errors), Some(anomalies)) =
            (assessment.maps.labels, assessment.maps.error_probability, assessment.maps.anomaly_score)
        else {
            continue;
        };
        for (i, &truth) in sample.labels.as_raw().iter().enumerate() {
            if truth == IGNORE {
                continue;
            }
            anomaly.push(anomalies.data[i]);
            if labels.as_raw()[i] == truth {
                error.push(errors.data[i]);
            }
        }
        maps.push(anomalies.data);
    }
    let frames = failure.len();
    let [caution, anomalous_frame, certain, wrong, anomalous] = FALSE_ALARMS;
    let limit = quantile(&mut anomaly, 1. - anomalous);
    let above = |map: &Vec<f32>| map.iter().filter(|&&score| score >= limit).count();
    let mut areas: Vec<f32> = maps.iter().map(|map| above(map) as f32 / map.len().max(1) as f32).collect();
    Ok(Thresholds {
        caution: quantile(&mut failure, 1. - caution),
        failure: quantile(&mut failure, 1. - certain),
        error: quantile(&mut error, 1. - wrong),
        anomaly: limit,
        anomaly_area: quantile(&mut areas, 1. - anomalous_frame),
        guarantee: format!(
            "on {frames} labelled frames that no network saw ({slice}): CAUTION on at most {:.0} % of frames, \
             FAILURE on at most {:.0} %, {:.0} % of right pixels in the error mask, {:.0} % of ordinary pixels in \
             the anomaly mask",
            100. * (caution + anomalous_frame),
            100. * certain,
            100. * wrong,
            100. * anomalous
        ),
    })
}

/// The smallest limit that at least `share` of the (finite) values do not reach; 1 without values.
fn quantile(values: &mut [f32], share: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).map_or(1., |v| v.next_up().clamp(0., 1.))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_leaves_out_the_share_above_it() {
        let mut values: Vec<f32> = (1..=100).rev().map(|v| v as f32 / 100.).collect();
        let limit = quantile(&mut values, 0.95);
        assert_eq!(values.iter().filter(|&&v| v >= limit).count(), 5);
        assert_eq!(quantile(&mut values, 1.), 1.);
        assert_eq!(quantile(&mut [], 0.5), 1.);
    }
}
