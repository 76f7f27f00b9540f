//! ViM (Wang et al., "ViM: Out-Of-Distribution with Virtual-logit Matching", CVPR 2022): what of a feature lies
//! outside the directions in which ordinary features vary, against what the logits say. For each pixel of M's grid.

use tch::{Kind, TchError, Tensor};

use super::detector::{Detection, Detector};
use super::entry::{Entry, made};
use super::statistics::{PixelSample, as_map, on_grid, rows};
use crate::model::inference::{Inference, Segmentation};

/// In the catalogue.
pub(super) const ENTRIES: &[Entry] = &[Entry {
    id: "vim",
    needs: "a calibration slice",
    make: |parts| made(VirtualLogit::of(&parts.statistics.as_ref()?.pixels)),
}];

/// The subspace that ordinary features leave, and the scale of the virtual logit.
pub(crate) struct VirtualLogit {
    /// Where the logits would all be zero: `1 x F`.
    origin: Tensor,
    /// Directions in which ordinary features hardly vary: `F x R`.
    residual: Tensor,
    scale: f64,
}

/// Share of the directions that count as principal: the authors' for features as short as these.
const PRINCIPAL: f64 = 0.5;

impl VirtualLogit {
    /// Of a sample of ordinary pixels. M's last layer is `logits = features W + b`; the sample gives W and b by least
    /// squares, and so the origin `-b W+` without asking M for its weights.
    pub fn of(sample: &PixelSample) -> Self {
        let (x, logits) = (sample.features.to_kind(Kind::Double), sample.logits.to_kind(Kind::Double));
        let (mean_x, mean_logits) = (mean(&x), mean(&logits));
        let weights = (&x - &mean_x).linalg_pinv(1e-6, false).matmul(&(&logits - &mean_logits));
        let bias = &mean_logits - mean_x.matmul(&weights);
        let origin = -bias.matmul(&weights.linalg_pinv(1e-6, false));
        let centred = &x - &origin;
        let covariance = centred.transpose(0, 1).matmul(&centred) / x.size()[0] as f64;
        let (_, directions) = covariance.linalg_eigh("L");
        // Ascending: the first vary least.
        let features = x.size()[1];
        let residual = features - (features as f64 * PRINCIPAL) as i64;
        let residual = directions.narrow(1, 0, residual);
        let norms = norm(&centred.matmul(&residual));
        let largest = logits.amax([1i64].as_slice(), false).mean(Kind::Double).double_value(&[]);
        let scale = largest / norms.mean(Kind::Double).double_value(&[]).max(1e-12);
        let float = |t: &Tensor| t.to_kind(Kind::Float);
        Self { origin: float(&origin), residual: float(&residual), scale }
    }

    /// Rows of features and logits to a score each: the virtual logit less the energy, which orders pixels as the
    /// softmax of the virtual logit does.
    fn score(&self, features: &Tensor, logits: &Tensor) -> Tensor {
        norm(&(features - &self.origin).matmul(&self.residual)) * self.scale
            - logits.logsumexp([1i64].as_slice(), false)
    }
}

fn mean(rows: &Tensor) -> Tensor {
    rows.mean_dim([0i64].as_slice(), true, None::<Kind>)
}

fn norm(rows: &Tensor) -> Tensor {
    rows.square().sum_dim_intlist([1i64].as_slice(), false, None::<Kind>).sqrt()
}

impl Detector for VirtualLogit {
    fn name(&self) -> &str {
        "ViM"
    }

    fn detect(&self, inference: &Inference) -> Result<Detection, TchError> {
        let Segmentation { features, grid_logits, .. } = inference.segmentation();
        let score = self.score(&on_grid(features, grid_logits), &rows(grid_logits));
        Ok(Detection { anomaly: Some(as_map(&score, inference)), ..Detection::default() })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn what_leaves_the_plane_of_ordinary_features_scores_higher() {
        tch::manual_seed(1);
        let options = (Kind::Float, Device::Cpu);
        // Ordinary features lie in a plane of four dimensions, but for a little noise.
        let flat = Tensor::from_slice(&[1f32, 1., 0.01, 0.01]);
        let features = Tensor::randn([400, 4], options) * &flat;
        let (weights, bias) = (Tensor::randn([4, 3], options), Tensor::randn([1, 3], options));
        let logits = |x: &Tensor| x.matmul(&weights) + &bias;
        let vim = VirtualLogit::of(&PixelSample { logits: logits(&features), features });
        // The origin is where no class has a logit.
        let at_origin = logits(&vim.origin).abs().max().double_value(&[]);
        assert!(at_origin < 1e-2, "{at_origin}");
        let inside = Tensor::from_slice(&[1f32, 1., 0., 0.]).view([1, 4]);
        let outside = Tensor::from_slice(&[1f32, 1., 0.8, 0.8]).view([1, 4]);
        let score = |x: &Tensor| vim.score(x, &logits(&inside)).double_value(&[0]);
        assert!(score(&outside) > score(&inside) + 1., "{} {}", score(&outside), score(&inside));
    }
}
