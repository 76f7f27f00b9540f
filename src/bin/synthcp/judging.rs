//! A result is judged and shown: right after a replay, or any time later.

use std::path::{Path, PathBuf};

use synthcp_monitor::judge::evidence::replay_folder;
use synthcp_monitor::judge::page::{self, PAGE};
use synthcp_monitor::judge::{self, Evidence, EvidenceError, Scenario, VERDICT, Verdict};

use super::output::{self, Ended};

type Error = Box<dyn std::error::Error>;

/// What ends the command with 2.
fn wrong(error: impl std::error::Error) -> Error {
    Ended { code: 2, what: error.to_string() }.into()
}

/// The scenario in the file, if one is given.
pub fn scenario(file: Option<&Path>) -> Result<Option<Scenario>, Error> {
    file.map(|file| Scenario::load(file).map_err(wrong)).transpose()
}

/// The files that judging leaves in a folder.
pub fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    VERDICT.into_iter().chain([PAGE]).map(|name| folder.join(name))
}

/// Takes away verdict and page of an earlier result.
pub fn forget(folder: &Path) -> std::io::Result<()> {
    for file in files(folder) {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Judges the result, and leaves verdict and page in `out`. Says whether it is passed, where there is a scenario.
pub fn judge(scenario: Option<&Scenario>, evidence: &Evidence, out: &Path) -> Result<Option<bool>, Error> {
    let verdict = scenario.map(|scenario| Verdict::of(scenario, evidence));
    if let Some(verdict) = &verdict {
        judge::write(verdict, out)?;
        say_if_read!("{verdict}");
    }
    let events = scenario.map_or(&[][..], |scenario| &scenario.events);
    page::write(out, evidence, verdict.as_ref(), events)?;
    Ok(verdict.map(|verdict| verdict.passed))
}

/// The result as a scenario wants to see it.
pub fn evidence(
    result: &Path,
    topic: Option<&str>,
    scenario: Option<&Scenario>,
) -> Result<Evidence, EvidenceError> {
    let statuses = scenario.map_or(Vec::new(), Verdict::statuses);
    Evidence::read(result, topic, &statuses)
}

/// Judges and shows a result that is there, into its own folder or `out`.
pub fn analyze(
    result: &Path,
    topic: Option<&str>,
    file: Option<&Path>,
    out: Option<&Path>,
) -> Result<(), Error> {
    let scenario = scenario(file)?;
    let evidence = evidence(result, topic, scenario.as_ref()).map_err(wrong)?;
    let folder = match (out, replay_folder(result)) {
        (Some(out), _) | (None, Some(out)) => out,
        (None, None) => {
            let what = format!(
                "{} is no folder of a replay; --out says where verdict and page go",
                result.display()
            );
            return Err(Ended { code: 2, what }.into());
        }
    };
    let given: Vec<PathBuf> = file.into_iter().chain([result]).map(Path::to_owned).collect();
    output::spare(&given, files(folder))?;
    fs_err::create_dir_all(folder)?;
    forget(folder)?;
    let passed = judge(scenario.as_ref(), &evidence, folder)?;
    end(passed, evidence.lost)
}

/// The end of a command whose result has this verdict.
pub fn end(passed: Option<bool>, lost: u64) -> Result<(), Error> {
    match (passed, lost) {
        (Some(false), _) => Err("the scenario is not passed".into()),
        (_, 0) => Ok(()),
        (_, lost) => {
            let what = format!("finished; {lost} parts of the recording could not be read");
            Err(Ended { code: 3, what }.into())
        }
    }
}
