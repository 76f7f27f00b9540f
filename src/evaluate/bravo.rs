//! Figures under the names of the BRAVO challenge (Vu et al., 2024), and the images that it takes.
//!
//! Confidence is 1 - error probability in 65536 levels. `NAME_pred.png` holds class ids (8 bit), `NAME_conf.png`
//! levels of confidence (16 bit), both as large as the image and where it lies in its data set. The toolkit of the
//! challenge samples pixels and encodes; figures here are of every labelled pixel.

use std::path::{Path, PathBuf};

use image::{GrayImage, ImageBuffer, Luma};

use super::error::EvaluationError;
use super::table::{Cell, Column, Table};
use crate::metric::ranking::{RECALL, Ranking};
use crate::monitor::assessment::ScoreMap;

/// Levels of confidence.
const LEVELS: usize = 1 << 16;
/// Bins of the expected calibration error.
const BINS: usize = 15;

/// What of an image: its place in the data set without the ending, class ids and error probabilities at its size.
pub(super) struct Submission<'a> {
    pub name: &'a Path,
    pub labels: &'a GrayImage,
    pub error: &'a ScoreMap,
}

/// Pixels by level of confidence, and where images go.
#[derive(Clone, Debug)]
pub struct Bravo {
    out: PathBuf,
    /// Right and wrong pixels.
    counts: Vec<[u64; 2]>,
}

/// The level of a confidence, as the challenge suggests: `min(floor(65536 c), 65535)`.
fn level(error: f32) -> u16 {
    // Beyond its range, a float becomes the nearest number.
    ((1. - f64::from(error)) * LEVELS as f64) as u16
}

impl Bravo {
    /// Nothing so far; images go below `out`.
    pub(super) fn new(out: &Path) -> Self {
        Self { out: out.to_owned(), counts: vec![[0; 2]; LEVELS] }
    }

    /// Counts pixels: their error probabilities, and which are wrong.
    pub(super) fn count(&mut self, errors: impl Iterator<Item = f32>, wrong: &[bool]) {
        for (error, &wrong) in errors.zip(wrong) {
            self.counts[usize::from(level(error))][usize::from(wrong)] += 1;
        }
    }

    /// Writes the two images.
    pub(super) fn write(&self, submission: &Submission) -> Result<(), EvaluationError> {
        let Submission { name, labels, error } = submission;
        let path = |ending: &str| {
            let mut path = self.out.join(name).into_os_string();
            path.push(ending);
            PathBuf::from(path)
        };
        if let Some(folder) = path("").parent() {
            fs_err::create_dir_all(folder)?;
        }
        let levels = error.data.iter().map(|&error| level(error)).collect();
        let levels: ImageBuffer<Luma<u16>, Vec<u16>> =
            ImageBuffer::from_raw(error.width, error.height, levels).expect("a level a pixel");
        labels.save(path("_pred.png")).map_err(EvaluationError::Picture)?;
        levels.save(path("_conf.png")).map_err(EvaluationError::Picture)
    }

    /// Expected calibration error of the confidence, in the challenge's bins.
    fn calibration_error(&self) -> Option<f64> {
        let pixels: u64 = self.counts.iter().flatten().sum();
        let edge = |bin: usize| (bin as f64 * LEVELS as f64 / BINS as f64).round() as usize;
        let gap = |bin: usize| {
            let sum = |of: fn(usize, u64, u64) -> f64| -> f64 {
                (edge(bin)..edge(bin + 1)).map(|l| of(l, self.counts[l][0], self.counts[l][1])).sum()
            };
            let confidence = sum(|l, right, wrong| (l as f64 + 0.5) / LEVELS as f64 * (right + wrong) as f64);
            (confidence - sum(|_, right, _| right as f64)).abs()
        };
        (pixels > 0).then(|| (0..BINS).map(gap).sum::<f64>() / pixels as f64)
    }

    /// The figures; M's mean IoU beside them.
    pub(super) fn table(&self, data: &str, miou: Option<f64>) -> Table {
        let ranking = Ranking::of_groups(self.counts.iter().rev().map(|&[right, wrong]| (right, wrong)));
        let columns = [
            Column::plain("confidence"),
            Column::up("mIoU"),
            Column::down("ECE"),
            Column::up("AUROC"),
            Column::down("FPR@95"),
            Column::up("AUPR-Success"),
            Column::up("AUPR-Error"),
        ];
        let figures = [
            miou,
            self.calibration_error(),
            ranking.auroc(),
            ranking.fpr_at_recall(RECALL),
            ranking.average_precision(),
            ranking.reversed().average_precision(),
        ];
        let name = std::iter::once(Cell::from("1 - error probability"));
        Table {
            name: "bravo",
            title: format!("Semantic metrics of the BRAVO challenge: {data}"),
            columns: columns.into(),
            rows: vec![name.chain(figures.map(Cell::Share)).collect()],
            notes: vec![
                "In percent, of every labelled pixel; the challenge's toolkit samples some of each image. ECE in 15 \
                 bins; right pixels are the positives but for AUPR-Error."
                    .to_owned(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_that_the_challenge_suggests() {
        assert_eq!([1., 0.5, 0., -0.1, 1.1].map(level), [0, 32768, 65535, 65535, 0]);
        assert_eq!(level(1. - 1.5 / 65536.), 1);
    }

    #[test]
    fn figures_by_hand() {
        let mut bravo = Bravo::new(Path::new("nowhere"));
        // Confidences 0.99, 0.99, 0.51, 0.51: right, right, wrong, right.
        bravo.count([0.01, 0.01, 0.49, 0.49].into_iter(), &[false, false, true, false]);
        let table = bravo.table("four", Some(0.5));
        let shown: Vec<String> = table.rows[0].iter().skip(1).map(Cell::shown).collect();
        // In one bin 0.99 for 1, in another 0.51 for 0.5.
        assert_eq!(shown, ["50.0", "1.0", "83.3", "100.0", "91.7", "50.0"]);
    }

    #[test]
    fn images_are_of_eight_and_of_sixteen_bits_where_the_source_lies() {
        let folder = tempfile::tempdir().unwrap();
        let labels = GrayImage::from_raw(2, 1, vec![3, 18]).unwrap();
        let error = ScoreMap { width: 2, height: 1, data: vec![0., 0.75] };
        let name = Path::new("fog/test/GOPR_rgb_anon.v1");
        Bravo::new(folder.path()).write(&Submission { name, labels: &labels, error: &error }).unwrap();
        let open =
            |ending: &str| image::open(folder.path().join(format!("{}{ending}", name.display()))).unwrap();
        assert_eq!(open("_pred.png").as_luma8().unwrap().as_raw(), &[3, 18]);
        assert_eq!(open("_conf.png").as_luma16().unwrap().as_raw(), &[65535, 16384]);
    }
}
