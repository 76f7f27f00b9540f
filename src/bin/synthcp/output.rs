//! Where a command's words and files go: results to standard output, remarks to standard error, and files
//! never onto something that the user gave.

use std::error::Error;
use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use synthcp_monitor::model::bundle::BundleError;
use synthcp_monitor::model::compute::ComputeError;
use synthcp_monitor::network::fault::one_line;

use super::Outcome;

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}")]
pub struct Unwritten(std::io::Error);

/// An end that has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Ended {
    /// The exit code.
    pub code: u8,
    /// Why.
    pub what: String,
}

/// Prints a part of the results.
pub fn print(text: Arguments) -> Result<(), Unwritten> {
    stdout().write_fmt(text).map_err(Unwritten)
}

/// Prints a part of the results, if anybody reads it; of a command that has a verdict to end with.
pub fn print_if_read(text: Arguments) -> Result<(), Unwritten> {
    match print(text) {
        Err(Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Says something beside the results. Who has closed standard error does not want to hear it.
pub fn note(text: Arguments) {
    let _ = writeln!(stderr(), "{text}");
}

/// The exit code of a command that came to this end, whose error is said.
pub fn end(outcome: Outcome) -> ExitCode {
    let outcome = outcome.and_then(|()| Ok(stdout().flush().map_err(Unwritten)?));
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    match error.downcast_ref::<Unwritten>() {
        // `| head` has seen enough.
        Some(Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => {
            note(format_args!("synthcp: {}", one_line(&error.to_string())));
            match error.downcast_ref::<Ended>() {
                Some(ended) => ExitCode::from(ended.code),
                None if is_of_compute(&*error) => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether the arguments ask for a device or a precision that cannot be had.
fn is_of_compute(error: &(dyn Error + 'static)) -> bool {
    error.is::<ComputeError>() || matches!(error.downcast_ref(), Some(BundleError::Compute(_)))
}

/// Refuses to write any of `outputs` onto one of `inputs`, by whatever path or link it is reached.
pub fn spare<'a>(
    inputs: impl IntoIterator<Item = &'a PathBuf>,
    outputs: impl IntoIterator<Item = PathBuf>,
) -> Result<(), String> {
    // Device and number of a file are the same by all its names.
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let inputs: Vec<_> = inputs.into_iter().filter_map(|path| Some((identity(path)?, path))).collect();
    for output in outputs {
        let found = identity(&output);
        if let Some((_, input)) = inputs.iter().find(|(input, _)| Some(*input) == found) {
            let (output, input) = (output.display(), input.display());
            return Err(format!(
                "{output} would be written onto the input {input}; choose another place for it"
            ));
        }
    }
    Ok(())
}

/// Refuses a folder for results that is one of the folders `inputs`, or lies in one and holds other things
/// than results: those of an earlier run have left the file `mark`.
pub fn apart<'a>(out: &Path, inputs: impl IntoIterator<Item = &'a Path>, mark: &str) -> Result<(), String> {
    let Ok(real) = out.canonicalize() else { return Ok(()) };
    let is_empty = real.read_dir().is_ok_and(|mut files| files.next().is_none());
    for input in inputs {
        let Ok(given) = input.canonicalize() else { continue };
        if real == given || (real.starts_with(&given) && !is_empty && !real.join(mark).exists()) {
            let (out, input) = (out.display(), input.display());
            return Err(format!(
                "results in {out} could overwrite what is in the input {input}; choose a folder of their own"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_found_by_every_name_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.png"), "mine").unwrap();
        std::fs::write(at("other.png"), "other").unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        std::os::unix::fs::symlink(at("a.png"), at("soft.png")).unwrap();
        std::fs::hard_link(at("a.png"), at("hard.png")).unwrap();
        let inputs = [at("a.png")];
        for name in ["a.png", "sub/../a.png", "soft.png", "hard.png"] {
            let error = spare(&inputs, [at(name)]).unwrap_err();
            assert!(error.contains("a.png") && error.contains("another place"), "{error}");
        }
        assert!(spare(&[at("soft.png")], [at("a.png")]).is_err());
        assert!(spare(&inputs, [at("other.png"), at("new.png")]).is_ok());
    }

    #[test]
    fn results_do_not_go_among_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("data/images")).unwrap();
        std::fs::write(at("data/images/a.png"), "mine").unwrap();
        let try_at = |out: &str| apart(&at(out), [at("data").as_path()], "index.html");
        assert!(try_at("data").is_err() && try_at("data/images").is_err());
        assert!(try_at("data/images/..").is_err());
        assert!(try_at("data/results").is_ok() && try_at("results").is_ok());
        std::fs::create_dir(at("data/results")).unwrap();
        std::fs::write(at("data/results/index.html"), "of an earlier run").unwrap();
        assert!(try_at("data/results").is_ok());
    }
}
