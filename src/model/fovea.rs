//! A second look, larger, at the band of an image in which the drivable ground ends: what is far away is small there,
//! and what F has learned of the unknown finds more of it when it is larger.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::anomaly;
use super::inference::Inference;
use super::networks::Networks;
use crate::network::layers::{channels_last, spatial};
use crate::network::synthesis::GeneratorConfig;

/// Share of a row that must be drivable for the ground to reach it.
const GROUND: f64 = 0.05;
/// Share of the band that lies above the ground.
const ABOVE: f64 = 1. / 6.;

/// How large, and how much of the image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fovea {
    /// How many times larger than at the working size.
    pub scale: f64,
    /// Rows of the working size that are seen again, each whole.
    pub rows: u32,
}

impl Fovea {
    /// Says what is wrong with it at a working size (height, width), for a G that synthesizes the band.
    pub(super) fn check(self, working_size: [u32; 2], generator: &GeneratorConfig) -> Result<(), String> {
        let Self { scale, rows } = self;
        if !(1. ..=4.).contains(&scale) {
            return Err(format!("anomaly.fovea.scale is {scale}; expected a number from 1 to 4"));
        }
        if !(1..=working_size[0]).contains(&rows) {
            let most = working_size[0];
            return Err(format!("anomaly.fovea.rows is {rows}; expected a number from 1 to {most}"));
        }
        generator
            .check_size(self.size(working_size))
            .map_err(|reason| format!("the size of anomaly.fovea {reason}"))
    }

    /// Height and width at which the networks see the band.
    fn size(self, [_, width]: [u32; 2]) -> [u32; 2] {
        [self.rows, width].map(|side| (f64::from(side) * self.scale).round() as u32)
    }

    /// The first row of the band, of `ground`, `H x W`: whether each pixel is drivable. None where no ground is.
    fn begin(self, ground: &Tensor) -> Option<i64> {
        let share = ground.to_kind(Kind::Float).mean_dim([1i64].as_slice(), false, Kind::Float);
        let reached = share.ge(GROUND).nonzero();
        let top = (reached.size()[0] > 0).then(|| reached.int64_value(&[0, 0]))?;
        let rows = i64::from(self.rows);
        let above = (rows as f64 * ABOVE).round() as i64;
        Some((top - above).clamp(0, ground.size()[0] - rows))
    }
}

/// The image as it came, for a second look at it.
pub(super) struct SecondLook<'a> {
    pub networks: &'a Networks,
    pub fovea: Fovea,
    /// `1 x 3 x H x W`, RGB from 0 to 255.
    pub image: Tensor,
}

impl SecondLook<'_> {
    /// `score`, `1 x 1 x H x W` at the working size, with the mean of both looks in the band. `labels`, `1 x H x W`, say
    /// where the ground is.
    pub(super) fn joined(
        &self,
        score: Tensor,
        labels: &Tensor,
        config: anomaly::Config,
    ) -> Result<Tensor, TchError> {
        let ground = self.networks.drivable(&labels.get(0));
        let Some(begin) = self.fovea.begin(&ground) else { return Ok(score) };
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

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::frame;
    use crate::model::bundle::Bundle;
    use crate::model::networks::Arithmetic;
    use crate::network::synthesis::spade;

    #[test]
    fn the_band_is_the_mean_of_both_looks_and_the_rest_is_as_it_was() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models/street");
        let mut bundle = Bundle::open(folder.as_ref()).unwrap();
        let picture = frame::open(format!("{folder}/self_test.png").as_ref()).unwrap().into_rgb8();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Float, memoise: false };
        let fovea = Fovea { scale: 2., rows: 64 };
        let mut look = |fovea: Option<Fovea>| {
            bundle.description.anomaly.fovea = fovea;
            let networks = Networks::load(&bundle, arithmetic).unwrap();
            tch::no_grad(|| {
                let inference = Inference::of_image(&networks, &picture).unwrap();
                let score = inference.anomaly(networks.anomaly_config()).unwrap();
                let band =
                    fovea.map(|fovea| fovea.begin(&networks.drivable(&inference.labels().get(0))).unwrap());
                (score, band)
            })
        };
        let ((once, _), (twice, band)) = (look(None), look(Some(fovea)));
        let (begin, rows) = (band.unwrap(), i64::from(fovea.rows));
        let part = |score: &Tensor, from: i64, rows: i64| score.narrow(2, from, rows);
        let after = begin + rows;
        for (from, rows) in [(0, begin), (after, spatial(&once).0 - after)] {
            assert_eq!(part(&once, from, rows), part(&twice, from, rows));
        }
        let again: Tensor = 2. * part(&twice, begin, rows) - part(&once, begin, rows);
        assert!(again.min().double_value(&[]) > -1e-5 && again.max().double_value(&[]) < 1. + 1e-5);
        // The second look sees the same street, and not the same way.
        let apart = (part(&twice, begin, rows) - part(&once, begin, rows)).abs();
        let (mean, most) = (apart.mean(Kind::Float).double_value(&[]), apart.max().double_value(&[]));
        assert!(mean < 0.1 && most > 0.01, "{mean}, {most}");
    }

    fn ground(top: i64) -> Tensor {
        let map = Tensor::zeros([64, 32], (Kind::Bool, Device::Cpu));
        let _ = map.narrow(0, top, 64 - top).fill_(1);
        map
    }

    #[test]
    fn the_band_begins_a_little_above_the_ground_and_lies_within_the_image() {
        let fovea = Fovea { scale: 2., rows: 24 };
        assert_eq!(fovea.begin(&ground(30)), Some(26));
        assert_eq!(fovea.begin(&ground(2)), Some(0));
        assert_eq!(fovea.begin(&ground(60)), Some(40));
        assert_eq!(fovea.begin(&ground(64)), None);
        // A pixel of ground in a row is none.
        let speck = Tensor::zeros([64, 32], (Kind::Bool, Device::Cpu));
        let _ = speck.get(10).get(3).fill_(1);
        assert_eq!(fovea.begin(&speck), None);
        assert_eq!(fovea.size([64, 32]), [48, 64]);
    }

    #[test]
    fn what_it_cannot_be_is_told() {
        let spade = GeneratorConfig::Spade(spade::Config::default());
        let check = |scale, rows| Fovea { scale, rows }.check([256, 512], &spade);
        assert_eq!(check(1.5, 128), Ok(()));
        for (scale, rows, said) in [
            (0.5, 128, "scale is 0.5; expected a number from 1 to 4"),
            (f64::NAN, 128, "scale is NaN"),
            (2., 0, "rows is 0; expected a number from 1 to 256"),
            (2., 257, "rows is 257"),
            (1.5, 100, "the size of anomaly.fovea has 150, a positive multiple of"),
        ] {
            let error = check(scale, rows).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
