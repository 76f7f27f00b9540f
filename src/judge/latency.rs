//! How quick the reports are.

use super::scenario::Latency;
use super::verdict::{Ruling, Scope};

/// The value that a share of the sorted values do not exceed.
pub(super) fn quantile(sorted: &[f32], share: f64) -> Option<f32> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

pub(super) fn judge(asked: &Latency, scope: &Scope) -> Ruling {
    let timed = || scope.sightings().filter(|(_, sighting)| !sighting.latency_ms.is_nan());
    let mut sorted: Vec<f32> = timed().map(|(_, sighting)| sighting.latency_ms).collect();
    sorted.sort_by(f32::total_cmp);
    let mut ruling = Ruling { passed: true, ..Ruling::default() };
    let mut seen = Vec::new();
    let mut largest = f32::INFINITY;
    for (name, share, limit) in asked.limits() {
        let Some(value) = quantile(&sorted, share) else {
            return Ruling::no_data("no report has a latency".to_owned());
        };
        let holds = value <= limit as f32;
        ruling.passed &= holds;
        if !holds {
            largest = largest.min(limit as f32);
        }
        seen.push(format!("{name} {value:.1}"));
        ruling.figures.insert(name, f64::from(value));
    }
    ruling.seen = format!("{} of {} frames", seen.join(", "), sorted.len());
    // Of a limit that is kept the slowest frame tells, of others all those above.
    let slow = if ruling.passed { sorted.last().copied().unwrap_or(0.0) } else { largest.next_up() };
    for (place, sighting) in timed().filter(|(_, sighting)| sighting.latency_ms >= slow) {
        ruling.decide(place, format!("latency is {:.1} ms", sighting.latency_ms));
    }
    ruling
}

/// In words.
pub(super) fn sentence(asked: &Latency) -> String {
    let limits = asked.limits();
    let limits: Vec<String> =
        limits.iter().map(|(name, _, limit)| format!("{name} at most {limit}")).collect();
    format!("latency: {}", limits.join(", "))
}
