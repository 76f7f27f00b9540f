//! The lines of the tables: whose figures belong together, and under which name.

use super::outcome::{ImageLevel, Outcome, PixelLevel};
use super::plan::{Protocol, System};
use crate::evaluate::table::Cell;
use crate::network::baseline::{BaselineConfig, compared};
use crate::score::synthcp::with_msp;
use crate::train::baseline::Plan;

/// A detector in the tables: its figures of every seed.
#[derive(Default)]
pub(super) struct Line<'a> {
    /// Its name for people.
    pub title: String,
    /// Pixel level, a seed each.
    pub pixels: Vec<&'a PixelLevel>,
    /// Image level, a seed each.
    pub ious: Vec<&'a ImageLevel>,
}

impl Protocol {
    /// The detectors in `outcome`: those of every bundle first, then what was trained on `system`, seeds on
    /// one line, and image level and pixel level on one line.
    pub(super) fn lines<'a>(&self, system: &System, outcome: &'a Outcome) -> Vec<Line<'a>> {
        let mut names: Vec<(String, Vec<String>)> = Vec::new();
        let all = outcome.pixels.iter().map(|p| &p.name).chain(outcome.ious.iter().map(|i| &i.name));
        let is_trained = |name: &str| system.baselines.iter().any(|b| name == b || has_suffix(name, b));
        // The bundles' F, trained on this system from other seeds.
        let f = BaselineConfig::Comparison(compared::Config { network: self.comparison.network.clone() });
        let seeds_of_f = || {
            let is_seed = |p: &Plan| p.network == f && p.steps == self.comparison.steps;
            system.baselines.iter().filter(move |b| self.baselines.get(*b).is_some_and(is_seed))
        };
        for name in all.filter(|name| !is_trained(name)) {
            let suffix = name.strip_prefix(f.title().as_str());
            let others = suffix.map(|suffix| seeds_of_f().map(move |seed| format!("{seed}{suffix}")));
            names.push((
                name.clone(),
                std::iter::once(name.clone()).chain(others.into_iter().flatten()).collect(),
            ));
        }
        for baseline in &system.baselines {
            let Some(plan) = self.baselines.get(baseline) else { continue };
            let seeds: Vec<&String> = system
                .baselines
                .iter()
                .filter(|other| {
                    let is_seed = |o: &Plan| o.network == plan.network && o.steps == plan.steps;
                    self.baselines.get(*other).is_some_and(is_seed)
                })
                .collect();
            let title = self.title(system, plan);
            names.push((title.clone(), seeds.iter().map(|seed| (*seed).clone()).collect()));
            names.push((with_msp(&title), seeds.iter().map(|seed| with_msp(seed)).collect()));
            names.push((format!("{title} as released"), seeds.iter().map(|s| as_released(s)).collect()));
        }
        let mut lines: Vec<Line> = Vec::new();
        for (title, names) in names {
            let place = lines.iter().position(|line| line.title == title).unwrap_or(lines.len());
            if place == lines.len() {
                lines.push(Line { title, ..Line::default() });
            }
            // Seeds come together; a detector of the same title adds the level that is still missing.
            let line = &mut lines[place];
            if line.pixels.is_empty() {
                line.pixels = outcome.pixels.iter().filter(|p| names.contains(&p.name)).collect();
            }
            if line.ious.is_empty() {
                line.ious = outcome.ious.iter().filter(|i| names.contains(&i.name)).collect();
            }
        }
        lines.retain(|line| !line.pixels.is_empty() || !line.ious.is_empty());
        lines
    }

    /// The title of what was trained, with its steps where the same network was also trained for another
    /// number of them.
    fn title(&self, system: &System, plan: &Plan) -> String {
        let f = BaselineConfig::Comparison(compared::Config { network: self.comparison.network.clone() });
        let trained = system.baselines.iter().filter_map(|b| self.baselines.get(b));
        let trained = trained.map(|other| (&other.network, other.steps));
        let mut trained = trained.chain(std::iter::once((&f, self.comparison.steps)));
        match trained.any(|(network, steps)| *network == plan.network && steps != plan.steps) {
            true => format!("{}, {} steps", plan.network.title(), plan.steps),
            false => plan.network.title(),
        }
    }

    /// The title of a trained detector; any other name as it is.
    pub(super) fn title_of_trained(&self, system: &System, name: &str) -> String {
        let named = |baseline: &&String| name == *baseline || has_suffix(name, baseline);
        match system.baselines.iter().find(named).and_then(|b| Some((b, self.baselines.get(b)?))) {
            Some((baseline, plan)) => name.replacen(baseline.as_str(), &self.title(system, plan), 1),
            None => name.to_owned(),
        }
    }
}

fn as_released(name: &str) -> String {
    format!("{name} as released")
}

fn has_suffix(name: &str, baseline: &str) -> bool {
    name == with_msp(baseline) || name == as_released(baseline)
}

/// Mean and sample standard deviation of the seeds' figures.
pub(super) fn around(figures: impl Iterator<Item = Option<f64>>) -> Cell {
    let figures: Vec<f64> = figures.flatten().collect();
    let count = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / count;
    match figures.len() {
        0 => Cell::Share(None),
        1 => Cell::Share(Some(mean)),
        _ => {
            let variance = figures.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / (count - 1.);
            Cell::Around { mean, deviation: variance.sqrt() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_a_mean_and_a_deviation_and_one_has_none() {
        assert_eq!(around([None].into_iter()), Cell::Share(None));
        assert_eq!(around([Some(0.5), None].into_iter()), Cell::Share(Some(0.5)));
        let Cell::Around { mean, deviation } = around([0.1, 0.2, 0.3].map(Some).into_iter()) else {
            panic!("three figures")
        };
        assert!((mean - 0.2).abs() < 1e-12 && (deviation - 0.1).abs() < 1e-12);
    }
}
