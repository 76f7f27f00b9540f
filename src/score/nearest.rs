//! Distance to the nearest ordinary features (Sun et al., "Out-of-Distribution Detection with Deep Nearest
//! Neighbors", ICML 2022), for each pixel of M's grid.

use tch::{Kind, TchError, Tensor};

use super::detector::{Detection, Detector};
use super::entry::{Entry, made};
use super::statistics::{PixelSample, as_map, on_grid};
use crate::model::inference::{Inference, Segmentation};

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[Entry {
    id: "nearest",
    needs: "a calibration slice",
    make: |parts| made(Nearest::of(&parts.statistics.as_ref()?.pixels)),
}];

/// Most pixels that are kept to compare with.
const KEPT: i64 = 8192;
/// Which neighbour's distance it is.
const NEIGHBOUR: i64 = 5;
/// Pixels compared at once.
const ROWS: i64 = 2048;

/// Ordinary features of unit length, `F x P`.
pub(crate) struct Nearest(Tensor);

impl Nearest {
    /// Of a sample of ordinary pixels.
    pub fn of(sample: &PixelSample) -> Self {
        let count = sample.features.size()[0];
        let step = (count / KEPT).max(1);
        let places = Tensor::arange_start_step(0, count, step, (Kind::Int64, sample.features.device()));
        Self(unit(&sample.features.index_select(0, &places)).transpose(0, 1).contiguous())
    }

    /// Rows of features to the distance of each.
    fn score(&self, features: &Tensor) -> Tensor {
        let neighbour = NEIGHBOUR.min(self.0.size()[1]);
        let of_rows = |rows: Tensor| {
            let (largest, _) = unit(&rows).matmul(&self.0).topk(neighbour, 1, true, false);
            let farthest: Tensor = 2. - 2. * largest.amin([1i64].as_slice(), false);
            farthest.clamp_min(0.).sqrt()
        };
        Tensor::cat(&features.split(ROWS, 0).into_iter().map(of_rows).collect::<Vec<_>>(), 0)
    }
}

fn unit(rows: &Tensor) -> Tensor {
    let length = rows.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
    rows / length.clamp_min(1e-8)
}

impl Detector for Nearest {
    fn name(&self) -> &str {
        "nearest neighbour"
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let Segmentation { features, grid_logits, .. } = inference.segmentation();
        let score = self.score(&on_grid(features, grid_logits));
        Ok(Detection { anomaly: Some(as_map(&score, inference)), ..Detection::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_to_the_fifth_nearest_by_angle() {
        // Unit vectors at 0, 10, ... 90 degrees.
        let angles: Vec<f32> = (0..10).map(|i| (f32::from(i as u8) * 10.).to_radians()).collect();
        let flat: Vec<f32> = angles.iter().flat_map(|a| [3. * a.cos(), 3. * a.sin()]).collect();
        let features = Tensor::from_slice(&flat).view([10, 2]);
        let nearest = Nearest::of(&PixelSample { logits: features.shallow_clone(), features });
        let score = |degrees: f32| {
            let a = degrees.to_radians();
            nearest.score(&Tensor::from_slice(&[a.cos(), a.sin()]).view([1, 2])).double_value(&[0])
        };
        // From 0 degrees the fifth nearest is at 40; from -90 it is at 40 too, 130 degrees away.
        let chord = |degrees: f64| 2. * (degrees.to_radians() / 2.).sin();
        assert!((score(0.) - chord(40.)).abs() < 1e-3, "{}", score(0.));
        assert!((score(-90.) - chord(130.)).abs() < 1e-3, "{}", score(-90.));
    }
}
