//! How many frames keep their limits.

use super::evidence::{Evidence, Sighting};
use super::scenario::Frames;
use super::verdict::{Ruling, Scope, percent};

/// A report that there is no frame has a validity and a level, and no scores: it is judged like a frame.
pub(super) fn judge(asked: &Frames, scope: &Scope) -> Ruling {
    let class = match &asked.class {
        None => None,
        Some(name) => match place_of(name, scope.evidence) {
            Some(place) => Some(place),
            None => {
                let known = scope.evidence.classes.join(", ");
                return Ruling::no_data(format!("no report tells of a class {name:?}; there are {known}"));
            }
        },
    };
    let mut ruling = Ruling::default();
    let mut met = 0u64;
    for (place, sighting) in scope.sightings() {
        if class.is_some_and(|class| sighting.predicted_iou(class).is_none()) {
            continue;
        }
        met += 1;
        let broken = broken(asked, class, sighting);
        if !broken.is_empty() {
            ruling.decide(place, broken.join(", "));
        }
    }
    if met == 0 {
        return Ruling::no_data(match &asked.class {
            Some(class) => format!("no frame with {class} in view"),
            None => "no frame".to_owned(),
        });
    }
    let kept = met - ruling.decided.len() as u64;
    let rate = 100.0 * kept as f64 / met as f64;
    ruling.passed = rate >= asked.pass_rate;
    ruling.seen = format!("{kept} of {met} frames pass, {}", percent(rate));
    ruling.figures = [("frames", met as f64), ("passed", kept as f64), ("pass_rate", rate)].into();
    ruling
}

fn place_of(class: &str, evidence: &Evidence) -> Option<u16> {
    evidence.classes.iter().zip(0..).find(|(name, _)| *name == class).map(|(_, place)| place)
}

/// The limits that a frame does not keep, in words.
fn broken(asked: &Frames, class: Option<u16>, sighting: &Sighting) -> Vec<String> {
    let mut broken = Vec::new();
    if asked.validity.as_ref().is_some_and(|allowed| !allowed.contains(&sighting.validity)) {
        broken.push(format!("validity is {}", sighting.validity.name()));
    }
    if asked.level.as_ref().is_some_and(|allowed| !allowed.contains(&sighting.level)) {
        broken.push(format!("level is {}", sighting.level.name()));
    }
    for (name, limit) in asked.limits() {
        let value = match name {
            "failure_score" => sighting.failure_score,
            "predicted_miou" => sighting.predicted_miou,
            "error_area" => sighting.error_area,
            "anomaly_area" => sighting.anomaly_area,
            _ => class.and_then(|class| sighting.predicted_iou(class)).unwrap_or(f32::NAN),
        };
        if !limit.has(value) {
            let value = if value.is_nan() { "none".to_owned() } else { format!("{value:.4}") };
            broken.push(format!("{name} is {value}"));
        }
    }
    broken
}

/// In words.
pub(super) fn sentence(asked: &Frames) -> String {
    let mut limits = Vec::new();
    if let Some(allowed) = &asked.validity {
        limits.push(format!(
            "validity {}",
            allowed.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or ")
        ));
    }
    if let Some(allowed) = &asked.level {
        limits
            .push(format!("level {}", allowed.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or ")));
    }
    limits.extend(asked.limits().iter().map(|(name, limit)| format!("{name} {limit}")));
    let of = asked.class.as_ref().map_or(String::new(), |class| format!(" with {class} in view"));
    format!("{} of the frames{of}: {}", percent(asked.pass_rate), limits.join(", "))
}
