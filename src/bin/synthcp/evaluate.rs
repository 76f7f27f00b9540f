//! `synthcp evaluate`: a bundle, and other detectors on its segmenter M, against labelled images.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use synthcp_monitor::data::{self, Slice};
use synthcp_monitor::evaluate::dossier::PAGE;
use synthcp_monitor::evaluate::evaluation::{At, Evaluation, Options};
use synthcp_monitor::evaluate::given::frequencies;
use synthcp_monitor::evaluate::sanity::Sanity;
use synthcp_monitor::evaluate::summary::dossier;
use synthcp_monitor::monitor::pipeline::Monitor;
use synthcp_monitor::score::frequencies::OfGiven;

use super::detectors::{Measured, command};
use super::given::Given;
use super::reading::Reading;
use super::{Outcome, output};

/// Arguments of `synthcp evaluate`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    measured: Measured,
    /// Folder of the data set (Cityscapes, CamVid or StreetHazards layout).
    #[arg(long)]
    data: PathBuf,
    /// Samples: PART, START..END or PART:START..END.
    #[arg(long, default_value = "..")]
    slice: Slice,
    #[command(flatten)]
    reading: Reading,
    /// Size at which pixels are scored: labels (that of the labels) or working (that of the networks, as in
    /// the paper).
    #[arg(long, default_value = "labels")]
    at: At,
    #[command(flatten)]
    given: Given,
    /// Writes labels and confidences as the BRAVO challenge takes them (NAME_pred.png, NAME_conf.png of 16 bits, at
    /// the images' places) to this folder, and shows its semantic metrics.
    #[arg(long, value_name = "DIR")]
    bravo: Option<PathBuf>,
}

impl Args {
    /// Folders that nothing is written to.
    fn read_only(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.data.as_path()).chain(self.given.folder())
    }

    /// What is known of another segmenter whose labels are assessed.
    fn of_given(&self, monitor: &Monitor) -> Result<Option<OfGiven>, Box<dyn Error>> {
        let Some(given) = self.given.at() else { return Ok(None) };
        let Measured { calibration, calibration_data, .. } = &self.measured;
        let data = calibration_data.as_ref().unwrap_or(&self.data);
        let reading = self.reading.of_data();
        let counted = calibration.as_ref().map(|slice| frequencies(monitor, (data, slice, &reading), &given));
        Ok(Some(OfGiven { frequencies: counted.transpose()? }))
    }
}

/// Prints the figures, and writes them.
pub fn run(args: &Args) -> Outcome {
    if let Some(out) = &args.measured.out {
        output::apart(out, args.read_only(), PAGE)?;
    }
    if let Some(out) = &args.bravo {
        output::apart(out, args.read_only(), PAGE)?;
    }
    let pairs = data::list(&args.data, &args.slice, false)?.1.pairs;
    let images: Vec<PathBuf> = pairs.into_iter().map(|pair| pair.image).collect();
    let seen = args.measured.check_images(&args.data, &images)?;
    let monitor = args.measured.monitor()?;
    if args.bravo.is_some() && monitor.labels().name != "cityscapes" {
        let name = &monitor.labels().name;
        return Err(
            format!("--bravo: the bundle's classes are of {name}; the challenge takes cityscapes'").into()
        );
    }
    // Dropout is random.
    tch::manual_seed(1);
    let detectors = args.measured.detectors_judging(&monitor, &args.data, args.of_given(&monitor)?)?;
    let options = Options {
        slice: args.slice.clone(),
        reading: args.reading.of_data(),
        given: args.given.at(),
        at: args.at,
        memory: args.measured.memory(),
        worst: args.measured.worst(),
        bravo: args.bravo.clone(),
    };
    let bar = ProgressBar::new(0);
    let each = |count: usize| {
        bar.set_length(count as u64);
        bar.inc(1);
    };
    let evaluation = Evaluation::of(&monitor, &detectors, &args.data, &options, each)?;
    bar.finish_and_clear();
    say_as_is!("{evaluation}");
    let sanity = Sanity::of(&monitor, evaluation.median_failure(), &args.data, &args.slice)?;
    say_as_is!("\n{sanity}");
    if let Some(out) = &args.measured.out {
        let mut page = dossier(&monitor, evaluation, &sanity, command())?;
        page.tables.iter_mut().for_each(|table| table.notes.extend(seen.clone()));
        page.write(out)?;
        note!("{}", out.join(PAGE).display());
    }
    Ok(())
}
