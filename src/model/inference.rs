//! One inference: what M, G, M again and F make of a batch of images. This is the method (Xia et al.,
//! "Synthesize then Compare", ECCV 2020, Section 3), and the only place where its steps follow each other.
//!
//! ```text
//! image x --M--> segmentation y --G--> synthesized x' --M--> second segmentation
//!    |                |                    |                     |
//!    |                '-------- anomaly: features of x against those of x'
//!    '----------------+---------- F ------'--------------------- (where F asks)
//! ```
//!
//! Each step is taken when somebody asks for what it gives, and once; on the enlarged band, where a bundle asks for
//! one, all of them once more (`band.rs`). Whoever reads no comparison does not pay for F; two detectors that read x'
//! share it.

mod band;
mod stopwatch;

use std::cell::OnceCell;

use image::RgbImage;
use tch::{Kind, TchError, Tensor};

use super::anomaly::{self, Features};
use super::given::Given;
use super::networks::{Networks, Trio};
use crate::network::comparison::disagreement::{View, disagreement};
use crate::network::comparison::{Comparator, ComparatorInput, Compared};
use crate::network::layers::{channels_last, spatial};
use crate::network::segmentation::{Segmented, Segmenter};
use crate::network::softmax::Softmax;
use band::EnlargedBand;
pub use stopwatch::Latency;
pub(crate) use stopwatch::Step;
use stopwatch::Stopwatch;

/// What M says of a batch at the working size.
#[derive(Debug)]
pub struct Segmentation {
    /// Labels, and how sure M is of them.
    pub softmax: Softmax,
    /// M's features on their own grid: `N x F x h' x w'`.
    pub features: Tensor,
    /// M's logits on their own grid: `N x classes x h x w`.
    pub grid_logits: Tensor,
}

/// A batch of images, and as much of the method as anybody has asked for.
pub struct Inference<'a> {
    networks: Trio<'a>,
    image: Tensor,
    labels_for_g: Option<Tensor>,
    given: Option<Given>,
    segmentation: OnceCell<Segmentation>,
    synthesized: OnceCell<Synthetic>,
    second_segmentation: OnceCell<Segmented>,
    second_features: OnceCell<Tensor>,
    comparison: OnceCell<Compared>,
    band: Option<EnlargedBand<'a>>,
    stopwatch: Stopwatch,
}

/// x', as G gives it and as M and F take it.
struct Synthetic {
    full: Tensor,
    in_kind: Tensor,
}

impl<'a> Inference<'a> {
    /// An inference on one image of any size.
    pub fn of_image(networks: &'a Networks, image: &RgbImage) -> Result<Self, TchError> {
        let stopwatch = Stopwatch::start();
        let (x, image) = stopwatch.run(Step::Resize, || {
            let image = networks.uploaded(image)?;
            Ok::<_, TchError>((networks.resized(&image, networks.size())?, image))
        })?;
        let inference = Self { stopwatch, ..Self::of_batch(networks.trio(), x) };
        Ok(inference.with_enlarged_band(networks, image))
    }

    /// The same, which assesses a band of the image once more, enlarged, where the bundle asks for it. `image` is as it
    /// came, `1 x 3 x H x W` from 0 to 255.
    pub(crate) fn with_enlarged_band(self, networks: &'a Networks, image: Tensor) -> Self {
        let band = networks.anomaly_config().fovea.map(|fovea| EnlargedBand { networks, fovea, image });
        Self { band, ..self }
    }

    /// An inference on a batch at the working size: `N x 3 x H x W`, RGB in \[0, 1\], in the networks' precision.
    pub fn of_batch(networks: Trio<'a>, image: Tensor) -> Self {
        Self {
            networks,
            image,
            labels_for_g: None,
            given: None,
            segmentation: OnceCell::new(),
            synthesized: OnceCell::new(),
            second_segmentation: OnceCell::new(),
            second_features: OnceCell::new(),
            comparison: OnceCell::new(),
            band: None,
            stopwatch: Stopwatch::start(),
        }
    }

    /// The same with labels for G in place of M's, `N x H x W` ids. For benches: what G costs depends on its labels,
    /// and those of random weights are noise.
    pub(crate) fn with_labels_for_g(self, labels: Tensor) -> Self {
        Self { labels_for_g: Some(labels), ..self }
    }

    /// The same, which assesses the labels of another segmenter. M then says how probable it finds them, unless they
    /// came with a softmax, and what it makes of x and of x'; where there is no label, M's own stand in.
    pub(crate) fn with_given_labels(self, given: Given) -> Self {
        Self { given: Some(given), ..self }
    }

    /// What another segmenter gave, where that is assessed.
    pub(crate) fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// The labels that are assessed, `N x H x W`: another segmenter's as they came, or M's.
    pub(crate) fn labels(&self) -> &Tensor {
        self.given.as_ref().map_or_else(|| &self.segmentation().softmax.labels, |given| &given.labels)
    }

    /// x: `N x 3 x H x W`, RGB in \[0, 1\], in the networks' precision.
    pub fn image(&self) -> &Tensor {
        &self.image
    }

    /// M itself, for detectors that ask it in other ways.
    pub fn segmenter(&self) -> &'a dyn Segmenter {
        self.networks.segmenter
    }

    /// M on x.
    pub fn segmentation(&self) -> &Segmentation {
        self.step(&self.segmentation, Step::Segment, || {
            let m = self.networks.segmenter;
            let segmented = m.forward(&self.image, false);
            let softmax = match self.given.as_ref().and_then(|given| given.probabilities.as_ref()) {
                Some(probabilities) => Softmax::of(probabilities.shallow_clone()),
                None => Softmax::of_logits(&segmented.logits, spatial(&self.image), m.align_corners()),
            };
            let softmax = match &self.given {
                Some(Given { labels, .. }) => softmax.of_given(labels),
                None => softmax,
            };
            Segmentation { softmax, features: segmented.features, grid_logits: segmented.logits }
        })
    }

    /// M's logits at the working size, `N x classes x H x W`, fp32; of labels that came with a softmax, its logarithm.
    pub fn logits(&self) -> Tensor {
        if let Some(probabilities) = self.given.as_ref().and_then(|given| given.probabilities.as_ref()) {
            return probabilities.clamp_min(f64::from(f32::MIN_POSITIVE)).log();
        }
        let grid_logits = self.segmentation().grid_logits.to_kind(Kind::Float);
        self.networks.segmenter.resize_logits(&grid_logits, spatial(&self.image))
    }

    /// x' = G on M's labels: `N x 3 x H x W`, RGB in \[0, 1\], fp32.
    pub fn synthesized(&self) -> &Tensor {
        &self.synthetic().full
    }

    fn synthetic(&self) -> &Synthetic {
        let labels = match &self.labels_for_g {
            Some(labels) => labels,
            None => &self.segmentation().softmax.labels,
        };
        self.step(&self.synthesized, Step::Synthesize, || {
            let full = self.networks.generator.synthesize(labels, &self.image);
            Synthetic { in_kind: channels_last(&full.to_kind(self.networks.kind)), full }
        })
    }

    /// M on x'. Its time counts for whoever asks: F or the anomaly score.
    fn second_segmentation(&self) -> &Segmented {
        let synthetic = &self.synthetic().in_kind;
        self.second_segmentation.get_or_init(|| self.networks.segmenter.forward(synthetic, false))
    }

    /// What M makes of x' that an anomaly score of `features` compares. Unless F asks for the rest as well, M
    /// stops there.
    pub(crate) fn second_features(&self, features: Features) -> &Tensor {
        let whole = self.networks.segments_again || self.second_segmentation.get().is_some();
        match features {
            Features::Last if whole => &self.second_segmentation().features,
            Features::Last => {
                let synthetic = &self.synthetic().in_kind;
                self.second_features.get_or_init(|| self.networks.segmenter.features(synthetic))
            }
            Features::Logits => &self.second_segmentation().logits,
        }
    }

    /// How M disagrees with itself about x' and x, `N x 3 x h x w`, fp32, on the grid of its logits.
    pub fn disagreement(&self) -> Tensor {
        let Segmentation { features, grid_logits, .. } = self.segmentation();
        disagreement(View { features, logits: grid_logits }, self.second_segmentation().into())
    }

    /// F on x and x'. Without an F it says nothing.
    pub fn comparison(&self) -> &Compared {
        let Some(f) = self.networks.comparator else {
            return self.comparison.get_or_init(Compared::default);
        };
        self.segmentation();
        self.step(&self.comparison, Step::Compare, || self.compared_by(f))
    }

    /// Another F on the same x and x'.
    pub(crate) fn compared_by(&self, f: &dyn Comparator) -> Compared {
        let input = ComparatorInput {
            image: &self.image,
            synthesized: &|| self.synthetic().in_kind.shallow_clone(),
            softmax: &self.segmentation().softmax,
            disagreement: &|| self.disagreement(),
        };
        f.forward(&input, false)
    }

    /// Probability that a pixel's label is wrong, `N x 1 x H x W`: F's, or one minus M's largest softmax of an
    /// F that does not score pixels.
    pub fn error(&self) -> Result<Tensor, TchError> {
        self.comparison().error(&self.segmentation().softmax.largest)
    }

    /// Anomaly score of x by `config`, `N x 1 x H x W` in \[0, 1\], fp32 (Section 3.3), by what F has learned of the
    /// unknown, and in the enlarged band, each where the configuration asks for it. Labels that are given have no such
    /// band: nobody knows what that segmenter says of a larger image.
    pub fn anomaly(&self, config: anomaly::Config) -> Result<Tensor, TchError> {
        let unknown = match config.unknown {
            anomaly::Unknown::Ignored => None,
            // No number where it is infinite, of which a sigmoid would make 0 or 1.
            _ => self
                .comparison()
                .unknown
                .as_ref()
                .map(|u| u.where_scalarother(&u.isfinite(), f64::NAN).sigmoid()),
        };
        let score = config.unknown.score(unknown, || self.anomaly_by_synthesis(config));
        match (&self.band, config.fovea, &self.given) {
            (Some(band), Some(_), None) => band.joined(score, self.labels(), config),
            _ => Ok(score),
        }
    }

    fn anomaly_by_synthesis(&self, config: anomaly::Config) -> Tensor {
        let Segmentation { softmax, features, grid_logits } = self.segmentation();
        let real = match config.features {
            Features::Last => features,
            Features::Logits => grid_logits,
        };
        let synthetic = self.second_features(config.features);
        let views = anomaly::Views { real, synthetic, logits: grid_logits, msp: &softmax.largest };
        anomaly::anomaly_score(config, &views)
    }

    /// Time so far, by step.
    pub fn latency(&self) -> Latency {
        self.stopwatch.read()
    }

    fn step<'s, T>(&'s self, cell: &'s OnceCell<T>, step: Step, work: impl FnOnce() -> T) -> &'s T {
        cell.get_or_init(|| self.stopwatch.run(step, work))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tch::Device;

    use super::*;
    use crate::frame;
    use crate::model::bundle::Bundle;
    use crate::model::fovea::Fovea;
    use crate::model::networks::Arithmetic;

    #[test]
    fn a_step_within_another_stops_the_outer_one() {
        let pause = || std::thread::sleep(Duration::from_millis(20));
        let stopwatch = Stopwatch::start();
        stopwatch.run(Step::Compare, || {
            pause();
            stopwatch.run(Step::Synthesize, pause);
        });
        let spent = stopwatch.read();
        assert!(spent.compare >= Duration::from_millis(20) && spent.synthesize >= Duration::from_millis(20));
        assert_eq!(spent.resize + spent.segment, Duration::ZERO);
        assert_eq!(spent.compare + spent.synthesize + spent.score, spent.total);
    }

    #[test]
    fn the_band_is_the_mean_of_both_scores_and_the_rest_is_as_it_was() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models/street");
        let mut bundle = Bundle::open(folder.as_ref()).unwrap();
        let picture = frame::open(format!("{folder}/self_test.png").as_ref()).unwrap().into_rgb8();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Float, memoise: false };
        let fovea = Fovea { scale: 2., rows: 64 };
        let mut scored = |fovea: Option<Fovea>| {
            bundle.description.anomaly.fovea = fovea;
            let networks = Networks::load(&bundle, arithmetic).unwrap();
            tch::no_grad(|| {
                let inference = Inference::of_image(&networks, &picture).unwrap();
                let score = inference.anomaly(networks.anomaly_config()).unwrap();
                let band = fovea.map(|fovea| {
                    fovea.begin(&networks.drivable(&inference.labels().get(0))).unwrap().unwrap()
                });
                (score, band)
            })
        };
        let ((once, _), (twice, band)) = (scored(None), scored(Some(fovea)));
        let (begin, rows) = (band.unwrap(), i64::from(fovea.rows));
        let part = |score: &Tensor, from: i64, rows: i64| score.narrow(2, from, rows);
        let after = begin + rows;
        for (from, rows) in [(0, begin), (after, spatial(&once).0 - after)] {
            assert_eq!(part(&once, from, rows), part(&twice, from, rows));
        }
        let again: Tensor = 2. * part(&twice, begin, rows) - part(&once, begin, rows);
        assert!(again.min().double_value(&[]) > -1e-5 && again.max().double_value(&[]) < 1. + 1e-5);
        // The enlarged band shows the same street, and not the same way.
        let apart = (part(&twice, begin, rows) - part(&once, begin, rows)).abs();
        let (mean, most) = (apart.mean(Kind::Float).double_value(&[]), apart.max().double_value(&[]));
        assert!(mean < 0.1 && most > 0.01, "{mean}, {most}");
    }
}
