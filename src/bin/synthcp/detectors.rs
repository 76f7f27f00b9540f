//! Arguments that `evaluate` and `anomalies` share: a bundle, and the detectors that are measured on it.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use image::RgbImage;
use synthcp_monitor::data::{self, Slice};
use synthcp_monitor::evaluate::error::EvaluationError;
use synthcp_monitor::evaluate::scoreboard::Memory;
use synthcp_monitor::evaluate::summary::WORST;
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::monitor::pipeline::{Monitor, MonitorOptions};
use synthcp_monitor::score::catalogue::{self, Boxed, PASSES, Parts};
use synthcp_monitor::score::frequencies::OfGiven;
use synthcp_monitor::score::statistics::Statistics;
use synthcp_monitor::score::trained;
use synthcp_monitor::train::calibration::count_seen;
use synthcp_monitor::train::workspace::DETECTORS;

/// Which bundle, which detectors, and where the figures go.
#[derive(ClapArgs)]
pub struct Measured {
    /// Folder of the bundle.
    #[arg(long, default_value = "models/street")]
    pub bundle: PathBuf,
    #[arg(long, value_delimiter = ',', help = known())]
    pub detectors: Vec<String>,
    /// Labelled samples that no figure is measured on, for detectors with statistics (sml) and for
    /// limits of anomaly scores: PART, START..END or PART:START..END.
    #[arg(long)]
    pub calibration: Option<Slice>,
    /// Folder of these samples, if not that of the data.
    #[arg(long, requires = "calibration")]
    pub calibration_data: Option<PathBuf>,
    /// Passes of mc-dropout.
    #[arg(long, default_value_t = PASSES)]
    pub passes: usize,
    /// Counts scores in bins: constant memory, figures with a stated bound.
    #[arg(long)]
    pub streaming: bool,
    /// Folder for tables (Markdown, CSV, JSON), figures (SVG) and report.html.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// auto, fp32, bf16 or fp16.
    #[arg(long, default_value_t)]
    pub precision: Precision,
}

fn known() -> String {
    format!(
        "Detectors: {}, and those trained beside the bundle, by the names of their files in its folder \
         `detectors`. All that the bundle can by default",
        catalogue::names()
    )
}

impl Measured {
    /// The bundle, loaded.
    pub fn monitor(&self) -> Result<Monitor, Box<dyn Error>> {
        self.load(&self.bundle)
    }

    /// Another, loaded in the same way.
    pub fn load(&self, bundle: &Path) -> Result<Monitor, Box<dyn Error>> {
        let options =
            MonitorOptions { device: self.device, precision: self.precision, ..MonitorOptions::default() };
        let monitor = Monitor::load(bundle, &options)?;
        note!("{}", monitor.description());
        Ok(monitor)
    }

    /// How pixels are kept.
    pub fn memory(&self) -> Memory {
        if self.streaming { Memory::Streaming } else { Memory::Exact }
    }

    /// How many frames are kept as pictures.
    pub fn worst(&self) -> usize {
        if self.out.is_some() { WORST } else { 0 }
    }

    /// The detectors, calibrated on samples of `folder` unless another folder is given. Says which of
    /// them cannot be had.
    pub fn detectors(&self, monitor: &Monitor, folder: &PathBuf) -> Result<Vec<Boxed>, Box<dyn Error>> {
        self.detectors_judging(monitor, folder, None)
    }

    /// The same, and what is known of a segmenter whose labels are assessed.
    pub fn detectors_judging(
        &self,
        monitor: &Monitor,
        folder: &PathBuf,
        given: Option<OfGiven>,
    ) -> Result<Vec<Boxed>, Box<dyn Error>> {
        let networks = monitor.networks();
        let mut means = Parts { passes: self.passes, given, ..Parts::of(networks) };
        if let Some(slice) = &self.calibration {
            let images = self.calibration_images(folder, slice)?;
            means.statistics = Some(Statistics::gather::<EvaluationError>(networks, images)?);
        }
        if self.detectors.is_empty() {
            for entry in catalogue::left_out(&means) {
                note!("left out: {}, which needs {}", entry.id, entry.needs);
            }
        }
        let (classes, device) = (networks.classes() as i64, networks.device());
        let mut trained = trained::load(&self.bundle.join(DETECTORS), classes, device)?;
        if self.detectors.is_empty() {
            return Ok(catalogue::choose(&[], &means)?.into_iter().chain(trained).collect());
        }
        trained.retain(|detector| self.detectors.iter().any(|id| id == detector.name()));
        let is_trained = |id: &String| trained.iter().any(|detector| detector.name() == id);
        let ids: Vec<String> = self.detectors.iter().filter(|id| !is_trained(id)).cloned().collect();
        let chosen = if ids.is_empty() { Vec::new() } else { catalogue::choose(&ids, &means)? };
        Ok(chosen.into_iter().chain(trained).collect())
    }

    /// Fails if one of the images of `folder` that are assessed is a calibration sample too. Says how many of them
    /// trained the bundle, if any did: for the tables.
    pub fn check_images(&self, folder: &Path, images: &[PathBuf]) -> Result<Option<String>, Box<dyn Error>> {
        if let Some(slice) = &self.calibration {
            let file = |image: &PathBuf| image.canonicalize().unwrap_or_else(|_| image.clone());
            let judged: BTreeSet<PathBuf> = images.iter().map(file).collect();
            let folder = self.calibration_data.as_deref().unwrap_or(folder);
            let pairs = data::list(folder, slice, false)?.1.pairs;
            let both = pairs.iter().filter(|pair| judged.contains(&file(&pair.image))).count();
            if both > 0 {
                return Err(format!(
                    "--calibration {slice}: {both} of its images are assessed as well; name samples that no figure is \
                     measured on"
                )
                .into());
            }
        }
        let seen = count_seen(&self.bundle, images)?;
        let said = format!("{seen} of the {} images trained the bundle's networks.", images.len());
        if seen > 0 {
            note!("{}: {said} These figures say too much good of it", folder.display());
        }
        Ok((seen > 0).then_some(said))
    }

    /// Images of the calibration slice, one by one.
    pub fn calibration_images(
        &self,
        folder: &PathBuf,
        slice: &Slice,
    ) -> Result<impl Iterator<Item = Result<RgbImage, EvaluationError>> + use<>, EvaluationError> {
        let folder = self.calibration_data.as_ref().unwrap_or(folder);
        Ok(data::images(folder, slice)?.map(|image| Ok(image?)))
    }
}

/// The command as it was given, for reports.
pub fn command() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("synthcp {}", words.join(" "))
}
