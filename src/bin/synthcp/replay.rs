//! `synthcp replay`: a recording in, the reports that the node would have made out.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::replay::{Progress, RESULTS, ReplayError, Selection, camera_topic, load, replay};
use synthcp_monitor::watch::parameters::{OfflineError, Parameters};

use super::Outcome;
use super::output::{self, Ended};

/// Arguments of `synthcp replay`.
#[derive(ClapArgs)]
pub struct Args {
    /// Recordings: folders of rosbag2, or single .mcap and .db3 files, compressed or not; several are merged.
    #[arg(required = true)]
    bags: Vec<PathBuf>,
    /// Folder of the bundle; without, that of the parameters, looked for in models/ if it is a bare name.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// The node's params file, or one of parameters alone: debounce, time-outs, thresholds, valid mask as on the
    /// robot.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// The node that the params file is for.
    #[arg(long, default_value = "/monitor", value_name = "NAME")]
    node: String,
    /// A parameter, such as threshold.caution=0.6; goes before the file's. Again for more.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The camera's topic; needed where there are several.
    #[arg(long)]
    topic: Option<String>,
    /// Seconds of the recording that are left out at its beginning.
    #[arg(long, default_value = "0", value_parser = seconds)]
    start: Duration,
    /// Seconds from there on; without, all.
    #[arg(long, value_parser = seconds)]
    duration: Option<Duration>,
    /// Assesses one frame of so many.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Folder for report.jsonl, result.mcap and summary.json.
    #[arg(long, default_value = "replay")]
    out: PathBuf,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// auto, fp32, bf16 or fp16.
    #[arg(long)]
    precision: Option<Precision>,
    /// Threads for the networks; 0 lets libtorch choose.
    #[arg(long)]
    threads: Option<usize>,
}

impl Args {
    /// The parameters: those of the file, those set one by one, those with an option of their own.
    fn parameters(&self) -> Result<Parameters, OfflineError> {
        let mut settings = self.set.clone();
        settings.extend(self.device.as_ref().map(|device| format!("device={device}")));
        settings.extend(self.precision.as_ref().map(|precision| format!("precision={precision}")));
        settings.extend(self.threads.map(|threads| format!("threads={threads}")));
        let (parameters, unknown) = Parameters::offline(self.parameters.as_deref(), &self.node, &settings)?;
        for name in unknown {
            note!("parameter {name} does not exist and is ignored; is it misspelt?");
        }
        Ok(parameters)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "seconds from 0 on are needed, such as 12.5".to_owned())
}

/// The folder of the bundle that the parameters name.
fn bundle_of(parameters: &Parameters) -> PathBuf {
    let name = parameters.bundle();
    if name.contains('/') { name.into() } else { PathBuf::from("models").join(name) }
}

/// The file that tells a folder of results.
const LINES: &str = RESULTS[0];

/// Replays. What was lost of the recording makes the exit code 3, what the user stopped 130.
pub fn run(args: &Args) -> Outcome {
    let parameters = args.parameters().map_err(|error| Ended { code: 2, what: error.to_string() })?;
    let selection = Selection {
        bags: args.bags.clone(),
        topic: args.topic.clone(),
        start: args.start,
        duration: args.duration,
        every: args.every,
        parameters,
    };
    let folders = args.bags.iter().filter(|bag| bag.is_dir());
    output::apart(&args.out, folders.map(PathBuf::as_path), LINES)?;
    let results = RESULTS.map(|name| args.out.join(name));
    output::spare(&args.bags, results.clone())?;
    if !args.out.join(LINES).exists()
        && let Some(foreign) = results.iter().find(|file| file.exists())
    {
        let (foreign, out) = (foreign.display(), args.out.display());
        let what = format!(
            "{foreign} is there, and {out} has no {LINES}: it is of no earlier run; choose another folder"
        );
        return Err(what.into());
    }
    // Before the networks are loaded.
    camera_topic(&selection.bags, selection.topic.as_deref()).map_err(told)?;
    let bundle = args.bundle.clone().unwrap_or_else(|| bundle_of(&selection.parameters));
    let monitor = load(&bundle, &selection.parameters)?;
    note!("{}", monitor.description());

    let stopped = Arc::new(AtomicBool::new(false));
    let by_signal = stopped.clone();
    ctrlc::set_handler(move || {
        if by_signal.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    let bar = ProgressBar::new(1000);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {percent}% {msg} left {eta}")?);
    let summary = replay(monitor, &selection, &args.out, |Progress { frames, share }| {
        bar.set_position((share * 1000.0) as u64);
        let rate = frames as f64 / bar.elapsed().as_secs_f64().max(1e-9);
        bar.set_message(format!("{frames} frames, {rate:.1}/s"));
        if stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match std::io::stderr().is_terminal() {
        true => bar.finish_and_clear(),
        false => bar.finish(),
    }
    let summary = summary.map_err(told)?;
    say_as_is!("{summary}");
    match (summary.complete, summary.lost) {
        (true, _) if summary.frames == 0 => {
            Err("no frame was assessed; is anything left of the recording?".into())
        }
        (true, 0) => Ok(()),
        (true, lost) => {
            let what = format!("finished; {lost} parts of the recording could not be read");
            Err(Ended { code: 3, what }.into())
        }
        (false, _) => Err(Ended { code: 130, what: "stopped; what is written is whole".to_owned() }.into()),
    }
}

/// An error of the arguments ends the command with 2.
fn told(error: ReplayError) -> Box<dyn std::error::Error> {
    match error.is_of_arguments() {
        true => Ended { code: 2, what: error.to_string() }.into(),
        false => error.into(),
    }
}
