//! The band at the end of the drivable ground, enlarged: M, G and F take it as an image of its own, and what is
//! small and far away is found more often (`anomaly.fovea` in a bundle).

use tch::{TchError, Tensor};

use super::Inference;
use crate::model::anomaly;
use crate::model::fovea::Fovea;
use crate::model::networks::Networks;
use crate::network::layers::{channels_last, spatial};

/// The image as it came, of which a band is assessed once more.
pub(super) struct EnlargedBand<'a> {
    pub(super) networks: &'a Networks,
    pub(super) fovea: Fovea,
    /// `1 x 3 x H x W`, RGB from 0 to 255.
    pub(super) image: Tensor,
}

impl EnlargedBand<'_> {
    /// `score`, `1 x 1 x H x W` at the working size, with the mean of both scores in the band. `labels`, `1 x H x W`,
    /// say where the ground is.
    pub(super) fn joined(
        &self,
        score: Tensor,
        labels: &Tensor,
        config: anomaly::Config,
    ) -> Result<Tensor, TchError> {
        let ground = self.networks.drivable(&labels.get(0));
        let Some(begin) = self.fovea.begin(&ground)? else { return Ok(score) };
        let (height, width) = spatial(&score);
        let rows = i64::from(self.fovea.rows);
        let [high, wide] = self.fovea.size([height as u32, width as u32]).map(i64::from);
        // The same rows of the image as it came.
        let of_image = |row: i64| (row as f64 / height as f64 * spatial(&self.image).0 as f64).round() as i64;
        let (from, to) = (of_image(begin), of_image(begin + rows));
        let band = self.image.narrow(2, from, (to - from).max(1));
        let band = self.networks.resized(&band, (high, wide))?;
        let inference = Inference::of_batch(self.networks.trio(), channels_last(&band));
        let again = inference.anomaly(config)?;
        let again = again.f_internal_upsample_bilinear2d_aa([rows, width], false, None, None)?;
        let joined = score.copy();
        let first = score.f_narrow(2, begin, rows)?;
        joined.f_narrow(2, begin, rows)?.f_copy_(&((first + again) / 2.))?;
        Ok(joined)
    }
}
