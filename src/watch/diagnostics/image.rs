//! What the camera's picture says by itself, and whether what is in view is like the calibration.

use super::{Severity, Snapshot, Status, number};
use crate::frame::health::{Health, HealthMonitor};
use crate::watch::likeness::{CalibrationState, Likeness};
use crate::watch::watchdog::Liveness;

/// One status a monitor of the picture. They share the camera with the method: what blinds it may blind them.
pub(super) fn pictures(snapshot: &Snapshot) -> impl Iterator<Item = Status> {
    let Snapshot { state, live, now, .. } = *snapshot;
    let is_alive = state.watchdog.liveness(now, live.source_timeout) == Liveness::Alive;
    let health = state.health.filter(|_| is_alive);
    HealthMonitor::ALL.into_iter().map(move |monitor| picture(monitor, health))
}

fn picture(monitor: HealthMonitor, health: Option<Health>) -> Status {
    let figure = health.map(|health| monitor.figure(&health));
    let limit = monitor.limit();
    let (severity, message) = match figure {
        None => (Severity::Stale, "no image to look at".to_owned()),
        // What is no number is not well.
        Some(figure) if figure <= limit => (Severity::Ok, "the image looks well by itself".to_owned()),
        Some(_) => (
            Severity::Warn,
            match monitor {
                HealthMonitor::Exposure => {
                    "hardly a difference between dark and light: darkness, fog or glare"
                }
                HealthMonitor::Blur => "edges are wide: out of focus or wet",
                HealthMonitor::Noise => "neighbouring pixels have little in common: noise",
                HealthMonitor::Cover => "dark parts without texture: something may lie on the lens",
            }
            .to_owned(),
        ),
    };
    Status {
        task: monitor.name(),
        severity,
        message,
        values: vec![
            ("figure", number(figure.map(f64::from))),
            ("limit", number(Some(f64::from(limit)))),
            ("brightness", number(health.map(|health| f64::from(health.brightness)))),
            ("independent_of_method", "networks yes, camera no".to_owned()),
        ],
    }
}

pub(super) fn calibration(snapshot: &Snapshot) -> Status {
    let Likeness { state, shift, obstacle } = snapshot.state.likeness;
    let evidence = snapshot.state.calibrated.evidence.as_deref();
    let reference = evidence.and_then(|evidence| evidence.reference.as_ref());
    let (severity, message) = match (state, obstacle, reference) {
        (CalibrationState::Valid, ..) => {
            (Severity::Ok, "what is in view is like the calibration drives".to_owned())
        }
        (CalibrationState::Invalid, ..) => {
            let signal = shift.map_or("a signal", |(shift, _)| shift.signal);
            (
                Severity::Warn,
                format!(
                    "what is in view is unlike the calibration drives (by {signal}): nothing is promised here"
                ),
            )
        }
        (CalibrationState::Unknown, Some(obstacle), _) => (
            Severity::Warn,
            format!(
                "what is in view cannot be compared with the calibration drives: {obstacle}; nothing is promised"
            ),
        ),
        (CalibrationState::Unknown, None, None) => {
            (Severity::Ok, "the bundle keeps no calibration drives to compare with".to_owned())
        }
        (CalibrationState::Unknown, None, Some(_)) => {
            (Severity::Ok, "not known yet: too few frames by the bundle's own limits".to_owned())
        }
    };
    let farthest = shift.map(|(shift, _)| shift);
    Status {
        task: "calibration",
        severity,
        message,
        values: vec![
            ("state", state.name().to_owned()),
            ("shift", number(farthest.map(|shift| f64::from(shift.size)))),
            ("shift_limit", number(shift.map(|(_, limit)| f64::from(limit)))),
            ("farthest_signal", farthest.map_or(String::new(), |shift| shift.signal.to_owned())),
            ("false_alarm_rate", number(reference.map(|reference| reference.rate))),
            ("window_s", number(reference.map(|reference| reference.every * reference.window as f64))),
        ],
    }
}
