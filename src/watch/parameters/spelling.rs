//! Which parameter a name that does not exist is likely to mean.

use super::table::TABLE;

/// The parameter whose name differs by a letter in four at most, if there is one: of those, the nearest.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let plain = |name: &str| -> Vec<char> {
        name.chars()
            .map(|c| if matches!(c, '.' | '-' | '/') { '_' } else { c.to_ascii_lowercase() })
            .collect()
    };
    let written = plain(name);
    let rows = TABLE.iter().map(|row| (distance(&written, &plain(row.name)), row.name));
    let (distance, nearest) = rows.min()?;
    (distance <= (nearest.len() / 4).clamp(1, 3)).then_some(nearest)
}

/// Letters to insert, remove, replace, or swap with their neighbour, to get from one name to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + other);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        for (written, expected) in [
            ("bundel", "bundle"),
            ("source_timeuot", "source_timeout"),
            ("threshold_caution", "threshold.caution"),
            ("thresholds.failure", "threshold.failure"),
            ("Threshold.Failure", "threshold.failure"),
            ("max_processing_tme", "max_processing_time"),
            ("thread", "threads"),
            ("degraded/deadline", "degraded.deadline"),
        ] {
            assert_eq!(meant(written), Some(expected), "{written}");
        }
    }

    #[test]
    fn what_other_nodes_are_told_is_not() {
        for name in [
            "frame_id",
            "rate",
            "image_topic",
            "camera_name",
            "diagnostic_updater.period",
            "qos_overrides./clock.subscription.depth",
            "robot_description",
            "",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
