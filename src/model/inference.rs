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
//! Each step is taken when somebody asks for what it gives, and once. Whoever reads no comparison does not
//! pay for F; two detectors that read x' share it.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use image::RgbImage;
use tch::{Kind, TchError, Tensor};

use super::anomaly::{self, Features};
use super::fovea::Fovea;
use super::given::Given;
use super::networks::{Networks, Trio};
use crate::network::comparison::disagreement::{View, disagreement};
use crate::network::comparison::{Comparator, ComparatorInput, Compared};
use crate::network::layers::{channels_last, spatial};
use crate::network::segmentation::{Segmented, Segmenter};
use crate::network::softmax::Softmax;

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

/// A step of an inference that is timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the camera's image to x at the working size.
    Resize,
    /// M on x.
    Segment,
    /// G on M's labels.
    Synthesize,
    /// F on x and x'; M on x' too, where F asks what M makes of it.
    Compare,
    /// Everything else: M on x' unless F has asked, and all that is done with the scores.
    Score,
}

/// Time spent on each step, none of it twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// See `Step::Resize`.
    pub resize: Duration,
    /// See `Step::Segment`.
    pub segment: Duration,
    /// See `Step::Synthesize`.
    pub synthesize: Duration,
    /// See `Step::Compare`.
    pub compare: Duration,
    /// See `Step::Score`.
    pub score: Duration,
    /// All of it.
    pub total: Duration,
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
    second_look: Option<SecondLook<'a>>,
    stopwatch: Stopwatch,
}

/// x', as G gives it and as M and F take it.
struct Synthetic {
    full: Tensor,
    in_kind: Tensor,
}

impl<'a> Inference<'a> {
    /// Of one image of any size.
    pub fn of_image(networks: &'a Networks, image: &RgbImage) -> Result<Self, TchError> {
        let stopwatch = Stopwatch::start();
        let (x, image) = stopwatch.run(Step::Resize, || {
            let image = networks.uploaded(image)?;
            Ok::<_, TchError>((networks.resized(&image, networks.size())?, image))
        })?;
        let inference = Self { stopwatch, ..Self::of_batch(networks.trio(), x) };
        Ok(inference.with_second_look(networks, image))
    }

    /// The same with a second look at the image as it came, `1 x 3 x H x W` from 0 to 255, where the bundle asks for it.
    pub(crate) fn with_second_look(self, networks: &'a Networks, image: Tensor) -> Self {
        let second_look = networks.anomaly_config().fovea.map(|fovea| SecondLook { networks, fovea, image });
        Self { second_look, ..self }
    }

    /// Of a batch at the working size: `N x 3 x H x W`, RGB in \[0, 1\], in the networks' precision.
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
            second_look: None,
            stopwatch: Stopwatch::start(),
        }
    }

    /// The same with labels for G in place of M's, `N x H x W` ids: networks with random weights say noise,
    /// of which G would learn nothing about its cost.
    pub(crate) fn with_labels(self, labels: Tensor) -> Self {
        Self { labels_for_g: Some(labels), ..self }
    }

    /// The same on the labels of another segmenter. M then says how probable it finds them, unless they came with a
    /// softmax, and what it makes of x and of x'; where there is no label, M's own stand in.
    pub(crate) fn judging(self, given: Given) -> Self {
        Self { given: Some(given), ..self }
    }

    /// What another segmenter gave, where that is judged.
    pub(crate) fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// The labels that are judged, `N x H x W`: another segmenter's as they came, or M's.
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
    /// unknown, and by a second look, each where the configuration asks for it. Of labels that are given there is no
    /// second look: nobody knows what that segmenter says of a larger image.
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
        match (&self.second_look, config.fovea, &self.given) {
            (Some(look), Some(_), None) => look.joined(score, self.labels(), config),
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

/// The image as it came, for a second look at it.
struct SecondLook<'a> {
    networks: &'a Networks,
    fovea: Fovea,
    /// `1 x 3 x H x W`, RGB from 0 to 255.
    image: Tensor,
}

impl SecondLook<'_> {
    /// `score`, `1 x 1 x H x W` at the working size, with the mean of both looks in the band. `labels`, `1 x H x W`, say
    /// where the ground is.
    fn joined(&self, score: Tensor, labels: &Tensor, config: anomaly::Config) -> Result<Tensor, TchError> {
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

/// Shares out the time since its start among the steps; a step within another stops the outer one.
#[derive(Debug)]
struct Stopwatch {
    step: Cell<Step>,
    since: Cell<Instant>,
    spent: Cell<Latency>,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            step: Cell::new(Step::Score),
            since: Cell::new(Instant::now()),
            spent: Cell::new(Latency::default()),
        }
    }

    fn run<R>(&self, step: Step, work: impl FnOnce() -> R) -> R {
        let outer = self.turn_to(step);
        let result = work();
        self.turn_to(outer);
        result
    }

    /// Books the time since the last call on the step so far, and returns that.
    fn turn_to(&self, step: Step) -> Step {
        let now = Instant::now();
        let passed = now - self.since.replace(now);
        let mut spent = self.spent.get();
        let booked = match self.step.get() {
            Step::Resize => &mut spent.resize,
            Step::Segment => &mut spent.segment,
            Step::Synthesize => &mut spent.synthesize,
            Step::Compare => &mut spent.compare,
            Step::Score => &mut spent.score,
        };
        *booked += passed;
        spent.total += passed;
        self.spent.set(spent);
        self.step.replace(step)
    }

    fn read(&self) -> Latency {
        self.turn_to(self.step.get());
        self.spent.get()
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::frame;
    use crate::model::bundle::Bundle;
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
                let band = fovea.map(|fovea| {
                    fovea.begin(&networks.drivable(&inference.labels().get(0))).unwrap().unwrap()
                });
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
}
