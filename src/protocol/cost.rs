//! The cost of each detector in multiples of T, the time of the segmenter M (Table C).

use image::RgbImage;
use tch::TchError;

use super::outcome::Cost;
use crate::bench::machine::finished;
use crate::bench::{median, timed};
use crate::model::inference::Inference;
use crate::model::networks::Networks;
use crate::network::flops;
use crate::score::catalogue::Boxed;

/// Images timed, after one that warms up.
const TURNS: usize = 8;

/// The cost of M, of M with the generator G, and of each detector alone, including all that it needs of M
/// and G. `images` are consecutive, as from a camera.
pub fn costs(networks: &Networks, detectors: &[Boxed], images: &[RgbImage]) -> Result<Vec<Cost>, TchError> {
    let m = measure(networks, images, &|_| Ok(()))?;
    let of = |name: &str, (time, arithmetic): (f64, f64)| Cost {
        name: name.to_owned(),
        time: time / m.0,
        arithmetic: arithmetic / m.1,
    };
    let synthesize = |inference: &Inference| {
        drop(finished(inference.synthesized().shallow_clone()));
        Ok(())
    };
    let g = measure(networks, images, &synthesize)?;
    let mut costs = vec![of("M", m), of("M and G", g)];
    for detector in detectors {
        let detect = |inference: &Inference| {
            let detection = detector.detect(inference)?;
            [detection.error, detection.iou, detection.anomaly]
                .into_iter()
                .flatten()
                .for_each(|t| drop(finished(t)));
            Ok(())
        };
        costs.push(of(detector.name(), measure(networks, images, &detect)?));
    }
    Ok(costs)
}

/// Median seconds, and mean multiply-adds, of M and of `rest`.
fn measure(
    networks: &Networks,
    images: &[RgbImage],
    rest: &dyn Fn(&Inference) -> Result<(), TchError>,
) -> Result<(f64, f64), TchError> {
    let (mut times, mut done) = (Vec::new(), 0);
    for (turn, image) in images.iter().take(1 + TURNS).enumerate() {
        let ((result, flops), time) = timed(|| {
            flops::count(|| {
                tch::no_grad(|| {
                    let inference = Inference::of_image(networks, image)?;
                    drop(finished(inference.segmentation().softmax.largest.shallow_clone()));
                    rest(&inference)
                })
            })
        });
        result?;
        if turn > 0 {
            times.push(time);
            done += flops;
        }
    }
    Ok((median(&times).as_secs_f64(), done as f64 / times.len().max(1) as f64))
}
