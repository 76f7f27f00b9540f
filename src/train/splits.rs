//! Promises tried out: at random halves of the units, again and again, the limits that one half chooses are judged
//! on the other. On average over all such halves the promised rate is kept, if the method and this code are right.

use std::fmt;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::calibration::CalibrationError;
use super::guarantee::{Aim, ReferenceOptions, Terms, signals_of, units};
use super::outcomes::Outcomes;
use crate::model::reference::{FrameSignals, Reference};

/// What was seen of one target over all splits.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The target.
    pub name: String,
    /// The promised rate.
    pub rate: f64,
    /// Units that chose, and that judged.
    pub units: (usize, usize),
    /// Mean loss of those that judged, its standard error over the splits, and the highest of a split.
    pub seen: (f64, f64, f64),
    /// Mean of the limits.
    pub limit: f64,
}

/// How other data stands out.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The data.
    pub name: String,
    /// Drives, or pieces as long as one.
    pub drives: usize,
    /// Share of them that exceed the limit somewhere, on average over the splits.
    pub found: f64,
    /// Frames until they do: the median.
    pub delay: Option<usize>,
}

/// The result.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    splits: usize,
    rows: Vec<Row>,
    found: Vec<Found>,
}

impl Trial {
    /// Of `splits` random halves; data that is unlike is looked at by each as well.
    pub fn of(
        outcomes: &Outcomes,
        shifted: &[Outcomes],
        terms: &Terms,
        splits: usize,
    ) -> Result<Self, CalibrationError> {
        let units = units(&outcomes.frames, terms.unit);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut rows = Vec::new();
        for &aim in &terms.aims {
            rows.push(row(aim, terms, &units, splits, &mut rng)?);
        }
        let mut found = Vec::new();
        if let Some(by) = terms.reference {
            let drives: Vec<Vec<FrameSignals>> = units.iter().map(|unit| signals_of(unit)).collect();
            let others = shifted.iter().map(|other| {
                let frames: Vec<_> = other.frames.iter().collect();
                let length = drives.iter().map(Vec::len).min().unwrap_or(1).max(1);
                (other.data.clone(), frames.chunks_exact(length).map(signals_of).collect())
            });
            let (row, rest) = unlike(&drives, &others.collect::<Vec<_>>(), by, splits, &mut rng);
            rows.extend(row);
            found = rest;
        }
        Ok(Self { splits, rows, found })
    }
}

fn row(
    aim: Aim,
    terms: &Terms,
    units: &[Vec<&super::outcomes::Outcome>],
    splits: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Row, CalibrationError> {
    let losses = aim.losses(units, terms.below_miou);
    let mut order: Vec<&_> = losses.iter().collect();
    let half = order.len().div_ceil(2);
    let (mut seen, mut limits) = (Vec::new(), 0.);
    for _ in 0..splits {
        order.shuffle(rng);
        let (choosing, judging) = order.split_at(half);
        let chosen = aim.choose(choosing).map_err(|reason| CalibrationError::Promise {
            aim: format!("{aim} on half of the units"),
            units: format!("{}s", terms.unit),
            which: aim.which(),
            reason,
        })?;
        let sum: f64 = judging.iter().map(|unit| unit.at(chosen.limit)).sum();
        seen.push(sum / judging.len().max(1) as f64);
        limits += f64::from(chosen.limit) / splits as f64;
    }
    let units = (half, order.len() - half);
    Ok(Row { name: aim.to_string(), rate: aim.risk(), units, seen: summary(&seen), limit: limits })
}

/// False alarms of the question whether a drive is like those of the calibration, and what it finds.
fn unlike(
    drives: &[Vec<FrameSignals>],
    others: &[(String, Vec<Vec<FrameSignals>>)],
    by: ReferenceOptions,
    splits: usize,
    rng: &mut ChaCha8Rng,
) -> (Option<Row>, Vec<Found>) {
    let mut order: Vec<Vec<FrameSignals>> = drives.to_vec();
    // The more choose, the lower a rate can be: a quarter judges.
    let choosing = order.len() * 3 / 4;
    let (mut seen, mut limits) = (Vec::new(), 0.);
    let mut hits = vec![(0_usize, Vec::new()); others.len()];
    for _ in 0..splits {
        order.shuffle(rng);
        let Some(reference) = Reference::learn(&order[..choosing], by.every, by.window, by.rate) else {
            return (None, Vec::new());
        };
        let first = |drive: &Vec<FrameSignals>| {
            reference.shifts(drive).position(|shift| shift.size > reference.limit)
        };
        let judging = &order[choosing..];
        let alarms = judging.iter().filter(|drive| first(drive).is_some()).count();
        seen.push(alarms as f64 / judging.len().max(1) as f64);
        limits += f64::from(reference.limit) / splits as f64;
        for ((_, other), (count, delays)) in others.iter().zip(&mut hits) {
            for window in other.iter().filter_map(first) {
                *count += 1;
                delays.push(window + by.window);
            }
        }
    }
    let row = Row {
        name: "calibration holds here".into(),
        rate: by.rate,
        units: (choosing, order.len() - choosing),
        seen: summary(&seen),
        limit: limits,
    };
    let found = others.iter().zip(hits).map(|((name, other), (count, mut delays))| {
        delays.sort_unstable();
        let all = (other.len() * splits).max(1);
        let delay = delays.get(delays.len() / 2).copied();
        Found { name: name.clone(), drives: other.len(), found: count as f64 / all as f64, delay }
    });
    (Some(row), found.collect())
}

/// Mean, its standard error, and the highest.
fn summary(values: &[f64]) -> (f64, f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.).max(1.);
    (mean, (variance / count).sqrt(), values.iter().copied().fold(0., f64::max))
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} random halves: what one chose, judged on the other", self.splits)?;
        writeln!(
            f,
            "{:<28} {:>8} {:>9} {:>16} {:>8} {:>8}",
            "target", "promised", "units", "seen", "highest", "limit"
        )?;
        for Row { name, rate, units, seen: (mean, error, most), limit } in &self.rows {
            let units = format!("{}+{}", units.0, units.1);
            writeln!(
                f,
                "{name:<28} {rate:>8.3} {units:>9} {mean:>7.4} ± {error:.4} {most:>8.3} {limit:>8.3}"
            )?;
        }
        for Found { name, drives, found, delay } in &self.found {
            let delay = delay.map_or("-".into(), |frames| format!("after {frames} frames"));
            writeln!(f, "unlike: {name}: {:.1} % of {drives} drives, {delay} (median)", 100. * found)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::guarantee::tests::{outcomes, terms};
    use super::*;

    #[test]
    fn on_average_over_the_halves_the_promised_rate_is_kept() {
        let aims = [
            "missed-frames=0.1",
            "missed-pixels=0.3",
            "missed-pixels-p90=0.5",
            "false-alarms=0.1",
            "drivable-margin=0.3",
        ];
        let trial = Trial::of(&outcomes(60), &[], &terms(&aims), 200).unwrap();
        for row in &trial.rows {
            let (mean, error, _) = row.seen;
            assert!(mean <= row.rate + 3. * error, "{row:?}");
        }
        // A promise that costs nothing would be kept as well: this one is used up.
        assert!(trial.rows[0].seen.0 > 0.02, "{trial}");
    }

    #[test]
    fn drives_of_other_features_are_found_and_those_like_them_seldom() {
        let clean = outcomes(60);
        let mut other = clean.clone();
        other.data = "other".into();
        other.frames.iter_mut().for_each(|frame| frame.features = vec![9., -9.]);
        let by = ReferenceOptions { every: 0.5, window: 2, rate: 0.1 };
        let terms = Terms { reference: Some(by), ..terms(&[]) };
        let trial = Trial::of(&clean, &[other], &terms, 50).unwrap();
        assert!(trial.rows[0].seen.0 <= 0.1 + 3. * trial.rows[0].seen.1, "{trial}");
        assert_eq!((trial.found[0].found, trial.found[0].delay), (1., Some(2)));
    }
}
