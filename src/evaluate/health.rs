//! How well the monitors of pictures tell degraded frames from good ones: each against each degradation, at graded
//! strengths.

use std::fmt;

use image::{GrayImage, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::data::degradation::Degradation;
use crate::frame::health::{Health, HealthMonitor};
use crate::metric::ranking::Ranking;

/// Strengths that are tried.
pub const STRENGTHS: [f32; 4] = [0.1, 0.25, 0.5, 1.];

/// One monitor on one degradation at one strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Area under the curve of found degraded frames over falsely reported good ones; `None` without frames.
    pub auroc: Option<f64>,
    /// Share of the degraded frames above the monitor's limit.
    pub found: f64,
}

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthTable {
    /// Good frames.
    pub frames: usize,
    /// Share of these above each monitor's limit, and the figure that one in a hundred of them exceeds.
    pub good: Vec<(HealthMonitor, f64, f32)>,
    /// Degradation, strength, and a cell each monitor.
    pub rows: Vec<(Degradation, f32, Vec<Cell>)>,
}

impl HealthTable {
    /// Of good frames; `E` is what keeps one from being read.
    pub fn of<E>(images: impl Iterator<Item = Result<RgbImage, E>>) -> Result<Self, E> {
        let kinds = || Degradation::ALL.into_iter().flat_map(|by| STRENGTHS.map(|strength| (by, strength)));
        let mut good = Vec::new();
        let mut degraded: Vec<Vec<Health>> = kinds().map(|_| Vec::new()).collect();
        for (number, image) in (0..).zip(images) {
            let image = image?;
            good.push(Health::of(&image));
            let labels = GrayImage::new(image.width(), image.height());
            for ((by, strength), figures) in kinds().zip(&mut degraded) {
                let rng = &mut ChaCha8Rng::seed_from_u64(number);
                figures.push(Health::of(&by.apply(&image, &labels, strength, rng).0));
            }
        }
        let share = |figures: &[f32], limit: f32| {
            figures.iter().filter(|&&figure| figure > limit).count() as f64 / figures.len().max(1) as f64
        };
        let of = |monitor: HealthMonitor, healths: &[Health]| -> Vec<f32> {
            healths.iter().map(|health| monitor.figure(health)).collect()
        };
        let cell = |monitor: HealthMonitor, healths: &[Health]| {
            let (bad, well) = (of(monitor, healths), of(monitor, &good));
            let positive: Vec<bool> = bad.iter().map(|_| true).chain(well.iter().map(|_| false)).collect();
            let scores: Vec<f32> = bad.iter().chain(&well).copied().collect();
            let ranking = Ranking::new(&scores, &positive).ok();
            Cell { auroc: ranking.and_then(|ranking| ranking.auroc()), found: share(&bad, monitor.limit()) }
        };
        let rows = kinds().zip(&degraded).map(|((by, strength), healths)| {
            (by, strength, HealthMonitor::ALL.map(|monitor| cell(monitor, healths)).to_vec())
        });
        let good_row = |monitor: HealthMonitor| {
            let mut figures = of(monitor, &good);
            figures.sort_by(f32::total_cmp);
            let high = figures.get((figures.len() * 99 / 100).min(figures.len().saturating_sub(1)));
            (monitor, share(&figures, monitor.limit()), high.copied().unwrap_or(f32::NAN))
        };
        Ok(Self { frames: good.len(), good: HealthMonitor::ALL.map(good_row).to_vec(), rows: rows.collect() })
    }
}

impl fmt::Display for HealthTable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} good frames", self.frames)?;
        for (monitor, share, high) in &self.good {
            let (name, limit) = (monitor.name(), monitor.limit());
            writeln!(f, "{name:<15} {:5.1} % above {limit}; one in a hundred above {high:.3}", 100. * share)?;
        }
        let names = HealthMonitor::ALL.map(|monitor| format!("{:>18}", monitor.name()));
        writeln!(f, "{:<12} {:>8}{}  (AUROC, share found)", "degradation", "strength", names.concat())?;
        for (by, strength, cells) in &self.rows {
            write!(f, "{:<12} {strength:>8}", by.name())?;
            for Cell { auroc, found } in cells {
                let auroc = auroc.map_or("-".into(), |auroc| format!("{auroc:.3}"));
                write!(f, "{auroc:>9} {:>6.1} %", 100. * found)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use image::Rgb;

    use super::*;

    #[test]
    fn darkness_blur_and_noise_are_each_told_by_the_monitor_that_is_made_for_it() {
        let images = (0..6u32).map(|i| {
            Ok::<_, Infallible>(RgbImage::from_fn(512, 256, |x, y| {
                Rgb([((x / 24 * 37 + y / 24 * 91 + 7 * i) % 200 + (x / 3 + y / 3) % 5 * 11) as u8; 3])
            }))
        });
        let table = HealthTable::of(images).unwrap();
        assert_eq!((table.frames, table.rows.len()), (6, 32));
        for (by, monitor) in [
            (Degradation::Darkness, HealthMonitor::Exposure),
            (Degradation::Blur, HealthMonitor::Blur),
            (Degradation::Noise, HealthMonitor::Noise),
        ] {
            let row = table.rows.iter().find(|(known, strength, _)| *known == by && *strength == 1.).unwrap();
            let at = HealthMonitor::ALL.iter().position(|known| *known == monitor).unwrap();
            assert_eq!(row.2[at].auroc, Some(1.), "{by}: {table}");
        }
    }
}
