//! `synthcp metrics`: the figures of given arrays of scores and labels.

use std::error::Error;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use synthcp_monitor::data::npy::{self, Array, Numbers};
use synthcp_monitor::metric::pixel::{DEFINITIONS, PerImage, PerImageFigures, TwoSided};
use synthcp_monitor::metric::ranking::{Ranking, Score};

use super::Outcome;

/// Arguments of `synthcp metrics`.
#[derive(ClapArgs)]
pub struct Args {
    /// Scores, higher where positives are more likely: a .npy file of floats, integers or bool.
    #[arg(long)]
    scores: PathBuf,
    /// 1 for a positive, 0 for a negative: a .npy file of the same shape. With three axes or more, the
    /// first counts the images.
    #[arg(long)]
    labels: PathBuf,
    /// Label of pixels that do not count.
    #[arg(long, default_value_t = 255, allow_hyphen_values = true)]
    ignore: i64,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Printed {
    /// Pixels counted.
    pixels: u64,
    positives: u64,
    negatives: u64,
    ignored: u64,
    /// All pixels as one.
    pooled: TwoSided,
    /// Where there is an axis of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_image: Option<PerImageFigures>,
}

/// Prints the figures.
pub fn run(args: &Args) -> Outcome {
    let (scores, labels) = (npy::read(&args.scores)?, npy::read(&args.labels)?);
    if scores.shape != labels.shape {
        let (ours, theirs) = (args.scores.display(), args.labels.display());
        return Err(format!(
            "{ours} is {:?} and {theirs} {:?}; both must have the same shape",
            scores.shape, labels.shape
        )
        .into());
    }
    let truth = truth(&labels, args)?;
    let images = if scores.shape.len() > 2 { scores.shape[0] } else { 1 };
    let measured = match &scores.numbers {
        Numbers::Single(values) => measure(values, &truth, images, args)?,
        Numbers::Double(values) => measure(values, &truth, images, args)?,
    };
    match args.json {
        true => say!("{}", serde_json::to_string_pretty(&measured)?),
        false => say_as_is!("{}", table(&measured)),
    }
    Ok(())
}

/// Whether each pixel is positive; `None` where it does not count.
fn truth(labels: &Array, args: &Args) -> Result<Vec<Option<bool>>, Box<dyn Error>> {
    let meaning = |(index, value): (usize, f64)| match value {
        value if value == args.ignore as f64 => Ok(None),
        0. => Ok(Some(false)),
        1. => Ok(Some(true)),
        _ => Err(format!(
            "{}: label {index} is {value}; expected 0, 1 or {}",
            args.labels.display(),
            args.ignore
        )
        .into()),
    };
    match &labels.numbers {
        Numbers::Single(values) => values.iter().map(|&v| f64::from(v)).enumerate().map(meaning).collect(),
        Numbers::Double(values) => values.iter().copied().enumerate().map(meaning).collect(),
    }
}

fn measure<S: Score>(
    scores: &[S],
    truth: &[Option<bool>],
    images: usize,
    args: &Args,
) -> Result<Printed, Box<dyn Error>> {
    // In the array that the user has, not among the pixels that count.
    if let Some(index) = (0..scores.len()).find(|&i| truth[i].is_some() && scores[i].is_nan()) {
        return Err(format!("{}: score {index} is NaN", args.scores.display()).into());
    }
    let counted = |part: std::ops::Range<usize>| -> (Vec<S>, Vec<bool>) {
        part.filter_map(|i| Some((scores[i], truth[i]?))).unzip()
    };
    let (kept, positive) = counted(0..scores.len());
    let ranking = Ranking::new(&kept, &positive)?;
    let mut per_image = (images > 1).then(PerImage::default);
    if let Some(per_image) = &mut per_image {
        let pixels = scores.len() / images;
        for image in 0..images {
            let (scores, positive) = counted(image * pixels..(image + 1) * pixels);
            per_image.add(&scores, &positive)?;
        }
    }
    Ok(Printed {
        pixels: kept.len() as u64,
        positives: ranking.positives(),
        negatives: ranking.negatives(),
        ignored: (scores.len() - kept.len()) as u64,
        pooled: TwoSided::of(&ranking),
        per_image: per_image.as_ref().map(PerImage::figures),
    })
}

fn table(measured: &Printed) -> String {
    let Printed { pixels, positives, negatives, ignored, pooled, per_image } = measured;
    let mut text =
        format!("{pixels} pixels ({positives} positive, {negatives} negative), {ignored} ignored\n");
    let mut columns = vec![("pooled", *pooled)];
    if let Some(per_image) = per_image {
        columns.push(("mean of images", per_image.mean));
        text += &format!(
            "{} images, {} without positives, {} without negatives\n",
            per_image.images, per_image.without_positives, per_image.without_negatives
        );
    }
    let names: String = columns.iter().map(|(name, _)| format!(" {name} |")).collect();
    text += &format!("| figure |{names} definition |\n|---|{}---|\n", "---|".repeat(columns.len()));
    for (side, ending) in [(0, "positives wanted, high"), (1, "negatives wanted, low")] {
        for (place, (name, definition)) in DEFINITIONS.iter().enumerate() {
            let value = |(_, sides): &(&str, TwoSided)| {
                let figures = [sides.positive, sides.negative][side].values()[place];
                figures.map_or(" n/a |".into(), |value| format!(" {value:.6} |"))
            };
            let values: String = columns.iter().map(value).collect();
            text += &format!("| {name}, {ending} |{values} {definition} |\n");
        }
    }
    text
}
