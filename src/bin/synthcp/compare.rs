//! `synthcp compare`: two results of a replay, of two bundles or two versions, on the same frames.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use synthcp_monitor::replay::RESULTS;
use synthcp_monitor::replay::compare::{Changed, CompareError, Comparison, first_difference, page};

use super::Outcome;
use super::output::{self, Ended};

/// Arguments of `synthcp compare`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of the result that is known.
    a: PathBuf,
    /// Folder of the result that is held against it.
    b: PathBuf,
    /// Points by which a figure of B may be worse than that of A.
    #[arg(long, default_value_t = 1.0, value_parser = points)]
    max_drop: f64,
    /// Frames whose level changed that are listed.
    #[arg(long, default_value_t = 20)]
    list: usize,
    /// An HTML page to write: the figures, and pictures of the frames whose level changed, side by side.
    #[arg(long, value_name = "FILE", conflicts_with = "exact")]
    page: Option<PathBuf>,
    /// Whether the results agree bit for bit, but for latencies and what names versions and computers.
    #[arg(long)]
    exact: bool,
}

fn points(text: &str) -> Result<f64, String> {
    let points = text.parse::<f64>().ok().filter(|points| (0. ..=100.).contains(points));
    points.ok_or_else(|| "points from 0 to 100 are needed, such as 1.0".to_owned())
}

/// Prints what differs. A significant loss, or any difference where none is allowed, makes the exit code 1.
pub fn run(args: &Args) -> Outcome {
    let Args { a, b, .. } = args;
    if args.exact {
        return match first_difference(a, b).map_err(told)? {
            None => {
                say!("the results agree, but for latencies");
                Ok(())
            }
            Some(what) => Err(format!("the results differ: {what}").into()),
        };
    }
    let comparison = Comparison::of(a, b, args.max_drop).map_err(told)?;
    say_if_read!("{comparison}");
    for Changed { recording, time, levels: [(one, of), (other, now)], .. } in
        comparison.changed.iter().take(args.list)
    {
        let score = |score: &Option<f64>| score.map_or("n/a".to_owned(), |score| format!("{score:.3}"));
        say_if_read!("recording {recording} at {time}: {one} ({}) -> {other} ({})\n", score(of), score(now));
    }
    if let Some(page) = &args.page {
        let held = [a, b].into_iter().flat_map(|folder| RESULTS.map(|name| folder.join(name)));
        output::spare(&held.collect::<Vec<_>>(), [page.clone()])?;
        page::write(page, &comparison, [a, b]).map_err(told)?;
    }
    match comparison.losses()[..] {
        [] => Ok(()),
        ref losses => Err(format!("B is significantly worse: {}", losses.join(", ")).into()),
    }
}

/// What cannot be compared ends the command with 2.
fn told(error: CompareError) -> Ended {
    Ended { code: 2, what: error.to_string() }
}
