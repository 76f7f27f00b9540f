//! `synthcp anomalies`: how well a bundle, and other detectors on its segmenter M, find anomaly objects.

use std::error::Error;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use synthcp_monitor::data::{self, MaskCoding, anomaly};
use synthcp_monitor::evaluate::anomaly::{AnomalyEvaluation, limits, tables};
use synthcp_monitor::evaluate::dossier::PAGE;
use synthcp_monitor::evaluate::objects::ObjectReview;
use synthcp_monitor::evaluate::summary::anomaly_dossier;
use synthcp_monitor::monitor::pipeline::Monitor;
use synthcp_monitor::score::catalogue::Boxed;

use super::detectors::{Measured, command};
use super::{Outcome, output};

/// Arguments of `synthcp anomalies`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    measured: Measured,
    /// Folder of the data set (layout of RoadAnomaly, SegmentMeIfYouCan, Fishyscapes or StreetHazards).
    #[arg(long)]
    data: PathBuf,
    /// How its masks mark anomalies: roadanomaly (0, 1 ignored, 2 anomaly), fishyscapes (0, 1 anomaly, 255
    /// ignored), binary (0, 255 anomaly) or streethazards. Told by the values met by default.
    #[arg(long)]
    masks: Option<MaskCoding>,
    /// Folder of another bundle, such as the one before: the page says of each object whether that one finds it.
    #[arg(long, requires = "out")]
    before: Option<PathBuf>,
}

/// Prints the tables, and writes them.
pub fn run(args: &Args) -> Outcome {
    if let Some(out) = &args.measured.out {
        output::apart(out, [args.data.as_path()], PAGE)?;
    }
    let source = anomaly::Source::open(&args.data, args.masks)?;
    note!("{}: masks read as {}", args.data.display(), source.coding);
    let images: Vec<PathBuf> = source.pairs.pairs.iter().map(|pair| pair.image.clone()).collect();
    let seen = args.measured.check_images(&args.data, &images)?;
    let monitor = args.measured.monitor()?;
    let before = args.before.as_deref().map(|bundle| args.measured.load(bundle)).transpose()?;
    tch::manual_seed(1);
    let detectors = args.measured.detectors(&monitor, &args.data)?;
    let limits = limits_of(args, &monitor, &detectors)?;
    let mut evaluation =
        AnomalyEvaluation::new(&detectors, limits, args.measured.memory(), args.measured.worst());
    let mut objects = ObjectReview::new(before.is_some());
    let mut reviewed = true;
    let count = source.pairs.pairs.len();
    let bar = ProgressBar::new(count as u64);
    for pair in &source.pairs.pairs {
        let sample = source.load(pair)?;
        evaluation.add(monitor.networks(), &sample)?;
        // What is shown on the page alone.
        if args.measured.out.is_some() {
            reviewed &= objects.add(&sample, &monitor, before.as_ref())?;
        }
        evaluation.check(count)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !reviewed {
        note!("a bundle gives no anomaly score, or has no limit for it; the page shows no objects");
    }
    let (images, anomalous) = (evaluation.images(), evaluation.anomalous_share());
    say!("## {}: {images} images, {:.2} % of the pixels anomalous", args.data.display(), 100. * anomalous);
    let scored = evaluation.scored()?;
    let name = args.data.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy().into_owned());
    let tables = tables(&name, &scored);
    let text: Vec<String> = tables.iter().map(|table| table.markdown()).collect();
    say_as_is!("{}", text.join("\n"));
    let Some(out) = &args.measured.out else { return Ok(()) };
    let mut dossier = anomaly_dossier(&monitor, evaluation, objects, &name, command())?;
    dossier.tables.iter_mut().for_each(|table| table.notes.extend(seen.clone()));
    dossier.write(out)?;
    note!("{}", out.join(PAGE).display());
    Ok(())
}

/// Limits of the scores, from the calibration slice. Without one, only the bundle's own score has a limit.
fn limits_of(
    args: &Args,
    monitor: &Monitor,
    detectors: &[Boxed],
) -> Result<Vec<Option<f32>>, Box<dyn Error>> {
    if let Some(slice) = &args.measured.calibration {
        let folder = args.measured.calibration_data.as_ref().unwrap_or(&args.data);
        let options = data::Options { slice: slice.clone(), ..Default::default() };
        let ordinary = data::load(folder, &options)?.samples;
        return Ok(limits(monitor.networks(), detectors, &ordinary)?);
    }
    let own = monitor.thresholds().anomaly;
    let name = synthcp_monitor::score::synthcp::own_score(monitor.networks());
    let is_own = |detector: &Boxed| detector.name() == name;
    Ok(detectors.iter().map(|detector| is_own(detector).then_some(own)).collect())
}
