//! `synthcp replay`: a recording in, the reports that the node would have made out.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use synthcp_monitor::data::Coding;
use synthcp_monitor::evaluate::evaluation::{At, Options};
use synthcp_monitor::evaluate::scoreboard::Memory;
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::monitor::pipeline::Monitor;
use synthcp_monitor::replay::{
    JOURNAL, Labels, Measures, Pace, Progress, RESULTS, ReplayError, Replayed, Selection, load, replay,
};
use synthcp_monitor::score::catalogue::{self, Parts};
use synthcp_monitor::watch::parameters::{OfflineError, Parameters};

use super::Outcome;
use super::interrupt;
use super::judging;
use super::output::{self, Ended};

/// Arguments of `synthcp replay`.
#[derive(ClapArgs)]
pub struct Args {
    /// Recordings: folders of rosbag2, or single .mcap and .db3 files, compressed or not; several are merged.
    #[arg(required_unless_present = "analyze")]
    bags: Vec<PathBuf>,
    /// What the drive must show, a YAML file: leaves verdict.json and verdict.xml (JUnit) and decides the exit code.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Makes verdict and page (report.html) of this result, and replays nothing: the folder of a replay, or a
    /// recording with a monitor's reports.
    #[arg(long, value_name = "RESULT", conflicts_with_all = [
        "bags", "start", "duration", "every", "realtime", "latency", "labels", "segmentation", "resume",
    ])]
    analyze: Option<PathBuf>,
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
    /// The camera's topic (with --analyze, that of the reports); needed where there are several.
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
    /// Takes up the newest frame whenever the one before is done, by the time that this computer takes, as the node
    /// does: what comes meanwhile is dropped.
    #[arg(long, conflicts_with = "latency")]
    realtime: bool,
    /// The same for a computer that takes this long for a frame, such as 80ms, or 80ms,25ms: of the whole method
    /// and of a DEGRADED report.
    #[arg(long, value_name = "TIME")]
    latency: Option<Pace>,
    /// Judges another segmenter's labels on this topic of the recording, as the node does with segmentation: topic
    /// (docs/labels.md); where a params file says that, the only topic named labels is taken by default.
    #[arg(long, value_name = "TOPIC")]
    segmentation: Option<String>,
    /// Labels: a topic of the recording (mono8, mono16 or PNG), or a folder of PNGs, each named by the frame's
    /// place in the recording, from 0, or its stamp in nanoseconds.
    #[arg(long, value_name = "TOPIC|DIR")]
    labels: Option<PathBuf>,
    /// Name or file of the labels' set. By default labels.yaml in their folder, or the bundle's set.
    #[arg(long, requires = "labels", value_name = "NAME|FILE")]
    label_set: Option<String>,
    /// How labels write classes: label-ids, train-ids or colours. Told by label_info or what is met by default.
    #[arg(long, requires = "labels")]
    coding: Option<Coding>,
    /// Detectors of errors that are measured by the labels.
    #[arg(long, value_delimiter = ',', default_value = "synthcp,msp", requires = "labels")]
    detectors: Vec<String>,
    /// Size at which pixels are scored: labels or working.
    #[arg(long, default_value = "labels", requires = "labels")]
    at: At,
    /// Counts scores in bins: constant memory, figures with a stated bound.
    #[arg(long, requires = "labels")]
    streaming: bool,
    /// Goes on with a replay into the same folder that was interrupted.
    #[arg(long)]
    resume: bool,
    /// Folder for all that is written; "replay" by default, with --analyze the result's own.
    #[arg(long)]
    out: Option<PathBuf>,
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
        settings.extend(self.segmentation.as_ref().map(|_| "segmentation=topic".to_owned()));
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

/// Parses seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "seconds from 0 on are needed, such as 12.5".to_owned())
}

impl Args {
    /// What is measured by labels.
    fn measures(&self, monitor: &Monitor) -> Result<Measures, Box<dyn std::error::Error>> {
        // Dropout is random.
        tch::manual_seed(1);
        let (detectors, ids) = match &self.labels {
            Some(_) => {
                let detectors = catalogue::choose(&self.detectors, &Parts::of(monitor.networks()))?;
                (detectors, self.detectors.clone())
            }
            None => (Vec::new(), Vec::new()),
        };
        let memory = if self.streaming { Memory::Streaming } else { Memory::Exact };
        Ok(Measures { detectors, ids, options: Options { at: self.at, memory, ..Options::default() } })
    }
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
    if let Some(result) = &args.analyze {
        let (topic, scenario) = (args.topic.as_deref(), args.scenario.as_deref());
        return judging::analyze(result, topic, scenario, args.out.as_deref());
    }
    let scenario = judging::scenario(args.scenario.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("replay"));
    let parameters = args.parameters().map_err(|error| Ended { code: 2, what: error.to_string() })?;
    let selection = Selection {
        bags: args.bags.clone(),
        topic: args.topic.clone(),
        start: args.start,
        duration: args.duration,
        every: args.every,
        parameters,
        pace: args.latency.unwrap_or(if args.realtime { Pace::Measured } else { Pace::EveryFrame }),
        segmentation: args.segmentation.clone(),
        labels: args.labels.clone().map(|source| Labels {
            source,
            set: args.label_set.clone(),
            coding: args.coding,
        }),
        resume: args.resume,
    };
    let folders = args.bags.iter().filter(|bag| bag.is_dir());
    output::apart(&out, folders.map(PathBuf::as_path), LINES)?;
    let results: Vec<PathBuf> =
        RESULTS.into_iter().map(|name| out.join(name)).chain(judging::files(&out)).collect();
    output::spare(args.bags.iter().chain(&args.scenario), results.clone())?;
    if !out.join(LINES).exists()
        && let Some(foreign) = results.iter().find(|file| file.exists() && !file.ends_with(JOURNAL))
    {
        let (foreign, out) = (foreign.display(), out.display());
        let what = format!(
            "{foreign} is there, and {out} has no {LINES}: it is of no earlier run; choose another folder"
        );
        return Err(what.into());
    }
    // Before the networks are loaded.
    selection.camera().map_err(told)?;
    let bundle = args.bundle.clone().unwrap_or_else(|| bundle_of(&selection.parameters));
    let monitor = load(&bundle, &selection.parameters)?;
    note!("{}", monitor.description());
    let measures = args.measures(&monitor)?;
    judging::forget(&out)?;

    let stopped = interrupt::stopped()?;
    let bar = ProgressBar::new(1000);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {percent}% {msg} left {eta}")?);
    let summary = replay(monitor, &selection, measures, &out, |Progress { frames, share }| {
        bar.set_position((share * 1000.0) as u64);
        let rate = frames as f64 / bar.elapsed().as_secs_f64().max(1e-9);
        bar.set_message(format!("{frames} frames, {rate:.1}/s"));
        if stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match std::io::stderr().is_terminal() {
        true => bar.finish_and_clear(),
        false => bar.finish(),
    }
    let judge = || {
        let evidence = judging::evidence(&out, None, scenario.as_ref())?;
        judging::judge(scenario.as_ref(), &evidence, &out)
    };
    let summary = match summary.map_err(told)? {
        Replayed::Now(summary) => summary,
        Replayed::Before { lost } => {
            note!("{} is complete", out.display());
            return judging::end(judge()?, lost);
        }
    };
    say_if_read!("{summary}");
    let passed = judge()?;
    match summary.complete {
        true if summary.frames == 0 => {
            Err("no frame was assessed; is anything left of the recording?".into())
        }
        true => judging::end(passed, summary.lost),
        false => Err(Ended { code: 130, what: "stopped; what is written is whole".to_owned() }.into()),
    }
}

/// An error of the arguments ends the command with 2.
fn told(error: ReplayError) -> Box<dyn std::error::Error> {
    match error.is_of_arguments() {
        true => Ended { code: 2, what: error.to_string() }.into(),
        false => error.into(),
    }
}
