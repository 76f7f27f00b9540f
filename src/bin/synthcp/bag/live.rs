//! `synthcp bag publish` where there is ROS.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use synthcp_monitor::bag::reader::{Topic, topics};
use synthcp_monitor::node::play::{LOST, Pace, Peak, PlayError, Played, Playing, Range, peak, play};
use synthcp_monitor::replay::{ReplayError, camera_topic};

use super::Publish;
use crate::Outcome;
use crate::interrupt;
use crate::output::Ended;

/// What image_transport adds to the name of a camera's topic.
const COMPRESSED: &str = "/compressed";

/// Plays. What was not answered in lock-step makes the exit code 1, what could not be read 3, the user 130.
pub fn publish(args: &Publish) -> Outcome {
    let cameras = cameras(&args.bags, &args.topic).map_err(of_arguments)?;
    let stopped = interrupt::stopped()?;
    if args.peak {
        return find_peak(args, &cameras, &stopped);
    }
    let pace = if args.lock_step { Pace::LockStep(args.max_delay) } else { Pace::Free };
    let playing = Playing {
        bags: args.bags.clone(),
        calibrations: calibrations(&args.bags, &cameras)?,
        cameras,
        start: args.start,
        duration: args.duration,
        rate: args.rate,
        pace,
        report: args.report.clone(),
        patience: args.wait,
    };
    let bar = ProgressBar::new(1000);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {percent}% {msg} left {eta}")?);
    let played = play(&playing, &stopped, |images, share| {
        bar.set_position((share * 1000.0) as u64);
        bar.set_message(format!("{images} images"));
    });
    match std::io::stderr().is_terminal() {
        true => bar.finish_and_clear(),
        false => bar.finish(),
    }
    let played = played.map_err(told)?;
    say_as_is!("{played}");
    let Played { images, lost, unreadable, .. } = played;
    let ended = |code, what| Err(Ended { code, what }.into());
    if stopped.load(Ordering::Relaxed) {
        return ended(130, "stopped".to_owned());
    }
    match (args.lock_step, played.unanswered()) {
        (true, missing @ 1..) => {
            let delay = args.max_delay.as_secs_f64();
            ended(1, format!("{missing} of {images} images were not answered within {delay} s"))
        }
        _ if lost + unreadable > 0 => {
            ended(3, format!("finished; {} parts of the recording could not be read", lost + unreadable))
        }
        _ => Ok(()),
    }
}

fn find_peak(args: &Publish, cameras: &[Topic], stopped: &AtomicBool) -> Outcome {
    let [camera] = cameras else {
        return Err(Ended { code: 2, what: "--peak takes one --topic".to_owned() }.into());
    };
    let (lowest, highest) = args.rates;
    let range = Range { lowest, highest, trial: args.trial };
    let found = peak(&args.bags, camera, &args.report, range, args.wait, stopped, |rate, lost| {
        note!("{rate:.2} Hz: {:.1} % lost", 100.0 * lost);
    });
    let Peak { rate, lost, degraded, is_bound, model } = found.map_err(told)?;
    if stopped.load(Ordering::Relaxed) {
        return Err(Ended { code: 130, what: "stopped".to_owned() }.into());
    }
    let Some(rate) = rate else {
        let what = format!("at {lowest} Hz more than {:.0} % of the images are lost", 100.0 * LOST);
        return Err(Ended { code: 1, what }.into());
    };
    say!("peak       {}{rate:.2} Hz, {:.1} % lost", if is_bound { "at least " } else { "" }, 100.0 * lost);
    if degraded > 0.0 {
        say!("degraded   {:.1} % of the reports are not from the whole method", 100.0 * degraded);
    }
    say!("machine    {}", machine());
    say!("images     {} ({})", camera.name, camera.kind);
    say!("monitor");
    for line in model.lines() {
        say!("  {line}");
    }
    Ok(())
}

/// The processor, as the system names it.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{name}, {cores} cores")
}

/// The topics that are wanted, or the only camera's. A name of a camera that was recorded compressed alone will do.
fn cameras(bags: &[PathBuf], wanted: &[String]) -> Result<Vec<Topic>, ReplayError> {
    if wanted.is_empty() {
        return Ok(vec![camera_topic(bags, None)?]);
    }
    let one = |name: &String| {
        let name = format!("/{}", name.trim_start_matches('/'));
        camera_topic(bags, Some(&name))
            .or_else(|error| camera_topic(bags, Some(&format!("{name}{COMPRESSED}"))).map_err(|_| error))
    };
    wanted.iter().map(one).collect()
}

/// The topics of calibration beside them that were recorded.
fn calibrations(bags: &[PathBuf], cameras: &[Topic]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let recorded = topics(bags)?;
    let beside = |camera: &Topic| {
        let raw = camera.name.strip_suffix(COMPRESSED).unwrap_or(&camera.name);
        let namespace = raw.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        format!("{namespace}/camera_info")
    };
    let mut found: Vec<_> = cameras.iter().map(beside).collect();
    found.retain(|name| recorded.iter().any(|topic| topic.name == *name));
    found.sort();
    found.dedup();
    Ok(found)
}

fn of_arguments(error: ReplayError) -> Box<dyn std::error::Error> {
    match error.is_of_arguments() {
        true => Ended { code: 2, what: error.to_string() }.into(),
        false => error.into(),
    }
}

fn told(error: PlayError) -> Box<dyn std::error::Error> {
    match error.is_of_arguments() {
        true => Ended { code: 2, what: error.to_string() }.into(),
        false => error.into(),
    }
}
