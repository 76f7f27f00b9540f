//! The tests: a bundle, and every detector on it, on images on which nothing was trained.

use std::path::Path;

use image::RgbImage;

use super::cost::costs;
use super::outcome::{self, Outcome, PixelLevel};
use super::plan::{Protocol, ProtocolError, System};
use super::stage::{Setup, Test, name};
use crate::data::{self, DataError, Slice, anomaly};
use crate::evaluate::anomaly::{AnomalyEvaluation, limits};
use crate::evaluate::error::EvaluationError;
use crate::evaluate::evaluation::{At, Evaluation, Options};
use crate::evaluate::objects::ObjectReview;
use crate::evaluate::sanity::Sanity;
use crate::evaluate::scoreboard::{Memory, Scored};
use crate::evaluate::summary::{WORST, anomaly_dossier, detectors, dossier};
use crate::monitor::pipeline::{Monitor, MonitorOptions};
use crate::score::catalogue::Boxed;
use crate::score::trained;
use crate::train::workspace::DETECTORS;

/// Images of the test on which costs are measured.
const TIMED: usize = 9;

impl Protocol {
    /// Tests a system's bundle and keeps the result.
    pub(super) fn measure(&self, system: &System, test: &Test, setup: &Setup) -> Result<(), ProtocolError> {
        let kept = setup.outcome(&system.name, test);
        if *test == Test::Labels && self.labels_are_at_working_size(setup)? {
            let same: Option<Outcome> = outcome::read(&setup.outcome(&system.name, &Test::Working))?;
            if let Some(same) = same {
                return outcome::write(&same, &kept);
            }
        }
        let monitor = Monitor::load(&setup.bundle(&system.name), &MonitorOptions::default())?;
        // Dropout is random.
        tch::manual_seed(self.seed as i64);
        let detectors = self.detectors(&monitor, system, test, setup)?;
        let figures = setup.figures(&system.name, test);
        match test {
            Test::Cost => {
                let images = images(&setup.data, &self.test)?.take(TIMED).collect::<Result<Vec<_>, _>>()?;
                let costs = costs(monitor.networks(), &detectors, &images).map_err(EvaluationError::from)?;
                outcome::write(&costs, &kept)
            }
            Test::Transfer(folder) if has_anomalies(folder) => {
                let options = data::Options { slice: self.calibration.clone(), ..Default::default() };
                let ordinary = data::load(&setup.data, &options).map_err(EvaluationError::from)?.samples;
                let limits = limits(monitor.networks(), &detectors, &ordinary)?;
                let mut evaluation = AnomalyEvaluation::new(&detectors, limits, Memory::Streaming, WORST);
                let source = anomaly::Source::open(folder, None).map_err(EvaluationError::from)?;
                for pair in &source.pairs.pairs {
                    let sample = source.load(pair).map_err(EvaluationError::from)?;
                    evaluation.add(monitor.networks(), &sample)?;
                }
                let pixels: Vec<Scored> = evaluation.scored()?.into_iter().map(|s| s.pixels).collect();
                let outcome = Outcome {
                    data: name(folder),
                    images: evaluation.images() as u64,
                    positive: evaluation.anomalous_share(),
                    mean_iou: None,
                    classes: Vec::new(),
                    pixels: PixelLevel::of(&pixels),
                    ious: Vec::new(),
                };
                let page = anomaly_dossier(
                    &monitor,
                    evaluation,
                    ObjectReview::new(false),
                    &name(folder),
                    setup.command.clone(),
                )?;
                page.write(&figures)?;
                outcome::write(&outcome, &kept)
            }
            Test::Working | Test::Labels | Test::Unseen(_) | Test::Transfer(_) => {
                let (folder, options) = self.labelled(test, setup);
                let evaluation = Evaluation::of(&monitor, &detectors, folder, &options, |_| ())?;
                let outcome = Outcome::of(&evaluation).map_err(EvaluationError::from)?;
                let sanity = Sanity::of(&monitor, evaluation.median_failure(), folder, &options.slice)?;
                let page = dossier(&monitor, evaluation, &sanity, setup.command.clone());
                page.map_err(EvaluationError::from)?.write(&figures)?;
                outcome::write(&outcome, &kept)
            }
        }
    }

    /// The samples of a test on labelled images, and how they are scored.
    fn labelled<'a>(&self, test: &'a Test, setup: &'a Setup) -> (&'a Path, Options) {
        let own = |at| {
            let slice = self.test.clone();
            Options { slice, at, memory: Memory::Exact, worst: WORST, ..Options::default() }
        };
        match test {
            Test::Transfer(folder) => {
                let options = Options { memory: Memory::Streaming, worst: WORST, ..Options::default() };
                (folder, options)
            }
            Test::Labels => (&setup.data, Options { memory: Memory::Streaming, ..own(At::Labels) }),
            Test::Working | Test::Cost | Test::Unseen(_) => (&setup.data, own(At::Working)),
        }
    }

    /// All detectors on the system's own segmenter M, or those of another system that do not need that
    /// one's M.
    fn detectors(
        &self,
        monitor: &Monitor,
        system: &System,
        test: &Test,
        setup: &Setup,
    ) -> Result<Vec<Boxed>, ProtocolError> {
        let networks = monitor.networks();
        let of = |system: &str| setup.bundle(system).join(DETECTORS);
        let (classes, device) = (networks.classes() as i64, networks.device());
        Ok(match test {
            Test::Unseen(other) => {
                trained::load_if(&of(other), classes, device, |network| !network.reads_features_of_m())?
            }
            _ => {
                let trained = trained::load(&of(&system.name), classes, device)?;
                detectors(monitor, trained, &setup.data, &self.calibration)?
            }
        })
    }

    fn labels_are_at_working_size(&self, setup: &Setup) -> Result<bool, EvaluationError> {
        let (_, pairs) = data::list(&setup.data, &self.test, false)?;
        let Some(first) = pairs.pairs.into_iter().next() else { return Ok(false) };
        let [height, width] = self.working_size;
        Ok(data::open_image(&first.image)?.dimensions() == (width, height))
    }
}

/// Whether a folder is laid out as a data set with anomaly objects, complete or not: reading it names what
/// is missing.
fn has_anomalies(folder: &Path) -> bool {
    !matches!(anomaly::list(folder), Err(DataError::AnomalyLayout { .. }))
}

/// Images of a slice, one by one.
fn images(
    folder: &Path,
    slice: &Slice,
) -> Result<impl Iterator<Item = Result<RgbImage, EvaluationError>> + use<>, EvaluationError> {
    Ok(data::images(folder, slice)?.map(|image| Ok(image?)))
}
