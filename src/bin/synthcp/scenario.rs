//! `synthcp scenario`: what a drive must show, to begin with.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use synthcp_monitor::judge::{Evidence, EvidenceError, draft};
use synthcp_monitor::replay::camera_topic;
use synthcp_monitor::whole_file;

use super::Outcome;
use super::output::{self, Ended};

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// Writes a scenario with comments, to be edited: of a result, one that it passes; of a recording of images, a
    /// guess.
    Init {
        /// The folder of a replay, a recording with a monitor's reports, or one of images.
        source: PathBuf,
        /// The topic of the reports or of the camera; needed where there are several.
        #[arg(long)]
        topic: Option<String>,
        /// File for the scenario, which must not be there yet; standard output by default.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Does it.
pub fn run(action: &Action) -> Outcome {
    let Action::Init { source, topic, out } = action;
    if let Some(out) = out {
        output::spare([source], [out.clone()])?;
        if out.exists() {
            return Err(format!("{} is there already; choose another file", out.display()).into());
        }
    }
    let name = name_of(source);
    let text = match Evidence::read(source, topic.as_deref(), &[]) {
        Ok(evidence) => draft::of_result(&name, &evidence),
        Err(EvidenceError::NoReports { .. }) => {
            let bag = [source.clone()];
            let topic = camera_topic(&bag, topic.as_deref()).map_err(wrong)?;
            draft::of_recording(&name, &bag, &topic.name)?
        }
        Err(error) => return Err(wrong(error)),
    };
    match out {
        Some(out) => whole_file::write(out, text)?,
        None => say_as_is!("{text}"),
    }
    Ok(())
}

fn name_of(source: &Path) -> String {
    let name = source.file_stem().or(source.parent().and_then(Path::file_name));
    name.map_or("drive".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn wrong(error: impl std::error::Error) -> Box<dyn std::error::Error> {
    Ended { code: 2, what: error.to_string() }.into()
}
