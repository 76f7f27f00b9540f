//! Which images to doubt first: scores of whole images, by how well they follow the true mean IoU and what giving
//! up the most doubtful images saves.

use super::table::{Cell, Column, Table};
use crate::metric::MetricError;
use crate::metric::correlation::{pearson, spearman};
use crate::metric::risk::RiskCoverage;
use crate::monitor::assessment::{Report, ScoreMap};
use crate::monitor::pictures::threshold;
use crate::monitor::regions::{self, RegionError, RegionLimits};

/// Names of the scores; each is higher where an image is more doubtful.
const NAMES: [&str; 5] = [
    "failure score",
    "1 - mean predicted IoU of the classes segmented",
    "mean error probability",
    "90 % quantile of the error probability",
    "area of the largest region of error probability >= 0.5",
];

/// Scores of the images so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orderings {
    scores: [Vec<f64>; NAMES.len()],
    risks: Vec<f64>,
}

impl Orderings {
    /// Takes in an image: what the monitor says of it, its error probabilities, and its true mean IoU.
    pub fn add(&mut self, report: &Report, error: &ScoreMap, true_miou: f64) -> Result<(), RegionError> {
        let present = report.classes.iter().filter(|class| class.present).map(|class| class.predicted_iou);
        let (count, sum) = present.fold((0, 0.), |(count, sum), iou| (count + 1, sum + f64::from(iou)));
        let mut sorted = error.data.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let mask = threshold(error, 0.5);
        let limits = RegionLimits { min_area: 0., max_count: 1 };
        let blank = image::GrayImage::new(error.width, error.height);
        let largest = regions::find(&mask, error, &blank, None, limits)?;
        let values = [
            f64::from(report.failure_score),
            1. - sum / f64::from(count.max(1)),
            error.data.iter().map(|&p| f64::from(p)).sum::<f64>() / error.data.len().max(1) as f64,
            sorted.get(sorted.len() * 9 / 10).map_or(0., |&p| f64::from(p)),
            largest.first().map_or(0., |region| f64::from(region.area)),
        ];
        self.scores.iter_mut().zip(values).for_each(|(scores, value)| scores.push(value));
        self.risks.push(1. - true_miou);
        Ok(())
    }

    /// Their figures.
    pub fn table(&self, data: &str) -> Result<Table, MetricError> {
        let row = |(name, scores): (&&'static str, &Vec<f64>)| {
            let risk = RiskCoverage::of_risks(scores, &self.risks)?;
            Ok(vec![
                Cell::from(*name),
                Cell::Number(pearson(scores, &self.risks)?),
                Cell::Number(spearman(scores, &self.risks)?),
                Cell::Share(risk.map(|risk| risk.area)),
                Cell::Share(risk.map(|risk| risk.excess)),
            ])
        };
        Ok(Table {
            name: "orderings",
            title: format!("Which images to doubt first: {data}"),
            columns: vec![
                Column::plain("score of an image"),
                Column::up("Pearson"),
                Column::up("Spearman"),
                Column::down("AURC"),
                Column::down("E-AURC"),
            ],
            rows: NAMES.iter().zip(&self.scores).map(row).collect::<Result<_, MetricError>>()?,
            notes: vec![
                "Correlation with 1 - true mean IoU, which is the risk of an image. AURC, E-AURC: in percent, of \
                 images."
                    .to_owned(),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::assessment::Mode;

    #[test]
    fn each_score_of_an_image_is_what_its_name_says() {
        let mut orderings = Orderings::default();
        let data = vec![0.9, 0.9, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.1];
        orderings
            .add(&Report::example(Mode::Full, 0.25), &ScoreMap { width: 10, height: 1, data }, 0.7)
            .unwrap();
        let values = orderings.scores.iter().map(|scores| scores[0]).collect::<Vec<_>>();
        let expected = [0.25, 1., 0.31, 0.9, 0.2];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
    }

    #[test]
    fn a_score_that_orders_images_as_their_risk_does_has_no_excess() {
        let mut orderings = Orderings::default();
        for (failure, error, miou) in [(0.1, 0.5, 0.9), (0.2, 0.1, 0.8), (0.4, 0.3, 0.2)] {
            let map = ScoreMap { width: 1, height: 1, data: vec![error] };
            orderings.add(&Report::example(Mode::Full, failure), &map, miou).unwrap();
        }
        let table = orderings.table("three").unwrap();
        let figures = |row: usize| table.rows[row].iter().skip(1).map(Cell::shown).collect::<Vec<_>>();
        assert_eq!(figures(0)[1..], ["1.000", "20.6", "0.0"]);
        assert_eq!(figures(2)[1], "-0.500");
    }
}
