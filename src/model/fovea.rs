//! Which band of an image is assessed once more, enlarged: where the drivable ground ends. What is far away is small
//! there, and what F has learned of the unknown finds more of it when it is larger.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::network::download::download;
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
    pub(super) fn size(self, [_, width]: [u32; 2]) -> [u32; 2] {
        [self.rows, width].map(|side| (f64::from(side) * self.scale).round() as u32)
    }

    /// The first row of the band, of `ground`, `H x W`: whether each pixel is drivable. None where no ground is.
    pub(super) fn begin(self, ground: &Tensor) -> Result<Option<i64>, TchError> {
        let share = ground.f_to_kind(Kind::Float)?.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        let shares = download::<f32>(&share)?;
        let top = shares.iter().position(|share| f64::from(*share) >= GROUND);
        let (height, rows) = (shares.len() as i64, i64::from(self.rows));
        let above = (rows as f64 * ABOVE).round() as i64;
        Ok(top.map(|top| (top as i64 - above).clamp(0, height - rows)))
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::network::synthesis::spade;

    fn ground(top: i64) -> Tensor {
        let map = Tensor::zeros([64, 32], (Kind::Bool, Device::Cpu));
        let _ = map.narrow(0, top, 64 - top).fill_(1);
        map
    }

    #[test]
    fn the_band_begins_a_little_above_the_ground_and_lies_within_the_image() {
        let fovea = Fovea { scale: 2., rows: 24 };
        let begin = |ground: &Tensor| fovea.begin(ground).unwrap();
        assert_eq!(begin(&ground(30)), Some(26));
        assert_eq!(begin(&ground(2)), Some(0));
        assert_eq!(begin(&ground(60)), Some(40));
        assert_eq!(begin(&ground(64)), None);
        // A pixel of ground in a row is none.
        let speck = Tensor::zeros([64, 32], (Kind::Bool, Device::Cpu));
        let _ = speck.get(10).get(3).fill_(1);
        assert_eq!(begin(&speck), None);
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
