//! The pixel-level figures of several detectors on one set of images.

use serde::Serialize;

use super::table::{Cell, Column, Table};
use crate::metric::MetricError;
use crate::metric::histogram::Histogram;
use crate::metric::pixel::{PerImage, PerImageFigures, TwoSided};
use crate::metric::ranking::{CurvePoint, Ranking};
use crate::metric::reliability::Reliability;
use crate::metric::risk::RiskCoverage;

/// How the pixels of all images are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// Every score: figures are exact, memory grows by four bytes per pixel and detector.
    #[default]
    Exact,
    /// Counts of a [`Histogram`]: constant memory, figures with a bound.
    Streaming,
}

/// Points of a curve in a figure.
const CURVE: usize = 400;

enum Pool {
    Scores(Vec<f32>),
    Histogram(Box<Histogram>),
}

struct Row {
    name: String,
    probability: bool,
    pool: Pool,
    per_image: PerImage,
    reliability: Reliability,
}

/// Scores of the pixels that count, image after image.
pub(crate) struct Scoreboard {
    rows: Vec<Row>,
    memory: Memory,
    /// The truth of every pixel, for exact figures.
    positive: Vec<bool>,
    positives: u64,
    pixels: u64,
    images: u64,
}

/// A detector's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Its name.
    pub name: String,
    /// Pixels of all images as one.
    pub pooled: TwoSided,
    /// How far the pooled figures may be from exact ones; 0 if they are exact.
    pub error_bound: f64,
    /// Mean of the images.
    pub per_image: PerImageFigures,
    /// Risk against coverage, pixels of all images as one, positives the risk; `None` without pixels.
    pub risk: Option<RiskCoverage>,
    /// Expected calibration error, of a probability.
    pub calibration_error: Option<f64>,
    /// For figures.
    #[serde(skip)]
    pub curve: Vec<CurvePoint>,
    /// For figures, of a probability.
    #[serde(skip)]
    pub reliability: Option<Reliability>,
}

impl Scoreboard {
    /// Nothing scored yet. `detectors` are names, each with whether the detector gives probabilities.
    pub fn new(detectors: impl IntoIterator<Item = (String, bool)>, memory: Memory) -> Self {
        let row = |(name, probability)| Row {
            name,
            probability,
            pool: match memory {
                Memory::Exact => Pool::Scores(Vec::new()),
                Memory::Streaming => Pool::Histogram(Box::default()),
            },
            per_image: PerImage::default(),
            reliability: Reliability::default(),
        };
        let rows = detectors.into_iter().map(row).collect();
        Self { rows, memory, positive: Vec::new(), positives: 0, pixels: 0, images: 0 }
    }

    /// Adds the counted pixels of one image: each detector's scores, in the order of [`new`](Self::new). Gives
    /// the image's own figures.
    pub fn add(
        &mut self,
        scores: &[Vec<f32>],
        positive: &[bool],
    ) -> Result<Vec<(String, TwoSided)>, MetricError> {
        let mut figures = Vec::new();
        for (row, scores) in self.rows.iter_mut().zip(scores) {
            figures.push((row.name.clone(), row.per_image.add(scores, positive)?));
            row.reliability.add(scores, positive);
            match &mut row.pool {
                Pool::Scores(all) => all.extend(scores),
                Pool::Histogram(histogram) => histogram.add(scores, positive)?,
            }
        }
        if self.memory == Memory::Exact {
            self.positive.extend(positive);
        }
        self.positives += positive.iter().filter(|&&positive| positive).count() as u64;
        self.pixels += positive.len() as u64;
        self.images += 1;
        Ok(figures)
    }

    /// Images so far.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Pixels so far.
    pub fn pixels(&self) -> u64 {
        self.pixels
    }

    /// Share of them that are positive.
    pub(crate) fn positive_share(&self) -> f64 {
        self.positives as f64 / self.pixels.max(1) as f64
    }

    /// Bytes that figures of `images` images like those so far take in exact memory, at their peak.
    pub fn needs(&self, images: usize) -> u64 {
        // Per pixel: a score of each detector and the truth; then, for one detector at a time, the keys
        // that are sorted, the steps of the ranking and of its reverse.
        let pixel = 4 * self.rows.len() as u64 + 1 + 8 + 16 + 16;
        self.pixels / self.images.max(1) * images as u64 * pixel
    }

    /// The figures, of each detector.
    pub fn scored(&self) -> Result<Vec<Scored>, MetricError> {
        self.rows.iter().map(|row| self.score(row)).collect()
    }

    fn score(&self, row: &Row) -> Result<Scored, MetricError> {
        let (ranking, pooled, error_bound) = match &row.pool {
            Pool::Scores(scores) => {
                let ranking = Ranking::new(scores, &self.positive)?;
                let pooled = TwoSided::of(&ranking);
                (ranking, pooled, 0.)
            }
            Pool::Histogram(histogram) => {
                let bounded = histogram.figures();
                (histogram.ranking(), bounded.value, bounded.error())
            }
        };
        Ok(Scored {
            name: row.name.clone(),
            pooled,
            error_bound,
            per_image: row.per_image.figures(),
            risk: RiskCoverage::of(&ranking),
            calibration_error: row.reliability.expected_error().filter(|_| row.probability),
            curve: ranking.curve(CURVE),
            reliability: row.probability.then(|| row.reliability.clone()),
        })
    }
}

/// The figures of all detectors. The array names the columns that differ between tables: the
/// detectors', the positives' AP, and the negatives' AP and FPR95.
pub fn table(
    name: &'static str,
    title: String,
    [what, ap, ap_other, fpr_other]: [&'static str; 4],
    scored: &[Scored],
) -> Table {
    let mut columns = vec![
        Column::plain(what),
        Column::up(ap),
        Column::up("AUROC"),
        Column::down("FPR95"),
        Column::down("FPR95 nearest"),
        Column::up(ap_other),
        Column::down(fpr_other),
        Column::up("image AP"),
        Column::up("image AUROC"),
        Column::down("image FPR95"),
    ];
    let probabilities = scored.iter().any(|scored| scored.calibration_error.is_some());
    columns.extend(probabilities.then_some(Column::down("ECE")));
    let row = |scored: &Scored| {
        let (pooled, image) = (&scored.pooled, &scored.per_image.mean.positive);
        let [ap, auroc, first, nearest] = pooled.positive.values();
        let figures = [
            ap,
            auroc,
            first,
            nearest,
            pooled.negative.average_precision,
            pooled.negative.fpr95_first,
            image.average_precision,
            image.auroc,
            image.fpr95_first,
        ];
        let name = std::iter::once(Cell::Text(scored.name.clone()));
        let calibration = probabilities.then_some(scored.calibration_error);
        name.chain(figures.into_iter().chain(calibration).map(Cell::Share)).collect()
    };
    let mut notes = Vec::new();
    if let Some(first) = scored.first() {
        let PerImageFigures { images, without_positives, without_negatives, .. } = first.per_image;
        notes.push(format!(
            "In percent, pixels pooled. image: mean of the {images} images, less {without_positives} without \
             positives and {without_negatives} without negatives. FPR95: at the highest threshold with recall >= 0.95; \
             nearest: where the recall is nearest to 0.95."
        ));
        if probabilities {
            notes.push(
                "ECE: expected calibration error, of scores that are meant as probabilities.".to_owned(),
            );
        }
        let bound = scored.iter().map(|s| s.error_bound).fold(0., f64::max);
        if bound > 0. {
            notes.push(format!("Counted in bins: no pooled figure is off by more than {:.3}.", 100. * bound));
        }
    }
    Table { name, title, columns, rows: scored.iter().map(row).collect(), notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(memory: Memory) -> Scoreboard {
        let mut board = Scoreboard::new([("a".into(), true), ("b".into(), false)], memory);
        let truth = [true, false, false, true];
        board.add(&[vec![0.9, 0.2, 0.1, 0.8], vec![-3., 7., 7., 2.]], &truth).unwrap();
        board.add(&[vec![0.7, 0.3], vec![1., 1.]], &[false, false]).unwrap();
        board
    }

    #[test]
    fn exact_and_streaming_agree_on_scores_apart() {
        let (exact, streaming) = (board(Memory::Exact), board(Memory::Streaming));
        for (exact, streaming) in exact.scored().unwrap().iter().zip(streaming.scored().unwrap()) {
            assert_eq!(exact.pooled, streaming.pooled);
            assert_eq!(exact.per_image, streaming.per_image);
            assert_eq!(exact.error_bound, 0.);
        }
        assert_eq!((exact.images(), exact.pixels()), (2, 6));
        assert!((exact.positive_share() - 1. / 3.).abs() < 1e-12);
    }

    #[test]
    fn the_table_counts_images_without_positives() {
        let scored = board(Memory::Exact).scored().unwrap();
        let names = ["error detector", "AP-Err", "AP-Suc", "FPR95-Suc"];
        let table = table("errors", "Errors".into(), names, &scored);
        let text = table.markdown();
        assert!(text.contains("| a | 100.0 | 100.0 | 0.0 |"), "{text}");
        assert!(text.contains("2 images, less 1 without positives"), "{text}");
        assert!(scored[0].calibration_error.is_some() && scored[1].calibration_error.is_none());
    }
}
